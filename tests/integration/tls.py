# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certification authority for the tests, that also issues what no real one would."""

from __future__ import annotations

import datetime as dt
import secrets
import ssl
import typing as t
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Days from now.
BEGINS, ENDS = -30, 60
SERVERS = ExtendedKeyUsageOID.SERVER_AUTH
CLIENTS = ExtendedKeyUsageOID.CLIENT_AUTH


class Authority:
    """Issues certificates as PEM: the key, and the chain without the root."""

    def __init__(
        self,
        name: str = "",
        *,
        issuer: Authority | None = None,
        begins: int = BEGINS,
        ends: int = ENDS,
    ) -> None:
        """A root, or with an issuer one in between. Two of one name would be taken for each other."""
        self._issuer = issuer or self
        self._subject = _name(name or f"Test authority {secrets.token_hex(4)}")
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._issuer.sign(
            _draft(self._subject, self._key, begins, ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )

    def sign(self, draft: x509.CertificateBuilder) -> x509.Certificate:
        return draft.issuer_name(self._subject).sign(self._key, hashes.SHA256())

    def write_trust_store(self, path: Path) -> str:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)

    def issue(
        self,
        *names: str,
        common_name: str | None = None,
        expired: bool = False,
        begins: int = BEGINS,
        ends: int = ENDS,
        purpose: x509.ObjectIdentifier = SERVERS,
        with_chain: bool = True,
    ) -> bytes:
        """For names that need not be such, as a partial wildcard is."""
        key = ec.generate_private_key(ec.SECP256R1())
        draft = _draft(_name(common_name), key, begins, -1 if expired else ends)
        certificate = self.sign(_for_names(draft, names, purpose))
        return _pem(key, [certificate, *(self._chain() if with_chain else ())])

    def _chain(self) -> t.Iterator[x509.Certificate]:
        if self._issuer is not self:
            yield self.certificate
            yield from self._issuer._chain()


def self_signed(*names: str) -> bytes:
    """A certificate that nobody stands for but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(names[0][:64])
    draft = _for_names(_draft(subject, key, BEGINS, ENDS), names, SERVERS)
    return _pem(key, [draft.issuer_name(subject).sign(key, hashes.SHA256())])


def server_context(pem: bytes, path: Path) -> ssl.SSLContext:
    """What a server needs that has this certificate, which is put at the path."""
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def _name(common_name: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "test")]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def _draft(subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: int, ends: int) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=begins))
        .not_valid_after(now + dt.timedelta(days=ends))
    )


def _for_names(
    draft: x509.CertificateBuilder, names: t.Sequence[str], purpose: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    draft = draft.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        draft = draft.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return draft


def _pem(key: ec.EllipticCurvePrivateKey, chain: t.Iterable[x509.Certificate]) -> bytes:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
