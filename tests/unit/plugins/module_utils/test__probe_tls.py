# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from certificates, and which TLSA records match which chains."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import ssl

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.answer import Tlsa
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.dane import is_usable, matches, tlsa_text
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.tls import (
    Certificate,
    Session,
    certificate_code,
    certificate_finding,
    findings_of_session,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)
HOST = "mx1.example.net"


@dataclasses.dataclass
class Issued:
    """A certificate with its key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def issue(
    name: str, issuer: Issued | None = None, *, names: tuple[str, ...] = (), lasts: tuple[int, int] = (-30, 60)
) -> Issued:
    """A certificate that is valid for days from now, self-signed where it has no issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW + lasts[0] * DAY)
        .not_valid_after(NOW + lasts[1] * DAY)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
        )
    return Issued(key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


ROOT = issue("Root")
CA = issue("CA", ROOT)
LEAF = issue("leaf", CA, names=(HOST, "*.mail.example.net"))
CHAIN = (LEAF.der, CA.der, ROOT.der)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


GOOD_TLSA = {
    "3 1 1": Tlsa(3, 1, 1, sha256(LEAF.public_key)),
    "3 0 1": Tlsa(3, 0, 1, sha256(LEAF.der)),
    "3 1 2": Tlsa(3, 1, 2, hashlib.sha512(LEAF.public_key).digest()),
    "3 0 0": Tlsa(3, 0, 0, LEAF.der),
    "2 1 1": Tlsa(2, 1, 1, sha256(CA.public_key)),
    "2 0 1 of the root": Tlsa(2, 0, 1, sha256(ROOT.der)),
}


@pytest.mark.parametrize("record", GOOD_TLSA.values(), ids=GOOD_TLSA)
def test_records_that_match(record: Tlsa) -> None:
    assert is_usable(record)
    other = Tlsa(3, 1, 1, bytes(32))
    assert matches([other, record], CHAIN, HOST, NOW)
    assert not matches([other], CHAIN, HOST, NOW)
    assert not matches([record], (), HOST, NOW)
    assert not matches([record], (b"garbage", b"garbage"), HOST, NOW)


BY_ROOT, BY_CA = GOOD_TLSA["2 0 1 of the root"], GOOD_TLSA["2 1 1"]
BAD_CHAINS: dict[str, tuple[Tlsa, tuple[bytes, ...], str]] = {
    "another name": (BY_CA, CHAIN, "mx9.example.net"),
    "no issuer between": (BY_ROOT, (LEAF.der, ROOT.der), HOST),
    "an anchor that is not served": (BY_CA, (LEAF.der,), HOST),
    "the leaf as an anchor": (Tlsa(2, 1, 1, sha256(LEAF.public_key)), CHAIN, HOST),
    "out of date": (BY_CA, (issue("leaf", CA, names=(HOST,), lasts=(-60, -1)).der, CA.der), HOST),
    "no DNS-ID": (BY_CA, (issue(HOST, CA).der, CA.der), HOST),
    "a leaf that nobody can read": (BY_CA, (b"garbage", CA.der), HOST),
}


@pytest.mark.parametrize(("record", "chain", "host"), BAD_CHAINS.values(), ids=BAD_CHAINS)
def test_chains_that_lead_to_no_anchor(record: Tlsa, chain: tuple[bytes, ...], host: str) -> None:
    assert is_usable(record)
    assert not matches([record], chain, host, NOW)


def test_neither_name_nor_date_of_a_leaf_count_that_is_named_itself() -> None:
    """RFC 7672 3.1.1."""
    old = issue("anything", lasts=(-60, -1))
    assert matches([Tlsa(3, 1, 1, sha256(old.public_key))], (old.der,), HOST, NOW)


UNUSABLE = {
    "0 of public CAs": Tlsa(0, 1, 1, bytes(32)),
    "1 of public CAs": Tlsa(1, 1, 1, bytes(32)),
    "4": Tlsa(4, 1, 1, bytes(32)),
    "selector 2": Tlsa(3, 2, 1, bytes(32)),
    "matching 3": Tlsa(3, 1, 3, bytes(32)),
    "too short": Tlsa(3, 1, 1, bytes(20)),
    "too long": Tlsa(3, 1, 2, bytes(65)),
    "nothing": Tlsa(3, 1, 0, b""),
}


@pytest.mark.parametrize("record", UNUSABLE.values(), ids=UNUSABLE)
def test_records_that_nobody_uses(record: Tlsa) -> None:
    assert not is_usable(record)
    assert not matches([record], CHAIN, HOST, NOW)


def test_a_record_as_people_write_it() -> None:
    assert tlsa_text(Tlsa(3, 1, 1, bytes(range(4)))) == "3 1 1 00010203"


# --- certificates -----------------------------------------------------------------------------------------


def test_what_a_certificate_says() -> None:
    certificate = Certificate.read(LEAF.der)
    assert certificate is not None
    assert certificate.to_dict("mx1.example.net:25 at 192.0.2.25") == {
        "subject": "mx1.example.net:25 at 192.0.2.25",
        "names": [HOST, "*.mail.example.net"],
        "issuer": "CA",
        "not_before": "2026-10-27T12:00:00+00:00",
        "not_after": "2027-01-25T12:00:00+00:00",
    }
    assert certificate.common_name == "leaf"


def test_what_is_no_certificate_says_nothing() -> None:
    assert Certificate.read(b"\x30\x03\x02\x01\x01") is None


def test_text_of_certificates_is_printable_and_bounded() -> None:
    hostile = issue("x\x1b[2J<script>{{ 1 }}" + "y" * 40, names=tuple(f"n{n}.{'a' * 60}.example" for n in range(99)))
    certificate = Certificate.read(hostile.der)
    assert certificate is not None
    assert certificate.issuer.startswith("x?[2J<script>{{ 1 }}")
    assert len(certificate.names) == 20


@pytest.mark.parametrize(
    ("lasts", "soon"),
    [
        ((-76, 14), True),
        ((-75, 15), False),
        ((-351, 14), True),
        # Short-lived ones are renewed late.
        ((-4, 2), False),
        ((-5, 1), True),
        ((-30, -1), False),
    ],
)
def test_when_a_certificate_ends_soon(lasts: tuple[int, int], soon: bool) -> None:
    leaf = issue("leaf", lasts=lasts)
    certificate = Certificate.read(leaf.der)
    assert certificate is not None
    assert certificate.ends_soon(NOW) == soon
    found = findings_of_session("mx", "x", "TLSv1.3", Session("TLSv1.3", (leaf.der,)).leaf(), NOW)
    assert [finding.code for finding in found] == (["mx-certificate-expiring"] if soon else [])


def test_an_old_version_of_tls_is_told() -> None:
    found = findings_of_session("policy", "x", "TLSv1.2", Session("TLSv1.2", CHAIN).leaf(), NOW)
    assert [finding.code for finding in found] == ["policy-tls-without-13"]
    assert findings_of_session("policy", "x", "TLSv1.3", Session("TLSv1.3", ()).leaf(), NOW) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (9, "mx-certificate-date"),
        (10, "mx-certificate-date"),
        (18, "mx-certificate-self-signed"),
        (19, "mx-certificate-chain"),
        (20, "mx-certificate-chain"),
        (21, "mx-certificate-chain"),
        (62, "mx-certificate-name"),
        (66, "mx-certificate"),
    ],
)
def test_the_code_of_a_chain_that_does_not_verify(number: int, code: str) -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code = number
    assert certificate_code("mx", error) == code


@pytest.mark.parametrize(
    ("code", "leaf", "seen"),
    [
        ("mx-certificate-date", LEAF, "no: valid from 2026-10-27 12:00 to 2027-01-25 12:00 UTC"),
        ("mx-certificate-name", LEAF, f"no: is for {HOST}, *.mail.example.net"),
        ("mx-certificate-name", ROOT, "no: is for no DNS-ID, and the common name Root"),
        ("mx-certificate-chain", LEAF, "no: issued by CA"),
        ("mx-certificate-self-signed", ROOT, "no: issued by Root"),
        ("mx-certificate", LEAF, "no"),
        ("mx-tls", None, "no"),
    ],
)
def test_what_is_said_of_a_chain_that_does_not_verify(code: str, leaf: Issued | None, seen: str) -> None:
    finding = certificate_finding(code, "x", "no", Certificate.read(leaf.der) if leaf else None)
    assert (finding.code, finding.seen) == (code, seen)
