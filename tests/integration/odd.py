# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that do on purpose what no real one would: they stall, babble, lie and hang up."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import typing as t

Behaviour = t.Callable[[asyncio.StreamReader, asyncio.StreamWriter], t.Awaitable[None]]
# What is sent back for one message.
Replies = t.Callable[[bytes], t.Iterable[bytes]]


class OddServers:
    """Any number of them, in one thread with an event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server | asyncio.DatagramTransport] = []
        # How many connections each port has had.
        self.connections: dict[int, int] = {}

    def serve(
        self, behaviour: Behaviour, context: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> int:
        """The port on which connections behave so from now on, over TLS if there is a context."""
        return asyncio.run_coroutine_threadsafe(self._serve(behaviour, context, host, port), self._loop).result()

    async def _serve(self, behaviour: Behaviour, context: ssl.SSLContext | None, host: str, port: int) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections[bound] += 1
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await behaviour(reader, writer)
                writer.close()
                await writer.wait_closed()
            with contextlib.suppress(OSError, RuntimeError):
                writer.transport.abort()

        server = await asyncio.start_server(connected, host, port, ssl=context, limit=1 << 20)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        self.connections[bound] = 0
        return bound

    def reply(self, replies: Replies, host: str, port: int) -> None:
        """Answers so from now on to what comes by UDP."""
        endpoint = self._loop.create_datagram_endpoint(lambda: _Replying(replies), (host, port))
        transport, _protocol = asyncio.run_coroutine_threadsafe(endpoint, self._loop).result()
        self._servers.append(transport)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel(self) -> None:
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Replying(asyncio.DatagramProtocol):
    def __init__(self, replies: Replies) -> None:
        self._replies = replies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = t.cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[t.Any, ...]) -> None:
        for reply in self._replies(data):
            self._transport.sendto(reply, addr)


def http_answer(answer: bytes, *, then: t.Literal["close", "stay"] = "close") -> Behaviour:
    """Reads a request and sends these bytes; then it hangs up, or keeps the connection open."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if then == "stay":
            await reader.read()

    return behave


def smtp_script(*answers: bytes, in_handshake: bool = False) -> Behaviour:
    """Sends one answer after the other, each after the first on a command. Then it hangs up, or in the handshake."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, answer in enumerate(answers):
            if number:
                await reader.readuntil(b"\n")
            writer.write(answer)
            await writer.drain()
        if in_handshake:
            # Closed with something unread, a connection is reset.
            await reader.read(1 << 16)

    return behave


def smtp_server(
    context: ssl.SSLContext,
    *,
    greeting: bytes = b"220 mx\r\n",
    after_starttls: bytes = b"",
    over_tls: bytes = b"250-mx\r\n250 STARTTLS\r\n",
) -> Behaviour:
    """An MX host that is well but for its greeting, what it adds to its answer to STARTTLS, or what it says then."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ehlo = b"250-mx\r\n250 STARTTLS\r\n"
        writer.write(greeting)
        while command := (await reader.readline()).strip().upper():
            if command == b"STARTTLS":
                writer.write(b"220 go\r\n" + after_starttls)
                await writer.start_tls(context)
                ehlo = over_tls
            elif command == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(ehlo)

    return behave


async def hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Closes at once."""


async def be_silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Says nothing, and stays."""
    await reader.read()


def endless(start: bytes, more: bytes) -> Behaviour:
    """Sends without end, until the other side has had enough."""

    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(more)
            await writer.drain()
            # Gives the loop a turn to notice that nobody listens any more.
            await asyncio.sleep(0)

    return behave


def drip(answer: bytes, pause: float) -> Behaviour:
    """Sends byte by byte."""

    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in answer:
            if writer.is_closing():
                return
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(pause)

    return behave
