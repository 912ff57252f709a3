# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the ledger of a policy host: it is told, and no promise is broken.

Each test goes on where the one before it ended.
"""

from __future__ import annotations

import typing as t

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id

if t.TYPE_CHECKING:
    from conftest import Lab, Playbook

COM, ORG, OLD, BOOKS = "example.com", "example.org", "old.example", "xn--bcher-kva.example"
TESTING = b"version: STSv1\r\nmode: testing\r\nmx: mx1.lab.test\r\nmax_age: 86400\r\n"
ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.lab.test\r\nmax_age: 2592000\r\n"
LEDGER = "/var/lib/mta-sts/ledger.sqlite3"


def entries(*enforced: str, absent: str = "") -> list[dict[str, t.Any]]:
    """All domains of the scenario in testing, but for some."""
    found: list[dict[str, t.Any]] = []
    for name in (COM, ORG, OLD, BOOKS):
        mode = "enforce" if name in enforced else "testing"
        stays = {"mx": ["mx1.lab.test"], "mode": mode}
        found.append({"domain": name, **({"state": "absent"} if name == absent else stays)})
    return found


def announced(lab: Lab, domain: str) -> str:
    (record,) = lab.dig(f"_mta-sts.{domain}")
    return record.partition("id=")[2].rstrip('"')


def holds(lab: Lab, domain: str) -> dict[str, dict[str, t.Any]]:
    return {hold["code"]: hold for hold in lab.report()[domain]["holds"]}


def in_order(done: Playbook) -> bool:
    return done.status == 0 and "ledger" not in done.output.rpartition("postmaster.mta_sts rollout:")[2]


def test_a_damaged_ledger_is_kept_aside_and_begun_anew(lab: Lab) -> None:
    assert {announced(lab, name) for name in (COM, ORG, OLD, BOOKS)} == {policy_id(TESTING)}
    lab.host("web1").check_output(f"dd if=/dev/urandom of={LEDGER} bs=512 count=4 seek=1 conv=notrunc")
    done = lab.quick_rollout(mta_sts_domains=entries(COM))
    assert done.status == 0, done.output
    assert "web1: its ledger is damaged and is set aside" in done.output
    assert announced(lab, COM) == policy_id(ENFORCE)
    lab.host("web1").check_output(f"ls {LEDGER}.damaged-*")
    # What was served before is forgotten on one host, and so a withdrawal waits as if it had enforced.
    assert in_order(lab.quick_rollout(mta_sts_domains=entries(COM, absent=ORG)))
    assert holds(lab, ORG)["withdrawal-policies"]["until"] is not None


def test_a_deleted_ledger_is_told_and_begun_anew_from_what_is_served(lab: Lab) -> None:
    before = [announced(lab, name) for name in (COM, ORG, OLD, BOOKS)]
    for host in lab.policy_hosts:
        lab.host(host).check_output(f"rm {LEDGER}")
    done = lab.quick_rollout(mta_sts_domains=entries(COM, absent=ORG))
    assert done.status == 0, done.output
    for host in lab.policy_hosts:
        assert f"{host}: it serves policies and has no ledger" in done.output
    assert [announced(lab, name) for name in (COM, ORG, OLD, BOOKS)] == before


def test_a_clock_that_went_back_a_day_changes_nothing(lab: Lab) -> None:
    # As if the ledgers had been written tomorrow.
    lab.age(days=-1)
    done = lab.quick_rollout(mta_sts_domains=entries(COM, OLD))
    lab.age(days=1)
    assert done.status != 0
    assert set(holds(lab, OLD)) == {"clock"}
    assert "the ledger of web1 was written at" in done.output
    assert announced(lab, OLD) == policy_id(TESTING)
    assert {lab.curl(host, OLD) for host in lab.policy_hosts} == {TESTING}


def test_a_full_disk_is_told_and_announces_nothing(lab: Lab) -> None:
    web1 = lab.host("web1")
    # The one small file system that the host has.
    web1.check_output("cp -a /var/lib/mta-sts /dev/shm/ && mv /var/lib/mta-sts /var/lib/mta-sts.away")
    web1.check_output("ln -s /dev/shm/mta-sts /var/lib/mta-sts && (cat /dev/zero > /dev/shm/full; true)")
    try:
        full = lab.quick_rollout(mta_sts_domains=entries(COM, OLD))
    finally:
        web1.check_output(
            "rm /dev/shm/full /var/lib/mta-sts && rm -r /var/lib/mta-sts.away && mv /dev/shm/mta-sts /var/lib/"
        )
    assert full.status != 0
    assert "web1: " in full.output
    assert "full" in full.output or "No space left" in full.output
    assert announced(lab, OLD) == policy_id(TESTING)
    assert lab.curl("web1", OLD) in (TESTING, ENFORCE)
    # Nor is anything told any more of the ledgers that were deleted.
    assert in_order(lab.quick_rollout(mta_sts_domains=entries(COM, OLD)))
    assert announced(lab, OLD) == policy_id(ENFORCE)


def test_two_rollouts_at_once_announce_only_what_is_served(lab: Lab) -> None:
    assert (announced(lab, COM), announced(lab, BOOKS)) == (policy_id(ENFORCE), policy_id(TESTING))
    wanted = {"books": entries(OLD, BOOKS), "com": entries(OLD, COM)}
    running = [
        lab.begin(
            "rollout",
            "--skip-tags=policy_host_install",
            mta_sts_domains=listed,
            mta_sts_run_dir=f"{lab.run_dir}-{name}",
        )
        for name, listed in wanted.items()
    ]
    outputs = [process.communicate()[0] for process in running]
    for domain, before in ((COM, ENFORCE), (BOOKS, TESTING)):
        served = {policy_id(lab.curl(host, domain)) for host in lab.policy_hosts}
        assert announced(lab, domain) == policy_id(before) or served == {announced(lab, domain)}, outputs
    healed = lab.quick_rollout(mta_sts_domains=wanted["books"])
    assert healed.status == 0, healed.output
    assert (announced(lab, COM), announced(lab, BOOKS)) == (policy_id(TESTING), policy_id(ENFORCE))
