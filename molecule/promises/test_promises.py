# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises that only a sequence of rollouts can keep or break. Each test goes on where the one before it ended."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id

if t.TYPE_CHECKING:
    from conftest import Lab, Playbook

COM = {"domain": "example.com", "mx": ["mx1.lab.test"]}
ORG = {"domain": "example.org", "mx": ["mx1.lab.test"]}
OLD = {"domain": "old.example", "mx": ["mx1.lab.test"], "mode": "enforce"}
BOOKS = {"domain": "xn--bcher-kva.example", "mx": ["mx1.lab.test"], "mode": "enforce"}
TESTING = b"version: STSv1\r\nmode: testing\r\nmx: mx1.lab.test\r\nmax_age: 86400\r\n"
ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.lab.test\r\nmax_age: 2592000\r\n"


def txt(body: bytes) -> list[str]:
    return [f'"v=STSv1; id={policy_id(body)}"']


def test_p1_a_policy_that_one_host_is_not_seen_to_serve_is_not_announced(lab: Lab) -> None:
    assert lab.dig("_mta-sts.example.com") == lab.dig("_mta-sts.example.org") == txt(TESTING)
    changed = [{**COM, "mode": "enforce"}, ORG, OLD, BOOKS]
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
    changed = [{**COM, "mode": "enforce"}, {**ORG, "mode": "enforce"}, OLD, BOOKS]
    lab.lab_command("stop", "web2")
    try:
        without = lab.quick_rollout(mta_sts_domains=changed)
    finally:
        lab.lab_command("start", "web2")
    assert without.status != 0
    # What web2 served, and thus what senders may hold, is not known.
    assert {hold["code"] for hold in lab.report()["example.org"]["holds"]} == {"ledger-unread"}
    assert "web2: could not be reached" in without.output
    assert lab.curl("web1", "example.org") == TESTING
    assert lab.dig("_mta-sts.example.org") == txt(TESTING)
    back = lab.quick_rollout(mta_sts_domains=changed)
    assert back.status == 0, back.output
    assert lab.curl("web2", "example.org") == ENFORCE
    assert lab.dig("_mta-sts.example.org") == txt(ENFORCE)


# --- what befalls four domains at once, in two rollouts: the second is asked to replace what is foreign ---

FOREIGN = '"site-verification=0123"'
CHANGED = ENFORCE.replace(b"2592000", b"1209600")


@dataclass(frozen=True)
class Seen:
    """A rollout, and what DNS has after it, by domain."""

    run: Playbook
    report: dict[str, dict[str, t.Any]]
    txt: dict[str, list[str]]


@pytest.fixture(scope="module")
def rollouts(lab: Lab) -> list[Seen]:
    lab.nsupdate(f"update add _mta-sts.old.example 5 TXT {FOREIGN}")
    lab.nsupdate('update add _mta-sts.xn--bcher-kva.example 5 TXT "v=STSv1; id=20240101"')
    assert len(lab.dig("_mta-sts.xn--bcher-kva.example")) == 2
    found = []
    for replace in (False, True):
        # Example.com is not in the inventory any more.
        old = {**OLD, "max_age": 1209600, "replace_foreign": replace}
        run = lab.quick_rollout(mta_sts_domains=[old, BOOKS, {"domain": "example.org", "state": "absent"}])
        names = ("old.example", "xn--bcher-kva.example", "example.org", "example.com")
        found.append(Seen(run, lab.report(), {name: lab.dig(f"_mta-sts.{name}") for name in names}))
    return found


def test_p3_foreign_txt_is_reported_and_replaced_only_on_request(rollouts: list[Seen]) -> None:
    kept, replaced = rollouts
    assert kept.run.status != 0
    assert kept.txt["old.example"] == sorted([FOREIGN, *txt(ENFORCE)])
    assert [hold["code"] for hold in kept.report["old.example"]["holds"]] == ["record-foreign"]
    assert replaced.run.status == 0, replaced.run.output
    assert replaced.txt["old.example"] == txt(CHANGED)


def test_p3_a_second_mta_sts_record_is_removed(rollouts: list[Seen]) -> None:
    assert [seen.txt["xn--bcher-kva.example"] for seen in rollouts] == [txt(ENFORCE)] * 2


def test_p5_a_domain_that_left_the_inventory_goes_on_being_served(lab: Lab, rollouts: list[Seen]) -> None:
    assert [seen.txt["example.com"] for seen in rollouts] == [txt(ENFORCE)] * 2
    assert all("1 orphan: example.com" in seen.run.output for seen in rollouts)
    assert all(lab.curl(host, "example.com") == ENFORCE for host in lab.policy_hosts)


def test_p5_withdrawal_begins_with_mode_none_and_removes_nothing(lab: Lab, rollouts: list[Seen]) -> None:
    body = lab.curl("web1", "example.org")
    assert body == TESTING.replace(b"testing", b"none")
    assert lab.curl("web2", "example.org") == body
    assert [seen.txt["example.org"] for seen in rollouts] == [txt(body)] * 2
    assert {seen.report["example.org"]["stage"] for seen in rollouts} == {"withdrawing"}
