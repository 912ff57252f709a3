# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What senders reported, as evidence for the step to enforce (RFC 8460).

Probes see the MX hosts from one place, when a run looks. Reports tell what senders everywhere met all day long, and
anybody can send one. So they only ever hold a domain in testing, and what ends that is time, or better reports: no
report lowers what enforces, and none brings a step sooner than it would come without any.
Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from ._finding import printable
from ._hold import Hold
from ._inventory import Desired
from ._names import mx_matches
from ._reports_document import Documents, Failure, failing_domains, read_days
from ._screen import count
from ._tlsrpt import DANE

# What senders met when they fetched the policy. Who has none delivers as ever, and who has one keeps it: no mail is
# refused because of these. Whether the policy can be fetched is proved in every run.
OF_THE_POLICY: t.Final = frozenset({"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"})
# What senders meet that know DANE. They go by it whatever the policy says, before and after the step.
OF_DANE: t.Final = frozenset({"tlsa-invalid", "dnssec-invalid", "dane-required"})
# With DANE, certificates are held against TLSA records, and another one may be right. TLS must be there in any case.
WITH_DANE: t.Final = frozenset({"starttls-not-supported"})

# A report of a day comes on the next one, or a day late: who is silent for so many days has nothing to say.
SILENT: t.Final = dt.timedelta(days=3)
# So many are named in a message, in so many characters each, and so many MX hosts have a hold of their own.
NAMED: t.Final = 3
NAME_LIMIT: t.Final = 64
HOLDS: t.Final = 10


class Refused(t.NamedTuple):
    """So many sessions that senders would have refused if the policy had been enforced."""

    # Empty if that was not told.
    mx_host: str
    result_type: str
    sessions: int


class Told(t.NamedTuple):
    """What one reporter told of a day, as far as it matters for the step to enforce."""

    day: dt.date
    reporter: str
    # Sessions that succeeded otherwise than by DANE.
    succeeded: int
    refused: tuple[Refused, ...]


def is_refused(policy_type: str, result_type: str) -> bool:
    """Whether a session that failed so would be refused under a policy that enforces.

    Without a policy (no-policy-found) a session fails when there is no TLS as it should be, as with one. What nobody
    knows, or does not detail, may be anything, and counts.
    """
    if policy_type == DANE:
        return result_type in WITH_DANE
    return result_type not in OF_THE_POLICY and result_type not in OF_DANE


def told_of(documents: Documents, wanted: t.Collection[str]) -> dict[str, tuple[Told, ...]]:
    """What matters of reports, by domain. One of which no failure is told is left out: nothing can hold it.

    The documents are read twice, so that of very many domains only those are kept that may be held.
    """
    failing = failing_domains(documents, wanted)
    found: dict[str, dict[tuple[dt.date, str], Told]] = {}
    for day in read_days(documents, failing, {}) if failing else ():
        tellers = found.setdefault(day.domain, {})
        for one in day.reporters:
            _add(tellers, Told(day.day, one.name, max(one.succeeded - one.succeeded_dane, 0), ()))
        for failure in day.failures:
            if _counts(failure):
                refused = Refused(failure.mx_host, failure.result_type, failure.sessions)
                _add(tellers, Told(day.day, failure.reporter, 0, (refused,)))
    return {
        domain: tuple(tellers.values())
        for domain, tellers in found.items()
        if any(one.refused for one in tellers.values())
    }


def _counts(failure: Failure) -> bool:
    return failure.sessions > 0 and is_refused(failure.policy_type, failure.result_type)


def _add(tellers: dict[tuple[dt.date, str], Told], one: Told) -> None:
    """What the same reporter told of the same day on several hosts, or of several failures, is one."""
    key = (one.day, one.reporter)
    known = tellers.get(key, Told(*key, 0, ()))
    tellers[key] = known._replace(succeeded=known.succeeded + one.succeeded, refused=known.refused + one.refused)


# --- the rule ---------------------------------------------------------------------------------------------


class _Reports(t.NamedTuple):
    """The reports of the period: MX host -> reporter -> what it was refused when; and who had a clean day when."""

    refused: dict[str, dict[str, list[tuple[dt.date, Refused]]]]
    clean: dict[dt.date, set[str]]


