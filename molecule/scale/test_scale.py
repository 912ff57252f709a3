# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""P9, and what a domain more costs: counted and not timed, as others use the machine, too."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id
from counting import Counts, counted

if t.TYPE_CHECKING:
    from conftest import Lab

COUNT = 200
BODY = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.lab.test\r\nmax_age: 2592000\r\n"


Kind = t.Literal["cold", "unchanged"]


@dataclass(frozen=True)
class Runs:
    """Rollouts that find a domain more, all the others more, and nothing to do: with one domain, and with all."""

    one_more: Counts
    all_more: Counts
    one: Counts
    unchanged: Counts

    def each(self, kind: Kind, name: str, host: str = "") -> float:
        """What each domain more adds to a count."""
        few, many = (self.one_more, self.all_more) if kind == "cold" else (self.one, self.unchanged)
        counts = [getattr(run, name) for run in (few, many)]
        if host:
            counts = [count[host] for count in counts]
        return float((counts[1] - counts[0]) / (COUNT - (3 if kind == "cold" else 1)))


@pytest.fixture(scope="module")
def runs(lab: Lab) -> Runs:
    domains = [
        {"domain": f"d{number}.scale.example", "mx": ["mx1.lab.test"], "mode": "enforce"}
        for number in range(1, COUNT + 1)
    ]
    # The first domain is rolled out already.
    one = counted(lab, mta_sts_domains=domains[:1])
    one_more = counted(lab, mta_sts_domains=domains[:2])
    all_more = counted(lab, mta_sts_domains=domains)
    return Runs(one_more, all_more, one, counted(lab, mta_sts_domains=domains))


def test_all_of_them_are_published(lab: Lab, runs: Runs) -> None:
    assert runs.one_more.changed
    assert runs.all_more.changed
    assert not runs.unchanged.changed
    report = lab.report()
    assert len(report) == COUNT
    assert {(domain["stage"], len(domain["holds"])) for domain in report.values()} == {("enforcing", 0)}
    assert lab.zone("scale.example").count(f"v=STSv1; id={policy_id(BODY)}") == COUNT
    for number in (1, 100, COUNT):
        assert lab.curl("web1", f"d{number}.scale.example", "--insecure") == BODY


def test_as_many_tasks_for_two_hundred_domains_as_for_one(runs: Runs) -> None:
    assert runs.one.tasks == runs.one_more.tasks == runs.all_more.tasks == runs.unchanged.tasks > 20


def test_as_many_round_trips_to_each_policy_host(runs: Runs) -> None:
    assert runs.one.trips == runs.unchanged.trips
    assert runs.one_more.trips == runs.all_more.trips
    assert all(20 < trips <= 60 for trips in runs.unchanged.trips.values())


def test_the_mx_host_that_all_share_is_probed_once(runs: Runs) -> None:
    """Once more for TLS 1.2; and we look at it ourselves."""
    for run in (runs.one, runs.one_more, runs.all_more, runs.unchanged):
        assert 1 < run.connections["mx1"] <= 3


@pytest.mark.parametrize(("kind", "most"), [("cold", 1), ("unchanged", 2)])
def test_a_policy_is_fetched_from_each_host_to_observe_it_and_to_prove_it(runs: Runs, kind: Kind, most: int) -> None:
    for host in runs.one.trips:
        assert 0.9 < runs.each(kind, "connections", host) < most + 0.1


@pytest.mark.parametrize(("kind", "most"), [("cold", 16), ("unchanged", 10)])
def test_so_many_dns_queries(runs: Runs, kind: Kind, most: int) -> None:
    assert 1 < runs.each(kind, "queries") < most + 0.5


def test_dns_updates_are_batched(runs: Runs) -> None:
    """Three record sets of each domain, all in one zone."""
    assert 0 < runs.all_more.updates <= 8
    assert runs.unchanged.updates == 0


@pytest.mark.parametrize(("kind", "most"), [("cold", 110), ("unchanged", 90)])
def test_so_many_bytes_over_ssh(runs: Runs, kind: Kind, most: int) -> None:
    """87 and 75, compressed: the domain's entry in the plan, there, and in the results, back."""
    for host in runs.one.trips:
        assert runs.each(kind, "carried", host) < most


@pytest.mark.parametrize(("kind", "most"), [("cold", 1900), ("unchanged", 1500)])
def test_so_many_bytes_through_callbacks(runs: Runs, kind: Kind, most: int) -> None:
    """1680 and 1370, with the arguments and results of all modules, as SSH logs them: each quote in three bytes."""
    assert runs.each(kind, "told") < most
