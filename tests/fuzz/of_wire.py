# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parsers of what others send: answers of servers, mail, reports and certificates; and of files that hosts keep."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import typing as t
from pathlib import Path

import dkim
import dns.message
import dns.rcode
import dns.tsig
import nacl.signing
import trustme
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import DocumentError, ReportDocuments
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import printable
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import Ledger, read_ledger
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import to_ascii
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, render_policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.answer import caa_property
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.dane import _public_key
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.https import (
    BODY_LIMIT,
    FetchFailure,
    _Answer,
    _body,
    _headers,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.message import (
    MessageError,
    follow,
    is_answer,
    parse_reply,
    to_text,
    to_wire,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.smtp import SmtpFailure, _Smtp
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.tls import Certificate
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.record_set import ServerError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.server import Server
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report_files import read_reports
from ansible_collections.postmaster.mta_sts.plugins.module_utils._reports_document import count_days, read_days
from ansible_collections.postmaster.mta_sts.plugins.module_utils._signed_mail import SignedMail
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa import DerError, key_of
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsrpt import ReportError, Sums, parse_report
from parsing import ENDS, JSON_PIECES, NUMBERS, Parser, Sent, at_once, written


def _is_printable(*texts: object) -> None:
    for text in texts:
        assert not isinstance(text, str) or printable(text) == text


def _report(data: bytes) -> None:
    report = parse_report(data)
    sums = Sums()
    sums.add(report)
    for domain, days in sums.to_dict().items():
        assert to_ascii(domain) == domain
        for day in days.values():
            _is_printable(*day["reporters"], *(value for one in day["failures"] for value in one.values()))


def _mail(data: bytes) -> None:
    with written(data, "mail") as path:
        for _source, found in read_reports(str(path)):
            assert isinstance(found, ReportError) or found.policies or found.troubles


class _Keys(SignedMail):
    """Every key is ours, and no name server is asked."""

    def _look_up(self, name: str) -> list[str]:
        return [f"v=DKIM1; k=ed25519; p={PUBLIC}"] if name else []


def _signed_mail(data: bytes) -> None:
    _is_printable(_Keys(["192.0.2.53"]).distrust(data))


def _documents(data: bytes) -> None:
    with written(data, "inbox1.json") as path:
        documents = ReportDocuments(str(path.parent))
        troubles: dict[str, str] = {}
        for day in read_days(documents, {"example.com"}, troubles):
            _is_printable(*(one.name for one in day.reporters), *(text for one in day.failures for text in one))
        assert all(map(str.isprintable, troubles.values()))
        count_days(documents, {"example.com"})


def _ledger(data: bytes) -> None:
    with written(data, "ledger.sqlite3") as path:
        found = read_ledger(path, timeout=0)
        assert bool(found["trouble"]) == (found["state"] in ("damaged", "unreadable"))
        json.dumps(found)


def _dns(data: bytes) -> None:
    is_answer(data, QUERY)
    reply = parse_reply(data)
    for record_type in (1, 2, 5, 6, 15, 16, 28, 52):
        follow(reply, to_wire("mta-sts.example.com"), record_type)
    for properties in follow(reply, to_wire("mta-sts.example.com"), 257).data:
        caa_property(properties)
    for one in reply.answer:
        to_text(one.owner)


def _authority(query: dns.message.Message, key: dns.tsig.Key | None) -> t.Callable[[bytes], None]:
    server = Server("192.0.2.53", 53, 1, key)

    def check(data: bytes) -> None:
        assert server._check(query, data).id == query.id

    return check


def _signed(message: dns.message.Message) -> dns.message.Message:
    """For as long as somebody may try it."""
    message.use_tsig(KEY, fudge=65535)
    message.to_wire()
    return message


def _http(data: bytes) -> None:
    async def fetch() -> bytes:
        answer = _Answer(t.cast("t.Any", Sent(data)))
        return await _body(answer, await _headers(answer))

    assert len(at_once(fetch())) <= BODY_LIMIT


def _smtp(data: bytes) -> None:
    smtp = _Smtp(t.cast("t.Any", Sent(data)), t.cast("t.Any", None))

    async def listen() -> None:
        for _reply in range(3):
            code, lines = await smtp.reply()
            assert code.isdigit()
            assert lines

    at_once(listen())


def _certificate(data: bytes) -> None:
    _public_key(data)
    found = Certificate.read(data)
    if found is not None:
        _is_printable(*found.names, found.common_name, found.issuer)


def _key(data: bytes) -> None:
    assert len(bytes.fromhex(key_of(data))) == 32


def _ledger_file() -> bytes:
    policy = Policy("enforce", ("mx1.example.net",), 86400)
    entry = {"domain": "example.com", "serve": True, "mode": policy.mode, "mx": [*policy.mx], "max_age": policy.max_age}
    with tempfile.TemporaryDirectory() as directory:
        with Ledger(Path(directory, "ledger")) as ledger:
            ledger.record([{**entry, "conditions": {"ready": "2026-11-20T00:00:00+00:00"}}], {}, 1800000000)
            ledger.settle({"example.com": render_policy(policy)}, 1800000000)
        return Path(directory, "ledger").read_bytes()


REPORT = b"""{
"organization-name": "Reporter", "report-id": "<1@reporter.example>", "contact-info": "tls@reporter.example",
"date-range": {"start-datetime": "2026-11-20T00:00:00Z", "end-datetime": "2026-11-20T23:59:59+01:00"},
"policies": [{
  "policy": {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "example.com", "mx-host": "*"},
  "summary": {"total-successful-session-count": 5, "total-failure-session-count": 2},
  "failure-details": [{"result-type": "certificate-expired", "receiving-mx-hostname": "mx1.example.com",
    "sending-mta-ip": "192.0.2.1", "failed-session-count": 2}]
}]}"""
MAIL = (
    b"From: tls@reporter.example\r\nSubject: Report Domain: example.com\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n'
    b"--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n" + REPORT + b"\r\n--b--\r\n"
)
SIGNER = nacl.signing.SigningKey(b"\1" * 32)
PUBLIC = base64.b64encode(SIGNER.verify_key.encode()).decode()
SIGNATURE = dkim.sign(
    MAIL, b"tlsrpt", b"reporter.example", base64.b64encode(SIGNER.encode()), signature_algorithm=b"ed25519-sha256"
)
REPORTS = b"""{"host": "inbox1", "unreadable": [], "domains": {"example.com": {"2026-11-20": {
  "reporters": {"Reporter": {"succeeded": 5, "failed": 2}},
  "failures": [{"result_type": "certificate-expired", "mx_host": "mx1.example.com", "policy_type": "sts",
    "reporter": "Reporter", "sessions": 2}]}}}}"""
LEDGER = _ledger_file()
ANSWER = dns.message.from_text("""id 1
opcode QUERY
rcode NOERROR
flags QR AA RD
;QUESTION
mta-sts.example.com. IN A
;ANSWER
mta-sts.example.com. 300 IN CNAME web.example.net.
web.example.net. 300 IN A 192.0.2.1
mta-sts.example.com. 300 IN MX 10 mx1.example.com.
mta-sts.example.com. 300 IN TXT "v=STSv1; id=1;" "more"
mta-sts.example.com. 300 IN TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
mta-sts.example.com. 300 IN CAA 128 issue "ca.example; validationmethods=http-01"
;AUTHORITY
example.com. 300 IN SOA ns1.example.com. hostmaster.example.com. 1 3600 600 86400 300
""").to_wire()
QUERY = dns.message.make_query("mta-sts.example.com", "A", id=1).to_wire()
KEY = dns.tsig.Key("key.example", "c2VjcmV0")
SIGNED_QUERY = _signed(dns.message.make_query("mta-sts.example.com", "A", id=1))
SIGNED_ANSWER = dns.message.make_response(SIGNED_QUERY)
SIGNED_ANSWER.request_mac = SIGNED_QUERY.mac or b""
REFUSED = dns.message.make_response(dns.message.from_wire(QUERY))
REFUSED.set_rcode(dns.rcode.REFUSED)
DNS_PIECES = (b"\xc0\x0c", b"\0", b"\x3f", b"\xff\xff", b"\0\x29", b"\0\xfa")
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
HTTP_PIECES = (b"Content-Length: ", b"Content-Encoding: gzip\r\n", b"Location: ", b":", b";", b"30", *NUMBERS, *ENDS)
SMTP = b"220 mx1.example.com ESMTP\r\n250-mx1.example.com\r\n250-SIZE 10\r\n250 STARTTLS\r\n220 go ahead\r\n"
CERTIFICATE = ssl.PEM_cert_to_DER_cert(
    trustme.CA().issue_cert("mta-sts.example.com", "*.example.net").cert_chain_pems[0].bytes().decode()
)

PARSERS: dict[str, Parser] = {
    "report": Parser(_report, (REPORT,), JSON_PIECES, (ReportError,)),
    "mail": Parser(
        _mail,
        (MAIL, b"From x\r\n" + MAIL + b"\r\nFrom y\r\n" + MAIL),
        (b"--b", b"Content-Transfer-Encoding: base64\r\n", b'charset="x"', b"message/rfc822", b"From ", *ENDS),
    ),
    "signed-mail": Parser(
        _signed_mail, (SIGNATURE + MAIL,), (b"a=", b"b=", b"d=", b"h=", b"i=@", b"l=0;", b"s=", b";", *NUMBERS, *ENDS)
    ),
    "reports-document": Parser(_documents, (REPORTS,), JSON_PIECES, (DocumentError,)),
    "ledger": Parser(_ledger, (LEDGER,), (b"SQLite", b"\0", b"\xff\xff", b"CHECK", b"enforce", b"'")),
    "dns-message": Parser(_dns, (ANSWER,), DNS_PIECES, (MessageError,)),
    "dns-authority": Parser(_authority(dns.message.from_wire(QUERY), None), (ANSWER,), DNS_PIECES, (ServerError,)),
    "dns-signed": Parser(
        _authority(SIGNED_QUERY, KEY), (_signed(SIGNED_ANSWER).to_wire(), REFUSED.to_wire()), DNS_PIECES, (ServerError,)
    ),
    "http": Parser(
        _http,
        (
            HTTP + b"Content-Length: 14\r\n\r\nversion: STSv1",
            HTTP + b"Transfer-Encoding: chunked\r\n\r\n7;a=b\r\nversion\r\n7\r\n: STSv1\r\n0\r\n\r\n",
            HTTP + b"\r\nversion: STSv1",
        ),
        HTTP_PIECES,
        (FetchFailure, EOFError),
    ),
    "smtp": Parser(_smtp, (SMTP,), (b"-", b"2", *NUMBERS, *ENDS), (SmtpFailure, EOFError)),
    "certificate": Parser(_certificate, (CERTIFICATE,), (b"\x30\x82", b"\0", b"\x80")),
    "key": Parser(_key, (CERTIFICATE,), (b"\x30\x82", b"\xa0", b"\0", b"\x80", b"\xff"), (DerError,)),
}
