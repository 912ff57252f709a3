# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""DANE first, MTA-STS second (RFC 8461 2)."""

from __future__ import annotations

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tls_policy import (
    DANE,
    DANE_ONLY,
    Host,
    choose,
    enforces,
    is_domain,
    usable,
)

STS = "OK secure match=mx1.example.net:.mail.example.net servername=hostname policy_type=sts"
NAMED, OTHER = "mx1.example.net", "mx.example.org"


@pytest.mark.parametrize(
    ("signed", "hosts", "expected"),
    [
        (True, [], STS),
        (True, [Host(NAMED, False)], STS),
        (False, [Host(NAMED, False), Host("a.mail.example.net", False)], STS),
        # Where all is signed, DANE has the word, even if only one of the hosts has it.
        (True, [Host(NAMED, True)], DANE_ONLY),
        (True, [Host(NAMED, False), Host(OTHER, True)], DANE_ONLY),
        # A forged MX record could name a host with TLSA records of its own; the policy keeps it out.
        (False, [Host(NAMED, True)], DANE),
        (False, [Host(NAMED, True), Host("a.mail.example.net", True)], DANE),
        (False, [Host(OTHER, True)], STS),
        (False, [Host(NAMED, True), Host(OTHER, True)], STS),
        (False, [Host("a.b.mail.example.net", True)], STS),
        (False, [Host("mail.example.net", True)], STS),
        (False, [Host(NAMED, True), Host("a.mail.example.net", False)], STS),
    ],
)
def test_what_postfix_is_told(signed: bool, hosts: list[Host], expected: str) -> None:
    assert choose(STS, signed, hosts) == expected


def test_a_policy_that_names_nobody_lets_dane_in_for_nobody() -> None:
    assert choose("OK secure ", False, [Host(NAMED, True)]) == "OK secure "


@pytest.mark.parametrize(
    ("reply", "expected"),
    [(STS, True), ("NOTFOUND ", False), ("TEMP trouble", False), ("PERM trouble", False), ("OK may", False)],
)
def test_only_a_policy_to_enforce_is_held_against_dane(reply: str, expected: bool) -> None:
    assert enforces(reply) is expected


@pytest.mark.parametrize("usage", range(5))
@pytest.mark.parametrize("selector", range(3))
@pytest.mark.parametrize("matching", range(4))
def test_records_that_can_authenticate_an_mx_host(usage: int, selector: int, matching: int) -> None:
    """RFC 7672 3.1: usages 0 and 1 cannot, and what is not known, neither."""
    assert usable(usage, selector, matching) is (usage in (2, 3) and selector < 2 and matching < 3)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("example.com", True),
        ("xn--bcher-kva.example", True),
        (".example.com", False),
        ("[mx.example.com]", False),
        ("[mx.example.com]:587", False),
        ("mx.example.com:587", False),
        ("[192.0.2.1]", False),
        ("[ipv6:2001:db8::1]", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_what_is_a_recipients_domain(key: str, expected: bool) -> None:
    assert is_domain(key) is expected
