# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents of a run say of a domain: the union of all policy hosts, or nothing where one is silent."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._evidence import (
    MX_FAILURES,
    Evidence,
    Histories,
    Site,
    observed_of,
    without_good_ones,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import KINDS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._history import History, Served
from ansible_collections.postmaster.mta_sts.plugins.module_utils._observed import Observed, Proof
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy

NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
MX = ("mx.example.net",)
TESTED = Policy("testing", MX, 86400)
ENFORCED = Policy("enforce", MX, 2592000)
SITE = Site({"web1": ["198.51.100.1"], "web2": ["198.51.100.2", "2001:db8::2"]}, ttl=60)

Document = dict[str, t.Any]


def values(policy: Policy) -> Document:
    return {
        "id": policy_id(render_policy(policy)),
        "mode": policy.mode,
        "mx": list(policy.mx),
        "max_age": policy.max_age,
    }


def row(policy: Policy, since: dt.timedelta, until: t.Optional[dt.timedelta] = None, unknown: bool = False) -> Document:
    """A row of a ledger, its times as what has passed since then."""
    times = {"since": (NOW - since).isoformat(), "until": None if until is None else (NOW - until).isoformat()}
    return {**values(policy), **times, "after_unknown": unknown}


def ledger(*rows: Document, conditions: t.Optional[dict[str, dt.timedelta]] = None, **more: t.Any) -> Document:
    """The ledger of a host, with rows of a.example."""
    since = {name: (NOW - ago).isoformat() for name, ago in (conditions or {}).items()}
    known = {"a.example": {"served": list(rows), "conditions": since}} if rows or since else {}
    state = {"state": "ok", "trouble": "", "revision": 7, "written": (NOW - DAY).isoformat(), "now": NOW.isoformat()}
    return {**state, "domains": known, **more}


LOST: t.Final[Document] = {"revision": None, "written": None, "domains": {}}


def files(policy: t.Optional[Policy] = None, domain: str = "a.example") -> Document:
    return {"policies": {} if policy is None else {domain: values(policy)}, "damaged": {}}


def histories(
    ledgers: t.Optional[dict[str, Document]] = None, served: t.Optional[dict[str, Document]] = None
) -> Histories:
    return Histories(SITE, Evidence(served or {}, ledgers), NOW)


# --- the history ------------------------------------------------------------------------------------------


def test_history_is_the_union_of_all_ledgers() -> None:
    known = histories({"web1": ledger(row(TESTED, 9 * DAY, DAY)), "web2": ledger(row(ENFORCED, DAY, unknown=True))})
    assert known.of("a.example") == History(
        (Served("web1", TESTED, NOW - 9 * DAY, NOW - DAY), Served("web2", ENFORCED, NOW - DAY, None, True))
    )
    assert known.of("b.example") == History(unaware=True)
    assert known.troubles == ()


def test_a_host_that_knows_nothing_of_a_domain_may_have_lost_it() -> None:
    """It may be new; nobody can tell it from one that was lost with all that it alone had served."""
    both = {"web1": ledger(row(TESTED, DAY)), "web2": ledger(row(TESTED, DAY))}
    assert not histories(both).of("a.example").unaware
    assert histories({**both, "web2": ledger()}).of("a.example").unaware
    # One that serves it knows it now, and that it does not know what was before.
    known = histories({**both, "web2": ledger()}, {"web2": files(TESTED)}).of("a.example")
    assert (known.unaware, known.served[-1].after_unknown) == (False, True)


class Once(dict[str, Document]):
    """Documents that are too large to be read twice, or to be in memory together."""

    def __init__(self, documents: dict[str, Document]) -> None:
        super().__init__(documents)
        self.read: list[str] = []

    def __getitem__(self, host: str) -> Document:
        self.read.append(host)
        return super().__getitem__(host)


def test_each_document_is_read_once() -> None:
    ledgers = Once({"web1": ledger(row(TESTED, DAY)), "gone": ledger(), "web2": ledger(row(TESTED, DAY))})
    served = Once({"web2": files(TESTED), "web1": files(TESTED)})
    known = histories(ledgers, served)
    assert len(known.of("a.example").served) == 2
    assert ledgers.read == ["web1", "web2"]
    assert sorted(served.read) == ["web1", "web2"]


