# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the ledger of a policy host: it is told, and no promise is broken.

Each test begins with all domains well.
"""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id

if t.TYPE_CHECKING:
    from conftest import Lab, Playbook

COM = {"domain": "example.com", "mx": ["mx1.lab.test"]}
ORG = {"domain": "example.org", "mx": ["mx1.lab.test"]}
TESTING = b"version: STSv1\r\nmode: testing\r\nmx: mx1.lab.test\r\nmax_age: 86400\r\n"
ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.lab.test\r\nmax_age: 2592000\r\n"
CHANGED = [{**COM, "mode": "enforce"}, ORG]
LEDGER = "/var/lib/mta-sts/ledger.sqlite3"


def announced(lab: Lab, domain: str = "example.com") -> str:
    (record,) = lab.dig(f"_mta-sts.{domain}")
    return record.partition("id=")[2].rstrip('"')


def holds(lab: Lab, domain: str = "example.com") -> dict[str, dict[str, t.Any]]:
    return {hold["code"]: hold for hold in lab.report()[domain]["holds"]}


def is_well(lab: Lab) -> bool:
    return announced(lab) == announced(lab, "example.org") == policy_id(TESTING)


@pytest.fixture(autouse=True)
def _well(lab: Lab) -> t.Iterator[None]:
    assert is_well(lab)
    yield
    if not is_well(lab):
        healed = lab.quick_rollout()
        assert healed.status == 0, healed.output


def in_order(done: Playbook) -> bool:
    return done.status == 0 and "ledger" not in done.output.rpartition("postmaster.mta_sts rollout:")[2]


def test_a_damaged_ledger_is_kept_aside_and_begun_anew(lab: Lab) -> None:
    lab.host("web1").check_output(f"dd if=/dev/urandom of={LEDGER} bs=512 count=4 seek=1 conv=notrunc")
    done = lab.quick_rollout(mta_sts_domains=CHANGED)
    assert done.status == 0, done.output
    assert "web1: its ledger is damaged and is set aside" in done.output
    assert announced(lab) == policy_id(ENFORCE)
    lab.host("web1").check_output(f"ls {LEDGER}.damaged-*")
    assert in_order(lab.quick_rollout(mta_sts_domains=CHANGED))
    # What was served before is forgotten on one host, and so a withdrawal waits as if it had enforced.
    assert lab.quick_rollout(mta_sts_domains=[COM, {"domain": "example.org", "state": "absent"}]).status == 0
    assert holds(lab, "example.org")["withdrawal-policies"]["until"] is not None


def test_a_deleted_ledger_is_told_and_begun_anew_from_what_is_served(lab: Lab) -> None:
    for host in lab.policy_hosts:
        lab.host(host).check_output(f"rm {LEDGER}")
    done = lab.quick_rollout()
    assert done.status == 0, done.output
    for host in lab.policy_hosts:
        assert f"{host}: it serves policies and has no ledger" in done.output
    assert is_well(lab)
    assert in_order(lab.quick_rollout())


def test_a_clock_that_went_back_a_day_changes_nothing(lab: Lab) -> None:
    # As if the ledgers had been written tomorrow.
    lab.age(days=-1)
    done = lab.quick_rollout(mta_sts_domains=CHANGED)
    lab.age(days=1)
    assert done.status != 0
    assert set(holds(lab)) == {"clock"}
    assert "the ledger of web1 was written at" in done.output
    assert is_well(lab)
    assert {lab.curl(host, "example.com") for host in lab.policy_hosts} == {TESTING}


def test_a_full_disk_is_told_and_announces_nothing(lab: Lab) -> None:
    web1 = lab.host("web1")
    # The one small file system that the host has.
    web1.check_output("cp -a /var/lib/mta-sts /dev/shm/ && mv /var/lib/mta-sts /var/lib/mta-sts.away")
    web1.check_output("ln -s /dev/shm/mta-sts /var/lib/mta-sts && (cat /dev/zero > /dev/shm/full; true)")
    try:
        full = lab.quick_rollout(mta_sts_domains=CHANGED)
    finally:
        web1.check_output(
            "rm /dev/shm/full /var/lib/mta-sts && rm -r /var/lib/mta-sts.away && mv /dev/shm/mta-sts /var/lib/"
        )
    assert full.status != 0
    assert "web1: " in full.output
    assert "full" in full.output or "No space left" in full.output
    assert announced(lab) == policy_id(TESTING)
    assert lab.curl("web1", "example.com") in (TESTING, ENFORCE)
    healed = lab.quick_rollout(mta_sts_domains=CHANGED)
    assert healed.status == 0, healed.output
    assert announced(lab) == policy_id(ENFORCE)


def test_two_rollouts_at_once_announce_only_what_is_served(lab: Lab) -> None:
    wanted = {"enforce": CHANGED, "testing": [COM, {**ORG, "mode": "enforce"}]}
    running = [
        lab.begin(
            "rollout",
            "--skip-tags=policy_host_install",
            mta_sts_domains=entries,
            mta_sts_run_dir=f"{lab.run_dir}-{name}",
        )
        for name, entries in wanted.items()
    ]
    outputs = [process.communicate()[0] for process in running]
    for domain in ("example.com", "example.org"):
        served = {policy_id(lab.curl(host, domain)) for host in lab.policy_hosts}
        assert announced(lab, domain) == policy_id(TESTING) or served == {announced(lab, domain)}, outputs
    healed = lab.quick_rollout(mta_sts_domains=CHANGED)
    assert healed.status == 0, healed.output
    assert (announced(lab), announced(lab, "example.org")) == (policy_id(ENFORCE), policy_id(TESTING))
