# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies as files: one each, and nothing of them is lost on the way."""

from __future__ import annotations

import typing as t
from pathlib import PurePath

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import DomainNameError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import PolicyError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy_files import (
    DIFF_LIMIT,
    bodies_by_domain,
    describe_files,
    file_name,
    policy_diff,
    render_files,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._webroot import Change


def entry(domain: str, **more: t.Any) -> dict[str, t.Any]:
    return {"domain": domain, "mode": "testing", "mx": ["mx.example.net"], "max_age": 86400, **more}


BODY = b"version: STSv1\r\nmode: testing\r\nmx: mx.example.net\r\nmax_age: 86400\r\n"


def test_rendered_and_described() -> None:
    files = render_files([entry("Example.COM"), entry("b\u00fccher.example", mode="none", mx=[])])
    assert files["mta-sts.example.com.txt"] == BODY
    policies, damaged = describe_files(files)
    assert damaged == {}
    assert {domain: (found["mode"], found["mx"], found["max_age"]) for domain, found in policies.items()} == {
        "example.com": ("testing", ["mx.example.net"], 86400),
        "xn--bcher-kva.example": ("none", [], 86400),
    }


@pytest.mark.parametrize(
    ("entries", "error", "text"),
    [
        ([entry("a.example"), entry("A.example")], PolicyError, r"policies\[1\]: domain 'A.example' is listed twice"),
        ([entry("a.example", mode="on")], PolicyError, r"policies\[0\] a.example: .*'on'"),
        ([entry("a.example", mx=[])], PolicyError, r"policies\[0\] a.example: mx"),
        ([entry("a.example", max_age=-1)], PolicyError, r"policies\[0\] a.example: .*-1"),
        ([entry("../../etc/passwd")], DomainNameError, "passwd"),
        ([entry("a..example")], DomainNameError, r"a\.\.example"),
    ],
)
def test_what_cannot_be_rendered_is_named(entries: list[dict[str, t.Any]], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        render_files(entries)


def test_a_damaged_file_hides_no_other() -> None:
    policies, damaged = describe_files(
        {"mta-sts.a.example.txt": b"\xff", "mta-sts.b.example.txt": BODY, "readme.txt": b"x"}
    )
    assert list(policies) == ["b.example"]
    assert list(damaged) == ["a.example"]


def test_names_of_files() -> None:
    assert file_name("B\u00fccher.Example") == "mta-sts.xn--bcher-kva.example.txt"
    with pytest.raises(DomainNameError, match="passwd"):
        file_name("../../etc/passwd")


def test_only_what_a_web_server_looks_for_has_a_domain() -> None:
    good = {"mta-sts.a.example.txt": BODY, "mta-sts.1-2.b.example.txt": b"\xff"}
    bad = ["A.example", "a b.example", "a_b.example", "", ".", "a..b", "a.example;", "\udcff.a", "b\u00fccher.a"]
    others = ["mta-sts.txt", "mta-sts..txt", "robots.txt", "sta-mts.a.example.txt", "mta-sts.a.example.pem"]
    files = {**good, **dict.fromkeys([*others, *(f"mta-sts.{name}.txt" for name in bad)], BODY)}
    assert bodies_by_domain(files) == {"a.example": BODY, "1-2.b.example": b"\xff"}
    policies, damaged = describe_files(files)
    assert (list(policies), list(damaged)) == (["a.example"], ["1-2.b.example"])


def test_diff() -> None:
    pending = [
        Change("mta-sts.a.example.txt", b"\xffold\r\n", BODY),
        Change("mta-sts.b.example.txt", None, BODY),
        Change("mta-sts.c.example.txt", BODY, None),
    ]
    first, second, third = policy_diff(PurePath("/srv"), pending)
    assert (third["before"], third["after"]) == (BODY.decode().replace("\r\n", "\n"), "")
    assert first["before_header"] == first["after_header"] == "/srv/mta-sts.a.example.txt"
    assert first["before"] == "\\xffold\n"
    assert second["before"] == ""
    assert first["after"] == second["after"] == BODY.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("more", [0, 1])
def test_the_diff_is_bounded(more: int) -> None:
    pending = [Change(f"mta-sts.d{n}.example.txt", None, BODY) for n in range(DIFF_LIMIT + more)]
    diffs = policy_diff(PurePath("/srv"), pending)
    assert len(diffs) == DIFF_LIMIT + more
    assert [d["prepared"] for d in diffs if "prepared" in d] == ["... and 1 more policies\n"] * more
