# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of the shapes that real senders send are understood, and whatever else comes is refused in a sentence."""

from __future__ import annotations

import copy
import datetime as dt
import gzip
import json
import typing as t
import zlib

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsrpt import (
    SIZE_LIMIT,
    UNDETAILED,
    Report,
    ReportError,
    Sums,
    parse_report,
)
from hypothesis import given
from hypothesis import strategies as st

Json = t.Any

REPORT: Json = {
    "organization-name": "Sender One",
    "date-range": {"start-datetime": "2026-11-20T00:00:00Z", "end-datetime": "2026-11-20T23:59:59Z"},
    "contact-info": "tls@sender.example",
    "report-id": "2026-11-20-sender-example.com",
    "policies": [
        {
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: testing", "mx: *.mail.example.com", "max_age: 86400"],
                "policy-domain": "example.com",
                "mx-host": ["*.mail.example.com"],
            },
            "summary": {"total-successful-session-count": 50, "total-failure-session-count": 7},
            "failure-details": [
                {
                    "result-type": "certificate-expired",
                    "sending-mta-ip": "2001:db8::1",
                    "receiving-mx-hostname": "mx1.mail.example.com",
                    "failed-session-count": 4,
                },
                {
                    "result-type": "starttls-not-supported",
                    "sending-mta-ip": "192.0.2.9",
                    "receiving-mx-hostname": "mx2.mail.example.com",
                    "receiving-ip": "203.0.113.2",
                    "failed-session-count": 3,
                    "failure-reason-code": "no STARTTLS",
                },
            ],
        }
    ],
}
# What the report above says, told otherwise.
SAME = {("certificate-expired", "mx1.mail.example.com"): 4, ("starttls-not-supported", "mx2.mail.example.com"): 3}
DAY = dt.datetime(2026, 11, 20, tzinfo=dt.timezone.utc)


def put(place: str, value: Json) -> t.Callable[[Json], Json]:
    """Replaces what is at a place."""

    def change(report: Json) -> Json:
        *path, last = [int(part) if part.isdigit() else part for part in place.split("/")]
        at = report
        for part in path:
            at = at[part]
        if value is None and isinstance(last, str):
            del at[last]
        else:
            at[last] = value
        return report

    return change


def rename(old: str, new: str) -> t.Callable[[Json], Json]:
    return lambda report: json.loads(json.dumps(report).replace(json.dumps(old), json.dumps(new)))


POLICY = "policies/0/policy/"
SUMMARY = "policies/0/summary/"
DETAIL = "policies/0/failure-details/0/"
TIMES = "date-range/"

