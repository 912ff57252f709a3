# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server program in the foreground, from when it is ready until it is stopped."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
import typing as t
from pathlib import Path

START_SECONDS = 30
# How often a program that is starting is asked whether it is ready.
LOOK_SECONDS = 0.02

Command = t.Sequence[t.Union[str, Path]]


class Daemon:
    """A running program, which writes to a log."""

    def __init__(self, command: Command, log: Path, ready: t.Callable[[], bool]) -> None:
        """Returns when the program is ready, for which an OSError stands for 'not yet'."""
        program = Path(command[0])
        if not program.exists():
            raise FileNotFoundError(f"{program} is missing: 'make packages' installs it")
        with log.open("ab") as stream:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not self._has_ended():
            with contextlib.suppress(OSError):
                if ready():
                    return
        self.stop()
        raise RuntimeError(f"{program.name} did not start:\n{log.read_text(errors='replace')}")

    def _has_ended(self) -> bool:
        try:
            self._process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


def accepts(listeners: t.Iterable[tuple[str, int]], *, greets: bool = False) -> bool:
    """Whether all of them take connections, and say something at once if they are such that greet."""
    for listener in listeners:
        with socket.create_connection(listener, timeout=5) as connection:
            if greets and not connection.recv(1):
                return False
    return True
