# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The TXT records of RFC 8461 3.1 and RFC 8460 3: what is read, which is chosen, what is written."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record import (
    RecordError,
    StsRecord,
    TlsrptRecord,
    parse_sts_record,
    parse_tlsrpt_record,
    render_sts_record,
    render_tlsrpt_record,
    select_sts_record,
    select_tlsrpt_record,
)
from hypothesis import given
from hypothesis import strategies as st

NOT_NAME = "is not a field name: 1 to 32 letters, digits, '_', '-' or '.', of which the first is a letter or a digit"
NOT_ID = "is not 1 to 32 letters and digits"
ODD_VALUE = "has blanks, '=' or characters beyond ASCII"
TWO_SEMICOLONS = "has two semicolons with nothing between them"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v=STSv1; id=20160831085700Z;", "20160831085700Z"),  # the example of the RFC
        ("v=STSv1; id=a", "a"),
        ("v=STSv1;id=a", "a"),
        ("v=STSv1;id=a;", "a"),
        ("v=STSv1; id=a; ", "a"),
        ("v=STSv1; id=a \t; \t", "a"),
        ("v=STSv1\t;\tid=a", "a"),
        ("v=STSv1 ; id=a", "a"),  # fits the ABNF; select_sts_record discards it
        (f"v=STSv1; id={'a' * 32}", "a" * 32),
        ("v=STSv1; id=0", "0"),
        # The first id counts.
        ("v=STSv1; id=a; id=b", "a"),
        ("v=STSv1; id=a; id=not-alphanumeric", "a"),
        # Extensions.
        ("v=STSv1; x=y; id=a", "a"),
        ("v=STSv1; id=a; x=y; x=z;", "a"),
        ("v=STSv1; id=a; v=STSv2", "a"),
        ("v=STSv1; id=a; ID=b", "a"),
        ("v=STSv1; id=a; A.b_c-9=!:<>~", "a"),
        (f"v=STSv1; id=a; {'A' * 32}=b", "a"),
    ],
)
def test_parse_sts(text: str, expected: str) -> None:
    assert parse_sts_record(text) == StsRecord(expected)


