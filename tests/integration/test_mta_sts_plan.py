# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner in a real ansible-playbook: what it refuses, and the documents that it reads and writes."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_playbook import run_tasks

DOMAINS = [{"domain": "Example.com", "mx": ["mx1.example.net"]}]
HOSTS = {"web1": ["198.51.100.1"], "web2": ["198.51.100.2", "2001:DB8::2"]}


def plan(place: Path, *several: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The results of several plans, one after the other."""
    (results,), _printed = run_tasks(place, *({"postmaster.mta_sts.mta_sts_plan": options} for options in several))
    return results


def test_a_plan_before_anything_is_observed(tmp_path: Path) -> None:
    dest = tmp_path / "run/plan.json"
    (result,) = plan(tmp_path, {"domains": DOMAINS, "policy_hosts": HOSTS, "dest": str(dest)})
    assert (result["changed"], result["stages"], result["orphans"]) == (False, {"pending": 1}, [])
    made = json.loads(dest.read_text())
    assert result["at"] == made["at"]
    assert made["policy_hosts"] == {"web1": ["198.51.100.1"], "web2": ["198.51.100.2", "2001:db8::2"]}
    assert [entry["domain"] for entry in made["domains"]] == ["example.com"]
    assert made["record_sets"] == {"prepare": [], "announce": []}


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
        "zones": {},
        "served": {},
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
    domain = {**DOMAINS[0], "mode": "enforce"}
    options: dict[str, t.Any] = {
        "domains": [domain],
        "policy_hosts": HOSTS,
        "ledgers": "ledgers",
        "observed": "observed.json",
        "at": "2026-11-23T11:00:00+01:00",
    }
    ends: dict[str, dict[str, t.Any]] = {
        "2026-11-27T10:00:00+00:00": {},
        "2026-11-30T10:00:00+00:00": {"testing_days": 10},
        "2026-11-25T10:00:00+00:00": {"testing_days": 10, "defaults": {"testing_days": 5}},
        "2026-11-24T10:00:00+00:00": {
            "domains": [{**domain, "testing_days": 4}],
            "defaults": {"testing_days": 5},
            "testing_days": 10,
        },
        "": {"domains": [{**domain, "testing_days": 3}]},
    }
    several = [{**options, **more, "dest": f"plan{number}.json"} for number, more in enumerate(ends.values())]
    for number, (result, end) in enumerate(zip(plan(tmp_path, *several), ends)):
        made = json.loads((tmp_path / f"plan{number}.json").read_text())
        assert made["at"] == result["at"] == "2026-11-23T10:00:00+00:00"
        assert waits(made) == [end] * bool(end)
    (tmp_path / "ledgers/web2.json").unlink()
    plan(tmp_path, {**options, "dest": "plan.json"})
    made = json.loads((tmp_path / "plan.json").read_text())
    assert (waits(made), made["revisions"]) == ([None], {"web1": 3})


def waits(made: dict[str, t.Any]) -> list[t.Any]:
    """Until when the first domain is held, by anything but the proof that is still to come."""
    return [hold["until"] for hold in made["domains"][0]["holds"] if hold["code"] != "proof-missing"]


def test_what_senders_reported_holds_the_step_to_enforce(tmp_path: Path) -> None:
    """Of the domains of the plan, and in its period; damaged documents hold nothing."""
    failed = {"result_type": "certificate-expired", "mx_host": "mx1.example.net", "policy_type": "sts"}
    days = {
        f"2026-11-{day}": {
            "reporters": {"Sender": {"succeeded": 5, "failed": 3}},
            "failures": [{**failed, "reporter": "Sender", "sessions": 3}],
        }
        for day in (12, 21)
    }
    document = {"host": "inbox1", "domains": {"example.com": days, "example.org": days}, "unreadable": []}
    for name, told in {
        "reports": document,
        "damaged": {"host": "inbox1", "domains": {"example.com": {"x": 1}}},
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}/inbox1.json").write_text(json.dumps(told))
    served = {"mode": "testing", "mx": ["mx1.example.net"], "max_age": 86400, "after_unknown": False, "until": None}
    entry = {
        "served": [{**served, "since": "2026-11-01T10:00:00+00:00"}],
        "conditions": dict.fromkeys(("testing", "ready"), "2026-11-02T10:00:00+00:00"),
    }
    ledger = {"state": "ok", "trouble": "", "revision": 3, "written": None, "now": "2026-11-23T10:00:00+00:00"}
    (tmp_path / "ledgers").mkdir()
    (tmp_path / "ledgers/web1.json").write_text(
        json.dumps({"host": "web1", **ledger, "domains": {"example.com": entry}})
    )
    live = observed("1")
    live["domains"]["example.com"]["addresses"] = ["198.51.100.1"]
    (tmp_path / "observed.json").write_text(json.dumps(live))
    options: dict[str, t.Any] = {
        "domains": [{**DOMAINS[0], "mode": "enforce"}],
        "policy_hosts": {"web1": ["198.51.100.1"]},
        "ledgers": "ledgers",
        "observed": "observed.json",
        "at": "2026-11-23T10:00:00+00:00",
    }
    ungated = {**options, "domains": [{**options["domains"][0], "gate": False, "testing_days": 30}]}
    several: list[tuple[dict[str, t.Any], str, int]] = [
        (options, "enforce", 7),
        ({**options, "reports": "nowhere"}, "enforce", 7),
        ({**options, "reports": "damaged"}, "enforce", 7),
        ({**options, "reports": "reports"}, "testing", 7),
        ({**options, "reports": "reports", "testing_days": 1}, "enforce", 1),
        ({**options, "reports": "reports", "testing_days": 0}, "enforce", 1),
        ({**ungated, "reports": "reports"}, "testing", 30),
    ]
    tasks = [{**task, "dest": f"plan{number}.json"} for number, (task, _mode, _days) in enumerate(several)]
    for number, (result, (_task, mode, period)) in enumerate(zip(plan(tmp_path, *tasks), several, strict=True)):
        made = json.loads((tmp_path / f"plan{number}.json").read_text())["domains"][0]
        assert (made["mode"], result["report_days"]) == (mode, period), number
        held = [hold for hold in made["holds"] if hold["code"] == "mx-reported"]
        if number == 3:
            assert [(hold["message"], hold["until"]) for hold in held] == [
                (
                    "mx1.example.net: certificate-expired in 3 sessions since 2026-11-21, reported by Sender",
                    "2026-11-29T00:00:00+00:00",
                )
            ]
        else:
            assert not held


CSV = """\
domain,mx,tlsrpt,gate,max_age
example.com,mx1.example.net mx2.example.net,mailto:tls@example.net,false,86400
example.org,mx1.example.net,,,
"""


def test_a_file_of_domains_is_kept_for_the_plans_of_the_run(tmp_path: Path) -> None:
    """With defaults and all, and in place of what an earlier run left."""
    (tmp_path / "domains.csv").write_text(CSV)
    (tmp_path / "wrong.csv").write_text("domain,mx\nexample.com,192.0.2.1\n")
    run_dir = tmp_path / "run"
    for directory in ("served", "ledgers", "certificates", "seen", "proved", "reports", "mine"):
        (run_dir / directory).mkdir(parents=True)
        (run_dir / directory / "web1.json").touch()
    old = ("observed.json", "prepared.json", "proof.json", "announced.json", "report.json", "report.html")
    for file in (*old, "mine.json"):
        (run_dir / file).touch()
    shared = {"policy_hosts": HOSTS, "dest": "run/plan.json"}
    of_all = {"defaults": {"mode": "enforce"}, "testing_days": 3}
    refused, first, again = plan(
        tmp_path,
        {**shared, "begin": True, "domains_file": "wrong.csv"},
        {**shared, "begin": True, "domains_file": "domains.csv", "domains_dest": "run/domains.json", **of_all},
        {**shared, "domains_file": "run/domains.json"},
    )
    assert refused["msg"] == "wrong.csv has 1 mistake, nothing was touched"
    assert [text.startswith("[0] example.com: mx '192.0.2.1': ") for text in refused["mistakes"]] == [True]
    assert first["stages"] == again["stages"] == {"pending": 2}
    assert {path.name for path in run_dir.iterdir()} == {"plan.json", "domains.json", "mine", "mine.json"}
    kept = {"mode": "enforce", "testing_days": 3}
    told = {"tlsrpt": ["mailto:tls@example.net"], "gate": False, "max_age": 86400}
    assert json.loads((run_dir / "domains.json").read_text()) == [
        {"domain": "example.com", "mx": ["mx1.example.net", "mx2.example.net"], **told, **kept},
        {"domain": "example.org", "mx": ["mx1.example.net"], **kept},
    ]


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
    "a list and a file": ({"domains_file": "domains.json"}, "mutually exclusive: domains|domains_file"),
    "a document that is missing": ({"observed": "/nowhere/observed.json"}, "/nowhere/observed.json: No such file"),
}


def test_what_is_refused_leaves_the_last_run(tmp_path: Path) -> None:
    for name in ("plan.json", "report.json"):
        (tmp_path / name).write_text("the last one")
    shared = {"begin": True, "domains": DOMAINS, "policy_hosts": HOSTS, "dest": "plan.json"}
    results = plan(tmp_path, *[{**shared, **options} for options, _message in REFUSED.values()])
    for result, (_options, message) in zip(results, REFUSED.values()):
        assert result["failed"]
        assert message in result["msg"]
    for name in ("plan.json", "report.json"):
        assert (tmp_path / name).read_text() == "the last one"
