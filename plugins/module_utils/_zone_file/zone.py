# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record sets that a zone file and our fragment hold, and where each of them stands.

dnspython reads names and data. Its reader of whole files is not used: it opens any file, of any size, that
C($INCLUDE) names, it does not tell which record stands where, and that of 2.3 overlooks what follows a relative
C($ORIGIN). Private to this collection.
"""

from __future__ import annotations

import os
import re
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

try:
    import dns.exception
    import dns.name
    import dns.rdata
    import dns.rdataclass
    import dns.rdataset
    import dns.rdatatype
    import dns.ttl
except ImportError:  # reported by the module, which needs it
    pass

from .._record_sets.record_set import SERVERS_OWN_TYPES, SetError
from .places import MAX_BYTES, PlaceError, read_file
from .text import Entry, Record, Word, ZoneTextError, entries, included, record

MAX_FILES = 1000
MAX_DEPTH = 10


@dataclass
class Held:
    """A record set and the place of its first record."""

    rdataset: dns.rdataset.Rdataset
    where: str


Sets = defaultdict["dns.name.Name", "dict[dns.rdatatype.RdataType, Held]"]


def _no_sets() -> Sets:
    return defaultdict(dict)


@dataclass
class Reading:
    """What a zone consists of, so far as it was asked for: their part of it, and ours."""

    theirs: Sets = field(default_factory=_no_sets)
    ours: Sets = field(default_factory=_no_sets)
    # Where the zone file includes our fragment.
    includes: list[Word] = field(default_factory=list)


def read_zone(
    path: str,
    text: bytes,
    fragment: tuple[str, bytes | None],
    origin: dns.name.Name,
    names: t.Collection[dns.name.Name],
) -> Reading:
    """Read what a zone has at these names, and all that our fragment has, given its path and text.

    What a fragment holds that the zone does not include is not in the zone. Raises SetError.
    """
    theirs = _Reader(fragment[0], origin, names)
    theirs.read(path, text)
    reading = Reading(theirs.sets, includes=theirs.includes)
    if reading.includes and fragment[1] is not None:
        ours = _Reader(None, origin, None)
        ours.read(*t.cast("tuple[str, bytes]", fragment))
        reading.ours = ours.sets
    return reading


class _Reader:
    """Goes through a zone file and what it includes, except for our fragment."""

    def __init__(self, fragment: str | None, origin: dns.name.Name, names: t.Collection[dns.name.Name] | None) -> None:
        self.sets = _no_sets()
        self.includes: list[Word] = []
        self._fragment = None if fragment is None else os.path.realpath(fragment)
        self._names = names
        self._files, self._bytes_left = 0, MAX_BYTES
        self._origin = self._name = origin
        self._default_ttl: int | None = None
        self._last_ttl: int | None = None
        self._soa_ttl: int | None = None
        self._directory = ""

    def read(self, path: str, text: bytes, depth: int = 0) -> None:
        self._directory = self._directory or str(Path(path).parent)
        self._files, self._bytes_left = self._files + 1, self._bytes_left - len(text)
        if self._files > MAX_FILES or depth > MAX_DEPTH:
            raise SetError(f"{path} is one file too many: a zone may have {MAX_FILES} here, included {MAX_DEPTH} deep")
        line = 0
        try:
            for entry in entries(text):
                line = entry.line
                if entry.directive == b"$INCLUDE":
                    self._include(entry, path, depth)
                else:
                    self._take(entry, f"{path}:{line}")
        except ZoneTextError as exc:
            raise SetError(f"{path}:{exc.line}: {exc}") from exc
        except (dns.exception.DNSException, ValueError) as exc:
            raise SetError(f"{path}:{line}: this cannot be read: {exc}") from exc

    def _include(self, entry: Entry, path: str, depth: int) -> None:
        word = included(entry)
        other = str(Path(self._directory) / os.fsdecode(word.text.strip(b'"')))
        if os.path.realpath(other) == self._fragment:
            if depth:
                raise SetError(f"{path}:{entry.line} includes {other}: let the zone file itself do that")
            self.includes.append(word)
            return
        origin, name = self._origin, self._name
        if len(entry.words) == 3:
            self._origin = self._absolute(entry.words[2].text)
        try:
            self.read(other, read_file(other, max(self._bytes_left, 0)), depth + 1)
        except PlaceError as exc:
            raise SetError(f"{path}:{entry.line} includes a file that cannot be read: {exc}") from exc
        # Both are what they were before (RFC 1035 5.1).
        self._origin, self._name = origin, name

    def _take(self, entry: Entry, where: str) -> None:
        if entry.directive == b"$ORIGIN" and len(entry.words) > 1:
            self._origin = self._absolute(entry.words[1].text)
        elif entry.directive == b"$TTL" and len(entry.words) > 1:
            self._default_ttl = dns.ttl.from_text(entry.words[1].text.decode())
        elif not entry.directive:
            self._take_record(record(entry), where)

    def _take_record(self, one: Record, where: str) -> None:
        # A name that is not in ASCII is none of those that are asked for.
        if one.name is not None:
            self._name = self._absolute(one.name) if one.name.isascii() else dns.name.root
        if one.ttl is not None:
            self._last_ttl = dns.ttl.from_text(one.ttl.decode())
        if one.type == b"SOA" and len(one.data) > 6:
            self._soa_ttl = dns.ttl.from_text(one.data[6].text.decode())
        if one.type == b"RRSIG":
            raise SetError(
                f"{where}: the zone is signed in its file, so records of ours are not: let the server sign it"
            )
        if one.rdclass == b"IN" and (self._names is None or self._name in self._names):
            self._add(one, where)

    def _add(self, one: Record, where: str) -> None:
        rdtype = dns.rdatatype.from_text(one.type.decode())
        if dns.rdatatype.to_text(rdtype) in SERVERS_OWN_TYPES:
            return
        text = re.sub(rb"[\x80-\xff]", lambda byte: b"\\%03d" % byte.group()[0], b" ".join(w.text for w in one.data))
        rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, text.decode(), self._origin, relativize=False)
        held = self.sets[self._name].setdefault(rdtype, Held(dns.rdataset.Rdataset(dns.rdataclass.IN, rdtype), where))
        held.rdataset.add(rdata, self._ttl(one))

    def _ttl(self, one: Record) -> int:
        """The TTL that is written, or the default (RFC 2308 4), or the last one (RFC 1035 5.1)."""
        if one.ttl is not None:
            return dns.ttl.from_text(one.ttl.decode())
        for ttl in (self._default_ttl, self._last_ttl, self._soa_ttl):
            if ttl is not None:
                return ttl
        raise ValueError("there is no TTL, and no default")

    def _absolute(self, text: bytes) -> dns.name.Name:
        return dns.name.from_text(text.decode("ascii"), self._origin)