@pytest.mark.parametrize(
    ("text", "message", "field"),
    [
        ("", "v: '' does not begin with 'v=STSv1;'", "v"),
        ("v=STSv1", "id: is missing", "id"),
        ("v=STSv1;", "id: is missing", "id"),
        ("v=STSv1; ", "id: is missing", "id"),
        ("v=STSv1 ", "v: 'v=STSv1 ' does not begin with 'v=STSv1;'", "v"),
        (" v=STSv1; id=a", "v: ' v=STSv1; id=a' does not begin with 'v=STSv1;'", "v"),
        ('"v=STSv1; id=a"', "v: '\"v=STSv1; id=a\"' does not begin with 'v=STSv1;'", "v"),
        ("v=STSv2; id=a", "v: 'v=STSv2; id=a' does not begin with 'v=STSv1;'", "v"),
        ("v=STSv10; id=a", "v: 'v=STSv10; id=a' does not begin with 'v=STSv1;'", "v"),
        ("v = STSv1; id=a", "v: 'v = STSv1; id=a' does not begin with 'v=STSv1;'", "v"),
        ("v=STSv1 id=a", "v: 'v=STSv1 id=a' does not begin with 'v=STSv1;'", "v"),
        ("v=STSv1\u00a0; id=a", "v: 'v=STSv1\\xa0; id=a' does not begin with 'v=STSv1;'", "v"),
        ("id=a; v=STSv1", "v: 'id=a; v=STSv1' does not begin with 'v=STSv1;'", "v"),
        (
            "V=STSv1; id=a",
            "v: 'V=STSv1; id=a' does not begin with 'v=STSv1;', which must be written exactly so",
            "v",
        ),
        (
            "v=stsv1; id=a",
            "v: 'v=stsv1; id=a' does not begin with 'v=STSv1;', which must be written exactly so",
            "v",
        ),
        ("v=STSv1; id=", "id: '' is not 1 to 32 letters and digits", "id"),
        ("v=STSv1; id=2024-01-01", f"id: '2024-01-01' {NOT_ID}", "id"),
        ("v=STSv1; id=a_1", f"id: 'a_1' {NOT_ID}", "id"),
        ("v=STSv1; id=a+b/c=", f"id: 'a+b/c=' {NOT_ID}", "id"),
        (f"v=STSv1; id={'a' * 33}", f"id: '{'a' * 33}' {NOT_ID}", "id"),
        ("v=STSv1; id= a", f"id: ' a' {NOT_ID}", "id"),
        ("v=STSv1; id=a\n", f"id: 'a\\n' {NOT_ID}", "id"),
        ("v=STSv1; id=é", f"id: 'é' {NOT_ID}", "id"),
        ("v=STSv1; id=\u0661", f"id: '\u0661' {NOT_ID}", "id"),
        ("v=STSv1; id=; id=a", "id: '' is not 1 to 32 letters and digits", "id"),
        ("v=STSv1; ID=a", "id: is missing; 'ID' is not 'id', write it in lower case", "id"),
        ("v=STSv1; x=y", "id: is missing", "id"),
        ("v=STSv1; id=a ", "'v=STSv1; id=a ' ends in a blank: remove it, or write ';' before it", None),
        ("v=STSv1;; id=a", f"'v=STSv1;; id=a' {TWO_SEMICOLONS}", None),
        ("v=STSv1; id=a;;", f"'v=STSv1; id=a;;' {TWO_SEMICOLONS}", None),
        ("v=STSv1; id=a; ;", f"'v=STSv1; id=a; ;' {TWO_SEMICOLONS}", None),
        ("v=STSv1; id=a; junk", "'junk' has no '=': write 'name=value'", None),
        ("v=STSv1; id =a", f"'id ' {NOT_NAME}", None),
        ("v=STSv1; id=a; =b", f"'' {NOT_NAME}", None),
        ("v=STSv1; id=a; _x=b", f"'_x' {NOT_NAME}", None),
        (f"v=STSv1; id=a; {'A' * 33}=b", f"'{'A' * 33}' {NOT_NAME}", None),
        ("v=STSv1; id=a; x=", "x: the value '' is empty", "x"),
        ("v=STSv1; id=a; x=b c", f"x: the value 'b c' {ODD_VALUE}", "x"),
        ("v=STSv1; id=a; x=b=c", f"x: the value 'b=c' {ODD_VALUE}", "x"),
        ("v=STSv1; id=a; x=é", f"x: the value 'é' {ODD_VALUE}", "x"),
        ("v=STSv1; id=a; x=\x7f", f"x: the value '\\x7f' {ODD_VALUE}", "x"),
        ("v=STSv1; id=a; id=", "id: the value '' is empty", "id"),
        ("v=STSv1; id=a, x=b", f"id: 'a, x=b' {NOT_ID}", "id"),
    ],
)
def test_parse_sts_names_the_mistake(text: str, message: str, field: str | None) -> None:
    with pytest.raises(RecordError) as caught:
        parse_sts_record(text)
    assert (str(caught.value), caught.value.field) == (message, field)


@pytest.mark.parametrize(
    "rrset",
    [
        [["v=STSv1; id=abc"]],
        [["v=STSv1; i", "d=abc"]],
        [["v=STSv1", "; id=", "", "abc"]],
        [["v=STSv1; id=a", "bc"]],
        [["v=spf1 -all"], ["v=STSv1; id=abc"], ["verification=1"], []],
        [["v=STSv1 ; id=other"], ["v=STSv1; id=abc"]],
        [["v=STSv2; id=other"], ["v=STSv1; id=abc"]],
        [["V=STSv1; id=other"], ["v=STSv1; id=abc"]],
        [[" v=STSv1; id=other"], ["v=STSv1; id=abc"]],
        ["v=STSv1; id=abc"],
        (("v=STSv1; id=abc",),),
    ],
)
def test_select_sts(rrset: t.Sequence[t.Sequence[str]]) -> None:
    assert select_sts_record(rrset) == StsRecord("abc")


NONE = "there is no TXT record that begins with 'v=STSv1;'"


