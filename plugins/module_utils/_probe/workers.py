# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many things done at a time, and not too many, with word of how far it is.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import typing as t

Item = t.TypeVar("Item", bound=t.Hashable)
Result = t.TypeVar("Result")


class Progress(t.NamedTuple):
    """How far a run is: what is looked at, how many of them are done, and how many of those are broken."""

    what: str
    done: int
    total: int
    broken: int


Tell = t.Callable[[Progress], None]


class ProgressFile:
    """Writes how far a run is to a file, at most once a second. That it cannot be written stops nothing."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next and progress.done < progress.total:
            return
        self._next = now + 1
        with contextlib.suppress(OSError):
            # Whoever reads it never sees half of it.
            with open(f"{self._path}.new", "w", encoding="ascii") as file:
                json.dump(progress._asdict(), file)
            os.replace(f"{self._path}.new", self._path)


def keep_quiet(_result: object) -> None:
    """For what nobody waits to hear of."""


async def for_each(
    items: t.Iterable[Item],
    work: t.Callable[[Item], t.Awaitable[Result]],
    concurrency: int,
    told: t.Callable[[Result], None] = keep_quiet,
) -> dict[Item, Result]:
    """The results in the order of the items, with at most C(concurrency) of them under way.

    C(told) is called with each result as it comes.
    """
    queue = list(items)
    results: dict[Item, Result] = {}
    pending = iter(queue)

    async def worker() -> None:
        for item in pending:
            results[item] = await work(item)
            told(results[item])

    await asyncio.gather(*(worker() for _worker in range(min(concurrency, len(queue)))))
    return {item: results[item] for item in queue}
