# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of records, policies and MX hosts: each fault has its finding, and what is well has none."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._checks import (
    TOLD_LIMIT,
    check_authorities,
    check_dane,
    check_id,
    check_mx,
    check_policy,
    check_sts_records,
    check_tlsrpt_records,
    texts_at,
    verdict_of,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import KINDS, Finding
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record import STS_VERSION, StsRecord
from hypothesis import given
from hypothesis import strategies as st

ENFORCE = Policy("enforce", ("mx1.example.net", "*.mail.example.net"), 2592000)
GOOD = ("v=STSv1; id=20260101",)


def codes(findings: t.Iterable[Finding]) -> list[str]:
    return sorted(finding.code for finding in findings)


# Records as their strings, the id that senders accept, and the codes of the findings.
RECORDS: dict[str, tuple[list[tuple[str, ...]], str | None, list[str]]] = {
    "well": ([GOOD], "20260101", []),
    "final semicolon": ([("v=STSv1; id=1;",)], "1", []),
    "none": ([], None, ["record-missing"]),
    "others only": ([("v=spf1 -all",), ("token",)], None, ["record-foreign", "record-missing"]),
    "another beside": ([GOOD, ("v=spf1 -all",)], "20260101", ["record-foreign"]),
    "two": ([GOOD, ("v=STSv1; id=2",)], None, ["record-several"]),
    "two and another": ([GOOD, GOOD, ("token",)], None, ["record-foreign", "record-several"]),
    # An attempt beside a good one is discarded, by senders and here.
    "an attempt beside": ([GOOD, ("V=STSV1; id=2",)], "20260101", []),
    "version in capitals": ([("V=STSv1; id=1",)], None, ["record-unusable"]),
    "blank before the first semicolon": ([("v=STSv1 ; id=1",)], None, ["record-unusable"]),
    "blank in front": ([(" v=STSv1; id=1",)], None, ["record-unusable"]),
    "quotes": ([('"v=STSv1; id=1"',)], None, ["record-unusable"]),
    "no semicolon": ([("v=STSv1 id=1",)], None, ["record-unusable"]),
    "no id": ([("v=STSv1;",)], None, ["record-unusable"]),
    "id in capitals": ([("v=STSv1; ID=1",)], None, ["record-unusable"]),
    "id with a dash": ([("v=STSv1; id=2026-01-01",)], None, ["record-unusable"]),
    "id of 33": ([("v=STSv1; id=" + "1" * 33,)], None, ["record-unusable"]),
    "base64": ([("v=STSv1; id=ab+/==",)], None, ["record-unusable"]),
    "garbled field": ([("v=STSv1; id=1; more",)], None, ["record-unusable"]),
    "two ids": ([("v=STSv1; id=1; id=2",)], "1", ["record-duplicate-field"]),
    "two of another": ([("v=STSv1; id=1; a=2; a=3",)], "1", ["record-duplicate-field", "record-extension"]),
    "an extension": ([("v=STSv1; id=1; a=2",)], "1", ["record-extension"]),
    "blank before a later semicolon": ([("v=STSv1; id=1 ;",)], "1", ["record-space"]),
    "two strings": ([("v=STSv1; ", "id=1")], "1", ["record-split"]),
    "two strings, version split": ([("v=ST", "Sv1; id=1")], "1", ["record-split"]),
}


@pytest.mark.parametrize(("rrset", "identifier", "expected"), RECORDS.values(), ids=RECORDS)
def test_sts_records(rrset: list[tuple[str, ...]], identifier: str | None, expected: list[str]) -> None:
    record, findings = check_sts_records("_mta-sts.example.com", rrset)
    assert (record.id if record else None, codes(findings)) == (identifier, expected)
    assert {finding.subject for finding in findings} <= {"_mta-sts.example.com"}


