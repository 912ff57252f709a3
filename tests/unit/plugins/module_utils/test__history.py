# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What senders may hold, from what was served: the longest time counts, and what is forgotten counts as the worst."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._history import (
    DAY,
    TOLERANCE,
    History,
    Outstanding,
    Served,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy
from hypothesis import given
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
SECOND = dt.timedelta(seconds=1)
TESTING = Policy("testing", ("mx1.example.net",), 86400)
ENFORCE = Policy("enforce", ("mx1.example.net",), 30 * 86400)
NONE = Policy("none", ("mx1.example.net",), 86400)


def row(
    policy: Policy,
    since: dt.timedelta = 90 * DAY,
    until: t.Optional[dt.timedelta] = None,
    host: str = "web1",
    after_unknown: bool = False,
) -> Served:
    """A row of a ledger, its times as what has passed since then."""
    return Served(host, policy, NOW - since, None if until is None else NOW - until, after_unknown)


CURRENT: dict[str, tuple[tuple[Served, ...], tuple[Policy, ...]]] = {
    "nothing was served": ((), ()),
    "two hosts serve the same": ((row(TESTING), row(TESTING, host="web2")), (TESTING,)),
    "two hosts serve different ones": ((row(TESTING), row(ENFORCE, host="web2")), (TESTING, ENFORCE)),
    "one was replaced": ((row(TESTING, until=DAY), row(ENFORCE, DAY)), (ENFORCE,)),
    "one ends this very moment": ((row(TESTING, until=0 * DAY),), ()),
    "one may be fetched elsewhere for a while": ((row(TESTING, until=-SECOND),), (TESTING,)),
}


@pytest.mark.parametrize(("served", "expected"), CURRENT.values(), ids=CURRENT)
def test_what_senders_may_get_now(served: tuple[Served, ...], expected: tuple[Policy, ...]) -> None:
    assert History(served).current(NOW) == expected


ENFORCES: dict[str, tuple[tuple[Served, ...], bool]] = {
    "nothing was served": ((), False),
    "it is served": ((row(ENFORCE),), True),
    "one of the hosts serves it": ((row(TESTING), row(ENFORCE, host="web2")), True),
    "it was replaced": ((row(ENFORCE, until=DAY), row(TESTING, DAY)), False),
    "it was the last one": ((row(TESTING, until=2 * DAY), row(ENFORCE, 2 * DAY, DAY)), True),
    "another was the last one": ((row(ENFORCE, until=2 * DAY), row(TESTING, 2 * DAY, DAY)), False),
    "it was the last one, together with another": ((row(TESTING, until=DAY), row(ENFORCE, until=DAY)), True),
}


@pytest.mark.parametrize(("served", "expected"), ENFORCES.values(), ids=ENFORCES)
def test_p6_whether_a_domain_enforces(served: tuple[Served, ...], expected: bool) -> None:
    assert (
        any(policy.mode == "enforce" for policy in History(served).current(NOW) or History(served).last(NOW))
        is expected
    )
    assert (
        any(
            policy.mode == "enforce" for policy in History(served[::-1]).current(NOW) or History(served[::-1]).last(NOW)
        )
        is expected
    )


def outstanding(*served: Served, forgotten: int = 30 * 86400) -> list[tuple[t.Optional[Policy], dt.timedelta]]:
    """What senders may hold, and for how long still."""
    return [(one.policy, one.expires - NOW) for one in History(served).outstanding(NOW, forgotten)]


def test_a_policy_that_is_served_may_be_fetched_now() -> None:
    assert outstanding(row(ENFORCE)) == [(ENFORCE, 30 * DAY + TOLERANCE)]


def test_a_policy_that_was_replaced_may_be_held_for_its_max_age() -> None:
    assert outstanding(row(ENFORCE, until=10 * DAY)) == [(ENFORCE, 20 * DAY + TOLERANCE)]


@pytest.mark.parametrize(("ago", "count"), [(30 * DAY + TOLERANCE - SECOND, 1), (30 * DAY + TOLERANCE, 0)])
def test_a_policy_is_held_to_its_last_second_and_no_longer(ago: dt.timedelta, count: int) -> None:
    assert len(outstanding(row(ENFORCE, until=ago))) == count


def test_a_policy_without_max_age_may_be_under_way() -> None:
    assert outstanding(row(Policy("testing", TESTING.mx, 0))) == [(Policy("testing", TESTING.mx, 0), TOLERANCE)]


@pytest.mark.parametrize(
    ("first", "forgotten", "max_age"),
    [(TESTING, 30 * 86400, 30 * DAY), (TESTING, 60 * 86400, 60 * DAY), (ENFORCE, 86400, 30 * DAY)],
)
def test_a_policy_that_nobody_remembers_had_the_longest_max_age_that_is_likely(
    first: Policy, forgotten: int, max_age: dt.timedelta
) -> None:
    found = outstanding(row(first, 2 * DAY, after_unknown=True), forgotten=forgotten)
    # Addresses of others were in caches for a day.
    assert (None, max_age - 2 * DAY + DAY + TOLERANCE) in found
    assert len(found) == 2


