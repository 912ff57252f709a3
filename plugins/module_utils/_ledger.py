# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ledger of a policy host: which policy it served from when to when, in SQLite.

Senders keep a policy for its whole max_age, so what was served decides what may be changed. A policy is recorded
before its file is written, and closed only when its file is gone: after any crash the ledger says too much, and
never too little. Times are whole seconds since 1970, UTC.

Standard library only, because it runs on policy hosts. Private to this collection.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import sqlite3
import typing as t
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ._ledger_file import PATIENCE, LedgerDamaged, LedgerError, connect, is_missing, named, remove_unfinished, set_aside
from ._policy import Policy, PolicyError, parse_policy, render_policy

Document = dict[str, t.Any]

# So many policies of others are remembered for each domain.
FOUND_LIMIT: t.Final = 8
# For how many seconds a policy is remembered after no sender can hold it any more.
REMEMBERED: t.Final = 400 * 86400

_INSERT: t.Final = (
    "INSERT INTO policies (domain, digest, mode, mx, max_age, since, until, after_unknown)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_POLICIES: t.Final = (
    "SELECT domain, digest, mode, mx, max_age, since, until, after_unknown FROM policies ORDER BY domain, since, rowid"
)
_CONDITIONS: t.Final = "SELECT domain, condition, since FROM conditions ORDER BY domain, condition"


def wrong_revision(path: t.Union[str, Path]) -> LedgerError:
    """What a plan meets that was made from another state of the ledger."""
    return LedgerError(f"{path}: another rollout has changed this policy host since this plan was made; run again")


@dataclass(frozen=True)
class _Found:
    """A policy of others that senders may get until a time that is known."""

    policy: Policy
    until: int
    # A policy host does not serve it, too, so that nothing is known of what was there before.
    after_unknown: bool


@dataclass(frozen=True)
class _Entry:
    """What a plan tells the ledger of one domain."""

    domain: str
    served: t.Optional[Policy]
    after_unknown: bool
    found: t.Optional[_Found]
    # None: they stay as they are.
    conditions: t.Optional[t.Mapping[str, int]]


