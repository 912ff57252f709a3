# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""DANE for SMTP (RFC 7672): whether the TLSA records of an MX host match the chain that it serves.

Private to this collection.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import typing as t

from .._names import mx_matches
from .answer import Tlsa
from .tls import Certificate

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError:  # reported by the modules, which need it
    pass

# Usages of RFC 7218 that are for mail; the others, of public CAs, are not (RFC 7672 3.1.3).
DANE_TA: t.Final = 2
DANE_EE: t.Final = 3
WHOLE_CERTIFICATE: t.Final = 0
PUBLIC_KEY: t.Final = 1
# Matching type -> what the data is of what was selected.
MATCHING: t.Final[dict[int, t.Callable[[bytes], bytes]]] = {
    0: bytes,
    1: lambda data: hashlib.sha256(data).digest(),
    2: lambda data: hashlib.sha512(data).digest(),
}
LENGTHS: t.Final = {1: 32, 2: 64}


def tlsa_name(host: str) -> str:
    """Where the TLSA records of an MX host are (RFC 7672 2.2.3)."""
    return f"_25._tcp.{host}"


def tlsa_text(record: Tlsa) -> str:
    """A record as people write it."""
    return f"{record.usage} {record.selector} {record.matching} {record.data.hex()[:128]}"


def is_usable(record: Tlsa) -> bool:
    """Whether senders make use of a record (RFC 7672 3.1)."""
    return (
        record.usage in (DANE_TA, DANE_EE)
        and record.selector in (WHOLE_CERTIFICATE, PUBLIC_KEY)
        and record.matching in MATCHING
        and len(record.data) == LENGTHS.get(record.matching, len(record.data) or -1)
    )


def matches(records: t.Iterable[Tlsa], chain: t.Sequence[bytes], host: str, now: dt.datetime) -> bool:
    """Whether one of the usable records matches the chain of an MX host, given as DER with the leaf first."""
    return any(is_usable(record) and _matches(record, chain, host, now) for record in records)


def _matches(record: Tlsa, chain: t.Sequence[bytes], host: str, now: dt.datetime) -> bool:
    if record.usage == DANE_EE:
        # Neither name nor date of the leaf count then (RFC 7672 3.1.1).
        return bool(chain) and _is_meant(record, chain[0])
    anchors = [number for number, der in enumerate(chain) if number and _is_meant(record, der)]
    return bool(anchors) and _leads_to(chain[: anchors[0] + 1], host, now)


def _is_meant(record: Tlsa, der: bytes) -> bool:
    selected = der if record.selector == WHOLE_CERTIFICATE else _public_key(der)
    return selected is not None and MATCHING[record.matching](selected) == record.data


def _public_key(der: bytes) -> t.Optional[bytes]:
    try:
        key = x509.load_der_x509_certificate(der).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception:
        # What the library makes of all the garbage that there may be is not to be listed.
        return None


def _leads_to(chain: t.Sequence[bytes], host: str, now: dt.datetime) -> bool:
    """Whether a chain is whole up to its last certificate, in date, and for the host (RFC 7672 3.1.2, 3.2.3)."""
    leaf = Certificate.read(chain[0])
    if leaf is None or not mx_matches(host, leaf.names):
        return False
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        for certificate, issuer in zip(certificates, certificates[1:]):
            certificate.verify_directly_issued_by(issuer)
        return all(one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in certificates)
    except Exception:
        # As above.
        return False