def test_what_is_wrong_with_a_record_is_said() -> None:
    (finding,) = check_sts_records("n", [("v=STSv1; id=2026-01-01",)])[1]
    assert finding.seen == "id: '2026-01-01' is not 1 to 32 letters and digits, in: v=STSv1; id=2026-01-01"
    (finding,) = check_sts_records("n", [("v=STSv1 ; id=1",)])[1]
    assert finding.seen == "no TXT record begins with 'v=STSv1;', as senders want it: v=STSv1 ; id=1"


def test_texts_are_printable_and_not_too_many() -> None:
    texts = texts_at([("v=STSv1; id=\x1b",), *[(f"other={n}",) for n in range(99)]], STS_VERSION)
    assert texts.ours == ["v=STSv1; id=?"]
    assert len(texts.foreign) == TOLD_LIMIT


Said = tuple[list[tuple[str, ...]], t.Optional[int]]
OTHER = ("v=STSv1; id=old",)
AUTHORITIES: dict[str, tuple[dict[str, Said | None], list[str]]] = {
    "well": ({"a": ([GOOD], 300), "b": ([GOOD], 300)}, []),
    "in another order": ({"a": ([GOOD, OTHER], 300), "b": ([OTHER, GOOD], 300)}, []),
    "nobody": ({}, []),
    "old on one": ({"a": ([GOOD], 300), "b": ([OTHER], 300)}, ["authority-differs"]),
    "nothing on one": ({"a": ([GOOD], 300), "b": ([], None)}, ["authority-differs"]),
    "another TTL": ({"a": ([GOOD], 300), "b": ([GOOD], 60)}, ["authority-ttl"]),
    "one silent": ({"a": ([GOOD], 300), "b": None}, ["authority-silent"]),
    "all of it": (
        {"a": ([GOOD], 300), "b": ([OTHER], 60), "c": None},
        ["authority-differs", "authority-silent", "authority-ttl"],
    ),
}


@pytest.mark.parametrize(("said", "expected"), AUTHORITIES.values(), ids=AUTHORITIES)
def test_authorities(said: dict[str, Said | None], expected: list[str]) -> None:
    findings = check_authorities("_mta-sts.example.com", said)
    assert codes(findings) == expected
    assert all(finding.subject in ("b", "c") for finding in findings if "silent" in finding.code)


def body(*lines: str, end: str = "\r\n") -> bytes:
    return "".join(f"{line}{end}" for line in lines).encode()


VERSION, MODE, MX, AGE = "version: STSv1", "mode: enforce", "mx: mx1.example.net", "max_age: 2592000"
POLICIES: dict[str, tuple[bytes, list[str]]] = {
    "well": (render_policy(ENFORCE), []),
    "no end of the last line": (body(VERSION, MODE, MX, AGE)[:-2], []),
    "testing for a day": (body(VERSION, "mode: testing", MX, "max_age: 86400"), []),
    "withdrawn": (body(VERSION, "mode: none", MX, "max_age: 0"), []),
    "LF": (body(VERSION, MODE, MX, AGE, end="\n"), ["policy-line-ends"]),
    "one LF": (body(VERSION, MODE, MX) + b"max_age: 2592000\n", ["policy-line-ends"]),
    "mode twice": (body(VERSION, MODE, "mode: none", MX, AGE), ["policy-duplicate-field"]),
    "an extension": (body(VERSION, MODE, MX, AGE, "note: hello"), ["policy-extension"]),
    "an extension twice": (
        body(VERSION, MODE, MX, AGE, "n: 1", "n: 2"),
        ["policy-duplicate-field", "policy-extension"],
    ),
    "enforce for a day": (body(VERSION, MODE, MX, "max_age: 86400"), ["policy-max-age"]),
    "testing for an hour": (body(VERSION, "mode: testing", MX, "max_age: 3600"), ["policy-max-age"]),
    "max_age 0": (body(VERSION, MODE, MX, "max_age: 0"), ["policy-max-age"]),
    "11 KiB": (body(VERSION, MODE, *[f"mx: mx{n}.example.net" for n in range(500)], AGE), ["policy-large"]),
    "none without mx": (body(VERSION, "mode: none", "max_age: 86400"), ["policy-without-mx"]),
    "blank line": (body(VERSION, MODE, MX, AGE, ""), ["policy-invalid"]),
    "bare CR": (body(VERSION, MODE, MX, AGE, end="\r"), ["policy-invalid"]),
    "BOM": (b"\xef\xbb\xbf" + body(VERSION, MODE, MX, AGE), ["policy-invalid"]),
    "mode in capitals": (body(VERSION, "mode: Enforce", MX, AGE), ["policy-invalid"]),
    "mode of a draft": (body(VERSION, "mode: report", MX, AGE), ["policy-invalid"]),
    "field in capitals": (body("Version: STSv1", MODE, MX, AGE), ["policy-invalid"]),
    "no mx": (body(VERSION, MODE, AGE), ["policy-invalid"]),
    "an address": (body(VERSION, MODE, "mx: [192.0.2.1]", AGE), ["policy-invalid"]),
    "a wildcard of two labels": (body(VERSION, MODE, "mx: *.*.example.net", AGE), ["policy-invalid"]),
    "too long": (body(VERSION, MODE, MX, "max_age: 31557601"), ["policy-invalid"]),
    "HTML": (b"<!DOCTYPE html><html></html>", ["policy-invalid"]),
    "nothing": (b"", ["policy-invalid"]),
}


