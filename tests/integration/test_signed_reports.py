# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tlsrpt_report_info with C(dkim): mail that dkimpy signed, with keys that a real name server has."""

from __future__ import annotations

import base64
import email.message
import email.policy
import gzip
import json
import mailbox
import subprocess
import textwrap
import time
import typing as t
from pathlib import Path

import dkim
import modules
import nacl.signing
import pytest
from bind import Named
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
# Too short for the library that made the others.
SHORT = openssl("genrsa", "-traditional", "768")
ED25519 = nacl.signing.SigningKey.generate()


def public(key: rsa.RSAPrivateKey) -> str:
    encoded = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(encoded).decode()


def pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


P = public(RSA)
# By selector.
KEYS = {
    "tlsrpt": [f"v=DKIM1; k=rsa; s=tlsrpt; p={P}"],
    "all": [f"v=DKIM1; s=*; p={P}"],
    "plain": [f"p={P}"],
    "both": [f"v=DKIM1; s=email:tlsrpt; p={P}"],
    "folded": [f"v=DKIM1;\tk=rsa;  h=sha1:sha256; t=s; p={P[:50]} {P[50:]}"],
    "ed": [f"v=DKIM1; k=ed25519; p={base64.b64encode(ED25519.verify_key.encode()).decode()}"],
    "mail": [f"v=DKIM1; s=email; p={P}"],
    "other": [f"v=DKIM1; s=other; p={P}"],
    "test": [f"v=DKIM1; t=y; p={P}"],
    "strict": [f"v=DKIM1; t=s; p={P}"],
    "sha1": [f"v=DKIM1; h=sha1; p={P}"],
    "revoked": ["v=DKIM1; p="],
    "broken": ["v=DKIM1; p=AAAA"],
    "junk": ["\\255\\254 hello"],
    "version": [f"v=DKIM2; p={P}"],
    "two": [f"v=DKIM1; p={P}", f"v=DKIM1; s=*; p={P}"],
    "short": [f"v=DKIM1; p={base64.b64encode(openssl('rsa', '-pubout', '-outform', 'DER', given=SHORT)).decode()}"],
    "huge": [f"v=DKIM1; p={'A' * 3000}"],
    "old.2026_q1": [f"v=DKIM1; p={P}"],
}


def txt(record: str) -> str:
    return " ".join(f'"{part}"' for part in textwrap.wrap(record, 200, drop_whitespace=False))


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[str]:
    records = [f"{name}._domainkey TXT {txt(record)}" for name, given in KEYS.items() for record in given]
    zone = "\n".join([*records, *(f"{name}._domainkey.mail TXT {txt(KEYS[name][0])}" for name in ("tlsrpt",)), ""])
    zones = {"sender.example": zone, "other.example": zone}
    server = Named(tmp_path_factory.mktemp("keys"), zones)
    yield f"{server.host}:{server.port}"
    server.stop()


def report(number: int = 1) -> bytes:
    policy = {"policy": {"policy-type": "sts", "policy-domain": "example.com"}}
    summary = {"summary": {"total-successful-session-count": 10, "total-failure-session-count": 1}}
    times = {"start-datetime": "2026-11-20T00:00:00Z", "end-datetime": "2026-11-20T23:59:59Z"}
    named = {"organization-name": "Sender", "report-id": f"{number}", "date-range": times}
    return json.dumps({**named, "policies": [{**policy, **summary}]}).encode()


