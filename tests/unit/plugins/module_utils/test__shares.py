# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How probe hosts share the domains of a plan, and what becomes of their documents."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._shares import put_together, share_of
from hypothesis import given
from hypothesis import strategies as st

Document = dict[str, t.Any]
MX = st.lists(st.sampled_from(["mx1.example.net", "mx2.example.net", "*.mail.example.org"]), unique=True)


def plan(*mx: t.Sequence[str]) -> Document:
    entries = [{"domain": f"d{number}.example", "mx": list(hosts)} for number, hosts in enumerate(mx)]
    return {"schema": "s", "policy_hosts": {"web1": ["192.0.2.1"]}, "domains": entries, "record_sets": {"prepare": []}}


def shares(whole: Document, parts: int) -> list[list[Document]]:
    return [share_of(whole, part, parts)["domains"] for part in range(parts)]


def names(share: t.Iterable[Document]) -> list[str]:
    return [entry["domain"] for entry in share]


@given(st.lists(MX, max_size=30), st.integers(1, 8))
def test_every_domain_is_in_one_share_and_all_shares_are_of_one_size(mx: list[list[str]], parts: int) -> None:
    whole = plan(*mx)
    found = shares(whole, parts)
    assert sorted(names(entry for share in found for entry in share)) == sorted(names(whole["domains"]))
    assert max(map(len, found)) - min(map(len, found)) <= 1


@given(st.lists(MX, max_size=30), st.integers(1, 8), st.randoms())
def test_the_order_of_the_inventory_makes_no_difference(mx: list[list[str]], parts: int, random: t.Any) -> None:
    whole = plan(*mx)
    mixed = {**whole, "domains": random.sample(whole["domains"], len(mx))}
    for entry in mixed["domains"]:
        random.shuffle(entry["mx"])
    assert [names(share) for share in shares(mixed, parts)] == [names(share) for share in shares(whole, parts)]


@given(st.lists(MX, max_size=30), st.integers(1, 8))
def test_few_mx_hosts_are_looked_at_twice(mx: list[list[str]], parts: int) -> None:
    """Each border between two shares cuts at most one set of MX hosts."""
    sets = [{tuple(sorted(entry["mx"])) for entry in share} for share in shares(plan(*mx), parts)]
    assert sum(map(len, sets)) - len(set().union(*sets)) < parts


def test_a_probe_is_given_what_it_needs_and_no_more() -> None:
    share = share_of(plan(["mx1.example.net"]), 0, 1)
    assert set(share) == {"schema", "policy_hosts", "domains"}


@pytest.mark.parametrize(("part", "parts"), [(2, 2), (-1, 2), (0, 0)])
def test_a_part_that_there_is_not(part: int, parts: int) -> None:
    with pytest.raises(ValueError, match=f"part {part} of {parts}"):
        share_of(plan(), part, parts)


def test_documents_are_put_together() -> None:
    one = {"host": "probe1", "domains": {"b.example": 1}, "mx_hosts": {"mx1": 1, "mx2": 1}}
    other = {"host": "probe2", "domains": {"a.example": 2}, "mx_hosts": {"mx1": 1}}
    whole = put_together([one, other])
    assert whole == {
        "host": "probe1, probe2",
        "domains": {"a.example": 2, "b.example": 1},
        "mx_hosts": {"mx1": 1, "mx2": 1},
    }
    assert list(whole["domains"]) == ["a.example", "b.example"]
