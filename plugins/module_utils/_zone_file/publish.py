# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One zone on its way from what its files hold to what they shall hold: checked, written, reloaded, or put back.

The fragment is written first and the zone file, with its new serial, last: the zone file never includes what is not
there, and wherever a run dies the files say something that the next one can tell from what the servers answer.
Private to this collection.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

if t.TYPE_CHECKING:
    import dns.name

from .._record_sets.record_set import RecordSet, SetError
from .commands import run
from .places import (
    ZONE,
    PlaceError,
    Places,
    read_file,
    read_if_there,
    remove_file,
    replace_file,
    temporary,
)
from .plan import fragment_text, names_of
from .text import ZoneTextError, next_serial, serial, with_include, with_serial, with_words
from .zone import Reading, read_zone

FILE = "{file}"


class Commands:
    """The commands that check a zone and reload it, with C({zone}) and C({file}) in them."""

    def __init__(self, check: t.Sequence[str], reload: t.Sequence[str]) -> None:
        if not any(FILE in word for word in check):
            raise ValueError(f"check must name a program and have {FILE} among its words, not {check!r}")
        if not reload:
            raise ValueError("reload must name a program")
        self._check, self._reload = check, reload

    @property
    def reloads_each(self) -> bool:
        """Whether each zone is reloaded for itself, and not all at once."""
        return any(ZONE in word for word in self._reload)

    async def check(self, zone: Publication, file: str) -> str:
        command = [word.replace(ZONE, zone.name).replace(FILE, file) for word in self._check]
        return await run(command, str(zone.directory))

    async def reload(self, zone: Publication) -> str:
        return await run([word.replace(ZONE, zone.name) for word in self._reload], str(zone.directory))


@dataclass
class Publication:
    """One zone with the record sets of it."""

    places: Places
    commands: Commands
    origin: dns.name.Name
    record_sets: list[RecordSet]
    reading: Reading = field(default_factory=Reading)
    # The zone file and the fragment as they were read, and as they shall be.
    _before: tuple[bytes, bytes | None] = (b"", None)
    _after: tuple[bytes, bytes] = (b"", b"")

    def __post_init__(self) -> None:
        self.name = self.origin.to_text(omit_final_dot=True).lower()
        self.path = self.places.zone_file_of(self.name)
        self.directory = Path(self.path).parent
        # As the zone file names it, and where it really lies.
        self._fragment = self.places.fragment_of(self.name)
        self._fragment_path = os.path.realpath(self._fragment)

    @property
    def directories(self) -> tuple[Path, Path]:
        """Of the fragment, and of the zone file."""
        return Path(self._fragment_path).parent, self.directory

    def open_sets(self) -> list[RecordSet]:
        return [one for one in self.record_sets if not one.status]

    def fail(self, error: str) -> None:
        """Fail all sets that were to change."""
        for one in self.open_sets():
            one.fail(error)

    def done(self) -> None:
        for one in self.open_sets():
            one.status = "changed"

    def read(self) -> None:
        """Raises SetError and PlaceError."""
        # BIND keeps what it is told by updates there, and in the end in the zone file. A signed copy beside the
        # file has such a journal, too, but leaves the file to its owner.
        if os.path.lexists(f"{self.path}.jnl") and not os.path.lexists(f"{self.path}.signed"):
            raise SetError(
                f"zone {self.name} is dynamic, as {self.path}.jnl tells: use the back end rfc2136 for it, or let the "
                "server no longer take updates of it and remove that journal"
            )
        self._before = read_file(self.path), read_if_there(self._fragment_path)
        fragment = self._fragment, self._before[1]
        self.reading = read_zone(self.path, self._before[0], fragment, self.origin, names_of(self.record_sets))

    async def check(self, *, in_place: bool) -> None:
        """Let the command check what is to be written, beside it or, for a look ahead, elsewhere.

        Raises SetError and PlaceError.
        """
        ours = fragment_text(self.name, self.reading, self.open_sets())
        self._after = self._with_next_serial(self._including(self._fragment)), ours
        with contextlib.ExitStack() as stack:
            directories = self.directories
            if not in_place:
                directories = (Path(stack.enter_context(tempfile.TemporaryDirectory())),) * 2
            fragment = stack.enter_context(temporary(directories[0], ours, self.path))
            candidate = self._with_next_serial(self._including(fragment))
            file = stack.enter_context(temporary(directories[1], candidate, self.path))
            trouble = await self.commands.check(self, file)
        if trouble:
            told = trouble.replace(file, self.path).replace(fragment, self._fragment)
            raise SetError(f"zone {self.name} does not pass the check with the records, nothing was changed: {told}")

    def _including(self, fragment: str) -> bytes:
        """The zone file with this fragment in it."""
        text = self._before[0]
        if not self.reading.includes:
            return with_include(text, fragment)
        return text if fragment == self._fragment else with_words(text, self.reading.includes, fragment.encode())

    def _with_next_serial(self, text: bytes) -> bytes:
        try:
            return with_serial(text, next_serial(serial(text), dt.datetime.now().astimezone().date()))
        except ZoneTextError as exc:
            raise SetError(f"{self.path}:{exc.line}: {exc}") from exc

    def write(self) -> None:
        """Raises SetError and PlaceError; the files are as they were before then."""
        if self._now() != self._before:
            raise SetError(f"{self.path} or {self._fragment} was changed by somebody meanwhile: run again")
        text, ours = self._after
        like = self.path if self._before[1] is None else self._fragment_path
        self._replace(self._fragment_path, ours, like)
        try:
            self._replace(self.path, text, self.path)
        except PlaceError:
            self.put_back()
            raise
        for one in self.open_sets():
            one.applied = True

    def put_back(self) -> str:
        """Undo what was written, unless somebody has changed it since; return what went wrong."""
        before_zone, before_ours = self._before
        try:
            zone, ours = self._now()
            if zone not in (before_zone, self._after[0]) or ours != self._after[1]:
                return "the files are left as somebody has changed them meanwhile"
            self._replace(self.path, before_zone, self.path)
            if before_ours is None:
                remove_file(self._fragment_path)
            else:
                self._replace(self._fragment_path, before_ours, self._fragment_path)
        except PlaceError as exc:
            return f"the files could not be put back: {exc}"
        except OSError as exc:
            return f"the files could not be put back: {exc.filename}: {exc.strerror}"
        for one in self.open_sets():
            one.applied = False
        return ""

    def _now(self) -> tuple[bytes, bytes | None]:
        return read_file(self.path), read_if_there(self._fragment_path)

    def _replace(self, path: str, content: bytes, like: str) -> None:
        with temporary(Path(path).parent, content, like) as new:
            replace_file(new, path)
