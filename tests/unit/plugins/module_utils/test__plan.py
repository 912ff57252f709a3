# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: what hosts and DNS are told, which records are wanted when, and nothing announced without its proof."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._evidence import Evidence, Site
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan import make_plan
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan_document import SCHEMA
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy

NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
MX = ("mx.example.net",)
DESIRED = Desired("a.example", MX, tlsrpt=("mailto:tls@example.net",))
SITE = Site({"web1": ["198.51.100.1"], "web2": ["198.51.100.2", "2001:db8::2"]})
ID = policy_id(render_policy(Policy("testing", MX, 86400)))

Document = dict[str, t.Any]


def observed(domain: str = "a.example", **more: t.Any) -> Document:
    """What is seen of a domain for which nothing was done yet."""
    nothing: Document = {
        "addresses": [],
        "records": [],
        "foreign_records": [],
        "tlsrpt": [],
        "tlsrpt_records": [],
        "foreign_tlsrpt_records": [],
        "ttls": {},
        "aliases": {},
        "zones": {},
        "served": {},
        "caa": None,
        "findings": [],
    }
    seen = {"record_id": None, "policy": None, "mx": list(MX), "mx_ttl": 300, **nothing, **more}
    return {"host": "localhost", "domains": {domain: seen}}


def policy(mode: str = "testing", max_age: int = 86400) -> Document:
    return {"mode": mode, "mx": list(MX), "max_age": max_age}


def announced(mode: str = "testing", max_age: int = 86400, **more: t.Any) -> Document:
    """What is seen of a domain that has what it should have."""
    identifier = policy_id(render_policy(Policy(mode, MX, max_age)))
    record = {"record_id": identifier, "records": [f"v=STSv1; id={identifier}"]}
    return observed(**{"addresses": ALL, "policy": policy(mode, max_age), **record, **more})


def ledger(*served: Document, **more: t.Any) -> Document:
    """The ledger of a host, of a domain that serves what it says since a while."""
    state = {"state": "ok", "trouble": "", "revision": 7, "written": "2026-11-23T09:00:00+00:00"}
    known = {"a.example": {"served": list(served), "conditions": {}}} if served else {}
    return {**state, "now": "2026-11-23T09:59:00+00:00", "domains": known, **more}


def row(mode: str, max_age: int, since: str, until: t.Optional[str] = None) -> Document:
    return {**policy(mode, max_age), "since": since, "until": until, "after_unknown": False}


def proof(identifier: str = ID, fetched: int = 3, *failures: str, code: str = "policy-certificate") -> Document:
    subject = "https://mta-sts.a.example at 198.51.100.2"
    failed = [{"host": host, "code": code, "subject": subject, "seen": "TLS handshake: no"} for host in failures]
    result = {"id": identifier, "fetched": fetched, "failures": failed}
    result["proved"] = [host for host in SITE.hosts if host not in failures]
    return {"host": "localhost", "domains": {"a.example": result}}


def served(mode: str = "testing", domain: str = "a.example") -> Document:
    return {"policies": {domain: policy(mode)}, "damaged": {}}


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
    assert plan["domains"] == [
        {
            "domain": "a.example",
            "policy_host": "mta-sts.a.example",
            "stage": "pending",
            "serve": False,
            "remove": False,
            "record": "keep",
            "record_name": "_mta-sts.a.example",
            "certificate": False,
            "certificate_refusal": "",
            "id": ID,
            "served_at": [],
            **policy(),
            "found": None,
            "after_unknown": False,
            "conditions": None,
            "holds": [
                {
                    "code": "unobserved",
                    "message": "nothing was observed of the domain, so nothing is changed",
                    "until": None,
                }
            ],
        }
    ]
    assert (plan["schema"], plan["at"], plan["orphans"]) == (SCHEMA, "2026-11-23T10:00:00+00:00", [])
    assert (plan["policy_hosts"], plan["revisions"], plan["troubles"]) == (SITE.hosts, {}, [])
    assert json.loads(json.dumps(plan)) == plan


