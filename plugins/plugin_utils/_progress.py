# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows how far a module is that runs on the controller, from the file in which it tells that.

Private to this collection.
"""

from __future__ import annotations

import json
import threading
import time
import typing as t
from pathlib import Path

import ansible.utils.color
from ansible.utils.display import Display

# Seconds between two lines: on a terminal somebody waits, and a log is read later.
ON_A_TERMINAL: t.Final = 2.0
IN_A_LOG: t.Final = 30.0


class ProgressDisplay:
    """Shows a line now and then, as long as the context lasts. What ends sooner shows none."""

    def __init__(self, path: Path, interval: t.Optional[float] = None) -> None:
        self._path = path
        # Ansible decides before its workers begin whether it writes to a terminal; they have none themselves.
        self._interval = interval or (ON_A_TERMINAL if ansible.utils.color.ANSIBLE_COLOR else IN_A_LOG)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        # When something was first told of, and how much of it was done by then.
        self._began: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> ProgressDisplay:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def _show(self) -> None:
        began = time.monotonic()
        shown = ""
        while not self._done.wait(self._interval):
            line = self._line(began)
            if line not in ("", shown):
                Display().display(line)
                shown = line

    def _line(self, began: float) -> str:
        try:
            told = json.loads(self._path.read_text(encoding="ascii"))
            what, done, total, broken = told["what"], told["done"], told["total"], told["broken"]
        except (OSError, ValueError, KeyError):
            # It has told nothing yet.
            return ""
        # What domains share is looked at beside them, and told of when they are done.
        since, before = self._began.setdefault(what, (time.monotonic(), done) if self._began else (began, 0))
        rate = (done - before) / max(time.monotonic() - since, 0.1)
        return f"  {done:,} of {total:,} {what}, {rate:,.0f} a second, {broken:,} broken so far"
