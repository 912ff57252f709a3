# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The primary server of the zones: signed queries and updates over a few pipelined TCP connections.

Queries are pipelined (RFC 7766 6.2.1.1): no truncation, no lost datagrams, and a server that is down is noticed
at once. Private to this collection.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
import typing as t

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.opcode
    import dns.rcode
    import dns.rdata
    import dns.rdataclass
    import dns.rdataset
    import dns.rdatatype
    import dns.rdtypes.ANY.TXT
    import dns.tsig
    import dns.update
except ImportError:  # reported by the module, which needs it
    pass

from .._probe.message import Reply, is_answer, make_query, parse_reply
from .record_set import InputError, ServerError, SetError, parse_name

T = t.TypeVar("T")

KEY_ALGORITHMS = {
    "hmac-md5": "hmac-md5.sig-alg.reg.int",
    "hmac-sha1": "hmac-sha1",
    "hmac-sha224": "hmac-sha224",
    "hmac-sha256": "hmac-sha256",
    "hmac-sha256-128": "hmac-sha256-128",
    "hmac-sha384": "hmac-sha384",
    "hmac-sha384-192": "hmac-sha384-192",
    "hmac-sha512": "hmac-sha512",
    "hmac-sha512-256": "hmac-sha512-256",
}

CONNECTIONS = 4
PIPELINED = 16  # queries under way on one connection


def make_key(name: str, algorithm: str, secret: str) -> dns.tsig.Key:
    """Return the TSIG key; no message here may hold the secret."""
    try:
        base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("key_secret is not base64; give the text of the key file's secret") from None
    try:
        return dns.tsig.Key(parse_name(name, "key_name"), secret, KEY_ALGORITHMS[algorithm])
    except ValueError as exc:
        raise InputError(str(exc)) from exc


class KeyRefusedError(SetError):
    """The server does not know the key, or does not let it near this zone: Knot does not say which of them."""