# What is seen, and which records are prepared then.
PREPARED: dict[str, tuple[Document, list[t.Any]]] = {
    "nothing there": ({}, [*ADDRESSES, TLSRPT]),
    "leads to us": ({"addresses": ALL}, [TLSRPT]),
    "leads to some of us": ({"addresses": ALL[:1]}, [TLSRPT]),
    "leads elsewhere": ({"addresses": ["192.0.2.7"]}, [TLSRPT]),
    "leads to us and elsewhere": ({"addresses": [*ALL, "192.0.2.7"]}, [TLSRPT]),
    "address not answered": ({"addresses": None}, [TLSRPT]),
    "record not answered": ({"foreign_records": None, "records": None}, []),
    "TLSRPT not answered": ({"tlsrpt_records": None, "foreign_tlsrpt_records": None}, ADDRESSES),
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
    "record not answered": (
        {"proof": proof(), "observed": observed(addresses=ALL, records=None, foreign_records=None)},
        [],
    ),
    "address not answered": ({"proof": proof(), "observed": observed(addresses=None)}, []),
    "not observed": ({"proof": proof(), "observed": observed("b.example")}, []),
    "a new host": ({"proof": proof(), "observed": observed(addresses=ALL[:1])}, [STS, *ADDRESSES]),
}


@pytest.mark.parametrize(("evidence", "expected"), ANNOUNCED.values(), ids=ANNOUNCED)
def test_announced(evidence: Document, expected: list[t.Any]) -> None:
    plan = planned(**{"observed": observed(addresses=ALL), **evidence})
    assert records(plan, "announce") == expected
    (entry,) = plan["domains"]
    assert entry["record"] == ("announce" if expected else "keep")
    assert bool(entry["holds"]) is not bool(expected)


SERVED = dict.fromkeys(ALL, ID)
# What makes it unnecessary to prove a policy again, and what does not.
SERVED_AT: dict[str, tuple[Document, list[str]]] = {
    "all is as it shall be": ({}, ALL),
    "not announced": ({"record_id": None, "records": []}, []),
    "another id": ({"record_id": "1", "records": ["v=STSv1; id=1"]}, []),
    "announced twice": ({"records": [f"v=STSv1; id={ID}", "v=STSv1; id=1"]}, []),
    "one address with another policy": ({"served": {**SERVED, ALL[1]: "0" * 32}}, []),
    "one address without": ({"served": dict.fromkeys(ALL[1:], ID)}, []),
    "one address of somebody else": (
        {"addresses": [*ALL, "192.0.2.9"], "served": {**SERVED, "192.0.2.9": ID}},
        [],
    ),
    "a new host has none yet": ({"addresses": ALL[:1], "served": {ALL[0]: ID}}, ALL[:1]),
    "addresses not answered": ({"addresses": None, "served": {}}, []),
}


@pytest.mark.parametrize(("seen", "expected"), SERVED_AT.values(), ids=SERVED_AT)
def test_what_was_seen_to_be_served_need_not_be_proved(seen: Document, expected: list[str]) -> None:
    (entry,) = planned(observed=announced(**{"served": SERVED, **seen}))["domains"]
    assert entry["served_at"] == expected


def test_nothing_new_is_announced_where_every_policy_host_failed() -> None:
    """They may serve the policy, and not for long. What some did before they failed is proved, or it is not."""
    known: Document = {"observed": observed(addresses=ALL), "proof": proof()}
    (entry,) = planned(**known)["domains"]
    assert entry["record"] == "announce"
    for check_mode in (False, True):
        assert records(planned(assume=check_mode, failed_hosts=["web2", "web9"], **known), "announce") == [STS]
        plan = planned(assume=check_mode, failed_hosts=["web2", "web9", "web1"], **known)
        (entry,) = plan["domains"]
        assert [(hold["code"], hold["message"]) for hold in entry["holds"]] == [
            ("proof-failed", "every policy host failed in this run, so what they serve may not last")
        ]
        assert (entry["serve"], entry["record"], records(plan, "announce")) == (True, "keep", [])