class Ledger:
    """An open ledger. Those who write hold the lock on the policies' directory."""

    def __init__(self, path: t.Union[str, Path], timeout: float = PATIENCE, *, read_only: bool = False) -> None:
        """As L(connect), with all that it raises."""
        self._path = str(path)
        self._connection = connect(path, timeout, read_only=read_only)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: t.Optional[type[BaseException]],
        error: t.Optional[BaseException],
        traceback: t.Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @property
    def revision(self) -> int:
        """Grows with everything that changes in the ledger."""
        with named(self._path):
            return self._state()[0]

    def record(
        self,
        entries: t.Iterable[t.Mapping[str, t.Any]],
        files: t.Mapping[str, bytes],
        at: int,
        revision: t.Optional[int] = None,
    ) -> None:
        """Writes down what is about to be served, and what is served and was not written down.

        C(entries) are those of a plan, C(files) the bodies on disk by domain, C(revision) the one that the plan
        was made from.
        """
        told = [_entry(entry) for entry in entries]
        with self._change(at):
            if revision is not None and revision != self._state()[0]:
                raise wrong_revision(self._path)
            self._open_rows(told, files, at)
            self._keep_found(told, at)
            self._keep_conditions(told)
            self._connection.execute("DELETE FROM policies WHERE until + max_age < ?", (at - REMEMBERED,))

    def settle(self, files: t.Mapping[str, bytes], at: int) -> None:
        """Closes every policy that is no longer on disk; C(files) are the bodies on disk by domain."""
        digests = {domain: _digest(body) for domain, body in files.items()}
        with self._change(at):
            # A clock that goes back must not make a policy end before it was last known to be served.
            until = max(at, self._state()[1])
            rows = self._connection.execute("SELECT rowid, domain, digest FROM policies WHERE until IS NULL")
            gone = [(until, rowid) for rowid, domain, digest in rows if digests.get(domain) != digest]
            self._connection.executemany("UPDATE policies SET until = max(?, since) WHERE rowid = ?", gone)

    def describe(self) -> Document:
        """All that the ledger says, as the document has it."""
        with named(self._path), _snapshot(self._connection):
            revision, written = self._state()
            served: dict[str, list[Document]] = {}
            for domain, *row in self._connection.execute(_POLICIES):
                served.setdefault(domain, []).append(_described(row))
            conditions: dict[str, dict[str, str]] = {}
            for domain, condition, since in self._connection.execute(_CONDITIONS):
                conditions.setdefault(domain, {})[condition] = time_text(since)
        return {
            "revision": revision,
            "written": time_text(written) if written else None,
            "domains": {
                domain: {"served": served.get(domain, []), "conditions": conditions.get(domain, {})}
                for domain in sorted({*served, *conditions})
            },
        }

    def _state(self) -> tuple[int, int]:
        revision, written = self._connection.execute("SELECT revision, written FROM state").fetchone()
        return revision, written

    @contextlib.contextmanager
    def _change(self, at: int) -> t.Iterator[None]:
        """One transaction; a new revision, if anything changes."""
        with named(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            before = self._connection.total_changes
            yield
            changed = self._connection.total_changes > before
            self._connection.execute(
                "UPDATE state SET revision = revision + ?, written = max(written, ?)", (changed, at)
            )

    def _open_rows(self, told: t.Iterable[_Entry], files: t.Mapping[str, bytes], at: int) -> None:
        opened = set(self._connection.execute("SELECT domain, digest FROM policies WHERE until IS NULL"))
        known = {domain for (domain,) in self._connection.execute("SELECT DISTINCT domain FROM policies")}
        rows = []
        for domain, body in files.items():
            key = domain, _digest(body)
            policy = None if key in opened else _parsed(body)
            if policy is not None:
                opened.add(key)
                # Nobody wrote down when it came, and so not what was there before.
                rows.append(_row(*key, policy, at, None, after_unknown=True))
        for entry in told:
            if entry.served is None:
                continue
            key = entry.domain, _digest_of(entry.served)
            if key not in opened:
                opened.add(key)
                # This ledger may have been lost, and what it knew.
                lost = entry.after_unknown and entry.domain not in known
                rows.append(_row(*key, entry.served, at, None, after_unknown=lost))
        self._connection.executemany(_INSERT, rows)

    def _keep_found(self, told: t.Iterable[_Entry], at: int) -> None:
        known = {
            (domain, digest): (until, rowid)
            for domain, digest, until, rowid in self._connection.execute(
                "SELECT domain, digest, until, rowid FROM policies WHERE until >= ? ORDER BY until", (at,)
            )
        }
        longer, rows = [], []
        for entry in told:
            if entry.found is None:
                continue
            key, until = (entry.domain, _digest_of(entry.found.policy)), max(entry.found.until, at)
            if key not in known:
                rows.append(_row(*key, entry.found.policy, at, until, after_unknown=entry.found.after_unknown))
            elif known[key][0] < until:
                longer.append((until, known[key][1]))
        self._connection.executemany("UPDATE policies SET until = ? WHERE rowid = ?", longer)
        self._connection.executemany(_INSERT, rows)
        # Others may serve another one with every run. A later row says that what was before it is not known.
        self._connection.executemany(
            "DELETE FROM policies WHERE domain = :domain AND after_unknown AND until IS NOT NULL AND rowid NOT IN ("
            "SELECT rowid FROM policies WHERE domain = :domain AND after_unknown ORDER BY rowid DESC LIMIT :limit)",
            [{"domain": row[0], "limit": FOUND_LIMIT} for row in rows],
        )

    def _keep_conditions(self, told: t.Iterable[_Entry]) -> None:
        known: dict[str, dict[str, int]] = {}
        for domain, condition, since in self._connection.execute(_CONDITIONS):
            known.setdefault(domain, {})[condition] = since
        over, new = [], []
        told = [*told]
        if any(entry.conditions is not None for entry in told):
            # What a plan does not name is not looked at, so that nothing lasts.
            for domain in known.keys() - {entry.domain for entry in told}:
                over += [(domain, condition) for condition in known[domain]]
        for entry in told:
            if entry.conditions is None:
                continue
            before = known.get(entry.domain, {}).items()
            over += [(entry.domain, condition) for condition, _since in before - entry.conditions.items()]
            new += [(entry.domain, condition, since) for condition, since in entry.conditions.items() - before]
        self._connection.executemany("DELETE FROM conditions WHERE domain = ? AND condition = ?", over)
        self._connection.executemany("INSERT INTO conditions (domain, condition, since) VALUES (?, ?, ?)", new)


def read_ledger(path: t.Union[str, Path], timeout: float = PATIENCE) -> Document:
    """What the ledger at a path says, or why it says nothing. Changes nothing, and raises nothing for what it finds.

    A ledger that is missing, or damaged and thus to be set aside, begins with revision 0.
    """
    found: Document = {"state": "missing", "trouble": "", "revision": 0, "written": None, "domains": {}}
    try:
        if not is_missing(path):
            with Ledger(path, timeout, read_only=True) as ledger:
                found.update(ledger.describe(), state="ok")
    except LedgerDamaged as error:
        found.update(state="damaged", trouble=str(error))
    except LedgerError as error:
        found.update(state="unreadable", trouble=str(error), revision=None)
    return found


def open_ledger(path: t.Union[str, Path]) -> tuple[Ledger, str]:
    """The ledger at a path for one who writes, and a note if a damaged one had to be set aside for it."""
    place = Path(path)
    with named(str(path)):
        remove_unfinished(place)
        try:
            return Ledger(path), ""
        except LedgerDamaged as damage:
            aside = set_aside(place)
            return Ledger(path), f"the ledger was damaged, is kept as {aside}, and begins anew: {damage}"


def time_text(seconds: int) -> str:
    """A time as documents have it."""
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).isoformat(timespec="seconds")


