# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Record sets as values: what the user wrote, checked, and what the server has, compared and shown.

Needs dnspython, speaks to nobody. Private to this collection.
"""

from __future__ import annotations

import struct
import traceback
import typing as t
from collections import defaultdict
from dataclasses import dataclass

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

    IMPORT_ERROR = ""
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

DIFF_SETS = 500
LISTED_MISTAKES = 50
QUOTED_CHARACTERS = 300
OPTIONS = frozenset({"name", "type", "ttl", "values", "expected", "seen", "zone", "item"})
PLAIN_TEXT_TYPES = frozenset({"TXT", "SPF"})
# Of these it matters what else there is, and in which zone.
NEEDS_A_LOOK = frozenset({"CNAME", "DS", "NS"})
# What the server makes itself, or what RFC 2136 3.4.2 does not let an update replace.
SERVERS_OWN_TYPES = frozenset({"SOA", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM"})


def dnspython_error(major: int, minor: int) -> str:
    """What keeps a module from work that needs this dnspython, or a newer one; nothing where it is there."""
    if IMPORT_ERROR or (major, minor) <= (dns.version.MAJOR, dns.version.MINOR):
        return IMPORT_ERROR
    return f"found dnspython {dns.version.version}"


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
    # The contents that an update may replace; None: any.
    expected: frozenset[object] | None = None
    # DNS was just seen to have it: there is no need to ask again.
    seen: bool = False
    before: dns.rdataset.Rdataset | None = None
    # The name's CNAME, where another type was asked for.
    alias: dns.name.Name | None = None
    name_exists: bool = False
    # What the server answers from a wildcard: it may also be there under the very name.
    wildcard: dns.rdataset.Rdataset | None = None
    # Awaited: others put it into DNS, and it is not there yet.
    status: t.Literal["", "ok", "changed", "awaited", "failed"] = ""
    error: str = ""
    # The server accepted an update of this set, whatever it answered afterwards.
    applied: bool = False

    @property
    def is_new(self) -> bool:
        """Whether it was seen that there is nothing at its name, and in which zone: an update can begin with that."""
        asked = self.wanted is not None and self.zone is not None and self.expected == frozenset()
        return asked and dns.rdatatype.to_text(self.rdtype) not in NEEDS_A_LOOK

    @property
    def type(self) -> str:
        return dns.rdatatype.to_text(self.rdtype)

    @property
    def label(self) -> str:
        own = f"{self.name.to_text(omit_final_dot=True)} {self.type}"
        return f"{own} ({self.item})" if self.item else own

    def settle_if_seen(self) -> bool:
        """Whether that is all there is to do about it."""
        if self.seen:
            self.before, self.status = self.wanted, "ok"
        return self.seen

    def fail(self, error: str) -> None:
        self.status, self.error = "failed", error

    def result(self) -> dict[str, t.Any]:
        return {
            "name": self.name.to_text(omit_final_dot=True),
            "type": self.type,
            "item": self.item,
            "zone": self.zone.to_text(omit_final_dot=True) if self.zone else "",
            "status": self.status,
            "before": values_of(self.before),
            "after": values_of(self.before if self.status == "failed" else self.wanted),
            "error": self.error,
        }


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
        raise InputError(bounded_list("\n".join, mistakes, LISTED_MISTAKES))
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
    wanted = _parse_values(rdtype, ttl, entry.get("values"), "values")
    expected = None
    if entry.get("expected") is not None:
        expected = contents(_parse_values(rdtype, ttl, entry["expected"], "expected"))
    return RecordSet(name, rdtype, wanted, item, zone, expected, seen=entry.get("seen") is True)


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
    # Before dnspython 2.9 the second is what it says to an escaped number above 255.
    except (dns.exception.DNSException, struct.error) as exc:
        raise ValueError(f"{option} {text!r} is no domain name: {exc}") from exc


def _parse_type(text: object) -> dns.rdatatype.RdataType:
    try:
        rdtype = dns.rdatatype.from_text(text if isinstance(text, str) else "")
    except (dns.exception.DNSException, ValueError) as exc:
        raise ValueError(f"type must be a DNS record type such as TXT, not {text!r}") from exc
    if dns.rdatatype.is_metatype(rdtype) or dns.rdatatype.to_text(rdtype) in SERVERS_OWN_TYPES:
        raise ValueError(f"type {text!r} cannot be managed with updates")
    return rdtype


def _parse_values(
    rdtype: dns.rdatatype.RdataType, ttl: int, values: object, option: str
) -> dns.rdataset.Rdataset | None:
    if not isinstance(values, list):
        raise ValueError(f"{option} must be a list of strings (an empty one: no such set), not {values!r}")
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
            return text_rdata(rdtype, value)
        if not value.isascii() or not value.isprintable() or "@" in value.split():
            raise ValueError("write names in full, in A-labels, on one line")
        rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, value, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as exc:
        raise ValueError(f"value {value!r} is no {dns.rdatatype.to_text(rdtype)} data: {exc}") from exc
    if rdata.rdcomment is not None:
        raise ValueError(f"value {value!r}: what follows an unquoted ; is a comment, put it into quotes")
    return rdata


def text_rdata(rdtype: dns.rdatatype.RdataType, text: str) -> dns.rdata.Rdata:
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
            other = group[0][0] if group[0][0] != alias else group[1][0]
            yield (
                f"{what}[{alias}] and {what}[{other}]: a CNAME at {group[0][1].name} "
                "cannot have other data beside it (RFC 1034 3.6.2)"
            )


def values_of(rdataset: dns.rdataset.Rdataset | None) -> dict[str, t.Any] | None:
    """Return a set in the words of the options, or None if there is none."""
    if rdataset is None:
        return None
    return {"ttl": rdataset.ttl, "values": sorted(_value(rdata) for rdata in rdataset)}


def _value(rdata: dns.rdata.Rdata) -> str:
    content = _content(rdata)
    return content.decode(errors="backslashreplace") if isinstance(content, bytes) else content.to_text()


def _content(rdata: dns.rdata.Rdata) -> bytes | dns.rdata.Rdata:
    if dns.rdatatype.to_text(rdata.rdtype) in PLAIN_TEXT_TYPES:
        return b"".join(rdata.strings)  # type: ignore[attr-defined]
    return rdata


def contents(rdataset: dns.rdataset.Rdataset | None) -> frozenset[object]:
    """Return what a set says, whatever its TTL and however its texts are cut into strings."""
    return frozenset(_content(rdata) for rdata in rdataset or ())


def same(one: dns.rdataset.Rdataset | None, other: dns.rdataset.Rdataset | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.ttl == other.ttl and one == other


def zone_lines(record_set: RecordSet, rdataset: dns.rdataset.Rdataset | None) -> list[str]:
    """Return a set as lines of a zone file, with absolute names, in an order that does not change."""
    if rdataset is None:
        return []
    start = f"{record_set.name} {rdataset.ttl} IN {record_set.type}"
    return sorted(f"{start} {rdata.to_text()}" for rdata in rdataset)


def beside_alias(one: RecordSet, alias: dns.name.Name) -> str:
    return (
        f"{one.name} is a CNAME to {alias}, beside which there can be no {one.type} set: "
        "remove that CNAME first, or in the same call"
    )


def beside_data(one: RecordSet, types: t.Iterable[str]) -> str:
    return (
        f"{one.name} has {', '.join(sorted(types))} data, beside which there can be no CNAME: "
        "remove these sets in the same call"
    )


def keep_together(record_sets: t.Iterable[RecordSet]) -> None:
    """Leave what an alias takes the place of, and an alias that gives way, if the other cannot be changed."""
    by_name: defaultdict[dns.name.Name, list[RecordSet]] = defaultdict(list)
    for one in record_sets:
        by_name[one.name].append(one)
    for group in by_name.values():
        failed = next((one for one in group if one.status == "failed"), None)
        if failed is None or all(one.rdtype != dns.rdatatype.CNAME for one in group):
            continue
        for one in group:
            if not one.status:
                one.fail(f"{one.name} is left as it is, since the {failed.type} set there cannot be changed")


def overtaken(one: RecordSet, who: object, now: dns.rdataset.Rdataset | None) -> str:
    return f"{one.name} changed since the plan was made, run again: {who} now answers {shown(now)}"


def shown(rdataset: dns.rdataset.Rdataset | None) -> str:
    """Return what a server answered, escaped and bounded, for a message."""
    if rdataset is None:
        return "nothing"
    text = ", ".join(sorted(rdata.to_text() for rdata in rdataset))
    return f"{text[:QUOTED_CHARACTERS]} (TTL {rdataset.ttl})"


def diff_text(record_sets: t.Iterable[RecordSet], limit: int = DIFF_SETS) -> dict[str, str]:
    """Return the sets that change, or that others are to change, as zone file lines, in the order of a zone."""
    changing = (one for one in record_sets if one.status in ("changed", "awaited"))
    changed = sorted(changing, key=lambda one: (one.name, one.rdtype))
    before = [line for one in changed[:limit] for line in zone_lines(one, one.before)]
    after = [line for one in changed[:limit] for line in zone_lines(one, one.wanted)]
    if len(changed) > limit:
        after.append(f"; and {len(changed) - limit} more changed record sets")
    return {
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
    }


def bounded_list(join: t.Callable[[list[str]], str], texts: list[str], limit: int) -> str:
    more = [f"and {len(texts) - limit} more"] if len(texts) > limit else []
    return join(texts[:limit] + more)
