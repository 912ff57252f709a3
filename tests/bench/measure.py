# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run takes: seconds, and the most memory that the controller and the hosts held at a time.

Memory is the proportional set size: what processes share is counted once. It is looked at several times a second, so
that a peak which is shorter than that may be missed. Linux, as root.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
import time
import typing as t
from pathlib import Path

INTERVAL = 0.2
QUIET = 2
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run took."""

    seconds: float
    # CPU time of the controller's processes, in seconds.
    cpu: float
    # The share of the machine's CPU time that other programs took just before.
    others: float
    # MiB, at the worst moment.
    controller: float
    # The host that took the most.
    host: float
    output: str


class RunFailed(Exception):
    """A run that was to be measured failed; the message is what it said."""


def measure(command: t.Sequence[str], environment: dict[str, str], namespaces: t.Collection[str] = ()) -> Measured:
    """Runs it. The hosts are named by their process namespaces."""
    others = _others()
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with _Peaks(process.pid, namespaces) as peaks:
        assert process.stdout
        output = process.stdout.read()
        _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise RunFailed(f"{' '.join(command)} failed:\n{output[-4000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(seconds, cpu, others, peaks.controller / MIB, peaks.host / MIB, output)


class _Peaks:
    """Watches memory from a thread, as long as the context lasts."""

    def __init__(self, root: int, namespaces: t.Collection[str]) -> None:
        self.controller = 0
        self.host = 0
        self._root = root
        self._namespaces = namespaces
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Peaks:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            self.controller = max(self.controller, sum(map(_memory, _descendants(self._root))))
            held = dict.fromkeys(self._namespaces, 0)
            if held:
                for pid in _processes():
                    namespace = namespace_of(pid)
                    if namespace in held:
                        held[namespace] += _memory(pid)
                self.host = max(self.host, *held.values())


def namespace_of(pid: int) -> str:
    """The namespace of a process's number; empty for one that is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid in _processes():
        try:
            # The name before it may hold anything, so what follows is counted from its end.
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _memory(pid: int) -> int:
    """The bytes that a process holds, none if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _others() -> float:
    """The share of the processors' time that is taken while nothing is measured."""
    before = _busy_and_all()
    time.sleep(QUIET)
    busy, possible = (after - first for first, after in zip(before, _busy_and_all()))
    return busy / possible


def _busy_and_all() -> tuple[float, float]:
    """The seconds that the processors worked, and all that there were."""
    fields = [int(text) / TICKS for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)
