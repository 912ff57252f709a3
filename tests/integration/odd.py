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


class OddServers:
    """Any number of them, in one thread with an event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server] = []
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


def http_answer(answer: bytes, *, then: t.Literal["close", "stay"] = "close") -> Behaviour:
    """Reads a request and sends these bytes; then it hangs up, or keeps the connection open."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if then == "stay":
            await reader.read()

    return behave


def smtp_script(*answers: bytes) -> Behaviour:
    """Sends one answer after the other, each after the first on a command; then it hangs up."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, answer in enumerate(answers):
            if number:
                await reader.readuntil(b"\n")
            writer.write(answer)
            await writer.drain()

    return behave


def smtp_server(context: ssl.SSLContext, *, greeting: bytes = b"220 mx\r\n", after_starttls: bytes = b"") -> Behaviour:
    """An MX host that is well but for its greeting, or for what it adds to its answer to STARTTLS."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while command := (await reader.readline()).strip().upper():
            if command == b"STARTTLS":
                writer.write(b"220 go\r\n" + after_starttls)
                await writer.start_tls(context)
            elif command == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"250-mx\r\n250 STARTTLS\r\n")

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
