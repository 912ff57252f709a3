# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""DNS as a sender sees it: TXT, MX and address look-ups, each asked once per run.

The records that we publish are asked of the server that we publish them to, where one is named: a resolver may
still hold yesterday's answer, or that there is none. Private to this collection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import typing as t
from collections import Counter

try:
    import dns.asyncquery
    import dns.asyncresolver
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.nameserver
    import dns.rcode
    import dns.rdatatype
    import dns.resolver
except ImportError:  # reported by the modules, which need it
    pass

if t.TYPE_CHECKING:
    import dns.rrset

# More addresses than this tell nothing more about a name, and nobody may make a probe work without end.
ADDRESS_LIMIT = 16
# So many look-ups at a time: each has a socket of its own, and a process may not have very many.
CONCURRENT = 256
# An authority that did not answer so many times on end is asked no more: every time costs a time-out.
SILENCES = 32

Strings = tuple[str, ...]
Server = tuple[str, int]


class DnsFailure(Exception):
    """DNS did not answer: time-out, SERVFAIL, refusal. It does not mean that a name has no records."""


class MxSet(t.NamedTuple):
    """The MX hosts of a name by preference, without the null MX of RFC 7505.

    The C(ttl) is that of the record set as DNS answered, which of a resolver is what is left of it; none: there is
    no such set.
    """

    hosts: tuple[str, ...]
    ttl: t.Optional[int]


def parse_server(text: str) -> Server:
    """C(address), C(address:port) or C([v6]:port) as address and port. Raises ValueError."""
    address, port = text, "53"
    if text.startswith("["):
        address, _bracket, rest = text[1:].partition("]")
        port = rest.lstrip(":") or port
    elif text.count(":") == 1:
        address, _colon, port = text.partition(":")
    try:
        ipaddress.ip_address(address)
        if not 0 < int(port) < 65536:
            raise ValueError
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address with an optional port") from None
    return address, int(port)


def resolve_server(text: str) -> Server:
    """As L(parse_server), for a server that may be given by its name. Raises ValueError."""
    try:
        return parse_server(text)
    except ValueError:
        name, _colon, port = text.partition(":")
    try:
        return str(socket.getaddrinfo(name, int(port or 53), type=socket.SOCK_DGRAM)[0][4][0]), int(port or 53)
    except (OSError, ValueError):
        raise ValueError(f"the name server {text!r} is neither an address nor a name that resolves") from None


class Lookup:
    """Look-ups with a cache of their own, for the event loop that it is made in."""

    def __init__(self, resolvers: t.Sequence[Server], authorities: t.Sequence[Server], timeout: float) -> None:
        """C(resolvers) defaults to the system's; C(authorities) are asked first and without recursion.

        Raises ValueError when the system has none.
        """
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not resolvers)
        except dns.resolver.NoResolverConfiguration as error:
            raise ValueError(f"this system has no DNS resolver, and none was given: {error}") from None
        if resolvers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in resolvers]
        self._resolver.lifetime = timeout
        self._resolver.timeout = timeout / 2
        self._authorities = authorities
        self._silences: Counter[Server] = Counter()
        self._timeout = timeout
        self._turns = asyncio.Semaphore(CONCURRENT)
        self._answers: dict[tuple[str, str], asyncio.Future[t.Optional[dns.rrset.RRset]]] = {}

    async def txt(self, name: str) -> tuple[Strings, ...]:
        """The TXT records of a name, each as its strings. Raises L(DnsFailure)."""
        return tuple(
            tuple(part.decode("ascii", "backslashreplace") for part in record.strings)
            for record in await self._ask(name, "TXT") or ()
        )

    async def mx(self, name: str) -> MxSet:
        """The MX record set of a name. Raises L(DnsFailure)."""
        answer = await self._ask(name, "MX")
        records = sorted(answer or (), key=lambda record: (record.preference, record.exchange))
        hosts = (record.exchange.to_text(omit_final_dot=True).lower() for record in records)
        named = tuple(dict.fromkeys(host for host in hosts if host not in ("", ".", "@")))
        return MxSet(named, None if answer is None else answer.ttl)

    async def addresses(self, name: str) -> tuple[str, ...]:
        """The IPv4 and IPv6 addresses of a name. Raises L(DnsFailure)."""
        four, six = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"))
        return tuple(sorted(record.address for record in [*(four or ()), *(six or ())]))[:ADDRESS_LIMIT]

    async def _ask(self, name: str, rdtype: str) -> t.Optional[t.Any]:
        key = (name, rdtype)
        if key not in self._answers:
            self._answers[key] = asyncio.ensure_future(self._in_turn(name, rdtype))
        return await self._answers[key]

    async def _in_turn(self, name: str, rdtype: str) -> t.Optional[dns.rrset.RRset]:
        async with self._turns:
            return await self._look_up(name, rdtype)

    async def _look_up(self, name: str, rdtype: str) -> t.Optional[dns.rrset.RRset]:
        try:
            target: t.Optional[dns.name.Name] = dns.name.from_text(name)
            if self._authorities:
                found, target = await self._ask_authorities(t.cast("dns.name.Name", target), rdtype)
                if target is None:
                    return found
            answer = await self._resolver.resolve(
                t.cast("dns.name.Name", target), rdtype, raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN:
            return None
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise DnsFailure(f"{name} {rdtype}: {str(error) or type(error).__name__}") from None
        if answer.rrset is None and not _is_known(answer):
            raise DnsFailure(f"{name} {rdtype}: {answer.nameserver} is no resolver and does not know")
        return answer.rrset

    async def _ask_authorities(
        self, name: dns.name.Name, rdtype: str
    ) -> tuple[t.Optional[dns.rrset.RRset], t.Optional[dns.name.Name]]:
        """The record set, or the name that is left to be resolved by others: itself, or a CNAME's target."""
        query = dns.message.make_query(name, rdtype)
        query.flags &= ~dns.flags.RD
        for server in self._authorities:
            if self._silences[server] >= SILENCES:
                continue
            address, port = server
            try:
                reply, _tcp = await dns.asyncquery.udp_with_fallback(query, address, self._timeout, port)
            except (dns.exception.DNSException, OSError):
                self._silences[server] += 1
                continue
            self._silences[server] = 0
            if not reply.flags & dns.flags.AA or reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                continue
            chain = t.cast("dns.message.QueryMessage", reply).resolve_chaining()
            if chain.answer is not None or chain.canonical_name == name:
                return chain.answer, None
            return None, chain.canonical_name
        return None, name


def _is_known(answer: dns.resolver.Answer) -> bool:
    """Whether an answer without records says that there are none (RFC 2308 2.2).

    A referral to other servers, or a CNAME that leads to them, has none either.
    """
    response = answer.response
    return bool(response.flags & dns.flags.RA) or any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)
