# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a DNS question travels to one server and its answer back: by UDP, and by TCP where UDP has too little room.

Every question has an identifier and a port of its own, both of which nobody can guess, and what is no answer to it
is passed over (RFC 5452). Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import typing as t

from .message import FORMERR, NOTIMP, Reply, is_answer, is_truncated, make_query, parse_reply

Server = tuple[str, int]

# More than was said to be welcome; what is cut off here is no answer that anybody could use.
DATAGRAM = 4096


class Silence(Exception):
    """Nothing came in time: the question or its answer may have been lost, or the server is down."""


class Transport:
    """For the event loop that it is used in. The C(sources) are the addresses to ask from, where it matters."""

    def __init__(self, sources: t.Sequence[str] = ()) -> None:
        self._sources = {_family(source): source for source in sources}
        # Servers that do not understand EDNS.
        self._plain: set[Server] = set()

    async def ask(self, server: Server, name: bytes, rdtype: int, flags: int, wait: float) -> Reply:
        """What the server answers within C(wait) seconds.

        Raises L(Silence), OSError where it cannot be reached, and ValueError where the answer is garbled.
        """
        edns = server not in self._plain
        reply = await self._exchange(server, make_query(secrets.randbits(16), name, rdtype, flags, edns=edns), wait)
        if edns and reply.rcode in (FORMERR, NOTIMP):
            query = make_query(secrets.randbits(16), name, rdtype, flags, edns=False)
            reply = await self._exchange(server, query, wait)
            if reply.rcode not in (FORMERR, NOTIMP):
                self._plain.add(server)
        return reply

    async def _exchange(self, server: Server, query: bytes, wait: float) -> Reply:
        begin = asyncio.get_running_loop().time()
        data = await self._by_udp(server, query, wait)
        if is_truncated(data):
            left = begin + wait - asyncio.get_running_loop().time()
            try:
                data = await asyncio.wait_for(self._by_tcp(server, query), left)
            except asyncio.TimeoutError:
                raise Silence from None
        return parse_reply(data)

    async def _by_udp(self, server: Server, query: bytes, wait: float) -> bytes:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        def readable() -> None:
            try:
                data = sock.recv(DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if not answer.done():
                    answer.set_exception(error)
                return
            if not answer.done() and is_answer(data, query):
                answer.set_result(data)

        def silent() -> None:
            if not answer.done():
                answer.set_exception(Silence())

        with self._connected(server) as sock:
            # By its number: asyncio would write the socket's description for each.
            loop.add_reader(sock.fileno(), readable)
            timer = loop.call_later(wait, silent)
            try:
                # A question for which there is no room is lost like any other.
                with contextlib.suppress(BlockingIOError):
                    sock.send(query)
                return await answer
            finally:
                timer.cancel()
                loop.remove_reader(sock.fileno())

    def _connected(self, server: Server) -> socket.socket:
        """A socket that takes nothing from anybody but the server, at a port that the system draws by lot."""
        family = _family(server[0])
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if family in self._sources:
                sock.bind((self._sources[family], 0))
            sock.connect(server)
        except OSError:
            sock.close()
            raise
        return sock

    async def _by_tcp(self, server: Server, query: bytes) -> bytes:
        source = self._sources.get(_family(server[0]))
        local = (source, 0) if source else None
        reader, writer = await asyncio.open_connection(*server, local_addr=local)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        except EOFError:
            raise OSError("the connection was closed without a whole answer") from None
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.transport.abort()
        if not is_answer(data, query) or is_truncated(data):
            raise ValueError("the answer by TCP is not one to this question")
        return data


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