FILES: dict[str, tuple[tuple[Document, ...], tuple[Served, ...]]] = {
    "in the ledger": ((row(TESTED, DAY),), (Served("web1", TESTED, NOW - DAY),)),
    "not in the ledger": ((), (Served("web1", TESTED, NOW, None, True),)),
    "in the ledger as one that ended": (
        (row(TESTED, DAY, MINUTE),),
        (Served("web1", TESTED, NOW - DAY, NOW - MINUTE), Served("web1", TESTED, NOW, None, True)),
    ),
    # A run wrote it down, and died before it brought the file; or somebody put another file there.
    "another in the ledger": (
        (row(ENFORCED, DAY),),
        (Served("web1", ENFORCED, NOW - DAY, NOW, interrupted=True), Served("web1", TESTED, NOW, None, True)),
    ),
}


@pytest.mark.parametrize(("rows", "expected"), FILES.values(), ids=FILES)
def test_a_file_that_no_ledger_explains_is_served_and_what_was_before_it_is_not_known(
    rows: tuple[Document, ...], expected: tuple[Served, ...]
) -> None:
    known = histories({"web1": ledger(*rows), "web2": ledger()}, {"web1": files(TESTED)})
    assert known.of("a.example").served == expected


def test_a_policy_whose_file_is_gone_is_served_no_more() -> None:
    rows = row(ENFORCED, 2 * DAY, DAY), row(TESTED, DAY)
    of_web1 = (
        Served("web1", ENFORCED, NOW - 2 * DAY, NOW - DAY),
        Served("web1", TESTED, NOW - DAY, NOW, interrupted=True),
    )
    known = histories({"web1": ledger(*rows), "web2": ledger()}, {"web1": files()})
    assert known.of("a.example").served == of_web1
    # Where nobody looked at the files, the ledger is all that is known.
    known = histories({"web1": ledger(*rows), "web2": ledger()}, {"web2": files()})
    assert known.of("a.example").served == (of_web1[0], Served("web1", TESTED, NOW - DAY))


def test_a_row_of_one_host_does_not_explain_a_file_of_another() -> None:
    known = histories({"web1": ledger(row(TESTED, DAY)), "web2": ledger()}, {"web2": files(TESTED)})
    assert [one.host for one in known.of("a.example").served] == ["web1", "web2"]


def test_without_ledgers_the_files_are_all_that_is_known() -> None:
    known = histories(None, {"web1": files(TESTED)})
    assert known.of("a.example") == History((Served("web1", TESTED, NOW, None, True),))
    assert (known.frozen, known.revisions) == ((), {})


def test_a_host_that_is_no_policy_host_any_more_says_nothing() -> None:
    gone = {"web9": ledger(row(TESTED, DAY), state="unreadable", now=(NOW - DAY).isoformat())}
    known = histories({"web1": ledger(), "web2": ledger(), **gone}, {"web9": files(TESTED, "b.example")})
    assert known.of("a.example") == History(unaware=True)
    assert (known.served, known.revisions) == (set(), {"web1": 7, "web2": 7})


def test_what_is_no_policy_is_passed_over() -> None:
    nonsense = {"mode": "on", "mx": [], "max_age": -1}
    bad = {**row(TESTED, DAY), **nonsense}
    served = {"policies": {"a.example": nonsense}, "damaged": {}}
    known = histories({"web1": ledger(bad), "web2": ledger()}, {"web1": served})
    assert known.of("a.example") == History(unaware=True)
    # It is a file all the same, and its domain an orphan where nobody names it.
    assert known.served == {"a.example"}


CONDITIONS: dict[str, tuple[list[t.Optional[dict[str, int]]], dict[str, int]]] = {
    "both agree": ([{"ready": 3}, {"ready": 3}], {"ready": 3}),
    "the later counts": ([{"ready": 3}, {"ready": 1}], {"ready": 1}),
    "only one has it": ([{"ready": 3}, {}], {}),
    "one does not know the domain": ([{"ready": 3, "testing": 2}, None], {"ready": 3, "testing": 2}),
    "each has another one besides": ([{"ready": 3, "testing": 2}, {"ready": 3, "record-gone": 2}], {"ready": 3}),
    "nobody knows the domain": ([None, None], {}),
}