def test_what_came_before_the_unknown_does_not_end_it() -> None:
    """Only the time does, counted from the first policy that is remembered."""
    assert outstanding(row(TESTING, 31 * DAY + TOLERANCE, 20 * DAY, after_unknown=True)) == []
    assert len(outstanding(row(TESTING, 31 * DAY, 20 * DAY, after_unknown=True))) == 1


def accepts(policy: t.Optional[Policy], pattern: str) -> bool:
    return Outstanding(policy, NOW).accepts(pattern)


def test_which_mx_hosts_a_sender_accepts_that_holds_a_policy() -> None:
    wild = Policy("enforce", ("*.example.net", "mx.example.org"), 86400)
    accepted = {"mx1.example.net": True, "*.example.net": True, "mx.example.org": True}
    refused = {"a.mx1.example.net": False, "*.example.org": False, "mx2.example.org": False}
    assert {pattern: accepts(wild, pattern) for pattern in accepted | refused} == accepted | refused
    # Every host of a wildcard could come.
    assert not accepts(ENFORCE, "*.example.net")
    assert not accepts(None, "mx1.example.net")


def test_what_nobody_remembers_may_enforce() -> None:
    assert {policy: Outstanding(policy, NOW).enforces for policy in (None, ENFORCE, TESTING, NONE)} == {
        None: True,
        ENFORCE: True,
        TESTING: False,
        NONE: False,
    }


@pytest.mark.parametrize(
    ("served", "policy"),
    [((), None), ((row(TESTING),), TESTING), ((row(TESTING, until=DAY), row(TESTING, host="web2")), TESTING)],
)
def test_what_the_policy_hosts_serve_is_not_found_elsewhere(
    served: tuple[Served, ...], policy: t.Optional[Policy]
) -> None:
    history = History(served)
    assert history.with_found(policy, NOW, elsewhere=False) == (history, None)


def test_what_others_serve_alike_does_not_end_with_what_we_serve() -> None:
    """Its own past is told by what was found first; only its end is another one."""
    history, found = History((row(TESTING),)).with_found(TESTING, NOW, elsewhere=True)
    assert found == Served("elsewhere", TESTING, NOW, NOW + DAY)
    assert history.served == (row(TESTING), found)
    assert History(()).with_found(None, NOW, elsewhere=True) == (History(()), None)


def test_what_others_serve_and_cannot_be_seen_is_what_was_found_last() -> None:
    older = row(TESTING, 9 * DAY, until=8 * DAY, after_unknown=True)
    last = row(ENFORCE, 7 * DAY, until=6 * DAY, after_unknown=True)
    ours = row(TESTING, 5 * DAY, until=DAY)
    history, found = History((older, last, ours)).with_found(None, NOW, elsewhere=True)
    assert found == Served("elsewhere", ENFORCE, NOW, NOW + DAY, after_unknown=True)
    assert history.served == (older, last, ours, found)
    # Nobody can hold it any more, or nobody is led there.
    gone = row(ENFORCE, 99 * DAY, until=40 * DAY, after_unknown=True)
    assert History((gone, ours)).with_found(None, NOW, elsewhere=True)[1] is None
    assert History((last,)).with_found(None, NOW, elsewhere=False)[1] is None


@pytest.mark.parametrize("served", [(), (row(TESTING),), (row(ENFORCE, until=DAY),)])
def test_what_is_found_elsewhere_may_be_fetched_for_a_day_and_what_was_before_it_is_not_known(
    served: tuple[Served, ...],
) -> None:
    history, found = History(served, {"ready": NOW}).with_found(ENFORCE, NOW, elsewhere=True)
    assert found is not None
    assert (found.policy, found.since, found.until, found.after_unknown) == (ENFORCE, NOW, NOW + DAY, True)
    assert history == History((*served, found), {"ready": NOW})
    assert (ENFORCE, 31 * DAY + TOLERANCE) in outstanding(*history.served)


ROWS = st.builds(
    row,
    st.sampled_from([TESTING, ENFORCE, NONE]),
    st.timedeltas(0 * DAY, 400 * DAY),
    st.none() | st.timedeltas(-DAY, 400 * DAY),
    st.sampled_from(["web1", "web2"]),
    st.booleans(),
)


@given(st.lists(ROWS, max_size=4), ROWS)
def test_more_history_never_makes_less_outstanding(rows: list[Served], more: Served) -> None:
    longer = {one.policy: one.expires for one in History((*rows, more)).outstanding(NOW)}
    assert all(longer[one.policy] >= one.expires for one in History(tuple(rows)).outstanding(NOW))


@given(st.lists(ROWS, max_size=4), st.timedeltas(0 * DAY, 400 * DAY))
def test_time_alone_brings_no_policy_and_ends_those_that_are_not_served(
    rows: list[Served], passed: dt.timedelta
) -> None:
    closed = History(tuple(one for one in rows if one.until is not None))
    assert set(closed.outstanding(NOW + passed)) <= set(closed.outstanding(NOW))
    assert closed.outstanding(NOW + 800 * DAY) == ()
