# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that share the domains of a plan, and what becomes of their documents, with a real ansible-playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import write_document
from ansible_collections.postmaster.mta_sts.plugins.module_utils._evidence import Evidence, Site
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan import make_plan
from ansible_playbook import run_tasks
from bind import Named
from documents import NOW

CHECKOUT = Path(__file__).parents[2]
# In the order of their MX hosts, which is not that of their names.
DOMAINS = {"d1.example.com": "mx2", "d2.example.com": "mx1", "d3.example.com": "mx2", "d4.example.com": "mx1"}
SHARES = {"probe1": ["d2.example.com", "d4.example.com"], "probe2": ["d1.example.com", "d3.example.com"]}

Document = dict[str, t.Any]


def run(directory: Path, *arguments: str, inventory: Document) -> tuple[int, str]:
    (directory / "inventory.yml").write_text(yaml.safe_dump(inventory))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "inventory.yml", *arguments],
        cwd=directory,
        env={
            "HOME": str(directory),
            "PWD": str(directory),
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
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    desired = [Desired(domain, (f"{host}.example.net",)) for domain, host in DOMAINS.items()]
    plan = make_plan(desired, Site({"web1": ["192.0.2.1"]}), Evidence({}), NOW)
    write_document(str(tmp_path / "plan.json"), plan)
    return tmp_path


def play(hosts: str, module: str, **options: t.Any) -> Document:
    task = {"name": module, f"postmaster.mta_sts.{module}": options}
    return {"hosts": hosts, "gather_facts": False, "tasks": [task]}


def look(named: Named, parts: str = "2") -> Document:
    """The options of the look of each host."""
    return {
        "document": "plan.json",
        "part": "{{ groups.all.index(inventory_hostname) }}",
        "parts": parts,
        "resolvers": [f"{named.host}:{named.port}"],
        "timeout": 2,
        "results": "seen/{{ inventory_hostname }}.json",
    }


def look_and_merge(directory: Path, named: Named) -> tuple[int, str]:
    seen = [f"seen/{host}.json" for host in SHARES]
    merge = play("localhost", "mta_sts_merge", documents=seen, troubles={"probe2": "down"}, dest="observed.json")
    (directory / "play.yml").write_text(yaml.safe_dump([play("all", "mta_sts_verify", **look(named)), merge]))
    return run(directory, "play.yml", "-c", "local", inventory={"all": {"hosts": {host: {} for host in SHARES}}})


def read(directory: Path, name: str) -> Document:
    document: Document = json.loads((directory / name).read_text())
    return document


def test_hosts_share_the_domains_by_their_mx_hosts(directory: Path, named: Named) -> None:
    status, output = look_and_merge(directory, named)
    assert status == 0, output
    assert {host: list(read(directory, f"seen/{host}.json")["domains"]) for host in SHARES} == SHARES
    whole = read(directory, "observed.json")
    assert (whole["host"], list(whole["domains"])) == ("probe1, probe2", sorted(DOMAINS))
    assert set(whole) == {"host", "domains", "mx_hosts"}


PARTS = {"1": "must be from 0 to one less than parts", "0": "must be from 0", "'many'": "must be whole numbers"}


def test_a_part_that_there_is_not(directory: Path, named: Named) -> None:
    tasks = [{"postmaster.mta_sts.mta_sts_verify": look(named, parts)} for parts in PARTS]
    (_probe1, probe2), _printed = run_tasks(directory, *tasks, hosts=list(SHARES))
    for result, message in zip(probe2, PARTS.values(), strict=True):
        assert message in result["msg"]


MISTAKES: dict[str, tuple[list[Document | str], str]] = {
    "none": ([], "No probe host has found anything: p: down"),
    "no JSON": ([{"host": "p", "domains": {}}, "{"], "no JSON-1.json: not a JSON document"),
    "another kind": ([{"host": "p", "domains": {}}, {"host": "q"}], "no results documents of one kind: KeyError"),
}


def merging(directory: Path, name: str, documents: t.Sequence[Document | str]) -> Document:
    """A task that puts documents together, of which one more is missing."""
    names = [f"{name}-{number}.json" for number in range(len(documents))]
    for path, document in zip(names, documents, strict=True):
        (directory / path).write_text(document if isinstance(document, str) else json.dumps(document))
    options = {"documents": [*names, "none.json"], "troubles": {"p": "down"}, "dest": f"{name}.json"}
    return {"postmaster.mta_sts.mta_sts_merge": options}


def test_a_mistake_is_named_and_one_alone_is_taken_as_it_is(tmp_path: Path) -> None:
    """In one run, as each takes its time."""
    tasks = [merging(tmp_path, name, documents) for name, (documents, _text) in MISTAKES.items()]
    alone = merging(tmp_path, "alone", ['{"host": "p",\n\n"domains": {}}'])
    ((*refused, taken),), _printed = run_tasks(tmp_path, *tasks, alone)
    for result, (name, (_documents, text)) in zip(refused, MISTAKES.items(), strict=True):
        assert result["failed"], name
        assert text in result["msg"], name
        assert not (tmp_path / f"{name}.json").exists()
    assert not taken["failed"]
    assert (tmp_path / "alone.json").read_bytes() == (tmp_path / "alone-0.json").read_bytes()


def test_a_job_slice_is_refused(tmp_path: Path) -> None:
    """AWX names the workflow of the slices like their template, and hides the other slices' hosts from each."""
    variables = {"mta_sts_domains": [], "mta_sts_dns": {"server": "192.0.2.53"}, "awx_job_template_name": "MTA-STS"}
    inventory = {"mta_sts_hosts": {"hosts": {"web1": {"mta_sts_public_addresses": ["192.0.2.1"]}}}}
    outputs = {}
    for workflow in ("MTA-STS", "nightly"):
        told = json.dumps({**variables, "awx_workflow_job_name": workflow, "ansible_connection": "local"})
        status, outputs[workflow] = run(
            tmp_path, "postmaster.mta_sts.rollout", "-e", told, "--check", inventory=inventory
        )
        assert status != 0 or workflow == "nightly"
    assert "without job slices" in " ".join(outputs["MTA-STS"].split())
    assert "without job slices" not in " ".join(outputs["nightly"].split())