@pytest.mark.parametrize(("text", "expected"), POLICIES.values(), ids=POLICIES)
def test_policies(text: bytes, expected: list[str]) -> None:
    policy, findings = check_policy("https://mta-sts.example.com", text)
    assert codes(findings) == expected
    assert (policy is None) == ("policy-invalid" in expected)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_body_is_judged(text: bytes) -> None:
    policy, findings = check_policy("x", text)
    assert policy is not None or codes(findings) == ["policy-invalid"]
    assert all(finding.seen.isprintable() for finding in findings)


def test_an_id_stands_for_the_bytes_that_are_served() -> None:
    text = render_policy(ENFORCE)
    assert check_id("n", StsRecord(policy_id(text)), text) == []
    assert codes(check_id("n", StsRecord(policy_id(text + b" ")), text)) == ["record-stale"]
    # Others derive theirs in another way.
    assert check_id("n", StsRecord("20260101T000000"), text) == []


MX_SETS: dict[str, tuple[tuple[str, ...], bool, list[str]]] = {
    "well": (("mx1.example.net", "a.mail.example.net"), False, []),
    "in capitals": (("MX1.example.net", "a.mail.example.net"), False, []),
    "one that is not matched": (("mx1.example.net", "a.mail.example.net", "mx9.example.net"), False, ["mx-unmatched"]),
    "two labels for a wildcard": (("mx1.example.net", "a.b.mail.example.net"), False, ["mx-unmatched", "mx-unused"]),
    "one that is not used": (("mx1.example.net",), False, ["mx-unused"]),
    "null MX": (("",), False, ["mx-null"]),
    "none": ((), False, ["mx-missing"]),
    "the domain itself": (("example.com",), True, ["mx-implicit", "mx-unmatched", "mx-unused", "mx-unused"]),
}


@pytest.mark.parametrize(("hosts", "implicit", "expected"), MX_SETS.values(), ids=MX_SETS)
def test_mx_hosts(hosts: tuple[str, ...], implicit: bool, expected: list[str]) -> None:
    assert codes(check_mx("example.com", hosts, ENFORCE, implicit=implicit)) == expected


@pytest.mark.parametrize(
    ("protected", "expected"),
    [
        ({}, []),
        ({"a": True, "b": True}, []),
        ({"a": False, "b": False}, []),
        ({"a": True, "b": False}, ["dane-partial"]),
        # What is not known is not told to be missing.
        ({"a": True, "b": None}, []),
    ],
)
def test_dane(protected: dict[str, bool | None], expected: list[str]) -> None:
    assert codes(check_dane("example.com", protected)) == expected