def test_what_is_announced_already_is_held_by_no_policy_host_that_failed() -> None:
    (entry,) = planned(failed_hosts=SITE.hosts, observed=announced(), proof=proof())["domains"]
    assert (entry["stage"], entry["holds"]) == ("testing", [])


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


def test_a_certificate_that_is_queued_is_waited_for() -> None:
    queued = {"changed": False, "removed": False, "queued": True, "error": ""}
    certificates = {"web2": {"certificates": {"mta-sts.a.example": queued}}, "web1": {"certificates": {}}}
    entry = planned(observed=observed(), certificates=certificates, proof=proof(ID, 1, "web2"))["domains"][0]
    assert (entry["stage"], entry["record"]) == ("pending", "keep")
    assert [(hold["code"], hold["message"]) for hold in entry["holds"]] == [
        (
            "certificate-queued",
            "web2: a certificate for mta-sts.a.example is queued: a run asks for so many certificates and no more; "
            "the next one goes on",
        )
    ]
    # Another failure has another cause.
    plan = planned(observed=observed(), certificates=certificates, proof=proof(ID, 1, "web2", code="policy-http"))
    assert [hold["code"] for hold in plan["domains"][0]["holds"]] == ["proof-failed"]
    # A host that had one before, as from files, serves it meanwhile.
    entry = planned(observed=observed(addresses=ALL), certificates=certificates, proof=proof())["domains"][0]
    assert (entry["stage"], entry["holds"]) == ("testing", [])


