# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run ends with, with a real ansible-playbook: the summary, the document, and whether the task fails."""

from __future__ import annotations

import json
import stat
import typing as t
from pathlib import Path

import documents
import pytest
from ansible_playbook import run_tasks

ID = "3f2a9c01" + "0" * 24

Document = dict[str, t.Any]


def entry(domain: str, stage: str, *codes: str) -> Document:
    holds = [{"code": code, "message": "why", "until": None} for code in codes]
    served = {"mode": "testing", "mx": ["mx.example.net"], "max_age": 86400, "id": ID}
    return {"domain": domain, "stage": stage, "record": "announce", "remove": False, "holds": holds, **served}


def reporting(directory: Path, *entries: Document, name: str = "plan.json", **options: t.Any) -> Document:
    """The options that report a rollout."""
    plan = {"policy_hosts": {"web1": []}, "domains": list(entries), "orphans": [], "troubles": []}
    (directory / name).write_text(json.dumps(plan))
    return {"plan": name, "started": 1795428000, "dest": "run/report.json", **options}


def run(directory: Path, *tasks: Document, check_mode: bool = False) -> tuple[list[Document], str]:
    """The results of the module for each of these options, and what was printed."""
    todo = [{"postmaster.mta_sts.mta_sts_report": options, "check_mode": check_mode} for options in tasks]
    (results,), printed = run_tasks(directory, *todo)
    return results, printed


def test_a_domain_that_only_waits_fails_no_run(tmp_path: Path) -> None:
    waits, told = entry("a.example", "testing", "testing-period"), entry("b.example", "enforcing", "renewal")
    (result,), printed = run(tmp_path, reporting(tmp_path, waits, told))
    assert not result["failed"]
    assert result["counts"] == {"testing": 1, "enforcing": 1}
    assert result["hold_counts"] == {"testing-period": 1, "renewal": 1}
    assert "\npostmaster.mta_sts rollout: 2 domains, 1 policy host, " in printed
    assert json.loads((tmp_path / "run/report.json").read_text())["hold_counts"] == result["hold_counts"]


FAILURES: dict[str, tuple[list[Document], Document, str]] = {
    "a domain that needs somebody": (
        [entry("a.example", "testing"), entry("b.example", "testing", "testing-period", "mx-unready", "mx-early")],
        {},
        "1 of 2 domains needs somebody: b.example (mx-unready)",
    ),
    "very many of them": (
        [entry(f"d{n}.example", "pending", "dns-failure") for n in range(21)],
        {},
        "21 of 21 domains need somebody: " + ", ".join(f"d{n}.example (dns-failure)" for n in range(20)) + ", ...",
    ),
    "a host that failed": (
        [entry("a.example", "testing")],
        {"troubles": {"web2": "No space left\non device"}},
        "policy hosts that failed: web2",
    ),
    "a probe host that failed": (
        [entry("a.example", "testing")],
        {"probe_troubles": {"probe2": "timed out"}},
        "probe hosts that failed: probe2",
    ),
    "no way into DNS": ([entry("a.example", "testing")], {"dns_trouble": "BADKEY"}, "no record could be written"),
    "both": (
        [entry("a.example", "pending", "proof-failed")],
        {"troubles": {"web1": "gone", "web2": "gone"}},
        "policy hosts that failed: web1, web2; 1 of 1 domains needs somebody: a.example (proof-failed)",
    ),
}


def test_what_needs_somebody_fails_the_run_unless_told_otherwise(tmp_path: Path) -> None:
    """All in one run, as each takes its time."""
    tasks = []
    for number, (entries, options, _message) in enumerate(FAILURES.values()):
        told = reporting(tmp_path, *entries, name=f"plan{number}.json", **options)
        for unless in (False, True):
            dest = f"run/{number}{'-unless' * unless}.json"
            tasks.append({**told, "dest": dest, "fail_on_pending": not unless})
    results, printed = run(tmp_path, *tasks)
    hosts: list[str] = []
    for number, (name, (_entries, options, message)) in enumerate(FAILURES.items()):
        fails, goes_on = results[2 * number : 2 * number + 2]
        assert (fails["failed"], fails["msg"]) == (True, message), name
        assert not goes_on["failed"], name
        document = json.loads((tmp_path / f"run/{number}.json").read_text())
        assert document["failed_hosts"] == options.get("troubles", {}), name
        hosts += document["failed_hosts"]
    for host in hosts:
        assert printed.count(f"\n  policy host {host}: ") == 2 * hosts.count(host)


# --- what else is written ---------------------------------------------------------------------------------


@pytest.fixture
def observed(tmp_path: Path) -> Document:
    """The options that report a verification."""
    seen = documents.verification()
    results = {"host": "localhost", "domains": seen["domains"], "mx_hosts": seen["mx_hosts"]}
    (tmp_path / "observed.json").write_text(json.dumps(results))
    return {"observed": "observed.json", "dest": "run/verify.json", "started": 1795428000}


BROKEN = ", ".join(name for name, seen in documents.verification()["domains"].items() if seen["verdict"] == "broken")
# How grave a domain has to be for the task to fail, and how many are.
FAIL_ON = {"broken": 2, "error": 4, "warning": 6, "notice": 6, "never": 0}


def test_a_verification_fails_when_it_is_told_to(tmp_path: Path, observed: Document) -> None:
    results, _printed = run(tmp_path, *({**observed, "fail_on": gravity} for gravity in FAIL_ON))
    for result, (gravity, count) in zip(results, FAIL_ON.items(), strict=True):
        assert result["failed"] == bool(count), gravity
        if count:
            assert result["msg"].startswith(f"{count} of 8 domains "), gravity