TLSRPT: dict[str, tuple[list[tuple[str, ...]], list[str]]] = {
    "well": ([("v=TLSRPTv1; rua=mailto:tls@reports.example",)], []),
    "two targets": ([("v=TLSRPTv1; rua=mailto:tls@example.com,https://r.example/x",)], []),
    "none": ([], ["tlsrpt-missing"]),
    "others only": ([("token",)], ["tlsrpt-foreign", "tlsrpt-missing"]),
    "another beside": ([("v=TLSRPTv1; rua=mailto:tls@reports.example",), ("token",)], ["tlsrpt-foreign"]),
    "two": ([("v=TLSRPTv1; rua=mailto:a@b.example",)] * 2, ["tlsrpt-unusable"]),
    "no rua": ([("v=TLSRPTv1;",)], ["tlsrpt-unusable"]),
    "ruf": ([("v=TLSRPTv1; ruf=mailto:a@b.example",)], ["tlsrpt-unusable"]),
    "http": ([("v=TLSRPTv1; rua=http://b.example/",)], ["tlsrpt-unusable"]),
    "an attempt": ([("v=tlsrptv1; rua=mailto:a@b.example",)], ["tlsrpt-unusable"]),
    "rua comes later": ([("v=TLSRPTv1; a=1; rua=mailto:a@b.example",)], ["tlsrpt-order"]),
    "two strings": ([("v=TLSRPTv1; ", "rua=mailto:a@b.example")], ["tlsrpt-split"]),
    "to the domain itself": ([("v=TLSRPTv1; rua=mailto:tls@Example.com",)], ["tlsrpt-same-domain"]),
}


@pytest.mark.parametrize(("rrset", "expected"), TLSRPT.values(), ids=TLSRPT)
def test_tlsrpt_records(rrset: list[tuple[str, ...]], expected: list[str]) -> None:
    record, findings = check_tlsrpt_records("example.com", rrset)
    assert codes(findings) == expected
    assert (record is None) == bool({"tlsrpt-missing", "tlsrpt-unusable"} & set(expected))


RECORD = StsRecord("1")
NONE = Policy("none", (), 0)
TESTING = Policy("testing", ("mx.example",), 86400)
VERDICTS: list[tuple[Policy | None, StsRecord | None, list[str], str]] = [
    (ENFORCE, RECORD, [], "enforce"),
    (TESTING, RECORD, ["tlsrpt-missing", "mx-unused"], "testing"),
    (NONE, RECORD, [], "none"),
    (None, None, ["record-missing"], "absent"),
    (None, None, ["record-missing", "record-foreign", "tlsrpt-missing"], "absent"),
    (ENFORCE, None, ["record-missing"], "broken"),
    (None, None, ["record-missing", "policy-unreachable"], "broken"),
    # Whether there is a policy host is not known.
    (None, None, ["record-missing", "dns-failure"], "broken"),
    (None, None, ["record-missing", "delegation-broken"], "broken"),
    (None, None, ["record-several"], "broken"),
    (None, RECORD, ["policy-host-missing"], "broken"),
    # Senders refuse an MX host only where they enforce; DANE they go by whatever the policy says.
    (ENFORCE, RECORD, ["mx-certificate-date"], "broken"),
    (TESTING, RECORD, ["mx-certificate-date"], "testing"),
    (NONE, RECORD, ["mx-starttls"], "none"),
    (TESTING, RECORD, ["dane-mismatch"], "broken"),
    (ENFORCE, RECORD, ["mx-certificate-expiring"], "enforce"),
    (TESTING, RECORD, ["policy-differs"], "broken"),
]


@pytest.mark.parametrize(("policy", "record", "found", "verdict"), VERDICTS)
def test_verdicts(policy: Policy | None, record: StsRecord | None, found: list[str], verdict: str) -> None:
    assert set(found) <= set(KINDS)
    assert verdict_of(policy, record, [Finding(code, "", "") for code in found]) == verdict
