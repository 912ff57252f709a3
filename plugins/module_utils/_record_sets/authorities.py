# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The servers that say with authority what is in DNS, and the wait until they say what is wanted.

Private to this collection.
"""

from __future__ import annotations

import asyncio
import time
import typing as t

try:
    import dns.asyncresolver
    import dns.exception
    import dns.name
    import dns.rdatatype
    import dns.resolver
except ImportError:  # reported by the modules, which need it
    pass

from .._probe.server import resolve_server
from .answers import Reading, answers_from_wildcard, find_zone, for_each, read
from .record_set import InputError, RecordSet, ServerError, SetError, contents, same, shown
from .server import CONNECTIONS, PIPELINED, Server

# When servers that do not answer as wanted yet are asked again: soon, then more and more seldom, in seconds.
SOON_SECONDS = 0.05
LOOK_SECONDS = 1.0

T = t.TypeVar("T")


class NoAnswerError(SetError):
    """No authoritative server of a set says anything about it."""


class Authorities:
    """The authoritative servers of any name, for the event loop that it is made in."""

    def __init__(self, given: t.Sequence[str], resolvers: t.Sequence[str], timeout: float) -> None:
        """C(given) are asked for every name; without any, the resolvers are asked for those of each zone.

        Both are written as C(address), C(name), C(address:port) or C([v6]:port). Raises InputError.
        """
        self._timeout = timeout
        self._servers: dict[tuple[str, int], Server] = {}
        self._by_zone: dict[dns.name.Name, asyncio.Task[list[Server]]] = {}
        self._zones: dict[dns.name.Name, asyncio.Task[dns.name.Name]] = {}
        try:
            self._given = [self._server(*resolve_server(text)) for text in given]
            found = [resolve_server(text) for text in resolvers]
        except ValueError as exc:
            raise InputError(str(exc)) from exc
        self._resolver: dns.asyncresolver.Resolver | None = None
        if not given:
            self._resolver = _resolver(found, timeout)

    async def of(self, name: dns.name.Name) -> list[Server]:
        """The servers of the zone that a name lies in. Raises SetError where there is none."""
        if self._resolver is None:
            return self._given
        zone = await self.zone_of(name)
        return await _once(self._by_zone, zone, lambda: self._find(zone))

    async def zone_of(self, name: dns.name.Name) -> dns.name.Name:
        """The zone that a name lies in. Raises SetError where that cannot be found out."""
        return await _once(self._zones, name, lambda: self._zone(name))

    async def close(self) -> None:
        """Ends all connections."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    def _server(self, address: str, port: int) -> Server:
        return self._servers.setdefault((address, port), Server(address, port, self._timeout, None))

    async def _zone(self, name: dns.name.Name) -> dns.name.Name:
        if self._resolver is None:
            return await self._zone_at_given(name)
        try:
            return await dns.asyncresolver.zone_for_name(name, resolver=self._resolver)
        except (dns.exception.DNSException, OSError) as exc:
            raise SetError(f"the zone that {name} lies in cannot be found out: {exc}") from exc

    async def _zone_at_given(self, name: dns.name.Name) -> dns.name.Name:
        troubles = []
        for server in self._given:
            try:
                return await find_zone(server, name, dns.rdatatype.SOA)
            except (ServerError, SetError) as exc:
                troubles.append(str(exc))
        raise SetError(f"the zone that {name} lies in cannot be found out: {'; '.join(troubles)}")

    async def _find(self, zone: dns.name.Name) -> list[Server]:
        resolver = t.cast("dns.asyncresolver.Resolver", self._resolver)
        found: list[Server] = []
        trouble = "none of them has an address"
        try:
            names = [server.target for server in await resolver.resolve(zone, "NS")]
        except (dns.exception.DNSException, OSError) as exc:
            names, trouble = [], str(exc)
        for name in names:
            for rdtype in ("A", "AAAA"):
                try:
                    answer = await resolver.resolve(name, rdtype, raise_on_no_answer=False)
                except (dns.exception.DNSException, OSError) as exc:
                    # One of several that is dead says nothing.
                    trouble = str(exc)
                else:
                    found += [self._server(rdata.address, 53) for rdata in answer]
        if not found:
            raise SetError(f"the name servers of {zone} cannot be found out: {trouble}")
        return found


