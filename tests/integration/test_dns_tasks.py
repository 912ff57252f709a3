# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The back end 'tasks': the example that uses a module of another collection, against BIND, through the role."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from bind import Named, free_port

ROOT = Path(__file__).parents[2]
COMMUNITY = ROOT / ".collections-community"
EXAMPLE = ROOT / "docs/examples/dns-tasks-nsupdate.yml"
OLD, NEW = "v=STSv1; id=5d41402abc4b2a76b9719d911017c592", "v=STSv1; id=7d793037a0760186574b0282f2f435e7"

Set = dict[str, t.Any]
_numbers = itertools.count(1)


class Role:
    """Runs the role with the example's tasks, and keeps what was printed and found."""

    def __init__(self, named: Named, place: Path) -> None:
        self.named, self.place = named, place
        self.printed = ""

    def __call__(self, *sets: Set, check: bool = False, ok: bool = True, **variables: t.Any) -> dict[str, t.Any]:
        given = {
            "dns_records_backend": "tasks",
            "dns_records_tasks": str(EXAMPLE),
            "dns_records_record_sets": list(sets),
            "dns_records_authorities": [f"{self.named.host}:{self.named.port}"],
            "dns_records_results": str(self.place / "results.json"),
            "dns_records_wait": 5,
            "nsupdate_server": self.named.host,
            "nsupdate_port": self.named.port,
            "nsupdate_key_name": "allowed",
            "nsupdate_key_secret": self.named.secrets["allowed"],
            **variables,
        }
        play = {"hosts": "localhost", "gather_facts": False, "roles": ["postmaster.mta_sts.dns_records"]}
        (self.place / "play.yml").write_text(yaml.safe_dump([play]))
        (self.place / "vars.json").write_text(json.dumps(given))
        done = subprocess.run(
            [
                Path(sys.executable).parent / "ansible-playbook", "play.yml", "-vvv", "-i", "localhost,", "-c", "local",
                "--extra-vars=@vars.json", *(["--check", "--diff"] if check else []),
            ],
            cwd=self.place,
            env={
                "HOME": str(self.place),
                "PATH": os.environ["PATH"],
                "LC_ALL": "C.UTF-8",
                "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.collections'}:{COMMUNITY}",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.printed = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, self.printed
        results: dict[str, t.Any] = json.loads((self.place / "results.json").read_text())
        return results


@pytest.fixture
def role(named: Named, tmp_path: Path) -> Role:
    assert (COMMUNITY / "ansible_collections/community/general/plugins/modules/nsupdate.py").is_file()
    return Role(named, tmp_path)


@pytest.fixture
def name() -> str:
    return f"mta-sts.t{next(_numbers)}.example.com"


def wanted(name: str, rdtype: str, *values: str, **more: t.Any) -> Set:
    return {"name": name, "type": rdtype, "values": list(values), **more}


def statuses(results: dict[str, t.Any]) -> list[str]:
    return [one["status"] for one in results["results"]]


# What is wanted first and then, each as type and values, and what is answered at last.
CHANGES: dict[str, tuple[tuple[str, ...], tuple[str, ...], list[str]]] = {
    "create": (("TXT",), ("TXT", OLD), [f'300 "{OLD}"']),
    "change": (("TXT", OLD), ("TXT", NEW), [f'300 "{NEW}"']),
    "removal": (("TXT", OLD), ("TXT",), []),
    "more addresses": (("A", "192.0.2.1"), ("A", "192.0.2.1", "192.0.2.2"), ["300 192.0.2.1", "300 192.0.2.2"]),
}


@pytest.mark.parametrize(("first", "then", "answer"), CHANGES.values(), ids=CHANGES)
def test_change(role: Role, name: str, first: tuple[str, ...], then: tuple[str, ...], answer: list[str]) -> None:
    texts = [f'"{value}"' if first[0] == "TXT" else value for value in first[1:]]
    role.named.put("example.com", name, 300, first[0], *texts)
    before = role.named.lookup(name, then[0])
    assert statuses(role(wanted(name, *then), check=True)) == ["changed"]
    assert role.named.lookup(name, then[0]) == before
    assert statuses(role(wanted(name, *then))) == ["ok"]
    assert role.named.lookup(name, then[0]) == answer
    assert role.named.secrets["allowed"] not in role.printed


def test_nothing_to_do_hands_over_nothing(role: Role, name: str) -> None:
    role.named.put("example.com", name, 300, "TXT", f'"{OLD}"')
    assert statuses(role(wanted(name, "TXT", OLD), dns_records_tasks="/nowhere/tasks.yml")) == ["ok"]


def test_what_somebody_else_put_there_meanwhile_is_left_alone(role: Role, name: str) -> None:
    role.named.put("example.com", name, 60, "TXT", '"theirs"')
    results = role(wanted(name, "TXT", NEW, expected=[OLD]), wanted(f"a.{name}", "TXT", OLD), ok=False)
    assert statuses(results) == ["failed", "ok"]
    assert role.named.lookup(name, "TXT") == ['60 "theirs"']


@pytest.mark.parametrize(
    "wrong", [{"nsupdate_key_secret": base64.b64encode(b"wrong" * 6).decode()}, {"nsupdate_port": free_port()}], ids=str
)
def test_tasks_that_fail_are_told_with_what_did_not_arrive(role: Role, name: str, wrong: dict[str, t.Any]) -> None:
    results = role(wanted(name, "TXT", OLD), ok=False, dns_records_wait=1, **wrong)
    assert statuses(results) == ["failed"]
    assert "it was to be brought into DNS, but " in results["results"][0]["error"]
    assert "Bring the record sets into DNS" in role.printed
    assert role.named.lookup(name, "TXT") == []
    # Of a rollout it is no end: the report tells it.
    going_on: dict[str, t.Any] = {"dns_records_wait": 1, "dns_records_continue_on_error": True}
    assert statuses(role(wanted(name, "TXT", OLD), **going_on, **wrong)) == ["failed"]


def test_a_section_of_a_plan(role: Role, name: str, tmp_path: Path) -> None:
    plan = {
        "record_sets": {"prepare": [], "announce": [wanted(f"n{number}.{name}", "TXT", OLD) for number in range(10)]}
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    results = role(dns_records_plan=str(tmp_path / "plan.json"), dns_records_section="announce")
    assert statuses(results) == ["ok"] * 10
    assert role.named.lookup(f"n9.{name}", "TXT") == [f'300 "{OLD}"']
