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


class FetchFailure(Exception):
    """Why a policy could not be had: a finding's code and what was seen."""

    def __init__(self, code: str, seen: str) -> None:
        super().__init__(seen)
        self.code = code
        self.seen = seen


def strict_context(ca_file: t.Optional[str] = None) -> ssl.SSLContext:
    """TLS as RFC 8461 3.3 and 4.2 want it: a chain that verifies and a DNS-ID, never a common name.

    C(ca_file) replaces the system's trust store.
    """
    context = ssl.create_default_context(cafile=ca_file or None)
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
        raw = await asyncio.wait_for(_exchange(name, address, port, context), timeout)
    except ssl.SSLError as error:
        raise FetchFailure("policy-certificate", tls_reason(error)) from None
    except asyncio.TimeoutError:
        raise FetchFailure("policy-unreachable", f"no answer within {timeout:g} seconds") from None
    except (OSError, EOFError, ValueError) as error:
        raise FetchFailure("policy-unreachable", error_text(error)) from None
    return _body(raw)


def error_text(error: BaseException) -> str:
    """An operating system's error in words, without address and number."""
    number = getattr(error, "errno", None)
    return (os.strerror(number) if number and number > 0 else str(error) or type(error).__name__).lower()


async def _exchange(name: str, address: str, port: int, context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    try:
        request = (
            f"GET {PATH} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: postmaster.mta_sts\r\n"
            "Accept: text/plain\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode("ascii"))
        raw = bytearray()
        while len(raw) <= BODY_LIMIT + HEAD_LIMIT:
            chunk = await reader.read(16384)
            if not chunk:
                break
            raw += chunk
            if _is_whole(raw):
                break
        return bytes(raw)
    finally:
        # Nothing more is wanted of this connection, least of all to wait for the other side's farewell.
        with contextlib.suppress(OSError, RuntimeError):
            writer.transport.abort()


def _is_whole(raw: bytearray) -> bool:
    """Whether an answer has all come, from a server that keeps the connection open all the same."""
    head, blank, body = bytes(raw).partition(b"\r\n\r\n")
    if not blank:
        return False
    length = re.search(rb"(?im)^content-length:[ \t]*([0-9]{1,9})[ \t]*\r?$", head)
    if length:
        return len(body) >= int(length.group(1))
    return b"chunked" in head.lower() and body.endswith(b"\r\n0\r\n\r\n")


class _Received:
    """Received bytes as the socket that http.client reads from."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._raw)


def _body(raw: bytes) -> bytes:
    if not raw:
        raise FetchFailure("policy-http", "the connection was closed without an answer")
    response = http.client.HTTPResponse(t.cast(t.Any, _Received(raw)), method="GET")
    try:
        response.begin()
        if 300 <= response.status < 400:
            location = response.getheader("Location", "nowhere")
            raise FetchFailure(
                "policy-http", f"status {response.status}, a redirect to {location}; senders follow none"
            )
        if response.status != 200:
            raise FetchFailure("policy-http", f"status {response.status} instead of 200")
        body = response.read(BODY_LIMIT + 1)
        if response.length:
            raise FetchFailure("policy-http", "the connection was closed before the whole policy came")
    except (http.client.HTTPException, ValueError) as error:
        raise FetchFailure("policy-http", f"not an HTTP answer: {type(error).__name__}") from None
    if len(body) > BODY_LIMIT:
        raise FetchFailure("policy-http", "the body is larger than 64 KiB")
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailure("policy-http", f"Content-Encoding {response.getheader('Content-Encoding')!r}")
    media_type = response.getheader("Content-Type")
    if media_type is None or media_type.partition(";")[0].strip().lower() != "text/plain":
        raise FetchFailure("policy-http", f"Content-Type {media_type!r} instead of 'text/plain'")
    return body