@pytest.mark.parametrize(
    ("rrset", "message"),
    [
        ([], "there is no TXT record"),
        ([["v=spf1 -all"]], f"{NONE} among the 1 there are"),
        ([["v=spf1 -all"], []], f"{NONE} among the 2 there are"),
        ([["v=STSv1 ; id=a"]], f"{NONE}: 'v=STSv1 ; id=a' has a blank before the first semicolon"),
        (
            [["v=spf1 -all"], ["v=STSv1\t", ";id=a"]],
            f"{NONE}: 'v=STSv1\\t;id=a' has a blank before the first semicolon",
        ),
        ([["V=STSv1; id=a"]], f"{NONE}: 'V=STSv1; id=a' has its version in the wrong case"),
        ([["v=STSv1"]], f"{NONE}: 'v=STSv1' has no semicolon after its version"),
        ([["v=STSv1 id=a"]], f"{NONE}: 'v=STSv1 id=a' has no semicolon after its version"),
        ([[" v=STSv1; id=a"]], f"{NONE}: ' v=STSv1; id=a' has a blank or a quotation mark in front"),
        ([['"v=STSv1; id=a"']], f"{NONE}: '\"v=STSv1; id=a\"' has a blank or a quotation mark in front"),
        (
            [["v=STSv1; id=a"], ["v=STSv1; id=b"]],
            "2 TXT records begin with 'v=STSv1;', so senders use none of them",
        ),
        (
            [["v=STSv1; id=a"], ["v=STSv1; id=a"], ["x"], ["v=STSv1;"]],
            "3 TXT records begin with 'v=STSv1;', so senders use none of them",
        ),
        ([["v=STSv1;"]], "id: is missing"),
        # Strings are joined without a blank.
        ([["v=STSv1; id=a", "; x"]], "'x' has no '=': write 'name=value'"),
    ],
)
def test_select_sts_names_the_mistake(rrset: t.Sequence[t.Sequence[str]], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        select_sts_record(rrset)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", ["", "a" * 33, "a-b", "a\n", "é", None, 20240101])
def test_there_is_no_invalid_sts_record(value: t.Any) -> None:
    with pytest.raises(RecordError) as caught:
        render_sts_record(value)
    assert str(caught.value) == f"id: {value!r} {NOT_ID}"


def test_render_sts() -> None:
    assert render_sts_record("0123456789abcdef") == "v=STSv1; id=0123456789abcdef"


MAIL = "mailto:tls@example.com"
WEB = "https://example.com/tls"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"v=TLSRPTv1;rua={MAIL}", [MAIL]),
        (f"v=TLSRPTv1; rua={MAIL};", [MAIL]),
        (f"v=TLSRPTv1 ; rua={MAIL} ; ", [MAIL]),
        (f"v=TLSRPTv1; rua={MAIL},{WEB}", [MAIL, WEB]),
        (f"v=TLSRPTv1; rua={MAIL} \t,\t {WEB}", [MAIL, WEB]),
        (f"v=TLSRPTv1; rua={MAIL}; rua={WEB}", [MAIL, WEB]),
        (f"v=TLSRPTv1; rua={MAIL},{MAIL}; x=y; rua={WEB}", [MAIL, MAIL, WEB]),
        (f"v=TLSRPTv1; x=y; rua={MAIL}; RUA=z", [MAIL]),
        ("v=TLSRPTv1; rua=MailTo:tls@example.com", ["MailTo:tls@example.com"]),
        ("v=TLSRPTv1; rua=HTTPS://EXAMPLE.com", ["HTTPS://EXAMPLE.com"]),
        ("v=TLSRPTv1; rua=mailto:a%2Cb%21%3B%25@example.com", ["mailto:a%2Cb%21%3B%25@example.com"]),
        ("v=TLSRPTv1; rua=mailto:a+b/c$&'()*=~@example.com", ["mailto:a+b/c$&'()*=~@example.com"]),
        ("v=TLSRPTv1; rua=mailto:a@example.com?subject=x&y=/?#z", ["mailto:a@example.com?subject=x&y=/?#z"]),
        ("v=TLSRPTv1; rua=https://u:p@example.com:8443/a/b@c?d=e#f", ["https://u:p@example.com:8443/a/b@c?d=e#f"]),
        ("v=TLSRPTv1; rua=https://example.com:/", ["https://example.com:/"]),
        ("v=TLSRPTv1; rua=https://192.0.2.1/a", ["https://192.0.2.1/a"]),
        ("v=TLSRPTv1; rua=https://[2001:db8::1]:8443/a", ["https://[2001:db8::1]:8443/a"]),
        ("v=TLSRPTv1; rua=https://under_score.example?x", ["https://under_score.example?x"]),
    ],
)
def test_parse_tlsrpt(text: str, expected: list[str]) -> None:
    assert parse_tlsrpt_record(text) == TlsrptRecord(tuple(expected))


