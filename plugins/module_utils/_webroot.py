# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Atomic publication of many small files in one directory, by one process at a time.

Whoever reads a file, at any moment and after any crash, sees the old content or the new, whole. Standard
library only, because it runs on policy hosts. Private to this collection.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import fcntl
import glob
import os
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

# Unfinished files of a run that died; they are never served, as no name of a policy host begins so.
TEMPORARY_PREFIX = ".unfinished-"

# So many files are written at a time, and of fewer files than these one after the other.
AT_A_TIME = 16
FEW = 100

# For how long another run may be at work in a directory, in seconds.
PATIENCE = 60.0

Item = t.TypeVar("Item")
Result = t.TypeVar("Result")


@dataclass(frozen=True)
class Change:
    """One file that changes; C(before) is none where there is no file yet, C(after) where it goes."""

    name: str
    before: t.Optional[bytes]
    after: t.Optional[bytes]


@contextlib.contextmanager
def locked(directory: Path, patience: float = PATIENCE) -> t.Iterator[None]:
    """Keeps every other process out that asks for the directory in this way, and waits for one that was first."""
    _require(directory)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        deadline = time.monotonic() + patience
        while not _has_locked(descriptor):
            if time.monotonic() > deadline:
                text = f"another run is at work here, and was not done within {patience:g} seconds"
                raise TimeoutError(errno.ETIMEDOUT, text, str(directory))
            time.sleep(0.05)
        yield
    finally:
        # Unlocks it; the kernel does so too for a process that died.
        os.close(descriptor)


def _has_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_files(directory: Path, suffix: str, limit: int = 65536) -> dict[str, bytes]:
    """The content of every file with the suffix, by name, at most C(limit) bytes of each."""
    if not directory.is_dir():
        return {}
    contents = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(suffix) and not entry.name.startswith(".") and entry.is_file():
                with open(entry.path, "rb") as file:
                    contents[entry.name] = file.read(limit)
    return dict(sorted(contents.items()))


def changes(
    present: t.Mapping[str, bytes], wanted: t.Mapping[str, bytes], unwanted: t.Iterable[str] = ()
) -> list[Change]:
    """What has to be done for the wanted files to be there and the unwanted ones not; all others stay."""
    pending = [Change(name, present.get(name), after) for name, after in wanted.items() if present.get(name) != after]
    pending += [Change(name, present[name], None) for name in unwanted if name in present]
    return sorted(pending, key=lambda change: change.name)


def write_files(directory: Path, pending: t.Iterable[Change], mode: int = 0o644) -> None:
    """Writes the files that change, each one atomically. Raises OSError; files that were written stay written."""
    new = [(change.name, change.after) for change in pending if change.after is not None]
    if not new:
        return
    remove_leftovers(directory)
    for _written in each_by_itself(lambda file: write_file(directory / file[0], file[1], mode), new):
        pass
    sync_directory(directory)


def each_by_itself(work: t.Callable[[Item], Result], items: t.Sequence[Item]) -> t.Iterator[Result]:
    """The results in the order of the items. Of many some are worked on at a time: a disk does many waits in one.

    Raises what the work raises; what had begun by then comes to its end, and no other begins.
    """
    if len(items) < FEW:
        yield from map(work, items)
        return
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        yield from pool.map(work, items)


def remove_files(directory: Path, pending: t.Iterable[Change]) -> None:
    """Removes the files that go. Raises OSError; files that were removed stay removed."""
    old = [change.name for change in pending if change.after is None]
    for name in old:
        (directory / name).unlink(missing_ok=True)
    if old:
        sync_directory(directory)


def remove_leftovers(directory: Path, prefix: str = TEMPORARY_PREFIX) -> None:
    """Removes what a run that died did not finish. Raises NotADirectoryError when there is no such directory."""
    _require(directory)
    for leftover in directory.glob(f"{glob.escape(prefix)}*"):
        leftover.unlink(missing_ok=True)


def _require(directory: Path) -> None:
    if not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "there is no such directory", str(directory))


def write_file(path: Path, content: bytes, mode: int, group: t.Optional[int] = None) -> None:
    """Replaces one file atomically; it is never readable by more than C(mode) and C(group) allow."""
    write_pieces(path, [content], mode, group)


def write_pieces(path: Path, pieces: t.Iterable[bytes], mode: int, group: t.Optional[int] = None) -> None:
    """Replaces one file in the same way, with content that comes piece by piece."""
    descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            if group is not None:
                os.fchown(file.fileno(), -1, group)
            os.fchmod(file.fileno(), mode)
            file.flush()
            # A crash after the rename must not leave an empty file under the final name.
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def sync_directory(directory: Path) -> None:
    """Makes what was created, renamed or removed in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