def test_hosts_that_shared_the_domains_have_one_report(tmp_path: Path, observed: Document) -> None:
    """A host that failed is told, fails the task, and takes nothing from what the others saw."""
    seen = json.loads((tmp_path / "observed.json").read_text())
    names = list(seen["domains"])
    for number, host in enumerate(("probe1", "probe2")):
        share = {name: seen["domains"][name] for name in names[number::3]}
        (tmp_path / f"{host}.json").write_text(json.dumps({**seen, "host": host, "domains": share}))
    task = {**observed, "observed": ["probe1.json", "probe2.json", "probe3.json"], "fail_on": "never"}
    # Without a trouble, a document that is missing is a mistake.
    (mistaken, result), printed = run(tmp_path, task, {**task, "troubles": {"probe3": "no route to host"}})
    assert "probe3.json" in mistaken["msg"]
    assert result["msg"] == "hosts that did not look at their share of the domains: probe3"
    assert "\n  probe host probe3: no route to host\n" in printed
    document = json.loads((tmp_path / "run/verify.json").read_text())
    assert set(document["domains"]) == {*names[::3], *names[1::3]}


def test_what_senders_reported_is_in_the_report_and_a_host_that_failed_is_told(
    tmp_path: Path, observed: Document
) -> None:
    (tmp_path / "reports").mkdir()
    domains = documents.reports("bakery.example", documents.BAKERY)
    told: Document = {"inbox1": {"domains": domains, "unreadable": []}, "inbox2": {"domains": 5}}
    for host, document in told.items():
        (tmp_path / f"reports/{host}.json").write_text(json.dumps({"host": host, **document}))
    more = {"reports": "reports", "report_troubles": {"inbox3": "timed out"}}
    wanted = entry("bakery.example", "testing"), entry("a.example", "testing")
    tasks = [{**reporting(tmp_path, *wanted), **more}, {**observed, **more, "fail_on": "never"}]
    results, printed = run(tmp_path, *tasks)
    for result, name in zip(results, ("report", "verify"), strict=True):
        assert result["msg"] == "report hosts that failed: inbox2, inbox3"
        document = json.loads((tmp_path / f"run/{name}.json").read_text())
        assert document["failed_report_hosts"] == {
            "inbox2": "its reports are left out, or some of them: there is no { at character 30",
            "inbox3": "timed out",
        }
        told = document["domains"]
        days = {one["domain"]: one for one in told} if isinstance(told, list) else told
        assert [day["failed"] for day in days["bakery.example"]["reported"]] == [0, 41, 5, 0]
        assert {name for name, one in days.items() if one["reported"]} == {"bakery.example"}
    assert printed.count("\n  report host inbox3: timed out\n") == 2
    assert printed.count("\n      senders reported that 46 of 4,152 sessions failed since 2026-11-23, by 2 ") == 2


def test_a_verification_has_a_document_a_page_and_metrics(tmp_path: Path, observed: Document) -> None:
    metrics = tmp_path / "collector/mta-sts-verify.prom"
    task = {**observed, "page": "run/report.html", "metrics": str(metrics)}
    (result,), printed = run(tmp_path, task)
    assert (result["failed"], result["msg"]) == (True, f"2 of 8 domains broken: {BROKEN}")
    assert "\n1 absent, 2 broken, 3 enforce, 1 none, 1 testing. Report: run/report.html\n" in printed
    document = json.loads((tmp_path / "run/verify.json").read_text())
    assert document["counts"] == documents.verification()["counts"]
    assert document["seconds"] > 0
    assert "2 of 8 domains are broken" in (tmp_path / "run/report.html").read_text()
    assert 'mta_sts_domains{verdict="broken"} 2\n' in metrics.read_text()
    # The exporter runs as somebody else, and sees nothing that is not finished.
    assert stat.S_IMODE(metrics.stat().st_mode) == 0o644
    assert [path.name for path in metrics.parent.iterdir()] == [metrics.name]


def test_a_look_ahead_leaves_the_metrics_as_they_are(tmp_path: Path, observed: Document) -> None:
    metrics = tmp_path / "mta-sts-verify.prom"
    metrics.write_text("as before")
    run(tmp_path, {**observed, "page": "run/report.html", "metrics": str(metrics)}, check_mode=True)
    assert metrics.read_text() == "as before"
    assert (tmp_path / "run/report.html").exists()


def test_a_rollout_has_a_page_and_metrics_even_if_it_fails(tmp_path: Path) -> None:
    metrics = tmp_path / "mta-sts-rollout.prom"
    pending = entry("a.example", "pending", "proof-failed")
    told = reporting(tmp_path, pending, page="run/report.html", metrics=str(metrics))
    (result,), printed = run(tmp_path, told)
    assert result["failed"]
    assert ". Report: run/report.html\n" in printed
    assert "1 of 1 domain needs somebody" in (tmp_path / "run/report.html").read_text()
    assert 'mta_sts_rollout_domain_held{code="proof-failed",domain="a.example"} 1\n' in metrics.read_text()


def test_neither_is_written_unless_wanted(tmp_path: Path, observed: Document) -> None:
    _results, printed = run(tmp_path, observed)
    assert ". Report: run/verify.json\n" in printed
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["verify.json"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, observed: Document) -> None:
    (tmp_path / "file").write_text("")
    (result,), _printed = run(tmp_path, {**observed, "metrics": f"{tmp_path}/file/mta-sts.prom"})
    assert result["failed"]
    assert result["msg"].startswith(f"{tmp_path}/file/mta-sts.prom: ")
