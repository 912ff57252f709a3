# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings any number of record sets to their wanted state over DNS UPDATE (RFC 2136) with TSIG (RFC 8945).

Private to this collection: other collections must not import it.

One call goes through four steps: read every set from the server, plan, update what differs (guarded by
prerequisites that nothing was changed since it was read, RFC 2136 2.4), read back what was updated.

Everything travels over a few TCP connections on which queries are pipelined (RFC 7766 6.2.1.1): no
truncation, no lost datagrams, and a server that is down is noticed at once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import tempfile
import traceback
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.opcode
    import dns.rcode
    import dns.rdata
    import dns.rdataclass
    import dns.rdataset
    import dns.rdatatype
    import dns.rdtypes.ANY.TXT
    import dns.tsig
    import dns.update
    import dns.version

    DNSPYTHON_ERROR: str | None = (
        None if (dns.version.MAJOR, dns.version.MINOR) >= (2, 6) else f"found dnspython {dns.version.version}"
    )
except ImportError:
    DNSPYTHON_ERROR = traceback.format_exc()

KEY_ALGORITHMS = {
    "hmac-md5": "hmac-md5.sig-alg.reg.int",
    "hmac-sha1": "hmac-sha1",
    "hmac-sha224": "hmac-sha224",
    "hmac-sha256": "hmac-sha256",
    "hmac-sha256-128": "hmac-sha256-128",
    "hmac-sha384": "hmac-sha384",
    "hmac-sha384-192": "hmac-sha384-192",
    "hmac-sha512": "hmac-sha512",
    "hmac-sha512-256": "hmac-sha512-256",
}

CONNECTIONS = 4
PIPELINED = 16  # queries under way on one connection
ZONES_AT_ONCE = 32
BATCH_SETS = 100
BATCH_BYTES = 48 * 1024  # leaves room for the TSIG record in a message of 64 KiB

DIFF_SETS = 500
LISTED_MISTAKES = 50
LISTED_FAILURES = 100
RETURNED_FAILURES = 20
QUOTED_CHARACTERS = 300

PREREQUISITE_FAILED = frozenset({"NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN"})
# The server says that of the zone, not of one of the sets in the message.
ABOUT_THE_ZONE = frozenset({"NOTAUTH", "NOTIMP"})

