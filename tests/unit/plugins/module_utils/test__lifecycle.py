# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be done for one domain: serve what is desired, announce what is proved, and nothing else."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lifecycle import (
    HOLD_CODES,
    Observed,
    Proof,
    Served,
    decide,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from hypothesis import given
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
MX = ("mx1.example.net",)
DESIRED = Desired("example.com", MX)
TESTING = Policy("testing", MX, 86400)


def proof_of(policy: Policy, fetched: int = 2, failures: tuple[str, ...] = ()) -> Proof:
    return Proof(policy_id(render_policy(policy)), fetched, failures)


def test_before_anything_is_observed_nothing_is_announced() -> None:
    decision = decide(DESIRED, (), None, NOW)
    assert (decision.stage, decision.policy, decision.announce) == ("pending", TESTING, False)
    assert [hold.code for hold in decision.holds] == ["unobserved"]


@pytest.mark.parametrize(
    ("mode", "max_age", "policy", "stage"),
    [
        ("testing", 2592000, Policy("testing", MX, 86400), "testing"),
        ("testing", 3600, Policy("testing", MX, 3600), "testing"),
        ("enforce", 2592000, Policy("enforce", MX, 2592000), "enforcing"),
        ("none", 2592000, Policy("none", MX, 86400), "none"),
    ],
)
def test_what_is_desired_is_served_and_announced_when_proved(
    mode: str, max_age: int, policy: Policy, stage: str
) -> None:
    desired = Desired("example.com", MX, mode, max_age)
    decision = decide(desired, (), Observed("ours", proof=proof_of(policy)), NOW)
    assert decision.policy == policy
    assert (decision.stage, decision.announce, decision.holds) == (stage, True, ())


OURS = Observed("ours")
HOLDS: list[tuple[str, Observed, Desired]] = [
    ("dns-failure", Observed("unknown"), DESIRED),
    ("address-elsewhere", Observed("elsewhere", ("198.51.100.7",)), DESIRED),
    (
        "address-elsewhere",
        Observed("elsewhere", ("198.51.100.7",)),
        Desired("example.com", MX, replace_foreign=True, manage_address=False),
    ),
    ("address-missing", Observed("missing"), Desired("example.com", MX, manage_address=False)),
    ("record-foreign", Observed("ours", foreign_records=("token=1",)), DESIRED),
    ("proof-missing", OURS, DESIRED),
    ("proof-missing", Observed("ours", proof=proof_of(TESTING, fetched=0)), DESIRED),
    ("proof-missing", Observed("ours", proof=proof_of(Policy("enforce", MX, 86400))), DESIRED),
    ("proof-failed", Observed("ours", proof=proof_of(TESTING, 1, ("web2: no answer",))), DESIRED),
    (
        "certificate",
        Observed("ours", certificate_failures=("web1: no",), proof=proof_of(TESTING, 0, ("web1: handshake",))),
        DESIRED,
    ),
]


@pytest.mark.parametrize(("code", "observed", "desired"), HOLDS)
def test_a_hold_keeps_the_id_out_of_dns(code: str, observed: Observed, desired: Desired) -> None:
    decision = decide(desired, (), observed, NOW)
    assert (decision.stage, decision.announce) == ("pending", False)
    assert [hold.code for hold in decision.holds] == [code]
    assert code in HOLD_CODES


def test_a_certificate_is_asked_for_only_where_the_name_leads_to_us() -> None:
    wanted = {"ours": True, "missing": True, "elsewhere": False, "unknown": False}
    assert {state: decide(DESIRED, (), Observed(state), NOW).certificate for state in wanted} == wanted


def test_foreign_records_are_replaced_on_request() -> None:
    desired = Desired("example.com", MX, replace_foreign=True)
    observed = Observed("elsewhere", ("198.51.100.7",), ("token=1",), proof=proof_of(TESTING))
    assert decide(desired, (), observed, NOW).announce


def test_a_foreign_tlsrpt_record_is_reported_and_holds_nothing_back() -> None:
    desired = Desired("example.com", MX, tlsrpt=("mailto:a@example.com",))
    observed = Observed("ours", foreign_tlsrpt_records=("token=1",), proof=proof_of(TESTING))
    decision = decide(desired, (), observed, NOW)
    assert (decision.stage, decision.announce) == ("testing", True)
    assert [hold.code for hold in decision.holds] == ["tlsrpt-foreign"]
    assert decide(DESIRED, (), observed, NOW).holds == ()


def test_withdrawal_serves_none_and_keeps_the_mx_lines() -> None:
    desired = Desired("example.com", (), state="absent")
    history = (Served("web1", Policy("enforce", MX, 2592000)),)
    none = Policy("none", MX, 86400)
    decision = decide(desired, history, Observed("ours", proof=proof_of(none)), NOW)
    assert decision.policy == none
    assert (decision.stage, decision.announce) == ("withdrawing", True)
    assert [hold.code for hold in decision.holds] == ["withdrawal"]


def test_a_domain_that_never_was_and_shall_not_be() -> None:
    decision = decide(Desired("example.com", (), state="absent"), (), OURS, NOW)
    assert (decision.stage, decision.policy, decision.announce) == ("absent", None, False)


PROOFS = st.none() | st.builds(
    Proof,
    st.sampled_from([policy_id(render_policy(TESTING)), "0" * 32]),
    st.integers(0, 3),
    st.lists(st.text(), max_size=2).map(tuple),
)
OBSERVED = st.none() | st.builds(
    Observed,
    st.sampled_from(["ours", "missing", "elsewhere", "unknown"]),
    st.just(()),
    st.lists(st.text(), max_size=1).map(tuple),
    st.just(()),
    st.lists(st.text(), max_size=1).map(tuple),
    PROOFS,
)


@given(
    OBSERVED,
    st.sampled_from(["none", "testing", "enforce"]),
    st.sampled_from(["present", "absent"]),
    st.booleans(),
    st.booleans(),
)
def test_p1_no_id_without_a_whole_proof_of_its_policy(
    observed: t.Optional[Observed], mode: str, state: str, manage: bool, replace: bool
) -> None:
    desired = Desired("example.com", MX, mode, state=state, manage_address=manage, replace_foreign=replace)
    decision = decide(desired, (), observed, NOW)
    if decision.announce:
        assert observed is not None
        assert observed.proof is not None
        assert decision.policy is not None
        assert observed.proof.id == policy_id(render_policy(decision.policy))
        assert observed.proof.fetched
        assert not observed.proof.failures
    elif decision.policy is not None:
        assert decision.holds
