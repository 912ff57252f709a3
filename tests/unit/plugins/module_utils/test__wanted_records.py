# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which record sets a domain shall have now, under which names, and for how long they live in caches."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._evidence import Site
from ansible_collections.postmaster.mta_sts.plugins.module_utils._history import History
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lifecycle import Decision, decide
from ansible_collections.postmaster.mta_sts.plugins.module_utils._observed import (
    ADDRESS_ELSEWHERE,
    ADDRESS_MISSING,
    ADDRESS_OURS,
    Observed,
    Proof,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record import render_sts_record
from ansible_collections.postmaster.mta_sts.plugins.module_utils._wanted_records import WantedRecords

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.timezone.utc)
ZONE = "sts.example.net"
DESIRED = Desired("a.example", ("mx.example.net",), mode="testing", tlsrpt=("mailto:tls@example.net",))
DELEGATED = dataclasses.replace(DESIRED, delegation=ZONE)
POLICY = Policy("testing", DESIRED.mx, 86400)
ID = policy_id(render_policy(POLICY))
TEXT = render_sts_record(ID)
ADDRESSES = ("198.51.100.1", "2001:db8::1")
SITE = Site({"web1": ADDRESSES})
REPORTS = "v=TLSRPTv1; rua=mailto:tls@example.net"

Sets = list[dict[str, t.Any]]


def seen(**more: t.Any) -> Observed:
    """What is observed of a domain that leads to us and has nothing else."""
    usual: dict[str, t.Any] = {
        "address": ADDRESS_OURS, "addresses": ADDRESSES, "records": (), "mx": DESIRED.mx, "proof": Proof(ID, 1),
        "ttls": {"address": 3600, "record": 3600, "tlsrpt": 3600},
    }  # fmt: skip
    return Observed(**{**usual, **more})


PLACED = {"records": (TEXT,), "record_id": ID, "tlsrpt_records": (REPORTS,), "tlsrpt": DESIRED.tlsrpt}


def wanted(observed: Observed, desired: Desired = DESIRED, site: Site = SITE) -> tuple[Sets, Sets, Decision]:
    decision = decide(desired, History(), observed, NOW)
    sets = WantedRecords(desired, decision, observed, site)
    return sets.prepare(), sets.announce(list(observed.records or ())), decision


def short(sets: Sets) -> list[tuple[str, str, list[str]]]:
    return [(one["name"], one["type"], one["values"]) for one in sets]


def test_what_is_in_place_is_not_asked_for_again() -> None:
    prepare, announce, decision = wanted(seen(**PLACED))
    assert decision.record == "announce"
    assert (prepare, announce) == ([], [])


@pytest.mark.parametrize("kind", ["address", "record", "tlsrpt"])
@pytest.mark.parametrize("ttl", [60, 3599])
def test_what_is_in_place_with_another_ttl_gets_the_right_one(kind: str, ttl: int) -> None:
    told = {"address": 3600, "record": 3600, "tlsrpt": 3600, kind: ttl}
    prepare, announce, _decision = wanted(seen(**PLACED, ttls=told))
    names = {"address": "mta-sts.a.example", "record": "_mta-sts.a.example", "tlsrpt": "_smtp._tls.a.example"}
    assert {one["name"] for one in prepare + announce} == {names[kind]}
    assert {one["ttl"] for one in prepare + announce} == {3600}
    assert all(one["values"] for one in prepare + announce)


def test_the_ttl_is_short_while_something_is_about_to_change() -> None:
    on_the_way = dataclasses.replace(DESIRED, mode="enforce")
    prepare, announce, decision = wanted(seen(ttls={}), on_the_way)
    assert [hold.code for hold in decision.holds] == ["testing-period"]
    assert {one["ttl"] for one in prepare + announce} == {300}
    _prepare, announce, _decision = wanted(seen(proof=None, **PLACED), on_the_way)
    assert announce == []
    settled = wanted(seen(ttls={}))
    assert {one["ttl"] for one in settled[0] + settled[1]} == {3600}
    pending = wanted(seen(proof=None, address=ADDRESS_MISSING, addresses=()))
    assert {one["ttl"] for one in pending[0]} == {300}
    assert {one["ttl"] for one in wanted(seen(ttls={}), site=Site({"web1": ADDRESSES}, ttl=60))[0]} == {60}


def test_those_who_apply_records_by_hand_are_told_all_of_them() -> None:
    site = Site({"web1": ADDRESSES}, others_apply=True)
    prepare, announce, _decision = wanted(seen(**PLACED, others_apply=True), site=site)
    assert short(prepare) == [
        ("mta-sts.a.example", "A", ["198.51.100.1"]),
        ("mta-sts.a.example", "AAAA", ["2001:db8::1"]),
        ("_smtp._tls.a.example", "TXT", [REPORTS]),
    ]
    assert short(announce) == [("_mta-sts.a.example", "TXT", [TEXT])]
    assert all(one["seen"] for one in prepare + announce)


def test_an_address_that_others_are_to_publish_needs_no_certificate_yet() -> None:
    missing = seen(address=ADDRESS_MISSING, addresses=(), proof=None, others_apply=True)
    prepare, _announce, decision = wanted(missing)
    assert not decision.certificate
    assert [one["name"] for one in prepare][:3] == ["mta-sts.a.example"] * 3
    assert wanted(seen(address=ADDRESS_MISSING, addresses=(), proof=None))[2].certificate


