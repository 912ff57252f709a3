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
    assert result["at"] == plan["at"]
    assert plan["policy_hosts"] == {"web1": ["198.51.100.1"], "web2": ["198.51.100.2", "2001:db8::2"]}
    assert [entry["domain"] for entry in plan["domains"]] == ["example.com"]
    assert plan["record_sets"] == {"prepare": [], "announce": []}


def observed(record_id: str = "") -> dict[str, t.Any]:
    """What is seen of example.com, as it is written by the module that looks."""
    policy = {"mode": "testing", "mx": ["mx1.example.net"], "max_age": 86400}
    known: dict[str, t.Any] = {
        "addresses": [],
        "records": [],
        "foreign_records": [],
        "tlsrpt": [],
        "tlsrpt_records": [],
        "foreign_tlsrpt_records": [],
        "ttls": {},
        "aliases": {},
        "caa": None,
        "findings": [],
    }
    seen: dict[str, t.Any] = {"record_id": None, "policy": None, "mx": ["mx1.example.net"], "mx_ttl": 300, **known}
    if record_id:
        seen.update(record_id=record_id, records=[f"v=STSv1; id={record_id}"], policy=policy)
    return {"host": "localhost", "domains": {"example.com": seen}}


def test_a_plan_from_ledgers_for_a_time_that_is_given(tmp_path: Path) -> None:
    """Within the testing period of the domain itself, of the inventory, and of everybody; and without a ledger."""
    served = {"mode": "testing", "mx": ["mx1.example.net"], "max_age": 86400, "after_unknown": False, "until": None}
    entry = {
        "served": [{**served, "since": "2026-11-01T10:00:00+00:00"}],
        "conditions": dict.fromkeys(("testing", "ready"), "2026-11-20T10:00:00+00:00"),
    }
    written = "2026-11-22T10:00:00+00:00"
    (tmp_path / "ledgers").mkdir()
    for host in HOSTS:
        known = {"state": "ok", "trouble": "", "revision": 3, "written": written, "now": "2026-11-23T10:00:00+00:00"}
        document = {"host": host, **known, "domains": {"example.com": entry}}
        (tmp_path / f"ledgers/{host}.json").write_text(json.dumps(document))
    (tmp_path / "observed.json").write_text(json.dumps(observed("1")))
    options: dict[str, t.Any] = {
        "policy_hosts": HOSTS,
        "ledgers": str(tmp_path / "ledgers"),
        "observed": str(tmp_path / "observed.json"),
        "at": "2026-11-23T11:00:00+01:00",
        "dest": str(tmp_path / "plan.json"),
    }

    def until(days: dict[str, int], of_all: dict[str, int], **more: t.Any) -> list[t.Any]:
        domains = [{**DOMAINS[0], "mode": "enforce", **days}]
        result = run("mta_sts_plan", tmp_path, domains=domains, defaults=of_all, **{**options, **more})
        assert result["at"] == "2026-11-23T10:00:00+00:00"
        plan = json.loads((tmp_path / "plan.json").read_text())
        assert plan["at"] == result["at"]
        return [hold["until"] for hold in plan["domains"][0]["holds"] if hold["code"] != "proof-missing"]

    assert until({}, {}) == ["2026-11-27T10:00:00+00:00"]
    assert until({}, {}, testing_days=10) == ["2026-11-30T10:00:00+00:00"]
    assert until({}, {"testing_days": 5}, testing_days=10) == ["2026-11-25T10:00:00+00:00"]
    assert until({"testing_days": 4}, {"testing_days": 5}, testing_days=10) == ["2026-11-24T10:00:00+00:00"]
    assert until({"testing_days": 3}, {}) == []
    (tmp_path / "ledgers/web2.json").unlink()
    assert until({}, {}) == [None]
    assert json.loads((tmp_path / "plan.json").read_text())["revisions"] == {"web1": 3}


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
    "a time that is none": ({"at": "tomorrow"}, "at: 'tomorrow' is no time such as 2026-11-23T10:00:00+00:00"),
    "a time without zone": ({"at": "2026-11-23T10:00:00"}, "at: '2026-11-23T10:00:00' has no time zone, as "),
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