@pytest.mark.parametrize(("of_hosts", "expected"), CONDITIONS.values(), ids=CONDITIONS)
def test_conditions_are_those_that_all_ledgers_have_since_the_latest(
    of_hosts: list[t.Optional[dict[str, int]]], expected: dict[str, int]
) -> None:
    ledgers = {}
    for host, days in zip(SITE.hosts, of_hosts):
        known = None if days is None else {name: number * DAY for name, number in days.items()}
        ledgers[host] = ledger() if known is None else ledger(row(TESTED, 5 * DAY), conditions=known)
    assert histories(ledgers).of("a.example").conditions == {
        name: NOW - number * DAY for name, number in expected.items()
    }


# --- what freezes everything, and what only has to be told ------------------------------------------------

FROZEN: dict[str, tuple[dict[str, Document], list[tuple[str, str]]]] = {
    "all is well": ({"web2": ledger()}, []),
    "a ledger that was not read": ({}, [("ledger-unread", "web2: its ledger was not read")]),
    "a ledger that cannot be read": (
        {"web2": ledger(state="unreadable", trouble="/x: locked\x1b[2J", **LOST)},
        [("ledger-unread", "web2: /x: locked?[2J")],
    ),
    "a ledger that is damaged": ({"web2": ledger(state="damaged", trouble="/x: no", **LOST)}, []),
    "a ledger that is not there": ({"web2": ledger(state="missing", **LOST)}, []),
    "a ledger from the future": (
        {"web2": ledger(written=(NOW + 11 * MINUTE).isoformat())},
        [
            (
                "clock",
                "the ledger of web2 was written at 2026-11-23T10:11:00+00:00, and here it is 2026-11-23 10:00 UTC",
            )
        ],
    ),
    "a ledger from the near future": ({"web2": ledger(written=(NOW + 10 * MINUTE).isoformat())}, []),
    "a clock that is ahead": (
        {"web2": ledger(now=(NOW + 10 * MINUTE).isoformat())},
        [("clock", "on web2 it is 2026-11-23 10:10 UTC, and here 2026-11-23 10:00 UTC")],
    ),
    "a clock that is behind": (
        {"web2": ledger(now=(NOW - 60 * MINUTE).isoformat())},
        [("clock", "on web2 it is 2026-11-23 09:00 UTC, and here 2026-11-23 10:00 UTC")],
    ),
    "a ledger that was read at the beginning of a long run": (
        {"web2": ledger(now=(NOW - 59 * MINUTE).isoformat())},
        [],
    ),
    "a clock that differs a little": ({"web2": ledger(now=(NOW + 9 * MINUTE).isoformat())}, []),
    "a clock that is ahead, of a host without ledger": (
        {"web2": ledger(state="missing", now=(NOW + DAY).isoformat(), **LOST)},
        [("clock", "on web2 it is 2026-11-24 10:00 UTC, and here 2026-11-23 10:00 UTC")],
    ),
}


@pytest.mark.parametrize(("second", "holds"), FROZEN.values(), ids=FROZEN)
def test_what_freezes_every_domain(second: dict[str, Document], holds: list[tuple[str, str]]) -> None:
    known = histories({"web1": ledger(), **second})
    assert [(hold.code, hold.message) for hold in known.frozen] == holds
    assert known.of("a.example").frozen == known.of("b.example").frozen == known.frozen


ANEW = (
    "it begins anew with what is served now; as older policies are forgotten, waiting times are longer than they"
    " might be"
)
TROUBLES: dict[str, tuple[Document, Document, list[str]]] = {
    "damaged": (
        ledger(state="damaged", trouble="/x: no\x1b", **LOST),
        files(),
        [f"web2: its ledger is damaged and is set aside: /x: no?; {ANEW}"],
    ),
    "missing, and policies are there": (
        ledger(state="missing", **LOST),
        files(TESTED),
        [f"web2: it serves policies and has no ledger; {ANEW}"],
    ),
    "missing, on a new host": (ledger(state="missing", **LOST), files(), []),
    "in order": (ledger(), files(TESTED), []),
}


