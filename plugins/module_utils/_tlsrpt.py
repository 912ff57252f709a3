# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reports about sessions that succeeded and failed (RFC 8460 4): read tolerantly, and added up.

Whoever sends reports departs from the RFC in his own way, and what he has to say is worth hearing all the same. But
nothing of it is trusted: all is bounded, and what is told of it is printable. Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import typing as t
import zlib
from collections import Counter

from ._finding import printable
from ._names import DomainNameError, to_ascii

# More than the largest senders need for a domain and a day; behind it are a bomb or a mistake.
SIZE_LIMIT: t.Final = 16 * 1024 * 1024
POLICIES_LIMIT: t.Final = 10_000
DETAILS_LIMIT: t.Final = 10_000
# Nobody has so many sessions in a report, and a sum of them stays a number that everybody can read.
COUNT_LIMIT: t.Final = 10**12
TEXT_LIMIT: t.Final = 253
# What failed of which no detail tells.
UNDETAILED: t.Final = "not detailed"
# The type of a policy of TLSA records (RFC 8460 4.4).
DANE: t.Final = "tlsa"

_GZIP = b"\x1f\x8b"
# zlib: a gzip header, and nothing else.
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_BOM = "\ufeff"
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_ZONES: t.Final = {None: "+00:00", "Z": "+00:00", "z": "+00:00"}

Json = t.Any


class ReportError(ValueError):
    """A report that cannot be read; the message says why."""


class Failure(t.NamedTuple):
    """So many sessions that failed alike. What was not told is empty."""

    # One of RFC 8460 4.3, or what else the sender wrote.
    result_type: str
    sessions: int
    mx_host: str = ""
    sending_ip: str = ""
    receiving_ip: str = ""
    reason: str = ""


class Policy(t.NamedTuple):
    """What is reported of the sessions under one policy of a domain."""

    domain: str
    # sts, tlsa or no-policy-found.
    kind: str
    succeeded: int
    failed: int
    failures: tuple[Failure, ...]


class Report(t.NamedTuple):
    """A report, with what of it could not be read."""

    organization: str
    identifier: str
    begin: dt.datetime
    end: dt.datetime
    policies: tuple[Policy, ...]
    troubles: tuple[str, ...]


def parse_report(data: bytes) -> Report:
    """A report as JSON, or that compressed with gzip. Raises L(ReportError)."""
    document = _object(_json(_text(data)), "the report")
    begin, end = _range(document)
    policies, troubles = _policies(document)
    if not policies:
        raise ReportError("; ".join(troubles) or "it has no policies")
    organization = _words(document.get("organization-name")) or _words(document.get("contact-info")) or "unnamed"
    return Report(organization, _words(document.get("report-id")).strip("<>"), begin, end, policies, troubles)


def unpack(data: bytes) -> bytes:
    """The data, decompressed where that is needed. Raises L(ReportError)."""
    if not data.startswith(_GZIP):
        if len(data) > SIZE_LIMIT:
            raise ReportError(f"is larger than {SIZE_LIMIT >> 20} MiB")
        return data
    unpacker, whole = zlib.decompressobj(_GZIP_WINDOW), bytearray()
    try:
        whole += unpacker.decompress(data, SIZE_LIMIT + 1)
    except zlib.error as error:
        raise ReportError(f"is no whole gzip data: {error}") from None
    if len(whole) > SIZE_LIMIT:
        raise ReportError(f"is larger than {SIZE_LIMIT >> 20} MiB when decompressed")
    if not unpacker.eof:
        raise ReportError("is no whole gzip data: it ends too early")
    return bytes(whole)


def _text(data: bytes) -> str:
    try:
        return unpack(data).decode("utf-8").lstrip(_BOM)
    except UnicodeDecodeError:
        raise ReportError("is no UTF-8 text") from None


def _json(text: str) -> Json:
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ReportError("is nested too deep") from None
    except ValueError as error:
        raise ReportError(f"is no JSON: {printable(str(error), 100)}") from None


def _refuse(constant: str) -> t.NoReturn:
    raise ValueError(f"{constant} is no number")