NO_SCHEME = "is not a mailto: or https: URI; a ',' inside of a URI is written %2C"
NO_CHAR = "has a character that RFC 3986 does not allow, or a '%' without two hexadecimal digits"
EMPTY = "rua: '' is empty: write a URI there, or remove the comma"


@pytest.mark.parametrize(
    ("text", "message", "field"),
    [
        ("", "v: '' does not begin with 'v=TLSRPTv1;'", "v"),
        ("v=TLSRPTv1", "rua: is missing", "rua"),
        ("v=TLSRPTv1;", "rua: is missing", "rua"),
        (
            f"v=tlsrptv1; rua={MAIL}",
            f"v: 'v=tlsrptv1; rua={MAIL}' does not begin with 'v=TLSRPTv1;', which must be written exactly so",
            "v",
        ),
        (f"v=STSv1; rua={MAIL}", f"v: 'v=STSv1; rua={MAIL}' does not begin with 'v=TLSRPTv1;'", "v"),
        (f"v=TLSRPTv1; ruf={MAIL}", "rua: is missing", "rua"),
        (
            f"v=TLSRPTv1; RUA={MAIL}",
            "rua: is missing; 'RUA' is not 'rua', write it in lower case",
            "rua",
        ),
        ("v=TLSRPTv1; rua=", EMPTY, "rua"),
        (f"v=TLSRPTv1; rua={MAIL},", EMPTY, "rua"),
        (f"v=TLSRPTv1; rua=,{MAIL}", EMPTY, "rua"),
        (f"v=TLSRPTv1; rua={MAIL},,{WEB}", EMPTY, "rua"),
        (f"v=TLSRPTv1; rua={MAIL}; rua=", EMPTY, "rua"),
        (f"v=TLSRPTv1; rua= {MAIL}", f"rua: ' {MAIL}' begins with a blank: remove it", "rua"),
        (
            f"v=TLSRPTv1; rua={MAIL} ",
            f"'v=TLSRPTv1; rua={MAIL} ' ends in a blank: remove it, or write ';' before it",
            None,
        ),
        (f"v=TLSRPTv1; rua={MAIL};;", f"'v=TLSRPTv1; rua={MAIL};;' {TWO_SEMICOLONS}", None),
        (f"v=TLSRPTv1; rua={MAIL}; {WEB}", f"'{WEB}' has no '=': write 'name=value'", None),
        (f"v=TLSRPTv1; rua={MAIL}; x=", "x: the value '' is empty", "x"),
        (f"v=TLSRPTv1; rua={MAIL}; x=a=b", f"x: the value 'a=b' {ODD_VALUE}", "x"),
        ("v=TLSRPTv1; rua=tls@example.com", f"rua: 'tls@example.com' {NO_SCHEME}", "rua"),
        ("v=TLSRPTv1; rua=http://example.com", f"rua: 'http://example.com' {NO_SCHEME}", "rua"),
        ("v=TLSRPTv1; rua=ftp://example.com", f"rua: 'ftp://example.com' {NO_SCHEME}", "rua"),
        ("v=TLSRPTv1; rua=http\u017f://example.com", f"rua: 'http\u017f://example.com' {NO_SCHEME}", "rua"),
        ("v=TLSRPTv1; rua=mailto:a,b@example.com", "rua: 'mailto:a' has no mail address", "rua"),
        ("v=TLSRPTv1; rua=mailto:", "rua: 'mailto:' has no mail address", "rua"),
        ("v=TLSRPTv1; rua=mailto:a", "rua: 'mailto:a' has no mail address", "rua"),
        ("v=TLSRPTv1; rua=mailto:@b", "rua: 'mailto:@b' has no mail address", "rua"),
        ("v=TLSRPTv1; rua=mailto:a@", "rua: 'mailto:a@' has no mail address", "rua"),
        ("v=TLSRPTv1; rua=mailto:a@b@c", "rua: 'mailto:a@b@c' has no mail address", "rua"),
        ("v=TLSRPTv1; rua=mailto:?to=a@b", "rua: 'mailto:?to=a@b' has no mail address", "rua"),
        ("v=TLSRPTv1; rua=https:", "rua: 'https:' has no host", "rua"),
        ("v=TLSRPTv1; rua=https://", "rua: 'https://' has no host", "rua"),
        ("v=TLSRPTv1; rua=https:///tls", "rua: 'https:///tls' has no host", "rua"),
        ("v=TLSRPTv1; rua=https://:443/", "rua: 'https://:443/' has no host", "rua"),
        ("v=TLSRPTv1; rua=https://u@/", "rua: 'https://u@/' has no host", "rua"),
        ("v=TLSRPTv1; rua=https:example.com", "rua: 'https:example.com' has no host", "rua"),
        ("v=TLSRPTv1; rua=https://a:b/", "rua: 'https://a:b/' has no host", "rua"),
        ("v=TLSRPTv1; rua=https://[::g]/", "rua: 'https://[::g]/' has no host", "rua"),
        ("v=TLSRPTv1; rua=https://[1:2]/", "rua: 'https://[1:2]/' has no host", "rua"),
        ("v=TLSRPTv1; rua=https://a/[b]", "rua: 'https://a/[b]' has no host", "rua"),
        ("v=TLSRPTv1; rua=https://a/#b#c", "rua: 'https://a/#b#c' has no host", "rua"),
        (
            "v=TLSRPTv1; rua=mailto:a!10m@example.com",
            "rua: 'mailto:a!10m@example.com' has '!', which is written %21 here",
            "rua",
        ),
        (f"v=TLSRPTv1; rua={WEB}/a b", f"rua: '{WEB}/a b' {NO_CHAR}", "rua"),
        (f"v=TLSRPTv1; rua={WEB}%2", f"rua: '{WEB}%2' {NO_CHAR}", "rua"),
        (f"v=TLSRPTv1; rua={WEB}%zz", f"rua: '{WEB}%zz' {NO_CHAR}", "rua"),
        (f"v=TLSRPTv1; rua=<{MAIL}>", f"rua: '<{MAIL}>' {NO_SCHEME}", "rua"),
        (f"v=TLSRPTv1; rua={MAIL}>", f"rua: '{MAIL}>' {NO_CHAR}", "rua"),
        (f"v=TLSRPTv1; rua={MAIL}\n", f"rua: '{MAIL}\\n' {NO_CHAR}", "rua"),
        ("v=TLSRPTv1; rua=mailto:tls@bücher.example", f"rua: 'mailto:tls@bücher.example' {NO_CHAR}", "rua"),
    ],
)
def test_parse_tlsrpt_names_the_mistake(text: str, message: str, field: str | None) -> None:
    with pytest.raises(RecordError) as caught:
        parse_tlsrpt_record(text)
    assert (str(caught.value), caught.value.field) == (message, field)


