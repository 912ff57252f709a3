# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""STARTTLS on port 25 of one address of an MX host, as a sender that enforces meets it (RFC 8461 4.2).

Standard library only. Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl

from .https import error_text, tls_reason

LINE_LIMIT = 4096
REPLY_LINES = 100


class SmtpFailure(Exception):
    """Why an MX host cannot be trusted to take mail over TLS: a finding's code and what was seen."""

    def __init__(self, code: str, seen: str) -> None:
        super().__init__(seen)
        self.code = code
        self.seen = seen


async def probe_starttls(host: str, address: str, context: ssl.SSLContext, timeout: float, port: int = 25) -> None:
    """Returns when C(address) offers STARTTLS with a chain that verifies for C(host).

    C(timeout) in seconds bounds the whole dialogue. Raises L(SmtpFailure).
    """
    try:
        await asyncio.wait_for(_dialogue(host, address, port, context), timeout)
    except ssl.SSLCertVerificationError as error:
        raise SmtpFailure("mx-certificate", f"certificate: {tls_reason(error)}") from None
    except ssl.SSLError as error:
        raise SmtpFailure("mx-starttls", f"TLS handshake: {tls_reason(error)}") from None
    except asyncio.TimeoutError:
        raise SmtpFailure("mx-unreachable", f"no answer within {timeout:g} seconds") from None
    except (OSError, EOFError, ValueError) as error:
        raise SmtpFailure("mx-unreachable", error_text(error)) from None


async def _dialogue(host: str, address: str, port: int, context: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection(address, port, limit=LINE_LIMIT)
    try:
        code, lines = await _reply(reader)
        if code != "220":
            raise SmtpFailure("mx-unreachable", f"greets with {code} {lines[0]}")
        code, lines = await _command(reader, writer, f"EHLO {_literal(writer)}")
        if code != "250" or "STARTTLS" not in (line.strip().upper() for line in lines[1:]):
            raise SmtpFailure("mx-starttls", "does not offer STARTTLS")
        code, lines = await _command(reader, writer, "STARTTLS")
        if code != "220":
            raise SmtpFailure("mx-starttls", f"answers STARTTLS with {code} {lines[0]}")
        await writer.start_tls(context, server_hostname=host)
        await _command(reader, writer, "QUIT")
    finally:
        with contextlib.suppress(OSError, RuntimeError):
            writer.transport.abort()


async def _command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str) -> tuple[str, list[str]]:
    writer.write(f"{line}\r\n".encode("ascii"))
    return await _reply(reader)


async def _reply(reader: asyncio.StreamReader) -> tuple[str, list[str]]:
    lines = []
    for _line in range(REPLY_LINES):
        try:
            raw = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise SmtpFailure("mx-unreachable", "sends a line without end") from None
        text = raw.decode("ascii", "backslashreplace").rstrip("\r\n")
        code, separator = text[:3], text[3:4]
        if not code.isdigit() or separator not in ("-", " ", ""):
            raise SmtpFailure("mx-unreachable", f"does not speak SMTP: {text[:60]}")
        lines.append(text[4:])
        if separator != "-":
            return code, lines
    raise SmtpFailure("mx-unreachable", "sends a reply without end")


def _literal(writer: asyncio.StreamWriter) -> str:
    # RFC 5321 4.1.3: who has no name of its own introduces itself with its address.
    address = writer.get_extra_info("sockname")[0]
    return f"[IPv6:{address}]" if ipaddress.ip_address(address).version == 6 else f"[{address}]"