def holds_of_reports(
    desired: Desired, told: t.Iterable[Told], mx: t.Optional[t.Sequence[str]], now: dt.datetime
) -> tuple[Hold, ...]:
    """What senders reported that keeps a domain from the step to enforce, a hold for each MX host.

    The period is that of testing, and at least a day, in whole days of UTC. What lies in the future is no report. An
    MX host that is not in DNS any more refuses nobody; with C(mx) none, which are there is not known.
    """
    today = now.astimezone(dt.timezone.utc).date()
    days = dt.timedelta(days=max(desired.testing_days, 1))
    reports = _Reports({}, {})
    for one in told:
        if today - days <= one.day <= today:
            _sort_in(one, mx, reports)
    holds: list[tuple[int, Hold]] = []
    for host, reporters in reports.refused.items():
        standing, ends = {}, today
        for reporter, failures in reporters.items():
            end = _end(reporter, {day for day, _refused in failures}, reports.clean, days)
            if end > today:
                standing[reporter] = failures
                ends = max(ends, end)
        if standing:
            sessions, message = _message(host, standing)
            until = dt.datetime.combine(ends, dt.time(), dt.timezone.utc)
            holds.append((sessions, Hold("mx-reported", message, until)))
    holds.sort(key=lambda pair: -pair[0])
    return tuple(hold for _sessions, hold in holds[:HOLDS])


def _sort_in(one: Told, mx: t.Optional[t.Sequence[str]], reports: _Reports) -> None:
    failures = [failure for failure in one.refused if _is_there(failure.mx_host, mx)]
    for failure in failures:
        reports.refused.setdefault(failure.mx_host, {}).setdefault(one.reporter, []).append((one.day, failure))
    if one.succeeded and not failures:
        reports.clean.setdefault(one.day, set()).add(one.reporter)


def _is_there(host: str, mx: t.Optional[t.Sequence[str]]) -> bool:
    """Whether a report is about an MX host in DNS; some name the pattern that matched it, and some none."""
    return not host or mx is None or any(mx_matches(one, [host]) for one in mx)


def _end(reporter: str, failing: set[dt.date], clean: t.Mapping[dt.date, set[str]], days: dt.timedelta) -> dt.date:
    """The first day on which what a reporter was refused at an MX host does not count any more.

    It is mended when the reporter had a later day on which all went well, or when others had and it was silent for so
    long that it had no mail. What came back after such a day is only believed to be mended when all that failed before
    that day is too old.
    """
    # A day that is not over may still go wrong.
    day_after = dt.timedelta(days=1)
    last = max(failing)
    own = [day for day, reporters in clean.items() if reporter in reporters]
    later = [day + day_after for day in own if day > last]
    later += [day + SILENT for day, reporters in clean.items() if day > last and reporters - {reporter}]
    end = min([last + days + day_after, *later])
    before = [day for day in own if day < last]
    returned = [day + days + day_after for day in failing if before and day < max(before)]
    return max([end, *returned])


def _message(host: str, standing: t.Mapping[str, list[tuple[dt.date, Refused]]]) -> tuple[int, str]:
    """How many sessions were refused, and all that is to be known of them."""
    types: dict[str, int] = {}
    by_reporter: dict[str, int] = {}
    for reporter, failures in standing.items():
        for _day, failure in failures:
            types[failure.result_type] = types.get(failure.result_type, 0) + failure.sessions
            by_reporter[reporter] = by_reporter.get(reporter, 0) + failure.sessions
    sessions = sum(types.values())
    since = min(day for failures in standing.values() for day, _refused in failures)
    where = printable(host, NAME_LIMIT) if host else "an MX host that is not named"
    return sessions, (
        f"{where}: {_most(types)} in {count(sessions, 'session')} since {since}, reported by {_most(by_reporter)}"
    )


def _most(numbers: t.Mapping[str, int]) -> str:
    """Those with the most sessions by name, and how many more there are."""
    names = sorted(numbers, key=lambda name: (-numbers[name], name))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(printable(name, NAME_LIMIT) for name in names[:NAMED]) + more