def test_select_tlsrpt() -> None:
    rrset = [["v=STSv1; id=a"], ["v=TLSRPTv1 ;rua=mailto:no@example.com"], ["v=TLSRPTv1;", f"rua={MAIL}"]]
    assert select_tlsrpt_record(rrset) == TlsrptRecord((MAIL,))


@pytest.mark.parametrize(
    ("rrset", "message"),
    [
        ([], "there is no TXT record"),
        ([["x"]], "there is no TXT record that begins with 'v=TLSRPTv1;' among the 1 there are"),
        (
            [[f"v=TLSRPTv1 ; rua={MAIL}"]],
            "there is no TXT record that begins with 'v=TLSRPTv1;':"
            f" 'v=TLSRPTv1 ; rua={MAIL}' has a blank before the first semicolon",
        ),
        (
            [[f"v=TLSRPTv1;rua={MAIL}"], [f"v=TLSRPTv1;rua={WEB}"]],
            "2 TXT records begin with 'v=TLSRPTv1;', so senders use none of them",
        ),
    ],
)
def test_select_tlsrpt_names_the_mistake(rrset: list[list[str]], message: str) -> None:
    with pytest.raises(RecordError) as caught:
        select_tlsrpt_record(rrset)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("rua", "expected"),
    [
        ([MAIL], f"v=TLSRPTv1; rua={MAIL}"),
        ((MAIL, WEB), f"v=TLSRPTv1; rua={MAIL},{WEB}"),
        (["mailto:a,b!c;d@example.com"], "v=TLSRPTv1; rua=mailto:a%2Cb%21c%3Bd@example.com"),
        (["mailto:a%2Cb@example.com"], "v=TLSRPTv1; rua=mailto:a%2Cb@example.com"),
        ([f"{WEB}?a=b!"], f"v=TLSRPTv1; rua={WEB}?a=b%21"),
    ],
)
def test_render_tlsrpt(rua: t.Sequence[str], expected: str) -> None:
    assert render_tlsrpt_record(rua) == expected


