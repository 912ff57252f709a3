# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role dns_records with zone files of another host, through a real ansible-playbook."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_playbook import play
from backends.backend import record_set, statuses
from bind import free_port
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from zone_files import NamedFiles

SCHEMA = Path(__file__).parents[2] / "docs/schemas/record-sets-results.json"
# The exit status of ansible-playbook, which has another one for hosts that are unreachable.
FAILED = 2
NAME = "_mta-sts.example.com"
SETS = [
    record_set(NAME, "TXT", "v=STSv1; id=1", item="example.com"),
    record_set("_mta-sts.example.org", "TXT", "v=STSv1; id=1", item="example.org"),
]


@pytest.fixture
def named(tmp_path: Path) -> t.Iterator[NamedFiles]:
    (tmp_path / "ns1").mkdir()
    server = NamedFiles(tmp_path / "ns1", {"example.com": "", "example.net": ""})
    yield server
    server.stop()


def apply(options: t.Mapping[str, t.Any], directory: Path, host: str, *arguments: str) -> tuple[int, str]:
    """Runs the role on the controller, for the host ns1; returns its status, and what it printed."""
    variables = {f"dns_records_{key}": value for key, value in options.items()}
    variables |= {
        "dns_records_backend": "zonefile",
        "dns_records_host": "ns1",
        "dns_records_plan": str(directory / "plan.json"),
        "dns_records_results": str(directory / "results.json"),
        "dns_records_continue_on_error": True,
    }
    role = {"role": "postmaster.mta_sts.dns_records", "vars": variables}
    text = yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "roles": [role]}])
    (directory / "play.yml").write_text(text)
    (directory / "hosts").write_text(f"ns1 {host}\n")
    return play(directory, "play.yml", "-i", "hosts", "--diff", *arguments)


def test_look_ahead_run_and_run_again(named: NamedFiles, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"record_sets": {"announce": SETS}}))
    line = f'+{NAME}. 300 IN TXT "v=STSv1; id=1"\n'
    before = named.file("example.com").read_bytes()
    for arguments, changed in ((["--check"], 1), ([], 1), ([], 0), (["--check"], 0)):
        status, printed = apply(named.options, tmp_path, "ansible_connection=local", *arguments)
        assert status == 0, printed
        assert f"changed={changed} " in printed, printed
        assert (line in printed) == bool(changed)
        results = json.loads((tmp_path / "results.json").read_text())
        assert statuses(results) == ["changed" if changed else "ok", "failed"]
        assert "no zone that _mta-sts.example.org. may lie in has a file" in results["results"][1]["error"]
        if arguments and changed:
            assert named.file("example.com").read_bytes() == before
    assert named.lookup(NAME, "TXT") == ['300 "v=STSv1; id=1"']


def test_where_the_host_of_the_zones_is_down_every_set_failed(tmp_path: Path) -> None:
    """And not the controller, which has a report to write."""
    (tmp_path / "plan.json").write_text(json.dumps({"record_sets": {"announce": SETS}}))
    options = {"zone_file": "/nowhere/{zone}"}
    status, printed = apply(options, tmp_path, f"ansible_host=127.0.0.1 ansible_port={free_port()}")
    assert status == FAILED, printed
    assert "unreachable=0    failed=1 " in printed, printed
    results = json.loads((tmp_path / "results.json").read_text())
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(results)
    assert (results["host"], results["counts"]["failed"]) == ("ns1", len(SETS))
    assert [(one["item"], one["status"]) for one in results["results"]] == [
        ("example.com", "failed"),
        ("example.org", "failed"),
    ]
    assert all(one["error"].startswith("ns1 could not be reached: ") for one in results["results"])


@pytest.mark.parametrize("delegated", [True, False])
def test_a_host_that_is_down_and_a_plan_that_tells_nothing(tmp_path: Path, delegated: bool) -> None:
    """Where the module was not delegated its own host is unreachable, as with any other module."""
    (tmp_path / "plan.json").write_text('{"record_sets": ')
    options = {"zone_file": "/nowhere", "document": "plan.json", "section": "announce", "results": "results.json"}
    task = {"postmaster.mta_sts.zonefile_record_sets": options, **({"delegate_to": "ns1"} if delegated else {})}
    hosts = "localhost" if delegated else "ns1"
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": hosts, "gather_facts": False, "tasks": [task]}]))
    (tmp_path / "hosts").write_text(f"ns1 ansible_host=127.0.0.1 ansible_port={free_port()}\n")
    status, printed = play(tmp_path, "play.yml", "-i", "hosts")
    assert "Connection refused" in printed
    assert not (tmp_path / "results.json").exists()
    if delegated:
        assert status == FAILED, printed
        assert "ns1 could not be reached: " in printed
        assert "; its results cannot be written: " in printed
        assert "plan.json" in printed.partition("its results cannot be written: ")[2]
    else:
        assert status != FAILED, printed
        assert "unreachable=1    failed=0 " in printed, printed
