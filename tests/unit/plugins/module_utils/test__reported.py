# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What senders report holds a domain in testing as long as there is reason to, and never for good."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import Hold
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._reported import (
    HOLDS,
    Told,
    holds_of_reports,
    told_of,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._reports_document import read_days
from hypothesis import given
from hypothesis import strategies as st

NOW = dt.datetime(2026, 11, 20, 10, tzinfo=dt.timezone.utc)
TODAY = NOW.date()
MX = ("mx1.example.net", "mx2.example.net")
DESIRED = Desired("example.com", MX, "enforce")

Document = dict[str, t.Any]


def failure(sessions: int = 4, result_type: str = "certificate-expired", **more: t.Any) -> Document:
    known = {"mx_host": MX[0], "policy_type": "sts", "reporter": "A"}
    return {"result_type": result_type, "sessions": sessions, **known, **more}


def day(*failures: Document, **succeeded: t.Any) -> Document:
    """A day of a document, with how many sessions succeeded by reporter."""
    reporters = {name: {"succeeded": told, "failed": 0} for name, told in succeeded.items()}
    for one in failures:
        reporters.setdefault(one["reporter"], {"succeeded": 0, "failed": 0})["failed"] += one["sessions"]
    return {"reporters": reporters, "failures": list(failures)}


def ago(days: int) -> str:
    return str(TODAY - dt.timedelta(days=days))


def told(*documents: t.Mapping[int, Document]) -> tuple[Told, ...]:
    """What is told of the domain by the documents of several hosts, whose days are so many days ago."""
    hosts = {
        f"inbox{number}": [("example.com", {ago(days): values for days, values in document.items()})]
        for number, document in enumerate(documents)
    }
    return told_of(hosts, {"example.com"}).get("example.com", ())


def holds(
    *documents: t.Mapping[int, Document],
    testing_days: int = 7,
    mx: t.Optional[tuple[str, ...]] = MX,
    now: dt.datetime = NOW,
) -> tuple[Hold, ...]:
    desired = Desired("example.com", MX, "enforce", testing_days=testing_days)
    return holds_of_reports(desired, told(*documents), mx, now)


def ends(*documents: t.Mapping[int, Document], **more: t.Any) -> list[int]:
    """In how many days each hold ends, at midnight."""
    found = [hold.until for hold in holds(*documents, **more)]
    assert all(until is not None and until.time() == dt.time() for until in found)
    return [(until.date() - TODAY).days for until in found if until]


# --- which failures count ---------------------------------------------------------------------------------

# Policy type, result type, and whether a sender that enforces would have refused the session.
FAILURES: list[tuple[str, str, bool]] = [
    ("sts", "starttls-not-supported", True),
    ("sts", "certificate-host-mismatch", True),
    ("sts", "certificate-expired", True),
    ("sts", "certificate-not-trusted", True),
    ("sts", "validation-failure", True),
    ("sts", "not detailed", True),
    ("sts", "tls-is-odd", True),
    ("sts", "sts-policy-fetch-error", False),
    ("sts", "sts-policy-invalid", False),
    ("sts", "sts-webpki-invalid", False),
    ("sts", "dane-required", False),
    ("no-policy-found", "starttls-not-supported", True),
    ("no-policy-found", "validation-failure", True),
    ("no-policy-found", "sts-policy-fetch-error", False),
    ("", "certificate-expired", True),
    ("odd", "not detailed", True),
    ("tlsa", "starttls-not-supported", True),
    ("tlsa", "certificate-expired", False),
    ("tlsa", "validation-failure", False),
    ("tlsa", "tlsa-invalid", False),
    ("tlsa", "dnssec-invalid", False),
    ("tlsa", "dane-required", False),
]


@pytest.mark.parametrize(("policy_type", "result_type", "holding"), FAILURES)
def test_what_would_be_refused_holds(policy_type: str, result_type: str, holding: bool) -> None:
    found = holds({1: day(failure(result_type=result_type, policy_type=policy_type))})
    assert [hold.code for hold in found] == ["mx-reported"] * holding


MX_HOSTS: list[tuple[str, t.Optional[tuple[str, ...]], bool]] = [
    ("mx1.example.net", MX, True),
    ("mx1.example.net.", MX, True),
    ("", MX, True),
    ("*.example.net", MX, True),
    ("mx9.example.net", None, True),
    # It is out of DNS, or never was in it.
    ("mx9.example.net", MX, False),
    ("*.example.org", MX, False),
    ("*", MX, False),
    ("[192.0.2.1]", MX, False),
]


@pytest.mark.parametrize(("host", "mx", "holding"), MX_HOSTS)
def test_an_mx_host_that_is_not_in_dns_holds_nothing(host: str, mx: t.Optional[tuple[str, ...]], holding: bool) -> None:
    assert len(holds({1: day(failure(mx_host=host))}, mx=mx)) == holding


def test_without_failures_nothing_is_kept_of_a_domain() -> None:
    assert told({1: day(A=5000), 2: day(failure(result_type="sts-webpki-invalid"), A=9)}) == ()
    assert holds({1: day(failure(0), A=1)}) == ()


# --- for how long -----------------------------------------------------------------------------------------

WELL = day(A=1)
OTHERS_WELL = day(B=100)
FAILED = day(failure(), A=1000)
# What was reported of which day, so many days ago; in how many days the hold ends, and why.
ENDS: dict[str, tuple[dict[int, Document], int]] = {
    "yesterday": ({1: FAILED}, 7),
    "today": ({0: FAILED}, 8),
    "on the first day of the period": ({7: FAILED}, 1),
    "before the period": ({8: FAILED}, 0),
    "in the future": ({-1: FAILED}, 0),
    "all the time": (dict.fromkeys(range(1, 15), FAILED), 7),
    "mended since": ({3: FAILED, 2: WELL}, 0),
    "mended since, before a report that came late": ({5: WELL, 4: FAILED, 1: WELL}, 0),
    "mended, and silent since": ({6: FAILED, 5: FAILED, 4: WELL}, 0),
    "well before, and not since": ({3: WELL, 2: FAILED}, 6),
    "well today, which is not over": ({1: FAILED, 0: WELL}, 1),
    "it came back": ({5: FAILED, 4: WELL, 3: FAILED, 2: WELL, 1: WELL}, 3),
    "it came back, and is not mended": ({5: FAILED, 4: WELL, 3: FAILED}, 5),
    "it came back twice": ({6: FAILED, 5: WELL, 4: FAILED, 3: WELL, 2: FAILED, 1: WELL}, 4),
    "it came back after the period had begun": ({9: FAILED, 8: WELL, 3: FAILED, 2: WELL}, 0),
    "sessions by DANE are no sign": ({3: FAILED, 2: {**WELL, "reporters": {"A": {
        "succeeded": 9, "failed": 0, "succeeded_dane": 9}}}}, 5),
    "no sessions are no sign": ({3: FAILED, 2: day(A=0)}, 5),
    "another failure is no sign": ({3: FAILED, 2: day(failure(mx_host=""), A=9)}, 6),
    "fetching the policy failed since": ({3: FAILED, 2: day(failure(result_type="sts-webpki-invalid"), A=9)}, 0),
    "one who had no MX host of ours since": ({3: FAILED, 2: day(failure(mx_host="mx9.example.net"), A=9)}, 0),
    "others are well since yesterday": ({2: FAILED, 1: OTHERS_WELL}, 2),
    "others are well, and may not have heard all": ({4: FAILED, 2: OTHERS_WELL, 1: OTHERS_WELL}, 1),
    "others are well, and the reporter is silent": ({4: FAILED, 3: OTHERS_WELL}, 0),
    "others are well, and the reporter is not": ({4: FAILED, 3: OTHERS_WELL, 2: FAILED}, 6),
    "others were well before": ({3: OTHERS_WELL, 2: FAILED}, 6),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_the_hold_ends_by_itself(case: str) -> None:
    days, end = ENDS[case]
    found = ends(days)
    # Another MX host has a hold of its own.
    assert max(found, default=0) == end
    assert min(found, default=0) > 0 or not found


@pytest.mark.parametrize("case", ENDS)
def test_it_ends_when_it_says(case: str) -> None:
    """If nothing more is reported, there is no hold at the time that it gave, and there is one just before."""
    days, end = ENDS[case]
    if not end:
        return
    until = dt.datetime.combine(TODAY + dt.timedelta(days=end), dt.time(), dt.timezone.utc)
    assert holds(days, now=until - dt.timedelta(seconds=1))
    assert not holds(days, now=until)


@pytest.mark.parametrize(("testing_days", "end"), [(0, 1), (1, 1), (2, 2), (30, 30)])
def test_the_period_is_that_of_testing_and_at_least_a_day(testing_days: int, end: int) -> None:
    assert ends({1: FAILED}, testing_days=testing_days) == [end]
    assert ends({testing_days + 2: FAILED}, testing_days=testing_days) == []


def test_each_reporter_has_to_mend_what_it_told() -> None:
    both = day(failure(), failure(reporter="B"))
    assert ends({3: both, 2: day(A=1)}) == [1]
    assert ends({3: both, 2: day(A=1, B=1)}) == []


def test_days_are_those_of_utc() -> None:
    late = dt.datetime(2026, 11, 20, 1, tzinfo=dt.timezone(dt.timedelta(hours=14)))
    assert ends({7: FAILED}, now=late) == [1]
    assert ends({8: FAILED}, now=late) == [0]


# --- what is said -----------------------------------------------------------------------------------------


def test_a_hold_names_the_mx_host_what_failed_how_often_since_when_and_by_whom() -> None:
    (hold,) = holds({3: day(failure(2)), 1: day(failure(1, "starttls-not-supported"), failure(9, reporter="B"))})
    assert hold == Hold(
        "mx-reported",
        "mx1.example.net: certificate-expired, starttls-not-supported in 12 sessions since 2026-11-17, "
        "reported by B, A",
        NOW.replace(hour=0) + dt.timedelta(days=7),
    )
    (hold,) = holds({1: day(failure(1, mx_host=""))})
    assert hold.message.startswith("an MX host that is not named: certificate-expired in 1 session since 2026-11-19")


def test_each_mx_host_has_a_hold_the_worst_first() -> None:
    found = holds({2: day(failure(3)), 1: day(failure(5, mx_host=MX[1]), A=9)})
    assert [hold.message.partition(":")[0] for hold in found] == [MX[1], MX[0]]


def test_what_two_hosts_have_is_added_up() -> None:
    (hold,) = holds({1: day(failure(2))}, {1: day(failure(3))})
    assert "in 5 sessions" in hold.message
    # A day is only well if no host knows otherwise.
    assert ends({3: FAILED, 2: WELL}, {2: FAILED}) == [6]


def test_a_flood_of_reports_is_bounded() -> None:
    names = [f"mx{number}.example.net" for number in range(50)]
    flood = [
        failure(number, f"\x1b[31m{number}" + "x" * 500, mx_host=name, reporter=f"\u202e{number}" + "y" * 500)
        for number, name in enumerate(names, 1)
    ]
    found = holds({1: day(*flood), 2: day(*flood)}, mx=tuple(names))
    assert len(found) == HOLDS
    assert all(hold.message.isprintable() and len(hold.message) < 700 for hold in found)
    (one,) = holds({1: day(*[{**one, "mx_host": MX[0]} for one in flood])})
    assert one.message.isprintable()
    assert len(one.message) < 700
    assert "and 47 more" in one.message


# --- documents are not believed ---------------------------------------------------------------------------

DAMAGED: dict[str, t.Any] = {
    "no day": {"yesterday": day()},
    "no such day": {"2026-02-30": day()},
    "no object": {"2026-11-19": []},
    "no reporters": {"2026-11-19": {"failures": []}},
    "reporters are a list": {"2026-11-19": {"reporters": [1], "failures": []}},
    "numbers are none": {"2026-11-19": {"reporters": {"A": {"succeeded": "1", "failed": 0}}, "failures": []}},
    "numbers are negative": {"2026-11-19": {"reporters": {"A": {"succeeded": -1, "failed": 0}}, "failures": []}},
    "failures are none": {"2026-11-19": {"reporters": {}, "failures": [1]}},
    "failures are of nothing": {"2026-11-19": day(failure(mx_host=None))},
    "days are a list": [1],
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_damaged_is_left_out_and_told_and_stops_nothing_else(damage: str) -> None:
    troubles: dict[str, str] = {}
    domains = {"example.com": DAMAGED[damage], "example.org": {"2026-11-19": FAILED}, "not.ours": 1}
    documents = {"inbox1": domains.items()}
    wanted = {"example.com", "example.org"}
    assert [day.domain for day in read_days(documents, wanted, troubles)] == ["example.org"]
    assert list(told_of(documents, wanted)) == ["example.org"]
    assert troubles["inbox1"].startswith("some of its reports are left out: example.com ")


def test_what_ends_in_the_middle_is_told_and_what_came_before_counts() -> None:
    def cut() -> t.Iterator[tuple[str, t.Any]]:
        yield "example.com", {"2026-11-19": FAILED}
        raise ValueError("there is no } at character 99\x1b")

    class Cut(dict[str, t.Any]):
        def __getitem__(self, host: str) -> t.Any:
            return cut() if host == "inbox1" else super().__getitem__(host)

    troubles: dict[str, str] = {}
    documents = Cut(inbox1=None, inbox2={"example.org": {"2026-11-19": FAILED}}.items())
    wanted = {"example.com", "example.org"}
    assert [day.domain for day in read_days(documents, wanted, troubles)] == ["example.com", "example.org"]
    assert troubles == {"inbox1": "its reports are left out, or some of them: there is no } at character 99?"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(JSON, st.sampled_from(["days", "day", "failure"]))
def test_anything_at_any_place_is_read_or_left_out(value: t.Any, place: str) -> None:
    failed = value if place == "failure" else failure()
    days = {ago(1): value if place == "day" else {"reporters": {}, "failures": [failed]}}
    domains = [("example.com", value if place == "days" else days)]
    found = told_of({"inbox": domains}, {"example.com"})
    for hold in holds_of_reports(DESIRED, found.get("example.com", ()), MX, NOW):
        assert hold.message.isprintable()