@pytest.mark.parametrize(("second", "served", "troubles"), TROUBLES.values(), ids=TROUBLES)
def test_a_ledger_that_is_rebuilt_is_told_and_stops_nothing(
    second: Document, served: Document, troubles: list[str]
) -> None:
    known = histories({"web1": ledger(), "web2": second}, {"web2": served})
    assert (list(known.troubles), known.frozen) == (troubles, ())


def test_revisions_are_those_of_the_ledgers_that_were_read() -> None:
    ledgers = {"web1": ledger(), "web2": {**ledger(state="missing", **LOST), "revision": 0}}
    assert histories(ledgers).revisions == {"web1": 7, "web2": 0}
    assert histories({**ledgers, "web2": ledger(state="unreadable", **LOST)}).revisions == {"web1": 7}


# --- what is observed -------------------------------------------------------------------------------------


def live(**more: t.Any) -> Document:
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
    return {"record_id": None, "policy": None, "mx": ["mx.example.net"], "mx_ttl": 300, **nothing, **more}


def observed(proof: t.Any = None, certificates: t.Any = None, **more: t.Any) -> Observed:
    evidence = Evidence({}, None, {"domains": {"a.example": live(**more)}}, proof, certificates)
    found = observed_of("a.example", SITE, evidence)
    assert found is not None
    return found


def test_a_domain_that_nobody_looked_at_is_not_observed() -> None:
    assert observed_of("a.example", SITE, Evidence({})) is None
    assert observed_of("a.example", SITE, Evidence({}, None, {"domains": {"b.example": live()}})) is None


def test_a_domain_of_which_there_is_nothing() -> None:
    assert observed() == Observed(
        "missing", records=(), record_ttl=60, mx=("mx.example.net",), mx_ttl=300, policy=None, proof=None
    )


def test_a_domain_that_is_announced() -> None:
    seen = observed(
        addresses=["198.51.100.1"],
        records=["v=STSv1; id=1;"],
        record_id="1",
        policy=values(ENFORCED),
    )
    assert seen == Observed(
        "ours", ("198.51.100.1",), ("v=STSv1; id=1;",), "1", 60, policy=ENFORCED, mx=("mx.example.net",), mx_ttl=300
    )


def test_what_dns_did_not_answer_is_not_known() -> None:
    silence = dict.fromkeys(("addresses", "records", "foreign_records", "foreign_tlsrpt_records", "mx", "mx_ttl"))
    assert observed(**silence) == Observed("unknown", record_ttl=60)


ADDRESSES: dict[str, tuple[list[str], str, tuple[str, ...]]] = {
    "all of us": (["198.51.100.1", "198.51.100.2", "2001:db8::2"], "ours", SITE.addresses),
    "one of us": (["2001:db8::2"], "ours", ("2001:db8::2",)),
    "us and others": (["192.0.2.9", "198.51.100.1", "192.0.2.7"], "elsewhere", ("192.0.2.7", "192.0.2.9")),
}


@pytest.mark.parametrize(("addresses", "kind", "told"), ADDRESSES.values(), ids=ADDRESSES)
def test_where_the_name_leads(addresses: list[str], kind: str, told: tuple[str, ...]) -> None:
    assert (observed(addresses=addresses).address, observed(addresses=addresses).addresses) == (kind, told)


def test_what_came_from_the_network_is_printable() -> None:
    seen = observed(
        foreign_records=["a\x1b[2J"], foreign_tlsrpt_records=["\n" * 300], policy={**values(TESTED), "mode": "\x1b"}
    )
    assert seen.foreign_records == ("a?[2J",)
    assert all(text.isprintable() and len(text) == 200 for text in seen.foreign_tlsrpt_records)
    assert seen.policy is None


