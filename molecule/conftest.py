# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all scenarios share: the lab's hosts, and the ways to look at them and to run playbooks."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shlex
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
import testinfra
import testinfra.host

ROOT = Path(__file__).resolve().parents[1]
NAME = os.environ.get("MTA_STS_LAB") or "test"
LAB = ROOT / ".lab" / NAME


AGE = """
import sqlite3, sys
with sqlite3.connect('/var/lib/mta-sts/ledger.sqlite3') as ledger:
    seconds = int(sys.argv[1])
    ledger.execute('UPDATE policies SET since = since - ?, until = until - ?', (seconds, seconds))
    ledger.execute('UPDATE conditions SET since = since - ?', (seconds,))
    ledger.execute('UPDATE state SET written = written - ?', (seconds,))
"""


@dataclass(frozen=True)
class Playbook:
    """A playbook that ran."""

    status: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host."""
        found = re.findall(r"(?m)^(\S+)\s+: ok=\d+\s+changed=(\d+)", self.output)
        assert found, self.output
        return {host: int(count) for host, count in found}

    @property
    def tasks(self) -> int:
        """How many tasks there were."""
        return len(re.findall(r"(?m)^TASK \[", self.output))


ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_CONFIG": str(ROOT / "tests/lab/ansible.cfg"),
    # Molecule asks for colours, and these win over their absence.
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_NOCOLOR": "1",
    "PYTHONUNBUFFERED": "1",
}


class Lab:
    """The lab as tests use it."""

    def __init__(self, scenario: Path, run_dir: Path) -> None:
        self.scenario = scenario
        self.run_dir = run_dir
        # Where the playbooks come from.
        self.collections = ROOT / ".collections"
        self.facts: dict[str, str] = json.loads((LAB / "inventory/group_vars/all.yml").read_text())
        inventory = json.loads((LAB / "inventory/hosts.yml").read_text())
        self.addresses: dict[str, str] = {
            name: values["ansible_host"]
            for group in (inventory["mta_sts_hosts"], *inventory["lab"]["children"].values())
            for name, values in group["hosts"].items()
        }
        self.policy_hosts = list(inventory["mta_sts_hosts"]["hosts"])
        assert len(self.policy_hosts) == 2

    def host(self, name: str) -> testinfra.host.Host:
        """A host of the lab, over SSH."""
        return testinfra.get_host(f"ansible://{name}", ansible_inventory=str(LAB / "inventory"))

    def playbook(self, name: str, *arguments: str, **variables: t.Any) -> Playbook:
        """Runs one of the collection's playbooks, or of the scenario's, with its inventory and further variables."""
        with self.begin(name, *arguments, **variables) as process:
            output, _no_errors = process.communicate()
        return Playbook(process.returncode, output)

    def begin(self, name: str, *arguments: str, **variables: t.Any) -> subprocess.Popen[str]:
        """Begins to run one of the playbooks, in a process group of its own."""
        command = [
            "ansible-playbook",
            *self._inventories(),
            f"--extra-vars={json.dumps({'mta_sts_run_dir': str(self.run_dir), **variables})}",
            str(self.scenario / name) if name.endswith(".yml") else f"postmaster.mta_sts.{name}",
            *arguments,
        ]
        return subprocess.Popen(
            command,
            env={**ENVIRONMENT, "ANSIBLE_COLLECTIONS_PATH": str(self.collections), "PYTHONPATH": str(self.collections)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def connect(self) -> None:
        """Connects to the policy hosts, as the next playbook would have to."""
        command = ["ansible", *self._inventories(), "--module-name=ansible.builtin.ping", "mta_sts_hosts"]
        subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)

    def _inventories(self) -> list[str]:
        places = (LAB / "inventory", ROOT / "molecule/shared/inventory", self.scenario / "inventory")
        return [f"--inventory={place}" for place in places]

    def rollout(self, *arguments: str, **variables: t.Any) -> Playbook:
        """One turn of the loop."""
        return self.playbook("rollout", *arguments, **variables)

    def quick_rollout(self, *arguments: str, **variables: t.Any) -> Playbook:
        """One turn of the loop on hosts that are set up already."""
        return self.rollout("--skip-tags=policy_host_install", *arguments, **variables)

    def report(self) -> dict[str, dict[str, t.Any]]:
        """What the last rollout reported, by domain."""
        document = json.loads((self.run_dir / "report.json").read_text())
        return {domain["domain"]: domain for domain in document["domains"]}

    def on_host(self, host: str, program: str, *arguments: str) -> subprocess.Popen[str]:
        """Begins to run a Python program on a host of the lab."""
        command = ["python3", str(ROOT / "tests/lab/lab.py"), "ssh", NAME, host, "--"]
        command.append(shlex.join(["python3", "-c", program, *arguments]))
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def age(self, **span: float) -> None:
        """Makes all ledgers older by a timedelta: for all decisions, so much time has passed."""
        seconds = int(dt.timedelta(**span).total_seconds())
        for host in self.policy_hosts:
            with self.on_host(host, AGE, str(seconds)) as process:
                assert process.wait() == 0

    def curl(self, host: str, domain: str, *arguments: str, path: str = "/.well-known/mta-sts.txt") -> bytes:
        """What a policy host answers to curl on a mail server, which trusts the lab's CA and nothing more."""
        name = f"mta-sts.{domain}"
        command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "10"]
        command += ["--resolve", f"{name}:443:{self.addresses[host]}", *arguments, f"https://{name}{path}"]
        done = self.host("mx1").run(shlex.join(command))
        assert done.rc == 0, (host, domain, done.stderr)
        return bytes(done.stdout_bytes)

    def dig(self, name: str, rdtype: str = "TXT") -> list[str]:
        """The records of a name on the lab's name server."""
        output = self.host("ns1").check_output("dig +short +norecurse @127.0.0.1 %s %s", name, rdtype)
        return sorted(output.splitlines())

    def zone(self, name: str) -> str:
        """All records of a zone."""
        return str(self.host("ns1").check_output(f"dig +noall +answer @127.0.0.1 {name} AXFR"))

    def nsupdate(self, command: str) -> None:
        """Changes the lab's DNS as somebody else would."""
        key = f"hmac-sha256:{self.facts['lab_tsig_key_name']}:{self.facts['lab_tsig_secret']}"
        script = f"server 127.0.0.1\n{command}\nsend\n"
        self.host("ns1").check_output("printf %s | nsupdate -y %s", script, key)

    def lab_command(self, command: str, host: str) -> None:
        """Has lab.py do something to a host, as to stop it."""
        subprocess.run(["/usr/bin/env", "python3", str(ROOT / "tests/lab/lab.py"), command, NAME, host], check=True)


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab, with the inventory of the scenario that the test lies in."""
    return Lab(request.path.parent, tmp_path_factory.mktemp("run"))
