# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run ends with, with a real ansible-playbook: the summary, the document, and whether the task fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
ID = "3f2a9c01" + "0" * 24

Document = dict[str, t.Any]


def entry(domain: str, stage: str, *codes: str) -> Document:
    holds = [{"code": code, "message": "why", "until": None} for code in codes]
    served = {"mode": "testing", "mx": ["mx.example.net"], "max_age": 86400, "id": ID}
    return {"domain": domain, "stage": stage, "record": "announce", "remove": False, "holds": holds, **served}


def report(directory: Path, *entries: Document, **options: t.Any) -> tuple[Document, str]:
    """The result of the module, and what was printed."""
    plan = {"policy_hosts": {"web1": []}, "domains": list(entries), "orphans": [], "troubles": []}
    (directory / "plan.json").write_text(json.dumps(plan))
    task = {"plan": "plan.json", "started": 1795428000, "dest": "run/report.json", **options}
    tasks = [
        {"postmaster.mta_sts.mta_sts_report": task, "register": "result", "ignore_errors": True},
        {"ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": f"{directory}/result.json"}},
    ]
    (directory / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "play.yml", "-i", "localhost,", "-c", "local"],
        cwd=directory,
        env={
            "HOME": str(directory),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result: Document = json.loads((directory / "result.json").read_text())
    return result, done.stdout


def test_a_domain_that_only_waits_fails_no_run(tmp_path: Path) -> None:
    waits, told = entry("a.example", "testing", "testing-period"), entry("b.example", "enforcing", "renewal")
    result, printed = report(tmp_path, waits, told)
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
    "both": (
        [entry("a.example", "pending", "proof-failed")],
        {"troubles": {"web1": "gone", "web2": "gone"}},
        "policy hosts that failed: web1, web2; 1 of 1 domains needs somebody: a.example (proof-failed)",
    ),
}


@pytest.mark.parametrize(("entries", "options", "message"), FAILURES.values(), ids=FAILURES)
def test_what_needs_somebody_fails_the_run_unless_told_otherwise(
    tmp_path: Path, entries: list[Document], options: Document, message: str
) -> None:
    result, printed = report(tmp_path, *entries, **options)
    assert (result["failed"], result["msg"]) == (True, message)
    document = json.loads((tmp_path / "run/report.json").read_text())
    assert document["failed_hosts"] == options.get("troubles", {})
    for host in document["failed_hosts"]:
        assert f"  policy host {host}: " in printed
    result, _printed = report(tmp_path, *entries, **options, fail_on_pending=False)
    assert not result["failed"]
