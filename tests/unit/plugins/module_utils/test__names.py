# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Letters that look like others are what these tests are about.
# ruff: noqa: RUF001

"""Domain names: what is taken, what is refused and why, what an mx pattern matches."""

from __future__ import annotations

import re
import typing as t

import idna
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import (
    DomainNameError,
    is_ascii_domain,
    mx_matches,
    quoted,
    to_ascii,
)
from hypothesis import example, given
from hypothesis import strategies as st

LONG_NAME = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("example.com.", "example.com"),
        ("4.example", "4.example"),
        ("a--b.example", "a--b.example"),
        ("ab--c.example", "ab--c.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example.", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("mx.bücher.example", "mx.xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv"),
        # A-labels that only IDNA2008 knows: the way out that the refusal of U-labels names.
        ("xn--strae-oqa.example", "xn--strae-oqa.example"),
        ("xn--3xa.example", "xn--3xa.example"),
        (LONG_NAME, LONG_NAME),
        (f"{LONG_NAME}.", LONG_NAME),
    ],
)
def test_to_ascii(name: str, expected: str) -> None:
    assert to_ascii(name) == expected


LDH = "may only have letters, digits and, inside, hyphens"
DIFFER = "which IDNA2003 and IDNA2008 encode differently: write the label as A-label ('xn--...')"
UNSURE = "may not mean the same in IDNA2003 and IDNA2008: write it as A-label ('xn--...')"
NO_LETTER = (
    "which is no letter or digit to both IDNA2003 and IDNA2008: remove it, or write the label as A-label ('xn--...')"
)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "None is not a text, but a domain name must be one"),
        (42, "42 is not a text, but a domain name must be one"),
        ("", "'' is empty, but a domain name is needed"),
        (".", "'.' has an empty label: write one '.' between two labels"),
        ("example..com", "'example..com' has an empty label: write one '.' between two labels"),
        (".example.com", "'.example.com' has an empty label: write one '.' between two labels"),
        ("example.com..", "'example.com..' has an empty label: write one '.' between two labels"),
        ("localhost", "'localhost' is a single label: write the whole domain name"),
        ("com.", "'com.' is a single label: write the whole domain name"),
        (
            " example.com",
            "' example.com' holds a blank or a control character: write the domain name alone",
        ),
        (
            "example.com\n",
            "'example.com\\n' holds a blank or a control character: write the domain name alone",
        ),
        (
            "a.example\u00a0",
            "'a.example\\xa0' holds a blank or a control character: write the domain name alone",
        ),
        (
            "a\x00.example",
            "'a\\x00.example' holds a blank or a control character: write the domain name alone",
        ),
        (
            "https://example.com/",
            "'https://example.com/' is a URL: write the domain name alone, without scheme and path",
        ),
        ("example.com/a", "'example.com/a' has a path: write the domain name alone"),
        ("192.0.2.0/24", "'192.0.2.0/24' has a path: write the domain name alone"),
        ("a@example.com", "'a@example.com' is a mail address: write only what follows the '@'"),
        ("example.com:25", "'example.com:25' has a port: write the domain name alone"),
        ("192.0.2.1", "'192.0.2.1' is an IP address, not a domain name"),
        ("192.0.2.1.", "'192.0.2.1.' is an IP address, not a domain name"),
        ("[192.0.2.1]", "'[192.0.2.1]' is an IP address, not a domain name"),
        ("2001:db8::1", "'2001:db8::1' is an IP address, not a domain name"),
        ("[2001:db8::1]", "'[2001:db8::1]' is an IP address, not a domain name"),
        ("[IPv6:2001:db8::1]", "'[IPv6:2001:db8::1]' is an IP address, not a domain name"),
        (
            "192.0.2.256",
            "'192.0.2.256' ends in a number, as IP addresses do and domain names do not",
        ),
        ("_mta-sts.example.com", f"'_mta-sts.example.com': the label '_mta-sts' {LDH}"),
        ("*.example.com", f"'*.example.com': the label '*' {LDH}"),
        ("-a.example", f"'-a.example': the label '-a' {LDH}"),
        ("a-.example", f"'a-.example': the label 'a-' {LDH}"),
        ("[mx.example.com]", f"'[mx.example.com]': the label '[mx' {LDH}"),
        (
            f"{'a' * 64}.example",
            f"'{'a' * 64}.example': the label '{'a' * 64}' has 64 characters, at most 63 are allowed",
        ),
        (
            f"{LONG_NAME}d",
            f"'{LONG_NAME}d' has 254 characters as A-labels, at most 253 are allowed",
        ),
        ("xn--.example", f"'xn--.example': the label 'xn--' {LDH}"),
        ("xn--a-.example", f"'xn--a-.example': the label 'xn--a-' {LDH}"),
        (
            "xn--abc-9.example",
            "'xn--abc-9.example': the label 'xn--abc-9' is not an A-label, its Punycode is wrong",
        ),
        (
            "xn---80ak6aa92e.example",
            "'xn---80ak6aa92e.example': the label 'xn---80ak6aa92e' is not an A-label, its Punycode is wrong",
        ),
        (
            "xn--99999999.example",
            "'xn--99999999.example': the label 'xn--99999999' is not an A-label, its Punycode is wrong",
        ),
        (
            "example\u3002com",
            "'example\u3002com' has an ideographic full stop: write '.' between the labels",
        ),
        (
            "example\uff0ecom",
            "'example\uff0ecom' has an ideographic full stop: write '.' between the labels",
        ),
        (
            "example\uff61com",
            "'example\uff61com' has an ideographic full stop: write '.' between the labels",
        ),
        ("straße.example", f"'straße.example': the label 'straße' has 'ß', {DIFFER}"),
        ("STRAẞE.example", f"'STRAẞE.example': the label 'STRAẞE' has 'ß', {DIFFER}"),
        ("οδος.example", f"'οδος.example': the label 'οδος' has 'ς', {DIFFER}"),
        ("ΟΔΟΣ.example", f"'ΟΔΟΣ.example': the label 'ΟΔΟΣ' has 'ς', {DIFFER}"),
        (
            "نامه\u200cای.example",
            f"'نامه\\u200cای.example': the label 'نامه\\u200cای' has '\\u200c', {DIFFER}",
        ),
        (
            "क्\u200dष.example",
            f"'क्\\u200dष.example': the label 'क्\\u200dष' has '\\u200d', {DIFFER}",
        ),
        ("i♥.example", f"'i♥.example': the label 'i♥' has '♥', {NO_LETTER}"),
        ("soft\u00adü.example", f"'soft\\xadü.example': the label 'soft\\xadü' has '\\xad', {NO_LETTER}"),
        ("a\u1160b.example", f"'a\u1160b.example': the label 'a\u1160b' has '\u1160', {NO_LETTER}"),
        ("a_ü.example", f"'a_ü.example': the label 'a_ü' has '_', {NO_LETTER}"),
        ("\ud800.example", f"'\\ud800.example': the label '\\ud800' has '\\ud800', {NO_LETTER}"),
        # Lower case since Unicode 5 and 8: IDNA2003 leaves these as they are.
        ("\u2c65.example", f"'\u2c65.example': the label '\u2c65' has '\u2c65', {NO_LETTER}"),
        ("\uff41.example", f"'\uff41.example': the label '\uff41' {UNSURE}"),
        ("k\u212a.example", f"'k\u212a.example': the label 'k\u212a' {UNSURE}"),
        ("\u017f\u00fc.example", f"'\u017fü.example': the label '\u017fü' {UNSURE}"),
        ("\u0301a.example", f"'\u0301a.example': the label '\u0301a' {UNSURE}"),
        # From left to right, and from right to left.
        ("a\u05d0b.example", f"'a\u05d0b.example': the label 'a\u05d0b' {UNSURE}"),
        (
            "-ü.example",
            "'-ü.example': the label '-ü' may have hyphens inside only, and not as third and fourth character",
        ),
        (
            "xn--ü.example",
            "'xn--ü.example': the label 'xn--ü' may have hyphens inside only, and not as third and fourth character",
        ),
        (
            f"{'a' * 60}ü.example",
            f"'{'a' * 60}ü.example': the label '{'a' * 60}ü' is longer than 63 characters as A-label",
        ),
    ],
)
def test_to_ascii_names_the_mistake(name: t.Any, message: str) -> None:
    with pytest.raises(DomainNameError) as caught:
        to_ascii(name)
    assert str(caught.value) == message