ALIKE: dict[str, t.Sequence[t.Callable[[Json], Json]]] = {
    "as in the RFC": [],
    "mx-host is a text": [put(f"{POLICY}mx-host", "*.mail.example.com")],
    "mx-host-pattern": [rename("mx-host", "mx-host-pattern")],
    "no mx-host": [put(f"{POLICY}mx-host", None)],
    "policy-string is a text": [put(f"{POLICY}policy-string", "version: STSv1\r\nmode: testing\r\n")],
    "no policy-string": [put(f"{POLICY}policy-string", None)],
    "policies without their list": [lambda report: {**report, "policies": report["policies"][0]}],
    "counts are texts": [
        put(f"{SUMMARY}total-successful-session-count", "50"),
        put(f"{DETAIL}failed-session-count", "4"),
    ],
    "counts have a point": [put(f"{SUMMARY}total-failure-session-count", 7.0)],
    "no successes told": [put(f"{SUMMARY}total-successful-session-count", 50), put("contact-info", None)],
    "upper case": [put(f"{DETAIL}result-type", "Certificate-Expired"), put(f"{POLICY}policy-domain", "EXAMPLE.COM")],
    "final dots": [
        put(f"{DETAIL}receiving-mx-hostname", "MX1.mail.example.com."),
        put(f"{POLICY}policy-domain", "example.com."),
    ],
    "additional-information": [put(f"{DETAIL}additional-information", "https://reports.sender.example/17")],
    "additional-info-uri": [put(f"{DETAIL}additional-info-uri", "https://reports.sender.example/17")],
    "no addresses": [put(f"{DETAIL}sending-mta-ip", None)],
    "null in place of addresses": [put(f"{DETAIL}sending-mta-ip", [])],
    "receiving-mx-helo": [put(f"{DETAIL}receiving-mx-helo", "mx1")],
    "what nobody knows": [put("x-vendor", {"a": [1, None]}), put(f"{DETAIL}x-vendor", True)],
    "identifier in angle brackets": [put("report-id", "<2026-11-20-sender-example.com>")],
    "times without a zone": [
        put(f"{TIMES}start-datetime", "2026-11-20T00:00:00"),
        put(f"{TIMES}end-datetime", "2026-11-20T23:59:59"),
    ],
    "times with seven digits": [put(f"{TIMES}end-datetime", "2026-11-20T23:59:59.9999999Z")],
    "times with a blank": [put(f"{TIMES}start-datetime", "2026-11-20 00:00:00z")],
    "times of another zone": [put(f"{TIMES}start-datetime", "2026-11-20T02:00:00+02:00")],
    "a leap second": [put(f"{TIMES}end-datetime", "2026-11-20T23:59:60Z")],
    "days alone": [put(f"{TIMES}start-datetime", "2026-11-20"), put(f"{TIMES}end-datetime", "2026-11-21")],
    "policy of DANE": [
        put(f"{POLICY}policy-type", "tlsa"),
        put(f"{POLICY}policy-string", ["3 1 1 ab", "3 1 1 cd"]),
    ],
    "no policy": [put(f"{POLICY}policy-type", "no-policy-found"), put(f"{POLICY}policy-string", [])],
}


def with_name(data: bytes) -> bytes:
    """As the program gzip makes it of a file (RFC 1952 2.3)."""
    return data[:3] + b"\x08" + data[4:10] + b"r.json\0" + data[10:]


MADE: dict[str, t.Callable[[bytes], bytes]] = {
    "with a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "compressed": gzip.compress,
    "compressed with a name": lambda data: with_name(gzip.compress(data)),
    "with blanks around": lambda data: b"\r\n" + data + b"\r\n",
    "in many lines": lambda data: json.dumps(json.loads(data), indent=4).replace("\n", "\r\n").encode(),
}  # fmt: skip


def parsed(*changes: t.Callable[[Json], Json]) -> Report:
    report = copy.deepcopy(REPORT)
    for change in changes:
        report = change(report)
    return parse_report(json.dumps(report).encode())


def failures_of(report: Report) -> dict[tuple[str, str], int]:
    return {(one.result_type, one.mx_host): one.sessions for policy in report.policies for one in policy.failures}


def says_the_same(report: Report) -> bool:
    (policy,) = report.policies
    told = (report.organization, report.identifier, report.begin, report.end.date(), report.troubles)
    days = (DAY.date(), DAY.date() + dt.timedelta(days=1))
    counts = (policy.domain, policy.succeeded, policy.failed)
    return (
        (*told[:3], told[4]) == ("Sender One", "2026-11-20-sender-example.com", DAY, ())
        and told[3] in days
        and counts == ("example.com", 50, 7)
        and failures_of(report) == SAME
    )


@pytest.mark.parametrize("shape", ALIKE)
def test_shapes_that_say_the_same(shape: str) -> None:
    assert says_the_same(parsed(*ALIKE[shape]))


@pytest.mark.parametrize("shape", MADE)
def test_ways_to_write_the_same(shape: str) -> None:
    assert says_the_same(parse_report(MADE[shape](json.dumps(REPORT).encode())))


def test_successes_alone() -> None:
    report = parsed(put("policies/0/failure-details", None), put(f"{SUMMARY}total-failure-session-count", None))
    assert (report.policies[0].succeeded, report.policies[0].failed, report.policies[0].failures) == (50, 0, ())


def test_one_detail_without_its_list() -> None:
    detail = REPORT["policies"][0]["failure-details"][0]
    report = parsed(put("policies/0/failure-details", detail), put(f"{SUMMARY}total-failure-session-count", 4))
    assert failures_of(report) == {("certificate-expired", "mx1.mail.example.com"): 4}


