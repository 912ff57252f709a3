# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner as a module: what it refuses, and the document that it writes."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from modules import run

DOMAINS = [{"domain": "Example.com", "mx": ["mx1.example.net"]}]
HOSTS = {"web1": ["198.51.100.1"], "web2": ["198.51.100.2", "2001:DB8::2"]}


def test_a_plan_before_anything_is_observed(tmp_path: Path) -> None:
    dest = tmp_path / "run/plan.json"
    result = run("mta_sts_plan", tmp_path, domains=DOMAINS, policy_hosts=HOSTS, dest=str(dest))
    assert (result["changed"], result["stages"], result["orphans"]) == (False, {"pending": 1}, [])
    plan = json.loads(dest.read_text())
    assert plan["policy_hosts"] == {"web1": ["198.51.100.1"], "web2": ["198.51.100.2", "2001:db8::2"]}
    assert [entry["domain"] for entry in plan["domains"]] == ["example.com"]
    assert plan["record_sets"] == {"prepare": [], "announce": []}


REFUSED: dict[str, tuple[dict[str, t.Any], str]] = {
    "a mistake in the inventory": ({"domains": [{"domain": "example.com"}]}, "mta_sts_domains has 1 mistake, "),
    "no policy host": ({"policy_hosts": {}}, "there is no policy host"),
    "a host without address": ({"policy_hosts": {"web1": []}}, "policy host web1: mta_sts_public_addresses is empty"),
    "a text for a list": ({"policy_hosts": {"web1": "198.51.100.1"}}, "'198.51.100.1' must be a list of addresses"),
    "a name that does not resolve": (
        {"policy_hosts": {"web1": ["web1.invalid"]}},
        "policy host web1: 'web1.invalid' is no IP address and does not resolve; set mta_sts_public_addresses",
    ),
    "the controller itself": (
        {"policy_hosts": {"localhost": ["localhost"]}},
        "policy host localhost: senders cannot reach it at ",
    ),
    "a document that is missing": ({"observed": "/nowhere/observed.json"}, "/nowhere/observed.json: No such file"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_leaves_the_last_plan(tmp_path: Path, options: dict[str, t.Any], message: str) -> None:
    dest = tmp_path / "plan.json"
    dest.write_text("the last one")
    given = {"domains": DOMAINS, "policy_hosts": HOSTS, "dest": str(dest), **options}
    result = run("mta_sts_plan", tmp_path, **given)
    assert result["failed"]
    assert message in result["msg"]
    assert dest.read_text() == "the last one"
