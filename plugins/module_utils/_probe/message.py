# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""DNS messages (RFC 1035 4): the few kinds of questions that are asked here, and what answers say to them.

Most of what a look-up costs is to take its answer apart. A general library builds objects of everything in it; here
only what was asked for is looked at, which takes a tenth of the time. Names that are not plain are left to dnspython.
Names are handled in their wire form, lower case. Speaks to nobody. Private to this collection.
"""

from __future__ import annotations

import re
import socket
import struct
import typing as t

try:
    import dns.exception
    import dns.name
except ImportError:  # reported by the modules, which need it
    pass

A, NS, CNAME, SOA, MX, TXT, AAAA, TLSA, CAA = 1, 2, 5, 6, 15, 16, 28, 52, 257
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP = 0, 1, 2, 3, 4
# Flags: answer, authoritative, truncated, recursion desired and available, authentic data, checking disabled.
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
_OPCODE = 0x7800

# The largest answer that may come by UDP: no path breaks it into fragments, which could be forged.
PAYLOAD = 1232
# No honest name needs so many, and nobody may make a probe work without end.
POINTERS = 64
CHAIN = 16

_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")
_OPT = struct.pack("!BHHIH", 0, 41, PAYLOAD, 0, 0)
_INTERNET = 1
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_PLAIN_LABELS = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class MessageError(ValueError):
    """What came is no DNS message, or not one that can be an answer."""


class Record(t.NamedTuple):
    """One record of the class IN. The C(data) of NS and CNAME is a name, of MX and TXT a tuple, of others bytes."""

    owner: bytes
    rdtype: int
    ttl: int
    data: t.Any


class Reply(t.NamedTuple):
    """What a server said, without the section of additional records."""

    flags: int
    answer: list[Record]
    authority: list[Record]

    @property
    def rcode(self) -> int:
        return self.flags & 0xF


class Chain(t.NamedTuple):
    """What is at the end of a chain of aliases, which may have none: the data of the records there, if any."""

    end: bytes
    data: list[t.Any]
    ttl: t.Optional[int]


def to_wire(name: str) -> bytes:
    """A name in wire form. Raises ValueError for what is none."""
    if _PLAIN.fullmatch(name) and len(name) < 254:
        labels = name.lower().rstrip(".").encode("ascii").split(b".")
        return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    try:
        return dns.name.from_text(name).to_wire().lower()  # type: ignore[union-attr]
    # Before dnspython 2.9 the second is what it says to an escaped number above 255.
    except (dns.exception.DNSException, struct.error) as error:
        raise ValueError(f"is no domain name: {error}") from None


def to_text(wire: bytes) -> str:
    """A name as text without the final dot; that of the root is empty."""
    labels = _labels(wire)
    text = b".".join(labels)
    if _PLAIN_LABELS.fullmatch(text) and text.count(b".") == len(labels) - 1:
        return text.decode("ascii")
    return dns.name.Name([*labels, b""]).to_text(omit_final_dot=True) if labels else ""


def parent(wire: bytes) -> bytes:
    """The name above a name that is not the root."""
    return wire[1 + wire[0] :]


def is_below(name: bytes, zone: bytes) -> bool:
    """Whether a name is the other, or below it."""
    while len(name) > len(zone):
        name = parent(name)
    return name == zone


def _labels(wire: bytes) -> list[bytes]:
    labels, at = [], 0
    while wire[at]:
        labels.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return labels


def make_query(identifier: int, name: bytes, rdtype: int, flags: int, *, edns: bool = True) -> bytes:
    """A question for one record set, with EDNS (RFC 6891) where the server takes it."""
    header = _HEADER.pack(identifier, flags, 1, 0, 0, edns)
    return header + name + struct.pack("!HH", rdtype, _INTERNET) + (_OPT if edns else b"")


def is_answer(data: bytes, query: bytes) -> bool:
    """Whether this is an answer to the very question, and not something that somebody else sent."""
    if len(data) < _HEADER.size or data[:2] != query[:2]:
        return False
    flags = int.from_bytes(data[2:4], "big")
    if flags & (QR | _OPCODE) != QR:
        return False
    if data[4:6] == b"\0\0":
        # Who refuses a question need not repeat it.
        return flags & 0xF not in (NOERROR, NXDOMAIN)
    # Servers may change case (RFC 4343); behind the question there is EDNS or nothing.
    end = len(query) - len(_OPT) * query[11]
    return data[4:6] == b"\0\1" and data[_HEADER.size : end].lower() == query[_HEADER.size : end].lower()


def is_truncated(data: bytes) -> bool:
    """Whether an answer is not whole, and its records better left alone."""
    return bool(data[2] & TC >> 8)


def parse_reply(data: bytes) -> Reply:
    """Raises MessageError."""
    try:
        _identifier, flags, questions, answers, authorities, _additional = _HEADER.unpack_from(data)
        at = _HEADER.size
        for _question in range(min(questions, 2)):
            _name_of, at = _name(data, at)
            at += 4
        answer, at = _records(data, at, answers)
        authority, at = _records(data, at, authorities)
    except (IndexError, struct.error, OSError):
        raise MessageError("the message ends too early") from None
    return Reply(flags, answer, authority)


def follow(reply: Reply, name: bytes, rdtype: int) -> Chain:
    """The records of a type at a name, or where its aliases lead. Raises MessageError for a chain without end."""
    aliases = {record.owner: record.data for record in reply.answer if record.rdtype == CNAME}
    for _alias in range(CHAIN + 1):
        found = [record for record in reply.answer if record.rdtype == rdtype and record.owner == name]
        if found:
            return Chain(name, [record.data for record in found], min(record.ttl for record in found))
        if name not in aliases:
            return Chain(name, [], None)
        name = aliases[name]
    raise MessageError("the chain of aliases is too long")


def parse_data(data: bytes, rdtype: int) -> t.Any:
    """The data of one record as L(Record) has it, from its wire form without compression. Raises MessageError."""
    try:
        return _data(data, 0, len(data), rdtype)
    except IndexError:
        raise MessageError("the data of a record ends too early") from None


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    """The name at a place of a message (RFC 1035 4.1.4), and the place behind it."""
    wire, after, start = b"", 0, at
    for _pointer in range(POINTERS):
        while 0 < (length := data[at]) < 64:
            wire += data[at : at + 1 + length]
            at += 1 + length
            if len(wire) > 254:
                raise MessageError("a name is too long")
        after = after or at + (2 if length else 1)
        if not length:
            return wire.lower() + b"\0", after
        target = (length & 0x3F) << 8 | data[at + 1]
        # Only backwards, so that there is no circle.
        if length < 192 or target >= start:
            raise MessageError("a name is garbled")
        at = start = target
    raise MessageError("a name is too scattered")


def _records(data: bytes, at: int, count: int) -> tuple[list[Record], int]:
    records = []
    for _record in range(count):
        owner, at = _name(data, at)
        rdtype, rdclass, ttl, length = _FIXED.unpack_from(data, at)
        at += _FIXED.size
        if at + length > len(data):
            raise MessageError("the message ends within a record")
        if rdclass == _INTERNET:
            # RFC 2181 8: what is no positive number of 31 bits is zero.
            records.append(Record(owner, rdtype, 0 if ttl >> 31 else ttl, _data(data, at, length, rdtype)))
        at += length
    return records, at


def _data(data: bytes, at: int, length: int, rdtype: int) -> t.Any:
    end = at + length
    value: t.Any
    if rdtype == TXT:
        value = []
        while at < end:
            value.append(data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
        value = tuple(value)
    elif rdtype in (NS, CNAME):
        value, at = _name(data, at)
    elif rdtype == MX:
        exchange, at = _name(data, at + 2)
        value = (data[end - length] << 8 | data[end - length + 1], exchange)
    elif rdtype in (A, AAAA):
        if length != (4 if rdtype == A else 16):
            raise MessageError("an address is garbled")
        return socket.inet_ntop(socket.AF_INET if rdtype == A else socket.AF_INET6, data[at:end])
    elif rdtype == TLSA and length < 4:
        raise MessageError("a TLSA record is garbled")
    elif rdtype == CAA and (length < 2 or not 0 < data[at + 1] <= length - 2):
        raise MessageError("a CAA record is garbled")
    else:
        return data[at:end]
    if at != end or not length:
        raise MessageError("the data of a record is garbled")
    return value
