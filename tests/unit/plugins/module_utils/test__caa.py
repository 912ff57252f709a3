# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which CAA records let our certification authority issue."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._caa import caa_refusal

ALL = "let nobody issue"
OTHERS = "let ca.example issue certificates, and not letsencrypt.org"

CASES: dict[str, tuple[list[tuple[int, str, str]], str]] = {
    "none": ([], ""),
    "ours": ([(0, "issue", "letsencrypt.org")], ""),
    "ours in other letters, with parameters": ([(0, "issue", " LetsEncrypt.org ; accounturi=https://x.example/1")], ""),
    "ours among others": ([(0, "issue", "ca.example"), (0, "issue", "letsencrypt.org")], ""),
    "ours, critical": ([(128, "issue", "letsencrypt.org")], ""),
    "others": ([(0, "issue", "ca.example")], OTHERS),
    "nobody": ([(0, "issue", ";")], ALL),
    "nobody, and ours": ([(0, "issue", ";"), (0, "issue", "letsencrypt.org")], ""),
    "for wildcards alone": ([(0, "issuewild", ";")], ""),
    "where to complain": ([(0, "iodef", "mailto:x@example.com")], ""),
    "what nobody knows": ([(0, "odd", "x")], ""),
    "what nobody knows and must": ([(128, "odd", "x"), (0, "issue", "letsencrypt.org")], "critical CAA property 'odd'"),
    "by our method": ([(0, "issue", "letsencrypt.org; validationmethods=dns-01,http-01")], ""),
    "by another method": ([(0, "issue", "letsencrypt.org; validationmethods=dns-01")], "by http-01"),
    "by another method, or any": (
        [(0, "issue", "letsencrypt.org; validationmethods=dns-01"), (0, "issue", "letsencrypt.org")],
        "",
    ),
}


def records(*properties: tuple[int, str, str]) -> list[dict[str, t.Any]]:
    return [dict(zip(("flags", "tag", "value"), one)) for one in properties]


@pytest.mark.parametrize(("properties", "told"), CASES.values(), ids=CASES)
def test_refusal(properties: list[tuple[int, str, str]], told: str) -> None:
    refusal = caa_refusal("example.com", records(*properties), ["letsencrypt.org"])
    assert bool(refusal) == bool(told)
    assert told in refusal
    assert not refusal or "example.com" in refusal


@pytest.mark.parametrize(("value", "told"), [("ca.example", ""), (";", ALL), ("", ALL)])
def test_of_an_unknown_authority_only_what_forbids_all_is_told(value: str, told: str) -> None:
    assert told in caa_refusal("example.com", records((0, "issue", value)), [])
    assert bool(caa_refusal("example.com", records((0, "issue", value)), [])) == bool(told)
