# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is told of a unit. That it does it is shown on whole hosts, in the scenarios inbox and mail."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._systemd import Unit, due, seconds, unit

STARTED = 1_000_000.0
RUNS = Unit(there=True, runs=True, disabled=False, outdated=False, since=STARTED)
STOPPED = RUNS._replace(runs=False, since=0.0)
ABSENT = STOPPED._replace(there=False)


@pytest.fixture
def file(tmp_path: Path) -> t.Callable[[str, float], str]:
    """Makes a file that was changed so many seconds after the service started."""

    def make(name: str, after: float) -> str:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, STARTED + after))
        return str(tmp_path / name)

    return make


def service(*files: str, stamp: str | None = None, started: bool = True) -> dict[str, t.Any]:
    return {"name": "x.service", "files": list(files), "reload_stamp": stamp, "started": started}


@pytest.mark.parametrize(
    ("known", "started", "commands"),
    [
        (RUNS, True, []),
        (RUNS._replace(disabled=True), True, ["enable x.service"]),
        (RUNS._replace(disabled=True), False, []),
        (STOPPED, True, ["start x.service"]),
        (STOPPED, False, []),
        (ABSENT, True, ["enable x.service", "start x.service"]),
        (ABSENT, False, []),
    ],
)
def test_it_runs_and_starts_with_the_host(known: Unit, started: bool, commands: list[str]) -> None:
    assert due(service(started=started), known) == commands


def test_what_was_changed_after_the_start_is_read_anew(file: t.Callable[[str, float], str]) -> None:
    old, new = file("old", -1), file("new", 1)
    assert due(service(old, "/nowhere"), RUNS) == []
    assert due(service(old, new), RUNS) == ["restart x.service"]
    assert due(service(new, started=False), RUNS) == ["try-restart x.service"]
    assert due(service(new, started=False), STOPPED) == []


def test_a_reload_counts_as_long_as_nothing_was_changed_after_it(file: t.Callable[[str, float], str]) -> None:
    new = file("new", 2)
    assert due(service(new, stamp="/nowhere"), RUNS) == ["reload x.service"]
    assert due(service(new, stamp=file("before", 1)), RUNS) == ["reload x.service"]
    assert due(service(new, stamp=file("after", 3)), RUNS) == []
    # Whoever was started after it needs no reload.
    assert due(service(new, stamp="/nowhere"), RUNS._replace(since=STARTED + 3)) == []


def test_what_systemctl_prints() -> None:
    printed = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "NeedDaemonReload": "no",
        "ActiveEnterTimestamp": "Mon 1970-01-12 13:46:40.000000 UTC",
    }
    assert unit(printed) == RUNS
    gone = {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": "", "ActiveEnterTimestamp": ""}
    assert unit({**printed, **gone}) == ABSENT
    assert seconds("Fri 2026-11-27 13:00:00.250000 UTC") == 1795784400.25
