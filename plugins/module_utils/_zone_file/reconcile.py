# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings any number of record sets to their wanted state in zones that are kept in files.

One call goes through five steps: read the zones, plan, ask the name servers whether they answer what the files have
already, publish each zone that changes, and wait until the servers answer it. Private to this collection.
"""

from __future__ import annotations

import contextlib
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

try:
    import dns.name
    import dns.rdatatype
except ImportError:  # reported by the module, which needs it
    pass

from .._record_sets.answers import for_each
from .._record_sets.authorities import Authorities, confirm, unlike
from .._record_sets.record_set import InputError, RecordSet, ServerError, SetError
from .._record_sets.server import CONNECTIONS, PIPELINED
from .._webroot import locked, remove_leftovers
from .places import ZONE, PlaceError, Places
from .plan import plan
from .publish import Commands, Publication

# How many zones are checked and reloaded side by side.
ZONES_AT_ONCE = 8


@dataclass
class Reconciler:
    places: Places
    commands: Commands
    authorities: Authorities
    record_sets: list[RecordSet]
    check_mode: bool
    _zones: dict[dns.name.Name, dns.name.Name | None] = field(default_factory=dict)

    async def run(self) -> None:
        zones = [Publication(self.places, self.commands, *zone) for zone in self._by_zone().items()]
        for zone in zones:
            self._plan(zone)
        in_place = [one for zone in zones for one in zone.record_sets if one.status == "ok"]
        await for_each(in_place, CONNECTIONS * PIPELINED, self._ask)
        changing = [zone for zone in zones if zone.open_sets()]
        if not self.check_mode:
            _clear({directory for zone in changing for directory in zone.directories})
        await for_each(changing, ZONES_AT_ONCE, self._check)
        if self.check_mode:
            for zone in changing:
                zone.done()
            return
        await self._publish([zone for zone in changing if zone.open_sets()])

    def _by_zone(self) -> dict[dns.name.Name, list[RecordSet]]:
        by_zone: defaultdict[dns.name.Name, list[RecordSet]] = defaultdict(list)
        for one in self.record_sets:
            if one.settle_if_seen():
                continue
            try:
                one.zone = self._zone_of(one)
                by_zone[one.zone].append(one)
            except SetError as exc:
                one.fail(str(exc))
        return by_zone

    def _zone_of(self, one: RecordSet) -> dns.name.Name:
        if one.zone is not None:
            if not self.places.has(_text(one.zone)):
                raise SetError(f"there is no zone file {self.places.zone_file.replace(ZONE, _text(one.zone))}")
            return one.zone
        # The DS set of a zone belongs to its parent (RFC 4034 5).
        zone = self._find(one.name.parent() if one.rdtype == dns.rdatatype.DS else one.name)
        if zone is None:
            raise SetError(f"no zone that {one.name} may lie in has a file {self.places.zone_file}")
        return zone

    def _find(self, name: dns.name.Name) -> dns.name.Name | None:
        if name == dns.name.root:
            return None
        if name not in self._zones:
            self._zones[name] = name if self.places.has(_text(name)) else self._find(name.parent())
        return self._zones[name]

    def _plan(self, zone: Publication) -> None:
        try:
            zone.read()
            plan(zone.record_sets, zone.reading, zone.path)
        except (SetError, PlaceError) as exc:
            zone.fail(str(exc))

    async def _ask(self, one: RecordSet) -> None:
        """Leave a set open that the files have, but a server does not answer: a run died before it reloaded."""
        try:
            if await unlike(one, await self.authorities.of(one.name)):
                one.status = ""
        except SetError as exc:
            one.fail(f"it is in the zone file, but {exc}")

    async def _check(self, zone: Publication) -> None:
        try:
            await zone.check(in_place=not self.check_mode)
        except (SetError, PlaceError) as exc:
            zone.fail(str(exc))

    async def _publish(self, zones: list[Publication]) -> None:
        if self.commands.reloads_each:
            await for_each(zones, ZONES_AT_ONCE, self._publish_one)
            return
        written = [zone for zone in zones if _write(zone)]
        if written:
            await self._reload(written)

    async def _publish_one(self, zone: Publication) -> None:
        if _write(zone):
            await self._reload([zone])

    async def _reload(self, zones: list[Publication]) -> None:
        trouble = await self.commands.reload(zones[0])
        if trouble:
            troubles = [zone.put_back() for zone in zones]
            await self.commands.reload(zones[0])
            for zone, own in zip(zones, troubles):
                zone.fail(f"{trouble}; {own or 'the files are as they were before'}")
        for zone in zones:
            zone.done()


def _clear(directories: t.Iterable[Path]) -> None:
    """Remove what a run that died did not finish; a directory that is not there is told when it is written to."""
    for directory in directories:
        with contextlib.suppress(OSError):
            remove_leftovers(directory)


def _write(zone: Publication) -> bool:
    try:
        zone.write()
    except (SetError, PlaceError) as exc:
        zone.fail(str(exc))
        return False
    return True


def _text(zone: dns.name.Name) -> str:
    return zone.to_text(omit_final_dot=True).lower()


async def reconcile(params: t.Mapping[str, t.Any], record_sets: list[RecordSet], check_mode: bool) -> None:
    """Brings the sets to their wanted state in the files, and sees them arrive on the authoritative servers."""
    try:
        places = Places.given(params["zone_file"], params["fragment"])
        commands = Commands(params["check"], params["reload"])
    except ValueError as exc:
        raise InputError(str(exc)) from exc
    authorities = Authorities(params["authorities"], params["resolvers"], params["timeout"])
    try:
        with locked(places.directory):
            await Reconciler(places, commands, authorities, record_sets, check_mode).run()
        if not check_mode:
            changed = [one for one in record_sets if one.status == "changed"]
            await confirm(changed, authorities, params["wait"])
    except OSError as exc:
        raise ServerError(f"{exc.filename or places.directory}: {exc.strerror}") from exc
    finally:
        await authorities.close()
