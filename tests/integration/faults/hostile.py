# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains whose owners mean ill: with whoever looks at them, or with whoever reads what was seen."""

from __future__ import annotations

import struct
import typing as t

import dns.flags
import dns.message
import dns.rrset
from faults.fault import HOSTILE, MAX_AGE, PLAIN, PLAIN_MX, Authorities, Certificate, Domain, Mail, Web, good
from faults.hosts import answer
from faults.mail import EHLO
from faults.records import sts, tlsrpt
from odd import Behaviour, OddServers, Replies, be_silent, drip, endless, http_answer, smtp_script, smtp_server
from tls import Authority

# For a browser, for a template, for a terminal (which it clears and renames), and to end and turn around texts.
EVIL = "<script>alert(1)</script>{{ 7*7 }}{% raw %}\x1b[2J\x1b]0;owned\x07\x00\"'&"
RAW = f"{EVIL}\u202e".encode()
QUOTED = '"' + "".join(f"\\{byte:03}" for byte in RAW) + '"'
LABEL = "".join(f"\\{byte:03}" for byte in b"<b>{{ 7*7 }}\x1b[2J\x00")

MANY = 2000
LONG = 10 << 20
TEXT = f"version: STSv1\r\nmode: enforce\r\nmx: {PLAIN_MX}\r\nmax_age: {MAX_AGE}\r\n".encode()


def addresses(name: str) -> str:
    """Many at which nobody listens."""
    return "\n".join(f"{name} A 127.79.{number // 250}.{number % 250 + 1}" for number in range(MANY))


def long_text(start: str, size: int) -> str:
    """One TXT record of many strings."""
    text = start + "a" * size
    return " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))


def served(code: str, seen: str, behaviour: Behaviour) -> Domain:
    return Domain({code: seen}, zone=PLAIN, web=Web(behaviour=behaviour))


def chunked(chunks: bytes) -> Domain:
    start = answer(b"Transfer-Encoding: chunked", body=b"")
    return served("policy-http", "too many chunks", endless(start, chunks))


def mailed(code: str, seen: str, behaviour: Behaviour) -> Domain:
    return Domain({code: seen}, zone=PLAIN, mail=Mail(behaviour=behaviour))


def policy(finds: dict[str, str], body: bytes) -> Domain:
    return Domain(finds, zone=PLAIN, policy=body)


