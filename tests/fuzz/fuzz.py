# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Searches for input that a parser does not stand: that makes it raise what it does not say, or answer what is not so.

Each parser gets good input that is broken in places, by hypothesis, which makes what it finds as small as it can:

    make fuzz                               10 minutes for each parser
    make fuzz SECONDS=30 PARSERS="policy"   less of it
"""

from __future__ import annotations

import argparse
import os
import ssl
import tempfile
import time
import typing as t
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import dns.message
import hypothesis
import trustme
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import printable
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import InventoryError, read_domains
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import DomainNameError, to_ascii
from ansible_collections.postmaster.mta_sts.plugins.module_utils._nginx_conf import read_dump
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import (
    PolicyError,
    parse_policy,
    policy_id,
    render_policy,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.message import (
    MessageError,
    follow,
    parse_reply,
    to_text,
    to_wire,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.tls import Certificate
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record import (
    RecordError,
    parse_sts_record,
    parse_tlsrpt_record,
    render_sts_record,
    render_tlsrpt_record,
    select_sts_record,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report_files import read_reports
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsrpt import ReportError, Sums, parse_report
from ansible_collections.postmaster.mta_sts.plugins.module_utils._zone_file.text import (
    ZoneTextError,
    entries,
    record,
    serial,
    with_serial,
)
from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._domains_file import DomainsFileError, read_entries
from hypothesis import strategies as st

EXAMPLES = 500
ERROR_LIMIT = 2000


@dataclass(frozen=True)
class Parser:
    """One that is tried, with good input for it, pieces that matter to it, and all that it may raise."""

    check: t.Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    pieces: tuple[bytes, ...]
    errors: tuple[type[Exception], ...] = ()


# --- what is so of an answer ------------------------------------------------------------------------------


def _policy(data: bytes) -> None:
    policy = parse_policy(data)
    body = render_policy(policy)
    assert parse_policy(body) == policy
    assert policy_id(body) == policy_id(render_policy(parse_policy(body)))


def _sts_record(data: bytes) -> None:
    text = data.decode("latin-1")
    found = parse_sts_record(text)
    assert parse_sts_record(render_sts_record(found.id)).id == found.id
    assert select_sts_record([[text[:7], text[7:]], ["v=spf1 -all"]]) == found


def _tlsrpt_record(data: bytes) -> None:
    found = parse_tlsrpt_record(data.decode("latin-1"))
    assert parse_tlsrpt_record(render_tlsrpt_record(found.rua)).rua == found.rua


def _name(data: bytes) -> None:
    name = to_ascii(data.decode("utf-8", errors="replace"))
    assert to_ascii(name) == name
    assert len(name) <= 253
    assert to_text(to_wire(name)) == name


def _report(data: bytes) -> None:
    report = parse_report(data)
    sums = Sums()
    sums.add(report)
    for domain, days in sums.to_dict().items():
        assert to_ascii(domain) == domain
        for day in days.values():
            for text in [*day["reporters"], *(value for one in day["failures"] for value in one.values())]:
                assert not isinstance(text, str) or printable(text) == text


def _mail(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(data)
        file.flush()
        for _source, found in read_reports(file.name):
            assert isinstance(found, ReportError) or found.policies or found.troubles


def _dns(data: bytes) -> None:
    reply = parse_reply(data)
    for record_type in (1, 5, 15, 16, 52):
        follow(reply, to_wire("mta-sts.example.com"), record_type)
    for one in reply.answer:
        to_text(one.owner)


def _zone(data: bytes) -> None:
    for entry in entries(data):
        if not entry.directive:
            record(entry)
    assert serial(with_serial(data, 2026112701)) == 2026112701


def _nginx(data: bytes) -> None:
    read_dump("# configuration file /etc/nginx/nginx.conf:\n" + data.decode("latin-1"))


def _certificate(data: bytes) -> None:
    found = Certificate.read(data)
    if found is not None:
        assert all(printable(name) == name for name in found.names)


def _domains(suffix: str) -> t.Callable[[bytes], None]:
    def check(data: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=suffix) as file:
            file.write(data)
            file.flush()
            for desired in read_domains(read_entries(file.name), {}):
                assert to_ascii(desired.domain) == desired.domain

    return check


# --- the parsers ------------------------------------------------------------------------------------------

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
;AUTHORITY
example.com. 300 IN SOA ns1.example.com. hostmaster.example.com. 1 3600 600 86400 300
""").to_wire()
ZONE = b"""$TTL 3600
@ IN SOA ns1.example.com. hostmaster.example.com. ( 2026112600 ; serial
    3600 600 86400 300 )
@ NS ns1
_mta-sts 300 IN TXT "v=STSv1; id=1;" "and" more
"""
NGINX = b"""events { worker_connections 768; }
http { include /etc/nginx/sites-enabled/*; map $a $b { default ''; "x y" 'z'; }
  server { listen [::]:443 ssl default_server; listen 192.0.2.1:80; server_name _; # all
    location ~ \\.php$ { return 404; } } }
"""
YAML = b"- domain: example.com\n  mx: [mx1.example.net, '*.mail.example.net']\n  mode: enforce\n  max_age: 2592000\n"
JSON = b'[{"domain": "b\\u00fccher.example", "mx": ["mx.example.net"], "tlsrpt": ["mailto:a@example.net"]}]'
CSV = b"domain,mx,mode\nexample.com,mx1.example.net mx2.example.net,testing\n"
CERTIFICATE = ssl.PEM_cert_to_DER_cert(
    trustme.CA().issue_cert("mta-sts.example.com", "*.example.net").cert_chain_pems[0].bytes().decode()
)
NUMBERS = (b"0", b"-1", b"1_000", b"31557601", b"99999999999999999999", "\u0661".encode())
ENDS = (b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b"\x0b", b"\xff", "\u2028".encode())

