# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings: one table of codes, and text from the network made harmless."""

from __future__ import annotations

import re

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import (
    KINDS,
    SEEN_LIMIT,
    Finding,
    printable,
    worst,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("code", KINDS)
def test_the_table_is_complete(code: str) -> None:
    kind = KINDS[code]
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", code)
    assert kind.severity in ("error", "warning", "notice")
    assert re.match(r"RFC [0-9]{4} [0-9.]+$", kind.reference)
    for text in (kind.title, kind.remedy):
        assert text == text.strip()
        assert not text.endswith(".")


def test_a_finding_as_document_and_as_line() -> None:
    finding = Finding("mx-starttls", "mx.example.net:25 at 192.0.2.1", "does not offer STARTTLS")
    assert finding.message == "mx.example.net:25 at 192.0.2.1: does not offer STARTTLS"
    assert finding.to_dict() == {
        "code": "mx-starttls",
        "severity": "error",
        "title": "an MX host does not offer a working STARTTLS",
        "subject": "mx.example.net:25 at 192.0.2.1",
        "seen": "does not offer STARTTLS",
        "remedy": "turn TLS on for port 25",
        "reference": "RFC 8461 4.2",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as it is", "as it is"),
        ("\x1b[2Jgone\x07", "?[2Jgone?"),
        ("two\r\nlines", "two??lines"),
        ("\x9b31m", "?31m"),
        ("right\u202eleft", "right?left"),
        ("line\u2028line", "line?line"),
        ("grün", "grün"),
        ("\ud800", "?"),
        ("x" * SEEN_LIMIT, "x" * SEEN_LIMIT),
        ("x" * (SEEN_LIMIT + 1), "x" * (SEEN_LIMIT - 3) + "..."),
    ],
)
def test_what_was_seen_is_printable_and_bounded(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert Finding("policy-http", "x", text).seen == shown


@given(st.text(max_size=400))
def test_nothing_gets_through(text: str) -> None:
    shown = printable(text)
    assert len(shown) <= SEEN_LIMIT
    assert shown.isprintable()
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], None),
        (["mx-unused"], "notice"),
        (["mx-unused", "mx-missing"], "warning"),
        (["mx-missing", "mx-starttls", "mx-unused"], "error"),
    ],
)
def test_the_worst_counts(codes: list[str], expected: str | None) -> None:
    assert worst(Finding(code, "", "") for code in codes) == expected