@pytest.mark.parametrize(("told", "counted", "undetailed"), [(12, 12, 5), (7, 7, 0), (2, 7, 0)])
def test_sums_that_do_not_add_up(told: int, counted: int, undetailed: int) -> None:
    """What failed by either has failed."""
    report = parsed(put(f"{SUMMARY}total-failure-session-count", told))
    assert report.policies[0].failed == counted == sum(failures_of(report).values())
    assert failures_of(report).get((UNDETAILED, ""), 0) == undetailed


def test_what_failed_otherwise_is_told_as_it_came() -> None:
    report = parsed(put(f"{DETAIL}result-type", "smtp-ate-it\x1b[2J"), put(f"{DETAIL}receiving-mx-hostname", None))
    assert ("smtp-ate-it?[2j", "") in failures_of(report)
    assert ("", "") not in failures_of(parsed(put(f"{DETAIL}result-type", "")))


def test_who_has_no_name_is_known_by_his_address() -> None:
    assert parsed(put("organization-name", None)).organization == "tls@sender.example"
    assert parsed(put("organization-name", None), put("contact-info", None)).organization == "unnamed"


def test_domains_are_a_labels() -> None:
    assert parsed(put(f"{POLICY}policy-domain", "b\u00fccher.example")).policies[0].domain == "xn--bcher-kva.example"