def mail(author: str = "tls@sender.example", number: int = 1) -> bytes:
    message = email.message.EmailMessage(email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = author, "tls-reports@example.net", "Report"
    message.set_content("This is an aggregate TLS report.")
    message.add_attachment(gzip.compress(report(number)), "application", "tlsrpt+gzip")
    return message.as_bytes()


def signed(
    selector: str = "tlsrpt",
    domain: str = "sender.example",
    message: bytes | None = None,
    key: bytes = b"",
    **options: t.Any,
) -> bytes:
    message = mail() if message is None else message
    lines: bytes = dkim.sign(message, selector.encode(), domain.encode(), key or pem(RSA), **options)
    return lines + message


def with_tag(tag: bytes, **options: t.Any) -> bytes:
    """Signed with a tag that dkimpy does not make: it is put in by hand, and signed."""
    message = mail()
    signer = dkim.DKIM(message, tlsrpt=True)
    made = signer.gen_header

    def gen_header(fields: list[t.Any], *arguments: t.Any) -> t.Any:
        name, _equals, value = tag.partition(b"=")
        return made([*fields[:-1], (name, value), fields[-1]], *arguments)

    signer.gen_header = gen_header
    lines: bytes = signer.sign(b"tlsrpt", b"sender.example", pem(RSA), **options)
    assert b"; " + tag in lines.replace(b"\r\n ", b" ")
    return lines + message


def tell(place: Path, resolver: str, **options: t.Any) -> modules.Result:
    result = modules.run(
        "tlsrpt_report_info", place.parent, paths=[str(place)], dkim=True, resolvers=[resolver], **options
    )
    assert not result.get("failed"), result
    return result


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "reports"
    directory.mkdir()
    return directory


COUNTED: dict[str, t.Callable[[], bytes]] = {
    "for reports": lambda: signed("tlsrpt"),
    "for all": lambda: signed("all"),
    "for nothing in particular": lambda: signed("plain"),
    "for reports, too": lambda: signed("both"),
    "with much in it": lambda: signed("folded"),
    "a selector of several labels": lambda: signed("old.2026_q1"),
    "relaxed": lambda: signed(canonicalize=(b"relaxed", b"relaxed")),
    "from below its domain": lambda: signed(message=mail("TLS <tls@Mail.Sender.Example>")),
    "of a name below": lambda: signed(domain="mail.sender.example"),
    "the second signature": lambda: signed(message=signed(), domain="other.example"),
    "with unix line ends": lambda: signed().replace(b"\r\n", b"\n"),
    "ed25519": lambda: signed("ed", key=base64.b64encode(ED25519.encode()), signature_algorithm=b"ed25519-sha256"),
    "expiring later": lambda: with_tag(b"x=%d" % (time.time() + 9e6)),
    "what was added on the way": lambda: b"Return-Path: <>\r\nReceived: from x\r\n\tby y\r\n" + signed(),
}


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_signed_counts(place: Path, resolver: str, name: str) -> None:
    (place / "mail").write_bytes(COUNTED[name]())
    result = tell(place, resolver)
    assert (result["counts"]["reports"], result["unreadable"]) == (1, [])


REFUSED: dict[str, tuple[t.Callable[[], bytes], str]] = {
    "unsigned": (mail, "it is not signed"),
    "changed body": (lambda: signed().replace(b"H4sI", b"H4sJ"), "body hash mismatch"),
    "appended body": (lambda: signed() + b"more\r\n", "body hash mismatch"),
    "changed header": (lambda: signed().replace(b"Subject: Report", b"Subject: Reports"), "does not verify"),
    "other key": (lambda: signed(key=pem(OTHER)), "the signature of sender.example does not verify"),
    "other domain": (lambda: signed(domain="other.example"), "signed by other.example, and from sender.example"),
    "top-level domain": (lambda: signed(domain="example"), "'example' is a single label"),
    "name that ends alike": (lambda: signed(message=mail("a@xsender.example")), "and from xsender.example"),
    "from a top-level domain": (lambda: signed(message=mail("a@example")), "'example' is a single label"),
    "in part": (lambda: signed(length=True), "signed in part, with l="),
    "from unsigned": (
        lambda: signed().replace(b"h=from :", b"h=").replace(b" : from;", b";"),
        "its From is not signed",
    ),
    "two from": (lambda: b"From: a@other.example\r\n" + signed(), "its From is not one address"),
    "from two": (lambda: signed(message=mail("a@sender.example, b@other.example")), "its From is not one address"),
    "no from": (lambda: signed().replace(b"From: ", b"X-From: "), "its From is not one address"),
    "expired": (lambda: with_tag(b"x=%d" % (time.time() - 9e6)), "x= value is past"),
    "sha1": (lambda: signed().replace(b"a=rsa-sha256", b"a=rsa-sha1"), "not safe"),
    "no key": (lambda: signed("none"), "there is no key none._domainkey.sender.example in DNS"),
    "key for mail": (lambda: signed("mail"), "is not for reports, it has s=email"),
    "key for something else": (lambda: signed("other"), "is not for reports, it has s=other"),
    "key for tests": (lambda: signed("test"), "is for tests"),
    "strict key": (lambda: signed("strict", identity=b"a@sub.sender.example"), "not for names below"),
    "key for sha1": (lambda: signed("sha1"), "is not for sha256"),
    "revoked key": (lambda: signed("revoked"), "was revoked"),
    "broken key": (lambda: signed("broken"), "does not verify"),
    "junk key": (lambda: signed("junk"), "was revoked"),
    "key of another version": (lambda: signed("version"), "does not verify"),
    "two keys": (lambda: signed("two"), "there are 2 records"),
    "short key": (lambda: signed("short", key=SHORT), "public key too small"),
    "huge key": (lambda: signed("huge"), "has more than 1500 characters"),
    "odd selector": (lambda: signed().replace(b"s=tlsrpt", b"s=tls rpt*"), "is no selector"),
    "no grammar": (lambda: b"DKIM-Signature: v=1; a\r\n" + mail(), "does not verify"),
    "folded first line": (lambda: b" x\r\n" + signed(), "cannot be verified"),
    "sixth signature": (
        lambda: signed_by_others(5) + signed(),
        "signed by other.example, and from sender.example",
    ),
}


def signed_by_others(number: int) -> bytes:
    lines: bytes = dkim.sign(mail(), b"tlsrpt", b"other.example", pem(RSA))
    return lines * number


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_signed_well_does_not_count(place: Path, resolver: str, name: str) -> None:
    make, reason = REFUSED[name]
    (place / "mail").write_bytes(make())
    result = tell(place, resolver)
    assert (result["counts"]["reports"], result["counts"]["unreadable"]) == (0, 1)
    (told,) = result["unreadable"]
    assert told["reason"].startswith("DKIM: ")
    assert reason in told["reason"]
    assert told["reason"].isprintable()


def test_one_stops_no_other_wherever_they_are(place: Path, resolver: str) -> None:
    """A Maildir, an mbox, and what came by HTTPS, which nobody signs."""
    box = mailbox.Maildir(place / "mail")
    box.add(signed(message=mail(number=1)))
    box.add(mail(number=2))
    many = mailbox.mbox(place / "mbox")
    many.add(signed(message=mail(number=3)))
    many.add(signed("none", message=mail(number=4)))
    many.close()
    (place / "https").mkdir()
    (place / "https/report.json").write_bytes(report(5))
    result = tell(place, resolver)
    assert (result["counts"]["reports"], result["counts"]["unreadable"]) == (3, 2)
    assert modules.run("tlsrpt_report_info", place.parent, paths=[str(place)])["counts"]["reports"] == 5


HOSTILE = {
    "blanks": lambda: signed(canonicalize=(b"relaxed", b"relaxed")) + b" \t" * (10 << 20),
    "empty lines": lambda: signed() + b"\n" * (3 << 20),
    "a long header": lambda: signed().replace(b"Subject: Report", b"Subject: Report\r\n x" * 100_000),
    "many headers": lambda: b"X: y\r\n" * 100_000 + signed(),
    "a long signature": lambda: b"DKIM-Signature: v=1; b=" + b"\r\n \t" * 10_000 + b";\r\n" + mail(),
    "many names": lambda: signed().replace(
        b"h=", b"h=" + b":".join(b"x%d" % number for number in range(20_000)) + b":"
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_mail_makes_much_work(place: Path, resolver: str, name: str) -> None:
    (place / "mail").write_bytes(HOSTILE[name]())
    started = time.monotonic()
    assert tell(place, resolver)["counts"]["unreadable"] == 1
    assert time.monotonic() - started < 10


def test_a_resolver_that_does_not_answer_is_told(place: Path) -> None:
    for number in range(3):
        (place / f"{number}").write_bytes(signed(message=mail(number=number)))
    started = time.monotonic()
    result = tell(place, "127.0.0.1:9")
    assert result["counts"]["unreadable"] == 3
    assert "could not be looked up" in result["unreadable"][0]["reason"]
    # Once for all three.
    assert time.monotonic() - started < 12


def test_a_resolver_that_is_none(place: Path) -> None:
    result = modules.run("tlsrpt_report_info", place.parent, paths=[str(place)], dkim=True, resolvers=["nowhere"])
    assert result["msg"] == "Cannot read the reports: 'nowhere' is not an IP address with an optional port"


@pytest.mark.parametrize("library", ["dkim", "dns"])
def test_without_the_library_all_is_read_but_nothing_verified(place: Path, tmp_path: Path, library: str) -> None:
    """In a process of its own, in which the library cannot be had."""
    (place / "mail").write_bytes(signed())
    (tmp_path / "missing").mkdir()
    (tmp_path / f"missing/{library}.py").write_text("raise ImportError\n")
    environment = {**modules.ENVIRONMENT, "PYTHONPATH": f"{tmp_path}/missing:{modules.ENVIRONMENT['PYTHONPATH']}"}
    for wanted in (False, True):
        command = modules.command("tlsrpt_report_info", tmp_path, {"paths": [str(place)], "dkim": wanted})
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        result = json.loads(done.stdout)
        if wanted:
            assert "dkimpy >= 1.1 (python3-dkim)" in result["msg"]
        else:
            assert result["counts"]["reports"] == 1
