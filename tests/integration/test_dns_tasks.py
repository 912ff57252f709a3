# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The back end 'tasks': the example that uses a module of another collection, against BIND, through the role."""

from __future__ import annotations

import base64
import itertools
import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_playbook import CHECKOUT, COLLECTIONS, play
from bind import Named, free_port

COMMUNITY = CHECKOUT / ".collections-community"
EXAMPLE = CHECKOUT / "docs/examples/dns-tasks-nsupdate.yml"
OLD, NEW = "v=STSv1; id=5d41402abc4b2a76b9719d911017c592", "v=STSv1; id=7d793037a0760186574b0282f2f435e7"

Set = dict[str, t.Any]
_numbers = itertools.count(1)


class Role:
    """Runs the role with the example's tasks, and keeps what was printed and found."""

    def __init__(self, named: Named, place: Path) -> None:
        self.named, self.place = named, place
        self.printed = ""

    def __call__(self, *sets: Set, check: bool = False, ok: bool = True, **variables: t.Any) -> dict[str, t.Any]:
        (results,) = self.each({"dns_records_record_sets": list(sets), **variables}, check=check, ok=ok)
        return results

    def each(self, *runs: dict[str, t.Any], check: bool = False, ok: bool = True) -> list[dict[str, t.Any]]:
        """In one play, once with each of these variables."""
        paths = [self.place / f"results{number}.json" for number in range(len(runs))]
        given = {
            "dns_records_backend": "tasks",
            "dns_records_tasks": str(EXAMPLE),
            "dns_records_authorities": [f"{self.named.host}:{self.named.port}"],
            "dns_records_wait": 5,
            "nsupdate_server": self.named.host,
            "nsupdate_port": self.named.port,
            "nsupdate_key_name": "allowed",
            "nsupdate_key_secret": self.named.secrets["allowed"],
        }
        roles = [
            {"role": "postmaster.mta_sts.dns_records", "vars": {**given, "dns_records_results": str(path), **variables}}
            for path, variables in zip(paths, runs)
        ]
        (self.place / "play.yml").write_text(
            yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "roles": roles}])
        )
        arguments = ("-vvv", "-i", "localhost,", "-c", "local", *(("--check", "--diff") if check else ()))
        both = f"{COLLECTIONS}:{COMMUNITY}"
        status, self.printed = play(self.place, "play.yml", *arguments, ANSIBLE_COLLECTIONS_PATH=both)
        assert (status == 0) == ok, self.printed
        return [json.loads(path.read_text()) for path in paths]


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


def test_changes(role: Role, name: str) -> None:
    """All in one run, as each takes its time."""
    names = {change: f"n{number}.{name}" for number, change in enumerate(CHANGES)}
    for change, (first, _then, _answer) in CHANGES.items():
        texts = [f'"{value}"' if first[0] == "TXT" else value for value in first[1:]]
        role.named.put("example.com", names[change], 300, first[0], *texts)

    def answers() -> dict[str, list[str]]:
        return {
            change: role.named.lookup(names[change], then[0]) for change, (_before, then, _after) in CHANGES.items()
        }

    sets = [wanted(names[change], *then) for change, (_first, then, _answer) in CHANGES.items()]
    before = answers()
    assert statuses(role(*sets, check=True)) == ["changed"] * len(sets)
    assert answers() == before
    assert statuses(role(*sets)) == ["ok"] * len(sets)
    assert answers() == {change: answer for change, (_first, _then, answer) in CHANGES.items()}
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
    given = {"dns_records_record_sets": [wanted(name, "TXT", OLD)], "dns_records_wait": 1, **wrong}
    # Of a rollout it is no end: the report tells it.
    told, ended = role.each({**given, "dns_records_continue_on_error": True}, given, ok=False)
    assert statuses(told) == statuses(ended) == ["failed"]
    assert "it was to be brought into DNS, but " in ended["results"][0]["error"]
    assert "Bring the record sets into DNS" in role.printed
    assert role.named.lookup(name, "TXT") == []


def test_a_section_of_a_plan(role: Role, name: str, tmp_path: Path) -> None:
    plan = {
        "record_sets": {"prepare": [], "announce": [wanted(f"n{number}.{name}", "TXT", OLD) for number in range(3)]}
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    results = role(dns_records_plan=str(tmp_path / "plan.json"), dns_records_section="announce")
    assert statuses(results) == ["ok"] * 3
    assert role.named.lookup(f"n2.{name}", "TXT") == [f'300 "{OLD}"']