def test_mx_failures_are_those_of_the_mx_hosts_that_senders_refuse() -> None:
    def finding(code: str, subject: str) -> Document:
        return {"code": code, "subject": subject, "seen": "no"}

    told = [
        finding("mx-starttls", "mx.example.net:25 at 192.0.2.1"),
        finding("dns-failure", "mx.example.net"),
        finding("mx-address-missing", "mx.example.net"),
        finding("mx-certificate-chain", "mx.example.net:25 at 192.0.2.2"),
    ]
    others = [
        # Not an MX host of the domain, or no reason to refuse one.
        finding("dns-failure", "_mta-sts.a.example"),
        finding("mx-unmatched", "mx.example.net"),
        finding("mx-starttls", "mx9.example.net:25 at 192.0.2.1"),
        finding("mx-certificate-expiring", "mx.example.net:25 at 192.0.2.1"),
        finding("mx-tls-without-12", "mx.example.net:25 at 192.0.2.1"),
        # Senders that know DANE go by it already, whatever the policy says.
        finding("dane-mismatch", "mx.example.net:25 at 192.0.2.1"),
    ]
    failures = observed(findings=[*told, *others]).mx_failures
    assert failures == (
        "mx.example.net:25 at 192.0.2.1: no",
        "mx.example.net: no",
        "mx.example.net: no",
        "mx.example.net:25 at 192.0.2.2: no",
    )
    assert observed(findings=told, mx=None).mx_failures == ()
    assert set(KINDS) >= MX_FAILURES


def proof(**more: t.Any) -> Document:
    result = {"id": "1", "fetched": 3, "proved": ["web1", "web2"], "failures": [], **more}
    return {"domains": {"a.example": result}}


def failure(host: str, code: str = "policy-certificate-chain") -> Document:
    return {"host": host, "code": code, "subject": "https://x at 192.0.2.1", "seen": "no"}


PROOFS: dict[str, tuple[Document, t.Optional[Proof]]] = {
    "whole": (proof(), Proof("1", 3)),
    "a host failed": (
        proof(proved=["web1"], failures=[failure("web2")]),
        Proof("1", 3, ("web2: https://x at 192.0.2.1: no",)),
    ),
    "the public way failed": (
        proof(failures=[failure("everyone")]),
        Proof("1", 3, ("everyone: https://x at 192.0.2.1: no",)),
    ),
    "a host was left out": (proof(proved=["web2"]), Proof("1", 3, ("web1: was not asked for mta-sts.a.example",))),
    "another domain": ({"domains": {"b.example": proof()["domains"]["a.example"]}}, None),
}


@pytest.mark.parametrize(("document", "expected"), PROOFS.values(), ids=PROOFS)
def test_a_proof_counts_for_the_hosts_that_there_are(document: Document, expected: t.Optional[Proof]) -> None:
    assert observed(document).proof == expected


def certificates(host: str, error: str) -> Document:
    return {host: {"certificates": {"mta-sts.a.example": {"error": error}}}, "web9": {"certificates": {}}}


CERTIFICATES: dict[str, tuple[Document, str, tuple[str, ...], tuple[str, ...]]] = {
    "nobody failed": (proof(), "", (), ()),
    "it is why a handshake failed": (
        proof(proved=["web1"], failures=[failure("web2")]),
        "no\x1b",
        ("web2: no certificate for mta-sts.a.example: no?",),
        (),
    ),
    "it is not why something else failed": (
        proof(proved=["web1"], failures=[failure("web2", "policy-http")]),
        "no",
        (),
        (),
    ),
    "an older one serves": (
        proof(),
        "no\x1b",
        (),
        ("web2: no newer certificate for mta-sts.a.example: no?",),
    ),
    "a host that was not asked": (proof(proved=["web1"]), "no", (), ()),
}


@pytest.mark.parametrize(("document", "error", "failures", "renewals"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_what_certificates_have_to_do_with_it(
    document: Document, error: str, failures: tuple[str, ...], renewals: tuple[str, ...]
) -> None:
    seen = observed(document, certificates("web2", error))
    assert (seen.certificate_failures, seen.renewal_failures, seen.removal_failures) == (failures, renewals, ())


def test_a_certificate_that_stays_though_its_policy_is_gone() -> None:
    """What is withdrawn is not proved."""
    seen = observed({"domains": {}}, certificates("web2", "no\x1b"))
    assert (seen.certificate_failures, seen.renewal_failures) == ((), ())
    assert seen.removal_failures == ("web2: still a certificate for mta-sts.a.example: no?",)


def test_of_certificates_only_those_are_kept_that_are_wrong_or_yet_to_come() -> None:
    good = {"changed": True, "removed": False, "queued": False, "error": ""}
    outcomes = {"a": good, "b": {**good, "error": "refused"}, "c": {**good, "queued": True}}
    kept = without_good_ones({"web1": {"host": "web1", "certificates": outcomes}})
    assert list(kept["web1"]["certificates"]) == ["b", "c"]
