# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""STARTTLS on port 25 of one address of an MX host, as a sender that enforces meets it (RFC 8461 4.2).

Private to this collection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl

from .connect import Reach, connected, error_text
from .older_python import start_tls, timeout
from .tls import Session, certificate_code, check_name, session_with_chain, tls_reason

LINE_LIMIT = 4096
REPLY_LINES = 100


class SmtpFailure(Exception):
    """Why an MX host cannot be trusted to take mail over TLS: a finding's code and what was seen."""

    def __init__(self, code: str, seen: str, *, connected: bool = True) -> None:
        super().__init__(seen)
        self.code = code
        self.seen = seen
        # Without a connection the failure is that of the address, whatever the name of the host.
        self.connected = connected


async def probe_starttls(host: str, address: str, context: ssl.SSLContext, reach: Reach) -> Session:
    """The session that C(address) offers for C(host) with STARTTLS, if it speaks SMTP behind it.

    Raises L(SmtpFailure).
    """
    answered = False
    try:
        check_name(host)
        async with timeout(reach.timeout), connected(address, reach.smtp_port, reach) as (reader, writer):
            answered = True
            return await _dialogue(host, _Smtp(reader, writer), writer, context)
    except ssl.SSLCertVerificationError as error:
        raise SmtpFailure(certificate_code("mx", error), tls_reason(error)) from None
    except ssl.SSLError as error:
        raise SmtpFailure("mx-tls", f"TLS handshake: {tls_reason(error)}") from None
    except TimeoutError:
        seen = f"no answer within {reach.timeout:g} seconds"
        raise SmtpFailure("mx-unreachable", seen, connected=answered) from None
    except (OSError, EOFError, ValueError) as error:
        raise SmtpFailure("mx-unreachable", error_text(error)) from None


async def _dialogue(host: str, smtp: _Smtp, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> Session:
    code, lines = await smtp.reply()
    if code != "220":
        raise SmtpFailure("mx-greeting", f"greets with {code} {lines[0]}")
    ehlo = f"EHLO {_literal(writer)}"
    code, lines = await smtp.command(ehlo)
    if code != "250":
        raise SmtpFailure("mx-starttls", f"answers EHLO with {code} {lines[0]}")
    if "STARTTLS" not in (line.strip().upper() for line in lines[1:]):
        raise SmtpFailure("mx-starttls", "does not offer STARTTLS")
    code, lines = await smtp.command("STARTTLS")
    if code != "220":
        raise SmtpFailure("mx-starttls", f"answers STARTTLS with {code} {lines[0]}")
    # RFC 3207 4.2: nothing that was said before the handshake may be taken for said behind it.
    if smtp.has_more:
        raise SmtpFailure("mx-starttls", "sends more in plain text after its answer to STARTTLS")
    await _start_tls(writer, host, context)
    session = session_with_chain(writer.get_extra_info("ssl_object"))
    code, lines = await smtp.command(ehlo)
    if code != "250":
        raise SmtpFailure("mx-starttls", f"answers EHLO over TLS with {code} {lines[0]}")
    writer.write(b"QUIT\r\n")
    return session


async def _start_tls(writer: asyncio.StreamWriter, host: str, context: ssl.SSLContext) -> None:
    try:
        await start_tls(writer, context, host)
    except ssl.SSLError:
        raise
    except (OSError, EOFError) as error:
        raise SmtpFailure("mx-tls", f"TLS handshake: {error_text(error)}") from None


class _Smtp:
    """The client's side of a dialogue, with lines and replies of bounded size."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._received = b""

    @property
    def has_more(self) -> bool:
        """Whether more has come than the replies that were read."""
        return bool(self._received)

    async def command(self, line: str) -> tuple[str, list[str]]:
        self._writer.write(f"{line}\r\n".encode("ascii"))
        return await self.reply()

    async def reply(self) -> tuple[str, list[str]]:
        """The code of a reply, and the text of its lines (RFC 5321 4.2.1)."""
        lines = []
        for _line in range(REPLY_LINES):
            text = (await self._line()).decode("ascii", "backslashreplace").rstrip("\r")
            code, separator = text[:3], text[3:4]
            if len(code) < 3 or not code.isdigit() or separator not in ("-", " ", ""):
                raise SmtpFailure("mx-unreachable", f"does not speak SMTP: {text[:60]}")
            lines.append(text[4:])
            if separator != "-":
                return code, lines
        raise SmtpFailure("mx-unreachable", "sends a reply without end")

    async def _line(self) -> bytes:
        while b"\n" not in self._received[: LINE_LIMIT + 1]:
            if len(self._received) > LINE_LIMIT:
                raise SmtpFailure("mx-unreachable", "sends a line without end")
            part = await self._reader.read(1 << 20)
            if not part:
                raise EOFError
            self._received += part
        line, _newline, self._received = self._received.partition(b"\n")
        return line


def _literal(writer: asyncio.StreamWriter) -> str:
    # RFC 5321 4.1.3: who has no name of its own introduces itself with its address.
    address = writer.get_extra_info("sockname")[0]
    return f"[IPv6:{address}]" if ipaddress.ip_address(address).version == 6 else f"[{address}]"
