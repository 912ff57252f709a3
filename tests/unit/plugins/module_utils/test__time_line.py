# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of reports is added up, in order, and bounded."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils import _time_line
from ansible_collections.postmaster.mta_sts.plugins.module_utils._time_line import failures_line, read_time_lines
from documents import EXPIRED, NOW, ReportedDays, reported, reports

Document = dict[str, t.Any]
WELL: ReportedDays = {1: ({"A": (5, 0)}, [])}
BAD: ReportedDays = {1: ({"A": (5, 2)}, [(*EXPIRED, 2)])}


def read(*hosts: Document) -> dict[str, _time_line.TimeLine]:
    documents = {f"inbox{number}": domains.items() for number, domains in enumerate(hosts)}
    wanted = {"a.example", "b.example"}
    return dict(read_time_lines(documents, wanted, {}).time_lines)


def test_days_are_in_order_and_hosts_are_added_up() -> None:
    found = reported(inbox3="timed out")
    assert found.troubles == {"inbox3": "timed out"}
    days = found.time_lines["bakery.example"]
    assert [day["day"] for day in days] == ["2026-11-21", "2026-11-23", "2026-11-24", "2026-11-25"]
    assert (days[-1]["succeeded"], days[-1]["failed"]) == (1619, 0)
    assert list(days[-1]["reporters"]) == ["Google Inc.", "Microsoft Corporation", "Mail.ru"]
    assert [failure["sessions"] for failure in days[-2]["failures"]] == [3, 2]
    (day,) = read(reports("a.example", BAD), reports("a.example", BAD))["a.example"]
    assert (day["succeeded"], day["failed"], day["failures"][0]["sessions"], day["left_out"]) == (10, 4, 4, 0)


def test_others_than_the_wanted_domains_are_left_out() -> None:
    assert list(read({**reports("a.example", WELL), **reports("c.example", BAD)})) == ["a.example"]


def test_a_flood_is_bounded_and_told() -> None:
    names = {f"R{number:02}": (number, number) for number in range(30)}
    failed = [("odd", f"mx{number}.example.net", "R01", number) for number in range(1, 21)]
    days: ReportedDays = dict.fromkeys(range(40), (names, failed))
    line = read(reports("a.example", days))["a.example"]
    assert len(line) == _time_line.DAYS_LIMIT
    assert line[-1]["day"] == str(NOW.date())
    assert list(line[0]["reporters"])[:2] == ["R29", "R28"]
    assert [failure["sessions"] for failure in line[0]["failures"]] == list(range(20, 10, -1))
    assert (line[0]["failed"], line[0]["left_out"]) == (sum(range(30)), 30)


def test_of_very_many_days_those_are_shown_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {**reports("a.example", WELL), **reports("b.example", BAD)}
    monkeypatch.setattr(_time_line, "TOTAL_LIMIT", 2)
    assert list(read(told)) == ["a.example", "b.example"]
    monkeypatch.setattr(_time_line, "TOTAL_LIMIT", 1)
    assert list(read(told)) == ["b.example"]


def test_what_is_damaged_is_told() -> None:
    documents: Document = {"inbox1": [("a.example", {"no day": {}})], "inbox2": ()}
    found = read_time_lines(documents, {"a.example"}, {"inbox2": "timed out", "inbox3": "timed out"})
    assert found.time_lines == {}
    assert found.troubles["inbox1"] == "some of its reports are left out: a.example no day is damaged"
    assert found.troubles["inbox2"] == found.troubles["inbox3"] == "timed out"


def test_a_line_on_the_screen_where_something_failed() -> None:
    found = reported().time_lines
    assert failures_line(found["example.org"]) == failures_line([]) == []
    assert failures_line(found["bakery.example"]) == [
        "senders reported that 46 of 4,159 sessions failed since 2026-11-23, by 2 reporters"
    ]


def test_days_are_those_that_the_documents_tell() -> None:
    (day,) = read(reports("a.example", {400: WELL[1]}))["a.example"]
    assert day["day"] == str(NOW.date() - dt.timedelta(days=400))