class _Connection:
    """One TCP connection with several queries under way; answers may come in any order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._next_id = 0
        self._room = asyncio.Semaphore(PIPELINED)
        self.closed = False
        self._reading = asyncio.ensure_future(self._read(reader))

    async def exchange(self, build: t.Callable[[int], tuple[bytes, T]], timeout: float) -> tuple[bytes, T]:
        async with self._room:
            if self.closed:
                raise ConnectionResetError("the server closed the connection")
            self._next_id = message_id = (self._next_id + 1) % 65536
            wire, query = build(message_id)
            answer = self._waiting[message_id] = asyncio.get_running_loop().create_future()
            try:
                # Bounded by PIPELINED, so there is no need to wait for the buffer to drain.
                self._writer.write(len(wire).to_bytes(2, "big") + wire)
                return await asyncio.wait_for(answer, timeout), query
            finally:
                del self._waiting[message_id]

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                wire = await reader.readexactly(size)
                answer = self._waiting.get(int.from_bytes(wire[:2], "big"))
                if answer is not None and not answer.done():
                    answer.set_result(wire)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed = True
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionResetError("the server closed the connection"))

    async def close(self) -> None:
        self._reading.cancel()
        self._writer.close()
        await asyncio.gather(self._reading, self._writer.wait_closed(), return_exceptions=True)


class Server:
    """The primary server of the zones, with the key that it knows."""

    def __init__(self, host: str, port: int, timeout: float, key: dns.tsig.Key | None) -> None:
        self.host, self.port, self.timeout, self.key = host, port, timeout, key
        # Whether the server has signed an answer with it.
        self.key_accepted = False
        self._connections: list[_Connection | None] = [None] * CONNECTIONS
        self._opening = asyncio.Lock()
        self._turn = 0
        # Why it could not be reached, and until when that is not tried again.
        self._unreached: OSError | asyncio.TimeoutError | None = None
        self._rests_until = 0.0

    def __str__(self) -> str:
        return f"server {self.host} port {self.port}"

    @property
    def key_words(self) -> str:
        if self.key is None:
            return "without a TSIG key"
        return f"with TSIG key {self.key.name.to_text(omit_final_dot=True)!r}"

    async def query(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.message.Message:
        return await self._exchange(
            lambda message_id: dns.message.make_query(name, rdtype, use_edns=0, id=message_id, flags=0)
        )

    async def reply(self, name: bytes, rdtype: int) -> Reply:
        """What the server answers to a question without a signature: all that is asked of it costs less than L(query).

        Raises ServerError, and MessageError for an answer that is garbled.
        """

        def build(message_id: int) -> tuple[bytes, bytes]:
            query = make_query(message_id, name, rdtype, 0)
            return query, query

        wire, query = await self._send(build)
        if not is_answer(wire, query):
            raise ServerError(f"{self} sent an answer to another question")
        return parse_reply(wire)

    async def update(self, zone: dns.name.Name, fill: t.Callable[[dns.update.UpdateMessage], None]) -> str:
        """Send one update, return the response code."""

        def build(message_id: int) -> dns.message.Message:
            message = dns.update.UpdateMessage(zone, id=message_id)
            fill(message)
            return message

        return dns.rcode.to_text((await self._exchange(build)).rcode())

    async def close(self) -> None:
        await asyncio.gather(*(one.close() for one in self._connections if one is not None))

    async def _exchange(self, make: t.Callable[[int], dns.message.Message]) -> dns.message.Message:
        def build(message_id: int) -> tuple[bytes, dns.message.Message]:
            query = make(message_id)
            if self.key is not None:
                query.use_tsig(self.key)
            return query.to_wire(max_size=65535), query

        wire, query = await self._send(build)
        return self._check(query, wire)

    async def _send(self, build: t.Callable[[int], tuple[bytes, T]]) -> tuple[bytes, T]:
        try:
            try:
                return await (await self._connection()).exchange(build, self.timeout)
            except ConnectionError:
                # Servers close idle or busy connections; a second failure means something.
                return await (await self._connection()).exchange(build, self.timeout)
        # Before OSError: since Python 3.11 it is one.
        except asyncio.TimeoutError:
            raise ServerError(f"{self} did not answer within {self.timeout:g} s") from None
        except OSError as exc:
            raise ServerError(f"{self} cannot be reached over TCP: {exc}") from exc

    async def _connection(self) -> _Connection:
        self._turn = turn = (self._turn + 1) % CONNECTIONS
        async with self._opening:
            connection = self._connections[turn]
            if connection is None or connection.closed:
                if connection is not None:
                    await connection.close()
                self._connections[turn] = None
                connection = self._connections[turn] = _Connection(*await self._open())
        return connection

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect. A server that is silent is left alone for as long as it took to see that, lest each query waits."""
        began = time.monotonic()
        if self._unreached is not None and began < self._rests_until:
            raise self._unreached.with_traceback(None)
        try:
            return await asyncio.wait_for(asyncio.open_connection(self.host, self.port), self.timeout)
        except (OSError, asyncio.TimeoutError) as exc:
            now = time.monotonic()
            self._unreached, self._rests_until = exc, now + (now - began)
            raise

    def _check(self, query: dns.message.Message, wire: bytes) -> dns.message.Message:
        """Parse an answer and hold it to the query and to the key (RFC 8945 5.3)."""
        keyring = None if self.key is None else {self.key.name: self.key}
        try:
            answer = dns.message.from_wire(wire, keyring=keyring, request_mac=query.mac)
        except dns.tsig.PeerBadKey:
            raise KeyRefusedError(
                f"{self} does not know this key {self._full_key} (BADKEY): compare key_name and key_algorithm with "
                "the server's configuration (Knot: key, and the acl of the zone)"
            ) from None
        except (dns.tsig.PeerBadSignature, dns.tsig.PeerBadTruncation, dns.tsig.BadSignature):
            raise ServerError(
                f"{self} does not accept the signature {self._full_key} (BADSIG): key_secret is not the "
                "secret that the server has under this name"
            ) from None
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            raise ServerError(
                f"{self} does not accept the time of the signature {self._full_key} (BADTIME): the clocks of "
                "this host and of the server differ by more than 5 minutes"
            ) from None
        except (dns.exception.DNSException, ValueError) as exc:
            unsigned = _without_signature(wire)
            if unsigned is None:
                raise ServerError(f"{self} sent an answer that cannot be used {self._full_key}: {exc!r}") from exc
            answer = unsigned
        if not query.is_response(answer):
            raise ServerError(f"{self} sent an answer to another question")
        if self.key is not None and not answer.had_tsig:
            self._check_refusal(query, answer)
        self.key_accepted |= answer.had_tsig
        return answer

    def _check_refusal(self, query: dns.message.Message, answer: dns.message.Message) -> None:
        """Let nothing but a refusal go without a signature: for zones that are not theirs some servers have no key."""
        rcode = dns.rcode.to_text(answer.rcode())
        if rcode == "REFUSED" or (rcode == "NOTAUTH" and query.opcode() == dns.opcode.UPDATE):
            return
        told = f"{self} did not sign its answer ({rcode}) {self._full_key}"
        if rcode == "NOTAUTH":
            raise ServerError(f"{told}: compare name, algorithm and secret of the key with the server's configuration")
        raise ServerError(f"{told}: is it the server itself, and does it support TSIG?")

    @property
    def _full_key(self) -> str:
        if self.key is None:
            return self.key_words
        return f"{self.key_words} ({self.key.algorithm.to_text(omit_final_dot=True)})"


def _without_signature(wire: bytes) -> dns.message.Message | None:
    """Return an answer that is not signed, where one that is signed was asked for."""
    try:
        return dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError):
        return None