NAMES: dict[str, Domain] = {
    "evil-record": Domain({"record-missing": "none of 1", "record-foreign": "<script>"}, zone=PLAIN, sts=sts(QUOTED)),
    "evil-neighbours": Domain(
        {"record-foreign": "<script>"},
        zone=PLAIN,
        sts=sts('"v=STSv1; id={id}"', *(f'"{n}" {QUOTED}' for n in range(300))),
    ),
    "evil-field": Domain(
        {"record-extension": "<script>"}, zone=PLAIN, sts=sts('"v=STSv1; id={id}; x=<script>{{7*7}}</script>"')
    ),
    "evil-id": Domain({"record-unusable": "id"}, zone=PLAIN, sts=sts(f'"v=STSv1; id=" {QUOTED}')),
    "long-record": Domain({"record-unusable": "id"}, zone=PLAIN, sts=sts(long_text("v=STSv1; id=", 60000))),
    "many-records": Domain(
        {"record-several": str(MANY)}, zone=PLAIN, sts=sts(*(f'"v=STSv1; id={number}"' for number in range(MANY)))
    ),
    "evil-tlsrpt": Domain(
        {"tlsrpt-missing": "none of 1", "tlsrpt-foreign": "<script>"}, zone=PLAIN, tlsrpt=tlsrpt(QUOTED)
    ),
    "evil-rua": Domain({"tlsrpt-unusable": "owned"}, zone=PLAIN, tlsrpt=tlsrpt(f'"v=TLSRPTv1; rua=mailto:" {QUOTED}')),
    "many-targets": Domain(
        {"tlsrpt-undeliverable": "takes no mail", "tlsrpt-split": "strings"},
        zone=PLAIN,
        tlsrpt=tlsrpt(long_text("v=TLSRPTv1; rua=" + ",".join(f"mailto:a@h{n}.gone.test" for n in range(MANY)), 0)),
    ),
    "evil-alias": Domain({"delegation-broken": "<b>"}, zone=PLAIN, sts=f"_mta-sts.{{d}} CNAME {LABEL}.nowhere.test."),
    "evil-mx": Domain(
        {"mx-unmatched": "<b>", "mx-unused": PLAIN_MX, "mx-address-missing": "<b>"},
        zone=PLAIN,
        mx=f"{{d}} MX 10 {LABEL}.{{d}}",
    ),
    "many-mx": Domain(
        {"mx-unmatched": "h1.", "mx-unused": PLAIN_MX, "mx-address-missing": "h1."},
        zone=PLAIN,
        mx="\n".join(f"{{d}} MX 10 h{number}.{{d}}" for number in range(MANY // 4)),
    ),
    "many-mx-addresses": Domain(
        {"mx-unreachable": "refused"}, zone=PLAIN, mail=Mail(behaviour=be_silent), mail_host=addresses("{mx}")
    ),
    "many-host-addresses": Domain({"policy-unreachable": "refused"}, zone=PLAIN, host=addresses("mta-sts.{d}")),
    "many-tlsa": Domain(
        {"dane-mismatch": "3 1 1"}, mail=Mail(tlsa=tuple(f"3 1 1 {number:064x}" for number in range(500)))
    ),
    "long-tlsa": Domain({"dane-mismatch": "3 0 0"}, mail=Mail(tlsa=("3 0 0 " + "ab" * 60000,))),
    "evil-name-servers": Domain(
        # Where the resolver asks one of them for the address of another, that one is left out.
        {"authority-silent": ".evil-name-servers.hostile.test at 127.78.0.2", "authority-differs": "<script>"},
        zone=HOSTILE,
        more="\n".join(f"{HOSTILE}. NS bad{n}.{{d}}\nbad{n}.{{d}} A 127.78.0.{20 + n}" for n in range(1, 8)),
    ),
}

HTTP: dict[str, Domain] = {
    "evil-status-line": served("policy-http", "<script>", http_answer(RAW + b"\r\n\r\n")),
    "evil-reason": served("policy-status", "404", http_answer(b"HTTP/1.1 404 " + RAW + b"\r\n\r\n")),
    "evil-location": served(
        "policy-redirect", "<script>", http_answer(b"HTTP/1.1 302 x\r\nLocation: " + RAW + b"\r\n\r\n")
    ),
    "evil-type": served(
        "policy-type", "<script>", http_answer(b"HTTP/1.1 200 x\r\nContent-Type: " + RAW + b"\r\n\r\n")
    ),
    "evil-encoding": served("policy-encoding", "<script>", http_answer(answer(b"Content-Encoding: " + RAW))),
    "evil-transfer": served("policy-http", "<script>", http_answer(answer(b"Transfer-Encoding: " + RAW))),
    "long-status-line": served("policy-http", "16 KiB", http_answer(b"HTTP/1.1 200 " + b"x" * LONG)),
    "long-field": served("policy-http", "16 KiB", http_answer(answer(b"X: " + b"x" * LONG))),
    "endless-fields": served("policy-http", "16 KiB", endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
    "endless-hints": served("policy-status", "103", endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")),
    "long-body": served("policy-size", "64 KiB", http_answer(answer(body=b"x" * LONG))),
    "endless-body": served("policy-size", "64 KiB", endless(answer(body=b""), b"x" * 65536)),
    "endless-chunks": chunked(b"1\r\nx\r\n" * 999),
    "endless-chunk-extensions": chunked(b"1;" + b"x" * 9000 + b"\r\nx\r\n"),
    "endless-drip": served("policy-unreachable", "no answer", drip(answer() * 99, 0.1)),
    "endless-plain": Domain(
        {"policy-tls": "wrong version"}, zone=PLAIN, web=Web(behaviour=endless(b"220 x\r\n", b"x" * 65536), plain=True)
    ),
    "evil-policy": policy({"policy-invalid": "line 1"}, RAW),
    "evil-pattern": policy({"policy-invalid": "<script>"}, TEXT + b"mx: " + RAW + b"\r\n"),
    "evil-extension": policy({"policy-extension": "x"}, TEXT + "x: <script>{{ 7*7 }}\u202e\r\n".encode()),
    "long-line": policy({"policy-invalid": "line 5"}, TEXT + b"x" * 64000),
    "many-lines": policy({"policy-invalid": "blank"}, b"\n" * 65536),
    "many-patterns": policy(
        {"mx-unused": "h9.x.test", "policy-large": "bytes"},
        TEXT + b"".join(b"mx: h%d.x.test\r\n" % number for number in range(3000)),
    ),
    "many-extensions": policy(
        {"policy-extension": "x9", "policy-large": "bytes"},
        TEXT + b"".join(b"x%d: 1\r\n" % number for number in range(5000)),
    ),
}

SMTP: dict[str, Domain] = {
    "evil-greeting": mailed("mx-greeting", "<script>", smtp_script(b"554 " + RAW + b"\r\n")),
    "evil-mail-server": mailed("mx-unreachable", "<script>", smtp_script(RAW + b"\r\n")),
    "evil-ehlo": mailed("mx-starttls", "<script>", smtp_script(b"220 mx\r\n", b"550 " + RAW + b"\r\n")),
    "evil-starttls": mailed("mx-starttls", "<script>", smtp_script(b"220 mx\r\n", EHLO, b"454 " + RAW + b"\r\n")),
    "long-greeting": mailed("mx-unreachable", "without end", smtp_script(b"220 " + b"x" * LONG)),
    "endless-greeting": mailed("mx-unreachable", "without end", endless(b"", b"220-mx\r\n")),
    "long-ehlo": mailed(
        "mx-starttls", "does not", smtp_script(b"220 mx\r\n", (b"250-" + b"x" * 4000 + b"\r\n") * 99 + b"250 x\r\n")
    ),
    "endless-ehlo": mailed("mx-unreachable", "without end", smtp_script(b"220 mx\r\n", b"250-x\r\n" * (LONG // 7))),
    "endless-after-starttls": mailed(
        "mx-starttls", "plain text", smtp_script(b"220 mx\r\n", EHLO, b"220 go\r\n" + b"x" * LONG)
    ),
    "endless-handshake": mailed(
        "mx-tls", "TLS handshake", smtp_script(b"220 mx\r\n", EHLO, b"220 go\r\n", b"x" * LONG)
    ),
    "slow-greeting": mailed("mx-unreachable", "no answer", drip(b"220-x\r\n" * 99, 0.1)),
    "evil-over-tls": Domain(
        {"mx-starttls": "<script>"},
        zone=PLAIN,
        mail=Mail(behaviour_over=lambda tls: smtp_server(tls, over_tls=b"550 " + RAW + b"\r\n")),
    ),
    "long-over-tls": Domain(
        {"mx-unreachable": "without end"},
        zone=PLAIN,
        mail=Mail(behaviour_over=lambda tls: smtp_server(tls, over_tls=b"250-" + b"x" * LONG)),
    ),
}


def evil_names(authorities: Authorities, _names: t.Sequence[str]) -> bytes:
    return authorities.between.issue(EVIL, "*.{{ 7*7 }}.<b>", common_name=EVIL[:64])


def many_names(authorities: Authorities, _names: t.Sequence[str]) -> bytes:
    return authorities.between.issue(*(f"h{number}.x.test" for number in range(3000)))


def evil_issuer(_authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return Authority(EVIL[:64]).issue(*names)


def for_ever(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.root.issue(*names, begins=-25000, ends=2900000)


def long_chain(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return good(authorities, names) + _certificate(authorities) * 100


def too_long_chain(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return good(authorities, names) + _certificate(authorities) * 3000


def _certificate(authorities: Authorities) -> bytes:
    _key, _end, certificate = authorities.root.issue("x.test").partition(b"-----END PRIVATE KEY-----\n")
    return certificate


CERTIFICATES: dict[str, tuple[Certificate, str, str]] = {
    "evil-names": (evil_names, "-certificate-name", "<script>"),
    "many-names": (many_names, "-certificate-name", "h1.x.test"),
    "evil-issuer": (evil_issuer, "-certificate-chain", "<script>"),
    "for-ever": (for_ever, "", ""),
    "long-chain": (long_chain, "", ""),
    "too-long-chain": (too_long_chain, "-tls", "excessive message size"),
}
for name, (certificate, code, seen) in CERTIFICATES.items():
    HTTP[name] = Domain({f"policy{code}": seen} if code else {}, zone=PLAIN, web=Web(certificate))
    SMTP[f"mx-{name}"] = Domain({f"mx{code}": seen} if code else {}, zone=PLAIN, mail=Mail(certificate))

HOSTILE_DOMAINS: dict[str, Domain] = {**NAMES, **HTTP, **SMTP}


# Name servers of the zone that is asked for them: what they say by UDP, and by TCP to who comes to hear more.


def _evil_answer(question: bytes) -> t.Iterator[bytes]:
    """Another record, with authority."""
    query = dns.message.from_wire(question)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 300, "IN", "TXT", QUOTED))
    yield reply.to_wire()


def _header(question: bytes, flags: int, answers: int) -> bytes:
    return question[:2] + struct.pack("!5H", flags, 1, answers, 0, 0) + question[12 : question.index(b"\0", 12) + 5]


def _flood(question: bytes) -> t.Iterator[bytes]:
    """A thousand answers to other questions."""
    for number in range(1000):
        yield number.to_bytes(2, "big") + _header(question, 0x8400, 0)[2:]


def _circle(question: bytes) -> t.Iterator[bytes]:
    """A name that is compressed to itself."""
    reply = _header(question, 0x8400, 1)
    yield reply + struct.pack("!H", 0xC000 | len(reply)) + struct.pack("!HHIH", 16, 1, 300, 0)


def _cut_off(question: bytes) -> t.Iterator[bytes]:
    """Many records are announced, and none come."""
    yield _header(question, 0x8400, 65535)


def _truncated(question: bytes) -> t.Iterator[bytes]:
    yield _header(question, 0x8600, 0)


def serve_badly(odd: OddServers, port: int) -> None:
    """Starts them."""
    for number, (replies, by_tcp) in enumerate(BAD_SERVERS, 1):
        address = f"127.78.0.{20 + number}"
        odd.reply(replies, address, port)
        if by_tcp:
            odd.serve(by_tcp, None, address, port)


BAD_SERVERS: tuple[tuple[Replies, Behaviour | None], ...] = (
    (_flood, None),
    (_circle, None),
    (_cut_off, None),
    (_truncated, be_silent),
    (_truncated, endless(b"\xff\xff", b"\0" * 65536)),
    (_truncated, drip(b"\xff\xff" + b"\0" * 9999, 0.1)),
    (_evil_answer, None),
)
