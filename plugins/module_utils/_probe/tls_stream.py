# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A TLS connection that speaks straight on its socket.

The event loop's own streams hand each record through a transport, a protocol and two buffers, which is a tenth of what
a policy fetch costs, handshake included. Standard library only. Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import typing as t

from .connect import Reach, local_address
from .tls import check_name

T = t.TypeVar("T")

# As much as a TLS record holds.
RECORD = 16384


class TlsStream:
    """A connection that has shaken hands, for the event loop that it is used in."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.connection = connection
        self._loop = asyncio.get_running_loop()
        # By its number: the loop would write the socket's description for each.
        self._number = connection.fileno()

    async def shake_hands(self) -> None:
        """Raises what L(ssl.SSLSocket.do_handshake) does, and EOFError where the other side is gone."""
        try:
            await self._until(self.connection.do_handshake)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise EOFError from None

    async def write(self, data: bytes) -> None:
        """Sends all of it."""
        while data:
            data = data[await self._until(functools.partial(self.connection.send, data)) :]

    async def read(self) -> bytes:
        """What comes next, and nothing where the other side is done."""
        return await self._until(functools.partial(self.connection.recv, RECORD))

    async def _until(self, step: t.Callable[[], T]) -> T:
        """The result of a step, once the socket is ready for it."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
            except ssl.SSLWantWriteError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)

    async def _ready(self, watch: t.Callable[..., object], leave: t.Callable[[int], object]) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        watch(self._number, _set, ready)
        try:
            await ready
        finally:
            leave(self._number)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


@contextlib.asynccontextmanager
async def tls_connected(
    name: str, address: str, port: int, context: ssl.SSLContext, reach: Reach
) -> t.AsyncIterator[TlsStream]:
    """A connection to an address that has shaken hands for a name, and is cut in the end.

    Raises OSError, of which L(ssl.SSLError) is one, EOFError, and ValueError for a name that TLS cannot ask for.
    """
    check_name(name)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.ExitStack() as opened:
        plain = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
        plain.setblocking(False)
        source = local_address(address, reach.sources)
        if source:
            plain.bind(source)
        await asyncio.get_running_loop().sock_connect(plain, (address, port))
        connection = context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
        opened.enter_context(connection)
        stream = TlsStream(connection)
        await stream.shake_hands()
        yield stream
