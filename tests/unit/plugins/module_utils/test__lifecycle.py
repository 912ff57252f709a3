# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lifecycle, rule by rule, as a postmaster would tell it: what becomes of a domain, when, and why not yet."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._history import DAY, TOLERANCE, History, Served
from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import HOLD_KINDS, Hold
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lifecycle import (
    ANNOUNCE,
    KEEP,
    READY,
    RECORD_GONE,
    REMOVE,
    TESTING,
    Decision,
    decide,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_patterns import UNNEEDED
from ansible_collections.postmaster.mta_sts.plugins.module_utils._observed import Observed, Proof
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._reported import Refused, Told
from hypothesis import event, given, settings
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
HOUR = dt.timedelta(hours=1)
SECOND = dt.timedelta(seconds=1)
MONTH = 30 * DAY
MX = ("mx1.example.net",)
BOTH = ("mx1.example.net", "mx2.example.net")

# What the inventory may want of a domain.
TEST = Desired("example.com", MX, "testing")
UNSET = Desired("example.com", MX)
ENFORCE = Desired("example.com", MX, "enforce")
LEAVE = Desired("example.com", (), state="absent")

# What a rollout serves for it.
TESTED = Policy("testing", MX, 86400)
ENFORCED = Policy("enforce", MX, 2592000)
LEFT = Policy("none", MX, 86400)

STARTTLS = "mx1.example.net:25 at 192.0.2.1: offers no STARTTLS"


def id_of(policy: Policy) -> str:
    return policy_id(render_policy(policy))


def proof_of(policy: Policy, fetched: int = 2, failures: tuple[str, ...] = ()) -> Proof:
    return Proof(id_of(policy), fetched, failures)


def seen(announced: t.Optional[Policy] = None, /, **more: t.Any) -> Observed:
    """What is seen of a domain whose MX hosts are well, and that announces a policy, or none."""
    known = {
        "address": "ours",
        "records": () if announced is None else (f"v=STSv1; id={id_of(announced)}",),
        "record_id": None if announced is None else id_of(announced),
        "policy": announced,
        "mx": MX,
        "mx_ttl": 3600,
    }
    return Observed(**{**known, **more})


def row(
    policy: Policy,
    since: dt.timedelta = 90 * DAY,
    until: t.Optional[dt.timedelta] = None,
    after_unknown: bool = False,
) -> Served:
    """A row of a ledger, its times as what has passed since then."""
    return Served("web1", policy, NOW - since, None if until is None else NOW - until, after_unknown)


def past(*served: Served, **conditions: dt.timedelta) -> History:
    """What the ledgers say; conditions as what has passed since they began."""
    return History(served, {name.replace("_", "-"): NOW - ago for name, ago in conditions.items()})


def run(
    desired: Desired, history: History, observed: t.Optional[Observed], now: dt.datetime = NOW, proved: bool = True
) -> Decision:
    """The last decision of a run: the policy that was decided on was served, and proved where that is said."""
    decision = decide(desired, history, observed, now)
    if decision.policy is None or observed is None or not proved:
        return decision
    return decide(desired, history, dataclasses.replace(observed, proof=proof_of(decision.policy)), now)


def codes(decision: Decision) -> list[str]:
    return [hold.code for hold in decision.holds]


def mode(decision: Decision) -> t.Optional[str]:
    return decision.policy.mode if decision.policy else None


def mx(decision: Decision) -> tuple[str, ...]:
    assert decision.policy is not None
    return decision.policy.mx


def hold(decision: Decision, code: str) -> Hold:
    """The one hold of a code."""
    (found,) = (one for one in decision.holds if one.code == code)
    return found


# --- what is not known ------------------------------------------------------------------------------------


def test_before_anything_is_observed_nothing_is_done() -> None:
    assert decide(TEST, History(), None, NOW) == Decision(
        "pending", TESTED, (Hold("unobserved", HOLD_KINDS["unobserved"].cause),), NOW
    )


@pytest.mark.parametrize("code", ["ledger-unread", "clock"])
@pytest.mark.parametrize("desired", [TEST, ENFORCE, LEAVE], ids=["test", "enforce", "leave"])
def test_without_a_ledger_or_a_clock_to_trust_everything_stays_as_it_is(code: str, desired: Desired) -> None:
    frozen = (Hold(code, "web1"),)
    for served, policy in (((row(ENFORCED),), ENFORCED), ((), None)):
        observed = seen(TESTED, proof=proof_of(ENFORCED))
        decision = decide(desired, History(served, {READY: NOW - DAY}, frozen), observed, NOW)
        assert decision == Decision("pending", policy, frozen, NOW)
        # Nothing is written down either.
        assert (decision.serve, decision.record, decision.conditions) == (False, KEEP, None)


@pytest.mark.parametrize("desired", [TEST, ENFORCE, LEAVE], ids=["test", "enforce", "leave"])
def test_p6_where_nothing_is_remembered_and_dns_is_silent_nothing_is_served(desired: Desired) -> None:
    """DNS may announce a policy that enforces, and a ledger that begins with another one would hide that."""
    decision = run(desired, History(), seen(records=None))
    assert (decision.stage, decision.serve, decision.remove, decision.record) == ("pending", False, False, KEEP)
    assert codes(decision) == ["dns-failure"]
    assert not decision.conditions


# --- what stands in the way of the announcement -----------------------------------------------------------

ELSEWHERE: t.Final[dict[str, t.Any]] = {"address": "elsewhere", "addresses": ("198.51.100.7",)}
FOREIGN: t.Final[dict[str, t.Any]] = {"foreign_records": ("token=1",)}
HOLDS: dict[str, tuple[str, Desired, Observed]] = {
    "the address is not answered": ("dns-failure", TEST, seen(address="unknown", proof=proof_of(TESTED))),
    "the address is of others": ("address-elsewhere", TEST, seen(**ELSEWHERE, proof=proof_of(TESTED))),
    "the address is of others, and kept elsewhere": (
        "address-elsewhere",
        Desired("example.com", MX, replace_foreign=True, manage_address=False),
        seen(**ELSEWHERE, proof=proof_of(TESTED)),
    ),
    "there is no address, and it is kept elsewhere": (
        "address-missing",
        Desired("example.com", MX, manage_address=False),
        seen(address="missing", proof=proof_of(TESTED)),
    ),
    "a record is of others": ("record-foreign", TEST, seen(**FOREIGN, proof=proof_of(TESTED))),
    "nothing was proved yet": ("proof-missing", TEST, seen()),
    "it was proved nowhere": ("proof-missing", TEST, seen(proof=proof_of(TESTED, 0))),
    "another policy was proved": ("proof-missing", TEST, seen(proof=proof_of(ENFORCED))),
    "one host failed": ("proof-failed", TEST, seen(proof=proof_of(TESTED, 1, ("web2: no answer",)))),
    "one host has no certificate": (
        "certificate",
        TEST,
        seen(certificate_failures=("web1: no",), proof=proof_of(TESTED, 0, ("web1: handshake",))),
    ),
    "the turn of one certificate is yet to come": (
        "certificate-queued",
        TEST,
        seen(certificates_queued=("web1: queued",), proof=proof_of(TESTED, 0, ("web1: handshake",))),
    ),
}


@pytest.mark.parametrize(("code", "desired", "observed"), HOLDS.values(), ids=HOLDS)
def test_p1_a_hold_keeps_the_id_out_of_dns(code: str, desired: Desired, observed: Observed) -> None:
    decision = decide(desired, History(), observed, NOW)
    assert (decision.stage, decision.serve, decision.record) == ("pending", True, KEEP)
    assert codes(decision) == [code]
    assert decision.holds[0].keeps_from_announcing


def test_a_record_that_is_not_answered_is_not_announced() -> None:
    decision = run(TEST, past(row(TESTED)), seen(records=None))
    assert (decision.stage, decision.serve, decision.record) == ("pending", True, KEEP)
    assert [one.message for one in decision.holds] == ["DNS did not answer for _mta-sts.example.com"]


def test_a_certificate_is_asked_for_only_where_the_name_leads_to_us() -> None:
    wanted = {"ours": True, "missing": True, "elsewhere": False, "unknown": False}
    for desired, history in ((TEST, History()), (LEAVE, past(row(ENFORCED))), (LEAVE, past(row(LEFT)))):
        found = {name: decide(desired, history, seen(LEFT, address=name), NOW).certificate for name in wanted}
        assert found == wanted


def test_foreign_records_are_replaced_on_request() -> None:
    desired = Desired("example.com", MX, replace_foreign=True)
    decision = run(desired, History(), seen(**ELSEWHERE, **FOREIGN))
    assert (decision.record, decision.certificate, decision.holds) == (ANNOUNCE, True, ())


def test_what_is_wrong_beside_the_policy_is_told_and_holds_nothing_back() -> None:
    desired = Desired("example.com", MX, tlsrpt=("mailto:a@example.com",))
    observed = seen(foreign_tlsrpt_records=("token=1",), renewal_failures=("web1: no",))
    decision = run(desired, History(), observed)
    assert (decision.stage, decision.record) == ("testing", ANNOUNCE)
    assert codes(decision) == ["renewal", "tlsrpt-foreign"]
    # Without a TLSRPT record of our own, and where it may be replaced, the other one is nobody's business.
    assert codes(run(TEST, History(), observed)) == ["renewal"]
    assert codes(run(dataclasses.replace(desired, replace_foreign=True), History(), observed)) == ["renewal"]


# --- first publication ------------------------------------------------------------------------------------

UNREADY: t.Final[dict[str, t.Any]] = {"mx_failures": (STARTTLS,)}
FIRST: dict[str, tuple[Desired, Observed, Policy, list[str]]] = {
    "mode testing": (TEST, seen(), TESTED, []),
    "mode testing, MX not ready": (TEST, seen(**UNREADY), TESTED, []),
    "mode none": (Desired("example.com", MX, "none"), seen(), LEFT, []),
    "a short max_age stays short": (Desired("example.com", MX, max_age=3600), seen(), Policy("testing", MX, 3600), []),
    "mode enforce begins with testing": (ENFORCE, seen(), TESTED, ["testing-period"]),
    "both reasons are told": (ENFORCE, seen(**UNREADY), TESTED, ["testing-period", "mx-unready"]),
    "gate: false does not shorten the period": (
        Desired("example.com", MX, "enforce", gate=False),
        seen(**UNREADY),
        TESTED,
        ["testing-period"],
    ),
    "testing_days: 0 enforces at once": (Desired("example.com", MX, "enforce", testing_days=0), seen(), ENFORCED, []),
    "testing_days: 0 does not open the gate": (
        Desired("example.com", MX, "enforce", testing_days=0),
        seen(**UNREADY),
        TESTED,
        ["mx-unready"],
    ),
    "neither period nor gate": (
        Desired("example.com", MX, "enforce", 3600, testing_days=0, gate=False),
        seen(**UNREADY),
        Policy("enforce", MX, 3600),
        [],
    ),
}


@pytest.mark.parametrize(("desired", "observed", "policy", "expected"), FIRST.values(), ids=FIRST)
def test_first_publication(desired: Desired, observed: Observed, policy: Policy, expected: list[str]) -> None:
    decision = run(desired, History(), observed)
    assert (decision.policy, codes(decision)) == (policy, expected)
    assert decision.stage == {"enforce": "enforcing"}.get(policy.mode, policy.mode)
    assert (decision.serve, decision.record, decision.remove) == (True, ANNOUNCE, False)
    assert (decision.found, decision.after_unknown) == (None, False)


# --- the testing period -----------------------------------------------------------------------------------


def test_the_testing_period_begins_when_the_policy_is_seen_announced() -> None:
    first = run(ENFORCE, History(), seen())
    assert hold(first, "testing-period").until is None
    assert first.conditions == {READY: NOW}
    # Served for long, and never seen in DNS: nobody tested it.
    assert hold(run(ENFORCE, past(row(TESTED)), seen()), "testing-period").until is None
    announced = run(ENFORCE, past(row(TESTED, DAY), ready=DAY), seen(TESTED))
    assert hold(announced, "testing-period").until == NOW + 7 * DAY
    assert announced.conditions == {READY: NOW - DAY, TESTING: NOW}


@pytest.mark.parametrize(("days", "expected"), [(1, NOW - 3 * DAY), (7, NOW + 3 * DAY), (365, NOW + 361 * DAY)])
def test_the_testing_period_lasts_as_long_as_the_inventory_says(days: int, expected: dt.datetime) -> None:
    desired = Desired("example.com", MX, "enforce", testing_days=days)
    decision = run(desired, past(row(TESTED), testing=4 * DAY, ready=4 * DAY), seen(TESTED))
    if expected <= NOW:
        assert (decision.policy, decision.holds) == (ENFORCED, ())
    else:
        assert (mode(decision), hold(decision, "testing-period").until) == ("testing", expected)


@pytest.mark.parametrize(("passed", "expected"), [(7 * DAY - SECOND, "testing"), (7 * DAY, "enforce")])
def test_the_testing_period_ends_to_the_second(passed: dt.timedelta, expected: str) -> None:
    assert mode(run(ENFORCE, past(row(TESTED), testing=passed, ready=passed), seen(TESTED))) == expected


INTERRUPTED: dict[str, Observed] = {
    "the record is gone": seen(),
    "the record is of no use": seen(TESTED, record_id=None),
    "another mode is served": seen(LEFT),
}


@pytest.mark.parametrize("observed", INTERRUPTED.values(), ids=INTERRUPTED)
def test_an_interrupted_testing_period_begins_anew(observed: Observed) -> None:
    decision = run(ENFORCE, past(row(TESTED), row(LEFT), testing=MONTH, ready=MONTH), observed)
    assert (mode(decision), hold(decision, "testing-period").until) == ("testing", None)
    assert decision.conditions == {READY: NOW - MONTH}


UNTOLD: dict[str, Observed] = {
    "the record is not answered": seen(records=None, record_id=None, policy=None),
    "the policy could not be fetched": seen(TESTED, policy=None),
}


@pytest.mark.parametrize("observed", UNTOLD.values(), ids=UNTOLD)
def test_a_failure_to_look_neither_begins_nor_interrupts_the_testing_period(observed: Observed) -> None:
    decision = run(ENFORCE, past(row(TESTED), testing=3 * DAY, ready=3 * DAY), observed)
    assert hold(decision, "testing-period").until == NOW + 4 * DAY
    assert decision.conditions == {READY: NOW - 3 * DAY, TESTING: NOW - 3 * DAY}
    assert run(ENFORCE, past(row(TESTED)), observed).conditions == {READY: NOW}


READY_AGO: dict[str, tuple[dt.timedelta, int, t.Optional[dt.datetime]]] = {
    "for long": (7 * DAY, 3600, None),
    "for a day": (DAY, 3600, None),
    "for an hour": (HOUR, 3600, NOW + 23 * HOUR),
    "for a day, with a TTL of two": (DAY, 2 * 86400, NOW + DAY),
}


@pytest.mark.parametrize(("ready", "ttl", "until"), READY_AGO.values(), ids=READY_AGO)
def test_the_mx_hosts_must_be_ready_for_as_long_as_older_ones_are_in_caches(
    ready: dt.timedelta, ttl: int, until: t.Optional[dt.datetime]
) -> None:
    decision = run(ENFORCE, past(row(TESTED), testing=7 * DAY, ready=ready), seen(TESTED, mx_ttl=ttl))
    assert [one.until for one in decision.holds] == ([until] if until else [])
    assert mode(decision) == ("testing" if until else "enforce")


def test_mx_hosts_that_failed_in_the_period_must_be_ready_anew() -> None:
    history = past(row(TESTED), testing=6 * DAY, ready=6 * DAY)
    failed = run(ENFORCE, history, seen(TESTED, **UNREADY))
    assert failed.conditions == {TESTING: NOW - 6 * DAY}
    unanswered = run(ENFORCE, history, seen(TESTED, mx=None))
    assert unanswered.conditions == {TESTING: NOW - 6 * DAY, READY: NOW - 6 * DAY}


def test_a_domain_that_is_tested_for_good_may_enforce_at_once_when_that_is_wanted() -> None:
    decision = run(TEST, past(row(TESTED)), seen(TESTED))
    assert (decision.stage, decision.holds) == ("testing", ())
    assert decision.conditions == {TESTING: NOW, READY: NOW}
    assert mode(run(ENFORCE, past(row(TESTED), testing=MONTH, ready=MONTH), seen(TESTED))) == "enforce"


def test_mode_none_is_no_testing() -> None:
    decision = run(Desired("example.com", MX, "none"), past(row(TESTED), testing=MONTH, ready=MONTH), seen(TESTED))
    assert (mode(decision), decision.stage, decision.conditions) == ("none", "none", {})


# --- the gate ---------------------------------------------------------------------------------------------

GATE: dict[str, tuple[dict[str, t.Any], list[str]]] = {
    "all is well": ({}, []),
    "an MX host fails": ({"mx_failures": (STARTTLS,)}, [STARTTLS]),
    "two of its addresses fail": ({"mx_failures": ("a", "b")}, ["a", "b"]),
    "an MX host is matched by no pattern": (
        {"mx": (*MX, "mx9.example.org")},
        ["mx9.example.org is matched by no pattern of the policy"],
    ),
    "unmatched and failing": (
        {"mx": ("mx9.example.org",), "mx_failures": ("a",)},
        ["mx9.example.org is matched by no pattern of the policy", "a"],
    ),
    "there is no MX host": ({"mx": ()}, ["the domain has no MX record that names a host"]),
    "DNS does not answer": ({"mx": None}, ["DNS did not answer for the MX hosts"]),
}


@pytest.mark.parametrize(("seen_of_mx", "messages"), GATE.values(), ids=GATE)
def test_the_gate(seen_of_mx: dict[str, t.Any], messages: list[str]) -> None:
    tested = past(row(TESTED), testing=MONTH, ready=MONTH)
    decision = run(ENFORCE, tested, seen(TESTED, **seen_of_mx))
    assert [(one.code, one.message) for one in decision.holds] == [("mx-unready", text) for text in messages]
    assert decision.policy == (TESTED if messages else ENFORCED)
    # What is held goes on being announced.
    assert decision.record == ANNOUNCE
    without_gate = run(dataclasses.replace(ENFORCE, gate=False), tested, seen(TESTED, **seen_of_mx))
    assert (without_gate.policy, without_gate.holds) == (ENFORCED, ())


YESTERDAY = NOW.date() - dt.timedelta(days=1)
REPORTED: dict[str, t.Any] = {"reported": (Told(YESTERDAY, "Sender", 7, (Refused(MX[0], "certificate-expired", 3),)),)}


def test_what_senders_reported_holds_the_step() -> None:
    tested = past(row(TESTED), testing=MONTH, ready=MONTH)
    decision = run(ENFORCE, tested, seen(TESTED, **REPORTED))
    assert (decision.policy, decision.stage, decision.record) == (TESTED, "testing", ANNOUNCE)
    assert [(one.code, one.until) for one in decision.holds] == [
        ("mx-reported", dt.datetime(2026, 11, 30, tzinfo=dt.timezone.utc))
    ]
    # It interrupts nothing.
    assert decision.conditions == {TESTING: NOW - MONTH, READY: NOW - MONTH}
    assert run(dataclasses.replace(ENFORCE, gate=False), tested, seen(TESTED, **REPORTED)).policy == ENFORCED
    assert mode(run(ENFORCE, tested, seen(TESTED, **REPORTED), NOW + 7 * DAY)) == "enforce"


@pytest.mark.parametrize("desired", [TEST, UNSET, Desired("example.com", MX, "none"), LEAVE])
def test_what_senders_reported_holds_nothing_else(desired: Desired) -> None:
    tested = past(row(TESTED), testing=MONTH, ready=MONTH)
    assert run(desired, tested, seen(TESTED, **REPORTED)) == run(desired, tested, seen(TESTED))


@pytest.mark.parametrize("desired", [ENFORCE, UNSET])
def test_p6_no_report_lowers_what_enforces(desired: Desired) -> None:
    assert run(desired, past(row(ENFORCED)), seen(ENFORCED, **REPORTED)) == run(
        desired, past(row(ENFORCED)), seen(ENFORCED)
    )
    # Nor what is forgotten and may enforce.
    lost = announces(id_of(ENFORCED))
    assert run(desired, History(), dataclasses.replace(lost, **REPORTED)) == run(desired, History(), lost)


# --- P6: what enforces goes on enforcing ------------------------------------------------------------------


@pytest.mark.parametrize(("seen_of_mx", "messages"), GATE.values(), ids=GATE)
def test_p6_what_enforces_is_not_taken_back_and_failing_mx_hosts_are_told(
    seen_of_mx: dict[str, t.Any], messages: list[str]
) -> None:
    decision = run(ENFORCE, past(row(ENFORCED)), seen(ENFORCED, **seen_of_mx))
    assert (decision.policy, decision.stage, decision.record) == (ENFORCED, "enforcing", ANNOUNCE)
    # A resolver that does not answer says nothing of the MX hosts.
    told = [] if seen_of_mx.get("mx", MX) is None else messages
    assert [(one.code, one.message) for one in decision.holds if one.code != "mx-early"] == [
        ("mx-failing", text) for text in told
    ]


ENFORCING: dict[str, History] = {
    "served now": past(row(ENFORCED)),
    "a run died while it replaced testing": past(row(TESTED), row(ENFORCED, HOUR)),
    "the files are lost": past(row(ENFORCED, until=DAY)),
    "the files are lost, and that is new": past(row(ENFORCED, until=0 * DAY)),
    "the files are lost, and a run had died before": past(row(TESTED, until=DAY), row(ENFORCED, until=DAY)),
}


@pytest.mark.parametrize("history", ENFORCING.values(), ids=ENFORCING)
def test_p6_a_domain_that_enforces_is_known_by_its_history(history: History) -> None:
    observed = seen(ENFORCED, policy=None, mx_failures=("a",))
    assert run(ENFORCE, history, observed).policy == ENFORCED
    # A record that is not answered may be there.
    silent = run(ENFORCE, history, dataclasses.replace(observed, records=None, record_id=None))
    assert mode(silent) == "enforce"
    assert silent.serve is bool(history.current(NOW))


def test_what_is_neither_served_nor_announced_enforces_nothing() -> None:
    assert run(ENFORCE, past(row(ENFORCED, until=DAY)), seen()).policy == TESTED
    assert run(ENFORCE, past(row(ENFORCED)), seen()).policy == ENFORCED


NOT_ENFORCING: dict[str, History] = {
    "taken back by its owner": past(row(ENFORCED, until=DAY), row(TESTED, DAY)),
    "withdrawn before": past(row(ENFORCED, until=MONTH), row(LEFT, MONTH, DAY)),
}


@pytest.mark.parametrize("history", NOT_ENFORCING.values(), ids=NOT_ENFORCING)
def test_a_domain_that_enforced_once_is_tested_anew(history: History) -> None:
    assert run(ENFORCE, history, seen()).policy == TESTED


def test_the_owner_may_take_a_domain_back_to_testing() -> None:
    decision = run(TEST, past(row(ENFORCED)), seen(ENFORCED))
    assert (decision.policy, decision.record, decision.holds) == (TESTED, ANNOUNCE, ())


def test_p6_a_mode_that_is_not_written_lowers_nothing() -> None:
    assert mode(run(UNSET, History(), seen())) == "testing"
    assert mode(run(UNSET, past(row(TESTED), testing=MONTH, ready=MONTH), seen(TESTED))) == "testing"
    assert mode(run(UNSET, past(row(ENFORCED)), seen(ENFORCED))) == "enforce"
    # Seen elsewhere: it is taken over as it is.
    assert mode(run(UNSET, History(), seen(ENFORCED))) == "enforce"


def announces(record_id: str) -> Observed:
    """DNS announces an id, and nobody serves a policy."""
    return seen(records=(f"v=STSv1; id={record_id}",), record_id=record_id)


@pytest.mark.parametrize("failures", [(), ("a",)])
def test_p6_dns_remembers_what_enforces_when_all_ledgers_are_lost(failures: tuple[str, ...]) -> None:
    decision = run(ENFORCE, History(), dataclasses.replace(announces(id_of(ENFORCED)), mx_failures=failures))
    assert (decision.policy, decision.record, decision.after_unknown) == (ENFORCED, ANNOUNCE, True)
    assert codes(decision) == ["mx-failing"] * len(failures)
    # Nor does a ledger that was restored, and does not know of it, make testing of it.
    assert mode(run(ENFORCE, past(row(TESTED)), announces(id_of(ENFORCED)))) == "enforce"


FORGOTTEN: dict[str, tuple[Observed, str, list[str]]] = {
    "one of ours, MX ready": (announces("0" * 32), "enforce", []),
    "our testing policy": (announces(id_of(TESTED)), "testing", ["testing-period"]),
    "one of another tool, whose place we took": (announces("20260101T000000"), "enforce", []),
    "one of another tool": (
        dataclasses.replace(announces("20260101T000000"), address="missing"),
        "testing",
        ["testing-period"],
    ),
}


@pytest.mark.parametrize(("observed", "expected", "held"), FORGOTTEN.values(), ids=FORGOTTEN)
def test_p6_an_id_whose_policy_nobody_remembers(observed: Observed, expected: str, held: list[str]) -> None:
    decision = run(ENFORCE, past(ready=DAY), observed)
    assert (mode(decision), codes(decision), decision.after_unknown) == (expected, held, True)


def test_p4_what_is_forgotten_is_enforced_when_no_older_mx_set_is_in_caches() -> None:
    decision = run(ENFORCE, past(ready=DAY - HOUR), announces("0" * 32))
    assert (decision.stage, decision.policy, decision.serve, decision.record) == ("pending", None, False, KEEP)
    assert hold(decision, "history-lost").until == NOW + HOUR
    assert decision.conditions == {"ready": NOW - DAY + HOUR}


@pytest.mark.parametrize(("seen_of_mx", "messages"), list(GATE.values())[1:], ids=list(GATE)[1:])
def test_p6_history_lost_and_mx_not_ready_touches_nothing(seen_of_mx: dict[str, t.Any], messages: list[str]) -> None:
    """To enforce would refuse mail, to test would lower what may enforce."""
    observed = dataclasses.replace(announces("0" * 32), **seen_of_mx)
    decision = run(ENFORCE, History(), observed)
    assert (decision.stage, decision.policy, decision.serve, decision.record) == ("pending", None, False, KEEP)
    assert codes(decision) == ["history-lost", *["mx-unready"] * len(messages)]
    # What the remedy says helps.
    assert run(TEST, History(), observed).policy == TESTED
    assert codes(run(UNSET, History(), observed))[0] == "history-lost"
    assert run(dataclasses.replace(ENFORCE, gate=False), History(), observed).policy == ENFORCED


@pytest.mark.parametrize("desired", [ENFORCE, UNSET])
def test_p6_what_another_tool_announces_and_cannot_be_fetched_now(desired: Desired) -> None:
    """One failure must not make testing of what may enforce; two explicit words may."""
    observed = dataclasses.replace(announces("20260101T000000"), address="elsewhere", addresses=("192.0.2.7",))
    decision = run(dataclasses.replace(desired, replace_foreign=True), History(), observed)
    assert (decision.stage, decision.serve, decision.certificate) == ("pending", False, False)
    assert codes(decision) == ["history-lost"]
    assert run(dataclasses.replace(TEST, replace_foreign=True), History(), observed).policy == TESTED


@pytest.mark.parametrize("address", ["elsewhere", "unknown"])
def test_what_need_not_be_tested_is_enforced_only_where_senders_are_led_to_us(address: str) -> None:
    at_once = dataclasses.replace(ENFORCE, gate=False, testing_days=0)
    assert run(at_once, History(), seen()).policy == ENFORCED
    decision = run(at_once, History(), seen(address=address))
    assert decision.policy == TESTED
    assert hold(decision, "testing-period").message == "senders are not led to the policy hosts yet"


# --- take-over of a domain that others served -------------------------------------------------------------

LEGACY = Policy("enforce", MX, 604800)


def test_a_domain_that_is_seen_enforcing_is_taken_over_as_it_is() -> None:
    decision = run(ENFORCE, History(), seen(LEGACY, mx_failures=("a",)))
    assert (decision.policy, decision.stage, decision.record) == (ENFORCED, "enforcing", ANNOUNCE)
    assert codes(decision) == ["mx-failing"]
    # It may be fetched where it is until the addresses have left all caches.
    assert decision.found == Served("elsewhere", LEGACY, NOW, NOW + DAY, after_unknown=True)


def test_a_domain_that_others_test_goes_on_being_tested_from_when_we_saw_it() -> None:
    legacy = Policy("testing", MX, 604800)
    decision = run(ENFORCE, History(), seen(legacy))
    assert (decision.policy, decision.conditions) == (TESTED, {TESTING: NOW, READY: NOW})
    assert hold(decision, "testing-period").until == NOW + 7 * DAY
    assert decision.found is not None


def test_a_legacy_policy_counts_as_held_although_it_is_in_no_ledger_yet() -> None:
    decision = run(LEAVE, History(), seen(LEGACY))
    assert (decision.policy, decision.found is not None) == (LEFT, True)
    # One that was there before may have had the longest max_age that is likely.
    assert hold(decision, "withdrawal-policies").until == NOW + DAY + MONTH + TOLERANCE


def test_patterns_of_a_legacy_policy_stay_as_long_as_dns_needs_them() -> None:
    legacy = Policy("enforce", ("old.example.org", "unused.example.org"), 604800)
    decision = run(ENFORCE, History(), seen(legacy, mx=("mx1.example.net", "old.example.org")))
    assert mx(decision) == ("mx1.example.net", "old.example.org", "unused.example.org")
    assert [one.message for one in decision.holds if one.code == "mx-needed"] == [
        "the pattern old.example.org stays: old.example.org is still in DNS",
        "the pattern unused.example.org stays: it may still be in caches",
    ]
    # A day later only one is left.
    ours = Policy("enforce", mx(decision), 2592000)
    history = History((row(ours, DAY),), {UNNEEDED + "unused.example.org": NOW - DAY})
    later = run(ENFORCE, history, seen(ours, mx=("mx1.example.net", "old.example.org")))
    assert mx(later) == ("mx1.example.net", "old.example.org")


def test_a_legacy_policy_may_be_larger_than_ours_ever_are() -> None:
    large = Policy("testing", tuple(f"mx{number}.{'a' * 60}.example" for number in range(200)), 604800)
    decision = run(ENFORCE, History(), announces("1"), proved=False)
    assert decision.found is None
    decision = run(ENFORCE, History(), dataclasses.replace(announces("1"), policy=large), proved=False)
    assert decision.found is not None
    assert codes(decision) == ["policy-too-large"]
    assert not decision.serve
    # Once it is gone, it is in nobody's way.
    assert run(ENFORCE, past(row(large, until=DAY)), seen()).policy == TESTED


def test_what_the_policy_hosts_serve_is_not_taken_for_a_legacy_policy() -> None:
    assert run(ENFORCE, past(row(ENFORCED)), seen(ENFORCED)).found is None


# --- MX hosts move ----------------------------------------------------------------------------------------

MOVE = Desired("example.com", BOTH, "enforce")


def test_a_new_mx_host_is_in_the_policy_at_once_and_in_dns_when_no_sender_refuses_it() -> None:
    decision = run(MOVE, past(row(ENFORCED)), seen(ENFORCED))
    assert (mx(decision), decision.record) == (BOTH, ANNOUNCE)
    assert codes(decision) == ["mx-new"]
    assert hold(decision, "mx-new").until == NOW + MONTH + TOLERANCE


LONG = Policy("enforce", MX, 90 * 86400)
WITH_NEW = Policy("enforce", BOTH, 2592000)
NEW_FROM: dict[str, tuple[History, t.Optional[dt.datetime]]] = {
    "the largest max_age counts": (
        past(row(LONG, until=DAY), row(ENFORCED, DAY, HOUR), row(WITH_NEW, HOUR)),
        NOW + 89 * DAY + TOLERANCE,
    ),
    "not the last policy without it": (
        past(row(LONG, until=80 * DAY), row(ENFORCED, 80 * DAY, HOUR), row(WITH_NEW, HOUR)),
        NOW + MONTH - HOUR + TOLERANCE,
    ),
    "what has expired does not count": (past(row(LONG, until=91 * DAY), row(WITH_NEW, 91 * DAY)), None),
    "a policy that is tested refuses nobody": (past(row(TESTED, until=HOUR), row(WITH_NEW, HOUR)), None),
    "a wildcard accepts it": (past(row(Policy("enforce", ("*.example.net",), 2592000))), None),
    "a wildcard of another depth does not": (
        past(row(Policy("enforce", ("*.net", "mx1.example.net"), 2592000))),
        NOW + MONTH + TOLERANCE,
    ),
    "what nobody remembers may enforce without it": (
        past(row(WITH_NEW, 10 * DAY, after_unknown=True)),
        NOW + 21 * DAY + TOLERANCE,
    ),
}


@pytest.mark.parametrize(("history", "until"), NEW_FROM.values(), ids=NEW_FROM)
def test_from_when_a_new_mx_host_may_come_into_dns(history: History, until: t.Optional[dt.datetime]) -> None:
    current = history.current(NOW)[-1]
    holds = [one for one in run(MOVE, history, seen(current)).holds if one.code == "mx-new"]
    assert [(one.message.split()[1], one.until) for one in holds] == ([("mx2.example.net", until)] if until else [])


def test_a_new_wildcard_is_new_although_hosts_of_it_were_named() -> None:
    decision = run(Desired("example.com", ("*.example.org", *MX), "enforce"), past(row(ENFORCED)), seen(ENFORCED))
    assert hold(decision, "mx-new").message.startswith("put *.example.org into DNS only then")
    assert hold(decision, "mx-new").until == NOW + MONTH + TOLERANCE


def test_in_the_first_run_after_the_ledgers_were_lost_every_mx_host_may_be_new() -> None:
    decision = run(MOVE, past(ready=DAY), announces("20260101T000000"))
    assert hold(decision, "mx-new").until == NOW + DAY + MONTH + TOLERANCE
    shorter = dataclasses.replace(MOVE, max_age=3600)
    assert (
        hold(run(shorter, past(ready=DAY), announces("20260101T000000")), "mx-new").until == NOW + 31 * DAY + TOLERANCE
    )
    longer = dataclasses.replace(MOVE, max_age=90 * 86400)
    assert (
        hold(run(longer, past(ready=DAY), announces("20260101T000000")), "mx-new").until == NOW + 91 * DAY + TOLERANCE
    )


def test_an_mx_host_that_came_into_dns_too_early_is_told() -> None:
    history = past(row(ENFORCED, until=HOUR), row(WITH_NEW, HOUR))
    decision = run(MOVE, history, seen(WITH_NEW, mx=BOTH))
    assert codes(decision) == ["mx-early"]
    assert hold(decision, "mx-early").message.startswith("mx2.example.net is in DNS")
    assert hold(decision, "mx-early").until == NOW + MONTH - HOUR + TOLERANCE
    # Nothing is taken back for it, and what no policy names is told as what it is.
    assert decision.policy == WITH_NEW
    assert codes(run(ENFORCE, past(row(ENFORCED)), seen(ENFORCED, mx=BOTH))) == ["mx-failing"]


def test_an_mx_host_that_was_there_when_nobody_kept_books_is_not_told_as_early() -> None:
    assert run(MOVE, past(row(WITH_NEW, DAY, after_unknown=True)), seen(WITH_NEW, mx=BOTH)).holds == ()


def moved(desired: Desired = ENFORCE, unneeded: t.Optional[dt.timedelta] = None, **more: t.Any) -> Decision:
    """The inventory no longer names mx2, which was served; it is out of DNS since some time, or unless that is said."""
    conditions = {} if unneeded is None else {UNNEEDED + "mx2.example.net": NOW - unneeded}
    return run(desired, History((row(WITH_NEW),), conditions), seen(WITH_NEW, **more))


def test_a_pattern_that_dns_needs_stays() -> None:
    decision = moved(mx=BOTH)
    assert mx(decision) == BOTH
    assert (codes(decision), decision.holds[0].until, decision.conditions) == (["mx-needed"], None, {})
    assert decision.holds[0].message == "the pattern mx2.example.net stays: mx2.example.net is still in DNS"


DROPPED: dict[str, tuple[dt.timedelta, int, bool]] = {
    "a second less than a day": (DAY - SECOND, 3600, False),
    "a day": (DAY, 3600, True),
    "a day, of a TTL of two": (DAY, 2 * 86400, False),
    "the whole TTL of two days": (2 * DAY, 2 * 86400, True),
}


@pytest.mark.parametrize(("unneeded", "ttl", "dropped"), DROPPED.values(), ids=DROPPED)
def test_a_pattern_is_dropped_when_its_hosts_are_in_no_cache(unneeded: dt.timedelta, ttl: int, dropped: bool) -> None:
    decision = moved(unneeded=unneeded, mx_ttl=ttl)
    assert mx(decision) == (MX if dropped else BOTH)
    if not dropped:
        wait = hold(decision, "mx-needed")
        assert wait.until == NOW - unneeded + max(DAY, dt.timedelta(seconds=ttl))
        assert wait.message.endswith("it may still be in caches")


def test_when_a_pattern_became_unneeded_is_kept_in_mind() -> None:
    assert moved().conditions == {UNNEEDED + "mx2.example.net": NOW}
    assert moved(unneeded=HOUR).conditions == {UNNEEDED + "mx2.example.net": NOW - HOUR}
    # Back in DNS: it counts anew.
    assert moved(unneeded=HOUR, mx=BOTH).conditions == {}


@pytest.mark.parametrize("unneeded", [None, HOUR, MONTH])
def test_where_dns_does_not_answer_a_pattern_stays(unneeded: t.Optional[dt.timedelta]) -> None:
    decision = moved(unneeded=unneeded, mx=None)
    assert mx(decision) == BOTH
    assert hold(decision, "mx-needed").message.endswith("DNS did not answer for the MX hosts")
    assert hold(decision, "mx-needed").until is None
    assert decision.conditions == ({} if unneeded is None else {UNNEEDED + "mx2.example.net": NOW - unneeded})


def test_a_pattern_stays_until_it_is_in_no_policy_that_senders_may_get() -> None:
    """A run died half-way, or a policy is fetched elsewhere still."""
    decision = run(ENFORCE, past(row(WITH_NEW), row(ENFORCED, HOUR)), seen(ENFORCED, mx=BOTH))
    assert mx(decision) == BOTH


def test_a_pattern_that_a_wildcard_of_the_inventory_covers_needs_no_keeping() -> None:
    desired = Desired("example.com", ("*.example.net",), "enforce")
    assert mx(run(desired, past(row(WITH_NEW)), seen(WITH_NEW, mx=BOTH))) == ("*.example.net",)


def test_a_wildcard_stays_only_for_hosts_that_nothing_else_names() -> None:
    wild = Policy("enforce", ("*.example.net",), 2592000)
    decision = run(ENFORCE, past(row(wild)), seen(wild, mx=BOTH))
    assert mx(decision) == ("mx1.example.net", "*.example.net")
    assert decision.conditions == {}
    assert run(ENFORCE, past(row(wild)), seen(wild)).conditions == {UNNEEDED + "*.example.net": NOW}


def test_mode_none_refuses_nobody_and_keeps_no_pattern() -> None:
    decision = run(Desired("example.com", MX, "none"), past(row(WITH_NEW)), seen(WITH_NEW, mx=BOTH))
    assert (decision.policy, decision.holds) == (LEFT, ())


def test_a_move_that_makes_the_policy_too_large_waits_and_what_dns_no_longer_needs_is_kept_in_mind() -> None:
    many = tuple(f"mx{number}.{'a' * 60}.example" for number in range(110))
    wanted = tuple(f"new{number}.{'b' * 60}.example" for number in range(30))
    served = Policy("enforce", many, 2592000)
    decision = run(Desired("example.com", wanted, "enforce"), past(row(served)), seen(served, mx=wanted))
    assert (decision.stage, decision.policy, decision.serve, decision.record) == ("pending", None, False, KEEP)
    assert codes(decision) == ["policy-too-large"]
    assert decision.conditions == {UNNEEDED + pattern: NOW for pattern in many}
    history = History((row(served),), dict.fromkeys(decision.conditions, NOW - DAY))
    assert mx(run(Desired("example.com", wanted, "enforce"), history, seen(served, mx=wanted))) == wanted


# --- withdrawal (P5) --------------------------------------------------------------------------------------


def test_withdrawal_begins_with_mode_none_that_keeps_the_mx_lines() -> None:
    decision = run(LEAVE, past(row(ENFORCED)), seen(ENFORCED))
    assert (decision.policy, decision.stage, decision.serve, decision.record) == (LEFT, "withdrawing", True, ANNOUNCE)
    assert (decision.remove, decision.certificate, decision.conditions) == (False, True, {})
    assert codes(decision) == ["withdrawal-policies"]
    assert hold(decision, "withdrawal-policies").until == NOW + MONTH + TOLERANCE


def test_a_withdrawal_does_not_make_a_new_mx_host_safe() -> None:
    """Senders that hold the policy that enforces refuse it still."""
    history = past(row(ENFORCED, until=HOUR), row(LEFT, HOUR))
    desired = Desired("example.com", BOTH, state="absent")
    decision = run(desired, history, seen(LEFT))
    assert codes(decision) == ["withdrawal-policies", "mx-new"]
    assert {one.until for one in decision.holds} == {NOW + MONTH - HOUR + TOLERANCE}
    assert codes(run(desired, history, seen(LEFT, mx=BOTH))) == ["withdrawal-policies", "mx-early"]


def test_the_inventory_may_say_which_mx_lines_mode_none_has() -> None:
    assert mx(run(Desired("example.com", BOTH, state="absent"), past(row(ENFORCED)), seen(ENFORCED))) == BOTH


def test_mx_lines_that_would_make_mode_none_too_large_are_left_out() -> None:
    many = tuple(f"mx{number}.{'a' * 60}.example" for number in range(200))
    history = past(row(Policy("enforce", many[:100], 86400)), row(Policy("enforce", many[100:], 86400)))
    assert mx(run(LEAVE, history, seen(ENFORCED))) == many[:1]


@pytest.mark.parametrize("address", ["ours", "missing"])
def test_withdrawal_needs_the_proof_and_an_address_as_every_announcement(address: str) -> None:
    decision = run(LEAVE, past(row(ENFORCED)), seen(ENFORCED, address=address), proved=False)
    assert (decision.stage, decision.serve, decision.record) == ("pending", True, KEEP)
    assert codes(decision) == ["proof-missing", "withdrawal-policies"]
    assert run(LEAVE, past(row(ENFORCED)), seen(ENFORCED, address=address)).record == ANNOUNCE


def test_mode_none_that_cannot_be_announced_is_told() -> None:
    decision = run(LEAVE, past(row(ENFORCED)), seen(ENFORCED, **ELSEWHERE, partly_ours=True))
    assert (decision.stage, decision.record, decision.certificate) == ("pending", KEEP, False)
    assert codes(decision) == ["address-elsewhere", "withdrawal-policies"]


# Mode none is served and announced since ten days; then what was served before it, and until when senders hold it.
OLDER: dict[str, tuple[tuple[Served, ...], t.Optional[dt.datetime]]] = {
    "enforce, a month": ((row(ENFORCED, until=10 * DAY),), NOW + 20 * DAY + TOLERANCE),
    "testing, a day": ((row(TESTED, until=10 * DAY),), None),
    "testing on one host, until an hour ago": ((row(TESTED, until=HOUR),), NOW + 23 * HOUR + TOLERANCE),
    "an older one with a longer max_age": (
        (row(LONG, until=20 * DAY), row(ENFORCED, 20 * DAY, 10 * DAY)),
        NOW + 70 * DAY + TOLERANCE,
    ),
    "to the last second": ((row(ENFORCED, until=MONTH + TOLERANCE - SECOND),), NOW + SECOND),
    "and no longer": ((row(ENFORCED, until=MONTH + TOLERANCE),), None),
    "nobody knows what": ((row(LEFT, 10 * DAY, after_unknown=True),), NOW + 21 * DAY + TOLERANCE),
}


@pytest.mark.parametrize(("older", "until"), OLDER.values(), ids=OLDER)
def test_the_record_goes_when_every_other_policy_has_expired(
    older: tuple[Served, ...], until: t.Optional[dt.datetime]
) -> None:
    decision = run(LEAVE, past(*older, row(LEFT, 10 * DAY)), seen(LEFT))
    assert (decision.policy, decision.serve, decision.stage, decision.remove) == (LEFT, True, "withdrawing", False)
    if until:
        assert (decision.record, hold(decision, "withdrawal-policies").until) == (ANNOUNCE, until)
    else:
        # Nobody knows yet when it will have gone.
        assert (decision.record, hold(decision, "withdrawal-record").until) == (REMOVE, NOW + DAY)
        assert decision.conditions == {}


def test_the_record_stays_where_a_host_serves_another_policy_again() -> None:
    """Another run told it to: whoever stops this one half-way must not take the record from what is published."""
    failures = ("web2: 198.51.100.2: another policy, or none",)
    proof = Proof(id_of(LEFT), 1, failures, differing=failures)
    decision = run(LEAVE, past(row(LEFT, 10 * DAY)), seen(LEFT, proof=proof), proved=False)
    assert (decision.stage, decision.record, codes(decision)) == ("pending", KEEP, ["proof-failed"])
    # One that cannot be reached may have lost its certificate with the name, and must not keep the domain for ever.
    unreached = Proof(proof.id, 1, failures)
    decision = run(LEAVE, past(row(LEFT, 10 * DAY)), seen(LEFT, proof=unreached), proved=False)
    assert (decision.stage, decision.record) == ("withdrawing", REMOVE)


def test_mode_none_that_vanished_from_dns_before_its_time_is_announced_again() -> None:
    decision = run(LEAVE, past(row(ENFORCED, until=DAY), row(LEFT, DAY)), seen())
    assert (decision.record, codes(decision)) == (ANNOUNCE, ["withdrawal-policies"])


GONE: dict[str, tuple[dt.timedelta, int, bool]] = {
    "just seen to be gone": (0 * DAY, 3600, False),
    "a second less than a day ago": (DAY - SECOND, 3600, False),
    "a day ago": (DAY, 3600, True),
    "a day ago, with a TTL of two": (DAY, 2 * 86400, False),
    "two days ago, with a TTL of two": (2 * DAY, 2 * 86400, True),
}


@pytest.mark.parametrize(("ago", "ttl", "removed"), GONE.values(), ids=GONE)
def test_policy_name_and_certificate_go_when_the_record_is_in_no_cache(
    ago: dt.timedelta, ttl: int, removed: bool
) -> None:
    decision = run(LEAVE, past(row(LEFT), **{RECORD_GONE: ago}), seen(record_ttl=ttl))
    assert decision.conditions == {RECORD_GONE: NOW - ago}
    assert decision.stage == "withdrawing"
    if removed:
        assert (decision.remove, decision.serve, decision.policy, decision.holds) == (True, False, None, ())
    else:
        assert (decision.remove, decision.serve, decision.policy) == (False, True, LEFT)
        until = NOW - ago + max(DAY, dt.timedelta(seconds=ttl))
        assert hold(decision, "withdrawal-record").until == until


def test_the_record_counts_as_gone_from_when_it_is_first_seen_to_be_gone() -> None:
    first = run(LEAVE, past(row(LEFT)), seen())
    assert (first.conditions, codes(first)) == ({RECORD_GONE: NOW}, ["withdrawal-record"])
    # Still there: no time runs.
    assert run(LEAVE, past(row(LEFT), record_gone=HOUR), seen(LEFT)).conditions == {}
    # Not answered: nothing is known, and nothing changes.
    silent = run(LEAVE, past(row(LEFT), record_gone=MONTH), seen(records=None))
    assert (silent.stage, silent.record, silent.remove, silent.serve) == ("pending", KEEP, False, True)
    assert (codes(silent), silent.conditions) == (["dns-failure"], {RECORD_GONE: NOW - MONTH})


ALL_GONE: dict[str, tuple[Desired, Observed, tuple[Served, ...], str]] = {
    "the name is there still, as a wildcard's": (LEAVE, seen(), (row(LEFT, until=HOUR),), "absent"),
    "the policy is there still": (LEAVE, seen(address="missing"), (row(LEFT),), "withdrawing"),
    "nothing is left": (LEAVE, seen(address="missing"), (row(LEFT, until=HOUR),), "absent"),
    "the name is kept elsewhere": (
        Desired("example.com", (), state="absent", manage_address=False),
        seen(),
        (row(LEFT, until=HOUR),),
        "absent",
    ),
}


@pytest.mark.parametrize(("desired", "observed", "served", "stage"), ALL_GONE.values(), ids=ALL_GONE)
def test_a_withdrawn_domain_is_absent_when_nothing_of_it_is_left(
    desired: Desired, observed: Observed, served: tuple[Served, ...], stage: str
) -> None:
    decision = run(desired, past(*served, record_gone=2 * DAY), observed)
    assert (decision.stage, decision.remove, decision.record, decision.holds) == (stage, True, KEEP, ())


def test_a_domain_that_never_was_and_shall_not_be_is_absent() -> None:
    decision = run(LEAVE, History(), seen(address="missing"))
    assert decision == Decision("absent", None, (), NOW)
    assert run(LEAVE, History(), seen(**ELSEWHERE)).stage == "absent"
    silent = run(LEAVE, History(), seen(address="unknown"))
    assert (silent.stage, codes(silent)) == ("pending", ["dns-failure"])


def test_a_name_that_leads_to_us_goes_although_nothing_was_ever_served() -> None:
    """A run died before it served what it had made an address for."""
    first = run(LEAVE, History(), seen())
    assert (first.serve, first.record, first.conditions) == (False, KEEP, {RECORD_GONE: NOW})
    later = run(LEAVE, past(record_gone=DAY), seen())
    assert (later.stage, later.remove, later.serve) == ("absent", True, False)
    assert run(dataclasses.replace(LEAVE, manage_address=False), History(), seen()).stage == "absent"


def test_withdrawal_of_a_domain_whose_ledgers_are_lost_waits_for_the_longest_likely_max_age() -> None:
    decision = run(Desired("example.com", MX, state="absent"), History(), announces("0" * 32))
    assert (decision.policy, decision.record, decision.after_unknown) == (LEFT, ANNOUNCE, True)
    assert hold(decision, "withdrawal-policies").until == NOW + DAY + MONTH + TOLERANCE


def test_withdrawal_of_a_domain_whose_files_are_lost_serves_mode_none_first() -> None:
    """Its policies have expired, but a sender that asks must not find a record without a policy."""
    decision = run(LEAVE, past(row(ENFORCED, 90 * DAY, 60 * DAY)), seen(ENFORCED, policy=None))
    assert (decision.policy, decision.serve, decision.record) == (LEFT, True, ANNOUNCE)
    assert hold(decision, "withdrawal-policies").until is None


def test_withdrawal_leaves_foreign_records_alone_unless_they_may_be_replaced() -> None:
    foreign = seen(LEFT, **FOREIGN)
    decision = run(LEAVE, past(row(LEFT)), foreign)
    assert (decision.stage, decision.record, decision.serve) == ("pending", KEEP, True)
    assert codes(decision) == ["record-foreign"]
    assert run(dataclasses.replace(LEAVE, replace_foreign=True), past(row(LEFT)), foreign).record == REMOVE
    # Where only the others are left, ours is gone.
    left = run(LEAVE, past(row(LEFT), record_gone=DAY), seen(**FOREIGN))
    assert (left.remove, left.record) == (True, KEEP)


def test_a_domain_that_comes_back_is_published_as_for_the_first_time() -> None:
    """In whichever step of the withdrawal it was."""
    for history, observed in (
        (past(row(ENFORCED, until=DAY), row(LEFT, DAY)), seen(LEFT)),
        (past(row(LEFT), record_gone=HOUR), seen()),
        (past(row(LEFT, until=DAY), record_gone=2 * DAY), seen(address="missing")),
    ):
        decision = run(ENFORCE, history, observed)
        assert (decision.policy, decision.record, decision.remove) == (TESTED, ANNOUNCE, False)
        assert decision.conditions == {READY: NOW}
        assert codes(decision) == ["testing-period"]


# --- what holds whatever comes ----------------------------------------------------------------------------

PATTERNS = ("mx1.example.net", "mx2.example.net", "*.example.net", "mx.example.org")
HOSTS = ("mx1.example.net", "mx2.example.net", "mx.example.org", "a.b.example.net")
MX_LISTS = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3, unique=True).map(tuple)
MODES = st.sampled_from(["none", "testing", "enforce"])
AGES = st.sampled_from([0, 3600, 86400, 2592000, 31557600])
POLICIES = st.builds(Policy, MODES, MX_LISTS, AGES)
TIMES = st.timedeltas(-2 * DAY, 400 * DAY).map(lambda ago: NOW - ago)
CONDITIONS = st.sampled_from([TESTING, READY, RECORD_GONE, *(UNNEEDED + pattern for pattern in PATTERNS)])
# Most of what is drawn is well, so that domains get somewhere.
TEXTS = st.sampled_from([(), (), (), (), ("a",), ("a", "b")])

