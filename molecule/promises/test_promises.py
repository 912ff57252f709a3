# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises that only a sequence of rollouts can keep or break. Each test begins with all domains well."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id

if t.TYPE_CHECKING:
    from conftest import Lab

COM = {"domain": "example.com", "mx": ["mx1.lab.test"]}
ORG = {"domain": "example.org", "mx": ["mx1.lab.test"]}
TESTING = b"version: STSv1\r\nmode: testing\r\nmx: mx1.lab.test\r\nmax_age: 86400\r\n"
ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.lab.test\r\nmax_age: 2592000\r\n"


def txt(body: bytes) -> list[str]:
    return [f'"v=STSv1; id={policy_id(body)}"']


def is_well(lab: Lab) -> bool:
    return lab.dig("_mta-sts.example.com") == lab.dig("_mta-sts.example.org") == txt(TESTING)


@pytest.fixture(autouse=True)
def _well(lab: Lab) -> t.Iterator[None]:
    assert is_well(lab)
    yield
    if not is_well(lab):
        healed = lab.quick_rollout()
        assert healed.status == 0, healed.output


def test_p1_a_policy_that_one_host_is_not_seen_to_serve_is_not_announced(lab: Lab) -> None:
    changed = [{**COM, "mode": "enforce"}, ORG]
    # Where web2 is looked for, nobody answers.
    elsewhere = f"{{{{ ['{lab.addresses['mx2']}'] if inventory_hostname == 'web2' else [ansible_host] }}}}"
    without = lab.quick_rollout(mta_sts_domains=changed, mta_sts_probe_addresses=elsewhere)
    assert without.status != 0
    assert lab.curl("web1", "example.com") == ENFORCE
    assert lab.dig("_mta-sts.example.com") == txt(TESTING)
    pending = lab.report()["example.com"]
    assert pending["stage"] == "pending"
    assert {hold["code"] for hold in pending["holds"]} == {"proof-failed"}
    assert "web2" in pending["holds"][0]["message"]
    back = lab.quick_rollout(mta_sts_domains=changed)
    assert back.status == 0, back.output
    assert lab.dig("_mta-sts.example.com") == txt(ENFORCE)


def test_p1_and_p4_with_a_host_that_is_down_nothing_is_changed(lab: Lab) -> None:
    changed = [{**COM, "mode": "enforce"}, ORG]
    lab.lab_command("stop", "web2")
    try:
        without = lab.quick_rollout(mta_sts_domains=changed)
    finally:
        lab.lab_command("start", "web2")
    assert without.status != 0
    # What web2 served, and thus what senders may hold, is not known.
    assert {hold["code"] for hold in lab.report()["example.com"]["holds"]} == {"ledger-unread"}
    assert "web2: could not be reached" in without.output
    assert lab.curl("web1", "example.com") == TESTING
    assert lab.dig("_mta-sts.example.com") == txt(TESTING)
    back = lab.quick_rollout(mta_sts_domains=changed)
    assert back.status == 0, back.output
    assert lab.curl("web2", "example.com") == ENFORCE
    assert lab.dig("_mta-sts.example.com") == txt(ENFORCE)


def test_p3_foreign_txt_is_reported_and_replaced_only_on_request(lab: Lab) -> None:
    foreign = '"site-verification=0123"'
    lab.nsupdate(f"update add _mta-sts.example.com 5 TXT {foreign}")
    kept = lab.quick_rollout(mta_sts_domains=[{**COM, "mode": "enforce"}, ORG])
    assert kept.status != 0
    assert lab.dig("_mta-sts.example.com") == sorted([foreign, *txt(TESTING)])
    assert [hold["code"] for hold in lab.report()["example.com"]["holds"]] == ["record-foreign"]
    replaced = lab.quick_rollout(mta_sts_domains=[{**COM, "mode": "enforce", "replace_foreign": True}, ORG])
    assert replaced.status == 0, replaced.output
    assert lab.dig("_mta-sts.example.com") == txt(ENFORCE)


def test_p3_a_second_mta_sts_record_is_removed(lab: Lab) -> None:
    lab.nsupdate('update add _mta-sts.example.com 5 TXT "v=STSv1; id=20240101"')
    assert len(lab.dig("_mta-sts.example.com")) == 2
    assert lab.quick_rollout().status == 0
    assert lab.dig("_mta-sts.example.com") == txt(TESTING)


def test_p5_a_domain_that_left_the_inventory_goes_on_being_served(lab: Lab) -> None:
    without = lab.quick_rollout(mta_sts_domains=[COM])
    assert without.status == 0, without.output
    assert "1 orphan: example.org" in without.output
    assert all(lab.curl(host, "example.org") == TESTING for host in lab.policy_hosts)
    assert lab.dig("_mta-sts.example.org") == txt(TESTING)


def test_p5_withdrawal_begins_with_mode_none_and_removes_nothing(lab: Lab) -> None:
    leaving = lab.quick_rollout(mta_sts_domains=[COM, {"domain": "example.org", "state": "absent"}])
    assert leaving.status == 0, leaving.output
    body = lab.curl("web1", "example.org")
    assert body == TESTING.replace(b"testing", b"none")
    assert lab.curl("web2", "example.org") == body
    assert lab.dig("_mta-sts.example.org") == txt(body)
    assert lab.report()["example.org"]["stage"] == "withdrawing"
