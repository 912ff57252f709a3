# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried: a parser, with what it is given and what may come of it."""

from __future__ import annotations

import contextlib
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

NUMBERS = (b"0", b"-1", b"1_000", b"31557601", b"99999999999999999999", "\u0661".encode())
ENDS = (b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b"\x0b", b"\xff", "\u2028".encode())
JSON_PIECES = (b"{", b"}", b"[", b"null", b"true", b'"', b"1e999", b"NaN", b"\\ud800", *NUMBERS, *ENDS)

T = t.TypeVar("T")


@dataclass(frozen=True)
class Parser:
    """One that is tried, with good input for it, pieces that matter to it, and all that it may raise."""

    check: t.Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    pieces: tuple[bytes, ...]
    errors: tuple[type[Exception], ...] = ()


@contextlib.contextmanager
def written(data: bytes, name: str) -> t.Iterator[Path]:
    """A file with this, alone in a directory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        path = Path(directory, name)
        path.write_bytes(data)
        yield path


class Sent:
    """What the other side of a connection sends before it closes it, in parts."""

    def __init__(self, data: bytes) -> None:
        self._parts = [data[at : at + 1000] for at in range(0, len(data), 1000)]

    async def read(self, _limit: int = 0) -> bytes:
        return self._parts.pop(0) if self._parts else b""


def at_once(work: t.Coroutine[t.Any, t.Any, T]) -> T:
    """The result of what never has to wait."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits for something")
