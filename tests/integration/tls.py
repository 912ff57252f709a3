# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certification authority for the tests, that also issues what no real one would."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Issues certificates as PEM: the key, and the chain."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def write_trust_store(self, path: Path) -> str:
        self._ca.cert_pem.write_to_path(str(path))
        return str(path)

    def issue(self, *names: str, common_name: str | None = None, expired: bool = False) -> bytes:
        now = dt.datetime.now(dt.timezone.utc)
        leaf = self._ca.issue_cert(
            *names,
            common_name=common_name,
            not_before=now - dt.timedelta(days=30),
            not_after=now + dt.timedelta(days=-1 if expired else 30),
        )
        pem: bytes = leaf.private_key_and_cert_chain_pem.bytes()
        return pem

    def issue_verbatim(self, name: str) -> bytes:
        """A certificate for a name that is none, such as a partial wildcard."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        issuer_key = serialization.load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        now = dt.datetime.now(dt.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "test")]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ) + certificate.public_bytes(serialization.Encoding.PEM)


def server_context(pem: bytes, path: Path) -> ssl.SSLContext:
    """What a server needs that has this certificate, which is put at the path."""
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
