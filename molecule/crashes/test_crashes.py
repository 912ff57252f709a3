# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""P8: a rollout is killed at every step, on the controller and on a policy host, and the next one heals it."""

from __future__ import annotations

import base64
import json
import os
import signal
import typing as t
from dataclasses import dataclass

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import policy_id

if t.TYPE_CHECKING:
    from conftest import Lab, Playbook

COUNT = 40
NAMES = [f"d{number}.scale.example" for number in range(1, COUNT + 1)]
ENTRIES = [{"domain": name, "mx": ["mx1.lab.test"]} for name in NAMES]
TESTING = b"version: STSv1\r\nmode: testing\r\nmx: mx1.lab.test\r\nmax_age: 86400\r\n"
ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.lab.test\r\nmax_age: 2592000\r\n"

BODIES = {"testing": TESTING, "enforce": ENFORCE}

# The tasks at whose beginning the controller is killed, with the how-manieth of that name it is.
TASKS = [
    ("Decide what may be done now", 1),
    ("Policies | Publish them", 1),
    ("Nginx | Write its configuration", 1),
    ("Certificates | Bring them", 1),
    ("Prove that every policy host serves", 1),
    ("Rfc2136 | Update what differs", 2),
]
# How many policies of a host are new when the module that publishes them is killed there.
PUBLISHED = [0, COUNT // 2]

# Kills the process that publishes policies, known by its lock, as soon as so many of them are new.
KILL_PUBLISHING = """
import glob, os, signal, sys, time
directory = '/var/lib/mta-sts/policies'
def publishing():
    for link in glob.glob('/proc/[0-9]*/fd/*'):
        try:
            # Who only reads the policies opens their directory, too.
            if os.readlink(link) == directory and 'FLOCK' in open(link.replace('/fd/', '/fdinfo/')).read():
                return int(link.split('/')[2])
        except OSError:
            pass
def new():
    return sum(sys.argv[2].encode() in open(path, 'rb').read() for path in glob.glob(directory + '/mta-sts.*'))
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    process = publishing()
    if not process:
        time.sleep(0.005)
    elif new() >= int(sys.argv[1]):
        os.kill(process, signal.SIGKILL)
        print('killed', new())
        break
"""
# All that a policy host serves, as it lies there, and what its ledger says of it.
READ_POLICIES = """
import base64, glob, json, os, sqlite3
ledger = sqlite3.connect('/var/lib/mta-sts/ledger.sqlite3')
print(json.dumps({
    'files': {os.path.basename(path): base64.b64encode(open(path, 'rb').read()).decode()
              for path in glob.glob('/var/lib/mta-sts/policies/mta-sts.*')},
    'open': [list(row) for row in ledger.execute('SELECT domain, digest FROM policies WHERE until IS NULL')],
}))
"""


class Host(t.NamedTuple):
    """What one policy host serves, and what its ledger says that it may serve."""

    bodies: dict[str, bytes]
    ledger: set[tuple[str, str]]


def look(lab: Lab, name: str) -> Host:
    with lab.on_host(name, READ_POLICIES) as process:
        output, _no_errors = process.communicate()
    found = json.loads(output)
    bodies = {
        file.removeprefix("mta-sts.").removesuffix(".txt"): base64.b64decode(text)
        for file, text in found["files"].items()
    }
    return Host(bodies, {(domain, digest[:32]) for domain, digest in found["open"]})


def announced(lab: Lab) -> dict[str, str]:
    """The ids in DNS, by domain."""
    records = [line.split(maxsplit=4) for line in lab.zone("scale.example").splitlines() if "v=STSv1" in line]
    return {name.removeprefix("_mta-sts.").rstrip("."): text.partition("id=")[2][:32] for name, *_rest, text in records}


def footprint(lab: Lab) -> list[t.Any]:
    """The state that a rollout ends in: files, configuration, DNS."""
    zone = [line for line in lab.zone("scale.example").splitlines() if "SOA" not in line]
    hosts = [look(lab, name) for name in lab.policy_hosts]
    settings = [
        lab.host(name).check_output("cat /etc/nginx/sites-enabled/zz-mta-sts.conf") for name in lab.policy_hosts
    ]
    keys = [
        lab.host(name).check_output("cd /var/lib/mta-sts && find . -name '.*' -type f") for name in lab.policy_hosts
    ]
    return [sorted(zone), hosts, settings, keys]


def promises_hold(lab: Lab, old: bytes, new: bytes) -> None:
    """What senders get is whole, an id stands for what every policy host serves or served, ledgers say it all."""
    hosts = [look(lab, name) for name in lab.policy_hosts]
    ids = announced(lab)
    assert set(ids) == set(NAMES)
    for name in NAMES:
        served = [host.bodies[name] for host in hosts]
        assert set(served) <= {old, new}
        assert all((name, policy_id(host.bodies[name])) in host.ledger for host in hosts)
        assert ids[name] == policy_id(old) or (ids[name] == policy_id(new) and set(served) == {new})
    for name in (NAMES[0], NAMES[-1]):
        assert {lab.curl(host, name, "--insecure") for host in lab.policy_hosts} <= {old, new}


@dataclass
class World:
    """The lab, and the states that undisturbed rollouts end in."""

    lab: Lab
    mode: str
    ends: dict[str, list[t.Any]]

    @property
    def other(self) -> str:
        return "enforce" if self.mode == "testing" else "testing"

    def heal(self) -> None:
        """The rollout after the one that was killed ends where an undisturbed one does."""
        healed = rollout(self.lab, self.other)
        assert healed.status == 0, healed.output
        assert footprint(self.lab) == self.ends[self.other]
        self.mode = self.other


def variables(mode: str) -> dict[str, t.Any]:
    # These names have no MX records of their own.
    return {"mta_sts_domains": ENTRIES, "mta_sts_defaults": {"mode": mode, "gate": False}}


def rollout(lab: Lab, mode: str) -> Playbook:
    return lab.quick_rollout(**variables(mode))


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    ends = {}
    for mode in ("enforce", "testing"):
        undisturbed = rollout(lab, mode)
        assert undisturbed.status == 0, undisturbed.output
        ends[mode] = footprint(lab)
        assert set(announced(lab).values()) == {policy_id(BODIES[mode])}
    return World(lab, "testing", ends)


@pytest.mark.parametrize(("task", "occurrence"), TASKS)
def test_the_controller_is_killed(world: World, task: str, occurrence: int) -> None:
    lab, seen = world.lab, 0
    with lab.begin("rollout", "--skip-tags=policy_host_install", **variables(world.other)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            seen += line.startswith("TASK [") and task in line
            if seen == occurrence:
                os.killpg(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL, f"the rollout ended before {task!r}"
    promises_hold(lab, BODIES[world.mode], BODIES[world.other])
    world.heal()


@pytest.mark.parametrize("published", PUBLISHED)
def test_the_module_that_publishes_is_killed(world: World, published: int) -> None:
    lab = world.lab
    with lab.on_host("web1", KILL_PUBLISHING, str(published), f"mode: {world.other}") as killer:
        disturbed = rollout(lab, world.other)
        output, _no_errors = killer.communicate()
    assert output.startswith("killed"), disturbed.output
    assert disturbed.status != 0
    hosts = [look(lab, name) for name in lab.policy_hosts]
    assert BODIES[world.mode] in hosts[0].bodies.values(), "it was killed too late"
    assert set(hosts[1].bodies.values()) == {BODIES[world.other]}
    # P7: what it had published is announced, as every host serves it.
    new = policy_id(BODIES[world.other])
    assert {name for name, identifier in announced(lab).items() if identifier == new} == {
        name for name, body in hosts[0].bodies.items() if policy_id(body) == new
    }
    promises_hold(lab, BODIES[world.mode], BODIES[world.other])
    world.heal()
