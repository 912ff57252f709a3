# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: all of it for a few domains, as much as a person can read for many, and nothing that harms a terminal."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import Finding
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report import (
    SCHEMA,
    Run,
    make_report,
    rollout_lines,
    verify_lines,
)

STARTED = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
NOW = STARTED + dt.timedelta(seconds=41)
ID = "3f2a9c01" + "0" * 24

Document = dict[str, t.Any]


def entry(domain: str, stage: str = "testing", *holds: Document, **more: t.Any) -> Document:
    values = {"mode": "testing", "mx": ["mx.example.net"], "max_age": 86400, "id": ID, **more}
    return {"domain": domain, "stage": stage, "holds": list(holds), **values}


def hold(message: str, code: str = "proof-failed", until: str | None = None) -> Document:
    return {"code": code, "message": message, "until": until}


def plan(*entries: Document, orphans: t.Sequence[str] = ()) -> Document:
    return {"policy_hosts": {"web1": [], "web2": []}, "domains": list(entries), "orphans": list(orphans)}


def result(domain: str, status: str, error: str = "", name: str = "_mta-sts", rdtype: str = "TXT") -> Document:
    return {"item": domain, "name": f"{name}.{domain}.", "type": rdtype, "status": status, "error": error}


def reported(run: Run) -> tuple[Document, list[str]]:
    report = make_report(run, STARTED, NOW)
    return report, rollout_lines(report, "./mta-sts-run/report.json")


def test_a_small_rollout() -> None:
    run = Run(
        plan(
            entry("example.com", "enforcing", mode="enforce", max_age=2592000, mx=["a.example", "b.example"]),
            entry("example.org"),
            entry(
                "broken.example", "pending", hold("mta-sts.broken.example leads to 192.0.2.7, which is no policy host")
            ),
            entry("later.example", "testing", hold("testing period", until="2026-11-30T09:12:00+00:00"), max_age=3600),
            entry("failed.example"),
            entry("gone.example", "absent", mode=None, mx=[], max_age=None, id=None),
            orphans=["old.example"],
        ),
        {"domains": {"example.org": {"findings": [Finding("mx-certificate", "mx:25", "has expired").to_dict()]}}},
        [
            {"results": [result("example.com", "changed"), result("example.com", "changed", name="mta-sts")]},
            {"results": [result("example.org", "ok"), result("failed.example", "failed", "refused by the server")]},
        ],
    )
    report, lines = reported(run)
    assert lines == [
        "postmaster.mta_sts rollout: 6 domains, 2 policy hosts, 41 s",
        "  example.com     enforcing  enforce, 30 days, 2 mx  announced 3f2a9c01  ok",
        "  example.org     testing    testing, 1 day, 1 mx    in place 3f2a9c01   MX finding: mx:25: has expired",
        "  broken.example  pending    testing, 1 day, 1 mx    not announced",
        "      mta-sts.broken.example leads to 192.0.2.7, which is no policy host",
        "  later.example   testing    testing, 1 hour, 1 mx   not announced",
        "      testing period (until 2026-11-30T09:12:00+00:00)",
        "  failed.example  pending    testing, 1 day, 1 mx    not announced",
        "      _mta-sts.failed.example. TXT: refused by the server",
        "  gone.example    absent     no policy                                   ok",
        "  old.example: orphan, served on though the inventory does not name it; 'state: absent' withdraws it",
        "1 announced, 1 in place, 2 pending. Report: ./mta-sts-run/report.json",
    ]
    assert report["schema"] == SCHEMA
    assert (report["at"], report["seconds"], report["check_mode"]) == ("2026-11-23T10:00:41+00:00", 41, False)
    assert report["counts"] == {"enforcing": 1, "testing": 2, "pending": 2, "absent": 1}
    assert [domain["announcement"] for domain in report["domains"]] == ["announced", "in place", "", "", "", ""]


def test_check_mode_speaks_of_what_is_to_come() -> None:
    run = Run(plan(entry("a.example")), None, [{"results": [result("a.example", "changed")]}], check_mode=True)
    _report, lines = reported(run)
    assert lines == [
        "postmaster.mta_sts rollout: 1 domain, 2 policy hosts, 41 s (check mode, nothing was changed)",
        "  a.example  testing  testing, 1 day, 1 mx  to come 3f2a9c01  ok",
        "1 to come, 0 announced, 0 in place, 0 pending. Report: ./mta-sts-run/report.json",
    ]