DESIRED = st.builds(
    Desired,
    st.just("example.com"),
    MX_LISTS,
    MODES,
    AGES,
    st.sampled_from([(), ("mailto:a@example.com",)]),
    st.sampled_from(["present", "present", "absent"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 7, 365]),
    st.booleans(),
).map(lambda one: dataclasses.replace(one, mx=()) if one.state == "absent" and one.gate else one)
SERVED = st.builds(Served, st.sampled_from(["web1", "web2"]), POLICIES, TIMES, st.none() | TIMES, st.booleans())
FROZEN = st.sampled_from([*[()] * 9, (Hold("clock", "web1"),)])
HISTORIES = st.builds(
    History,
    st.lists(SERVED, max_size=3).map(tuple),
    st.dictionaries(CONDITIONS, TIMES, max_size=3),
    FROZEN,
)


class Case(t.NamedTuple):
    """What a decision was made from, and the decision."""

    desired: Desired
    history: History
    observed: t.Optional[Observed]
    decision: Decision


@st.composite
def observations(draw: st.DrawFn) -> Observed:
    announced = draw(st.none() | POLICIES)
    records = draw(st.sampled_from([None, (), (), ("v=STSv1; id=1",), ("v=STSv1; id=1", "v=STSv1; id=2")]))
    return Observed(
        address=draw(st.sampled_from(["ours", "ours", "ours", "missing", "elsewhere", "unknown"])),
        records=records,
        record_id=(id_of(announced) if announced else draw(st.sampled_from(["1", "0" * 32]))) if records else None,
        record_ttl=draw(st.sampled_from([60, 3600, 2 * 86400])),
        foreign_records=draw(TEXTS) if records is not None else (),
        foreign_tlsrpt_records=draw(TEXTS),
        policy=draw(st.none() | st.just(announced) | POLICIES),
        mx=draw(st.none() | st.lists(st.sampled_from(HOSTS), max_size=3, unique=True).map(tuple)),
        mx_ttl=draw(st.sampled_from([0, 3600, 2**31 - 1])),
        mx_failures=draw(TEXTS),
        certificate_failures=draw(TEXTS),
        proof=draw(st.none() | st.builds(Proof, POLICIES.map(id_of), st.integers(0, 2), TEXTS)),
        renewal_failures=draw(TEXTS),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A decision, made without or with the proof of the very policy that it was about."""
    desired, history = draw(DESIRED), draw(HISTORIES)
    observed = draw(observations() if draw(st.integers(0, 9)) else st.none())
    decision = decide(desired, history, observed, NOW)
    if observed is not None and decision.policy is not None and draw(st.sampled_from([True, True, True, False])):
        observed = dataclasses.replace(observed, proof=proof_of(decision.policy, 2, draw(TEXTS)))
        decision = decide(desired, history, observed, NOW)
    event(f"{desired.state}: {decision.stage}, {decision.record}")
    return Case(desired, history, observed, decision)


def p1_no_id_without_a_whole_proof_of_its_policy(case: Case) -> None:
    decision, observed = case.decision, case.observed
    if decision.record == ANNOUNCE:
        assert decision.policy is not None
        assert decision.serve
        assert observed is not None
        assert observed.proof is not None
        assert observed.proof.id == id_of(decision.policy)
        assert observed.proof.fetched
        assert not observed.proof.failures
    assert (decision.stage == "pending") is any(one.keeps_from_announcing for one in decision.holds)


def a_domain_that_does_not_arrive_says_why(case: Case) -> None:
    desired, decision = case.desired, case.decision
    arrived = decision.stage == {"testing": "testing", "enforce": "enforcing", "none": "none"}[desired.mode]
    if desired.state == "absent":
        arrived = decision.stage == "absent" or decision.remove
    assert arrived or decision.holds
    assert not (decision.remove and decision.serve)


def p6_what_enforces_is_never_taken_back_by_what_is_seen(case: Case) -> None:
    wanted = case.desired.state == "present" and case.desired.mode == "enforce"
    if case.observed is not None and wanted and any(one.mode == "enforce" for one in case.history.current(NOW)):
        assert not case.decision.serve or mode(case.decision) == "enforce"


def p6_the_patterns_are_those_of_the_inventory_and_of_what_senders_may_get(case: Case) -> None:
    desired, observed, decision = case.desired, case.observed, case.decision
    if decision.serve and desired.state == "present":
        assert decision.policy is not None
        known = {pattern for served in case.history.served for pattern in served.policy.mx}
        if observed is not None and observed.policy is not None:
            known.update(observed.policy.mx)
        assert set(desired.mx) <= set(decision.policy.mx) <= {*desired.mx, *known}


def p5_nothing_goes_that_a_sender_may_need(case: Case) -> None:
    observed, decision = case.observed, case.decision
    if decision.record == REMOVE or decision.remove:
        assert case.desired.state == "absent"
        assert observed is not None
        assert {one.policy.mode if one.policy else "" for one in case.history.outstanding(NOW)} <= {"none"}
        assert observed.policy is None or observed.policy.mode == "none"
    if decision.remove:
        assert observed is not None
        assert not observed.records
        assert decision.conditions is not None
        assert NOW - decision.conditions[RECORD_GONE] >= DAY


# Together, as what costs is to make the cases.
@settings(max_examples=300)
@given(cases())
def test_whatever_comes(case: Case) -> None:
    p1_no_id_without_a_whole_proof_of_its_policy(case)
    p5_nothing_goes_that_a_sender_may_need(case)
    p6_what_enforces_is_never_taken_back_by_what_is_seen(case)
    p6_the_patterns_are_those_of_the_inventory_and_of_what_senders_may_get(case)
    a_domain_that_does_not_arrive_says_why(case)
