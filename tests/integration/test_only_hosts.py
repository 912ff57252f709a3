# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks rollout and mx where their only host fails: they end with a report all the same (P7)."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_playbook import play
from bind import Named, free_port

HOST = "web1.example.net"
SILENT = {"ansible_host": "127.0.0.1", "ansible_port": free_port()}
# How the host fails, and with which words. It is this machine, as far as it answers.
FAILURES: dict[str, tuple[dict[str, t.Any], str]] = {
    "is down": (SILENT, "could not be reached: "),
    "cannot be read": ({"ansible_connection": "local", "ansible_python_interpreter": "/nowhere/python3"}, "/nowhere"),
    "cannot serve": (
        {"ansible_connection": "local", "policy_host_certificate_source": "nowhere"},
        "value of policy_host_certificate_source must be one of: ",
    ),
    "goes down": (
        {**SILENT, "ansible_connection": "{{ 'ssh' if (mta_sts_run_dir ~ '/prepared.json') is exists else 'local' }}"},
        "could not be reached, or failed before it was its turn to serve",
    ),
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Named]:
    """Knows that nothing is there."""
    server = Named(tmp_path_factory.mktemp("named"), {"example.com": "", "example.net": ""})
    yield server
    server.stop()


@pytest.mark.parametrize(("how", "fail"), [*((how, True) for how in FAILURES), ("cannot be read", False)])
def test_the_only_policy_host(tmp_path: Path, named: Named, how: str, fail: bool) -> None:
    """It is told which and why, and the run fails unless it was told not to."""
    variables, words = FAILURES[how]
    variables = {**variables, "policy_host_directory": str(tmp_path / "lib"), "ansible_become": False}
    inventory = {
        "mta_sts_hosts": {"hosts": {HOST: {"mta_sts_public_addresses": ["198.51.100.1"], **variables}}},
        "all": {
            "vars": {
                "mta_sts_domains": [{"domain": "example.com", "mx": ["mx1.example.net"]}],
                "mta_sts_dns": {"backend": "records", "directory": str(tmp_path / "records")},
                "mta_sts_resolvers": [f"{named.host}:{named.port}"],
                "mta_sts_timeout": 2,
                "mta_sts_run_dir": str(tmp_path / "mta-sts-run"),
                "mta_sts_fail_on_pending": fail,
            }
        },
    }
    (tmp_path / "inventory.yml").write_text(json.dumps(inventory))
    status, output = play(tmp_path, "postmaster.mta_sts.rollout", "-i", "inventory.yml")
    assert (status != 0) == fail, output
    assert "\npostmaster.mta_sts rollout: 1 domain, 1 policy host, " in output, output
    assert f"\n  policy host {HOST}: " in output
    report = json.loads((tmp_path / "mta-sts-run/report.json").read_text())
    assert list(report["failed_hosts"]) == [HOST]
    assert words in report["failed_hosts"][HOST]
    assert [domain["stage"] for domain in report["domains"]] == ["pending"]
    assert (tmp_path / "mta-sts-run/report.html").exists()


def test_the_only_mx_host(tmp_path: Path) -> None:
    """The playbook mx says so, too."""
    inventory = {
        "mta_sts_mx_hosts": {"hosts": {HOST: SILENT}},
        "all": {"vars": {"mta_sts_dns": {"backend": "records"}}},
    }
    (tmp_path / "inventory.yml").write_text(json.dumps(inventory))
    status, output = play(tmp_path, "postmaster.mta_sts.mx", "-i", "inventory.yml")
    assert status != 0
    assert f"  {HOST}     failed     could not be reached" in output, output
    assert "1 failed" in output
