# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings any number of record sets to their wanted state over DNS UPDATE (RFC 2136) with TSIG (RFC 8945).

One call goes through four steps: read every set from the server, plan, update what differs and is what it was
expected to be (guarded by prerequisites that nothing was changed since it was read, RFC 2136 2.4), read back what
was updated. Of a set that was just seen not to be there nothing is read: the prerequisite says the same.
Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

try:
    import dns.exception
    import dns.flags
    import dns.name
    import dns.rcode
    import dns.rdataset
    import dns.rdatatype
except ImportError:  # reported by the module, which needs it
    pass

from .._record_sets.answers import (
    Reading,
    answers_from_wildcard,
    data_at,
    find_zone,
    for_each,
    has,
    neighbour,
    read,
)
from .._record_sets.authorities import LOOK_SECONDS, SOON_SECONDS, Authorities, confirm
from .._record_sets.record_set import (
    RecordSet,
    ServerError,
    SetError,
    beside_alias,
    beside_data,
    contents,
    keep_together,
    overtaken,
    same,
    shown,
)
from .._record_sets.server import CONNECTIONS, PIPELINED, KeyRefusedError, Server, make_key
from .update_message import batches, fill, units_of

ZONES_AT_ONCE = 32
PREREQUISITE_FAILED = frozenset({"NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN"})
# The server says that of the zone, not of one of the sets in the message.
ABOUT_THE_ZONE = frozenset({"NOTAUTH", "NOTIMP"})


