# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The policy fetch of RFC 8461 3.3, as a strict sender makes it, towards one address.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import os
import re
import ssl
import typing as t

PATH = "/.well-known/mta-sts.txt"
# RFC 8461 3.3 suggests a limit of 64 kilobytes for the body.
BODY_LIMIT = 65536
HEAD_LIMIT = 16384

_STATUS = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: .*)?\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r?\n")
_BLANK = (b"\r\n", b"\n")


class FetchFailure(Exception):
    """Why a policy could not be had: a finding's code and what was seen."""

    def __init__(self, code: str, seen: str) -> None:
        super().__init__(seen)
        self.code = code
        self.seen = seen


def strict_context(ca_file: t.Optional[str] = None) -> ssl.SSLContext:
    """TLS as RFC 8461 3.3 and 4.2 want it: a chain that verifies and a DNS-ID, never a common name.

    C(ca_file) replaces the system's trust store. Raises ValueError when it cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        # An SSLError is an OSError, too, and neither names the file.
        raise ValueError(f"the trust store {ca_file!r} cannot be used: {error}") from None
    context.hostname_checks_common_name = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def tls_reason(error: ssl.SSLError) -> str:
    """What a failed handshake says, in words."""
    message = getattr(error, "verify_message", "") or error.reason or str(error)
    return str(message).lower().replace("_", " ")


async def fetch_policy(name: str, address: str, context: ssl.SSLContext, timeout: float, port: int = 443) -> bytes:
    """The body of the policy that C(address) serves for the policy host C(name).

    C(timeout) in seconds bounds the whole fetch. Raises L(FetchFailure) for everything a sender refuses.
    """
    try:
        return await asyncio.wait_for(_exchange(name, address, port, context), timeout)
    except ssl.SSLCertVerificationError as error:
        raise FetchFailure("policy-certificate", tls_reason(error)) from None
    except ssl.SSLError as error:
        # Web servers that have no certificate for a name refuse the handshake.
        raise FetchFailure("policy-certificate", f"TLS handshake: {tls_reason(error)}") from None
    except asyncio.TimeoutError:
        raise FetchFailure("policy-unreachable", f"no answer within {timeout:g} seconds") from None
    except (OSError, EOFError, ValueError) as error:
        raise FetchFailure("policy-unreachable", error_text(error)) from None


def error_text(error: BaseException) -> str:
    """An operating system's error in words, without address and number."""
    if isinstance(error, EOFError):
        return "the connection was closed without a whole answer"
    number = getattr(error, "errno", None)
    return (os.strerror(number) if number and number > 0 else str(error) or type(error).__name__).lower()


def check_name(name: str, context: ssl.SSLContext) -> None:
    """Raises ValueError for a name that TLS cannot ask for.

    The event loop meets it in a callback, where the error is lost and the connection stays open.
    """
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except ValueError:
        raise ValueError(f"{name!r} is not a name that a certificate can be for") from None


async def _exchange(name: str, address: str, port: int, context: ssl.SSLContext) -> bytes:
    check_name(name, context)
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name, limit=HEAD_LIMIT)
    try:
        request = (
            f"GET {PATH} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: postmaster.mta_sts\r\n"
            "Accept: text/plain\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode("ascii"))
        headers = await _headers(reader)
        return await _body(reader, headers)
    finally:
        # Nothing more is wanted of this connection, least of all to wait for the other side's farewell.
        with contextlib.suppress(OSError, RuntimeError):
            writer.transport.abort()


async def _headers(reader: asyncio.StreamReader) -> http.client.HTTPMessage:
    """The header fields of an answer that a sender takes a policy from (RFC 8461 3.3)."""
    status_line = await _line(reader)
    status = _STATUS.fullmatch(status_line)
    if not status:
        text = status_line[:60].decode("ascii", "backslashreplace").rstrip()
        raise FetchFailure("policy-http", f"not an HTTP answer: {text}")
    head = b""
    while not head.endswith(tuple(b"\n" + blank for blank in _BLANK)) and head not in _BLANK:
        head += await _line(reader)
        if len(head) > HEAD_LIMIT:
            raise FetchFailure("policy-http", f"the header is larger than {HEAD_LIMIT // 1024} KiB")
    try:
        headers = http.client.parse_headers(io.BytesIO(head))
    except http.client.HTTPException as error:
        raise FetchFailure("policy-http", f"not an HTTP header: {error}") from None
    code = status[1].decode("ascii")
    if code.startswith("3"):
        location = headers.get("Location", "nowhere")
        raise FetchFailure("policy-http", f"status {code}, a redirect to {location}; senders follow none")
    if code != "200":
        raise FetchFailure("policy-http", f"status {code} instead of 200")
    encoding = headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise FetchFailure("policy-http", f"Content-Encoding {encoding!r}")
    media_type = headers.get("Content-Type")
    if media_type is None or media_type.partition(";")[0].strip().lower() != "text/plain":
        raise FetchFailure("policy-http", f"Content-Type {media_type!r} instead of 'text/plain'")
    return headers


async def _body(reader: asyncio.StreamReader, headers: http.client.HTTPMessage) -> bytes:
    """The body, framed as RFC 9112 6.3 says, and no byte awaited beyond it."""
    transfer = headers.get("Transfer-Encoding", "").strip().lower()
    length = headers.get("Content-Length", "").strip()
    if transfer == "chunked":
        return await _chunks(reader)
    if transfer:
        raise FetchFailure("policy-http", f"Transfer-Encoding {transfer!r}")
    if not length:
        body = bytearray()
        while len(body) <= BODY_LIMIT:
            part = await reader.read(BODY_LIMIT)
            if not part:
                return bytes(body)
            body += part
        raise _too_large()
    if not (length.isascii() and length.isdigit()):
        raise FetchFailure("policy-http", f"Content-Length {length!r}")
    if len(length) > len(str(BODY_LIMIT)) or int(length) > BODY_LIMIT:
        raise _too_large()
    return await _exactly(reader, int(length))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        size = _CHUNK_SIZE.fullmatch(await _line(reader))
        if not size:
            raise FetchFailure("policy-http", "the chunks of the body are garbled")
        count = int(size[1], 16)
        if not count:
            # Trailer fields, if any, say nothing about a policy.
            return bytes(body)
        if len(body) + count > BODY_LIMIT:
            raise _too_large()
        body += await _exactly(reader, count)
        if await _line(reader) not in _BLANK:
            raise FetchFailure("policy-http", "the chunks of the body are garbled")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise FetchFailure("policy-http", f"the header is larger than {HEAD_LIMIT // 1024} KiB") from None


async def _exactly(reader: asyncio.StreamReader, count: int) -> bytes:
    try:
        return await reader.readexactly(count)
    except asyncio.IncompleteReadError:
        raise FetchFailure("policy-http", "the connection was closed before the whole policy came") from None


def _too_large() -> FetchFailure:
    return FetchFailure("policy-http", f"the body is larger than {BODY_LIMIT // 1024} KiB")
