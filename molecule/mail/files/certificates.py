# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the MX hosts' certificates, each wrong in its own way, and the TLSA records that go with them.

    certificates.py DIRECTORY ROOT NAME...

Writes ca.pem, NAME.pem with key and chain for each MX host, and tlsa.json with the data of TLSA 3 1 1 records; for the
policy hosts' names policies.pem and policies.key; and as all.pem the CA together with that in the file ROOT.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DAY = dt.timedelta(days=1)


def key_hash(certificate: trustme.LeafCert) -> str:
    public_key = x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes()).public_key()
    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def main() -> None:
    place, root, *policy_names = Path(sys.argv[1]), *sys.argv[2:]
    place.mkdir(exist_ok=True)
    trusted, unknown = trustme.CA(), trustme.CA()
    yesterday = dt.datetime.now(dt.timezone.utc) - DAY
    certificates = {
        "expired": trusted.issue_cert("expired.lab.test", not_before=yesterday - DAY, not_after=yesterday),
        "misnamed": trusted.issue_cert("other.lab.test"),
        "dane": unknown.issue_cert("dane.lab.test"),
        "dane-fails": trusted.issue_cert("dane-fails.lab.test"),
    }
    for name, certificate in certificates.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(str(place / f"{name}.pem"))
    policies = trusted.issue_cert(*policy_names)
    policies.private_key_pem.write_to_path(str(place / "policies.key"))
    (place / "policies.pem").write_bytes(b"".join(blob.bytes() for blob in policies.cert_chain_pems))
    trusted.cert_pem.write_to_path(str(place / "ca.pem"))
    (place / "all.pem").write_bytes(trusted.cert_pem.bytes() + Path(root).read_bytes())
    tlsa = {"dane": key_hash(certificates["dane"]), "dane-fails": key_hash(certificates["dane"])}
    (place / "tlsa.json").write_text(json.dumps({name: f"3 1 1 {digest}" for name, digest in tlsa.items()}))


if __name__ == "__main__":
    main()
