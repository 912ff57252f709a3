# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many things done at a time, and not too many: in one event loop, and with very many in several processes.

Most of what a probe costs is TLS and Python on one core, so two cores do twice as much. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import threading
import time
import typing as t

Item = t.TypeVar("Item")
Result = t.TypeVar("Result")

# A process begins in a tenth of a second, in which a hundred things are done.
WORTH_A_PROCESS: t.Final = 200
# A process tells the other so many seconds after the last time how far it is: for each thing it would cost too much.
TELL_SECONDS: t.Final = 0.1

# Called with each thing that is done: whether it was broken, and what was come upon that is to be looked at, too.
Told = t.Callable[[bool, t.Sequence[t.Any]], None]
ComeUpon = t.Callable[[t.Sequence[t.Any]], None]


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


def keep_quiet(_progress: Progress) -> None:
    """For who does not want to know how far it is."""


def pass_over(_found: t.Sequence[t.Any]) -> None:
    """For work that comes upon nothing."""


async def for_each(
    items: t.Sequence[Item], work: t.Callable[[Item], t.Awaitable[Result]], concurrency: int
) -> list[Result]:
    """The results in the order of the items, with at most C(concurrency) of them under way."""
    results: dict[int, Result] = {}
    pending = iter(enumerate(items))

    async def worker() -> None:
        for number, item in pending:
            results[number] = await work(item)

    await asyncio.gather(*(worker() for _worker in range(min(concurrency, len(items)))))
    return [results[number] for number in range(len(items))]


def share_out(
    what: str,
    items: t.Sequence[Item],
    work: t.Callable[[t.Sequence[Item], Told], t.Sequence[Result]],
    processes: int,
    tell: Tell,
    *,
    come_upon: ComeUpon = pass_over,
) -> list[Result]:
    """The results in the order of the items. Where there are very many of them, each process has its share.

    The results have to be such that another process can send them. C(come_upon) hears here of what the C(work) came
    upon, not before all processes have begun.
    """
    counter = _Counter(what, len(items), tell, come_upon)
    shares = max(1, min(processes, len(items) // WORTH_A_PROCESS))
    if shares == 1:
        return list(work(items, counter))
    # Nothing else runs here that a copy of this process could disturb.
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    with concurrent.futures.ProcessPoolExecutor(shares, context, _inherit, (queue, work, items)) as pool:
        parts = [pool.submit(_work_on_share, number, shares) for number in range(shares)]
        listener = threading.Thread(target=_listen, args=(queue, counter))
        listener.start()
        try:
            found = [part.result() for part in parts]
        finally:
            queue.put(None)
            listener.join()
    results: list[t.Optional[Result]] = [None] * len(items)
    for number, part in enumerate(found):
        results[number::shares] = part
    return t.cast("list[Result]", results)


class _Counter:
    """Counts what is done, and tells it."""

    def __init__(self, what: str, total: int, tell: Tell, come_upon: ComeUpon) -> None:
        self._progress = Progress(what, 0, total, 0)
        self._tell = tell
        self._come_upon = come_upon

    def __call__(self, broken: bool, found: t.Sequence[t.Any] = ()) -> None:
        self.add(1, broken, found)

    def add(self, done: int, broken: int, found: t.Sequence[t.Any]) -> None:
        """So many more are done, and so many of these broken."""
        before = self._progress
        self._progress = before._replace(done=before.done + done, broken=before.broken + broken)
        self._tell(self._progress)
        self._come_upon(found)


class _Messenger:
    """Tells it to the process that has all shares, a few times a second."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._done = self._broken = 0
        self._found: list[t.Any] = []
        self._next = time.monotonic() + TELL_SECONDS

    def __call__(self, broken: bool, found: t.Sequence[t.Any] = ()) -> None:
        self._done += 1
        self._broken += broken
        self._found += found
        if time.monotonic() >= self._next:
            self.tell()

    def tell(self) -> None:
        """Tells what was not told yet."""
        if self._done:
            _queue.put((self._done, self._broken, self._found))
        self._begin()


# In a process that has a share: the way to the one that has them all, what is to be done, and with what.
_queue: t.Any = None
_work: t.Callable[[t.Sequence[t.Any], Told], t.Sequence[t.Any]]
_items: t.Sequence[t.Any]


def _inherit(
    queue: t.Any, work: t.Callable[[t.Sequence[t.Any], Told], t.Sequence[t.Any]], items: t.Sequence[t.Any]
) -> None:
    # So nothing of it has to be sent: a process that forks has it all.
    global _queue, _work, _items
    _queue, _work, _items = queue, work, items


def _work_on_share(number: int, shares: int) -> list[t.Any]:
    messenger = _Messenger()
    try:
        return list(_work(_items[number::shares], messenger))
    finally:
        messenger.tell()


def _listen(queue: t.Any, counter: _Counter) -> None:
    while (news := queue.get()) is not None:
        counter.add(*news)