def test_an_endless_name_is_refused_at_once_and_shown_in_part() -> None:
    with pytest.raises(DomainNameError, match="longer than the 253 characters") as caught:
        to_ascii("ü" * 1_000_000)
    assert len(str(caught.value)) < 400


label_text = st.text(alphabet=st.characters(exclude_characters="."), min_size=1, max_size=12)
letters = st.text(
    alphabet=st.one_of(
        st.sampled_from("abzABZ019-ßςΣ\u200c\u200dİıK\u212aſéÉe\u0301ǆαΑйЙ例ａ·"),
        st.characters(categories=["Ll", "Lo", "Lu", "Mn", "Nd"]),
    ),
    min_size=1,
    max_size=8,
)


@given(st.lists(st.one_of(letters, label_text), min_size=2, max_size=4).map(".".join))
@example("ŉü.example")
@example("İstanbul.example")
@example("a\u115fb.a\u17b4b")
def test_what_is_accepted_is_the_same_in_idna2008(name: str) -> None:
    try:
        ascii_name = to_ascii(name)
    except DomainNameError:
        return
    assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", ascii_name)
    assert is_ascii_domain(ascii_name)
    assert to_ascii(ascii_name) == ascii_name
    assert to_ascii(f"{ascii_name.upper()}.") == ascii_name
    for label, ascii_label in zip(name.rstrip(".").split("."), ascii_name.split("."), strict=True):
        if label.isascii():
            assert ascii_label == label.lower()
            continue
        try:
            assert idna.encode(label, uts46=True, std3_rules=True).decode() == ascii_label
        except idna.IDNAError:
            # IDNA2008 has no such name at all (context and direction rules), so no other one either.
            assert idna.uts46_remap(label) == ascii_label.encode().decode("idna")


