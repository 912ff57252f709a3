# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the release before this one to today's package, and back: nothing moves that senders see, or that is remembered.

The tests build on one another. For another release than the one before this: MTA_STS_PREVIOUS=<commit>.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import to_ascii

if t.TYPE_CHECKING:
    from conftest import Lab, Playbook

ROOT = Path(__file__).resolve().parents[2]
# What the first run with today's package may change on hosts that are at rest, each told in the changelog.
CHANGED_BY_THE_UPGRADE: set[str] = set()
DOMAINS: list[dict[str, t.Any]] = yaml.safe_load((Path(__file__).parent / "inventory/group_vars/all.yml").read_text())[
    "mta_sts_domains"
]
NAMES = [to_ascii(entry["domain"]) for entry in DOMAINS]
# The last one leaves, once it was there.
LEAVING = [*DOMAINS[:-1], {"domain": DOMAINS[-1]["domain"], "state": "absent"}]
STAGES = dict(zip(NAMES, ("enforcing", "testing", "testing", "testing", "withdrawing"), strict=True))

# The rows of a ledger, and the files beside it.
LOOK = """
import hashlib, json, pathlib, sqlite3
top = pathlib.Path('/var/lib/mta-sts')
ledger = sqlite3.connect(f'file:{top}/ledger.sqlite3?mode=ro', uri=True)
rows = {table: list(ledger.execute(f'SELECT * FROM {table} ORDER BY 1, 2')) for table in ('policies', 'conditions')}
files = {
    str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
    for kind in ('policies', 'tls')
    for path in sorted((top / kind).rglob('*')) if path.is_file()
}
print(json.dumps({**rows, **files}))
"""


class Packages(t.NamedTuple):
    """Where each package is installed, alone."""

    previous: Path
    today: Path


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    chosen = os.environ.get("MTA_STS_PREVIOUS")
    today = [".ci/in-collection", "ansible-galaxy", "collection", "build", "--output-path"]
    found = Packages(tmp_path_factory.mktemp("previous"), tmp_path_factory.mktemp("today"))
    for directory, command, choice in (
        (found.previous, [".ci/previous-release"], [chosen] if chosen else []),
        (found.today, today, []),
    ):
        subprocess.run([*command, str(directory), *choice], cwd=ROOT, check=True)
        [package] = directory.glob("*.tar.gz")
        install = ["ansible-galaxy", "collection", "install", "--force", "--offline", "--collections-path"]
        subprocess.run([*install, str(directory), str(package)], check=True)
    versions = {
        json.loads((directory / "ansible_collections/postmaster/mta_sts/MANIFEST.json").read_text())["collection_info"][
            "version"
        ]
        for directory in found
    }
    assert len(versions) == 2
    return found


def seen(lab: Lab) -> dict[str, t.Any]:
    """All that has to stay: what hosts remember and serve, with which certificates, and what is in DNS."""
    state: dict[str, t.Any] = {f"zone {name}": lab.zone(name) for name in NAMES}
    for host in lab.policy_hosts:
        with lab.on_host(host, LOOK) as process:
            output, _no_errors = process.communicate()
        state |= {f"{host} {name}": value for name, value in json.loads(output).items()}
        state |= {f"{host} serves {name}": lab.curl(host, name) for name in NAMES}
    return state


def changes(done: Playbook) -> set[str]:
    """The tasks that changed something, on any host."""
    assert done.status == 0, done.output
    tasks = re.split(r"(?m)^TASK \[(.+?)\] \*+$", done.output)[1:]
    changed = {name for name, told in zip(tasks[::2], tasks[1::2], strict=True) if re.search(r"(?m)^changed: ", told)}
    assert bool(changed) == any(done.changed.values())
    return changed


@pytest.fixture(scope="module")
def before(lab: Lab, packages: Packages) -> dict[str, t.Any]:
    """What the release before this one leaves, some days into its work."""
    lab.collections = packages.previous
    assert changes(lab.rollout())
    lab.age(days=3)
    assert changes(lab.quick_rollout(mta_sts_domains=LEAVING))
    assert {name: entry["stage"] for name, entry in lab.report().items()} == STAGES
    lab.age(hours=1)
    return seen(lab)


def test_the_upgrade_moves_nothing(lab: Lab, packages: Packages, before: dict[str, t.Any]) -> None:
    lab.collections = packages.today
    assert changes(lab.rollout(mta_sts_domains=LEAVING)) == CHANGED_BY_THE_UPGRADE
    assert seen(lab) == before
    assert {name: entry["stage"] for name, entry in lab.report().items()} == STAGES


def test_nothing_is_left_to_do_after_it(lab: Lab, before: dict[str, t.Any]) -> None:
    assert changes(lab.rollout("--check", mta_sts_domains=LEAVING)) == set()
    assert seen(lab) == before


def test_the_way_back_moves_nothing_either(lab: Lab, packages: Packages, before: dict[str, t.Any]) -> None:
    lab.collections = packages.previous
    assert changes(lab.rollout(mta_sts_domains=LEAVING)) == CHANGED_BY_THE_UPGRADE
    assert seen(lab) == before