PARSERS: dict[str, Parser] = {
    "policy": Parser(
        _policy,
        (b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: *.example.net\r\nmax_age: 86400\r\n",),
        (b"version:", b"mode: none", b"mx: ", b"max_age:", b"*", b"xn--", b".", *NUMBERS, *ENDS),
        (PolicyError,),
    ),
    "sts-record": Parser(
        _sts_record, (b"v=STSv1; id=3f2a9c01;", b"v=STSv1;id=1;a=b"), (b";", b"=", b"v=", b"id=", *ENDS), (RecordError,)
    ),
    "tlsrpt-record": Parser(
        _tlsrpt_record,
        (b"v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/r",),
        (b";", b",", b"mailto:", b"https://", b"%2C", b"!", b"[::1]", b"ruf=", *ENDS),
        (RecordError,),
    ),
    "name": Parser(
        _name,
        (b"mta-sts.example.com", "b\u00fccher.example".encode(), b"xn--bcher-kva.example."),
        (b".", b"-", b"xn--", b"*", b"a" * 64, *(one.encode() for one in "\u3002\u200d\u00df"), *NUMBERS, *ENDS),
        (DomainNameError,),
    ),
    "report": Parser(
        _report,
        (REPORT,),
        (b"{", b"}", b"[", b"null", b"true", b'"', b"1e999", b"NaN", *NUMBERS, *ENDS),
        (ReportError,),
    ),
    "mail": Parser(
        _mail,
        (MAIL, b"From x\r\n" + MAIL + b"\r\nFrom y\r\n" + MAIL),
        (b"--b", b"Content-Transfer-Encoding: base64\r\n", b'charset="x"', b"message/rfc822", b"From ", *ENDS),
    ),
    "dns-message": Parser(_dns, (ANSWER,), (b"\xc0\x0c", b"\0", b"\x3f", b"\xff\xff"), (MessageError,)),
    "zone-file": Parser(
        _zone, (ZONE,), (b"(", b")", b'"', b";", b"\\", b"SOA", b"IN", *NUMBERS, *ENDS), (ZoneTextError,)
    ),
    "nginx": Parser(_nginx, (NGINX,), (b"{", b"}", b";", b"'", b'"', b"#", b"\\", b"listen", b"map", b"unix:", *ENDS)),
    "certificate": Parser(_certificate, (CERTIFICATE,), (b"\x30\x82", b"\0", b"\x80")),
    "domains-yaml": Parser(
        _domains(".yml"),
        (YAML,),
        (b"- ", b": ", b"&a", b"*a", b"<<: *a", b"!!python/name:os", *NUMBERS, *ENDS),
        (DomainsFileError, InventoryError),
    ),
    "domains-json": Parser(
        _domains(".json"),
        (JSON,),
        (b"{", b"}", b"[", b'"', b"\\ud800", b"NaN", *NUMBERS, *ENDS),
        (DomainsFileError, InventoryError),
    ),
    "domains-csv": Parser(
        _domains(".csv"),
        (CSV,),
        (b",", b'"', b"gate", b"testing_days", *NUMBERS, *ENDS),
        (DomainsFileError, InventoryError),
    ),
}


# --- the search -------------------------------------------------------------------------------------------


@st.composite
def broken(draw: st.DrawFn, parser: Parser) -> bytes:
    """Good input with a few places cut out, doubled or overwritten; now and then anything."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    data = draw(st.sampled_from(parser.seeds))
    piece = st.one_of(st.sampled_from(parser.pieces), st.binary(max_size=4), st.sampled_from(parser.seeds))
    for _time in range(draw(st.integers(0, 6))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.integers(0, 12)))
        new = draw(st.one_of(st.just(b""), piece, st.just(data[begin:end] * 2)))
        data = data[:begin] + new + data[end:]
    return data


def search(name: str, seconds: float) -> int:
    """Tries a parser for so long, and says how often. Raises what the parser must not, with the input."""
    parser = PARSERS[name]
    tried = 0

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
    )
    @hypothesis.given(broken(parser))
    def attempt(data: bytes) -> None:
        nonlocal tried
        tried += 1
        try:
            parser.check(data)
        except parser.errors as error:
            # An inventory tells of all mistakes at once, each in a line.
            for line in str(error).splitlines():
                assert len(line) < ERROR_LIMIT

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        hypothesis.seed(int.from_bytes(os.urandom(8), "big"))(attempt)()
    return tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="for each parser")
    parser.add_argument("parsers", nargs="*", choices=[*PARSERS, []], help="all, unless some are named")
    arguments = parser.parse_args()
    names = arguments.parsers or list(PARSERS)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, tried in zip(names, pool.map(search, names, [arguments.seconds] * len(names))):
            print(f"{name:<14} {tried:>10,} tried", flush=True)


if __name__ == "__main__":
    main()