def time_seconds(text: str) -> int:
    """A time from a document. Raises ValueError."""
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} is a time of no time zone")
    return int(time.timestamp())


@contextlib.contextmanager
def _snapshot(connection: sqlite3.Connection) -> t.Iterator[None]:
    """Everything read is of one moment, also within a transaction."""
    connection.execute("SAVEPOINT snapshot")
    try:
        yield
    finally:
        connection.execute("RELEASE snapshot")


def _entry(entry: t.Mapping[str, t.Any]) -> _Entry:
    try:
        found, conditions = entry.get("found"), entry.get("conditions")
        return _Entry(
            entry["domain"],
            _policy(entry) if entry["serve"] else None,
            bool(entry.get("after_unknown")),
            None if found is None else _Found(_policy(found), time_seconds(found["until"]), found["after_unknown"]),
            None if conditions is None else {name: time_seconds(since) for name, since in conditions.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LedgerError(f"what the plan says of {entry.get('domain')} is damaged: {error!r}") from error


def _policy(values: t.Mapping[str, t.Any]) -> Policy:
    return Policy(values["mode"], tuple(values["mx"]), values["max_age"])


def _parsed(body: bytes) -> t.Optional[Policy]:
    """The policy in a file; none that senders cannot read either."""
    try:
        return parse_policy(body)
    except PolicyError:
        return None


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _digest_of(policy: Policy) -> str:
    try:
        return _digest(render_policy(policy))
    except PolicyError:
        # Others may serve one that is too large for us: it needs no more than a name of its own.
        return _digest(repr(policy).encode())


def _row(
    domain: str, digest: str, policy: Policy, since: int, until: t.Optional[int], *, after_unknown: bool
) -> tuple[t.Any, ...]:
    return domain, digest, policy.mode, " ".join(policy.mx), policy.max_age, since, until, after_unknown


def _described(row: t.Sequence[t.Any]) -> Document:
    digest, mode, mx, max_age, since, until, after_unknown = row
    return {
        "id": digest[:32],
        "mode": mode,
        "mx": mx.split(),
        "max_age": max_age,
        "since": time_text(since),
        "until": None if until is None else time_text(until),
        "after_unknown": bool(after_unknown),
    }