@given(st.text())
def test_to_ascii_raises_nothing_but_its_own_error(name: str) -> None:
    try:
        message = ""
        to_ascii(name)
    except DomainNameError as exc:
        message = str(exc)
    assert not message or message.startswith(repr(name)) or len(repr(name)) > 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", True),
        ("EXAMPLE.com", True),
        ("localhost", True),
        ("1", True),
        ("192.0.2.1", True),
        ("1a.example", True),
        ("a--b.example", True),
        ("xn--bcher-kva.example", True),
        (f"{'a' * 63}.example", True),
        (LONG_NAME, True),
        ("", False),
        (".", False),
        ("example.com.", False),
        (".example.com", False),
        ("example..com", False),
        ("-a.example", False),
        ("a-.example", False),
        ("a_b.example", False),
        ("*.example.com", False),
        ("[192.0.2.1]", False),
        ("2001:db8::1", False),
        ("bücher.example", False),
        ("１.example", False),
        ("example.com\n", False),
        ("example .com", False),
        (f"{'a' * 64}.example", False),
        (f"{LONG_NAME}d", False),
    ],
)
def test_is_ascii_domain(text: str, expected: bool) -> None:
    assert is_ascii_domain(text) is expected


@pytest.mark.parametrize(
    ("host", "pattern", "expected"),
    [
        ("mail.example.com", "mail.example.com", True),
        ("MAIL.example.com.", "mail.Example.com", True),
        ("mail.example.com", "mail.example.com.", True),
        ("mail.example.com", "*.example.com", True),
        ("MAIL.Example.COM.", "*.EXAMPLE.com", True),
        ("mail.example.com", "*.example.com.", True),
        ("example.com", "*.example.com", False),
        ("foo.bar.example.com", "*.example.com", False),
        ("mail.example.com.evil.example", "*.example.com", False),
        ("mailXexample.com", "mail.example.com", False),
        ("notexample.com", "*.example.com", False),
        ("mail.notexample.com", "*.example.com", False),
        (".example.com", "*.example.com", False),
        ("mail.example.com", ".example.com", False),
        ("mail.example.com", "example.com", False),
        ("mail.example.com", "*", False),
        ("mail.example.com", "*.", False),
        ("mail.example.com", "*.*.com", False),
        ("mail.example.com", "mail.*.com", False),
        ("mail.example.com", "m*.example.com", False),
        ("mail.example.com", "**.example.com", False),
        ("mail.example.com", "*example.com", False),
        ("mail.example.com", "*-example.com", False),
        ("*.example.com", "*.example.com", False),
        ("mail.example.com..", "mail.example.com", False),
        ("mail.example.com\n", "mail.example.com", False),
        ("mail.example.com\n", "*.example.com", False),
        ("mail", "mail", True),
        ("mail.", "*.", False),
        ("mail", "*.mail", False),
        ("com", "*.com", False),
        ("mx_1.example.com", "*.example.com", False),
        ("mx_1.example.com", "mx_1.example.com", False),
        ("mx.bücher.example", "*.xn--bcher-kva.example", True),
        ("mx.xn--bcher-kva.example", "mx.BÜCHER.example", True),
        ("xn--80ak6aa92e.a.example", "*.a.example", True),
        ("mx.straße.example", "mx.strasse.example", False),
        ("mx.straße.example", "mx.straße.example", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("[192.0.2.1]", "[192.0.2.1]", False),
        ("", "", False),
        (".", ".", False),
    ],
)
def test_mx_matches(host: str, pattern: str, expected: bool) -> None:
    assert mx_matches(host, [pattern]) is expected


def test_mx_matches_any_of_several_patterns() -> None:
    patterns = ["a.example.com", "foo..bar", "*.example.net"]
    assert mx_matches("a.example.com", patterns)
    assert mx_matches("b.example.net", iter(patterns))
    assert not mx_matches("b.example.com", patterns)
    assert not mx_matches("a.example.com", [])


junk: st.SearchStrategy[t.Any] = st.one_of(st.text(), st.none(), st.integers(), st.binary(), st.lists(st.text()))


@given(st.one_of(junk, st.just("mx.example.com")), st.lists(junk))
def test_mx_matches_never_raises(host: t.Any, patterns: list[t.Any]) -> None:
    assert mx_matches(host, patterns) in (True, False)


hosts = st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True), min_size=1, max_size=5)


@given(hosts, hosts)
def test_a_wildcard_is_one_label(labels: list[str], parent: list[str]) -> None:
    host = ".".join([*labels, *parent])
    assert mx_matches(host, [f"*.{'.'.join(parent)}"]) is (len(labels) == 1)
    assert mx_matches(host.upper(), [f"{host}."])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "'a'"),
        (None, "None"),
        ("\x1b[2J\u202e", r"'\x1b[2J\u202e'"),
        ("a" * 298, f"'{'a' * 298}'"),
        ("a" * 1000, f"'{'a' * 279}... (1002 characters)"),
    ],
)
def test_quoted(value: object, expected: str) -> None:
    assert quoted(value) == expected