def _resolver(servers: t.Sequence[tuple[str, int]], timeout: float) -> dns.asyncresolver.Resolver:
    try:
        resolver = dns.asyncresolver.Resolver(configure=not servers)
    except dns.exception.DNSException as exc:
        raise InputError(f"this system has no DNS resolver, and none was given: {exc}") from exc
    if servers:
        # Objects for name servers are younger than dnspython 2.3.
        resolver.nameserver_ports = dict(servers)
        resolver.nameservers = [address for address, _port in servers]
    resolver.lifetime = timeout
    # Names of one zone ask for the same on their way up.
    resolver.cache = dns.resolver.LRUCache()
    return resolver


async def _once(tasks: dict[dns.name.Name, asyncio.Task[T]], key: dns.name.Name, work: t.Callable[[], t.Any]) -> T:
    """The result of work that is done once for all who ask for it."""
    if key not in tasks:
        tasks[key] = asyncio.ensure_future(work())
    return await asyncio.shield(tasks[key])


async def confirm(
    record_sets: t.Iterable[RecordSet], authorities: Authorities, seconds: float, *, exact: bool = True
) -> None:
    """Waits until every authoritative server that answers says what is wanted, and fails the sets of which it does not.

    With C(exact) the TTL must be the wanted one, too.
    """
    deadline = time.monotonic() + seconds
    waiting = _Wait(authorities, deadline, exact)
    await for_each(list(record_sets), CONNECTIONS * PIPELINED, waiting.for_one)


class _Wait:
    def __init__(self, authorities: Authorities, deadline: float, exact: bool) -> None:
        self._authorities, self._deadline, self._exact = authorities, deadline, exact

    async def for_one(self, one: RecordSet) -> None:
        pause = SOON_SECONDS
        try:
            while True:
                trouble = await self._trouble(one, await self._authorities.of(one.name))
                left = self._deadline - time.monotonic()
                if not trouble or left <= 0:
                    break
                await asyncio.sleep(min(pause, left))
                pause = min(2 * pause, LOOK_SECONDS)
        except SetError as exc:
            trouble = str(exc)
        if trouble:
            one.fail(f"{trouble}; if that takes its time, run again later")

    async def _trouble(self, one: RecordSet, servers: t.Sequence[Server]) -> str:
        try:
            return await unlike(one, servers, exact=self._exact)
        except NoAnswerError as exc:
            # Servers come back.
            return str(exc)


async def unlike(one: RecordSet, servers: t.Sequence[Server], *, exact: bool = True) -> str:
    """What some server answers instead of what is wanted; nothing where all that answer say what is wanted.

    Raises NoAnswerError where none answers.
    """
    said = await asyncio.gather(*(_ask(server, one, exact=exact) for server in servers))
    # One of several servers that is down says nothing, and is no reason to wait.
    answered = [trouble for has_answered, trouble in said if has_answered]
    if said and not answered:
        raise NoAnswerError(said[0][1])
    return next(filter(None, answered), "")


async def _ask(server: Server, one: RecordSet, *, exact: bool) -> tuple[bool, str]:
    """Whether the server answers, and what is wrong with that."""
    try:
        reading = await read(server, one.name, one.rdtype)
        if await _is_as_wanted(server, one, reading, exact=exact):
            return True, ""
    except (ServerError, SetError) as exc:
        return False, str(exc)
    now = f"a CNAME to {reading.alias}" if reading.alias is not None else shown(reading.rdataset)
    return True, f"{server} answers {now} instead of {shown(one.wanted)}"


async def _is_as_wanted(server: Server, one: RecordSet, reading: Reading, *, exact: bool) -> bool:
    if one.wanted is None and (reading.alias is not None or await answers_from_wildcard(server, one, reading.rdataset)):
        return True
    if reading.alias is not None:
        return False
    if exact:
        return same(reading.rdataset, one.wanted)
    return contents(reading.rdataset) == contents(one.wanted)
