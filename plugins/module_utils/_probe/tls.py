# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TLS as strict senders want it, and what the certificates say that they meet.

Private to this collection.
"""

from __future__ import annotations

import datetime as dt
import ssl
import typing as t
from dataclasses import dataclass

from .._finding import Finding, printable

try:
    from cryptography import x509
    from cryptography.x509.oid import NameOID
except ImportError:  # reported by the modules, which need it
    pass

Document = dict[str, t.Any]

# More names than this tell nothing more about a certificate, nor do more certificates about a chain.
NAMES_LIMIT: t.Final = 20
CHAIN_LIMIT: t.Final = 10
# A certificate ends soon in the last sixth of its life, and in the last two weeks of a long one.
SOON: t.Final = dt.timedelta(days=14)
SOON_SHARE: t.Final = 6

# What OpenSSL's X509_V_ERR_* mean for who has to mend it; the rest is told in OpenSSL's own words.
_CAUSES: t.Final = {
    9: "-date",  # not yet valid
    10: "-date",  # has expired
    18: "-self-signed",
    2: "-chain",  # no issuer found
    19: "-chain",  # a root that nobody trusts was sent, too
    20: "-chain",  # no issuer found in the trust store
    21: "-chain",  # a lone certificate that is not trusted
    62: "-name",  # host name mismatch
}


class Session(t.NamedTuple):
    """A TLS session that came about: its version, and the chain that was served, as DER with the leaf first."""

    version: str
    chain: tuple[bytes, ...]

    def leaf(self) -> t.Optional[Certificate]:
        """The server's own certificate; none where there is none that can be read."""
        return Certificate.read(self.chain[0]) if self.chain else None


@dataclass(frozen=True)
class Contexts:
    """The ways to shake hands: as a strict sender, as one that only wants to look, and with TLS 1.2 alone."""

    strict: ssl.SSLContext
    lenient: ssl.SSLContext
    only_12: ssl.SSLContext


def strict_context(ca_file: t.Optional[str] = None) -> ssl.SSLContext:
    """TLS as RFC 8461 3.3 and 4.2 want it: a chain that verifies and a DNS-ID, never a common name.

    C(ca_file) replaces the system's trust store. Raises ValueError when it cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        # An SSLError is an OSError, too, and neither names the file.
        raise ValueError(f"the trust store {ca_file!r} cannot be used: {error}") from None
    context.hostname_checks_common_name = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def contexts(ca_file: t.Optional[str] = None) -> Contexts:
    """All ways to shake hands. Raises ValueError when the trust store cannot be used."""
    lenient, only_12 = _lenient_context(), _lenient_context()
    only_12.maximum_version = ssl.TLSVersion.TLSv1_2
    return Contexts(strict_context(ca_file), lenient, only_12)


def _lenient_context() -> ssl.SSLContext:
    # Nothing that is met is trusted, so no trust store is read: it is only looked at, to say what is wrong with it.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def check_name(name: str) -> None:
    """Raises ValueError for a name that TLS cannot ask for.

    A socket finds that out too late: it is left open, and the event loop loses the error.
    """
    try:
        if not name or name.startswith(".") or "\0" in name:
            raise ValueError
        name.encode("idna")
    except ValueError:
        raise ValueError(f"{name!r} is not a name that a certificate can be for") from None


def certificate_code(prefix: str, error: ssl.SSLCertVerificationError) -> str:
    """The finding's code for a chain that does not verify."""
    return f"{prefix}-certificate{_CAUSES.get(error.verify_code, '')}"


def tls_reason(error: ssl.SSLError) -> str:
    """What a failed handshake says, in words."""
    message = getattr(error, "verify_message", "") or error.reason or str(error)
    return str(message).lower().replace("_", " ")


def session_of(connection: t.Union[ssl.SSLObject, ssl.SSLSocket]) -> Session:
    """The session of a connection that has shaken hands, with the leaf of the chain."""
    leaf = connection.getpeercert(binary_form=True)
    return Session(connection.version() or "", (leaf,) if leaf else ())


def session_with_chain(connection: ssl.SSLObject) -> Session:
    """The session of a connection that has shaken hands, with the whole chain as it was served."""
    # Public since Python 3.13; it has been there since 3.10.
    if hasattr(connection, "get_unverified_chain"):
        served = tuple(connection.get_unverified_chain())
    else:
        chain = vars(connection)["_sslobj"].get_unverified_chain() or ()
        served = tuple(ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain[:CHAIN_LIMIT])
    return Session(connection.version() or "", served[:CHAIN_LIMIT])


# --- certificates -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """What is told of a certificate; all text in it comes from the network, and is printable and bounded."""

    # The DNS-IDs, and the common name, which does not count.
    names: tuple[str, ...]
    common_name: str
    issuer: str
    not_before: dt.datetime
    not_after: dt.datetime

    @classmethod
    def read(cls, der: bytes) -> t.Optional[Certificate]:
        """The certificate in its DER form; none where it cannot be read."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            return cls(
                _dns_names(certificate),
                _text(certificate.subject, NameOID.COMMON_NAME),
                _text(certificate.issuer, NameOID.COMMON_NAME) or _text(certificate.issuer, NameOID.ORGANIZATION_NAME),
                certificate.not_valid_before_utc,
                certificate.not_valid_after_utc,
            )
        except Exception:
            # What the library makes of all the garbage that there may be is not to be listed.
            return None

    def ends_soon(self, now: dt.datetime) -> bool:
        """Whether it should have been renewed by now."""
        return now < self.not_after <= now + min(SOON, (self.not_after - self.not_before) / SOON_SHARE)

    def to_dict(self, subject: str) -> Document:
        """The certificate as it stands in the documents, with where it was met."""
        return {
            "subject": subject,
            "names": list(self.names),
            "issuer": self.issuer,
            "not_before": self.not_before.isoformat(timespec="seconds"),
            "not_after": self.not_after.isoformat(timespec="seconds"),
        }


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(printable(name) for name in names.get_values_for_type(x509.DNSName)[:NAMES_LIMIT])


def _text(name: x509.Name, part: x509.ObjectIdentifier) -> str:
    return next((printable(str(attribute.value)) for attribute in name.get_attributes_for_oid(part)), "")


def certificate_finding(code: str, subject: str, reason: str, leaf: t.Optional[Certificate]) -> Finding:
    """A chain that does not verify, with what its leaf says about why."""
    told = ""
    if leaf is not None and code.endswith("-date"):
        told = f": valid from {leaf.not_before:%Y-%m-%d %H:%M} to {leaf.not_after:%Y-%m-%d %H:%M} UTC"
    elif leaf is not None and code.endswith("-name"):
        common_name = f"no DNS-ID, and the common name {leaf.common_name}"
        told = f": is for {', '.join(leaf.names) or common_name}"
    elif leaf is not None and code.endswith(("-chain", "-self-signed")):
        told = f": issued by {leaf.issuer or 'nobody that it names'}"
    return Finding(code, subject, f"{reason}{told}")


def findings_of_session(
    prefix: str, subject: str, version: str, leaf: t.Optional[Certificate], now: dt.datetime
) -> list[Finding]:
    """What is to be told of a session that came about, and verified."""
    findings = []
    if leaf is not None and leaf.ends_soon(now):
        findings.append(
            Finding(f"{prefix}-certificate-expiring", subject, f"ends on {leaf.not_after:%Y-%m-%d %H:%M} UTC")
        )
    if version == "TLSv1.2":
        findings.append(Finding(f"{prefix}-tls-without-13", subject, "takes TLS 1.2 at most"))
    return findings
