# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook rollout where no record at all can be written: it ends with a report, and nothing is served (P7)."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_playbook import play
from bind import Named, free_port

# It is this machine, on which nothing must be changed.
HOST = {"ansible_connection": "local", "mta_sts_public_addresses": ["198.51.100.1"]}
DOWN = {"ansible_host": "127.0.0.1", "ansible_port": free_port(), "mta_sts_public_addresses": ["198.51.100.2"]}
KEY = {"key_name": "rollout.example", "key_secret": "bm8gc2VjcmV0"}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Named]:
    """Takes updates with a key, which is not the one that is used here."""
    server = Named(tmp_path_factory.mktemp("named"), {"example.com": "", "example.net": ""})
    yield server
    server.stop()


def roll_out(
    tmp_path: Path, named: Named, dns: dict[str, t.Any], hosts: dict[str, t.Any], **variables: t.Any
) -> tuple[int, str]:
    inventory = {
        "mta_sts_hosts": {"hosts": hosts},
        "all": {
            "vars": {
                "mta_sts_domains": [{"domain": "example.com", "mx": ["mx1.example.net"]}],
                "mta_sts_dns": {"server": named.host, "port": named.port, **dns},
                "mta_sts_resolvers": [f"{named.host}:{named.port}"],
                "mta_sts_timeout": 2,
                "mta_sts_run_dir": str(tmp_path / "mta-sts-run"),
                "policy_host_directory": str(tmp_path / "lib"),
                "ansible_become": False,
                **variables,
            }
        },
    }
    (tmp_path / "inventory.yml").write_text(json.dumps(inventory))
    return play(tmp_path, "postmaster.mta_sts.rollout", "-i", "inventory.yml")


def test_every_domain_is_told_why(tmp_path: Path, named: Named) -> None:
    status, output = roll_out(tmp_path, named, KEY, {"web1.example.net": HOST})
    assert status != 0
    assert output.count("\npostmaster.mta_sts rollout: 1 domain, 1 policy host, ") == 1, output
    # The last error is the one to mend.
    words = f"server {named.host} port {named.port} does not know this key "
    assert f"No policy was changed: {words}" in output.rpartition("[ERROR]: ")[2]
    assert "TASK [Leave it to the policy hosts]" not in output
    assert not (tmp_path / "lib").exists()
    report = json.loads((tmp_path / "mta-sts-run/report.json").read_text())
    assert report["failed_hosts"] == {}
    assert report["dns_trouble"].startswith(words)
    [domain] = report["domains"]
    assert domain["stage"] == "pending"
    [hold] = [hold for hold in domain["holds"] if hold["code"] == "record-failed"]
    assert words in hold["message"]
    assert (tmp_path / "mta-sts-run/report.html").exists()


def test_a_host_that_was_down_already(tmp_path: Path, named: Named) -> None:
    """It is told, too, and none that was not asked for anything yet. No such run passes, though pending domains do."""
    dns, hosts = {**KEY, "key_secret": "bm8gc2VjcmV"}, {"web1.example.net": HOST, "web2.example.net": DOWN}
    status, output = roll_out(tmp_path, named, dns, hosts, mta_sts_fail_on_pending=False)
    assert status != 0
    assert "\npostmaster.mta_sts rollout: 1 domain, 2 policy hosts, " in output, output
    assert "No policy was changed: key_secret is not base64; " in output.rpartition("[ERROR]: ")[2]
    report = json.loads((tmp_path / "mta-sts-run/report.json").read_text())
    assert list(report["failed_hosts"]) == ["web2.example.net"]
    assert f"\n  DNS: {report['dns_trouble']}\n" in output
    assert report["dns_trouble"].startswith("key_secret is not base64; ")