def _object(value: Json, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ReportError(f"{what} is no JSON object")
    return value


def _range(document: dict[str, Json]) -> tuple[dt.datetime, dt.datetime]:
    times = _object(document.get("date-range"), "date-range")
    begin, end = (_time(times.get(f"{edge}-datetime"), edge) for edge in ("start", "end"))
    if end < begin:
        raise ReportError("date-range ends before it begins")
    return begin, end


def _time(value: Json, edge: str) -> dt.datetime:
    """RFC 3339; without a zone, as Microsoft wrote it, it is UTC."""
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        if match is None:
            raise ValueError
        day, time, zone = match.groups()
        # A leap second is none that Python knows.
        text = f"{day}T{(time or '00:00:00').replace(':60', ':59')}{_ZONES.get(zone, zone)}"
        return dt.datetime.fromisoformat(text).astimezone(dt.timezone.utc)
    except (ValueError, OverflowError):
        raise ReportError(f"{edge}-datetime {printable(str(value), 40)!r} is no time") from None


def _policies(document: dict[str, Json]) -> tuple[tuple[Policy, ...], tuple[str, ...]]:
    entries = _list(document.get("policies"))
    if len(entries) > POLICIES_LIMIT:
        raise ReportError(f"has {len(entries)} policies, more than {POLICIES_LIMIT}")
    found, troubles = [], []
    for index, entry in enumerate(entries):
        try:
            found.append(_policy(_object(entry, "the entry")))
        except (ReportError, DomainNameError) as error:
            troubles.append(f"policies[{index}]: {printable(str(error), 200)}")
    return tuple(found), tuple(troubles)


def _policy(entry: dict[str, Json]) -> Policy:
    policy = _object(entry.get("policy"), "policy")
    summary = _object(entry.get("summary"), "summary")
    domain = to_ascii(policy.get("policy-domain", ""))
    details = _list(entry.get("failure-details"))
    if len(details) > DETAILS_LIMIT:
        raise ReportError(f"has {len(details)} failure-details, more than {DETAILS_LIMIT}")
    failures = tuple(_failure(_object(detail, "an entry of failure-details")) for detail in details)
    succeeded = _count(summary.get("total-successful-session-count"), "total-successful-session-count")
    told = _count(summary.get("total-failure-session-count"), "total-failure-session-count")
    detailed = sum(failure.sessions for failure in failures)
    # Mail.ru's do not add up. What failed by either has failed.
    if told > detailed:
        failures += (Failure(UNDETAILED, told - detailed),)
    return Policy(domain, _words(policy.get("policy-type")).lower(), succeeded, max(told, detailed), failures)


def _failure(detail: dict[str, Json]) -> Failure:
    return Failure(
        _words(detail.get("result-type")).lower() or UNDETAILED,
        _count(detail.get("failed-session-count"), "failed-session-count"),
        _words(detail.get("receiving-mx-hostname")).lower().rstrip("."),
        _words(detail.get("sending-mta-ip")),
        _words(detail.get("receiving-ip")),
        _words(detail.get("failure-reason-code")),
    )


def _list(value: Json) -> list[Json]:
    """A list; some write one thing without it, or null in place of an empty one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _count(value: Json, what: str) -> int:
    if isinstance(value, str) and len(value) < 20 and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        value = 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_LIMIT:
        raise ReportError(f"{what} {printable(repr(value), 40)} is no number of sessions")
    return value


def _words(value: Json) -> str:
    """A text from the network, bounded and printable; what is none is empty."""
    return printable(value.strip(), TEXT_LIMIT) if isinstance(value, str) else ""


# --- added up ---------------------------------------------------------------------------------------------


class Sums:
    """What any number of reports say of each domain, day by day. The same report is counted once, however it came."""

    def __init__(self, domains: t.Optional[t.Collection[str]] = None, since: t.Optional[dt.date] = None) -> None:
        """Of these domains only, where any are given, and from a day on."""
        self._domains = domains
        self._since = since
        self._known: set[tuple[str, str, int]] = set()
        self._sessions: Counter[tuple[str, str, str, str]] = Counter()
        self._failures: Counter[tuple[str, str, str, str, str, str]] = Counter()
        self._reports = self._duplicates = 0

    def add(self, report: Report) -> None:
        """Adds a report up."""
        day = report.begin.date()
        # Not by its identifier alone: some have none, or use one again.
        name = (report.organization, report.identifier, hash((report.begin, report.end, report.policies)))
        if name in self._known:
            self._duplicates += 1
            return
        self._known.add(name)
        self._reports += 1
        for policy in report.policies:
            if (self._domains is not None and policy.domain not in self._domains) or (self._since or day) > day:
                continue
            by = (policy.domain, str(day), report.organization)
            self._sessions[(*by, "succeeded")] += policy.succeeded
            self._sessions[(*by, "failed")] += policy.failed
            if policy.kind == DANE:
                self._sessions[(*by, "succeeded_dane")] += policy.succeeded
            for failure in policy.failures:
                self._failures[(*by, failure.result_type, failure.mx_host, policy.kind)] += failure.sessions

    def counts(self) -> dict[str, int]:
        """How many reports were counted, how many had come before, and how many sessions succeeded and failed."""
        found = Counter({"succeeded": 0, "failed": 0})
        for key, sessions in self._sessions.items():
            found[key[-1]] += sessions
        told = {outcome: found[outcome] for outcome in ("succeeded", "failed")}
        return {"reports": self._reports, "duplicates": self._duplicates, **told}

    def to_dict(self) -> dict[str, t.Any]:
        """By domain, its days in order: who reported how many sessions, and what failed, the most first."""
        domains: dict[str, t.Any] = {}
        for (domain, day, reporter, outcome), sessions in sorted(self._sessions.items()):
            found = domains.setdefault(domain, {}).setdefault(day, {"reporters": {}, "failures": []})
            found["reporters"].setdefault(reporter, {})[outcome] = sessions
        ordered = sorted(self._failures.items(), key=lambda item: (item[0][:2], -item[1], item[0]))
        for (domain, day, reporter, result_type, mx_host, kind), sessions in ordered:
            failure = {"result_type": result_type, "mx_host": mx_host, "policy_type": kind}
            domains[domain][day]["failures"].append({**failure, "reporter": reporter, "sessions": sessions})
        return domains
