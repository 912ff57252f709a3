# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Record sets that somebody else puts into DNS: written for them, and looked for on the authoritative servers.

The directory is meant to be kept, as under version control: what it says of sets that a call does not name stays.
Private to this collection.
"""

from __future__ import annotations

import asyncio
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from .._document import DocumentError, read_document, write_text
from .._record_sets.answers import for_each, read
from .._record_sets.authorities import LOOK_SECONDS, Authorities, NoAnswerError, unlike
from .._record_sets.record_set import InputError, RecordSet, ServerError, SetError, contents, parse_record_sets
from .._record_sets.server import CONNECTIONS, PIPELINED
from .._webroot import locked
from .texts import IN_PLACE, SCHEMA, TO_ADD, TO_CHANGE, TO_REMOVE, Wanted, render

STATE: t.Final = "records.json"
TABLE: t.Final = "records.md"
STATES: t.Final = (IN_PLACE, TO_ADD, TO_CHANGE, TO_REMOVE)


@dataclass
class Reconciler:
    authorities: Authorities
    record_sets: list[RecordSet]
    deadline: float
    advice: str
    must_arrive: bool
    check_mode: bool

    async def run(self) -> None:
        await for_each(self.record_sets, CONNECTIONS * PIPELINED, self._look)

    async def _look(self, one: RecordSet) -> None:
        try:
            one.zone = one.zone or await self.authorities.zone_of(one.name)
            if not one.settle_if_seen():
                await self._compare(one)
        except SetError as exc:
            one.fail(str(exc))

    async def _compare(self, one: RecordSet) -> None:
        servers = await self.authorities.of(one.name)
        # The first one that answers says what is there.
        one.before = (await self._reading(one, servers)).rdataset
        while True:
            trouble = await unlike(one, servers, exact=False)
            left = self.deadline - time.monotonic()
            if not trouble or left <= 0:
                break
            await asyncio.sleep(min(LOOK_SECONDS, left))
        if not trouble:
            one.status = "ok"
            return
        if one.expected is not None and contents(one.before) != one.expected:
            one.fail(f"{one.name} changed since the plan was made, run again: {trouble}")
        elif not self.must_arrive:
            one.status, one.error = "awaited", f"not in DNS yet: {trouble}{self.advice}"
        elif self.check_mode:
            one.status = "changed"
        else:
            one.fail(f"it was to be brought into DNS, but {trouble}")

    @staticmethod
    async def _reading(one: RecordSet, servers: t.Sequence[t.Any]) -> t.Any:
        trouble = "no name server is known"
        for server in servers:
            try:
                return await read(server, one.name, one.rdtype)
            except (ServerError, SetError) as exc:
                trouble = str(exc)
        raise NoAnswerError(trouble)


class Directory:
    """What others are to apply, as it was written the last time and as it is to be now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wanted = {(one.record_set.name, one.record_set.rdtype): one for one in self._read()}
        self._before = render(self.wanted.values())
        # The files that are not as they shall be, each with its text, or none for one that goes.
        self.changes: dict[str, str | None] = {}

    def _read(self) -> t.Iterator[Wanted]:
        """Raises InputError for what cannot be understood: it may be all that tells which records there are."""
        file = self.path / STATE
        if not file.exists():
            return
        try:
            document = read_document(str(file))
            entries = document["record_sets"]
            if document["schema"] != SCHEMA or not {entry["state"] for entry in entries} <= set(STATES):
                raise ValueError("it is none of ours")
            known = [{key: value for key, value in entry.items() if key != "state"} for entry in entries]
            for one, entry in zip(parse_record_sets(known), entries):
                yield Wanted(one, _zone(one), entry["state"])
        except (DocumentError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise InputError(
                f"{file} is damaged: {exc}; bring back an earlier one, or delete it to begin anew"
            ) from exc

    def others(self, record_sets: t.Iterable[RecordSet]) -> list[RecordSet]:
        """The sets of earlier calls that are not among these, to be looked for as well."""
        named = {(one.name, one.rdtype) for one in record_sets}
        known = [one.record_set for key, one in self.wanted.items() if key not in named]
        return [RecordSet(one.name, one.rdtype, one.wanted, one.item, one.zone) for one in known]

    def take(self, record_sets: t.Iterable[RecordSet]) -> None:
        """What was found out about these sets; what failed stays as it was."""
        for one in record_sets:
            key = (one.name, one.rdtype)
            if one.wanted is None and one.status == "ok":
                self.wanted.pop(key, None)
            elif one.status != "failed":
                self.wanted[key] = Wanted(one, _zone(one), _state(one))

        after = render(self.wanted.values())
        changed: dict[str, str | None] = {path: text for path, text in after.items() if text != self._on_disk(path)}
        self.changes = {**changed, **dict.fromkeys(self._before.keys() - after.keys())}

    def write(self) -> None:
        """Raises DocumentError. What tells the rest comes last: a run that died is done anew."""
        for path, text in sorted(self.changes.items(), key=lambda change: change[0] == STATE):
            if text is None:
                (self.path / path).unlink(missing_ok=True)
            else:
                write_text(str(self.path / path), text)

    def _on_disk(self, path: str) -> str | None:
        try:
            return (self.path / path).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None


def _zone(one: RecordSet) -> t.Any:
    if one.zone is None:
        raise ValueError(f"{one.label} has no zone")
    return one.zone


def _state(one: RecordSet) -> str:
    if one.status == "ok":
        return IN_PLACE
    if one.wanted is None:
        return TO_REMOVE
    return TO_ADD if one.before is None else TO_CHANGE


async def reconcile(params: t.Mapping[str, t.Any], record_sets: list[RecordSet], check_mode: bool) -> None:
    """Looks for the sets in DNS, and writes what is to be applied."""
    path = Path(params["directory"]) if params["directory"] else None
    authorities = Authorities(params["authorities"], params["resolvers"], params["timeout"])
    deadline = time.monotonic() + (0 if check_mode else params["wait"])
    advice = f"; apply {path / TABLE}" if path else ""

    async def look(sets: list[RecordSet]) -> None:
        await Reconciler(authorities, sets, deadline, advice, params["must_arrive"], check_mode).run()

    async def look_and_take(path: Path) -> Directory:
        directory = Directory(path)
        others = directory.others(record_sets)
        await look(record_sets + others)
        directory.take(record_sets + others)
        return directory

    try:
        if path is None:
            await look(record_sets)
            return
        if check_mode:
            directory = await look_and_take(path)
        else:
            path.mkdir(parents=True, exist_ok=True)
            with locked(path):
                directory = await look_and_take(path)
                directory.write()
        for one in record_sets:
            one.applied = bool(directory.changes)
    except (OSError, DocumentError) as exc:
        raise ServerError(f"what is to be applied cannot be written: {exc}") from exc
    finally:
        await authorities.close()
