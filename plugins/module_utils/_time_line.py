# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What senders reported of domains, day by day, to be shown: who had how many sessions, and what failed.

However much was reported, only so much is shown. Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ._reports_document import Documents, Failure, count_days, failing_domains, read_days
from ._screen import count, cut

# Of a domain the last days, and of a day the reporters and the failures with the most failed sessions.
DAYS_LIMIT: t.Final = 14
REPORTERS_SHOWN: t.Final = 10
FAILURES_SHOWN: t.Final = 10
# With more days than this of all domains together, those domains are left out in which nothing failed.
TOTAL_LIMIT: t.Final = 100_000

Document = dict[str, t.Any]
TimeLine = list[Document]


class Reported(t.NamedTuple):
    """All that is shown of reports: by domain its days, and by report host why it did not tell all."""

    time_lines: t.Mapping[str, TimeLine]
    troubles: t.Mapping[str, str]


NOTHING_REPORTED: t.Final = Reported({}, {})


class _Sums(t.NamedTuple):
    """One day of a domain, from all hosts."""

    succeeded: Counter[str]
    failed: Counter[str]
    # How many sessions failed alike, by all but their number.
    failures: Counter[tuple[str, str, str, str]]


def read_time_lines(documents: Documents, wanted: t.Collection[str], unread: t.Mapping[str, str]) -> Reported:
    """What documents tell of the wanted domains; C(unread) is why there are none of other hosts."""
    troubles: dict[str, str] = {}
    if count_days(documents, wanted) > TOTAL_LIMIT:
        wanted = failing_domains(documents, wanted)
    found: dict[str, dict[str, _Sums]] = {}
    for one in read_days(documents, wanted, troubles):
        sums = found.setdefault(one.domain, {}).setdefault(str(one.day), _Sums(Counter(), Counter(), Counter()))
        for told in one.reporters:
            sums.succeeded[told.name] += told.succeeded
            sums.failed[told.name] += told.failed
        for failure in one.failures:
            sums.failures[failure[:4]] += failure.sessions
    lines = {domain: [_shown(day, days[day]) for day in sorted(days)[-DAYS_LIMIT:]] for domain, days in found.items()}
    return Reported(lines, {**troubles, **unread})


def _shown(day: str, sums: _Sums) -> Document:
    order = sorted(sums.succeeded, key=lambda name: (-sums.failed[name], -sums.succeeded[name], name))
    failures = [Failure(*key, sessions) for key, sessions in sums.failures.items()]
    failures.sort(key=lambda one: (-one.sessions, one))
    reporters = {name: {"succeeded": sums.succeeded[name], "failed": sums.failed[name]} for name in order}
    return {
        "day": day,
        "succeeded": sum(sums.succeeded.values()),
        "failed": sum(sums.failed.values()),
        "reporters": dict(list(reporters.items())[:REPORTERS_SHOWN]),
        "failures": [one._asdict() for one in failures[:FAILURES_SHOWN]],
        "left_out": max(len(order) - REPORTERS_SHOWN, 0) + max(len(failures) - FAILURES_SHOWN, 0),
    }


def report_host_lines(document: Document) -> list[str]:
    """For the screen: the hosts of which not all reports were read."""
    troubles = [f"  report host {host}: {text}" for host, text in document["failed_report_hosts"].items()]
    return cut(troubles, "report hosts that failed")


def failures_line(days: TimeLine) -> list[str]:
    """For the screen: a line on what failed, if anything did."""
    failed = sum(day["failed"] for day in days)
    if not failed:
        return []
    sessions = failed + sum(day["succeeded"] for day in days)
    reporters = {name for day in days for name, told in day["reporters"].items() if told["failed"]}
    first = next(day["day"] for day in days if day["failed"])
    by = f", by {count(len(reporters), 'reporter')}" if reporters else ""
    return [f"senders reported that {failed:,} of {sessions:,} sessions failed since {first}{by}"]
