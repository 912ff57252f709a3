# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook with this collection, and with nothing of the configuration of whoever runs the tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("ansible-playbook")
COLLECTIONS = CHECKOUT / ".collections"

# What the last task says of all before it.
RESULTS = re.compile(r'(?m)^ok: \[(\S+)\] => \{\n    "msg": (".*")\n\}$')

Argument = t.Union[str, Path]
Task = dict[str, t.Any]
Result = dict[str, t.Any]


def environment(home: Path) -> dict[str, str]:
    return {
        # What it runs is counted where coverage is measured.
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
        "HOME": str(home),
        "PWD": str(home),
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_REMOTE_TMP": str(home / ".ansible/tmp"),
        # What each run would compute anew.
        "ANSIBLE_HOME": str(CHECKOUT / ".ansible/integration"),
        "ANSIBLE_CALLBACK_PLUGINS": str(CHECKOUT / "molecule/shared/callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "frugal",
    }


def play(home: Path, *arguments: Argument, **variables: str) -> tuple[int, str]:
    """The exit status and all that was printed, of a run in its home with more variables in its environment."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        cwd=home,
        env={**environment(home), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def run_tasks(
    home: Path, *tasks: Task, hosts: t.Sequence[str] = ("localhost",), arguments: t.Sequence[Argument] = ()
) -> tuple[list[list[Result]], str]:
    """The results of tasks that may fail, host by host, and all that was printed. The hosts are this machine."""
    names = [f"result{number}" for number in range(len(tasks))]
    written = [{"name": name, "register": name, "ignore_errors": True, **task} for name, task in zip(names, tasks)]
    told: Task = {"ansible.builtin.debug": {"msg": f"{{{{ [{', '.join(names)}] | to_json }}}}"}}
    text = yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [*written, told]}])
    (home / "play.yml").write_text(text)
    status, printed = play(home, "play.yml", "-i", f"{','.join(hosts)},", "-c", "local", *arguments)
    assert status == 0, printed
    found = dict(RESULTS.findall(printed))
    return [json.loads(json.loads(found[host])) for host in hosts], printed
