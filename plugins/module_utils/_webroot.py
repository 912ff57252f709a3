# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Atomic publication of many small files in one directory.

Whoever reads a file, at any moment and after any crash, sees the old content or the new, whole. Standard
library only, because it runs on policy hosts. Private to this collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

# Unfinished files of a run that died; they are never served, as no name of a policy host begins so.
TEMPORARY_PREFIX = ".unfinished-"


@dataclass(frozen=True)
class Change:
    """One file whose content changes; C(before) is none where there is no file yet."""

    name: str
    before: t.Optional[bytes]
    after: bytes


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


def changes(directory: Path, suffix: str, wanted: t.Mapping[str, bytes]) -> list[Change]:
    """What has to be written for the directory to hold the wanted files, and nothing to be removed."""
    present = read_files(directory, suffix)
    return [
        Change(name, present.get(name), content)
        for name, content in sorted(wanted.items())
        if present.get(name) != content
    ]


def write_files(directory: Path, pending: t.Sequence[Change], mode: int = 0o644) -> None:
    """Writes the changed files, each one atomically. Raises OSError; files that were written stay written."""
    if not pending:
        return
    remove_leftovers(directory)
    for change in pending:
        write_file(directory / change.name, change.after, mode)
    _sync_directory(directory)


def remove_leftovers(directory: Path) -> None:
    """Removes what a run that died did not finish. Raises NotADirectoryError when there is no such directory."""
    if not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "there is no such directory", str(directory))
    for leftover in directory.glob(f"{TEMPORARY_PREFIX}*"):
        leftover.unlink(missing_ok=True)


def write_file(path: Path, content: bytes, mode: int, group: t.Optional[int] = None) -> None:
    """Replaces one file atomically; it is never readable by more than C(mode) and C(group) allow."""
    descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
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


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
