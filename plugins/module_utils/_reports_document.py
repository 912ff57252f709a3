# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the documents of reports say of each domain and day, as far as they can be believed to be such documents.

They come from the hosts where reports arrive, and what is in them comes from anybody: whatever is not as
C(docs/schemas/reports.json) has it is left out and told, and what is left is bounded and printable.
Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import re
import typing as t

from ._finding import printable
from ._tlsrpt import COUNT_LIMIT, TEXT_LIMIT

# Of one day of a domain so many of each are read: those with the most sessions.
REPORTERS_LIMIT: t.Final = 200
FAILURES_LIMIT: t.Final = 200

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

# Host -> its domains, each with its days; to be read as often as it is asked for. What is damaged may raise ValueError.
Documents = t.Mapping[str, t.Iterable[tuple[str, t.Any]]]


class Reporter(t.NamedTuple):
    """What one reporter told of a day in all."""

    name: str
    succeeded: int
    failed: int
    # How many of those that succeeded did so by DANE.
    succeeded_dane: int = 0


class Failure(t.NamedTuple):
    """So many sessions of a day that failed alike."""

    result_type: str
    # Empty if that was not told.
    mx_host: str
    policy_type: str
    reporter: str
    sessions: int


class Day(t.NamedTuple):
    """What one host knows of one day of a domain."""

    domain: str
    day: dt.date
    reporters: tuple[Reporter, ...]
    failures: tuple[Failure, ...]


def read_days(documents: Documents, wanted: t.Collection[str], troubles: dict[str, str]) -> t.Iterator[Day]:
    """All days of the wanted domains, host by host; C(troubles) gets why something of a host is left out."""
    for host, domain, days in _domains(documents, wanted, troubles):
        for day, values in days.items() if isinstance(days, dict) else [("", None)]:
            try:
                yield _day(domain, day, values)
            except (AttributeError, KeyError, TypeError, ValueError):
                troubles[host] = f"some of its reports are left out: {domain} {printable(day, 40)} is damaged"


def failing_domains(documents: Documents, wanted: t.Collection[str]) -> set[str]:
    """The domains of which any host tells a failure, at little cost: of most domains none is told."""
    return {
        domain
        for _host, domain, days in _domains(documents, wanted, {})
        if isinstance(days, dict) and any(isinstance(day, dict) and day.get("failures") for day in days.values())
    }


def count_days(documents: Documents, wanted: t.Collection[str]) -> int:
    """Of how many days of the wanted domains something is told, by every host that does."""
    return sum(len(days) for _host, _domain, days in _domains(documents, wanted, {}) if isinstance(days, dict))


def _domains(
    documents: Documents, wanted: t.Collection[str], troubles: dict[str, str]
) -> t.Iterator[tuple[str, str, t.Any]]:
    for host in documents:
        try:
            for domain, days in documents[host]:
                if domain in wanted:
                    yield host, domain, days
        except ValueError as error:
            troubles[host] = f"its reports are left out, or some of them: {printable(str(error))}"


def _day(domain: str, text: str, values: t.Any) -> Day:
    """A day of a domain. Raises AttributeError, KeyError, TypeError or ValueError for what is none."""
    if not _DAY.fullmatch(text):
        raise ValueError(text)
    reporters = [
        Reporter(
            _text(name), _number(told["succeeded"]), _number(told["failed"]), _number(told.get("succeeded_dane", 0))
        )
        for name, told in values["reporters"].items()
    ]
    failures = [
        Failure(
            _text(one["result_type"]),
            _text(one["mx_host"]),
            _text(one["policy_type"]),
            _text(one["reporter"]),
            _number(one["sessions"]),
        )
        for one in values["failures"]
    ]
    reporters.sort(key=lambda one: -one.succeeded - one.failed)
    failures.sort(key=lambda one: -one.sessions)
    day = dt.date.fromisoformat(text)
    return Day(domain, day, tuple(reporters[:REPORTERS_LIMIT]), tuple(failures[:FAILURES_LIMIT]))


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return printable(value, TEXT_LIMIT)


def _number(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(value)
    # Sums of numbers that are bounded themselves are cut where nobody would read them.
    return min(value, 1000 * COUNT_LIMIT)
