# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""DNS as a sender sees it: TXT, MX, address and TLSA look-ups, each asked once per run.

The records that we publish are asked of the server that we publish them to, where one is named: a resolver may
still hold yesterday's answer, or that there is none. Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import typing as t
from collections import Counter

from .answer import Answer, CaaProperty, DnsBogus, DnsFailure, Found, Tlsa, caa_property, found_in, texts
from .message import (
    AA,
    AAAA,
    AD,
    CAA,
    CD,
    MX,
    NOERROR,
    NS,
    NXDOMAIN,
    RA,
    RD,
    SERVFAIL,
    TLSA,
    TXT,
    A,
    Reply,
    is_below,
    parent,
    to_text,
    to_wire,
)
from .server import system_resolvers
from .transport import Server, Silence, Transport

# Its absence is reported by the modules, which need it.
with contextlib.suppress(ImportError):
    import dns.rcode

# More addresses than this tell nothing more about a name, and nobody may make a probe work without end.
ADDRESS_LIMIT = 16
# So many zones may be cut off above a name before its own is no longer looked for.
ZONES_ABOVE = 16
# More properties than that tell nothing more about who may issue.
CAA_LIMIT = 32
# So many of a zone's name servers are asked before a resolver is.
SERVERS_ASKED = 3
# So many look-ups at a time: each has a socket of its own, and a process may not have very many.
CONCURRENT = 512
# An authority that did not answer so many times on end is asked no more: every time costs a time-out.
SILENCES = 32
# A question is asked anew after these shares of the time that there is: messages are lost now and then.
WAITS = (1 / 6, 1 / 3, 1 / 2)

_TYPES = {A: "A", NS: "NS", MX: "MX", TXT: "TXT", AAAA: "AAAA", TLSA: "TLSA", CAA: "CAA"}
# In place of a server: not those that are asked first, whatever they are.
_RESOLVERS = "resolvers"


class _Refusal(Exception):
    """The last of the servers said that it has no answer, or no connection to it was possible."""

    def __init__(self, text: str, server: t.Optional[Server] = None) -> None:
        super().__init__(text)
        # A resolver that said SERVFAIL.
        self.server = server


