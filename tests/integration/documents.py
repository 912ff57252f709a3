# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents as runs leave them, for what is made of them: as in real life, hostile, and very large."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import HOLD_KINDS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report import Run, make_report
from ansible_collections.postmaster.mta_sts.plugins.module_utils._time_line import (
    NOTHING_REPORTED,
    Reported,
    read_time_lines,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._verification import make_verification

NOW = dt.datetime(2026, 11, 26, 20, tzinfo=dt.timezone.utc)
ID = "3f2a9c01" + "7b" * 12
LONG = "very-long-name-of-a-housing-association.on-the-outskirts.example"

# What servers may say and names may hold, each with a mark to find it by.
HOSTILE = {
    "element": "mark1</script><script>document.title='owned'</script>",
    "image": "mark2<img src=x onerror=\"document.title='owned'\">",
    "terminal": "mark3\x1b[31mred\x1b]0;owned\x07",
    "nul": "mark4\0after",
    "template": "mark5{{ 7 * 7 }}{% raw %}@@script@@",
    "lines": "mark6\u2028one\u2029two\nthree\r\nfour",
    "quotes": "mark7\"'` --> ]]> &lt;b&gt; \\",
    "backwards": "mark8\u202egnp.exe\u2066",
    "surrogate": "mark9\ud800",
}

Document = dict[str, t.Any]
# So many days ago: by reporter what succeeded and failed; and what failed, where, who says so, and how often.
ReportedDays = dict[int, tuple[dict[str, tuple[int, int]], list[tuple[str, str, str, int]]]]

EXPIRED = ("certificate-expired", "mail.bakery.example", "Google Inc.")
BAKERY: ReportedDays = {
    1: ({"Google Inc.": (1210, 0), "Microsoft Corporation": (402, 0)}, []),
    2: (
        {"Google Inc.": (1108, 3), "Microsoft Corporation": (377, 2)},
        [(*EXPIRED, 3), ("starttls-not-supported", "", "Microsoft Corporation", 2)],
    ),
    3: ({"Google Inc.": (0, 41)}, [(*EXPIRED, 41)]),
    5: ({"Google Inc.": (1009, 0)}, []),
}

# Code -> severity, title, remedy, reference.
FINDINGS: dict[str, tuple[str, str, str, str]] = {
    "record-missing": (
        "error", "no MTA-STS record", "publish the TXT record once the policy is served", "RFC 8461 3.1",
    ),
    "policy-certificate-date": (
        "error", "the policy host's certificate is not valid now", "renew it, and see why it was not renewed by itself",
        "RFC 8461 3.3",
    ),
    "policy-differs": (
        "error", "the policy is not the expected one",
        "bring every policy host to the same policy before its id is announced", "RFC 8461 8.1",
    ),
    "mx-unmatched": (
        "error", "an MX host is matched by no pattern of the policy",
        "add the host to the policy; enforcing senders refuse to deliver to it", "RFC 8461 4.1",
    ),
    "mx-certificate-self-signed": (
        "error", "an MX host's certificate is self-signed",
        "give it a certificate from an authority that senders know, with its chain", "RFC 8461 4.2",
    ),
    "mx-certificate-expiring": (
        "warning", "an MX host's certificate expires soon", "renew it, and see why it was not renewed by itself",
        "RFC 8461 4.2",
    ),
    "record-foreign": (
        "warning", "TXT records that are not MTA-STS share the name",
        "remove them: some senders ignore the policy when they see another TXT record", "RFC 8461 3.1",
    ),
    "dane-insecure": (
        "warning", "TLSA records in a zone that is not signed", "sign the zone, or remove the TLSA records",
        "RFC 7672 2.2",
    ),
    "policy-max-age": (
        "warning", "max_age is short", "use at least a week once nothing is tried any more", "RFC 8461 3.2",
    ),
    "mx-unused": (
        "notice", "a pattern of the policy matches no MX host",
        "remove it once no sender can hold a policy without its successor", "RFC 8461 4.1",
    ),
    "tlsrpt-missing": ("notice", "no TLSRPT record", "publish one to hear of failures that senders meet", "RFC 8460 3"),
}  # fmt: skip


def finding(code: str, subject: str, seen: str) -> Document:
    severity, title, remedy, reference = FINDINGS[code]
    return {"code": code, "severity": severity, "title": title, "subject": subject, "seen": seen, "remedy": remedy,
            "reference": reference}  # fmt: skip


def certificate(subject: str, days: float, *names: str, issuer: str = "Example CA R3") -> Document:
    """A certificate that ends so many days after the run."""
    ends = NOW + dt.timedelta(days=days)
    begins = min(ends, NOW) - dt.timedelta(days=20)
    since, until = begins.isoformat(timespec="seconds"), ends.isoformat(timespec="seconds")
    return {"subject": subject, "names": list(names), "issuer": issuer, "not_before": since, "not_after": until}


def seen_domain(name: str, verdict: str, *findings: Document, days: float = 61, **more: t.Any) -> tuple[str, Document]:
    """What was observed of one domain."""
    there = verdict != "absent"
    mode = verdict if verdict in ("enforce", "testing", "none") else "enforce"
    policy = {"id": ID, "mode": mode, "mx": ["mx1.example.net", "mx2.example.net"], "max_age": 2592000}
    seen = {
        "verdict": verdict,
        "record_id": ID if there else None,
        "records": [f"v=STSv1; id={ID}"] if there else [],
        "foreign_records": [],
        "tlsrpt": ["mailto:tls-reports@example.net"] if there else [],
        "tlsrpt_records": [],
        "foreign_tlsrpt_records": [],
        "ttls": {},
        "aliases": {},
        "zones": {},
        "served": {},
        "caa": None,
        "addresses": ["192.0.2.1", "2001:db8::1"] if there else [],
        "policy": policy if there else None,
        "mx": ["mx1.example.net", "mx2.example.net"],
        "mx_ttl": 3600,
        "dnssec": {"record": True, "mx": False},
        "certificates": [
            certificate(f"https://mta-sts.{name} at {address}", days, f"mta-sts.{name}")
            for address in ("192.0.2.1", "2001:db8::1")
            if there
        ],
        "findings": list(findings),
    }
    return name, {**seen, **more}


def reports(domain: str, days: ReportedDays) -> Document:
    """What a report host knows of the days so many days ago: by reporter what succeeded and failed, and what failed."""
    told = {}
    for ago, (reporters, failures) in days.items():
        names = {name: {"succeeded": well, "failed": bad} for name, (well, bad) in reporters.items()}
        failed = [
            {"result_type": kind, "mx_host": host, "policy_type": "sts", "reporter": name, "sessions": sessions}
            for kind, host, name, sessions in failures
        ]
        told[str(NOW.date() - dt.timedelta(days=ago))] = {"reporters": names, "failures": failed}
    return {domain: told}


def reported(**troubles: str) -> Reported:
    """What two report hosts know of two domains."""
    well: ReportedDays = {ago: ({"Google Inc.": (90 * ago, 0)}, []) for ago in range(1, 9)}
    first = {**reports("bakery.example", BAKERY), **reports("example.org", well)}
    second = reports("bakery.example", {1: ({"Mail.ru": (7, 0)}, [])})
    domains = {"bakery.example", "example.org"}
    return read_time_lines({"inbox1": first.items(), "inbox2": second.items()}, domains, troubles)


def mx_host(name: str, days: float, *names: str, **more: t.Any) -> Document:
    return {"certificates": [certificate(f"{name}:25 at 192.0.2.25", days, *(names or (name,)), **more)],
            "tlsa": [], "tls": ["TLSv1.2", "TLSv1.3"]}  # fmt: skip


def verification() -> Document:
    """A verification with a little of everything."""
    soon = finding("mx-certificate-expiring", "mx2.example.net:25 at 192.0.2.26", "certificate: expires in 9 days")
    bakery = [
        finding("mx-certificate-self-signed", "mail.bakery.example:25 at 198.51.100.25", "self-signed certificate"),
        finding("tlsrpt-missing", "_smtp._tls.bakery.example", "has no TXT record"),
    ]
    library = [
        soon,
        finding("policy-certificate-date", "https://mta-sts.library.example at 192.0.2.1", "certificate has expired"),
        finding("record-foreign", "_mta-sts.library.example", "google-site-verification=Zx91cQ and 1 more"),
    ]
    outskirts = [
        finding("mx-unmatched", "mx9.elsewhere.example", "not one of mx1.example.net, mx2.example.net"),
        finding("policy-differs", f"https://mta-sts.{LONG} at 2001:db8::1", "another policy than at 192.0.2.1"),
        finding("mx-unused", "mx2.example.net", "is no MX host"),
    ]
    short = finding("policy-max-age", "gallery.example", "max_age: 3600")
    missing = finding("record-missing", "_mta-sts.old.example", "has no TXT record")
    domains = [
        seen_domain("example.com", "enforce", soon),
        seen_domain("example.org", "enforce", days=33),
        seen_domain("xn--bcher-kva.example", "enforce", days=78),
        seen_domain("bakery.example", "testing", *bakery, days=12, mx=["mail.bakery.example"]),
        seen_domain("library.example", "broken", *library, days=-4),
        seen_domain(LONG, "broken", *outskirts, days=24, mx=["mx1.example.net", "mx9.elsewhere.example"]),
        seen_domain("gallery.example", "none", short, days=45),
        seen_domain("old.example", "absent", missing),
    ]
    hosts = {
        "mx1.example.net": mx_host("mx1.example.net", 71),
        "mx2.example.net": mx_host("mx2.example.net", 9.2, "mx2.example.net", "mail.example.net"),
        "mail.bakery.example": mx_host("mail.bakery.example", 3400, "localhost", issuer="localhost"),
        "mx9.elsewhere.example": mx_host("mx9.elsewhere.example", 170, "*.elsewhere.example"),
    }
    return verified(domains, hosts, 12, reported())


def verified(
    domains: t.Iterable[tuple[str, Document]], mx_hosts: Document, seconds: int, told: Reported = NOTHING_REPORTED
) -> Document:
    observed = {"domains": dict(domains), "mx_hosts": mx_hosts}
    return make_verification([observed], NOW - dt.timedelta(seconds=seconds), NOW, reported=told)


def planned(domain: str, stage: str, *holds: tuple[str, str, str | None], **more: t.Any) -> Document:
    """A domain of a plan that was carried out."""
    values = {"mode": "testing", "mx": ["mx1.example.net"], "max_age": 86400, "id": ID, "remove": False, **more}
    held = [{"code": code, "message": message, "until": until} for code, message, until in holds]
    return {"domain": domain, "stage": stage, "record": "announce", "holds": held, **values}


def rollout(**more: t.Any) -> Document:
    """The report of a rollout with a little of everything."""
    enforce = {"mode": "enforce", "max_age": 2592000, "mx": ["mx1.example.net", "mx2.example.net"]}
    gone: Document = {"mode": None, "mx": [], "max_age": None, "id": None, "remove": True, "record": "remove"}
    certbot = ("renewal", "web2: certbot could not renew mta-sts.example.net", None)
    tested = ("testing-period", "testing period of 7 days", "2026-11-30T09:12:00+00:00")
    self_signed = ("mx-unready", "mail.bakery.example:25 at 198.51.100.25: self-signed certificate", None)
    expired = ("mx-failing", "mx2.example.net:25: certificate has expired", None)
    new = ("mx-new", "mx3.example.net may be put into DNS", "2026-12-26T20:10:00+00:00")
    older = ("withdrawal-policies", "senders may hold older policies", "2026-12-23T10:10:00+00:00")
    elsewhere = ("address-elsewhere", "mta-sts.broken.example leads to 192.0.2.7, which is no policy host", None)
    entries = [
        planned("example.com", "enforcing", **enforce),
        planned("example.net", "enforcing", certbot, **enforce),
        planned("example.org", "testing", tested),
        planned("bakery.example", "testing", self_signed),
        planned("library.example", "enforcing", expired, **enforce),
        planned("moving.example", "enforcing", new, **enforce),
        planned("old.example", "withdrawing", older, mode="none"),
        planned("broken.example", "pending", elsewhere),
        planned("gone.example", "absent", **gone),
    ]
    findings = [
        finding("mx-certificate-self-signed", "mail.bakery.example:25 at 198.51.100.25", "self-signed certificate"),
        finding("mx-certificate-expiring", "mx2.example.net:25 at 192.0.2.26", "certificate: expires in 9 days"),
    ]
    plan = {
        "policy_hosts": {"web1.example.net": [], "web2.example.net": []},
        "domains": entries,
        "orphans": ["forgotten.example", "left-behind.example"],
        "troubles": ["web1.example.net: a damaged policy lies at mta-sts.strange.example.txt"],
    }
    observed = {"domains": {"bakery.example": {"record_id": ID, "findings": findings}}}
    troubles = {"web2.example.net": "No space left on device"}
    probes = {"probe2.example.net": "timed out"}
    run = Run(plan, observed, troubles=troubles, probe_troubles=probes, reported=reported(inbox3="timed out"), **more)
    return make_report(run, NOW - dt.timedelta(seconds=41), NOW)


def hostile() -> Document:
    """A verification in which everything that comes from outside is hostile."""
    domains, hosts = [], {}
    for text in HOSTILE.values():
        found = finding("mx-certificate-expiring", f"subject {text}", f"seen {text}")
        policy = {"id": text, "mode": "enforce", "mx": [text], "max_age": 86400}
        more: Document = {"records": [text], "tlsrpt": [text], "mx": [text], "policy": policy}
        domains.append(seen_domain(f"{text}.example", "enforce", found, **more))
        hosts[text] = mx_host(text, 30, text, issuer=text)
    return verified(domains, hosts, 1, hostile_reports())


def hostile_reports() -> Reported:
    """Reports in which every text is hostile, by a host whose name is."""
    told: Document = {}
    for text in HOSTILE.values():
        told.update(reports(f"{text}.example", {1: ({text: (1, 2)}, [(text, text, text, 2)])}))
    return read_time_lines({"inbox": told.items()}, set(told), {text: text for text in HOSTILE.values()})


def hostile_rollout() -> Document:
    """The same for a rollout."""
    texts = list(HOSTILE.values())
    entries = [planned(f"{text}.example", "testing", ("proof-failed", text, None), mx=[text]) for text in texts]
    plan = {"policy_hosts": {}, "domains": entries, "orphans": texts, "troubles": texts}
    same = {text: text for text in texts}
    return make_report(Run(plan, troubles=same, probe_troubles=same, reported=hostile_reports()), NOW, NOW)


def many(number: int) -> Document:
    """A verification of very many domains, of which every seventh has something and every hundredth is broken.

    Two senders reported of each for a week.
    """
    soon = finding("mx-certificate-expiring", "mx2.example.net:25 at 192.0.2.26", "certificate: expires in 9 days")
    domains, told = [], {}
    for n in range(number):
        name = f"d{n}.example"
        found = [soon] if n % 7 == 0 else []
        if n % 100 == 0:
            found.append(finding("policy-differs", f"https://mta-sts.{name} at 192.0.2.1", "another policy"))
        domains.append(seen_domain(name, "enforce" if n % 100 else "broken", *found, days=1 + n % 89))
        well: dict[str, tuple[int, int]] = {"Google Inc.": (n, 0), "Microsoft Corporation": (2 * n, int(n % 50 == 0))}
        failed = [("certificate-expired", "mx2.example.net", "Microsoft Corporation", 1)] if n % 50 == 0 else []
        told.update(reports(name, dict.fromkeys(range(8), (well, failed))))
    lines = read_time_lines({"inbox": told.items()}, set(told), {})
    return verified(domains, {"mx2.example.net": mx_host("mx2.example.net", 9)}, 19, lines)


def held_by_everything() -> Document:
    """A rollout with every hold that there is."""
    entries = [planned(f"{code}.example", "testing", (code, "why", None)) for code in HOLD_KINDS]
    plan = {"policy_hosts": {"web1": []}, "domains": entries, "orphans": [], "troubles": []}
    return make_report(Run(plan), NOW, NOW)
