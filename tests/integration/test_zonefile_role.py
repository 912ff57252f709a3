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
from zone_files import NamedFiles

NAME = "_mta-sts.example.com"


@pytest.fixture
def named(tmp_path: Path) -> t.Iterator[NamedFiles]:
    (tmp_path / "ns1").mkdir()
    server = NamedFiles(tmp_path / "ns1", {"example.com": "", "example.net": ""})
    yield server
    server.stop()


def apply(named: NamedFiles, directory: Path, *arguments: str) -> str:
    """Runs the role on the controller, for the host ns1; returns what it printed."""
    variables = {f"dns_records_{key}": value for key, value in named.options.items()}
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
    (directory / "hosts").write_text("ns1 ansible_connection=local\n")
    status, printed = play(directory, "play.yml", "-i", "hosts", "--diff", *arguments)
    assert status == 0, printed
    return printed


def test_look_ahead_run_and_run_again(named: NamedFiles, tmp_path: Path) -> None:
    sets = [
        record_set(NAME, "TXT", "v=STSv1; id=1", item="example.com"),
        record_set("_mta-sts.example.org", "TXT", "v=STSv1; id=1", item="example.org"),
    ]
    (tmp_path / "plan.json").write_text(json.dumps({"record_sets": {"announce": sets}}))
    line = f'+{NAME}. 300 IN TXT "v=STSv1; id=1"\n'
    before = named.file("example.com").read_bytes()
    for arguments, changed in ((["--check"], 1), ([], 1), ([], 0), (["--check"], 0)):
        printed = apply(named, tmp_path, *arguments)
        assert f"changed={changed} " in printed, printed
        assert (line in printed) == bool(changed)
        results = json.loads((tmp_path / "results.json").read_text())
        assert statuses(results) == ["changed" if changed else "ok", "failed"]
        assert "no zone that _mta-sts.example.org. may lie in has a file" in results["results"][1]["error"]
        if arguments and changed:
            assert named.file("example.com").read_bytes() == before
    assert named.lookup(NAME, "TXT") == ['300 "v=STSv1; id=1"']
