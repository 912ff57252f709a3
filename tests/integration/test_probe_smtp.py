# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""STARTTLS against Postfix, and against servers that no Postfix would be."""

from __future__ import annotations

import asyncio
import ssl
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.connect import Reach
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.smtp import SmtpFailure, probe_starttls
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.tls import strict_context
from bind import free_port
from odd import Behaviour, OddServers, be_silent, endless, hang_up, smtp_script, smtp_server
from postfix import Postfix
from tls import Authority, server_context

NAME = "mx1.example.net"
# Longer than anything here may take that is not meant to run into it.
PATIENCE = 20.0
EHLO = b"250-mx\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> t.Iterator[None]:
    """The event loop has nothing to complain of."""
    yield
    records = [record for record in caplog.get_records("call") if record.threadName == "MainThread"]
    assert [record.getMessage() for record in records] == []


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def context(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return strict_context(authority.write_trust_store(tmp_path_factory.mktemp("trust") / "ca.pem"))


@pytest.fixture(scope="module")
def odd() -> t.Iterator[OddServers]:
    servers = OddServers()
    yield servers
    servers.close()


def outcome(port: int, context: ssl.SSLContext, host: str = NAME, timeout: float = PATIENCE) -> tuple[str, str] | None:
    """The failure's code and text, or nothing where there is none."""
    try:
        asyncio.run(probe_starttls(host, "127.0.0.1", context, Reach(timeout, smtp_port=port)))
    except SmtpFailure as failure:
        return failure.code, failure.seen
    return None


HOSTS: dict[str, tuple[str, str] | None] = {
    "good": None,
    "wildcard": None,
    "no-starttls": ("mx-starttls", "does not offer STARTTLS"),
    "self-signed": ("mx-certificate-chain", "unable to get local issuer certificate"),
    "wrong-name": (
        "mx-certificate-name",
        "hostname mismatch, certificate is not valid for 'wrong-name.example.net'.",
    ),
    "common-name": (
        "mx-certificate-name",
        "hostname mismatch, certificate is not valid for 'common-name.example.net'.",
    ),
    "expired": ("mx-certificate-date", "certificate has expired"),
}


@pytest.fixture(scope="module")
def postfix(authority: Authority) -> t.Iterator[dict[str, int]]:
    """The port of each host."""
    certificates = {
        "good": authority.issue("good.example.net"),
        "wildcard": authority.issue("*.example.net"),
        "no-starttls": None,
        "self-signed": Authority().issue("self-signed.example.net"),
        "wrong-name": authority.issue("mail.example.net"),
        "common-name": authority.issue(common_name="common-name.example.net"),
        "expired": authority.issue("expired.example.net", expired=True),
    }
    ports = {name: free_port() for name in certificates}
    server = Postfix({("127.0.0.1", ports[name]): pem for name, pem in certificates.items()})
    yield ports
    server.stop()


@pytest.mark.parametrize(("name", "expected"), HOSTS.items(), ids=HOSTS)
def test_postfix(postfix: dict[str, int], context: ssl.SSLContext, name: str, expected: tuple[str, str] | None) -> None:
    assert outcome(postfix[name], context, f"{name}.example.net") == expected


BAD: dict[str, tuple[Behaviour, str, str]] = {
    "greets with 554": (smtp_script(b"554 5.7.1 go away\r\n"), "mx-greeting", "greets with 554 5.7.1 go away"),
    "greets with 421": (smtp_script(b"421 busy\r\n"), "mx-greeting", "greets with 421 busy"),
    "EHLO refused": (
        smtp_script(b"220 mx\r\n", b"502 what?\r\n"),
        "mx-starttls",
        "answers EHLO with 502 what?",
    ),
    "STARTTLS is only its name": (
        smtp_script(b"220 mx\r\n", b"250 STARTTLS\r\n"),
        "mx-starttls",
        "does not offer STARTTLS",
    ),
    "STARTTLS refused": (
        smtp_script(b"220 mx\r\n", EHLO, b"454 4.7.0 TLS not available\r\n"),
        "mx-starttls",
        "answers STARTTLS with 454 4.7.0 TLS not available",
    ),
    "junk in place of a handshake": (
        smtp_script(b"220 mx\r\n", EHLO, b"220 go\r\n", b"\x15\x03nothing of the kind"),
        "mx-tls",
        "TLS handshake: ",
    ),
    "closes in place of a handshake": (
        smtp_script(b"220 mx\r\n", EHLO, b"220 go\r\n"),
        "mx-tls",
        "TLS handshake: ",
    ),
    "more in plain text after STARTTLS": (
        smtp_script(b"220 mx\r\n", EHLO, b"220 go\r\n250 mx\r\n250 trust me\r\n", b""),
        "mx-starttls",
        "sends more in plain text after its answer to STARTTLS",
    ),
    "a code of two digits": (smtp_script(b"22 mx\r\n"), "mx-unreachable", "does not speak SMTP: 22 mx"),
    "speaks HTTP": (
        smtp_script(b"HTTP/1.1 400 Bad Request\r\n"),
        "mx-unreachable",
        "does not speak SMTP: HTTP/1.1 400 Bad Request",
    ),
    "garbage": (smtp_script(b"\xff\xfe\x00\r\n"), "mx-unreachable", "does not speak SMTP: \\xff\\xfe\x00"),
    "endless line": (endless(b"220 ", b"x" * 4096), "mx-unreachable", "sends a line without end"),
    "long line": (smtp_script(b"220 " + b"x" * 5000 + b"\r\n"), "mx-unreachable", "sends a line without end"),
    "endless reply": (endless(b"", b"220-more\r\n"), "mx-unreachable", "sends a reply without end"),
    "closes at once": (hang_up, "mx-unreachable", "the connection was closed without a whole answer"),
    "closes in the greeting": (
        smtp_script(b"220-m"),
        "mx-unreachable",
        "the connection was closed without a whole answer",
    ),
    "silent": (be_silent, "mx-unreachable", "no answer within 0.5 seconds"),
}


@pytest.mark.parametrize(("behaviour", "code", "seen"), BAD.values(), ids=BAD)
def test_what_is_refused(odd: OddServers, context: ssl.SSLContext, behaviour: Behaviour, code: str, seen: str) -> None:
    found = outcome(odd.serve(behaviour), context, timeout=0.5 if "within 0.5" in seen else PATIENCE)
    assert found is not None
    assert found[0] == code
    assert found[1].startswith(seen) if seen.endswith(": ") else found[1] == seen


GREETINGS = {
    "one line": b"220 mx\r\n",
    "several lines": b"220-mx\r\n220-is glad\r\n220 to see you\r\n",
    "code alone": b"220\r\n",
    "bare LF": b"220 mx\n",
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_what_is_unusual_and_good(
    odd: OddServers, authority: Authority, context: ssl.SSLContext, tmp_path: Path, greeting: bytes
) -> None:
    server = smtp_server(server_context(authority.issue(NAME), tmp_path / "pem"), greeting=greeting)
    assert outcome(odd.serve(server), context) is None


def test_what_is_said_before_tls_is_not_believed(
    odd: OddServers, authority: Authority, context: ssl.SSLContext, tmp_path: Path
) -> None:
    """The certificate is good, but somebody on the way put answers between (RFC 3207 4.2)."""
    tls = server_context(authority.issue(NAME), tmp_path / "pem")
    assert outcome(odd.serve(smtp_server(tls)), context) is None
    port = odd.serve(smtp_server(tls, after_starttls=b"250 as good as encrypted\r\n"))
    assert outcome(port, context) == ("mx-starttls", "sends more in plain text after its answer to STARTTLS")


def test_a_server_that_ends_with_the_handshake_does_not_work(
    odd: OddServers, authority: Authority, context: ssl.SSLContext, tmp_path: Path
) -> None:
    tls = server_context(authority.issue(NAME), tmp_path / "pem")

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await smtp_script(b"220 mx\r\n", EHLO, b"220 go\r\n")(reader, writer)
        await writer.start_tls(tls)

    found = outcome(odd.serve(behave), context)
    assert found == ("mx-unreachable", "the connection was closed without a whole answer")


def test_connection_refused(context: ssl.SSLContext) -> None:
    assert outcome(free_port(), context) == ("mx-unreachable", "connection refused")


@pytest.mark.parametrize("host", ["\\195" * 20 + ".example", "a" * 64 + ".example", ".example"])
def test_a_name_that_no_certificate_can_be_for(odd: OddServers, context: ssl.SSLContext, host: str) -> None:
    """RFC 8461 4.2 wants the name in the certificate; DNS allows names of any bytes."""
    found = outcome(odd.serve(smtp_script(b"220 mx\r\n", EHLO, b"220 go\r\n")), context, host)
    assert found is not None
    assert found == ("mx-unreachable", f"{host!r} is not a name that a certificate can be for")
