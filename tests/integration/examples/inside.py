# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook in a world of the examples, which nobody outside of it sees."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_playbook import COLLECTIONS

# Where the servers are, and this.
HERE = Path(__file__).parents[1]

Result = dict[str, t.Any]


class Ran(t.NamedTuple):
    """A run that ended: the results of each task by its name, host by host."""

    status: int
    printed: str
    results: dict[str, list[Result]]


def run_in(world: str, place: Path, *commands: t.Sequence[str]) -> list[Ran]:
    """Runs ansible-playbook in a directory with each list of arguments."""
    (place / "commands.json").write_text(json.dumps(commands))
    done = subprocess.run(
        [
            *("unshare", "--net", "--mount", "env", f"PYTHONPATH={COLLECTIONS}:{HERE}"),
            *(sys.executable, "-m", "examples.world", world, place),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return [
        Ran(status, printed, _recorded(place / f"recorded{number}"))
        for number, (status, printed) in enumerate(json.loads((place / "ended.json").read_text()))
    ]


def _recorded(path: Path) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        one = json.loads(line)
        found.setdefault(one["task"], []).append(one["result"])
    return found
