# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where zone files and fragments lie, and how they are read and replaced.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from .._webroot import TEMPORARY_PREFIX, sync_directory

ZONE: t.Final = "{zone}"
# Of one zone file, and of all that it includes.
MAX_BYTES: t.Final = 64 * 1024 * 1024

# Names that are safe in a path; the name of a zone comes from a document.
_ZONE_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
# What a zone file can include without quotation marks, which not every server knows.
_PATH = re.compile(r"/[!#-'*-:<-\[\]-~]+")


class PlaceError(Exception):
    """A file that cannot be read or written; the text names it."""


@dataclass(frozen=True)
class Places:
    """Where the files of each zone lie: paths with C({zone})."""

    zone_file: str
    fragment: str

    @classmethod
    def given(cls, zone_file: str, fragment: t.Optional[str]) -> Places:
        """Raises ValueError for paths that cannot be used."""
        if fragment is None:
            fragment = str(Path(zone_file).parent / f"{ZONE}.mta-sts")
        for option, path in (("zone_file", zone_file), ("fragment", fragment)):
            if not path.startswith("/") or ZONE not in path:
                raise ValueError(f"{option} must be an absolute path with {ZONE} in it, not {path!r}")
        if not _PATH.fullmatch(fragment):
            raise ValueError(f"fragment {fragment!r} must be in ASCII, without blanks, quotation marks and parentheses")
        if fragment == zone_file:
            raise ValueError("fragment must be another file than zone_file")
        return cls(zone_file, fragment)

    @property
    def directory(self) -> Path:
        """The directory that has all zone files, in itself or further down."""
        return Path(self.zone_file.partition(ZONE)[0] + "x").parent

    def has(self, zone: str) -> bool:
        return bool(_ZONE_NAME.fullmatch(zone)) and Path(self.zone_file.replace(ZONE, zone)).is_file()

    def zone_file_of(self, zone: str) -> str:
        """Where the file really lies, behind symbolic links."""
        return os.path.realpath(self.zone_file.replace(ZONE, zone))

    def fragment_of(self, zone: str) -> str:
        return self.fragment.replace(ZONE, zone)


def read_file(path: str, limit: int = MAX_BYTES) -> bytes:
    """The content of a file. Raises PlaceError."""
    try:
        # A pipe would keep its reader waiting.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PlaceError(f"{path} is no file")
            content = file.read(limit + 1)
    except OSError as error:
        raise PlaceError(f"{path}: {error.strerror}") from None
    if len(content) > limit:
        raise PlaceError(f"{path} is too large: a zone may have {MAX_BYTES >> 20} MiB here, with what it includes")
    return content


def read_if_there(path: str) -> t.Optional[bytes]:
    """The content of a file, or nothing if there is none. Raises PlaceError."""
    return read_file(path) if os.path.lexists(path) else None


@contextlib.contextmanager
def temporary(directory: Path, content: bytes, like: str) -> t.Iterator[str]:
    """A new file that may take the place of another, with the owner, mode, label and access list of one like it.

    It is removed unless it was moved away. Raises PlaceError.
    """
    try:
        descriptor, path = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                _make_like(file.fileno(), like)
            yield path
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    except OSError as error:
        raise PlaceError(f"{directory}: {error.strerror}") from None


def _make_like(descriptor: int, like: str) -> None:
    there = Path(like).stat()
    os.fchown(descriptor, there.st_uid, there.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
    for name in os.listxattr(like):
        # Not every attribute may be set by everybody, or on every file system.
        with contextlib.suppress(OSError):
            os.setxattr(descriptor, name, os.getxattr(like, name))


def replace_file(temporary_path: str, path: str) -> None:
    """Puts a temporary file in its place, atomically. Raises OSError."""
    # A crash after the rename must not leave an empty file under the final name.
    with open(temporary_path, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary_path, path)
    sync_directory(Path(path).parent)


def remove_file(path: str) -> None:
    """Raises OSError."""
    os.unlink(path)
    sync_directory(Path(path).parent)
