# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which names an ACME server refused a certificate at the last attempt, when, and why: a file beside the PEM files.

A name that fails must not keep others from their turn, where only so many are asked for in one run. The file can be
lost without harm. Standard library only, because it runs on policy hosts. Private to this collection.
"""

from __future__ import annotations

import datetime as dt
import json
import typing as t
from pathlib import Path

from ._webroot import write_file

FILE_NAME = "refused.json"


class Attempts:
    """The last attempts that failed, by name."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._failed = _read(self._path)

    def in_turn(self, names: t.Iterable[str]) -> list[str]:
        """The names in the order in which they are asked for: those that never failed, then who waited longest."""
        return sorted(names, key=lambda name: self._failed.get(name, {}).get("at", ""))

    def failed(self, name: str, reason: str) -> None:
        """Remembers an attempt that failed just now."""
        self._failed[name] = {"at": dt.datetime.now(dt.timezone.utc).isoformat(), "error": reason}
        write_file(self._path, json.dumps(self._failed, indent=1).encode(), 0o600)

    def forget(self, names: t.Iterable[str]) -> None:
        """Forgets what there was of names that have a certificate, or need none any more."""
        known = self._failed.keys() & set(names)
        if not known:
            return
        for name in known:
            del self._failed[name]
        if self._failed:
            write_file(self._path, json.dumps(self._failed, indent=1).encode(), 0o600)
        else:
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, dict[str, str]]:
    """What is in the file; nothing if it is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: {"at": entry["at"], "error": str(entry.get("error"))}
        for name, entry in found.items()
        if isinstance(entry, dict) and isinstance(entry.get("at"), str)
    }
