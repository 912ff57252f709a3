# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The file of a ledger: its tables, and how it is begun, opened and set aside.

Nobody ever sees half of a ledger, and one that is damaged is kept beside its successor.

Standard library only, because it runs on policy hosts. Private to this collection.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import os
import sqlite3
import tempfile
import typing as t
from pathlib import Path

from ._policy import MAX_MAX_AGE
from ._webroot import TEMPORARY_PREFIX, remove_leftovers, sync_directory

# In place of a path: a ledger that lasts as long as it is open.
MEMORY: t.Final = ":memory:"
# How long somebody else may be writing, in seconds.
PATIENCE: t.Final = 30.0

# The last second that can be written as a time.
_END: t.Final = int(dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.timezone.utc).timestamp())
# What SQLite may put beside a ledger, and what it makes no sense without.
_BESIDE: t.Final = ("-journal", "-wal", "-shm")

# SQLite keeps a value of any type in any column, but what a CHECK refuses, quick_check finds.
_IS_NAME: t.Final = "typeof(domain) = 'text' AND domain NOT GLOB '*[^a-z0-9.-]*'"

# Each brings the schema from the version of its index to the next. One that was released is never changed.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"""
        CREATE TABLE policies (
            domain TEXT NOT NULL CHECK ({_IS_NAME}),
            -- The SHA-256 of the policy's bytes, in hex.
            digest TEXT NOT NULL CHECK (
                typeof(digest) = 'text' AND length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'
            ),
            mode TEXT NOT NULL CHECK (mode IN ('none', 'testing', 'enforce')),
            -- The patterns, with blanks between them.
            mx TEXT NOT NULL CHECK (typeof(mx) = 'text' AND mx NOT GLOB '*[^a-z0-9.* -]*'),
            max_age INTEGER NOT NULL CHECK (max_age BETWEEN 0 AND {MAX_MAX_AGE}),
            since INTEGER NOT NULL CHECK (since BETWEEN 0 AND {_END}),
            -- Null: it is served still.
            until INTEGER CHECK (until BETWEEN since AND {_END}),
            -- What was served before it is not known.
            after_unknown INTEGER NOT NULL CHECK (after_unknown IN (0, 1))
        )
        """,
        f"""
        CREATE TABLE conditions (
            domain TEXT NOT NULL CHECK ({_IS_NAME}),
            condition TEXT NOT NULL CHECK (typeof(condition) = 'text' AND condition NOT GLOB '*[^ -~]*'),
            since INTEGER NOT NULL CHECK (since BETWEEN 0 AND {_END}),
            PRIMARY KEY (domain, condition)
        )
        """,
        f"""
        CREATE TABLE state (
            -- Of what is in the other tables.
            revision INTEGER NOT NULL CHECK (revision >= 0),
            -- The latest time that was seen here.
            written INTEGER NOT NULL CHECK (written BETWEEN 0 AND {_END})
        )
        """,
        "INSERT INTO state VALUES (0, 0)",
    ),
)


class LedgerError(Exception):
    """A ledger that cannot be used; the text names its path."""


class LedgerDamaged(LedgerError):
    """A ledger that can never be used again."""


# What SQLite says of a file that is no database, or a broken one, has no class of its own; all else has.
_ERRORS: t.Final[dict[type[Exception], type[LedgerError]]] = {sqlite3.DatabaseError: LedgerDamaged}


def connect(path: t.Union[str, Path], timeout: float = PATIENCE, *, read_only: bool = False) -> sqlite3.Connection:
    """Opens a ledger, or begins one. For C(read_only) it has to exist, and nothing in it changes.

    Raises L(LedgerError), and L(LedgerDamaged) for a file that is no sound ledger.
    """
    if str(path) == MEMORY:
        connection = _connected(MEMORY, timeout)
        _migrate(connection)
        return connection
    with named(path):
        if not read_only and is_missing(path):
            _create(Path(path))
        # What is not there is not made: a ledger is never empty.
        connection = _connected(f"{Path(path).absolute().as_uri()}?mode=rw", timeout)
        try:
            _check(connection, path, read_only=read_only)
        except BaseException:
            connection.close()
            raise
        return connection


def is_missing(path: t.Union[str, Path]) -> bool:
    """Whether there is no ledger yet. A journal without its ledger would spoil the next one: L(LedgerDamaged)."""
    with named(path):
        # Asked first: one whose ledger is being written cannot seem to be left over.
        left = [suffix for suffix in _BESIDE if _exists(f"{path}{suffix}")]
        missing = not _exists(str(path))
    if missing and left:
        raise LedgerDamaged(f"{path}: it is gone, and left {Path(path).name}{left[0]} behind")
    return missing


def set_aside(path: Path) -> Path:
    """Moves a damaged ledger, with all that belongs to it, to a name that tells when; that name."""
    stamp = dt.datetime.now(dt.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    names = itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2)))
    targets = (path.with_name(f"{path.name}.damaged-{name}") for name in names)
    aside = next(target for target in targets if not any(_exists(f"{target}{end}") for end in ("", *_BESIDE)))
    # The ledger last: its successor must not meet a journal that is not its own.
    for suffix in (*_BESIDE, ""):
        if _exists(f"{path}{suffix}"):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")
    return aside


def remove_unfinished(path: Path) -> None:
    """Removes what a run left that died while it began this ledger."""
    remove_leftovers(path.parent, _temporary_prefix(path))


@contextlib.contextmanager
def named(path: t.Union[str, Path]) -> t.Iterator[None]:
    """Whatever stands in the way becomes an error with the path in it."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        kind = _ERRORS.get(type(error), LedgerError)
        raise kind(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _check(connection: sqlite3.Connection, path: t.Union[str, Path], *, read_only: bool) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"{path}: its version is {version}, and this collection knows only up to {len(MIGRATIONS)}: use a newer one"
        )
    if version < 1:
        raise LedgerDamaged(f"{path}: is empty, or no ledger")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise LedgerDamaged(f"{path}: {' '.join(verdict.split())}")
    if version < len(MIGRATIONS):
        _migrate(connection, commit=not read_only)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    missing = {"policies", "conditions", "state"} - tables
    if missing:
        raise LedgerDamaged(f"{path}: it has no table {', '.join(sorted(missing))}")
    if connection.execute("SELECT count(*) FROM state").fetchone() != (1,):
        raise LedgerDamaged(f"{path}: its table state has not exactly one row")


def _connected(database: str, timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(database, timeout=timeout, isolation_level=None, uri=database != MEMORY)
    try:
        # What was recorded must survive a power cut, before a file that depends on it is written.
        connection.execute("PRAGMA synchronous = EXTRA")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, *, commit: bool = True) -> None:
    connection.execute("BEGIN IMMEDIATE")
    # Read again: somebody else may have been faster.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
    if commit:
        connection.execute("COMMIT")


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _temporary_prefix(path: Path) -> str:
    # There may be other ledgers beside it, which others are beginning.
    return f"{TEMPORARY_PREFIX}{path.name}-"


def _create(path: Path) -> None:
    """Begins a ledger, so that nobody ever sees half of one, and none that is there is replaced."""
    descriptor, temporary = tempfile.mkstemp(prefix=_temporary_prefix(path), dir=path.parent)
    try:
        os.fchmod(descriptor, 0o644)
        os.close(descriptor)
        with contextlib.closing(_connected(f"{Path(temporary).as_uri()}?mode=rw", PATIENCE)) as connection:
            _migrate(connection)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
    sync_directory(path.parent)
