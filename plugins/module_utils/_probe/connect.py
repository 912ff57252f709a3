# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How probes connect: from where, to which ports, and for how long. No proxy is ever asked.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import typing as t
from dataclasses import dataclass

# So many connections at a time, whatever the number of domains: a process may not have very many open, and one
# domain with all the addresses it may have must not use up what the others need.
CONNECTIONS: t.Final = 256
# An MX host takes but so many at a time, in all (Exim: 20) or from each client (Postfix: 50), and most are for mail.
# Many names of MX hosts can lead to one address.
CONNECTIONS_TO_AN_MX_HOST: t.Final = 10
# So many time-outs on end are enough: of DNS, of a connection, and of a second look at what was met there.
DEADLINE: t.Final = 3


@dataclass(frozen=True)
class Reach:
    """How servers are reached. C(timeout) in seconds bounds each look-up, and all that is done with one connection."""

    timeout: float = 10.0
    https_port: int = 443
    smtp_port: int = 25
    dns_port: int = 53
    # The local addresses to connect from, for the address families that have one here.
    sources: t.Sequence[str] = ()

    @property
    def deadline(self) -> float:
        """For how many seconds one domain, or one MX host, is looked at, whatever it takes."""
        return DEADLINE * self.timeout


def local_addresses(texts: t.Sequence[str]) -> tuple[str, ...]:
    """Addresses to connect from, at most one of each family. Raises ValueError."""
    try:
        families = [ipaddress.ip_address(text).version for text in texts]
    except ValueError as error:
        raise ValueError(f"source addresses: {error}") from None
    if len(set(families)) < len(families):
        raise ValueError(f"source addresses: {', '.join(texts)}: name at most one of each family")
    return tuple(texts)


@contextlib.asynccontextmanager
async def connected(
    address: str, port: int, reach: Reach
) -> t.AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is cut in the end. Raises what asyncio.open_connection does."""
    reader, writer = await asyncio.open_connection(address, port, local_addr=local_address(address, reach.sources))
    try:
        yield reader, writer
    finally:
        # Nothing more is wanted of this connection, least of all to wait for the other side's farewell.
        with contextlib.suppress(OSError, RuntimeError):
            writer.transport.abort()


def local_address(address: str, sources: t.Sequence[str]) -> t.Optional[tuple[str, int]]:
    """Where to connect to an address from, if that matters, at any port."""
    version = ipaddress.ip_address(address).version
    return next(((source, 0) for source in sources if ipaddress.ip_address(source).version == version), None)


def error_text(error: BaseException) -> str:
    """An operating system's error in words, without address and number."""
    # The event loop says it without a word where that is in the middle of a handshake.
    if isinstance(error, EOFError) or (isinstance(error, ConnectionResetError) and not error.args):
        return "the connection was closed without a whole answer"
    number = getattr(error, "errno", None)
    return (os.strerror(number) if number and number > 0 else str(error) or type(error).__name__).lower()
