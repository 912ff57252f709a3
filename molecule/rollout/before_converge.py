# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""P10: check mode, before anything was rolled out, shows what is to come and changes nothing."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from conftest import Lab

# What changes on a host without anybody's doing, and what logging in to it changes.
ALIVE = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/log", "/var/lib/systemd", "/root/.ansible")


def state_of(lab: Lab) -> dict[str, str]:
    """Everything on the policy hosts' disks, and all that is in DNS."""
    pruned = " -o ".join(f"-path {path}" for path in ALIVE)
    listing = rf"find / \( {pruned} \) -prune -o -type f -printf '%p %s %T@\n' | sort"
    state = {name: lab.host(name).check_output(listing) for name in lab.policy_hosts}
    for zone in ("example.com", "example.net", "xn--bcher-kva.example", "broken.example"):
        state[zone] = lab.zone(zone)
    assert all(state.values())
    return state


def test_check_mode_shows_all_and_changes_nothing(lab: Lab) -> None:
    before = state_of(lab)
    preview = lab.rollout("--check", "--diff")
    assert preview.status == 0, preview.output
    for expected in (
        "+++ after: /var/lib/mta-sts/policies/mta-sts.example.com.txt",
        "+mode: enforce",
        "+mx: mx1.lab.test",
        "+max_age: 2592000",
        "+mta-sts.example.com. 5 IN A ",
        '+_smtp._tls.example.com. 5 IN TXT "v=TLSRPTv1; rua=mailto:tls-reports@example.com,https://',
        '+_mta-sts.example.com. 5 IN TXT "v=STSv1; id=',
        '+_mta-sts.xn--bcher-kva.example. 5 IN TXT "v=STSv1; id=',
        "check mode, nothing was changed",
        "which is no policy host",
    ):
        assert expected in preview.output, expected
    assert "_mta-sts.broken.example. " not in preview.output
    assert lab.facts["lab_tsig_secret"] not in preview.output
    assert state_of(lab) == before