OPTIONS = frozenset({"name", "type", "ttl", "values", "zone", "item"})
PLAIN_TEXT_TYPES = frozenset({"TXT", "SPF"})
# What the server makes itself, or what RFC 2136 3.4.2 does not let an update replace.
SERVERS_OWN_TYPES = frozenset({"SOA", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM"})


class UpdateError(Exception):
    """The base of the errors of this file."""


class InputError(UpdateError, ValueError):
    """What was given cannot be used; nothing was sent."""


class ServerError(UpdateError):
    """Something that concerns every record set: the server cannot be reached, or does not accept the key."""


class SetError(UpdateError):
    """Something that concerns one record set."""


@dataclass(eq=False)
class RecordSet:
    """One record set: what it shall be, what it is, and what became of it."""

    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    wanted: dns.rdataset.Rdataset | None
    item: str = ""
    zone: dns.name.Name | None = None
    before: dns.rdataset.Rdataset | None = None
    # The name's CNAME, where another type was asked for.
    alias: dns.name.Name | None = None
    name_exists: bool = False
    # What the server answers from a wildcard: it may also be there under the very name.
    wildcard: dns.rdataset.Rdataset | None = None
    status: t.Literal["", "ok", "changed", "failed"] = ""
    error: str = ""
    # The server accepted an update of this set, whatever it answered afterwards.
    applied: bool = False

    @property
    def type(self) -> str:
        return dns.rdatatype.to_text(self.rdtype)

    @property
    def label(self) -> str:
        own = f"{self.name.to_text(omit_final_dot=True)} {self.type}"
        return f"{own} ({self.item})" if self.item else own

    def fail(self, error: str) -> None:
        self.status, self.error = "failed", error

    def result(self) -> dict[str, t.Any]:
        return {
            "name": self.name.to_text(omit_final_dot=True),
            "type": self.type,
            "item": self.item,
            "status": self.status,
            "before": _values(self.before),
            "after": _values(self.before if self.status == "failed" else self.wanted),
            "error": self.error,
        }


# Text to record sets, and back


def parse_record_sets(entries: object, what: str = "record_sets") -> list[RecordSet]:
    """Validate everything before anything is sent; raise InputError with all mistakes."""
    if not isinstance(entries, list):
        raise InputError(f"{what} must be a list, not {type(entries).__name__}")
    mistakes: list[str] = []
    sets: list[tuple[int, RecordSet]] = []
    for index, entry in enumerate(entries):
        try:
            sets.append((index, _parse_entry(entry)))
        except ValueError as exc:
            mistakes.append(f"{what}[{index}]: {exc}")
    mistakes.extend(_contradictions(sets, what))
    if mistakes:
        raise InputError(_bounded_list("\n".join, mistakes, LISTED_MISTAKES))
    return [record_set for _index, record_set in sets]


def _parse_entry(entry: object) -> RecordSet:
    if not isinstance(entry, dict):
        raise ValueError(f"must be a dictionary, not {entry!r}")
    unknown = sorted(str(key) for key in entry if key not in OPTIONS)
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; known are {', '.join(sorted(OPTIONS))}")
    name = parse_name(entry.get("name"), "name")
    rdtype = _parse_type(entry.get("type"))
    ttl = entry.get("ttl", 300)
    # RFC 2181 8: 31 bits.
    if not isinstance(ttl, int) or isinstance(ttl, bool) or not 0 <= ttl < 2**31:
        raise ValueError(f"ttl must be a number of seconds from 0 to {2**31 - 1}, not {ttl!r}")
    item = entry.get("item") or ""
    if not isinstance(item, str):
        raise ValueError(f"item must be a string, not {item!r}")
    zone = None if entry.get("zone") is None else parse_name(entry["zone"], "zone")
    if zone is not None and not name.is_subdomain(zone):
        raise ValueError(f"name {entry['name']!r} does not lie in zone {entry['zone']!r}")
    return RecordSet(name, rdtype, _parse_values(rdtype, ttl, entry.get("values")), item, zone)


def parse_name(text: object, option: str) -> dns.name.Name:
    """Return an absolute name; the trailing dot may be left out."""
    if not isinstance(text, str) or not text.rstrip("."):
        raise ValueError(f"{option} must be a domain name, not {text!r}")
    if not text.isascii():
        raise ValueError(f"{option} {text!r} must be written in A-labels (xn--...)")
    if any(char.isspace() or char == "@" or not char.isprintable() for char in text):
        raise ValueError(f"{option} {text!r} must be a whole domain name without blanks or @")
    try:
        return dns.name.from_text(text)
    except dns.exception.DNSException as exc:
        raise ValueError(f"{option} {text!r} is no domain name: {exc}") from exc


def _parse_type(text: object) -> dns.rdatatype.RdataType:
    try:
        rdtype = dns.rdatatype.from_text(text if isinstance(text, str) else "")
    except (dns.exception.DNSException, ValueError) as exc:
        raise ValueError(f"type must be a DNS record type such as TXT, not {text!r}") from exc
    if dns.rdatatype.is_metatype(rdtype) or dns.rdatatype.to_text(rdtype) in SERVERS_OWN_TYPES:
        raise ValueError(f"type {text!r} cannot be managed with updates")
    return rdtype


def _parse_values(rdtype: dns.rdatatype.RdataType, ttl: int, values: object) -> dns.rdataset.Rdataset | None:
    if not isinstance(values, list):
        raise ValueError(f"values must be a list of strings (an empty one: no such set), not {values!r}")
    if not values:
        return None
    rdatas = [_parse_value(rdtype, value) for value in values]
    if len(set(rdatas)) > 1 and dns.rdatatype.is_singleton(rdtype):
        raise ValueError(f"a {dns.rdatatype.to_text(rdtype)} set has one value, not {len(values)}")
    return dns.rdataset.from_rdata_list(ttl, rdatas)


def _parse_value(rdtype: dns.rdatatype.RdataType, value: object) -> dns.rdata.Rdata:
    if not isinstance(value, str):
        raise ValueError(f"value {value!r} must be a string")
    try:
        if dns.rdatatype.to_text(rdtype) in PLAIN_TEXT_TYPES:
            return _text_rdata(rdtype, value)
        if not value.isascii() or not value.isprintable() or "@" in value.split():
            raise ValueError("write names in full, in A-labels, on one line")
        rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, value, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as exc:
        raise ValueError(f"value {value!r} is no {dns.rdatatype.to_text(rdtype)} data: {exc}") from exc
    if rdata.rdcomment is not None:
        raise ValueError(f"value {value!r}: what follows an unquoted ; is a comment, put it into quotes")
    return rdata


def _text_rdata(rdtype: dns.rdatatype.RdataType, text: str) -> dns.rdata.Rdata:
    """Split plain text into the character-strings of RFC 1035 3.3.14, each of at most 255 bytes."""
    data = text.encode()
    if len(data) > 60000:
        raise ValueError(f"{len(data)} bytes do not fit into one record")
    strings = [data[start : start + 255] for start in range(0, len(data), 255)] or [b""]
    return dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, rdtype, strings)


def _contradictions(sets: list[tuple[int, RecordSet]], what: str) -> t.Iterator[str]:
    first: dict[tuple[dns.name.Name, int], int] = {}
    present: defaultdict[dns.name.Name, list[tuple[int, RecordSet]]] = defaultdict(list)
    for index, record_set in sets:
        seen = first.setdefault((record_set.name, record_set.rdtype), index)
        if seen != index:
            yield f"{what}[{seen}] and {what}[{index}] are both {record_set.label}: give each set once"
        elif record_set.wanted is not None:
            present[record_set.name].append((index, record_set))
    for group in present.values():
        alias = next((index for index, one in group if one.rdtype == dns.rdatatype.CNAME), None)
        if alias is not None and len(group) > 1:
            other = next(index for index, _one in group if index != alias)
            yield (
                f"{what}[{alias}] and {what}[{other}]: a CNAME at {group[0][1].name} "
                "cannot have other data beside it (RFC 1034 3.6.2)"
            )


def _values(rdataset: dns.rdataset.Rdataset | None) -> dict[str, t.Any] | None:
    """Return a set in the words of the options, or None if there is none."""
    if rdataset is None:
        return None
    return {"ttl": rdataset.ttl, "values": sorted(_value(rdata) for rdata in rdataset)}


def _value(rdata: dns.rdata.Rdata) -> str:
    if dns.rdatatype.to_text(rdata.rdtype) in PLAIN_TEXT_TYPES:
        return b"".join(rdata.strings).decode(errors="backslashreplace")  # type: ignore[attr-defined]
    return rdata.to_text()


def _same(one: dns.rdataset.Rdataset | None, other: dns.rdataset.Rdataset | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.ttl == other.ttl and one == other


def _zone_lines(record_set: RecordSet, rdataset: dns.rdataset.Rdataset | None) -> list[str]:
    if rdataset is None:
        return []
    start = f"{record_set.name} {rdataset.ttl} IN {record_set.type}"
    return sorted(f"{start} {rdata.to_text()}" for rdata in rdataset)


def _shown(rdataset: dns.rdataset.Rdataset | None) -> str:
    """Return what a server answered, escaped and bounded, for a message."""
    if rdataset is None:
        return "nothing"
    text = ", ".join(sorted(rdata.to_text() for rdata in rdataset))
    return f"{text[:QUOTED_CHARACTERS]} (TTL {rdataset.ttl})"


def diff_text(record_sets: t.Iterable[RecordSet], limit: int = DIFF_SETS) -> dict[str, str]:
    """Return the changed sets as zone file lines, before and after, in the order of a zone."""
    changed = sorted((one for one in record_sets if one.status == "changed"), key=lambda one: (one.name, one.rdtype))
    before = [line for one in changed[:limit] for line in _zone_lines(one, one.before)]
    after = [line for one in changed[:limit] for line in _zone_lines(one, one.wanted)]
    if len(changed) > limit:
        after.append(f"; and {len(changed) - limit} more changed record sets")
    return {
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
    }


def _bounded_list(join: t.Callable[[list[str]], str], texts: list[str], limit: int) -> str:
    more = [f"and {len(texts) - limit} more"] if len(texts) > limit else []
    return join(texts[:limit] + more)


# The server


def make_key(name: str, algorithm: str, secret: str) -> dns.tsig.Key:
    """Return the TSIG key; no message here may hold the secret."""
    try:
        base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("key_secret is not base64; give the text of the key file's secret") from None
    try:
        return dns.tsig.Key(parse_name(name, "key_name"), secret, KEY_ALGORITHMS[algorithm])
    except ValueError as exc:
        raise InputError(str(exc)) from exc


class _Connection:
    """One TCP connection with several queries under way; answers may come in any order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._next_id = 0
        self._room = asyncio.Semaphore(PIPELINED)
        self.closed = False
        self._reading = asyncio.ensure_future(self._read(reader))

    async def exchange(self, build: t.Callable[[int], tuple[bytes, t.Any]], timeout: float) -> tuple[bytes, t.Any]:
        async with self._room:
            if self.closed:
                raise ConnectionResetError("the server closed the connection")
            self._next_id = message_id = (self._next_id + 1) % 65536
            wire, query = build(message_id)
            answer = self._waiting[message_id] = asyncio.get_running_loop().create_future()
            try:
                # Bounded by PIPELINED, so there is no need to wait for the buffer to drain.
                self._writer.write(len(wire).to_bytes(2, "big") + wire)
                return await asyncio.wait_for(answer, timeout), query
            finally:
                del self._waiting[message_id]

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                wire = await reader.readexactly(size)
                answer = self._waiting.get(int.from_bytes(wire[:2], "big"))
                if answer is not None and not answer.done():
                    answer.set_result(wire)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed = True
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionResetError("the server closed the connection"))

    async def close(self) -> None:
        self._reading.cancel()
        self._writer.close()
        await asyncio.gather(self._reading, self._writer.wait_closed(), return_exceptions=True)


class Server:
    """The primary server of the zones, with the key that it knows."""

    def __init__(self, host: str, port: int, timeout: float, key: dns.tsig.Key | None) -> None:
        self.host, self.port, self.timeout, self.key = host, port, timeout, key
        self._connections: list[_Connection | None] = [None] * CONNECTIONS
        self._opening = asyncio.Lock()
        self._turn = 0

    def __str__(self) -> str:
        return f"server {self.host} port {self.port}"

    @property
    def key_words(self) -> str:
        if self.key is None:
            return "without a TSIG key"
        return f"with TSIG key {self.key.name.to_text(omit_final_dot=True)!r}"

    async def query(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.message.Message:
        return await self._exchange(
            lambda message_id: dns.message.make_query(name, rdtype, use_edns=0, id=message_id, flags=0)
        )

    async def update(self, zone: dns.name.Name, fill: t.Callable[[dns.update.UpdateMessage], None]) -> str:
        """Send one update, return the response code."""

        def build(message_id: int) -> dns.message.Message:
            message = dns.update.UpdateMessage(zone, id=message_id)
            fill(message)
            return message

        return dns.rcode.to_text((await self._exchange(build)).rcode())

    async def close(self) -> None:
        await asyncio.gather(*(one.close() for one in self._connections if one is not None))

    async def _exchange(self, make: t.Callable[[int], dns.message.Message]) -> dns.message.Message:
        def build(message_id: int) -> tuple[bytes, dns.message.Message]:
            query = make(message_id)
            if self.key is not None:
                query.use_tsig(self.key)
            return query.to_wire(max_size=65535), query

        try:
            try:
                wire, query = await (await self._connection()).exchange(build, self.timeout)
            except ConnectionError:
                # Servers close idle or busy connections; a second failure means something.
                wire, query = await (await self._connection()).exchange(build, self.timeout)
        # Before OSError: since Python 3.11 it is one.
        except asyncio.TimeoutError:
            raise ServerError(f"{self} did not answer within {self.timeout:g} s") from None
        except OSError as exc:
            raise ServerError(f"{self} cannot be reached over TCP: {exc}") from exc
        return self._check(query, wire)

    async def _connection(self) -> _Connection:
        self._turn = turn = (self._turn + 1) % CONNECTIONS
        async with self._opening:
            connection = self._connections[turn]
            if connection is None or connection.closed:
                if connection is not None:
                    await connection.close()
                self._connections[turn] = None
                streams = await asyncio.wait_for(asyncio.open_connection(self.host, self.port), self.timeout)
                connection = self._connections[turn] = _Connection(*streams)
        return connection

    def _check(self, query: dns.message.Message, wire: bytes) -> dns.message.Message:
        """Parse an answer and hold it to the query and to the key (RFC 8945 5.3)."""
        keyring = None if self.key is None else {self.key.name: self.key}
        try:
            answer = dns.message.from_wire(wire, keyring=keyring, request_mac=query.mac)
        except dns.tsig.PeerBadKey:
            raise ServerError(
                f"{self} does not know this key {self._full_key} (BADKEY): compare key_name and "
                "key_algorithm with the server's configuration"
            ) from None
        except (dns.tsig.PeerBadSignature, dns.tsig.PeerBadTruncation, dns.tsig.BadSignature):
            raise ServerError(
                f"{self} does not accept the signature {self._full_key} (BADSIG): key_secret is not the "
                "secret that the server has under this name"
            ) from None
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            raise ServerError(
                f"{self} does not accept the time of the signature {self._full_key} (BADTIME): the clocks of "
                "this host and of the server differ by more than 5 minutes"
            ) from None
        except (dns.exception.DNSException, ValueError) as exc:
            raise ServerError(f"{self} sent an answer that cannot be used {self._full_key}: {exc!r}") from exc
        if not query.is_response(answer):
            raise ServerError(f"{self} sent an answer to another question")
        if self.key is not None and not answer.had_tsig:
            raise ServerError(
                f"{self} did not sign its answer ({dns.rcode.to_text(answer.rcode())}) {self._full_key}: "
                "is it the server itself, and does it support TSIG?"
            )
        return answer

    @property
    def _full_key(self) -> str:
        if self.key is None:
            return self.key_words
        return f"{self.key_words} ({self.key.algorithm.to_text(omit_final_dot=True)})"


_Any = t.TypeVar("_Any")


async def _for_each(things: t.Collection[_Any], at_once: int, work: t.Callable[[_Any], t.Awaitable[None]]) -> None:
    """Do the work for each thing, a bounded number at once; the first error ends all."""
    left = iter(things)

    async def worker() -> None:
        for thing in left:
            await work(thing)

    workers = [asyncio.ensure_future(worker()) for _ in range(min(at_once, len(things)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


# Reading


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


# Planning and updating


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
        if _same(one.before, one.wanted) and (one.alias is None or one.wanted is None):
            one.status = "ok"

    async def _plan(self, one: RecordSet) -> None:
        """Find out what stands in the way of a set that differs, and what only a wildcard answers."""
        neighbour = _neighbour(one.name)
        if one.before is not None:
            reading = Reading() if neighbour is None else await read(self.server, neighbour, one.rdtype)
            if _same(reading.rdataset, one.before):
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
                    "remove the CNAME set in the same call"
                )
        elif one.rdtype == dns.rdatatype.CNAME and one.name_exists:
            data = await data_at(self.server, one.name)
            wild = await data_at(self.server, neighbour) if data and neighbour is not None else {}
            own = {rdtype for rdtype, rdataset in data.items() if not _same(rdataset, wild.get(rdtype))}
            others = sorted(own - self._removed[one.name])
            if others:
                raise SetError(
                    f"{one.name} has {', '.join(others)} data, beside which there can be no CNAME: "
                    "remove these sets in the same call"
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
        for batch in _batches(_units(record_sets)):
            await self._update(zone, batch)

    async def _update(self, zone: dns.name.Name, units: list[list[RecordSet]]) -> None:
        """Send some units in one message, and one by one if the server does not take them together."""
        record_sets = [one for unit in units for one in unit]
        try:
            rcode = await self.server.update(zone, lambda message: _fill(message, units))
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
        if not _same(now, one.wanted) and not (one.wanted is None and await self._from_wildcard(one, now)):
            raise SetError(
                f"{self.server} accepted the update but still answers {_shown(now)} instead of {_shown(one.wanted)}"
            )

    async def _from_wildcard(self, one: RecordSet, now: dns.rdataset.Rdataset | None) -> bool:
        neighbour = _neighbour(one.name)
        return neighbour is not None and _same((await read(self.server, neighbour, one.rdtype)).rdataset, now)

    async def _overtaken(self, one: RecordSet) -> None:
        reading = await read(self.server, one.name, one.rdtype)
        if _same(reading.rdataset, one.wanted) and reading.alias is None:
            # By somebody else, or by this run when the answer to its update was lost.
            one.status, one.applied = "changed", True
            return
        now = f"a CNAME to {reading.alias}" if reading.alias is not None else _shown(reading.rdataset)
        raise SetError(f"{one.name} changed meanwhile, run again: {self.server} now answers {now}")

    def _refusal(self, zone: dns.name.Name, rcode: str) -> str:
        told = f"{self.server} refused the update of zone {zone} {self.server.key_words} ({rcode})"
        if rcode == "REFUSED":
            return f"{told}: let it accept updates of this set with this key (BIND: allow-update, update-policy)"
        if rcode == "NOTAUTH":
            return f"{told}: it is not the primary server of this zone; correct server or zone"
        if rcode == "NOTIMP":
            return f"{told}: it does not support updates"
        return f"{told}: the server's log tells more"


def _units(record_sets: list[RecordSet]) -> list[list[RecordSet]]:
    """Keep together what must change together: a CNAME and the other sets at its name."""
    by_name: defaultdict[dns.name.Name, list[RecordSet]] = defaultdict(list)
    for one in record_sets:
        by_name[one.name].append(one)
    units: list[list[RecordSet]] = []
    for group in by_name.values():
        if any(one.rdtype == dns.rdatatype.CNAME for one in group):
            # Removals first: servers ignore what they cannot add at that moment (RFC 2136 3.4.2.2).
            units.append(sorted(group, key=lambda one: one.wanted is not None))
        else:
            units.extend([one] for one in group)
    return units


def _batches(units: list[list[RecordSet]]) -> t.Iterator[list[list[RecordSet]]]:
    batch: list[list[RecordSet]] = []
    sets = size = 0
    for unit in units:
        unit_size = sum(_wire_size(one) for one in unit)
        if batch and (sets + len(unit) > BATCH_SETS or size + unit_size > BATCH_BYTES):
            yield batch
            batch, sets, size = [], 0, 0
        batch.append(unit)
        sets, size = sets + len(unit), size + unit_size
    if batch:
        yield batch


def _wire_size(one: RecordSet) -> int:
    """Return an upper bound of what a set takes in an update, with its prerequisites."""
    head = len(one.name.to_wire() or b"") + 10
    rdatas = [rdata for rdataset in (one.before, one.wildcard, one.wanted) for rdata in rdataset or ()]
    return 3 * head + sum(head + len(rdata.to_wire() or b"") for rdata in rdatas)


def _fill(message: dns.update.UpdateMessage, units: list[list[RecordSet]]) -> None:
    for unit in units:
        removed = {one.rdtype for one in unit if one.wanted is None}
        for one in unit:
            if one.before is not None:
                message.present(one.name, *one.before)
                message.delete(one.name, one.rdtype)
            elif one.rdtype == dns.rdatatype.CNAME and not removed:
                message.absent(one.name)
            else:
                message.absent(one.name, one.rdtype)
                # BIND ignores, with NOERROR, what is added beside a CNAME.
                if dns.rdatatype.CNAME not in removed | {one.rdtype}:
                    message.absent(one.name, dns.rdatatype.CNAME)
            if one.wanted is not None:
                message.add(one.name, one.wanted)


# One call


def load_document(path: str, section: str) -> object:
    """Return the list of one section of a document with record sets."""
    try:
        document = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as exc:
        raise InputError(f"document {path!r} cannot be read: {exc}") from exc
    try:
        return document["record_sets"][section]
    except (KeyError, TypeError, IndexError):
        raise InputError(f"document {path!r} has no list record_sets.{section}") from None


def write_json(path: str, content: object) -> None:
    """Replace a file at once; a reader sees the old or the new one."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink()
        raise


async def _reconcile(params: dict[str, t.Any], record_sets: list[RecordSet], check_mode: bool) -> str:
    """Work on the sets; return the error that concerns all of them, or nothing."""
    key = None
    if params["key_name"] is not None:
        key = make_key(params["key_name"], params["key_algorithm"], params["key_secret"])
    server = Server(params["server"], params["port"], params["timeout"], key)
    try:
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
            write_json(params["results"], {"counts": result["counts"], "results": results})
        except OSError as exc:
            # What was changed is told all the same.
            trouble = "; ".join(filter(None, [trouble, f"results {params['results']!r} cannot be written: {exc}"]))
    result["failed"] = bool(trouble or (failed and not params["continue_on_error"]))
    if trouble:
        result["msg"] = trouble
    elif failed:
        told = _bounded_list("; ".join, [f"{one.label}: {one.error}" for one in failed], LISTED_FAILURES)
        result["msg"] = f"{len(failed)} of {len(record_sets)} record sets failed: {told}"
    return result
