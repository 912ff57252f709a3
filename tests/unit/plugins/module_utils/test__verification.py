# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which verifications are a success."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._verification import FAIL_ON, verify_failure
from documents import finding, seen_domain, verified

Document = dict[str, t.Any]

WELL = seen_domain("well.example", "enforce")
NOTED = seen_domain("noted.example", "enforce", finding("tlsrpt-missing", "x", "no"))
WARNED = seen_domain(
    "warned.example", "testing", finding("tlsrpt-missing", "x", "no"), finding("policy-max-age", "x", "60")
)
WRONG = seen_domain("wrong.example", "testing", finding("mx-unmatched", "x", "no"))
BROKEN = seen_domain("broken.example", "broken")
ALL = [WELL, NOTED, WARNED, WRONG, BROKEN]
FAILING: dict[str, tuple[int, str]] = {
    "broken": (1, "broken: broken.example"),
    "error": (2, "with a finding of severity error or worse: wrong.example, broken.example"),
    "warning": (3, "with a finding of severity warning or worse: warned.example, wrong.example, broken.example"),
    "notice": (
        4,
        "with a finding of severity notice or worse: noted.example, warned.example, wrong.example, broken.example",
    ),
}


def document(domains: t.Iterable[tuple[str, Document]], **more: t.Any) -> Document:
    return {**verified(domains, {}, 0), **more}


@pytest.mark.parametrize("fail_on", FAILING)
def test_from_which_gravity_on_it_fails(fail_on: str) -> None:
    number, text = FAILING[fail_on]
    assert verify_failure(document(ALL), fail_on) == f"{number} of 5 domains {text}"
    assert verify_failure(document(ALL[: 5 - number]), fail_on) == ""


def test_it_fails_whenever_it_is_asked_to() -> None:
    assert {*FAILING, "never"} == {*FAIL_ON}
    assert verify_failure(document(ALL), "never") == ""


def test_hosts_that_failed_fail_it_whatever_was_found() -> None:
    failed = document([WELL], failed_hosts={"probe1": "gone", "probe2": "gone"}, failed_report_hosts={"inbox1": "gone"})
    told = "hosts that did not look at their share of the domains: probe1, probe2; report hosts that failed: inbox1"
    assert verify_failure(failed, "never") == told


def test_of_many_domains_some_are_named() -> None:
    many = [seen_domain(f"d{number}.example", "broken") for number in range(30)]
    told = verify_failure(document(many), "broken")
    assert told.startswith("30 of 30 domains broken: d0.example, d1.example, ")
    assert told.endswith(", d19.example, ...")