def test_a_certificate_that_is_not_refreshed_is_told_and_stops_nothing() -> None:
    error = {"changed": False, "error": "certbot: no such name"}
    certificates = {"web2": {"certificates": {"mta-sts.a.example": error}}, "web1": {"certificates": {}}}
    entry = planned(observed=observed(addresses=ALL), certificates=certificates, proof=proof())["domains"][0]
    assert (entry["record"], entry["stage"]) == ("announce", "testing")
    assert [(hold["code"], hold["message"]) for hold in entry["holds"]] == [
        ("renewal", "web2: no newer certificate for mta-sts.a.example: certbot: no such name")
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
    assert entry["record"] == "announce"
    assert [hold["code"] for hold in entry["holds"]] == ["tlsrpt-foreign"]
    assert entry["holds"][0]["message"].isprintable()


def test_what_a_host_serves_that_is_no_policy_does_no_harm() -> None:
    documents = {"web1": {"policies": {"a.example": {"mode": "on", "mx": [], "max_age": -1}}}}
    assert planned(served=documents, observed=observed())["domains"][0]["serve"]


def test_one_domain_says_nothing_of_another() -> None:
    """P7."""
    others = [Desired("b.example", MX), DESIRED, Desired("c.example", MX)]
    seen = observed(addresses=ALL)
    seen["domains"]["b.example"] = observed(addresses=None)["domains"]["a.example"]
    plan = make_plan(others, SITE, Evidence({}, observed=seen, proof=proof()), NOW)
    assert [(entry["domain"], entry["record"]) for entry in plan["domains"]] == [
        ("b.example", "keep"),
        ("a.example", "announce"),
        ("c.example", "keep"),
    ]
    assert records(plan, "announce") == [STS]


def test_p1_a_proof_that_leaves_a_policy_host_out_proves_nothing() -> None:
    document = proof()
    whole = planned(observed=observed(), proof=document)
    assert [entry["record"] for entry in whole["domains"]] == ["announce"]
    left_out = document["domains"]["a.example"]["proved"].pop()
    plan = planned(observed=observed(), proof=document)
    assert plan["record_sets"]["announce"] == []
    assert [hold["message"] for hold in plan["domains"][0]["holds"]] == [
        f"{left_out}: was not asked for mta-sts.a.example"
    ]


# --- what another rollout may have changed ----------------------------------------------------------------

OURS = "v=STSv1; id=1;"
EXPECTED: dict[str, tuple[Document, t.Any]] = {
    "nothing was there": ({}, []),
    "ours was there": ({"records": [OURS]}, [OURS]),
    "two were there": ({"records": [OURS, "v=STSv1; id=2;"]}, [OURS, "v=STSv1; id=2;"]),
    "a text that may be cut": ({"records": [OURS, "v=STSv1; id=2; x=" + "a" * 183]}, "anything"),
    "a text that is just not cut": ({"records": ["v=STSv1; id=2; x=" + "a" * 182]}, ["v=STSv1; id=2; x=" + "a" * 182]),
    "a text that was made printable": ({"records": ["v=STSv1; id=?"]}, "anything"),
    "a text with bytes that are no text": ({"records": ["v=STSv1; id=\N{REPLACEMENT CHARACTER}"]}, "anything"),
    "a text with a backslash, which may be an escape": ({"records": ["v=STSv1; id=1; x=\\255"]}, "anything"),
    "others' are there, too": ({"records": [OURS], "foreign_records": ["token=1"]}, "anything"),
}


@pytest.mark.parametrize(("seen", "expected"), EXPECTED.values(), ids=EXPECTED)
def test_a_record_is_replaced_only_if_it_is_what_was_seen(seen: Document, expected: t.Any) -> None:
    desired = Desired("a.example", MX, replace_foreign=True)
    plan = planned(desired, observed=observed(addresses=ALL, **seen), proof=proof())
    (record_set,) = plan["record_sets"]["announce"]
    assert record_set.get("expected", "anything") == expected
    # Address and TLSRPT records are the same whoever writes them.
    assert all("expected" not in one for one in planned(observed=observed())["record_sets"]["prepare"])


# --- the lifecycle in the plan ----------------------------------------------------------------------------

GONE = Desired("a.example", (), state="absent")


def test_what_is_known_of_the_ledgers_is_in_the_plan() -> None:
    ledgers = {
        "web1": ledger(row("testing", 86400, "2026-11-22T10:00:00+00:00")),
        "web2": ledger(state="missing", revision=0, written=None),
    }
    plan = planned(
        Desired("a.example", MX, "enforce"), ledgers=ledgers, served={"web2": served()}, observed=announced()
    )
    assert plan["revisions"] == {"web1": 7, "web2": 0}
    assert [text.partition(";")[0] for text in plan["troubles"]] == ["web2: it serves policies and has no ledger"]
    (entry,) = plan["domains"]
    assert entry["conditions"] == {"testing": "2026-11-23T10:00:00+00:00", "ready": "2026-11-23T10:00:00+00:00"}
    assert [(hold["code"], hold["until"]) for hold in entry["holds"]] == [
        ("proof-missing", None),
        ("testing-period", "2026-11-30T10:00:00+00:00"),
    ]


def test_the_plan_says_for_when_it_was_decided() -> None:
    later = NOW + dt.timedelta(days=1, microseconds=1)
    plan = make_plan([DESIRED], SITE, Evidence({}, observed=announced()), later)
    assert plan["at"] == "2026-11-24T10:00:00+00:00"
    assert plan["domains"][0]["conditions"]["testing"] == plan["at"]


def test_a_policy_of_others_is_in_the_plan() -> None:
    seen = observed(addresses=["192.0.2.7"], policy=policy("enforce", 604800), records=[OURS], record_id="1")
    (entry,) = planned(observed=seen)["domains"]
    assert entry["found"] == {**policy("enforce", 604800), "until": "2026-11-24T10:00:00+00:00", "after_unknown": True}
    # A ledger that knows nothing of the domain has missed what came before.
    assert entry["after_unknown"]
    seen = observed(addresses=[], records=[OURS], record_id="1")
    assert [(one["found"], one["after_unknown"]) for one in planned(observed=seen)["domains"]] == [(None, True)]


@pytest.mark.parametrize("assume", [False, True])
def test_a_host_whose_ledger_was_not_read_stops_everything(assume: bool) -> None:
    ledgers = {"web1": ledger(row("enforce", 86400, "2026-11-22T10:00:00+00:00"))}
    seen = announced("enforce", 86400, addresses=ALL[:1])
    plan = planned(assume=assume, ledgers=ledgers, observed=seen, proof=proof())
    assert plan["record_sets"] == {"prepare": [], "announce": []}
    (entry,) = plan["domains"]
    assert (entry["stage"], entry["mode"], entry["serve"], entry["record"]) == ("pending", "enforce", False, "keep")
    assert entry["conditions"] is None
    assert [hold["code"] for hold in entry["holds"]] == ["ledger-unread"]


def withdrawn(*rows: Document, **evidence: t.Any) -> Document:
    """The plan for a domain that is withdrawn, with everything proved."""
    return planned(GONE, assume=True, ledgers={"web1": ledger(*rows), "web2": ledger(*rows)}, **evidence)


NONE_NOW = row("none", 86400, "2026-11-01T10:00:00+00:00")


def test_withdrawal_announces_mode_none_with_the_patterns_that_were_served() -> None:
    plan = withdrawn(row("testing", 86400, "2026-11-01T10:00:00+00:00"), observed=announced())
    (entry,) = plan["domains"]
    assert {key: entry[key] for key in policy()} == policy("none")
    assert (entry["serve"], entry["remove"], entry["record"], entry["stage"]) == (
        True,
        False,
        "announce",
        "withdrawing",
    )
    assert records(plan, "announce") == [("_mta-sts.a.example", "TXT", [f"v=STSv1; id={entry['id']}"])]


def test_withdrawal_removes_the_record_it_saw() -> None:
    plan = withdrawn(NONE_NOW, observed=announced("none"))
    (entry,) = plan["domains"]
    assert (entry["serve"], entry["remove"], entry["record"]) == (True, False, "remove")
    assert records(plan, "announce") == [("_mta-sts.a.example", "TXT", [])]
    (record_set,) = plan["record_sets"]["announce"]
    assert record_set["expected"] == [f"v=STSv1; id={entry['id']}"]


@pytest.mark.parametrize("addresses", [[], ALL])
def test_withdrawal_keeps_the_name_as_long_as_the_record_is_in_caches(addresses: list[str]) -> None:
    plan = withdrawn(NONE_NOW, observed=observed(addresses=addresses, policy=policy("none")))
    assert records(plan, "prepare") == ([] if addresses else ADDRESSES)
    # The record is gone already: what else stands there is not ours.
    assert records(plan, "announce") == []


NO_ADDRESSES: t.Final[list[t.Any]] = [(name, rdtype, []) for name, rdtype, _values in ADDRESSES]
REMOVED: dict[str, tuple[Desired, list[str], list[t.Any]]] = {
    "leads to us": (GONE, ALL, NO_ADDRESSES),
    "leads to some of us": (GONE, ALL[:1], NO_ADDRESSES),
    "is gone": (GONE, [], []),
    "is kept elsewhere": (Desired("a.example", (), state="absent", manage_address=False), ALL, []),
}


@pytest.mark.parametrize(("desired", "addresses", "expected"), REMOVED.values(), ids=REMOVED)
def test_withdrawal_ends_with_policy_certificate_and_name(
    desired: Desired, addresses: list[str], expected: list[t.Any]
) -> None:
    gone = ledger(NONE_NOW)
    gone["domains"]["a.example"]["conditions"] = {"record-gone": "2026-11-22T10:00:00+00:00"}
    seen = observed(addresses=addresses, policy=policy("none"))
    plan = planned(desired, ledgers={"web1": gone, "web2": ledger()}, observed=seen)
    (entry,) = plan["domains"]
    assert (entry["serve"], entry["remove"], entry["record"], entry["certificate"]) == (False, True, "keep", False)
    assert (entry["id"], entry["mode"], entry["mx"], entry["max_age"]) == (None, None, [], None)
    assert entry["conditions"] == {"record-gone": "2026-11-22T10:00:00+00:00"}
    assert records(plan, "announce") == expected
    assert records(plan, "prepare") == []


def test_a_domain_that_never_was_is_left_alone() -> None:
    plan = planned(GONE, observed=observed())
    (entry,) = plan["domains"]
    assert (entry["stage"], entry["serve"], entry["remove"], entry["record"]) == ("absent", False, False, "keep")
    assert plan["record_sets"] == {"prepare": [], "announce": []}
