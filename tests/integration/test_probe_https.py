# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy fetch against nginx, and against servers that no nginx would be."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.connect import Reach
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.https import (
    BODY_LIMIT,
    FetchFailure,
    fetch_policy,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.tls import strict_context
from bind import free_port
from nginx import Nginx
from odd import Behaviour, OddServers, be_silent, drip, endless, hang_up, http_answer
from tls import Authority, server_context

NAME = "mta-sts.example.com"
POLICY = b"version: STSv1\r\nmode: testing\r\nmx: mx1.example.net\r\nmax_age: 86400\r\n"
# Longer than anything here may take that is not meant to run into it.
PATIENCE = 20.0

Fetch = t.Callable[..., t.Any]


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
def trust(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> str:
    return authority.write_trust_store(tmp_path_factory.mktemp("trust") / "ca.pem")


@pytest.fixture
def tls(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    """What a server needs that has a good certificate."""
    return server_context(authority.issue(NAME), tmp_path / "pem")


@pytest.fixture(scope="module")
def odd() -> t.Iterator[OddServers]:
    servers = OddServers()
    yield servers
    servers.close()


def outcome(
    port: int, context: ssl.SSLContext, name: str = NAME, timeout: float = PATIENCE, address: str = "127.0.0.1"
) -> bytes | tuple[str, str]:
    """The body, or the failure's code and text."""
    try:
        return asyncio.run(fetch_policy(name, address, context, Reach(timeout, https_port=port))).body
    except FetchFailure as failure:
        return failure.code, failure.seen


# How nginx answers at /.well-known/mta-sts.txt, and what is said of it; nothing, if the policy is taken.
ANSWERS: dict[str, tuple[str, str, str]] = {
    "as-it-should": ("try_files /policy.txt =404;", "", ""),
    "charset": ("try_files /policy.txt =404; charset utf-8; charset_types text/plain;", "", ""),
    "capitals": ("try_files /policy.txt =404; default_type TEXT/PLAIN;", "", ""),
    "chunked": ("ssi on; ssi_types text/plain; try_files /policy.txt =404;", "", ""),
    "largest": ("try_files /largest.txt =404;", "", ""),
    "redirect": (
        "return 301 https://mta-sts.as-it-should.example/.well-known/mta-sts.txt;",
        "policy-redirect",
        "status 301, a redirect to https://mta-sts.as-it-should.example/.well-known/mta-sts.txt; senders follow none",
    ),
    "not-found": ("return 404;", "policy-status", "status 404 instead of 200, for User-Agent postmaster.mta_sts"),
    "internal-error": ("return 500;", "policy-status", "status 500 instead of 200, for User-Agent postmaster.mta_sts"),
    "empty-answer": ("return 204;", "policy-status", "status 204 instead of 200, for User-Agent postmaster.mta_sts"),
    "html": (
        "default_type text/html; try_files /policy.txt =404;",
        "policy-type",
        "Content-Type 'text/html' instead of 'text/plain'",
    ),
    "no-type": (
        'default_type ""; try_files /policy.txt =404;',
        "policy-type",
        "Content-Type None instead of 'text/plain'",
    ),
    "gzip": ("add_header Content-Encoding gzip; try_files /gzip =404;", "policy-encoding", "Content-Encoding 'gzip'"),
    "too-large": ("try_files /too-large.txt =404;", "policy-size", "the body is larger than 64 KiB"),
}


@pytest.fixture(scope="module")
def nginx(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[int, int]]:
    """The ports of a modern server and of one that is stuck with TLS 1.1."""
    port, old = free_port(), free_port()
    directory = tmp_path_factory.mktemp("nginx")
    (directory / "files").mkdir()
    (directory / "files/policy.txt").write_bytes(POLICY)
    (directory / "files/gzip").write_bytes(gzip.compress(POLICY))
    (directory / "files/largest.txt").write_bytes(POLICY.ljust(BODY_LIMIT, b"x"))
    (directory / "files/too-large.txt").write_bytes(POLICY.ljust(BODY_LIMIT + 1, b"x"))
    (directory / "rsa.pem").write_bytes(authority.issue("mta-sts.old.example"))
    block = """
server {{ listen 127.0.0.1:{port} ssl; server_name mta-sts.{name}.example;
  location = /.well-known/mta-sts.txt {{ root {directory}/files; {directives} }} }}
"""
    servers = "".join(
        block.format(port=port, name=name, directory=directory, directives=directives)
        for name, (directives, *_finding) in ANSWERS.items()
    )
    servers += f"""
server {{ listen 127.0.0.1:{port} ssl; server_name .certificate.example;
  location = /.well-known/mta-sts.txt {{ root {directory}/files; try_files /policy.txt =404; }} }}
server {{ listen 127.0.0.1:{old} ssl; server_name mta-sts.old.example;
  ssl_protocols TLSv1.1; ssl_ciphers DEFAULT@SECLEVEL=0;
  ssl_certificate {directory}/rsa.pem; ssl_certificate_key {directory}/rsa.pem;
  location = /.well-known/mta-sts.txt {{ root {directory}/files; try_files /policy.txt =404; }} }}
"""
    server = Nginx(directory, servers, [("127.0.0.1", port), ("127.0.0.1", old)])
    for name in ANSWERS:
        host = f"mta-sts.{name}.example"
        server.serve("127.0.0.1", host, b"", authority.issue(host))
    for name, pem in {
        "good": authority.issue("mta-sts.good.certificate.example"),
        "wildcard": authority.issue("*.wildcard.certificate.example"),
        "unknown-ca": Authority().issue("mta-sts.unknown-ca.certificate.example"),
        "expired": authority.issue("mta-sts.expired.certificate.example", expired=True),
        "wrong-name": authority.issue("www.certificate.example"),
        "common-name": authority.issue(common_name="mta-sts.common-name.certificate.example"),
        "deep-wildcard": authority.issue("*.certificate.example"),
        "partial-wildcard": authority.issue("mta-*.partial-wildcard.certificate.example"),
    }.items():
        server.serve("127.0.0.1", f"mta-sts.{name}.certificate.example", b"", pem)
    yield port, old
    server.stop()


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_of_nginx(nginx: tuple[int, int], trust: str, name: str) -> None:
    _directives, code, text = ANSWERS[name]
    found = outcome(nginx[0], strict_context(trust), f"mta-sts.{name}.example")
    good = POLICY.ljust(BODY_LIMIT, b"x") if name == "largest" else POLICY
    assert found == ((code, text) if code else good)


# The code and a part of the text; nothing, if the policy is taken.
CERTIFICATES = {
    "good": ("", ""),
    "wildcard": ("", ""),
    "unknown-ca": ("policy-certificate-chain", "unable to get local issuer certificate"),
    "expired": ("policy-certificate-date", "certificate has expired"),
    "wrong-name": ("policy-certificate-name", "hostname mismatch"),
    "common-name": ("policy-certificate-name", "hostname mismatch"),
    "deep-wildcard": ("policy-certificate-name", "hostname mismatch"),
    "partial-wildcard": ("policy-certificate-name", "hostname mismatch"),
    "none-at-all": ("policy-tls", "tls handshake: "),
}


@pytest.mark.parametrize(("name", "expected"), CERTIFICATES.items(), ids=CERTIFICATES)
def test_certificates(nginx: tuple[int, int], trust: str, name: str, expected: tuple[str, str]) -> None:
    found = outcome(nginx[0], strict_context(trust), f"mta-sts.{name}.certificate.example")
    if not expected[0]:
        assert found == POLICY
        return
    code, seen = found
    assert code == expected[0]
    assert expected[1] in str(seen).lower()


def test_a_common_name_would_do_for_a_sender_that_is_not_strict(nginx: tuple[int, int], trust: str) -> None:
    """So that the test above fails for the name and for no other reason."""
    context = ssl.create_default_context(cafile=trust)
    assert outcome(nginx[0], context, "mta-sts.common-name.certificate.example") == POLICY


def test_old_tls(nginx: tuple[int, int], trust: str) -> None:
    code, seen = outcome(nginx[1], strict_context(trust), "mta-sts.old.example")
    assert code == "policy-tls"
    assert "protocol" in str(seen)
    lenient = ssl.create_default_context(cafile=trust)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        lenient.minimum_version = ssl.TLSVersion.TLSv1_1
    lenient.set_ciphers("DEFAULT@SECLEVEL=0")
    assert outcome(nginx[1], lenient, "mta-sts.old.example") == POLICY


def test_the_trust_store_of_the_system_knows_no_test_authority(nginx: tuple[int, int]) -> None:
    code, _seen = outcome(nginx[0], strict_context(), "mta-sts.good.certificate.example")
    assert code == "policy-certificate-chain"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_trust_store_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=str(path)):
        strict_context(str(path))


def answer(*headers: str, body: bytes = POLICY, status: str = "HTTP/1.1 200 OK") -> bytes:
    lines = [status, "Content-Type: text/plain", *headers]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


LENGTH = f"Content-Length: {len(POLICY)}"
CHUNKS = b"10;note=1\r\n" + POLICY[:16] + b"\r\n%x\r\n" % len(POLICY[16:]) + POLICY[16:] + b"\r\n0\r\n"
HUGE = endless(answer(), b"x" * 65536)

# What is taken, though it is unusual.
GOOD: dict[str, Behaviour] = {
    "until the end": http_answer(answer()),
    "HTTP/1.0": http_answer(answer(status="HTTP/1.0 200 OK")),
    "no reason phrase": http_answer(answer(LENGTH, status="HTTP/1.1 200")),
    "stays open": http_answer(answer(LENGTH, "Connection: keep-alive"), then="stay"),
    "stays open, chunked": http_answer(answer("Transfer-Encoding: chunked", body=CHUNKS + b"\r\n"), then="stay"),
    "chunked with trailer": http_answer(
        answer("Transfer-Encoding: Chunked", body=CHUNKS + b"Checksum: 1\r\n\r\n"), then="stay"
    ),
    "more than the length": http_answer(answer(LENGTH, body=POLICY + b"more"), then="stay"),
    "bare LF": http_answer(answer(LENGTH).replace(b"\r\n", b"\n", 3)),
    "encoding identity": http_answer(answer("Content-Encoding: identity")),
    "byte by byte": drip(answer(LENGTH), 0),
}


@pytest.mark.parametrize("behaviour", GOOD.values(), ids=GOOD)
def test_what_is_unusual_and_good(odd: OddServers, tls: ssl.SSLContext, trust: str, behaviour: Behaviour) -> None:
    port = odd.serve(behaviour, tls)
    begin = time.monotonic()
    assert outcome(port, strict_context(trust)) == POLICY
    assert time.monotonic() - begin < PATIENCE / 2


BAD: dict[str, tuple[Behaviour, str, str]] = {
    "less than the length": (
        http_answer(answer("Content-Length: 1000")),
        "policy-http",
        "the connection was closed before the whole policy came",
    ),
    "half a chunk": (
        http_answer(answer("Transfer-Encoding: chunked", body=CHUNKS[:40])),
        "policy-http",
        "the connection was closed before the whole policy came",
    ),
    "chunk of no size": (
        http_answer(answer("Transfer-Encoding: chunked", body=b"+1_0\r\n")),
        "policy-http",
        "the chunks of the body are garbled",
    ),
    "chunks of one byte": (
        http_answer(answer("Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * 6000)),
        "policy-http",
        "the body comes in too many chunks",
    ),
    "chunks of a gigabyte": (
        http_answer(answer("Transfer-Encoding: chunked", body=b"3fffffff\r\n"), then="stay"),
        "policy-size",
        "the body is larger than 64 KiB",
    ),
    "a length of many digits": (
        http_answer(answer("Content-Length: " + "9" * 5000), then="stay"),
        "policy-size",
        "the body is larger than 64 KiB",
    ),
    "negative length": (http_answer(answer("Content-Length: -1")), "policy-http", "Content-Length '-1'"),
    "deflated transfer": (
        http_answer(answer("Transfer-Encoding: gzip, chunked")),
        "policy-http",
        "Transfer-Encoding 'gzip, chunked'",
    ),
    "endless body": (HUGE, "policy-size", "the body is larger than 64 KiB"),
    "endless header": (
        endless(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
        "policy-http",
        "the header is larger than 16 KiB",
    ),
    "endless line": (
        endless(b"HTTP/1.1 200 OK\r\nX-More: ", b"1" * 4096),
        "policy-http",
        "the header is larger than 16 KiB",
    ),
    "many fields": (
        http_answer(answer(*["X-More: 1"] * 300)),
        "policy-http",
        "not an HTTP header: got more than 100 headers",
    ),
    "garbage": (
        http_answer(b"\x1b[2J\xff\x00 nothing of the kind\r\n\r\n"),
        "policy-http",
        "not an HTTP answer: \x1b[2J\\xff\x00 nothing of the kind",
    ),
    "status of four digits": (
        http_answer(answer(status="HTTP/1.1 2000 OK")),
        "policy-http",
        "not an HTTP answer: HTTP/1.1 2000 OK",
    ),
    "closes after the request": (
        http_answer(b""),
        "policy-unreachable",
        "the connection was closed without a whole answer",
    ),
    "closes in the header": (
        http_answer(b"HTTP/1.1 200 OK\r\nContent-"),
        "policy-unreachable",
        "the connection was closed without a whole answer",
    ),
    "closes at once": (hang_up, "policy-unreachable", "the connection was closed without a whole answer"),
    "silent": (be_silent, "policy-unreachable", "no answer within 1 seconds"),
    "too slow": (drip(answer(LENGTH), 0.05), "policy-unreachable", "no answer within 1 seconds"),
}


@pytest.mark.parametrize(("behaviour", "expected"), [(one[0], one[1:]) for one in BAD.values()], ids=BAD)
def test_what_is_refused(
    odd: OddServers, tls: ssl.SSLContext, trust: str, behaviour: Behaviour, expected: tuple[str, str]
) -> None:
    port = odd.serve(behaviour, tls)
    patience = 1 if "within 1" in expected[1] else PATIENCE
    assert outcome(port, strict_context(trust), timeout=patience) == expected


@pytest.mark.parametrize(
    ("behaviour", "code", "seen"),
    [
        (hang_up, "policy-unreachable", ""),
        (be_silent, "policy-unreachable", "no answer within 0.5 seconds"),
        (endless(b"220 mail\r\n", b"x" * 4096), "policy-tls", "TLS handshake: wrong version number"),
    ],
    ids=["closes", "silent", "no TLS"],
)
def test_no_handshake(odd: OddServers, trust: str, behaviour: Behaviour, code: str, seen: str) -> None:
    found, text = outcome(odd.serve(behaviour), strict_context(trust), timeout=0.5)
    assert (found, text if seen else "") == (code, seen)
    assert text


def test_connection_refused(trust: str) -> None:
    assert outcome(free_port(), strict_context(trust)) == ("policy-unreachable", "connection refused")


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "\\195" * 20 + ".example", "x..example", ".example"])
def test_a_name_that_cannot_be_asked_for(odd: OddServers, trust: str, name: str) -> None:
    code, seen = outcome(odd.serve(be_silent), strict_context(trust), name)
    assert code == "policy-unreachable"
    assert seen
