# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout costs, counted where it arrives: nothing here depends on how fast a machine is."""

from __future__ import annotations

import json
import re
import subprocess
import typing as t

if t.TYPE_CHECKING:
    from conftest import Lab

# The TCP connections that a host has taken since it began, as its kernel counts them.
CONNECTIONS = """
lines = [line.split() for line in open('/proc/net/snmp') if line.startswith('Tcp:')]
print(lines[1][lines[0].index('PassiveOpens')])
"""
# What BIND was asked since it began.
REQUESTS = """
import json, pathlib, re, subprocess
stats = pathlib.Path('/var/cache/bind/named.stats')
stats.unlink(missing_ok=True)
subprocess.run(['rndc', 'stats'], check=True)
print(json.dumps({name: int(count) for count, name in re.findall(r'(?m)^ +(\\d+) (QUERY|UPDATE)$', stats.read_text())}))
"""


class Counts(t.NamedTuple):
    """Of one rollout. Dictionaries are by host."""

    changed: bool
    tasks: int
    # Commands and files over SSH.
    trips: dict[str, int]
    # Bytes over SSH, there and back.
    carried: dict[str, int]
    # Bytes of all that callbacks are told: the arguments and the result of every module.
    told: int
    queries: int
    updates: int
    connections: dict[str, int]


def counted(lab: Lab, **variables: t.Any) -> Counts:
    """Rolls out, and counts."""
    # What it takes to connect is the cost of no domain; some of the runs would find a connection, and some would not.
    lab.connect()
    carried = {host: _carried(lab.addresses[host]) for host in lab.policy_hosts}
    connections, requests = _connections(lab), _requests(lab)
    done = lab.rollout("-vvv", **variables)
    assert done.status == 0, done.output[-4000:]
    requests_after, connections_after = _requests(lab), _connections(lab)
    asked = {name: requests_after.get(name, 0) - requests.get(name, 0) for name in ("QUERY", "UPDATE")}
    return Counts(
        any(done.changed.values()),
        done.tasks,
        {host: len(re.findall(rf"<{lab.addresses[host]}> (?:SSH: EXEC|PUT) ", done.output)) for host in carried},
        {host: _more(_carried(lab.addresses[host]), before) for host, before in carried.items()},
        len(done.output.encode()),
        asked["QUERY"],
        asked["UPDATE"],
        {host: count - connections[host] for host, count in connections_after.items()},
    )


def _connections(lab: Lab) -> dict[str, int]:
    return {host: int(_on_host(lab, host, CONNECTIONS)) for host in (*lab.policy_hosts, "mx1")}


def _requests(lab: Lab) -> dict[str, int]:
    found: dict[str, int] = json.loads(_on_host(lab, "ns1", REQUESTS))
    return found


def _on_host(lab: Lab, host: str, program: str) -> str:
    with lab.on_host(host, program) as process:
        output, _no_errors = process.communicate()
    assert process.returncode == 0
    return output


def _carried(address: str) -> dict[str, int]:
    """The bytes of each SSH connection to a host, by its port here."""
    command = ["ss", "--tcp", "--info", "--numeric", "--no-header", "--oneline", "dst", address, "dport", "=", "22"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {
        line.split()[3]: sum(int(count) for count in re.findall(r"bytes_(?:acked|received):(\d+)", line))
        for line in output.splitlines()
    }


def _more(after: dict[str, int], before: dict[str, int]) -> int:
    """Ansible's connection lasts a minute longer than it is used."""
    return sum(count - before.get(port, 0) for port, count in after.items())