@pytest.mark.parametrize(
    ("rua", "message"),
    [
        ([], "rua: has no URI, but needs at least one"),
        (MAIL, f"rua: '{MAIL}' is not a list of URIs"),
        (None, "rua: None is not a list of URIs"),
        ([None], "rua: None is not a text, but a URI must be one"),
        ([MAIL, ""], EMPTY),
        (["tls@example.com"], f"rua: 'tls@example.com' {NO_SCHEME}"),
        ([f" {MAIL}"], f"rua: ' {MAIL}' {NO_SCHEME}"),
        ([f"{MAIL} "], f"rua: '{MAIL} ' {NO_CHAR}"),
        ([f'{MAIL}"'], f"rua: '{MAIL}\"' {NO_CHAR}"),
        (["mailto:a@b..example"], "rua: 'mailto:a@b..example' does not name a host in A-labels"),
        (["https://a_b.example/"], "rua: 'https://a_b.example/' does not name a host in A-labels"),
    ],
)
def test_render_tlsrpt_names_the_mistake(rua: t.Any, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        render_tlsrpt_record(rua)
    assert (str(caught.value), caught.value.field) == (message, "rua")


@pytest.mark.parametrize("rua", [(), "mailto:a@b", None, (None,), ("mailto:a,b@c",), ("mailto:a;b@c",)])
def test_there_is_no_invalid_tlsrpt_record(rua: t.Any) -> None:
    with pytest.raises(RecordError):
        TlsrptRecord(rua)


@given(st.from_regex(r"[A-Za-z0-9]{1,32}", fullmatch=True))
def test_an_id_that_is_rendered_is_read_again(policy_id: str) -> None:
    text = render_sts_record(policy_id)
    assert parse_sts_record(text) == select_sts_record([[text]]) == StsRecord(policy_id)
    assert re.fullmatch(r"v=STSv1; id=[A-Za-z0-9]{1,32}", text)


domains = st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True), min_size=1, max_size=3).map(
    ".".join
)
uris = st.one_of(
    st.builds("mailto:{}@{}".format, st.from_regex(r"([A-Za-z0-9.+,!;=_]|%2[0-9A-F]){1,9}", fullmatch=True), domains),
    st.builds("https://{}/{}".format, domains, st.from_regex(r"([A-Za-z0-9/,!;?=&@:]|%3[bB]){0,9}", fullmatch=True)),
)


@given(st.lists(uris, min_size=1, max_size=4))
def test_uris_that_are_rendered_are_read_again(rua: list[str]) -> None:
    text = render_tlsrpt_record(rua)
    encoded = tuple(uri.replace("!", "%21").replace(",", "%2C").replace(";", "%3B") for uri in rua)
    assert parse_tlsrpt_record(text) == select_tlsrpt_record([[text]]) == TlsrptRecord(encoded)
    assert render_tlsrpt_record(encoded) == text
    assert re.fullmatch(r"v=TLSRPTv1; rua=[^\s,!;]+(,[^\s,!;]+)*", text)


