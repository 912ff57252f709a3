# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab that rollouts are measured on: for each of many domains a zone and a certificate, and MX hosts they share.

Most domains share two MX hosts. Every so-manieth has one with a name of its own, as where a hoster names a customer's.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

import yaml
from distance import INSIDE
from measure import Measured, RunFailed, measure

# The certification authority of the tests serves here, too.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from tls import Authority

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

NAME = "bench"
STATE = ROOT / ".lab" / NAME
WORK = STATE / "work"
LAB = [sys.executable, str(ROOT / "tests/lab/lab.py")]
CERTIFICATES = "/etc/ssl/private/bench"
SHARED_MX = ["mx1.lab.test", "mx2.lab.test"]
OWN_MX_EVERY = 20
# The groups of one and of two policy hosts.
GROUPS = {1: "bench_one", 2: "mta_sts_hosts"}
ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/.collections:{ROOT}/.collections-community",
    "ANSIBLE_NOCOLOR": "1",
}


def domain(number: int) -> str:
    return f"d{number}.example"


def mx_of(number: int) -> list[str]:
    return SHARED_MX if number % OWN_MX_EVERY else [f"mx{number}.own.example"]


class BenchLab:
    """Made when the context begins, removed when it ends."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.run_dir = WORK / "run"
        self.ca_file = WORK / "ca.pem"
        self._domains_file = WORK / "domains.json"
        self._names_file = WORK / "names.txt"

    def __enter__(self) -> BenchLab:
        _run([*LAB, "up", "--name", NAME])
        hosts = json.loads((STATE / "inventory/hosts.yml").read_text())
        self.facts = json.loads((STATE / "inventory/group_vars/all.yml").read_text())
        self.addresses: dict[str, str] = {
            name: values["ansible_host"]
            for group in (hosts["mta_sts_hosts"], *hosts["lab"]["children"].values())
            for name, values in group["hosts"].items()
        }
        WORK.mkdir(exist_ok=True)
        self._write_inventory()
        self._write_certificates()
        self.play(ROOT / "tests/lab/site.yml", f"--extra-vars=@{WORK}/lab.json")
        self.play(HERE / "site.yml")
        return self

    def __exit__(self, *_error: object) -> None:
        _run([*LAB, "down", "--name", NAME])

    def _write_inventory(self) -> None:
        key = {"key_name": "{{ lab_tsig_key_name }}", "key_secret": "{{ lab_tsig_secret }}"}
        variables = {
            "bench_directory": str(WORK),
            "bench_certificates": CERTIFICATES,
            "mta_sts_run_dir": str(self.run_dir),
            "mta_sts_domains_file": str(self._domains_file),
            "mta_sts_dns": {"server": "{{ lab_ns_address }}", **key},
            "mta_sts_resolvers": ["{{ lab_ns_address }}"],
            "mta_sts_ca_file": str(self.ca_file),
            # A rollout is done in one run.
            "mta_sts_testing_days": 0,
            "policy_host_certificate_source": "files",
            "policy_host_certificate_path": f"{CERTIFICATES}/{{name}}.pem",
            "policy_host_key_path": f"{CERTIFICATES}/{{name}}.pem",
        }
        directory = WORK / "inventory/group_vars/all"
        directory.mkdir(parents=True, exist_ok=True)
        (WORK / "inventory/bench.yml").write_text(yaml.safe_dump({GROUPS[1]: {"hosts": {"web1": {}}}}))
        (directory / "bench.yml").write_text(yaml.safe_dump(variables))
        zones: list[dict[str, t.Any]] = [
            {"name": domain(number), "records": [f"@ MX 10 {host}." for host in mx_of(number)]}
            for number in range(1, self._size + 1)
        ]
        zones.append({"name": "own.example", "records": [f"* A {self.addresses['mx2']}"]})
        # The name server answers who is farther away, too.
        network = f"{self.facts['lab_network']}; {INSIDE}"
        (WORK / "lab.json").write_text(json.dumps({"lab_zones": zones, "lab_network": network}))

    def _write_certificates(self) -> None:
        authority = Authority("Bench")
        authority.write_trust_store(self.ca_file)
        (WORK / "mx.pem").write_bytes(authority.issue(*SHARED_MX, "*.own.example"))
        with tarfile.open(WORK / "certificates.tar", "w") as tar:
            for number in range(1, self._size + 1):
                name = f"mta-sts.{domain(number)}"
                pem = authority.issue(name)
                member = tarfile.TarInfo(f"{name}.pem")
                member.size, member.mode = len(pem), 0o600
                tar.addfile(member, io.BytesIO(pem))

    def fresh(self) -> None:
        """Takes the lab back to where nothing was rolled out."""
        self.play(HERE / "fresh.yml")

    def want(self, count: int, **first: t.Any) -> None:
        """Writes down what is to be rolled out; the first domain may differ from the others."""
        entries: list[dict[str, t.Any]] = [
            {"domain": domain(number), "mx": mx_of(number), "mode": "enforce", "tlsrpt": ["mailto:tls@reports.example"]}
            for number in range(1, count + 1)
        ]
        entries[0].update(first)
        self._domains_file.write_text(json.dumps(entries))
        self._names_file.write_text("".join(f"{entry['domain']}\n" for entry in entries))

    def play(self, name: str | Path, *arguments: str, watch: int = 0, prefix: t.Sequence[str] = ()) -> Measured:
        """Runs a playbook, and measures it; the memory of so many policy hosts, too."""
        command = [*prefix, "ansible-playbook", f"--inventory={STATE}/inventory"]
        command += [f"--inventory={WORK}/inventory", *arguments, str(name)]
        hosts = list(self.addresses)[:watch]
        return measure(command, ENVIRONMENT, [self.ssh(host, "readlink", "/proc/1/ns/pid").strip() for host in hosts])

    def rollout(self, hosts: int) -> Measured:
        """One turn of the loop with one or two policy hosts, that leaves every domain where it shall be."""
        groups = f"--extra-vars=mta_sts_policy_hosts={GROUPS[hosts]}"
        done = self.play("postmaster.mta_sts.rollout", groups, watch=hosts)
        report = json.loads((self.run_dir / "report.json").read_text())
        astray = [one["domain"] for one in report["domains"] if one["stage"] != "enforcing" or one["holds"]]
        if astray:
            raise RunFailed(f"{len(astray)} domains are not where they shall be, as {astray[0]}")
        return done

    def verify(self, prefix: t.Sequence[str] = ()) -> Measured:
        """Looks at all domains that are wanted, with the whole playbook that users call."""
        named = f"--extra-vars=mta_sts_verify_file={self._names_file}"
        return self.play("postmaster.mta_sts.verify", named, prefix=prefix)

    def ssh(self, host: str, *command: str, data: str = "") -> str:
        """Runs a command on a host of the lab."""
        return _run([*LAB, "ssh", NAME, host, "--", *command], data)


def _run(command: t.Sequence[str], data: str = "") -> str:
    done = subprocess.run(command, input=data, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunFailed(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout
