# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator would look at after the inbox was taken away."""

from __future__ import annotations

import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from conftest import Lab

HOSTS = ("web1", "web2")
# Without directories, as systemd removes empty ones.
LISTING = "find {} ! -type d -printf '%p %l %m %u:%g\n' | sort; find {} -type f -exec sha256sum {{}} + | sort"
LOOKS = {
    "configuration": LISTING.format(*["/etc/nginx /etc/postfix /etc/systemd /etc/tmpfiles.d"] * 2),
    "units": "systemctl list-unit-files --state=enabled --no-legend --plain",
    "ports": "ss --listening --tcp --numeric --no-header | awk '{print $4}' | sort",
    "users": "getent passwd; getent group",
    "ours": "find / -xdev -path '*mta-sts-reports*' -not -path '/proc/*'",
    "run": "find /run -path '*mta-sts-reports*'",
}


def footprint(lab: Lab) -> dict[str, dict[str, str]]:
    """All of it, by host."""
    return {host: {name: lab.host(host).check_output(look) for name, look in LOOKS.items()} for host in HOSTS}


def kept(lab: Lab) -> Path:
    """Where that is kept from before the role ran."""
    return Path(lab.facts["lab_state_dir"]) / "inbox.json"
