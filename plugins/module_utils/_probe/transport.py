# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a DNS question travels to one server and its answer back: by UDP, and by TCP where UDP has too little room.

Every question has an identifier that nobody can guess and comes from one of many ports, which do not last; what is
no answer to it is passed over (RFC 5452). Private to this collection.
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


# A socket of its own for each question is half of what a question costs. So some share one, but never many: so many
# sockets are open for each server, and each goes after so many questions.
SOCKETS = 24
QUESTIONS = 64


class Silence(Exception):
    """Nothing came in time: the question or its answer may have been lost, or the server is down."""


class Transport:
    """For the event loop that it is used in. The C(sources) are the addresses to ask from, where it matters."""

    def __init__(self, sources: t.Sequence[str] = ()) -> None:
        self._sources = {_family(source): source for source in sources}
        # Servers that do not understand EDNS.
        self._plain: set[Server] = set()
        self._sockets: dict[Server, list[_Socket]] = {}

    def close(self) -> None:
        """Gives up what is still under way."""
        for opened in self._sockets.values():
            for one in opened:
                one.close()

    async def ask(self, server: Server, name: bytes, rdtype: int, flags: int, wait: float) -> Reply:
        """What the server answers within C(wait) seconds.

        Raises L(Silence), OSError where it cannot be reached, and ValueError where the answer is garbled.
        """
        edns = server not in self._plain
        reply = await self._exchange(server, make_query(0, name, rdtype, flags, edns=edns), wait)
        if edns and reply.rcode in (FORMERR, NOTIMP):
            reply = await self._exchange(server, make_query(0, name, rdtype, flags, edns=False), wait)
            if reply.rcode not in (FORMERR, NOTIMP):
                self._plain.add(server)
        return reply

    async def _exchange(self, server: Server, query: bytes, wait: float) -> Reply:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        query, data = await self._socket(server).ask(query, wait)
        if is_truncated(data):
            try:
                data = await asyncio.wait_for(self._by_tcp(server, query), begin + wait - loop.time())
            except asyncio.TimeoutError:
                raise Silence from None
        return parse_reply(data)

    def _socket(self, server: Server) -> _Socket:
        """One of the server's sockets that has questions left, drawn by lot."""
        opened = self._sockets.setdefault(server, [])
        if len(opened) < SOCKETS:
            opened.append(_Socket(server, self._sources.get(_family(server[0]), "")))
            return opened[-1]
        number = secrets.randbelow(SOCKETS)
        if not opened[number].questions:
            opened[number].retire()
            opened[number] = _Socket(server, self._sources.get(_family(server[0]), ""))
        return opened[number]

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


class _Socket:
    """A socket that takes nothing from anybody but the server, at a port that the system draws by lot."""

    def __init__(self, server: Server, source: str) -> None:
        self.questions = QUESTIONS
        self._waiting: dict[int, tuple[bytes, asyncio.Future[bytes]]] = {}
        self._socket = socket.socket(_family(server[0]), socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if source:
                self._socket.bind((source, 0))
            self._socket.connect(server)
        except OSError:
            self._socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        # By its number: asyncio would write the socket's description for each.
        self._number = self._socket.fileno()
        self._loop.add_reader(self._number, self._read)

    def close(self) -> None:
        if self._number >= 0:
            self._loop.remove_reader(self._number)
            self._socket.close()
            self._number = -1

    def retire(self) -> None:
        """Asks nothing more, and goes as soon as all is answered."""
        self.questions = 0
        if not self._waiting:
            self.close()

    async def ask(self, query: bytes, wait: float) -> tuple[bytes, bytes]:
        """The question as it was asked, and its answer. Raises L(Silence) and OSError."""
        self.questions -= 1
        identifier = secrets.randbits(16)
        while identifier in self._waiting:
            identifier = secrets.randbits(16)
        query = identifier.to_bytes(2, "big") + query[2:]
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[identifier] = query, answer
        timer = self._loop.call_later(wait, _fail, answer, Silence())
        try:
            # A question for which there is no room is lost like any other.
            with contextlib.suppress(BlockingIOError):
                self._socket.send(query)
            return query, await answer
        finally:
            timer.cancel()
            del self._waiting[identifier]
            if self.questions < 1 and not self._waiting:
                self.close()

    def _read(self) -> None:
        # Who sends without end does not keep others from their turn.
        for _datagram in range(QUESTIONS):
            try:
                data = self._socket.recv(DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                # Nobody is there: that is so for all who wait.
                for _query, answer in self._waiting.values():
                    _fail(answer, error)
                return
            asked = self._waiting.get(int.from_bytes(data[:2], "big"))
            if asked and is_answer(data, asked[0]) and not asked[1].done():
                asked[1].set_result(data)


def _fail(answer: asyncio.Future[bytes], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
