# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of record sets in a zone that is kept in files: what is in place, what changes, what stands in the way.

Speaks to nobody. Private to this collection.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict

try:
    import dns.name
    import dns.rdataclass
    import dns.rdataset
    import dns.rdatatype
except ImportError:  # reported by the module, which needs it
    pass

from .._record_sets.answers import neighbour
from .._record_sets.record_set import RecordSet, contents, keep_together, same, shown, zone_lines
from .zone import Reading

HEADER = """\
; The records that the Ansible collection postmaster.mta_sts keeps in the zone {zone}.
; Its module zonefile_record_sets rewrites this file whole: do not edit it.
"""


def names_of(record_sets: t.Iterable[RecordSet]) -> set[dns.name.Name]:
    """The names that a plan has to know of, with those that show what a wildcard answers."""
    names = {one.name for one in record_sets}
    return names | {beside for beside in map(neighbour, names) if beside is not None}


def plan(record_sets: t.Iterable[RecordSet], reading: Reading, path: str) -> None:
    """Tell what each set is, and which are in place or cannot be changed. What is to change stays without a status."""
    by_name: defaultdict[dns.name.Name, list[RecordSet]] = defaultdict(list)
    for one in record_sets:
        one.before, one.alias = _held(reading, one.name, one.rdtype), _alias(reading, one)
        if same(one.before, one.wanted):
            one.status = "ok"
        else:
            _hold_to_expected(one, reading, path)
            _hold_to_theirs(one, reading)
        by_name[one.name].append(one)
    for group in by_name.values():
        _keep_aliases_alone(group, reading)


def _held(reading: Reading, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.rdataset.Rdataset | None:
    """What the zone has there, in both parts."""
    there = [part[name][rdtype].rdataset for part in (reading.theirs, reading.ours) if rdtype in part.get(name, ())]
    if not there:
        return None
    whole = dns.rdataset.Rdataset(dns.rdataclass.IN, rdtype)
    for rdataset in there:
        for rdata in rdataset:
            whole.add(rdata, rdataset.ttl)
    return whole


def _alias(reading: Reading, one: RecordSet) -> dns.name.Name | None:
    found = None if one.rdtype == dns.rdatatype.CNAME else _held(reading, one.name, dns.rdatatype.CNAME)
    return None if found is None else t.cast("dns.name.Name", found[0].target)


def _hold_to_expected(one: RecordSet, reading: Reading, path: str) -> None:
    """Leave a set alone that is not what it was when somebody decided what it shall be."""
    # What an alias answers is no set of the name, though it was seen as one.
    if one.expected is None or one.alias is not None:
        return
    beside = neighbour(one.name)
    wild = _held(reading, beside, one.rdtype) if beside is not None and one.before is None else None
    if one.expected not in (contents(one.before), contents(wild or one.before)):
        one.fail(f"{one.name} changed since the plan was made, run again: {path} now answers {shown(one.before)}")


def _hold_to_theirs(one: RecordSet, reading: Reading) -> None:
    theirs = reading.theirs.get(one.name, {}).get(one.rdtype)
    if not one.status and theirs is not None:
        one.fail(f"{shown(theirs.rdataset)} stands in {theirs.where}, which is yours: take it out there, and run again")


def _keep_aliases_alone(group: t.Sequence[RecordSet], reading: Reading) -> None:
    """Fail what would put a CNAME and other data at one name (RFC 1034 3.6.2)."""
    name = group[0].name
    places = {rdtype: held.where for part in (reading.ours, reading.theirs) for rdtype, held in part[name].items()}
    changing = [one for one in group if not one.status]
    then = set(places) - {one.rdtype for one in changing if one.wanted is None}
    then |= {one.rdtype for one in changing if one.wanted is not None}
    if dns.rdatatype.CNAME not in {*then, *places}:
        return
    others = sorted(dns.rdatatype.to_text(rdtype) for rdtype in then - {dns.rdatatype.CNAME})
    conflict = dns.rdatatype.CNAME in then and bool(others)
    for one in changing:
        if conflict and one.rdtype == dns.rdatatype.CNAME:
            where = next(place for rdtype, place in places.items() if rdtype in then - {dns.rdatatype.CNAME})
            one.fail(
                f"{name} has {', '.join(others)} data ({where}), beside which there can be no CNAME: "
                "remove these sets first, or in the same call"
            )
        elif conflict and one.wanted is not None:
            one.fail(
                f"{name} is a CNAME ({places[dns.rdatatype.CNAME]}), beside which there can be no {one.type} set: "
                "remove that CNAME first, or in the same call"
            )
    keep_together(group)


def fragment_text(zone: str, reading: Reading, record_sets: t.Iterable[RecordSet]) -> bytes:
    """Our part of a zone with these sets in it: absolute names, a TTL on each line, in an order that stays."""
    # One that is in place may be so in their part.
    changing = [one for one in record_sets if not same(one.before, one.wanted)]
    kept = [
        RecordSet(name, rdtype, held.rdataset) for name, part in reading.ours.items() for rdtype, held in part.items()
    ]
    sets = {(one.name, one.rdtype): one for one in (*kept, *changing)}
    lines = [line for _key, one in sorted(sets.items()) for line in zone_lines(one, one.wanted)]
    return "".join([HEADER.format(zone=zone), *(f"{line}\n" for line in lines)]).encode("ascii")
