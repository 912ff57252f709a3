# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the policy hosts of this scenario are beside being policy hosts."""

from __future__ import annotations

import re
import shlex
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from conftest import Lab

PROTOCOLS = ("http", "https")
NAMES = ("shop.example", "unknown.example")


def answers(lab: Lab, host: str) -> dict[str, str]:
    """What the host's other site answers, for its own name, an unknown one and none, on both ports."""
    address = lab.addresses[host]
    urls = {f"{protocol}://{name}/page": name for protocol in PROTOCOLS for name in NAMES}
    script = []
    for url, name in urls.items():
        connect = f"--connect-to {name}::{address}:"
        script.append(f"echo '== {url}'; curl --silent --insecure --include {connect} {url} || echo refused")
    for protocol in PROTOCOLS:
        url = f"{protocol}://{address}/"
        script.append(f"echo '== {url}'; curl --silent --insecure --include {url} || echo refused")
    for option in ("-servername shop.example", "-servername unknown.example", "-noservername"):
        shown = f"openssl s_client -connect {address}:443 {option} </dev/null 2>/dev/null"
        script.append(f"echo '== certificate {option}'; {shown} | openssl x509 -noout -fingerprint || echo refused")
    output = lab.host("mx1").check_output("sh -c %s", "\n".join(script))
    parts = re.split(r"(?m)^== (.*)\n", re.sub(r"(?im)^date: .*\n", "", output))[1:]
    found = dict(zip(parts[::2], parts[1::2]))
    assert len(found) == len(urls) + len(PROTOCOLS) + 3
    return found


def footprint(lab: Lab, host: str) -> dict[str, str]:
    """What an administrator would look at after an uninstallation."""
    machine = lab.host(host)
    # Without directories, as systemd removes empty ones.
    listing = "find /etc/nginx /etc/systemd/system ! -type d -printf '%p %l %m %u:%g\n' | sort"
    return {
        "nginx": machine.check_output(f"{listing}; find /etc/nginx -type f -exec sha256sum {{}} + | sort"),
        "units": machine.check_output("systemctl list-unit-files --state=enabled --no-legend --plain"),
        "timers": machine.check_output("systemctl list-timers --all --no-legend --plain | awk '{print $NF}' | sort"),
        "ports": machine.check_output("ss --listening --tcp --numeric --no-header | awk '{print $4}' | sort"),
        "programs": machine.check_output("find /usr/local /etc/letsencrypt -type f -path '*mta-sts*' | sort"),
    }


def seen(lab: Lab) -> dict[str, dict[str, t.Any]]:
    """Both, of every policy host."""
    hosts = lab.policy_hosts
    return {host: {"answers": answers(lab, host), "footprint": footprint(lab, host)} for host in hosts}


def kept(lab: Lab) -> Path:
    """Where that is kept from before the first rollout."""
    return Path(lab.facts["lab_state_dir"]) / "front_ends.json"


def serial(lab: Lab, host: str, name: str) -> str:
    """The serial number of the certificate that a host shows for a name."""
    shown = f"openssl s_client -connect {lab.addresses[host]}:443 -servername {shlex.quote(name)}"
    number: str = lab.host("mx1").check_output(f"{shown} </dev/null 2>/dev/null | openssl x509 -noout -serial")
    assert number.startswith("serial=")
    return number
