# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One MX host and its TLSA records: what it has and remembers, and the steps that are its own.

Standard library only, because it runs on MX hosts. Private to this collection.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ._mx_chain import KEPT, MEMORY, ChainError, Settings, available, lineages, served_key, unload
from ._mx_tls import bring, forget, issue_next
from ._tlsa import Decision, InDns, Key, Memory, Pending, Seen, Wish, decide, lost
from ._webroot import write_file

# A key is made, and a chain installed, at most once in a run; each shows what comes next.
STEPS: t.Final = 4


@dataclass(frozen=True)
class Turn:
    """What was decided in the end, and whether the host itself has changed, or would have in check mode."""

    decision: Decision
    served: t.Optional[str]
    changed: bool
    warnings: tuple[str, ...]


def read_memory(directory: Path, now: int) -> Memory:
    """What the host remembers. One that is lost or damaged makes it wait longer."""
    try:
        found = json.loads((directory / MEMORY).read_bytes())
        pending = found["pending"]
        return Memory(
            keys={str(key): Key(int(one["since"]), _time(one["safe_from"])) for key, one in found["keys"].items()},
            serve=None if found["serve"] is None else str(found["serve"]),
            served_since=_time(found["served_since"]),
            cached_until=int(found["cached_until"]),
            pending=None if pending is None else Pending(tuple(pending["values"]), int(pending["old_ttl"])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return lost(now) if (directory / KEPT).exists() else Memory()


def _time(value: t.Any) -> t.Optional[int]:
    return None if value is None else int(value)


def write_memory(directory: Path, memory: Memory) -> None:
    """Replaces what the host remembers, atomically."""
    write_file(directory / KEPT, b"", 0o600)
    write_file(directory / MEMORY, (json.dumps(asdict(memory), indent=2) + "\n").encode(), 0o600)


def keep_key(directory: Path, address: str) -> None:
    """Has what Postfix serves now stay, as there are TLSA records of it that nobody here knows of yet."""
    if (directory / KEPT).exists():
        return
    try:
        served = served_key(address)
    except ChainError:
        # What cannot be seen by senders either cannot stay.
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_memory(directory, Memory(serve=served))


class Host:
    """An MX host at which one step follows the other as far as is safe now."""

    def __init__(self, directory: Path, settings: Settings, address: str, *, check_mode: bool) -> None:
        self._directory, self._settings, self._address = directory, settings, address
        self._check_mode = check_mode
        self._changed = False
        self._warnings: tuple[str, ...] = ()

    def turn(self, dns: InDns, wish: Wish, now: t.Callable[[], int]) -> Turn:
        """As far as it goes now. Raises L(ChainError)."""
        for _step in range(STEPS):
            seen = self._look(dns)
            decision = decide(read_memory(self._directory, now()), seen, wish, now())
            if decision.gone:
                self._forget_all()
            elif not decision.refused and not self._check_mode and decision.memory != Memory():
                write_memory(self._directory, decision.memory)
            if not self._act(decision):
                break
            # A next key is asked for once.
            wish = replace(wish, rollover=False)
        if decision.stage == "steady" and not decision.make_key:
            self._forget_old(seen.served)
        return Turn(decision, seen.served, self._changed, (*self._warnings, *decision.warnings))

    def _look(self, dns: InDns) -> Seen:
        chains, troubles = available(self._settings)
        self._warnings = tuple(troubles)
        served, trouble = None, ""
        try:
            served = served_key(self._address)
        except ChainError as error:
            trouble = str(error)
        keys = tuple(dict.fromkeys(chain.key for chain in chains))
        return Seen(dns, served, trouble, keys, makes_keys=self._settings.source == "acme")

    def _act(self, decision: Decision) -> bool:
        """Does what was decided; whether there may be more to do."""
        if not decision.make_key and decision.stage != "replacing":
            return False
        self._changed = True
        if self._check_mode:
            return False
        if decision.make_key:
            issue_next(self._settings)
        else:
            # Something else is served, whatever Postfix was told.
            unload(self._directory)
            # The first time Postfix is pointed at it only now.
            bring(self._settings, self._directory, check_mode=False)
        return True

    def _forget_old(self, served: t.Optional[str]) -> None:
        """Certificates of keys that are served no more are renewed no more."""
        if self._settings.source != "acme":
            return
        chains, _troubles = available(self._settings)
        in_use = {Path(chain.label).parent.name for chain in chains if chain.key == served}
        old = [lineage for lineage in lineages(self._settings.name) if lineage not in in_use]
        if in_use and old:
            self._changed = True
            if not self._check_mode:
                forget(old)

    def _forget_all(self) -> None:
        files = [self._directory / name for name in (MEMORY, KEPT)]
        there = [path for path in files if path.exists()]
        self._changed |= bool(there)
        if not self._check_mode:
            for path in there:
                path.unlink()
