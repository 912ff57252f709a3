# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: which records are wanted when, and that nothing is announced without its proof."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan import SCHEMA, Evidence, Site, make_plan
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy

NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
MX = ("mx.example.net",)
DESIRED = Desired("a.example", MX, tlsrpt=("mailto:tls@example.net",))
SITE = Site({"web1": ["198.51.100.1"], "web2": ["198.51.100.2", "2001:db8::2"]})
ID = policy_id(render_policy(Policy("testing", MX, 86400)))

Document = dict[str, t.Any]


def observed(domain: str = "a.example", **more: t.Any) -> Document:
    """What is seen of a domain for which nothing was done yet."""
    seen = {"addresses": [], "foreign_records": [], "foreign_tlsrpt_records": [], "findings": [], **more}
    return {"host": "localhost", "domains": {domain: seen}}


def proof(identifier: str = ID, fetched: int = 3, *failures: str, code: str = "policy-certificate") -> Document:
    subject = "https://mta-sts.a.example at 198.51.100.2"
    failed = [{"host": host, "code": code, "subject": subject, "seen": "TLS handshake: no"} for host in failures]
    result = {"id": identifier, "fetched": fetched, "failures": failed}
    result["proved"] = [host for host in SITE.hosts if host not in failures]
    return {"host": "localhost", "domains": {"a.example": result}}


def served(mode: str = "testing", domain: str = "a.example") -> Document:
    return {"policies": {domain: {"mode": mode, "mx": list(MX), "max_age": 86400}}, "damaged": {}}


def planned(desired: Desired = DESIRED, site: Site = SITE, assume: bool = False, **evidence: t.Any) -> Document:
    return make_plan([desired], site, Evidence(**{"served": {}, **evidence}), NOW, assume_proof=assume)


def records(plan: Document, section: str) -> list[tuple[str, str, list[str]]]:
    return [(one["name"], one["type"], one["values"]) for one in plan["record_sets"][section]]


ALL = ["198.51.100.1", "198.51.100.2", "2001:db8::2"]
ADDRESSES = [
    ("mta-sts.a.example", "A", ALL[:2]),
    ("mta-sts.a.example", "AAAA", ALL[2:]),
    ("mta-sts.a.example", "CNAME", []),
]
TLSRPT = ("_smtp._tls.a.example", "TXT", ["v=TLSRPTv1; rua=mailto:tls@example.net"])
STS = ("_mta-sts.a.example", "TXT", [f"v=STSv1; id={ID}"])


def test_before_anything_is_seen_nothing_is_wanted_of_dns() -> None:
    plan = planned()
    assert plan["record_sets"] == {"prepare": [], "announce": []}
    (entry,) = plan["domains"]
    assert (entry["stage"], entry["serve"], entry["announce"], entry["certificate"]) == ("pending", True, False, False)
    assert (plan["schema"], plan["at"], plan["orphans"]) == (SCHEMA, "2026-11-23T10:00:00+00:00", [])
    assert json.loads(json.dumps(plan)) == plan


# What is seen, and which records are prepared then.
PREPARED: dict[str, tuple[Document, list[t.Any]]] = {
    "nothing there": ({}, [*ADDRESSES, TLSRPT]),
    "leads to us": ({"addresses": ALL}, [TLSRPT]),
    "leads to some of us": ({"addresses": ALL[:1]}, [TLSRPT]),
    "leads elsewhere": ({"addresses": ["192.0.2.7"]}, [TLSRPT]),
    "leads to us and elsewhere": ({"addresses": [*ALL, "192.0.2.7"]}, [TLSRPT]),
    "address not answered": ({"addresses": None}, [TLSRPT]),
    "record not answered": ({"foreign_records": None}, [TLSRPT]),
    "TLSRPT not answered": ({"foreign_tlsrpt_records": None}, ADDRESSES),
    "TLSRPT name has other records": ({"foreign_tlsrpt_records": ["v=spf1 -all"]}, ADDRESSES),
}


