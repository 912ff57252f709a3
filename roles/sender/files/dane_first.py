# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answer Postfix's smtp_tls_policy_maps: DANE first, MTA-STS second (RFC 8461 2).

    dane_first.py serve LISTEN DAEMON RESOLVER     a socketmap (socketmap_table(5)) in front of mta-sts-daemon
    dane_first.py check RESOLVER NAME              status 0 if the resolver validates what it says about a signed name

LISTEN and DAEMON are ADDRESS:PORT, RESOLVER is an address. Each domain is asked of mta-sts-daemon. Only if that has a
policy to enforce, the validating resolver is asked for the TLSA records of the MX hosts. Whatever cannot be found out
makes Postfix defer the mail.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import typing as t

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.rdatatype
import dns.resolver
from mta_sts import _tls_policy

TIMEOUT = 20  # seconds for one request; Postfix gives up after 100
DNS_TIMEOUT = 10
LONGEST_REQUEST = 1_000
LONGEST_REPLY = 100_000  # as Postfix has it
MOST_HOSTS = 100
TROUBLE = (OSError, ValueError, EOFError, asyncio.LimitOverrunError, asyncio.TimeoutError, dns.exception.DNSException)

logger = logging.getLogger("dane-first")


class Found(t.NamedTuple):
    """What the resolver said about a name."""

    name: str
    records: list[t.Any]
    signed: bool


class Resolver:
    """A resolver on this host, whose word about signatures is taken."""

    def __init__(self, address: str) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [address]
        self._resolver.lifetime = DNS_TIMEOUT
        self._resolver.use_edns(0, dns.flags.DO, 1232)

    async def find(self, name: str, rdtype: str) -> Found:
        """The records; none if the name does not exist. Raises DNSException if that cannot be known."""
        try:
            answer = await self._resolver.resolve(name + ".", rdtype, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return Found(name, [], False)
        signed = bool(answer.response.flags & dns.flags.AD)
        return Found(answer.canonical_name.to_text(omit_final_dot=True).lower(), list(answer.rrset or ()), signed)

    async def mx(self, domain: str) -> tuple[bool, list[str]]:
        """Whether the MX records are signed, and the hosts; without a record it is the domain itself (RFC 5321 5.1)."""
        found = await self.find(domain, "MX")
        hosts = [record.exchange.to_text(omit_final_dot=True).lower() for record in found.records]
        if len(hosts) > MOST_HOSTS:
            raise ValueError(f"{len(hosts)} MX records")
        return found.signed, [host for host in hosts if host not in ("", "@")] or [domain]

    async def has_dane(self, host: str) -> bool:
        """TLSA records count only where the addresses are signed, too (RFC 7672 2.2.2)."""
        addresses = await asyncio.gather(*(self.find(host, rdtype) for rdtype in ("A", "AAAA")))
        for name in dict.fromkeys(found.name for found in addresses if found.records and found.signed):
            for base in dict.fromkeys((name, host)):
                tlsa = await self.find(f"_25._tcp.{base}", "TLSA")
                if tlsa.signed and any(_tls_policy.usable(it.usage, it.selector, it.mtype) for it in tlsa.records):
                    return True
        return False

    async def choose(self, domain: str, reply: str) -> str:
        signed, names = await self.mx(domain)
        dane = await asyncio.gather(*map(self.has_dane, names))
        return _tls_policy.choose(reply, signed, list(map(_tls_policy.Host, names, dane)))


async def read_netstring(reader: asyncio.StreamReader, longest: int) -> str:
    length = (await reader.readuntil(b":"))[:-1]
    if not length.isdigit() or len(length) > 6 or int(length) > longest:
        raise ValueError(f"a netstring of length {length[:20]!r}")
    text = await reader.readexactly(int(length) + 1)
    if text[-1:] != b",":
        raise ValueError("a netstring without its end")
    return text[:-1].decode()


def netstring(text: str) -> bytes:
    data = text.encode()
    return b"%d:%s," % (len(data), data)


class Server:
    """The socketmap."""

    def __init__(self, daemon: tuple[str, int], resolver: Resolver) -> None:
        self._daemon = daemon
        self._resolver = resolver

    async def ask_daemon(self, request: str) -> str:
        reader, writer = await asyncio.open_connection(*self._daemon)
        try:
            writer.write(netstring(request))
            return await read_netstring(reader, LONGEST_REPLY)
        finally:
            writer.close()

    async def find(self, request: str) -> str:
        key = request.partition(" ")[2].lower().rstrip(".")
        if not _tls_policy.is_domain(key):
            return _tls_policy.NOT_FOUND
        reply = await self.ask_daemon(request)
        return await self._resolver.choose(key, reply) if _tls_policy.enforces(reply) else reply

    async def answer(self, request: str) -> str:
        try:
            return await asyncio.wait_for(self.find(request), TIMEOUT)
        except TROUBLE as error:
            logger.warning("%r: %s: %s", request, type(error).__name__, error)
            return f"TEMP {type(error).__name__}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One process of Postfix, which asks one thing after the other."""
        try:
            while True:
                writer.write(netstring(await self.answer(await read_netstring(reader, LONGEST_REQUEST))))
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        except (OSError, ValueError, asyncio.LimitOverrunError) as error:
            logger.warning("%s", error)
        finally:
            writer.close()


def place(text: str) -> tuple[str, int]:
    address, _colon, port = text.rpartition(":")
    return address, int(port)


async def serve(listen: str, daemon: str, resolver: str) -> None:
    server = await asyncio.start_server(Server(place(daemon), Resolver(resolver)).serve, *place(listen))
    await server.serve_forever()


async def check(resolver: str, name: str) -> None:
    try:
        found = await Resolver(resolver).find(name.rstrip("."), "SOA")
    except dns.exception.DNSException as error:
        sys.exit(f"{resolver} does not answer for {name}: {error}")
    if not found.signed:
        sys.exit(f"{resolver} does not say that what it knows of {name} is validated")


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    asyncio.run({"serve": serve, "check": check}[sys.argv[1]](*sys.argv[2:]))