def test_where_nothing_was_seen_nobody_looks_again() -> None:
    zones = dict.fromkeys(("address", "record", "tlsrpt"), "a.example")
    nothing = {"address": ADDRESS_MISSING, "addresses": (), "zones": zones}
    prepare, _announce, _decision = wanted(seen(**nothing))
    assert short(prepare) == [
        ("mta-sts.a.example", "A", ["198.51.100.1"]),
        ("mta-sts.a.example", "AAAA", ["2001:db8::1"]),
        ("_smtp._tls.a.example", "TXT", [REPORTS]),
    ]
    _prepare, announce, _decision = wanted(seen(zones=zones))
    assert short(announce) == [("_mta-sts.a.example", "TXT", [TEXT])]
    assert all((one["zone"], one["expected"]) == ("a.example", []) for one in (*prepare, *announce))
    # At a name in a zone of ours nobody has looked.
    unseen = {**nothing, "record_alias": "", "address_alias": ""}
    assert all("zone" not in one for one in wanted(seen(**unseen), DELEGATED)[0])


class TestDelegation:
    RECORD, ADDRESS, REPORT = (f"{kind}.a.example.{ZONE}" for kind in ("_mta-sts", "mta-sts", "_smtp._tls"))
    ALIVE: t.ClassVar[dict[str, t.Any]] = {"record_alias": RECORD, "address_alias": ADDRESS, "tlsrpt_alias": REPORT}

    def test_addresses_come_before_anybody_is_led_to_them(self) -> None:
        prepare, announce, decision = wanted(seen(address=ADDRESS_MISSING, addresses=(), proof=None), DELEGATED)
        assert decision.stage == "pending"
        assert [one[:2] for one in short(prepare)] == [
            *((self.ADDRESS, rdtype) for rdtype in ("A", "AAAA", "CNAME")),
            (self.REPORT, "TXT"),
        ]
        assert announce == []
        assert not decision.certificate

    def test_the_lines_to_add_are_told_with_what_is_there(self) -> None:
        there = seen(address=ADDRESS_ELSEWHERE, addresses=("192.0.2.9",), record_alias="x.other.example", proof=None)
        (hold,) = [hold for hold in wanted(there, DELEGATED)[2].holds if hold.code == "delegation"]
        for text in (
            f"_mta-sts.a.example. CNAME {self.RECORD}.",
            f"mta-sts.a.example. CNAME {self.ADDRESS}.",
            "_mta-sts.a.example is an alias of x.other.example",
            "mta-sts.a.example has 192.0.2.9",
        ):
            assert text in hold.message

    @pytest.mark.parametrize("missing", ["record_alias", "address_alias"])
    def test_one_line_that_is_missing_is_enough(self, missing: str) -> None:
        address = {} if missing == "record_alias" else {"address": ADDRESS_MISSING, "addresses": ()}
        decision = wanted(seen(**{**self.ALIVE, missing: "", **address}), DELEGATED)[2]
        assert "delegation" in [hold.code for hold in decision.holds]
        assert decision.record == "keep"
        # The policy host's name leads to us already: its certificate can be had meanwhile.
        assert decision.certificate == (missing == "record_alias")

    def test_where_both_are_there_the_id_goes_to_our_zone(self) -> None:
        _prepare, announce, decision = wanted(seen(**self.ALIVE), DELEGATED)
        assert decision.stage == "testing"
        assert short(announce) == [(self.RECORD, "TXT", [TEXT])]
        assert announce[0]["expected"] == []
        assert wanted(seen(**self.ALIVE, **PLACED), DELEGATED)[:2] == ([], [])

    def test_a_name_that_leads_to_us_in_its_own_way_is_as_good(self) -> None:
        own = {**self.ALIVE, "address_alias": "policies.example.net"}
        assert wanted(seen(**own), DELEGATED)[2].stage == "testing"

    def test_a_text_beside_the_lines_is_the_customers(self) -> None:
        """It is not expected at our name, and not told as foreign there."""
        theirs = seen(record_alias="", records=(), foreign_records=("v=spf1 -all",), address_alias=self.ADDRESS)
        assert [hold.code for hold in wanted(theirs, DELEGATED)[2].holds if hold.code.startswith("record-")] == []

    def test_what_is_in_our_zone_goes_at_the_end(self) -> None:
        gone = dataclasses.replace(DELEGATED, state="absent")
        decision = Decision("absent", None, (), NOW, remove=True, tlsrpt=())
        sets = WantedRecords(gone, decision, seen(**self.ALIVE), SITE).announce([])
        assert short(sets) == [
            *((self.ADDRESS, rdtype, []) for rdtype in ("A", "AAAA", "CNAME")),
            (self.REPORT, "TXT", []),
        ]


def test_an_alias_that_somebody_made_is_left_alone() -> None:
    prepare, _announce, _decision = wanted(seen(address_alias="policies.example.net", ttls={"address": 1}))
    assert [one["name"] for one in prepare] == ["_smtp._tls.a.example"]


def test_what_nobody_may_issue_is_not_asked_for() -> None:
    """What serves goes on, and may be announced."""
    decision = wanted(seen(caa_refusal="the CAA records of a.example let nobody issue certificates"))[2]
    assert decision.stage == "testing"
    assert [hold.code for hold in decision.holds] == ["caa"]
