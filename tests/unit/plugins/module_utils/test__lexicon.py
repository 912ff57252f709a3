# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How data go through dns-lexicon, and how secrets are kept out of what comes back."""

from __future__ import annotations

import base64
import typing as t

import dns.name
import dns.rdataset
import dns.rdatatype
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lexicon.content import (
    content_of,
    rdata_of,
    rdataset_of,
    record_of,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lexicon.redaction import (
    MASK,
    Redaction,
    secrets_of,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.record_set import SetError
from hypothesis import given
from hypothesis import strategies as st

ZONE = dns.name.from_text("example.com")
PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=600)


def text_of(content: str) -> str:
    rdata: t.Any = rdata_of(dns.rdatatype.TXT, content)
    return b"".join(rdata.strings).decode()


@given(PLAIN)
def test_a_text_comes_back(text: str) -> None:
    """As it is, in quotes, in several strings, with semicolons escaped, and without the outermost quotes."""
    told = content_of(rdata_of(dns.rdatatype.TXT, text))
    half = len(told) // 2
    forms = [told, *(f'"{part}"' for part in ([told] if len(told) < 256 else []))]
    if len(told) < 500:
        forms += [f'"{told[:half]}" "{told[half:]}"', f'{told[:half]}" "{told[half:]}']
        forms.append(f'"{told[:half]}" "{told[half:]}"'.replace(";", r"\;"))
    assert [text_of(form) for form in forms] == [text] * len(forms)


@pytest.mark.parametrize("text", ['a "b"', "a\\b", "é", "", "a\nb"])
def test_texts_that_providers_take_differently_are_refused(text: str) -> None:
    rdata = rdata_of(dns.rdatatype.TXT, '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"')
    with pytest.raises(SetError, match="without quotes and backslashes"):
        content_of(rdata)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("www.example.com", "www.example.com."),
        ("www.example.com.", "www.example.com."),
        ("WWW.Example.COM", "www.example.com."),
        ("www", "www.example.com."),
        ("a.b", "a.b.example.com."),
        ("@", "example.com."),
        ("", "example.com."),
        ("example.com", "example.com."),
        ("notexample.com", "notexample.com.example.com."),
        ("a..b", None),
        (None, None),
    ],
)
def test_names_as_providers_tell_them(told: str | None, name: str | None) -> None:
    entry = {"type": "TXT", "content": "x", "ttl": 300, "id": "1", **({} if told is None else {"name": told})}
    record = record_of(entry, ZONE)
    assert (None if record is None else record.name) == (None if name is None else dns.name.from_text(name))


@pytest.mark.parametrize(
    ("told", "ttl"), [(300, 300), ("300", 300), (None, None), ("auto", None), ("", None), (-1, None)]
)
def test_ttls_as_providers_tell_them(told: object, ttl: int | None) -> None:
    record = record_of({"name": "a", "type": "A", "content": "192.0.2.1", "ttl": told, "id": None}, ZONE)
    assert record is not None
    assert record.ttl == ttl
    rdataset = rdataset_of(dns.rdatatype.A, [record], 3600)
    assert rdataset == dns.rdataset.from_text("IN", "A", ttl or 3600, "192.0.2.1")
    assert rdataset is not None
    assert rdataset.ttl == (ttl or 3600)


def test_an_identifier_that_is_made_of_a_content_with_a_slash_identifies_nothing() -> None:
    entry = {"name": "a", "type": "TXT", "ttl": 300}
    found = [
        record_of({**entry, "content": content, "id": identifier}, ZONE)
        for content, identifier in (("a/b", "TXT/a=a/b"), ("ab", "TXT/a=ab"), ("a/b", "4711"), ("ab", None))
    ]
    assert [one is not None and one.is_identified for one in found] == [False, True, True, False]


@given(st.lists(st.text(st.characters(exclude_characters="*"), min_size=4), min_size=1, max_size=3), st.text())
def test_no_secret_is_left(secrets: list[str], text: str) -> None:
    redact = Redaction(secrets)
    for secret in secrets:
        told = redact(f"{text}{secret}{text} https://x.example/?key={secret}")
        assert not [part for part in told.split(MASK) if secret in part]


def test_secrets_as_urls_and_authentication_write_them() -> None:
    redact = Redaction(["me@example.com", "s/e c+r=t"])
    basic = base64.b64encode(b"me@example.com:s/e c+r=t").decode()
    for form in ("s/e c+r=t", "s%2Fe%20c%2Br%3Dt", "s/e%20c%2Br%3Dt", "s%2Fe+c%2Br%3Dt", basic, basic.rstrip("=")):
        assert form not in redact(f"before {form} after")
        assert redact(f"before {form} after").startswith("before ***")


def test_what_is_public_or_too_short_is_no_secret() -> None:
    assert secrets_of(["acme", "1", "token", ""], "mta-sts.acme.example") == {"token"}
