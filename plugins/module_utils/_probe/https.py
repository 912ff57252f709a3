# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The policy fetch of RFC 8461 3.3, as a strict sender makes it, towards one address.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import ssl
import time
import typing as t

from .connect import Reach, error_text
from .older_python import timeout
from .tls import Session, certificate_code, session_of, tls_reason
from .tls_stream import TlsStream, tls_connected

PATH = "/.well-known/mta-sts.txt"
USER_AGENT = "postmaster.mta_sts"
# RFC 8461 3.3 suggests a limit of 64 kilobytes for the body.
BODY_LIMIT = 65536
HEAD_LIMIT = 16384
# RFC 9110 15.4; the other codes that begin so lead nowhere.
REDIRECTS = ("301", "302", "303", "307", "308")

_STATUS = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: .*)?\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r?\n")
_BLANK = (b"\r\n", b"\n")


class FetchFailure(Exception):
    """Why a policy could not be had: a finding's code and what was seen."""

    def __init__(self, code: str, seen: str) -> None:
        super().__init__(seen)
        self.code = code
        self.seen = seen


class Fetched(t.NamedTuple):
    """A policy as it came, and how."""

    body: bytes
    session: Session
    seconds: float


async def fetch_policy(name: str, address: str, context: ssl.SSLContext, reach: Reach) -> Fetched:
    """The policy that C(address) serves for the policy host C(name).

    Raises L(FetchFailure) for everything that a sender refuses.
    """
    begin = time.monotonic()
    with _failures(reach):
        async with timeout(reach.timeout), _connected(name, address, context, reach) as stream:
            await stream.write(
                f"GET {PATH} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: {USER_AGENT}\r\n"
                "Accept: text/plain\r\nConnection: close\r\n\r\n".encode("ascii")
            )
            answer = _Answer(stream)
            body = await _body(answer, await _headers(answer))
            return Fetched(body, session_of(stream.connection), time.monotonic() - begin)


async def shake_hands(name: str, address: str, context: ssl.SSLContext, reach: Reach) -> Session:
    """A TLS session with a policy host, and nothing more. Raises L(FetchFailure)."""
    with _failures(reach):
        async with timeout(reach.timeout), _connected(name, address, context, reach) as stream:
            return session_of(stream.connection)


def _connected(
    name: str, address: str, context: ssl.SSLContext, reach: Reach
) -> contextlib.AbstractAsyncContextManager[TlsStream]:
    return tls_connected(name, address, reach.https_port, context, reach)


