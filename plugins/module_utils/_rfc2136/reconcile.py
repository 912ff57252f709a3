# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings any number of record sets to their wanted state over DNS UPDATE (RFC 2136) with TSIG (RFC 8945).

One call goes through four steps: read every set from the server, plan, update what differs and is what it was
expected to be (guarded by prerequisites that nothing was changed since it was read, RFC 2136 2.4), read back what
was updated.
Private to this collection.
"""

from __future__ import annotations

import asyncio
import typing as t
from collections import Counter, defaultdict
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

from .._document import DocumentError, read_document, write_document
from .record_sets import (
    SERVERS_OWN_TYPES,
    InputError,
    RecordSet,
    ServerError,
    SetError,
    bounded_list,
    contents,
    diff_text,
    parse_record_sets,
    same,
    shown,
)
from .server import CONNECTIONS, PIPELINED, Server, make_key
from .update_message import batches, fill, units_of

ZONES_AT_ONCE = 32
LISTED_FAILURES = 100
RETURNED_FAILURES = 20
PREREQUISITE_FAILED = frozenset({"NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN"})
# The server says that of the zone, not of one of the sets in the message.
ABOUT_THE_ZONE = frozenset({"NOTAUTH", "NOTIMP"})


_Any = t.TypeVar("_Any")


async def _for_each(things: t.Collection[_Any], at_once: int, work: t.Callable[[_Any], t.Awaitable[None]]) -> None:
    """Do the work for each thing, a bounded number at once; the first error ends all."""
    left = iter(things)

    async def worker() -> None:
        for thing in left:
            await work(thing)

    workers = [asyncio.ensure_future(worker()) for _worker in range(min(at_once, len(things)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


@dataclass
class Reading:
    """What the server says about one name and type."""

    rdataset: dns.rdataset.Rdataset | None = None
    alias: dns.name.Name | None = None
    name_exists: bool = False
    zone: dns.name.Name | None = None


def _rdatasets(
    section: list[dns.rrset.RRset], name: dns.name.Name
) -> dict[dns.rdatatype.RdataType, dns.rdataset.Rdataset]:
    return {rrset.rdtype: rrset.to_rdataset() for rrset in section if rrset.name == name}


async def read(server: Server, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Reading:
    answer = await server.query(name, rdtype)
    rcode = dns.rcode.to_text(answer.rcode())
    if rcode not in {"NOERROR", "NXDOMAIN"}:
        raise SetError(
            f"{server} is not authoritative for {name} or does not answer queries for it from here: "
            f"it answered {rcode} {server.key_words}"
        )
    if not answer.flags & dns.flags.AA:
        # Of the NS records of a delegation the parent's server tells in a referral only (RFC 1034 4.3.2).
        delegation = _rdatasets(answer.authority, name).get(dns.rdatatype.NS)
        if rdtype == dns.rdatatype.NS and delegation is not None:
            return Reading(delegation, name_exists=True)
        below = next((str(rrset.name) for rrset in answer.authority if rrset.rdtype == dns.rdatatype.NS), None)
        hint = f": it refers to the servers of {below}" if below else ""
        raise SetError(f"{server} is not authoritative for {name}{hint}")
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.DNAME and rrset.name != name:
            raise SetError(f"{name} lies below the DNAME record of {rrset.name}, no record can be there")
    found = _rdatasets(answer.answer, name)
    alias = found.get(dns.rdatatype.CNAME)
    if alias is not None and rdtype != dns.rdatatype.CNAME:
        return Reading(alias=alias[0].target, name_exists=True)
    zone = next((rrset.name for rrset in answer.authority if rrset.rdtype == dns.rdatatype.SOA), None)
    return Reading(found.get(rdtype), None, rcode == "NOERROR", zone)


async def data_at(server: Server, name: dns.name.Name) -> dict[str, dns.rdataset.Rdataset]:
    """Return all data at a name by type, without what signing adds."""
    answer = await server.query(name, dns.rdatatype.ANY)
    return {
        dns.rdatatype.to_text(rdtype): rdataset
        for rdtype, rdataset in _rdatasets(answer.answer, name).items()
        if dns.rdatatype.to_text(rdtype) not in SERVERS_OWN_TYPES
        # A server that does not like the question answers with a HINFO record of its own (RFC 8482 4.2).
        and not (rdtype == dns.rdatatype.HINFO and "RFC8482" in rdataset[0].to_text())
    }


async def find_zone(server: Server, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.name.Name:
    """Ask the server for the apex of the zone in which a set lies, walking upwards."""
    # The DS set of a zone belongs to its parent (RFC 4034 5).
    at = name.parent() if rdtype == dns.rdatatype.DS else name
    while at != dns.name.root:
        answer = await server.query(at, dns.rdatatype.SOA)
        found = _rdatasets(answer.answer, at)
        if dns.rdatatype.SOA in found:
            return at
        soa = next((rrset.name for rrset in answer.authority if rrset.rdtype == dns.rdatatype.SOA), None)
        # After a CNAME the SOA is that of the target's zone.
        if soa is not None and not answer.answer and name.is_subdomain(soa):
            return soa
        at = at.parent()
    raise SetError(f"{server} names no zone (SOA record) for {name}: give the zone, or correct the server")


def _neighbour(name: dns.name.Name) -> dns.name.Name | None:
    """Return the name whose answers show what a wildcard makes of a name (RFC 4592 2.2)."""
    if name.labels[0] == b"*":
        return None
    return dns.name.Name((b"*", *name.labels[1:]))


@dataclass
class Reconciler:
    server: Server
    record_sets: list[RecordSet]
    check_mode: bool
    _zones: dict[dns.name.Name, dns.name.Name] = field(default_factory=dict)
    _removed: defaultdict[dns.name.Name, set[str]] = field(default_factory=lambda: defaultdict(set))

    async def run(self) -> None:
        at_once = CONNECTIONS * PIPELINED
        for one in self.record_sets:
            if one.wanted is None:
                self._removed[one.name].add(one.type)
        await _for_each(self.record_sets, at_once, self._guarded(self._read))
        await _for_each(self._open_sets(), at_once, self._guarded(self._plan))
        for one in self._open_sets():
            self._hold_to_expected(one)
        if self.check_mode:
            for one in self._open_sets():
                one.status = "changed"
            return
        await _for_each(self._open_sets(), at_once, self._guarded(self._locate))
        by_zone: defaultdict[dns.name.Name, list[RecordSet]] = defaultdict(list)
        for one in self._open_sets():
            by_zone[t.cast("dns.name.Name", one.zone)].append(one)
        await _for_each(by_zone.items(), ZONES_AT_ONCE, self._update_zone)

    def _open_sets(self) -> list[RecordSet]:
        return [one for one in self.record_sets if not one.status]

    @staticmethod
    def _guarded(
        work: t.Callable[[RecordSet], t.Awaitable[None]],
    ) -> t.Callable[[RecordSet], t.Awaitable[None]]:
        async def guarded(record_set: RecordSet) -> None:
            try:
                await work(record_set)
            except SetError as exc:
                record_set.fail(str(exc))

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
        neighbour = _neighbour(one.name)
        if one.before is not None:
            reading = Reading() if neighbour is None else await read(self.server, neighbour, one.rdtype)
            if same(reading.rdataset, one.before):
                one.before, one.wildcard = None, one.before
                if one.wanted is None:
                    one.status = "ok"
            elif one.rdtype == dns.rdatatype.NS and one.name == await self._zone_of(one):
                raise SetError("the NS records of a zone itself cannot be replaced by an update (RFC 2136 3.4.2.3)")
        elif one.alias is not None and "CNAME" not in self._removed[one.name]:
            reading = Reading() if neighbour is None else await read(self.server, neighbour, one.rdtype)
            if reading.alias != one.alias:
                raise SetError(
                    f"{one.name} is a CNAME to {one.alias}, beside which there can be no {one.type} set: "
                    "remove that CNAME first, or in the same call"
                )
        elif one.rdtype == dns.rdatatype.CNAME and one.name_exists:
            data = await data_at(self.server, one.name)
            wild = await data_at(self.server, neighbour) if data and neighbour is not None else {}
            own = {rdtype for rdtype, rdataset in data.items() if not same(rdataset, wild.get(rdtype))}
            others = sorted(own - self._removed[one.name])
            if others:
                raise SetError(
                    f"{one.name} has {', '.join(others)} data, beside which there can be no CNAME: "
                    "remove these sets in the same call"
                )

    def _hold_to_expected(self, one: RecordSet) -> None:
        """Leave a set alone that is not what it was when somebody decided what it shall be."""
        # What a wildcard or an alias answers is no set of the name, though it was seen as one.
        if one.expected is None or one.alias is not None:
            return
        answer = one.wildcard or one.before
        if one.expected not in {contents(one.before), contents(answer)}:
            one.fail(
                f"{one.name} changed since the plan was made, run again: {self.server} now answers {shown(answer)}"
            )

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
        for batch in batches(units_of(record_sets)):
            await self._update(zone, batch)

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
            await _for_each(record_sets, PIPELINED, self._guarded(self._confirm))
        elif len(units) > 1 and rcode not in ABOUT_THE_ZONE:
            for unit in units:
                await self._update(zone, [unit])
        elif rcode in PREREQUISITE_FAILED and any(one.wildcard is not None for one in record_sets):
            # Not the wildcard's answer then: the same set is there under the very name.
            for one in record_sets:
                if one.wildcard is not None:
                    one.before, one.wildcard = one.wildcard, None
            await self._update(zone, units)
        elif rcode in PREREQUISITE_FAILED:
            await _for_each(record_sets, PIPELINED, self._guarded(self._overtaken))
        else:
            for one in record_sets:
                one.fail(self._refusal(zone, rcode))

    async def _confirm(self, one: RecordSet) -> None:
        now = (await read(self.server, one.name, one.rdtype)).rdataset
        if not same(now, one.wanted) and not (one.wanted is None and await self._from_wildcard(one, now)):
            raise SetError(
                f"{self.server} accepted the update but still answers {shown(now)} instead of {shown(one.wanted)}"
            )

    async def _from_wildcard(self, one: RecordSet, now: dns.rdataset.Rdataset | None) -> bool:
        neighbour = _neighbour(one.name)
        return neighbour is not None and same((await read(self.server, neighbour, one.rdtype)).rdataset, now)

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
            return f"{told}: let it accept updates of this set with this key (BIND: allow-update, update-policy)"
        if rcode == "NOTAUTH":
            return f"{told}: it is not the primary server of this zone; correct server or zone"
        if rcode == "NOTIMP":
            return f"{told}: it does not support updates"
        return f"{told}: the server's log tells more"


def load_document(path: str, section: str) -> object:
    """Return the list of one section of a document with record sets."""
    try:
        return read_document(path)["record_sets"][section]
    except DocumentError as exc:
        raise InputError(f"document {exc}") from exc
    except (KeyError, TypeError, IndexError):
        raise InputError(f"document {path!r} has no list record_sets.{section}") from None


async def _reconcile(params: dict[str, t.Any], record_sets: list[RecordSet], check_mode: bool) -> str:
    """Work on the sets; return the error that concerns all of them, or nothing."""
    key = None
    if params["key_name"] is not None:
        key = make_key(params["key_name"], params["key_algorithm"], params["key_secret"])
    server = Server(params["server"], params["port"], params["timeout"], key)
    try:
        if not record_sets:
            # Nothing to ask, but a server or a key that does not work is better known before there is.
            await server.query(dns.name.root, dns.rdatatype.SOA)
        await Reconciler(server, record_sets, check_mode).run()
    except ServerError as exc:
        for one in record_sets:
            if not one.status:
                one.fail(str(exc))
        return str(exc)
    finally:
        await server.close()
    return ""


def run(params: dict[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    """Do what the module's options say; return what it returns, with failed and msg where it fails."""
    entries, what = params["record_sets"], "record_sets"
    if params["document"] is not None:
        what = f"record_sets.{params['section']}"
        entries = load_document(params["document"], params["section"])
    record_sets = parse_record_sets(entries, what)
    trouble = asyncio.run(_reconcile(params, record_sets, check_mode))

    results = [one.result() for one in record_sets]
    failed = [one for one in record_sets if one.status == "failed"]
    tally = Counter(one.status for one in record_sets)
    result: dict[str, t.Any] = {
        "changed": any(one.applied or one.status == "changed" for one in record_sets),
        "counts": {status: tally[status] for status in ("ok", "changed", "failed")},
        "diff": diff_text(record_sets),
    }
    if params["document"] is None:
        result["results"] = results
    else:
        result["failures"] = [one.result() for one in failed[:RETURNED_FAILURES]]
    if params["results"] is not None:
        try:
            write_document(params["results"], {"counts": result["counts"], "results": results})
        except DocumentError as exc:
            # What was changed is told all the same.
            trouble = "; ".join(filter(None, [trouble, f"results cannot be written: {exc}"]))
    result["failed"] = bool(trouble or (failed and not params["continue_on_error"]))
    if trouble:
        result["msg"] = trouble
    elif failed:
        told = bounded_list("; ".join, [f"{one.label}: {one.error}" for one in failed], LISTED_FAILURES)
        result["msg"] = f"{len(failed)} of {len(record_sets)} record sets failed: {told}"
    return result
