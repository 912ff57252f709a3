# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a name server answers with authority: record sets, all data of a name, and the zone that it lies in.

Private to this collection.
"""

from __future__ import annotations

import asyncio
import typing as t
from dataclasses import dataclass

try:
    import dns.flags
    import dns.name
    import dns.rcode
    import dns.rdataset
    import dns.rdatatype
except ImportError:  # reported by the modules, which need it
    pass

from .._probe.message import AA, NOERROR, NXDOMAIN, follow, parse_data
from .record_set import SERVERS_OWN_TYPES, RecordSet, SetError, same
from .server import Server

OFTEN_BESIDE_OTHERS: t.Final = ("A", "AAAA", "CAA", "DS", "HTTPS", "MX", "NS", "SPF", "SRV", "SSHFP", "TLSA", "TXT")


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


async def has(server: Server, one: RecordSet) -> bool:
    """Whether a server that was just told so has what is wanted. Where it does not, L(read) tells what there is.

    Raises ServerError, and ValueError for an answer that is garbled.
    """
    name = t.cast("bytes", one.name.to_wire()).lower()
    reply = await server.reply(name, one.rdtype)
    end, data, ttl = follow(reply, name, one.rdtype)
    if end != name or reply.rcode not in (NOERROR, NXDOMAIN) or not reply.flags & AA:
        return False
    if one.wanted is None:
        return not data
    return ttl == one.wanted.ttl and set(data) == {parse_data(rdata.to_wire(), one.rdtype) for rdata in one.wanted}


async def data_at(server: Server, name: dns.name.Name) -> dict[str, dns.rdataset.Rdataset]:
    """Return all data at a name by type, without what signing adds."""
    # To a question for ANY a server may answer with one set of several (RFC 8482 4.1), as Knot does.
    asked = ["ANY", *OFTEN_BESIDE_OTHERS]
    answers = await asyncio.gather(*(server.query(name, dns.rdatatype.from_text(rdtype)) for rdtype in asked))
    return {
        dns.rdatatype.to_text(rdtype): rdataset
        for answer in answers
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


def neighbour(name: dns.name.Name) -> dns.name.Name | None:
    """Return the name whose answers show what a wildcard makes of a name (RFC 4592 2.2)."""
    if name.labels[0] == b"*":
        return None
    return dns.name.Name((b"*", *name.labels[1:]))


async def answers_from_wildcard(server: Server, one: RecordSet, now: dns.rdataset.Rdataset | None) -> bool:
    """Whether what a server answers for a set is what a wildcard answers, too."""
    beside = neighbour(one.name)
    return beside is not None and same((await read(server, beside, one.rdtype)).rdataset, now)


_Any = t.TypeVar("_Any")


async def for_each(things: t.Collection[_Any], at_once: int, work: t.Callable[[_Any], t.Awaitable[None]]) -> None:
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
