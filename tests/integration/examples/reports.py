# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of senders, where the examples look for them."""

from __future__ import annotations

import base64
import datetime as dt
import email.message
import email.policy
import gzip
import json
from pathlib import Path

import dkim
import nacl.signing

_KEY = nacl.signing.SigningKey.generate()
# What the zone of the sender of mail, example.org, has at tlsrpt._domainkey.
KEY = f'"v=DKIM1; k=ed25519; s=tlsrpt; p={base64.b64encode(_KEY.verify_key.encode()).decode()}"'


def _report(number: int, failed: int = 1) -> bytes:
    today = dt.datetime.now(dt.timezone.utc).date()
    policy = {"policy": {"policy-type": "sts", "policy-domain": "example.com"}}
    summary = {"summary": {"total-successful-session-count": 10, "total-failure-session-count": failed}}
    times = {"start-datetime": f"{today}T00:00:00Z", "end-datetime": f"{today}T23:59:59Z"}
    named = {"organization-name": "Sender", "report-id": f"{number}", "date-range": times}
    return json.dumps({**named, "policies": [{**policy, **summary}]}).encode()


def _mail(report: bytes) -> bytes:
    message = email.message.EmailMessage(email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "tls@example.org", "tls-reports@example.net", "Report"
    message.set_content("This is an aggregate TLS report.")
    message.add_attachment(gzip.compress(report), "application", "tlsrpt+gzip")
    text = message.as_bytes()
    key = base64.b64encode(_KEY.encode())
    lines: bytes = dkim.sign(text, b"tlsrpt", b"example.org", key, signature_algorithm=b"ed25519-sha256")
    return lines + text


def put_reports() -> None:
    """In a directory, in one without failures, and in an inbox by HTTPS and by mail."""
    inbox = Path("/var/lib/mta-sts-reports")
    for path, content in (
        (Path("/var/mail/vhosts/example.net/tls-reports/1.json"), _report(1)),
        (Path("/var/mail/tls-reports/2.json"), _report(2, failed=0)),
        (inbox / "https/3.json.gz", gzip.compress(_report(3))),
        (inbox / "mail/new/4", _mail(_report(4))),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in ("cur", "tmp"):
        (inbox / "mail" / name).mkdir()