def test_nothing_to_report() -> None:
    _report, lines = reported(Run(plan()))
    assert lines == [
        "postmaster.mta_sts rollout: 0 domains, 2 policy hosts, 41 s",
        "0 announced, 0 in place, 0 pending. Report: ./mta-sts-run/report.json",
    ]


@pytest.mark.parametrize("held", [0, 7, 3000, 10_000])
def test_10_000_domains_are_a_page(held: int) -> None:
    entries = [
        entry(f"d{n}.example", "pending", hold(f"reason {n}", "dns-failure" if n % 3 else "proof-failed"))
        if n < held
        else entry(f"d{n}.example")
        for n in range(10_000)
    ]
    orphans = [f"o{n}.example" for n in range(5000)]
    report, lines = reported(Run(plan(*entries, orphans=orphans)))
    assert len(lines) < 90
    assert len(report["domains"]) == 10_000
    text = "\n".join(lines)
    for number in (held - held // 3 - 1, held // 3):
        assert held < 10 or f"{number} domain" in text or f"{number + 1} domain" in text
    assert f"0 announced, 0 in place, {held} pending." in lines[-1]
    assert "... and 4980 more orphans" in text
    if held < 10_000:
        assert f"{10_000 - held} domains without a hold" in text


HOSTILE = "\x1b]0;gone\x07\x1b[2J\r\nok: [web1]\x9b31m\u202e\u2028"


def test_nothing_harms_a_terminal() -> None:
    """P12: what came from DNS, HTTPS, SMTP, certbot and name servers ends up here."""
    run = Run(
        plan(entry("a.example", "pending", hold(HOSTILE)), entry("b.example")),
        {"domains": {"b.example": {"findings": [Finding("mx-starttls", HOSTILE, HOSTILE).to_dict()]}}},
        [{"results": [result("b.example", "failed", HOSTILE)]}],
    )
    _report, lines = reported(run)
    assert "gone" in "\n".join(lines)
    assert [line for line in lines if not line.isprintable()] == []


def seen(verdict: str = "enforce", *findings: Finding, **more: t.Any) -> Document:
    policy = {"id": ID, "mode": "enforce", "mx": ["mx.example.net"], "max_age": 604800}
    return {
        "verdict": verdict,
        "record_id": ID,
        "policy": policy,
        "findings": [finding.to_dict() for finding in findings],
        **more,
    }


def test_a_small_verification() -> None:
    lines = verify_lines(
        {
            "example.com": seen(),
            "example.org": seen(
                "broken",
                Finding("tlsrpt-missing", "_smtp._tls.example.org", "has no TXT record"),
                Finding("policy-http", "https://mta-sts.example.org", "status 404 instead of 200"),
                policy=None,
                record_id=None,
            ),
        }
    )
    assert lines == [
        "postmaster.mta_sts verify: 2 domains",
        "  example.com  enforce  enforce, 7 days, 1 mx  id 3f2a9c01  ok",
        "  example.org  broken   no policy              no id",
        "      error: https://mta-sts.example.org: status 404 instead of 200 (RFC 8461 3.3)",
        "          answer 200 with text/plain, without a redirect, and at most 64 KiB",
        "      notice: _smtp._tls.example.org: has no TXT record (RFC 8460 3)",
        "1 broken, 1 enforce",
    ]


def test_10_000_verified_domains_are_a_page() -> None:
    failure = Finding("policy-unreachable", "https://x", "connection refused")
    lines = verify_lines({f"d{n}.example": seen("broken", failure) if n % 2 else seen() for n in range(10_000)})
    assert len(lines) < 130
    assert lines[-1] == "5000 broken, 5000 enforce"
    assert "  ... and 4960 more" in lines


def test_a_domain_with_very_many_findings_is_not_a_book() -> None:
    findings = [Finding("mx-starttls", f"mx{n}.example:25", "does not offer STARTTLS") for n in range(512)]
    assert len(verify_lines({"a.example": seen("broken", *findings)})) < 60
    documents = [finding.to_dict() for finding in findings]
    _report, lines = reported(Run(plan(entry("a.example")), {"domains": {"a.example": {"findings": documents}}}))
    assert len(lines) < 60


def test_a_hostile_verification_harms_no_terminal() -> None:
    lines = verify_lines({"a.example": seen("broken", Finding("policy-http", HOSTILE, HOSTILE))})
    assert [line for line in lines if not line.isprintable()] == []