@pytest.mark.parametrize(("seen", "expected"), PREPARED.values(), ids=PREPARED)
def test_prepared(seen: Document, expected: list[t.Any]) -> None:
    assert records(planned(observed=observed(**seen)), "prepare") == expected


@pytest.mark.parametrize("seen", [{"addresses": ["192.0.2.7"]}, {"foreign_tlsrpt_records": ["v=spf1 -all"]}])
def test_what_is_not_ours_is_replaced_on_request(seen: Document) -> None:
    desired = Desired("a.example", MX, tlsrpt=DESIRED.tlsrpt, replace_foreign=True)
    assert records(planned(desired, observed=observed(**seen)), "prepare") == [*ADDRESSES, TLSRPT]


def test_addresses_kept_elsewhere() -> None:
    desired = Desired("a.example", MX, manage_address=False)
    plan = planned(desired, observed=observed())
    assert plan["record_sets"]["prepare"] == []
    assert [hold["code"] for hold in plan["domains"][0]["holds"]] == ["address-missing"]


def test_cname_instead_of_addresses() -> None:
    site = Site(SITE.hosts, cname="mta-sts.example.net", ttl=60)
    plan = planned(site=site, observed=observed())
    assert records(plan, "prepare")[:3] == [
        ("mta-sts.a.example", "A", []),
        ("mta-sts.a.example", "AAAA", []),
        ("mta-sts.a.example", "CNAME", ["mta-sts.example.net"]),
    ]
    assert {one["ttl"] for one in plan["record_sets"]["prepare"]} == {60}
    assert {one["item"] for one in plan["record_sets"]["prepare"]} == {"a.example"}


def without_web2(document: Document) -> Document:
    document["domains"]["a.example"]["proved"].remove("web2")
    return document


# P1: what has to be there for the id to be announced.
ANNOUNCED: dict[str, tuple[Document, list[t.Any]]] = {
    "proved": ({"proof": proof()}, [STS]),
    "not proved yet": ({}, []),
    "another policy proved": ({"proof": proof("0" * 32)}, []),
    "proved nowhere": ({"proof": proof(ID, 0)}, []),
    "one host fails": ({"proof": proof(ID, 2, "web2")}, []),
    "one host was left out": ({"proof": without_web2(proof())}, []),
    "another domain proved": ({"proof": {"domains": {"b.example": proof()["domains"]["a.example"]}}}, []),
    "foreign record": ({"proof": proof(), "observed": observed(addresses=ALL, foreign_records=["x"])}, []),
    "record not answered": ({"proof": proof(), "observed": observed(addresses=ALL, foreign_records=None)}, []),
    "address not answered": ({"proof": proof(), "observed": observed(addresses=None)}, []),
    "not observed": ({"proof": proof(), "observed": observed("b.example")}, []),
    "a new host": ({"proof": proof(), "observed": observed(addresses=ALL[:1])}, [STS, *ADDRESSES]),
}


@pytest.mark.parametrize(("evidence", "expected"), ANNOUNCED.values(), ids=ANNOUNCED)
def test_announced(evidence: Document, expected: list[t.Any]) -> None:
    plan = planned(**{"observed": observed(addresses=ALL), **evidence})
    assert records(plan, "announce") == expected
    (entry,) = plan["domains"]
    assert entry["announce"] is bool(expected)
    assert bool(entry["holds"]) is not bool(expected)


def test_check_mode_shows_what_is_to_come_and_no_more() -> None:
    assert records(planned(assume=True, observed=observed()), "announce") == [STS]
    assert records(planned(assume=True), "announce") == []
    assert records(planned(assume=True, observed=observed(addresses=None)), "announce") == []


