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


def look_and_merge(directory: Path, named: Named, parts: str = "2") -> tuple[int, str]:
    look = {
        "document": "plan.json",
        "part": "{{ groups.all.index(inventory_hostname) }}",
        "parts": parts,
        "resolvers": [f"{named.host}:{named.port}"],
        "timeout": 2,
        "results": "seen/{{ inventory_hostname }}.json",
    }
    seen = [f"seen/{host}.json" for host in SHARES]
    merge = play("localhost", "mta_sts_merge", documents=seen, troubles={"probe2": "down"}, dest="observed.json")
    (directory / "play.yml").write_text(yaml.safe_dump([play("all", "mta_sts_verify", **look), merge]))
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


@pytest.mark.parametrize("parts", ["1", "0", "'many'"])
def test_a_part_that_there_is_not(directory: Path, named: Named, parts: str) -> None:
    status, output = look_and_merge(directory, named, parts)
    assert status != 0
    assert "must be from 0 to one less than parts" in output or "must be whole numbers" in output


def merge(directory: Path, *, documents: t.Sequence[Document | str]) -> tuple[int, str]:
    names = [f"{number}.json" for number in range(len(documents))]
    for name, document in zip(names, documents):
        (directory / name).write_text(document if isinstance(document, str) else json.dumps(document))
    plays = [
        play("localhost", "mta_sts_merge", documents=[*names, "none.json"], troubles={"p": "down"}, dest="whole.json")
    ]
    (directory / "play.yml").write_text(yaml.safe_dump(plays))
    return run(directory, "play.yml", inventory={"all": {}})


def test_one_alone_is_taken_as_it_is(tmp_path: Path) -> None:
    status, output = merge(tmp_path, documents=['{"host": "p",\n\n"domains": {}}'])
    assert status == 0, output
    assert (tmp_path / "whole.json").read_bytes() == (tmp_path / "0.json").read_bytes()


MISTAKES: dict[str, tuple[list[Document | str], str]] = {
    "none": ([], "No probe host has found anything: p: down"),
    "no JSON": ([{"host": "p", "domains": {}}, "{"], "1.json: not a JSON document"),
    "another kind": ([{"host": "p", "domains": {}}, {"host": "q"}], "no results documents of one kind: KeyError"),
}


@pytest.mark.parametrize(("documents", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(tmp_path: Path, documents: list[Document | str], text: str) -> None:
    status, output = merge(tmp_path, documents=documents)
    assert status != 0
    assert text in output
    assert not (tmp_path / "whole.json").exists()


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