@dataclass
class Reconciler:
    server: Server
    # The same without a key, as all the world asks it.
    public: Server
    record_sets: list[RecordSet]
    check_mode: bool
    # For how many seconds the server may take to answer what it was told.
    wait: float
    _zones: dict[dns.name.Name, dns.name.Name] = field(default_factory=dict)
    _removed: defaultdict[dns.name.Name, set[str]] = field(default_factory=lambda: defaultdict(set))
    # What is taken to be as it was seen: not there.
    _new: set[RecordSet] = field(default_factory=set)
    _key_refused: str = ""

    async def run(self) -> None:
        for one in self.record_sets:
            if one.wanted is None:
                self._removed[one.name].add(one.type)
            if not one.settle_if_seen() and one.is_new and not self.check_mode:
                self._new.add(one)
        to_look_at = [one for one in self.record_sets if not one.status and one not in self._new]
        if not to_look_at:
            # Nothing to ask, but a server or a key that does not work is better known before there is.
            await self._try_key()
        await self._look_at(to_look_at)
        if self.check_mode:
            for one in _open(self.record_sets):
                one.status = "changed"
            return
        await self._update_zones(self.record_sets)

    async def _try_key(self) -> None:
        try:
            await self.server.query(dns.name.root, dns.rdatatype.SOA)
        except KeyRefusedError as exc:
            raise ServerError(str(exc)) from exc

    async def _look_at(self, record_sets: t.Sequence[RecordSet]) -> None:
        """Find out what is there, and give each set its zone or its status."""
        at_once = CONNECTIONS * PIPELINED
        await for_each(record_sets, at_once, self._guarded(self._read))
        if self._key_refused and not self.server.key_accepted:
            raise ServerError(self._key_refused)
        await for_each(_open(record_sets), at_once, self._guarded(self._plan))
        for one in _open(record_sets):
            self._hold_to_expected(one)
        await for_each(_open(record_sets), at_once, self._guarded(self._locate))
        keep_together(self.record_sets)

    async def _update_zones(self, record_sets: t.Sequence[RecordSet]) -> None:
        by_zone: defaultdict[dns.name.Name, list[RecordSet]] = defaultdict(list)
        for one in _open(record_sets):
            by_zone[t.cast("dns.name.Name", one.zone)].append(one)
        await for_each(by_zone.items(), ZONES_AT_ONCE, self._update_zone)

    def _guarded(self, work: t.Callable[[RecordSet], t.Awaitable[None]]) -> t.Callable[[RecordSet], t.Awaitable[None]]:
        async def guarded(record_set: RecordSet) -> None:
            try:
                await work(record_set)
            except SetError as exc:
                record_set.fail(str(exc))
                if isinstance(exc, KeyRefusedError):
                    self._key_refused = str(exc)

        return guarded

    async def _read(self, one: RecordSet) -> None:
        reading = await read(self.server, one.name, one.rdtype)
        one.before, one.alias, one.name_exists = reading.rdataset, reading.alias, reading.name_exists
        if one.zone is None:
            one.zone = reading.zone
        if same(one.before, one.wanted) and (one.alias is None or one.wanted is None):
            one.status = "ok"

    async def _plan(self, one: RecordSet) -> None:
        """Find out what stands in the way of a set that differs, and what only a wildcard answers."""
        beside = neighbour(one.name)
        if one.before is not None:
            reading = Reading() if beside is None else await read(self.server, beside, one.rdtype)
            if same(reading.rdataset, one.before):
                one.before, one.wildcard = None, one.before
                if one.wanted is None:
                    one.status = "ok"
            elif one.rdtype == dns.rdatatype.NS and one.name == await self._zone_of(one):
                raise SetError("the NS records of a zone itself cannot be replaced by an update (RFC 2136 3.4.2.3)")
        elif one.alias is not None and "CNAME" not in self._removed[one.name]:
            reading = Reading() if beside is None else await read(self.server, beside, one.rdtype)
            if reading.alias != one.alias:
                raise SetError(beside_alias(one, one.alias))
        elif one.rdtype == dns.rdatatype.CNAME and one.name_exists:
            data = await data_at(self.server, one.name)
            wild = await data_at(self.server, beside) if data and beside is not None else {}
            own = {rdtype for rdtype, rdataset in data.items() if not same(rdataset, wild.get(rdtype))}
            others = own - self._removed[one.name]
            if others:
                raise SetError(beside_data(one, others))

    def _hold_to_expected(self, one: RecordSet) -> None:
        """Leave a set alone that is not what it was when somebody decided what it shall be."""
        # What a wildcard or an alias answers is no set of the name, though it was seen as one.
        if one.expected is None or one.alias is not None:
            return
        answer = one.wildcard or one.before
        if one.expected not in {contents(one.before), contents(answer)}:
            one.fail(overtaken(one, self.server, answer))

    async def _zone_of(self, one: RecordSet) -> dns.name.Name:
        if one.zone is None:
            key = one.name.parent() if one.rdtype == dns.rdatatype.DS else one.name
            if key not in self._zones:
                self._zones[key] = await find_zone(self.server, one.name, one.rdtype)
            one.zone = self._zones[key]
        return one.zone

    async def _locate(self, one: RecordSet) -> None:
        await self._zone_of(one)

    async def _update_zone(self, zone_and_sets: tuple[dns.name.Name, list[RecordSet]]) -> None:
        zone, record_sets = zone_and_sets
        try:
            for batch in batches(units_of(record_sets)):
                await self._update(zone, batch)
        except KeyRefusedError as exc:
            for one in record_sets:
                if not one.status:
                    one.fail(str(exc))

    async def _update(self, zone: dns.name.Name, units: list[list[RecordSet]]) -> None:
        """Send some units in one message, and one by one if the server does not take them together."""
        record_sets = [one for unit in units for one in unit]
        try:
            rcode = await self.server.update(zone, lambda message: fill(message, units))
        except dns.exception.TooBig:
            for one in record_sets:
                one.fail("the set, as it is and as it shall be, does not fit into one message of 64 KiB")
            return
        if rcode == "NOERROR":
            for one in record_sets:
                one.status, one.applied = "changed", True
            await for_each(record_sets, PIPELINED, self._guarded(self._confirm))
        elif len(units) > 1 and rcode not in ABOUT_THE_ZONE:
            for unit in units:
                await self._update(zone, [unit])
        elif rcode in PREREQUISITE_FAILED or (rcode == "NOTAUTH" and not self._new.isdisjoint(record_sets)):
            await self._look_again(record_sets)
        else:
            for one in record_sets:
                one.fail(self._refusal(zone, rcode))

    async def _look_again(self, record_sets: list[RecordSet]) -> None:
        """Find out why sets are not what they were taken for."""
        if not self._new.isdisjoint(record_sets):
            self._new.difference_update(record_sets)
            for one in record_sets:
                # Others may cut the zones otherwise than this server does.
                one.zone = None
            await self._look_at(record_sets)
            await self._update_zones(record_sets)
        elif any(one.wildcard is not None for one in record_sets):
            # Not the wildcard's answer then: the same set is there under the very name.
            for one in record_sets:
                if one.wildcard is not None:
                    one.before, one.wildcard = one.wildcard, None
            await self._update_zones(record_sets)
        else:
            await for_each(record_sets, PIPELINED, self._guarded(self._overtaken))

    async def _confirm(self, one: RecordSet) -> None:
        # Signatures cost more than all else, and the server has signed that it made the update.
        with contextlib.suppress(ServerError, ValueError):
            if await has(self.public, one):
                return
        now = await self._answer_after_update(one)
        if not same(now, one.wanted) and not (
            one.wanted is None and await answers_from_wildcard(self.server, one, now)
        ):
            raise SetError(
                f"{self.server} accepted the update but still answers {shown(now)} instead of {shown(one.wanted)}"
            )

    async def _answer_after_update(self, one: RecordSet) -> dns.rdataset.Rdataset | None:
        """What the server answers. One that signs beside the zone that is updated, as BIND may, takes a moment."""
        deadline, pause = time.monotonic() + self.wait, SOON_SECONDS
        while True:
            now = (await read(self.server, one.name, one.rdtype)).rdataset
            left = deadline - time.monotonic()
            if left <= 0 or same(now, one.wanted) or not same(now, one.wildcard or one.before):
                return now
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, LOOK_SECONDS)

    async def _overtaken(self, one: RecordSet) -> None:
        reading = await read(self.server, one.name, one.rdtype)
        if same(reading.rdataset, one.wanted) and reading.alias is None:
            # By somebody else, or by this run when the answer to its update was lost.
            one.status, one.applied = "changed", True
            return
        now = f"a CNAME to {reading.alias}" if reading.alias is not None else shown(reading.rdataset)
        raise SetError(f"{one.name} changed meanwhile, run again: {self.server} now answers {now}")

    def _refusal(self, zone: dns.name.Name, rcode: str) -> str:
        told = f"{self.server} refused the update of zone {zone} {self.server.key_words} ({rcode})"
        if rcode == "REFUSED" and self.server.key is None:
            return f"{told}: name a TSIG key that may update this set"
        if rcode == "REFUSED":
            return (
                f"{told}: let it accept updates of this set with this key (BIND: allow-update, update-policy; "
                "Knot: acl; PowerDNS: dnsupdate, allow-dnsupdate-from, TSIG-ALLOW-DNSUPDATE)"
            )
        if rcode == "NOTAUTH" and self.server.key is None:
            return f"{told}: name a TSIG key that may update it, or correct server or zone: is it the primary server?"
        if rcode == "NOTAUTH":
            return f"{told}: it is not the primary server of this zone; correct server or zone"
        if rcode == "NOTIMP":
            return f"{told}: it does not support updates"
        return f"{told}: the server's log tells more"


def _open(record_sets: t.Iterable[RecordSet]) -> list[RecordSet]:
    return [one for one in record_sets if not one.status]


async def reconcile(params: t.Mapping[str, t.Any], record_sets: list[RecordSet], check_mode: bool) -> None:
    """Brings the sets to their wanted state on the server, and sees them arrive on the other servers that are named."""
    key = None
    if params["key_name"] is not None:
        key = make_key(params["key_name"], params["key_algorithm"], params["key_secret"])
    where = (params["server"], params["port"], params["timeout"])
    server, public = Server(*where, key), Server(*where, None)
    authorities = Authorities(params["authorities"], [], params["timeout"]) if params["authorities"] else None
    try:
        await Reconciler(server, public, record_sets, check_mode, params["wait"]).run()
        if authorities is not None and not check_mode:
            changed = [one for one in record_sets if one.status == "changed"]
            await confirm(changed, authorities, params["wait"])
    finally:
        await server.close()
        await public.close()
        if authorities is not None:
            await authorities.close()