def test_what_stands_against_a_certificate_is_told() -> None:
    error = {"changed": False, "error": "certbot: \x1b[2J no such name"}
    certificates = {"web2": {"certificates": {"mta-sts.a.example": error}}, "web1": {"certificates": {}}}
    plan = planned(observed=observed(), certificates=certificates, proof=proof(ID, 1, "web2"))
    assert [(hold["code"], hold["message"]) for hold in plan["domains"][0]["holds"]] == [
        ("certificate", "web2: no certificate for mta-sts.a.example: certbot: ?[2J no such name")
    ]
    # Another failure has another cause, and what a host said in an earlier run may no longer be true.
    plan = planned(observed=observed(), certificates=certificates, proof=proof(ID, 1, "web2", code="policy-http"))
    assert [hold["code"] for hold in plan["domains"][0]["holds"]] == ["proof-failed"]


def test_a_certificate_that_is_not_refreshed_is_told_and_stops_nothing() -> None:
    error = {"changed": False, "error": "certbot: no such name"}
    certificates = {"web2": {"certificates": {"mta-sts.a.example": error}}, "web1": {"certificates": {}}}
    entry = planned(observed=observed(addresses=ALL), certificates=certificates, proof=proof())["domains"][0]
    assert (entry["announce"], entry["stage"]) == (True, "testing")
    assert [(hold["code"], hold["message"]) for hold in entry["holds"]] == [
        ("renewal", "web2: the certificate for mta-sts.a.example is not refreshed: certbot: no such name")
    ]


def test_what_the_inventory_does_not_name_is_an_orphan() -> None:
    documents = {"web1": served(domain="old.example"), "web2": served()}
    plan = planned(served=documents, observed=observed())
    assert plan["orphans"] == ["old.example"]
    assert [entry["domain"] for entry in plan["domains"]] == ["a.example"]


def test_what_a_host_served_that_is_none_any_more_does_not_count() -> None:
    assert planned(served={"web9": served(domain="old.example")})["orphans"] == []


def test_a_tlsrpt_name_that_is_taken_is_told_and_stops_nothing() -> None:
    seen = observed(addresses=ALL, foreign_tlsrpt_records=["\x1b[2J"])
    entry = planned(observed=seen, proof=proof())["domains"][0]
    assert entry["announce"]
    assert [hold["code"] for hold in entry["holds"]] == ["tlsrpt-foreign"]
    assert entry["holds"][0]["message"].isprintable()


def test_a_served_policy_that_is_none_does_no_harm() -> None:
    documents = {"web1": {"policies": {"a.example": {"mode": "on", "mx": [], "max_age": -1}}}}
    assert planned(served=documents)["domains"][0]["serve"]


def test_withdrawal_keeps_the_patterns_that_were_served() -> None:
    desired = Desired("a.example", (), state="absent")
    assert not planned(desired, observed=observed())["domains"][0]["serve"]
    entry = planned(desired, served={"web1": served("enforce")}, observed=observed(addresses=ALL))["domains"][0]
    assert (entry["serve"], entry["mode"], entry["mx"], entry["max_age"]) == (True, "none", list(MX), 86400)


def test_one_domain_says_nothing_of_another() -> None:
    """P7."""
    others = [Desired("b.example", MX), DESIRED, Desired("c.example", MX)]
    seen = observed(addresses=ALL)
    seen["domains"]["b.example"] = observed(addresses=None)["domains"]["a.example"]
    plan = make_plan(others, SITE, Evidence({}, seen, proof()), NOW)
    assert [(entry["domain"], entry["announce"]) for entry in plan["domains"]] == [
        ("b.example", False),
        ("a.example", True),
        ("c.example", False),
    ]
    assert records(plan, "announce") == [STS]


def test_p1_a_proof_that_leaves_a_policy_host_out_proves_nothing() -> None:
    document = proof()
    whole = planned(observed=observed(), proof=document)
    assert [entry["announce"] for entry in whole["domains"]] == [True]
    left_out = document["domains"]["a.example"]["proved"].pop()
    plan = planned(observed=observed(), proof=document)
    assert plan["record_sets"]["announce"] == []
    assert [hold["message"] for hold in plan["domains"][0]["holds"]] == [
        f"{left_out}: was not asked for mta-sts.a.example"
    ]
