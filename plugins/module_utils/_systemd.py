# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The units of a host: which shall run, and which have not read their files as they are now.

That is seen from the times of files and services, and not from what else a run did: so a run that died is healed.

Standard library only, because it runs on policy hosts. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from datetime import datetime, timezone
from pathlib import Path

UNITS: t.Final = Path("/etc/systemd/system")
PROPERTIES: t.Final = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "ActiveEnterTimestamp")
DAEMON_RELOAD: t.Final = ["daemon-reload"]
Service = dict[str, t.Any]
# Runs a command; its status, output and errors.
Run = t.Callable[[list[str]], tuple[int, str, str]]


class SystemdError(Exception):
    """What systemd says that it cannot do."""


class Unit(t.NamedTuple):
    """A unit as systemd knows it."""

    there: bool
    runs: bool
    disabled: bool
    outdated: bool
    # When it last started, in seconds since 1970; 0 where it never did.
    since: float


class Systemd:
    """What systemd is asked and told; in check mode it is asked only."""

    def __init__(self, run: Run, *, check_mode: bool) -> None:
        self.commands: list[str] = []
        self.check_mode = check_mode
        self._run = run

    def tell(self, *arguments: str) -> None:
        self.commands.append(" ".join(arguments))
        if not self.check_mode:
            self._systemctl(*arguments)

    def units(self, names: t.Sequence[str]) -> list[Unit]:
        if not names:
            return []
        output = self._systemctl("show", "--timestamp=us+utc", f"--property={','.join(PROPERTIES)}", "--", *names)
        return [unit(dict(line.split("=", 1) for line in block.splitlines())) for block in output.strip().split("\n\n")]

    def _systemctl(self, *arguments: str) -> str:
        status, output, errors = self._run(["systemctl", *arguments])
        if status != 0:
            raise SystemdError(f"systemctl {' '.join(arguments)}: {(errors or output).strip()}")
        return output


def unit(properties: t.Mapping[str, str]) -> Unit:
    return Unit(
        there=properties["LoadState"] != "not-found",
        runs=properties["ActiveState"] in ("active", "reloading"),
        disabled=properties["UnitFileState"] == "disabled",
        outdated=properties["NeedDaemonReload"] == "yes",
        since=seconds(properties["ActiveEnterTimestamp"]),
    )


def seconds(timestamp: str) -> float:
    """Of a time as in C(Fri 2026-11-27 13:00:00.123456 UTC), or of none."""
    if not timestamp:
        return 0.0
    day, time = timestamp.split()[1:3]
    return datetime.strptime(f"{day} {time}", "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc).timestamp()


def changed_at(paths: t.Iterable[str]) -> float:
    """When the last of them was changed; 0 if there is none."""
    return max((path.stat().st_mtime for path in map(Path, paths) if path.exists()), default=0.0)


def due(service: Service, known: Unit) -> list[str]:
    """What systemd is to be told of a unit, so that it runs and knows its files."""
    name, stamp = service["name"], service["reload_stamp"]
    commands = [f"enable {name}"] if service["started"] and (known.disabled or not known.there) else []
    if not known.runs:
        return [*commands, f"start {name}"] if service["started"] else commands
    loaded_at = max(known.since, changed_at([stamp] if stamp else []))
    if changed_at(service["files"]) > loaded_at:
        verb = "reload" if stamp else "restart" if service["started"] else "try-restart"
        commands.append(f"{verb} {name}")
    return commands


def remove(systemd: Systemd, names: t.Sequence[str]) -> None:
    """Stops and disables units that lie in C(/etc/systemd/system), and removes their files."""
    there = [name for name in names if os.path.lexists(UNITS / name)]
    if not all(known.there for known in systemd.units(there)):
        # The run that wrote it died before systemd knew it.
        systemd.tell(*DAEMON_RELOAD)
    for name in there:
        systemd.tell("disable", "--now", name)
        if not systemd.check_mode:
            (UNITS / name).unlink()
    if there:
        systemd.tell(*DAEMON_RELOAD)


def bring(systemd: Systemd, services: t.Sequence[Service]) -> None:
    """Has units run, start with the host, and know their files. Raises L(SystemdError)."""
    names = [service["name"] for service in services]
    units = systemd.units(names)
    if any(known.outdated or (service["started"] and not known.there) for service, known in zip(services, units)):
        systemd.tell(*DAEMON_RELOAD)
        units = systemd.units(names)
    for service, known in zip(services, units):
        if service["started"] and not known.there and not systemd.check_mode:
            raise SystemdError(f"There is no {service['name']} on this host, which shall be started")
        for command in due(service, known):
            systemd.tell(*command.split())
            if command.startswith("reload ") and not systemd.check_mode:
                Path(service["reload_stamp"]).touch()