class Lookup:
    """Look-ups with a cache of their own, for the event loop that it is made in."""

    def __init__(
        self,
        resolvers: t.Sequence[Server],
        authorities: t.Sequence[Server],
        timeout: float,
        sources: t.Sequence[str] = (),
        authority_port: int = 53,
        *,
        find_authorities: bool = False,
    ) -> None:
        """C(resolvers) defaults to the system's; C(authorities) are asked first and without recursion.

        With C(find_authorities) and none given, these are the name servers of the zone that a name lies in.
        Raises ValueError when the system has no resolver.
        """
        self._resolvers = list(resolvers) or system_resolvers()
        self._authorities = list(authorities)
        self._find_authorities = find_authorities and not authorities
        self._timeout = timeout
        self._authority_port = authority_port
        self._transport = Transport(sources)
        self._silences: Counter[Server] = Counter()
        self._turns = asyncio.Semaphore(CONCURRENT)
        self._answers: dict[tuple[str, int, str], asyncio.Task[Found]] = {}

    async def txt(self, name: str) -> Answer:
        """The TXT records of a name, each as its strings. Raises L(DnsFailure), as all of these do."""
        return texts(await self._ask(name, TXT))

    async def txt_at(self, server_address: str, name: str) -> Answer:
        """As L(txt), but what that very name server has, which is refused where it is not its to say."""
        return texts(await self._ask(name, TXT, server_address))

    async def mx(self, name: str) -> Answer:
        """The MX hosts of a name by preference; the null MX of RFC 7505 is an empty name."""
        found = await self._ask(name, MX)
        hosts = (host for _preference, host in sorted((number, to_text(wire)) for number, wire in found.data))
        return found.answer(tuple(dict.fromkeys(hosts)))

    async def addresses(self, name: str) -> Answer:
        """The IPv4 and IPv6 addresses of a name, secure if both answers are."""
        self._task(name, AAAA)
        four, six = await self._ask(name, A), await self._ask(name, AAAA)
        times = [found.ttl for found in (four, six) if found.ttl is not None]
        records = tuple(sorted({*four.data, *six.data}))[:ADDRESS_LIMIT]
        secure = four.secure and six.secure
        alias, zones = four.alias_name or six.alias_name, {four.zone_name, six.zone_name}
        return Answer(records, min(times, default=None), secure, alias, zones.pop() if len(zones) == 1 else "")

    async def tlsa(self, name: str) -> Answer:
        """The TLSA records of a name."""
        found = await self._ask(name, TLSA)
        return found.answer(tuple(Tlsa(data[0], data[1], data[2], data[3:]) for data in found.data))

    async def caa(self, name: str) -> tuple[str, tuple[CaaProperty, ...]]:
        """The CAA properties that hold for a name, and the name at which they stand (RFC 8659 3)."""
        wire = _checked(name)
        for _label in range(ZONES_ABOVE):
            found = await self._ask(to_text(wire), CAA)
            if found.data:
                return to_text(wire), tuple(map(caa_property, found.data[:CAA_LIMIT]))
            wire = parent(wire)
            if not wire[0]:
                break
        return "", ()

    async def name_servers(self, name: str, server: str = "") -> Answer:
        """The name servers of the zone that a name lies in."""
        wire = _checked(name)
        for _zone in range(ZONES_ABOVE):
            found = await self._ask(to_text(wire), NS, server)
            # Where there is an alias there is no zone.
            if found.data and not found.alias:
                return found.answer(tuple(sorted(map(to_text, found.data))))
            if not wire[0]:
                break
            above = found.zone and not found.alias and found.zone != wire and is_below(wire, found.zone)
            wire = found.zone if above else parent(wire)
        return Answer((), None, False, "")

    def close(self) -> None:
        """Gives up what is still under way."""
        for task in self._answers.values():
            task.cancel()
        self._transport.close()

    async def _ask(self, name: str, rdtype: int, server: str = "") -> Found:
        task = self._task(name, rdtype, server)
        # Others may wait for the same, so whoever gives up does it for himself.
        return task.result() if task.done() else await asyncio.shield(task)

    def _task(self, name: str, rdtype: int, server: str = "") -> asyncio.Task[Found]:
        key = (name, rdtype, server)
        task = self._answers.get(key)
        if task is None:
            task = self._answers[key] = asyncio.ensure_future(self._named(*key))
            # It is no mistake if in the end nobody wants to know.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _named(self, name: str, rdtype: int, server: str) -> Found:
        try:
            wire = _checked(name)
            if server == _RESOLVERS:
                return await self._ask_resolvers(wire, rdtype)
            if server:
                return await self._ask_one(wire, rdtype, (server, self._authority_port))
            return await self._look_up(wire, rdtype)
        except DnsFailure as error:
            raise type(error)(f"{name} {_TYPES[rdtype]}: {error}") from None

    async def _look_up(self, name: bytes, rdtype: int) -> Found:
        # What TLSA records are worth only a resolver can tell, who validates them.
        if rdtype == TLSA:
            return await self._ask_resolvers(name, rdtype)
        found = await self._ask_authorities(name, rdtype)
        told = found or await self._ask_resolvers(name, rdtype)
        if not told.alias or (found and found.data) or not self._has_authorities:
            return told
        # An authority knows an alias, but not always where it ends, and a resolver may hold yesterday's answer.
        end = await self._ask_authorities(told.alias, rdtype)
        if end is None and not found:
            return told
        end = end or await self._ask_resolvers(told.alias, rdtype)
        return end._replace(secure=False, alias=end.alias or told.alias)

    @property
    def _has_authorities(self) -> bool:
        return bool(self._authorities) or self._find_authorities

    async def _ask_resolvers(self, name: bytes, rdtype: int) -> Found:
        # One turn for each server that is asked, and none while others are waited for, who need one themselves.
        async with self._turns:
            reply = await self._resolve(name, rdtype)
        found = found_in(reply, name, rdtype)
        if not found.data and reply.rcode != NXDOMAIN and not reply.flags & RA and not found.zone:
            raise DnsFailure("the server that was asked is no resolver and does not know")
        return found

    async def _ask_authorities(self, name: bytes, rdtype: int) -> t.Optional[Found]:
        for server in await self._authorities_of(name):
            with contextlib.suppress(DnsFailure):
                return await self._ask_one(name, rdtype, server)
        return None

    async def _authorities_of(self, name: bytes) -> t.Sequence[Server]:
        if not self._find_authorities:
            return self._authorities
        addresses: list[str] = []
        with contextlib.suppress(DnsFailure):
            for server in (await self.name_servers(to_text(name), _RESOLVERS)).records[:SERVERS_ASKED]:
                with contextlib.suppress(DnsFailure):
                    addresses += (await self._ask(server, A, _RESOLVERS)).data[:1]
        return [(address, self._authority_port) for address in addresses]

    async def _ask_one(self, name: bytes, rdtype: int, server: Server) -> Found:
        """What a name server says with authority."""
        async with self._turns:
            if self._silences[server] >= SILENCES:
                raise DnsFailure(f"{server[0]} did not answer {SILENCES} times on end, and is asked no more")
            try:
                reply = await self._persist([server], name, rdtype, 0, self._timeout)
            except _Refusal as error:
                raise DnsFailure(str(error)) from None
        if not reply.flags & AA:
            raise DnsFailure(f"{server[0]} answers without authority")
        return found_in(reply, name, rdtype)

    async def _resolve(self, name: bytes, rdtype: int) -> Reply:
        try:
            return await self._persist(self._resolvers, name, rdtype, RD | AD, self._timeout)
        except _Refusal as error:
            refusal = error
        if refusal.server is None:
            raise DnsFailure(str(refusal)) from None
        only = [refusal.server]
        try:
            await self._persist(only, name, rdtype, RD | CD, self._timeout / 2)
        except (_Refusal, DnsFailure):
            raise DnsFailure(str(refusal)) from None
        try:
            # It may only have been unwell for a moment.
            return await self._persist(only, name, rdtype, RD | AD, self._timeout / 2)
        except (_Refusal, DnsFailure):
            raise DnsBogus("the answer does not pass DNSSEC validation") from None

    async def _persist(
        self, servers: t.Sequence[Server], name: bytes, rdtype: int, flags: int, timeout: float
    ) -> Reply:
        """The first answer from one of the servers, which are asked in turn until the time is over.

        Raises L(_Refusal) when each has refused, and L(DnsFailure) when one of them says nothing.
        """
        left = sorted(servers, key=lambda server: self._silences[server] >= SILENCES)
        refusal = _Refusal("no server was asked")
        for share in WAITS:
            wait = timeout * share / len(left)
            for server in tuple(left):
                try:
                    reply = await self._transport.ask(server, name, rdtype, flags, wait)
                except Silence:
                    self._silences[server] += share == WAITS[-1]
                    continue
                except (OSError, ValueError) as error:
                    refusal = _Refusal(f"{server[0]}: {_words(error)}", refusal.server)
                else:
                    self._silences[server] = 0
                    if reply.rcode in (NOERROR, NXDOMAIN):
                        return reply
                    failed = server if reply.rcode == SERVFAIL and reply.flags & RA else refusal.server
                    refusal = _Refusal(f"{server[0]} answers {dns.rcode.to_text(dns.rcode.Rcode(reply.rcode))}", failed)
                left.remove(server)
            if not left:
                raise refusal
        if refusal.server is not None:
            raise refusal
        raise DnsFailure(f"no answer from {', '.join(server[0] for server in left)} within {timeout:g} seconds")


def _checked(name: str) -> bytes:
    try:
        return to_wire(name)
    except ValueError as error:
        raise DnsFailure(str(error)) from None


def _words(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return (os.strerror(number) if number else str(error) or type(error).__name__).lower()
