# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verification that takes long shows how far it is on a terminal, and hardly in a log."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_playbook import PROGRAM, environment

PROGRESS = re.compile(r"(?m)^  ([\d,]+) of 12 domains, [\d,]+ a second, ([\d,]+) broken so far\r?$")


@pytest.fixture
def silent() -> t.Iterator[int]:
    """The port of a resolver that never answers."""
    with socket.socket(type=socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 0))
        yield resolver.getsockname()[1]


@pytest.fixture
def command(tmp_path: Path, silent: int) -> list[str]:
    """Looks at 12 domains, four at a time, of which each takes a second."""
    task = {
        "postmaster.mta_sts.mta_sts_verify": {
            "domains": [f"d{number}.example" for number in range(12)],
            "resolvers": [f"127.0.0.1:{silent}"],
            "timeout": 1,
            "concurrency": 4,
            "results": str(tmp_path / "seen.json"),
        }
    }
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [task]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    return [str(PROGRAM), str(tmp_path / "play.yml")]


def on_a_terminal(command: list[str], directory: Path) -> str:
    """What a command shows on a terminal."""
    ours, theirs = pty.openpty()
    known = {**environment(directory), "TERM": "xterm"}
    with subprocess.Popen(command, env=known, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        # That the terminal is gone is an error of its own.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


def test_progress_is_shown_on_a_terminal(command: list[str], tmp_path: Path) -> None:
    told = [(int(done), int(broken)) for done, broken in PROGRESS.findall(on_a_terminal(command, tmp_path))]
    assert told
    assert told == sorted(told)
    assert all(0 < done == broken <= 12 for done, broken in told)
    assert len(json.loads((tmp_path / "seen.json").read_text())["domains"]) == 12


def test_a_log_is_spared(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert "ok: [localhost]" in done.stdout
    assert PROGRESS.findall(done.stdout) == []