def test_a_policy_that_cannot_be_read_costs_no_other() -> None:
    report = parsed(
        lambda one: {**one, "policies": [{"policy": {"policy-domain": "a b"}, "summary": {}}, "x", *one["policies"]]}
    )
    assert [policy.domain for policy in report.policies] == ["example.com"]
    assert [trouble.partition(":")[0] for trouble in report.troubles] == ["policies[0]", "policies[1]"]


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is no JSON"),
    "no JSON": (b"{", "is no JSON"),
    "a list": (b"[]", "the report is no JSON object"),
    "no UTF-8": (b'{"a": "\xff"}', "is no UTF-8 text"),
    "nested": (b"[" * 200_000, "is nested too deep"),
    "no number": (b'{"a": NaN}', "NaN is no number"),
    "a number without end": (b'{"a": ' + b"9" * 100_000 + b"}", "is no JSON"),
    "no date": (b"{}", "date-range is no JSON object"),
    "half a gzip": (gzip.compress(json.dumps(REPORT).encode())[:-9], "it ends too early"),
    "a broken gzip": (b"\x1f\x8b" + b"\0" * 40, "is no whole gzip data"),
    "a bomb": (gzip.compress(bytes(2 * SIZE_LIMIT), 1), "when decompressed"),
    "too large": (b" " * (SIZE_LIMIT + 1), "is larger than 16 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_report(what: str) -> None:
    data, reason = REFUSED[what]
    with pytest.raises(ReportError, match=reason) as error:
        parse_report(data)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("policies", [], "it has no policies"),
        ("policies", "x", r"policies\[0\]: the entry is no JSON object"),
        ("policies", [0] * 10_001, "has 10001 policies"),
        ("policies/0/failure-details", [0] * 10_001, "has 10001 failure-details"),
        ("policies/0/failure-details", ["x"], "an entry of failure-details is no JSON object"),
        (f"{SUMMARY}total-failure-session-count", -1, "-1 is no number of sessions"),
        (f"{SUMMARY}total-failure-session-count", True, "True is no number of sessions"),
        (f"{SUMMARY}total-failure-session-count", 1e300, r"1000\d+\.\.\. is no number of sessions"),
        (f"{SUMMARY}total-failure-session-count", 1.5, "1.5 is no number of sessions"),
        (f"{SUMMARY}total-failure-session-count", "many", "'many' is no number of sessions"),
        (f"{POLICY}policy-domain", 5, "is not a text"),
        (f"{TIMES}start-datetime", "yesterday", "start-datetime 'yesterday' is no time"),
        (f"{TIMES}start-datetime", "0001-01-01T00:00:00+14:00", "is no time"),
        (f"{TIMES}start-datetime", 5, "start-datetime '5' is no time"),
        (f"{TIMES}end-datetime", "2026-11-19T00:00:00Z", "ends before it begins"),
    ],
)
def test_what_cannot_be_counted(place: str, value: Json, reason: str) -> None:
    with pytest.raises(ReportError, match=reason):
        parsed(put(place, value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
PLACES = [
    "policies", "policies/0", "policies/0/policy", "policies/0/summary", "policies/0/failure-details", "date-range",
    "organization-name", "report-id", DETAIL[:-1], f"{DETAIL}result-type", f"{DETAIL}failed-session-count",
    f"{POLICY}policy-domain", f"{POLICY}policy-type", f"{TIMES}start-datetime", f"{SUMMARY}total-failure-session-count",
]  # fmt: skip


def outcome(data: bytes) -> Report | str:
    try:
        return parse_report(data)
    except ReportError as error:
        return str(error)


@given(st.sampled_from(PLACES), JSON)
def test_anything_at_any_place_is_counted_or_refused(place: str, value: Json) -> None:
    found = outcome(json.dumps(put(place, value)(copy.deepcopy(REPORT))).encode())
    if isinstance(found, str):
        assert found.isprintable()
        return
    sums = Sums()
    sums.add(found)
    assert json.dumps(sums.to_dict(), ensure_ascii=False).isprintable()
    for policy in found.policies:
        assert 0 <= policy.failed == sum(failure.sessions for failure in policy.failures)


@given(
    st.binary(max_size=200) | st.binary(max_size=200).map(zlib.compress) | st.binary(max_size=200).map(gzip.compress)
)
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ReportError):
        parse_report(data)


def test_added_up_by_domain_day_reporter_and_what_failed() -> None:
    sums = Sums()
    other = parsed(put("organization-name", "Other"), put(f"{TIMES}start-datetime", "2026-11-19T12:00:00Z"))
    again = parsed(put("report-id", "second"))
    for report in (parsed(), other, again):
        sums.add(report)
    days = sums.to_dict()["example.com"]
    assert list(days) == ["2026-11-19", "2026-11-20"]
    assert days["2026-11-20"]["reporters"] == {"Sender One": {"succeeded": 100, "failed": 14}}
    assert days["2026-11-19"]["failures"][0] == {
        "result_type": "certificate-expired", "mx_host": "mx1.mail.example.com", "policy_type": "sts",
        "reporter": "Other", "sessions": 4,
    }  # fmt: skip
    assert [failure["sessions"] for failure in days["2026-11-20"]["failures"]] == [8, 6]
    assert sums.counts() == {"reports": 3, "duplicates": 0, "succeeded": 150, "failed": 21}


def test_what_succeeded_by_dane_is_told_apart() -> None:
    """It says nothing of what MTA-STS would have made of the sessions."""
    sums = Sums()
    for report in (parsed(), parsed(put(f"{POLICY}policy-type", "TLSA"))):
        sums.add(report)
    day = sums.to_dict()["example.com"]["2026-11-20"]
    assert day["reporters"] == {"Sender One": {"succeeded": 100, "failed": 14, "succeeded_dane": 50}}
    assert [(one["policy_type"], one["sessions"]) for one in day["failures"]] == [
        ("sts", 4), ("tlsa", 4), ("sts", 3), ("tlsa", 3),
    ]  # fmt: skip
    assert sums.counts() == {"reports": 2, "duplicates": 0, "succeeded": 100, "failed": 14}


def test_the_same_report_is_counted_once() -> None:
    sums = Sums()
    for report in (parsed(), parsed(rename("mx-host", "mx-host-pattern")), parsed(put("report-id", ""))):
        sums.add(report)
    # Without an identifier it may be another one that says the same.
    assert sums.counts() == {"reports": 2, "duplicates": 1, "succeeded": 100, "failed": 14}


def test_of_these_domains_and_days_only() -> None:
    for sums in (Sums({"example.org"}), Sums(since=dt.date(2026, 11, 21))):
        sums.add(parsed())
        assert sums.to_dict() == {}
    for sums in (Sums({"example.com"}), Sums(since=dt.date(2026, 11, 20))):
        sums.add(parsed())
        assert sums.counts()["failed"] == 7
