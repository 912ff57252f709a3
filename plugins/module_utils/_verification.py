# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a verification found: as a document, with the sums, and as lines on the screen.

Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from collections import Counter

from ._finding import ERROR, NOTICE, SEVERITIES
from ._screen import FEW, NAMED, count, cut, harmless, policy_text, table
from ._time_line import NOTHING_REPORTED, Reported, failures_line, report_host_lines

SCHEMA = "postmaster.mta_sts/verify/1"

# The best first.
VERDICTS: t.Final = ("enforce", "testing", "none", "absent", "broken")

# From which gravity on a verification is no success; a domain that is broken is graver than a finding.
BROKEN: t.Final = "broken"
NEVER: t.Final = "never"
FAIL_ON: t.Final = (BROKEN, *SEVERITIES, NEVER)

# Whose certificate it is.
POLICY_HOST = "policy"
MX_HOST = "mx"

Document = dict[str, t.Any]


def make_verification(
    seen: t.Sequence[Document],
    started: dt.datetime,
    now: dt.datetime,
    troubles: t.Optional[t.Mapping[str, str]] = None,
    reported: Reported = NOTHING_REPORTED,
) -> Document:
    """The document of a verification, from what each probe host saw, and from what kept others from it."""
    domains = {
        domain: {**one, "reported": reported.time_lines.get(domain, [])}
        for observed in seen
        for domain, one in observed["domains"].items()
    }
    verdicts = Counter(one["verdict"] for one in domains.values())
    codes = Counter(code for one in domains.values() for code in _codes(one))
    return {
        "schema": SCHEMA,
        "at": now.isoformat(timespec="seconds"),
        "seconds": round((now - started).total_seconds()),
        "counts": {verdict: verdicts[verdict] for verdict in VERDICTS if verdicts[verdict]},
        "finding_counts": dict(sorted(codes.items())),
        "failed_hosts": dict(troubles or {}),
        "failed_report_hosts": dict(reported.troubles),
        "domains": dict(sorted(domains.items())) if len(seen) > 1 else domains,
        # Hosts that look at the same MX host see the same of it.
        "mx_hosts": {host: one for observed in seen for host, one in observed["mx_hosts"].items()},
    }


def verify_failure(document: Document, fail_on: str) -> str:
    """Why a verification is no success; nothing if it is one."""
    parts = []
    if document["failed_hosts"]:
        parts.append(f"hosts that did not look at their share of the domains: {', '.join(document['failed_hosts'])}")
    if document["failed_report_hosts"]:
        parts.append(f"report hosts that failed: {', '.join(document['failed_report_hosts'])}")
    failing = [name for name, seen in document["domains"].items() if _fails(seen, fail_on)]
    if failing:
        what = BROKEN if fail_on == BROKEN else f"with a finding of severity {fail_on} or worse"
        named = f"{', '.join(failing[:NAMED])}{', ...' if len(failing) > NAMED else ''}"
        parts.append(f"{len(failing)} of {len(document['domains'])} domains {what}: {named}")
    return "; ".join(parts)


def _fails(seen: Document, fail_on: str) -> bool:
    if fail_on in (BROKEN, NEVER):
        return fail_on == BROKEN and bool(seen["verdict"] == BROKEN)
    worst = worst_severity(seen["findings"])
    return seen["verdict"] == BROKEN or (bool(worst) and SEVERITIES.index(worst) <= SEVERITIES.index(fail_on))


def worst_severity(findings: t.Sequence[Document]) -> str:
    """The gravest severity among findings as documents have them; empty when there are none."""
    present = {finding["severity"] for finding in findings}
    return next((severity for severity in SEVERITIES if severity in present), "")


def seen_certificates(document: t.Mapping[str, t.Any]) -> list[tuple[str, Document]]:
    """Every certificate that a document has, with whose it is; the one that ends first comes first."""
    found = [(POLICY_HOST, one) for seen in document["domains"].values() for one in seen.get("certificates", ())]
    found += [(MX_HOST, one) for seen in document.get("mx_hosts", {}).values() for one in seen.get("certificates", ())]
    return sorted(found, key=lambda pair: (dt.datetime.fromisoformat(pair[1]["not_after"]), pair[1]["subject"]))


def _codes(seen: Document) -> set[str]:
    return {finding["code"] for finding in seen["findings"]}


# --- the summary of a verification ------------------------------------------------------------------------


def verify_lines(document: Document, path: str) -> list[str]:
    """What senders see of each domain, with what is wrong and what to do about it."""
    domains: dict[str, Document] = document["domains"]
    lines = [f"postmaster.mta_sts verify: {count(len(domains), 'domain')}, {document['seconds']} s"]
    troubles = [f"  probe host {host}: {text}" for host, text in document["failed_hosts"].items()]
    lines += cut(troubles, "probe hosts that failed")
    lines += report_host_lines(document)
    shown = [
        (name, seen)
        for name, seen in domains.items()
        if len(domains) <= FEW or any(finding["severity"] == ERROR for finding in seen["findings"])
    ]
    rows, notes = [], []
    for name, seen in shown[:FEW]:
        policy = seen["policy"]
        text = policy_text(policy) if policy else "no policy"
        identifier = f"id {seen['record_id'][:8]}" if seen["record_id"] else "no id"
        rows.append([name, seen["verdict"], text, identifier, "" if seen["findings"] else "ok"])
        findings = sorted(seen["findings"], key=lambda finding: SEVERITIES.index(finding["severity"]))
        found = [line for finding in findings for line in _finding_lines(finding)]
        notes.append(found + failures_line(seen["reported"]))
    lines += table(rows, notes)
    if len(shown) > FEW:
        lines.append(f"  ... and {len(shown) - FEW} more")
    counts = Counter(seen["verdict"] for seen in domains.values())
    summary = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items())) or "nothing seen"
    return harmless([*lines, f"{summary}. Report: {path}"])


def _finding_lines(finding: Document) -> list[str]:
    line = f"{finding['severity']}: {finding['subject']}: {finding['seen']} ({finding['reference']})"
    return [line] if finding["severity"] == NOTICE else [line, f"    {finding['remedy']}"]
