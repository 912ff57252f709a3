# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several probe hosts share the domains, and one that is down costs its share and nothing else."""

from __future__ import annotations

import json
import re
import typing as t

if t.TYPE_CHECKING:
    from conftest import Lab, Playbook

SHARES = {"mx1": ["d1.scale.example", "d2.scale.example"], "mx2": ["d3.scale.example", "d4.scale.example"]}
NEW = "d5.scale.example"
DOMAINS = [{"domain": name, "mx": ["mx1.lab.test"]} for share in SHARES.values() for name in share]
WITH_NEW = [*DOMAINS, {"domain": NEW, "mx": ["mx1.lab.test"]}]


def found(lab: Lab, name: str) -> list[str]:
    """The domains in a results document."""
    return list(json.loads((lab.run_dir / name).read_text())["domains"])


def records(lab: Lab) -> list[list[str]]:
    return [lab.dig(f"_mta-sts.{entry['domain']}") for entry in DOMAINS]


def test_each_looks_at_its_share_and_proves_it(lab: Lab) -> None:
    run: Playbook = lab.quick_rollout()
    assert run.status == 0, run.output
    assert set(run.changed.values()) == {0}
    for kind, whole in (("seen", "observed.json"), ("proved", "proof.json")):
        assert {host: found(lab, f"{kind}/{host}.json") for host in SHARES} == SHARES
        assert found(lab, whole) == [name for share in SHARES.values() for name in share]
    assert {domain["announcement"] for domain in lab.report().values()} == {"in place"}


def test_one_that_is_down_is_told_and_its_share_stays_as_it_is(lab: Lab) -> None:
    before = records(lab)
    lab.lab_command("stop", "mx2")
    try:
        run = lab.quick_rollout(mta_sts_domains=WITH_NEW, mta_sts_defaults={"tlsrpt": ["mailto:tls@lab.test"]})
    finally:
        lab.lab_command("start", "mx2")
    assert run.status != 0
    assert re.search("(?m)^  probe host mx2: .*(timed out|No route to host|refused)", run.output), run.output
    assert "probe hosts that failed: mx2; 3 of 5 domains need somebody: d3.scale.example (unobserved)" in run.output
    report = lab.report()
    lost = {name for name, domain in report.items() if [hold["code"] for hold in domain["holds"]] == ["unobserved"]}
    assert lost == {*SHARES["mx2"], NEW}
    assert records(lab) == before
    assert lab.dig(f"_mta-sts.{NEW}") == []
    for name, domain in report.items():
        assert bool(lab.dig(f"_smtp._tls.{name}")) == (name in SHARES["mx1"]) == (domain["announcement"] == "in place")
    for name in SHARES["mx2"]:
        assert b"mode: testing" in lab.curl("web1", name, "--insecure")


def test_the_next_run_heals_it(lab: Lab) -> None:
    run = lab.quick_rollout(mta_sts_domains=WITH_NEW)
    assert run.status == 0, run.output
    assert {domain["stage"] for domain in lab.report().values()} == {"testing"}
    assert lab.report()[NEW]["announcement"] == "announced"


def test_without_any_nothing_is_done(lab: Lab) -> None:
    """As without the only one, of which a mistake in its inventory is as good as that it is down."""
    run = lab.quick_rollout(ansible_python_interpreter="/usr/bin/python3")
    assert run.status != 0
    assert "No probe host has found anything: mx1: " in run.output
    assert "; mx2: " in run.output
    assert set(run.changed.values()) == {0}
