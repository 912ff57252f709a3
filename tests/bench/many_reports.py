# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to read very many reports of senders, and to add them up.

They are written first, as senders send them: a third as JSON, a third compressed, a third in mail. Most tell of
sessions that succeeded; every tenth has failures, up to a few dozen, and every thousandth some hundred.
"""

from __future__ import annotations

import datetime as dt
import email.message
import email.policy
import gzip
import json
import shutil
import typing as t
from pathlib import Path

from bench_lab import ENVIRONMENT, WORK
from measure import Measured, RunFailed, measure

HERE = WORK / "reports"
REPORTS = 100_000
DOMAINS = 2500
REPORTERS = ("Google Inc.", "Microsoft Corporation", "Mail.ru", "Comcast Cable", "sender.example")
# As many as a directory has that people look into.
TOGETHER = 1000


def reports(summary: t.Callable[[Measured], t.Mapping[str, t.Any]], count: int = REPORTS) -> dict[str, t.Any]:
    """The module's whole run, with the start of Ansible."""
    shutil.rmtree(HERE, ignore_errors=True)
    size = sum(_write(number) for number in range(count))
    results = HERE / "results.json"
    options = {"paths": [str(HERE / kind) for kind in WAYS], "results": str(results)}
    command = ["ansible", "localhost", "--module-name", "postmaster.mta_sts.tlsrpt_report_info"]
    done = measure([*command, "--args", json.dumps(options)], ENVIRONMENT)
    read = sum(day["failed"] + day["succeeded"] for day in _reporters(results))
    if read != sum(map(sum, map(_sessions, range(count)))):
        raise RunFailed("not all of these reports were added up")
    return {"reports": count, "mib": round(size / (1 << 20)), **summary(done)}


def _reporters(results: Path) -> t.Iterator[dict[str, int]]:
    for days in json.loads(results.read_text())["domains"].values():
        for day in days.values():
            yield from day["reporters"].values()


def _sessions(number: int) -> tuple[int, int]:
    """How many sessions succeeded and failed."""
    failures = 300 if number % 1000 == 0 else 1 + number % 30 if number % 10 == 0 else 0
    return 1 + number * 7919 % 4000, failures * (failures + 1) // 2


def _report(number: int) -> bytes:
    reporter = REPORTERS[number // DOMAINS % len(REPORTERS)]
    domain = f"d{number % DOMAINS}.example"
    day = dt.date(2026, 11, 1) + dt.timedelta(days=number // DOMAINS // len(REPORTERS))
    succeeded, failed = _sessions(number)
    details: list[dict[str, t.Any]] = []
    told = 0
    while told < failed:
        told += len(details) + 1
        details.append({
            "result-type": ("certificate-expired", "starttls-not-supported", "validation-failure")[len(details) % 3],
            "sending-mta-ip": f"2001:db8::{len(details):x}",
            "receiving-mx-hostname": f"mx{len(details) % 4}.example.net",
            "receiving-ip": f"203.0.113.{len(details) % 250}",
            "failed-session-count": len(details) + 1,
        })  # fmt: skip
    policy = {
        "policy-type": "sts",
        "policy-string": [
            "version: STSv1",
            "mode: testing",
            "mx: mx1.example.net",
            "mx: *.example.net",
            "max_age: 86400",
        ],
        "policy-domain": domain,
        "mx-host": ["mx1.example.net", "*.example.net"],
    }
    counts = {"total-successful-session-count": succeeded, "total-failure-session-count": failed}
    return json.dumps({
        "organization-name": reporter,
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "contact-info": "smtp-tls-reporting@sender.example",
        "report-id": f"{day}T00:00:00Z_{domain}_{number}",
        "policies": [{"policy": policy, "summary": counts, "failure-details": details}],
    }).encode()  # fmt: skip


def _mail(data: bytes) -> bytes:
    message = email.message.EmailMessage(email.policy.SMTP)
    message["From"], message["To"] = "noreply-smtp-tls-reporting@sender.example", "tls-reports@example.net"
    message["Subject"] = "Report Domain: example.com Submitter: sender.example Report-ID: <1@sender.example>"
    message["TLS-Report-Domain"], message["TLS-Report-Submitter"] = "example.com", "sender.example"
    message.set_content("This is an aggregate TLS report from sender.example.")
    message.add_attachment(
        gzip.compress(data), "application", "tlsrpt+gzip", filename="sender.example!example.com.json.gz"
    )
    return message.as_bytes()


WAYS: t.Final[dict[str, t.Callable[[bytes], bytes]]] = {"json": bytes, "gzip": gzip.compress, "mail": _mail}


def _write(number: int) -> int:
    kind = list(WAYS)[number % len(WAYS)]
    path = HERE / kind / str(number // TOGETHER) / str(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(WAYS[kind](_report(number)))
