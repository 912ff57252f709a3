# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tasks with a real ansible-playbook on this machine, with nothing of the user's own configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[2]

Document = dict[str, t.Any]


def play(place: Path, tasks: t.Sequence[Document], *arguments: str) -> tuple[list[Document], str]:
    """The result of each task, also of one that failed, and what was printed. Paths are relative to C(place)."""
    named = [{**task, "register": f"result_{number}", "ignore_errors": True} for number, task in enumerate(tasks)]
    told = "{{ [" + ", ".join(str(task["register"]) for task in named) + "] | to_json }}"
    keep = {
        "ansible.builtin.copy": {"content": told, "dest": f"{place}/results.json"},
        "check_mode": False,
        "diff": False,
    }
    path = place / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [*named, keep]}]))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", path, "-i", "localhost,", "-c", "local", *arguments],
        cwd=place,
        env={
            "HOME": str(place),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results: list[Document] = json.loads((place / "results.json").read_text())
    assert len(results) == len(tasks)
    return results, done.stdout