@contextlib.contextmanager
def _failures(reach: Reach) -> t.Iterator[None]:
    """Whatever stands in the way, by what it means for a sender."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise FetchFailure(certificate_code("policy", error), tls_reason(error)) from None
    except ssl.SSLError as error:
        # Web servers that have no certificate for a name refuse the handshake.
        raise FetchFailure("policy-tls", f"TLS handshake: {tls_reason(error)}") from None
    except TimeoutError:
        raise FetchFailure("policy-unreachable", f"no answer within {reach.timeout:g} seconds") from None
    except (OSError, EOFError, ValueError) as error:
        raise FetchFailure("policy-unreachable", error_text(error)) from None


class _Answer:
    """What comes, by lines and by numbers of bytes."""

    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream
        self._received = bytearray()

    async def line(self) -> bytes:
        """A line with its end. Raises L(FetchFailure) for one that is too long, and for half a one."""
        while not (end := self._received.find(b"\n") + 1):
            if len(self._received) > HEAD_LIMIT:
                raise FetchFailure("policy-http", f"the header is larger than {HEAD_LIMIT // 1024} KiB")
            await self._more()
        return self._take(end)

    async def exactly(self, count: int) -> bytes:
        """So many bytes. Raises L(FetchFailure) where there are fewer."""
        while len(self._received) < count:
            try:
                await self._more()
            except EOFError:
                raise FetchFailure("policy-http", "the connection was closed before the whole policy came") from None
        return self._take(count)

    async def rest(self) -> bytes:
        """All until the other side is done. Raises L(FetchFailure) for more than a policy may have."""
        with contextlib.suppress(EOFError):
            while len(self._received) <= BODY_LIMIT:
                await self._more()
            raise _too_large()
        return bytes(self._received)

    def _take(self, count: int) -> bytes:
        part = bytes(self._received[:count])
        del self._received[:count]
        return part

    async def _more(self) -> None:
        part = await self._stream.read()
        if not part:
            raise EOFError
        self._received += part


async def _headers(answer: _Answer) -> http.client.HTTPMessage:
    """The header fields of an answer that a sender takes a policy from (RFC 8461 3.3)."""
    status_line = await answer.line()
    status = _STATUS.fullmatch(status_line)
    if not status:
        text = status_line[:60].decode("ascii", "backslashreplace").rstrip()
        raise FetchFailure("policy-http", f"not an HTTP answer: {text}")
    head = b""
    while not head.endswith(tuple(b"\n" + blank for blank in _BLANK)) and head not in _BLANK:
        head += await answer.line()
        if len(head) > HEAD_LIMIT:
            raise FetchFailure("policy-http", f"the header is larger than {HEAD_LIMIT // 1024} KiB")
    try:
        headers = http.client.parse_headers(io.BytesIO(head))
    except http.client.HTTPException as error:
        raise FetchFailure("policy-http", f"not an HTTP header: {error}") from None
    code = status[1].decode("ascii")
    if code in REDIRECTS:
        location = headers.get("Location", "nowhere")
        raise FetchFailure("policy-redirect", f"status {code}, a redirect to {location}; senders follow none")
    if code != "200":
        raise FetchFailure("policy-status", f"status {code} instead of 200, for User-Agent {USER_AGENT}")
    encoding = headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise FetchFailure("policy-encoding", f"Content-Encoding {encoding!r}")
    media_type = headers.get("Content-Type")
    if media_type is None or media_type.partition(";")[0].strip().lower() != "text/plain":
        raise FetchFailure("policy-type", f"Content-Type {media_type!r} instead of 'text/plain'")
    return headers


async def _body(answer: _Answer, headers: http.client.HTTPMessage) -> bytes:
    """The body, framed as RFC 9112 6.3 says, and no byte awaited beyond it."""
    transfer = headers.get("Transfer-Encoding", "").strip().lower()
    length = headers.get("Content-Length", "").strip()
    if transfer == "chunked":
        return await _chunks(answer)
    if transfer:
        raise FetchFailure("policy-http", f"Transfer-Encoding {transfer!r}")
    if not length:
        return await answer.rest()
    if not (length.isascii() and length.isdigit()):
        raise FetchFailure("policy-http", f"Content-Length {length!r}")
    if len(length) > len(str(BODY_LIMIT)) or int(length) > BODY_LIMIT:
        raise _too_large()
    return await answer.exactly(int(length))


async def _chunks(answer: _Answer) -> bytes:
    body, framing = bytearray(), 0
    while True:
        line = await answer.line()
        framing += len(line)
        if framing > HEAD_LIMIT:
            # Nobody may make a probe work without end: single bytes, or much that is said of each chunk.
            raise FetchFailure("policy-http", "the body comes in too many chunks")
        size = _CHUNK_SIZE.fullmatch(line)
        if not size:
            raise FetchFailure("policy-http", "the chunks of the body are garbled")
        count = int(size[1], 16)
        if not count:
            # Trailer fields, if any, say nothing about a policy.
            return bytes(body)
        if len(body) + count > BODY_LIMIT:
            raise _too_large()
        body += await answer.exactly(count)
        if await answer.line() not in _BLANK:
            raise FetchFailure("policy-http", "the chunks of the body are garbled")


def _too_large() -> FetchFailure:
    return FetchFailure("policy-size", f"the body is larger than {BODY_LIMIT // 1024} KiB")