# The grammars again, straight from the ABNF, as one expression each.
EXTENSION = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[\x21-\x3a\x3c\x3e-\x7e]+"
DELIMITER = r"[ \t]*;[ \t]*"
STS = re.compile(rf"v=STSv1(?:{DELIMITER}{EXTENSION})+(?:{DELIMITER})?")
FIRST_ID = re.compile(rf"v=STSv1(?:{DELIMITER}(?!id=){EXTENSION})*{DELIMITER}id=[A-Za-z0-9]{{1,32}}(?![^ \t;])")

pieces = st.sampled_from(
    [
        *("v=STSv1", "v=STSv1;", "V=STSv1", "v=TLSRPTv1;", "id=a", "id=b1", "id=", "ID=a", "id=a-b", "x=y", "x"),
        *(" ", "\t", ";", "; ", " ;", ";;", "=", "\n", "é", "\x7f", ",", "!", "%", "%41", "rua=", MAIL, WEB, ""),
    ]
)
texts = st.one_of(
    st.text(),
    st.lists(pieces, max_size=8).map("".join),
    st.lists(pieces, max_size=6).map(lambda parts: ";".join(["v=STSv1", "id=a", *parts])),
    st.lists(pieces, max_size=6).map(lambda parts: "v=STSv1; " + "; ".join(parts)),
    st.lists(pieces, max_size=6).map(lambda parts: f"v=TLSRPTv1; rua={MAIL}" + "".join(parts)),
)


Record = t.TypeVar("Record")
Argument = t.TypeVar("Argument")


def outcome(read: t.Callable[[Argument], Record], argument: Argument) -> Record | RecordError:
    try:
        return read(argument)
    except RecordError as exc:
        return exc


@given(texts)
def test_exactly_the_grammar_of_sts_is_read(text: str) -> None:
    record = outcome(parse_sts_record, text)
    if STS.fullmatch(text) and FIRST_ID.match(text):
        assert isinstance(record, StsRecord)
        assert parse_sts_record(render_sts_record(record.id)) == record
    else:
        assert isinstance(record, RecordError)
        assert "\n" not in str(record)


@given(texts)
def test_texts_raise_nothing_but_record_error(text: str) -> None:
    record = outcome(parse_tlsrpt_record, text)
    if isinstance(record, RecordError):
        assert "\n" not in str(record)
    else:
        assert parse_tlsrpt_record(f"v=TLSRPTv1;rua={','.join(record.rua)}") == record


@given(st.lists(st.lists(texts, max_size=3), max_size=3))
def test_record_sets_raise_nothing_but_record_error(rrset: list[list[str]]) -> None:
    for version, parse, select in (
        ("v=STSv1;", parse_sts_record, select_sts_record),
        ("v=TLSRPTv1;", parse_tlsrpt_record, select_tlsrpt_record),
    ):
        ours = ["".join(strings) for strings in rrset if "".join(strings).startswith(version)]
        record = outcome(select, rrset)
        if len(ours) == 1:
            assert repr(record) == repr(outcome(parse, ours[0]))
        else:
            assert isinstance(record, RecordError)


@pytest.mark.parametrize(
    "text",
    [
        "v=STSv1" + " " * 500_000 + "x",
        "v=STSv1; id=a" + " ;" * 300_000,
        "v=STSv1; id=a" + "; x=y" * 200_000 + " ",
        "v=TLSRPTv1; rua=mailto:" + "a" * 500_000,
        "v=TLSRPTv1; rua=mailto:" + "%41" * 200_000 + "@",
        "v=TLSRPTv1; rua=https://" + "a:" * 200_000 + "/[",
        "v=TLSRPTv1; rua=https://a/" + "?" * 500_000 + "#" * 500_000,
        "v=TLSRPTv1; rua=" + f"{MAIL}," * 50_000,
    ],
)
def test_a_hostile_text_is_refused_in_few_words(text: str) -> None:
    for parse in (parse_sts_record, parse_tlsrpt_record):
        with pytest.raises(RecordError) as caught:
            parse(text)
        assert len(str(caught.value)) < 500
