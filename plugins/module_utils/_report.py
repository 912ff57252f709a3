# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run did and found, as a document, and as lines that a tired person understands at a glance.

Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from collections import Counter
from dataclasses import dataclass

from ._finding import NOTICE, SEVERITIES, printable

SCHEMA = "postmaster.mta_sts/report/1"

# With more domains than this, those that are well are only counted.
FEW = 40
# Of those that are not, so many are named; the document names all.
NAMED = 20
# So much is said of one of them, in lines of so many characters.
NOTES = 20
LINE_LIMIT = 1000

Document = dict[str, t.Any]


@dataclass(frozen=True)
class Run:
    """The documents of one run; those of plays that it did not come to are none."""

    plan: Document
    observed: t.Optional[Document] = None
    record_sets: t.Sequence[Document] = ()
    check_mode: bool = False


def make_report(run: Run, started: dt.datetime, now: dt.datetime) -> Document:
    """The report of a rollout."""
    dns = _dns_results(run.record_sets)
    domains = [_domain(entry, dns.get(entry["domain"], []), run) for entry in run.plan["domains"]]
    return {
        "schema": SCHEMA,
        "at": now.isoformat(timespec="seconds"),
        "seconds": round((now - started).total_seconds()),
        "check_mode": run.check_mode,
        "policy_hosts": list(run.plan["policy_hosts"]),
        "domains": domains,
        "orphans": run.plan["orphans"],
        "counts": dict(Counter(domain["stage"] for domain in domains)),
    }


def _dns_results(record_sets: t.Sequence[Document]) -> dict[str, list[Document]]:
    by_domain: dict[str, list[Document]] = {}
    for document in record_sets:
        for result in document["results"]:
            by_domain.setdefault(result["item"], []).append(result)
    return by_domain


def _domain(entry: Document, dns: t.Sequence[Document], run: Run) -> Document:
    holds = list(entry["holds"])
    for result in dns:
        if result["status"] == "failed":
            text = f"{result['name']} {result['type']}: {result['error']}"
            holds.append({"code": "record-failed", "message": text, "until": None})
    record_failed = any(hold["code"] == "record-failed" for hold in holds)
    return {
        "domain": entry["domain"],
        "stage": "pending" if record_failed else entry["stage"],
        "mode": entry["mode"],
        "mx": entry["mx"],
        "max_age": entry["max_age"],
        "id": entry["id"],
        "announcement": _announcement(entry, dns, run),
        "holds": holds,
        "findings": _evidence(entry["domain"], run),
    }


def _announcement(entry: Document, dns: t.Sequence[Document], run: Run) -> str:
    """What became of the id in DNS: announced now, in place already, to come, or nothing."""
    for result in dns:
        if result["name"].rstrip(".") == f"_mta-sts.{entry['domain']}" and result["type"] == "TXT":
            if result["status"] == "changed":
                return "to come" if run.check_mode else "announced"
            if result["status"] == "ok":
                return "in place"
    return ""


def _evidence(domain: str, run: Run) -> list[Document]:
    """What is wrong with the MX hosts. The rest of what was observed is what this run itself brings about."""
    if run.observed is None:
        return []
    findings = run.observed["domains"].get(domain, {}).get("findings", [])
    return [finding for finding in findings if finding["code"].startswith("mx-") and finding["severity"] != "notice"]


def rollout_lines(report: Document, path: str) -> list[str]:
    """The summary of a rollout."""
    domains, hosts = report["domains"], report["policy_hosts"]
    mode = " (check mode, nothing was changed)" if report["check_mode"] else ""
    lines = [
        f"postmaster.mta_sts rollout: {_count(len(domains), 'domain')}, {_count(len(hosts), 'policy host')}, "
        f"{report['seconds']} s{mode}"
    ]
    well = [domain for domain in domains if not domain["holds"]]
    held = [domain for domain in domains if domain["holds"]]
    shown = domains if len(domains) <= FEW else held[:NAMED]
    lines += _table([_row(domain) for domain in shown], [_notes(domain) for domain in shown])
    if len(domains) > FEW:
        reasons = Counter(domain["holds"][0]["code"] for domain in held)
        lines += [f"  {_count(number, 'domain')} held: {code}" for code, number in reasons.most_common()]
        if len(held) > len(shown):
            lines.append(f"  ... {len(held) - len(shown)} more that are held are in the report")
        if well:
            lines.append(f"  {_count(len(well), 'domain')} without a hold")
    lines += [
        f"  {domain}: orphan, served on though the inventory does not name it; 'state: absent' withdraws it"
        for domain in report["orphans"][:NAMED]
    ]
    if len(report["orphans"]) > NAMED:
        lines.append(f"  ... and {len(report['orphans']) - NAMED} more orphans")
    announced = sum(domain["announcement"] == "announced" for domain in domains)
    in_place = sum(domain["announcement"] == "in place" for domain in domains)
    to_come = sum(domain["announcement"] == "to come" for domain in domains)
    pending = report["counts"].get("pending", 0)
    parts = [f"{announced} announced", f"{in_place} in place", f"{pending} pending"]
    if to_come:
        parts.insert(0, f"{to_come} to come")
    return _harmless([*lines, f"{', '.join(parts)}. Report: {path}"])


def _row(domain: Document) -> list[str]:
    if domain["mode"] is None:
        return [domain["domain"], domain["stage"], "no policy", ""]
    policy = f"{domain['mode']}, {_duration(domain['max_age'])}, {len(domain['mx'])} mx"
    announcement = f"{domain['announcement']} {domain['id'][:8]}" if domain["announcement"] else "not announced"
    return [domain["domain"], domain["stage"], policy, announcement]


def _notes(domain: Document) -> list[str]:
    notes = [hold["message"] + (f" (until {hold['until']})" if hold["until"] else "") for hold in domain["holds"]]
    notes += [f"MX finding: {finding['subject']}: {finding['seen']}" for finding in domain["findings"]]
    return notes or ["ok"]


def verify_lines(domains: t.Mapping[str, Document]) -> list[str]:
    """What senders see of each domain, with what is wrong and what to do about it."""
    lines = [f"postmaster.mta_sts verify: {_count(len(domains), 'domain')}"]
    shown = [
        (name, seen)
        for name, seen in domains.items()
        if len(domains) <= FEW or any(finding["severity"] == "error" for finding in seen["findings"])
    ]
    rows, notes = [], []
    for name, seen in shown[:FEW]:
        policy = seen["policy"]
        text = f"{policy['mode']}, {_duration(policy['max_age'])}, {len(policy['mx'])} mx" if policy else "no policy"
        identifier = f"id {seen['record_id'][:8]}" if seen["record_id"] else "no id"
        rows.append([name, seen["verdict"], text, identifier])
        findings = sorted(seen["findings"], key=lambda finding: SEVERITIES.index(finding["severity"]))
        notes.append([line for finding in findings for line in _finding_lines(finding)] or ["ok"])
    lines += _table(rows, notes)
    if len(shown) > FEW:
        lines.append(f"  ... and {len(shown) - FEW} more")
    counts = Counter(seen["verdict"] for seen in domains.values())
    summary = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items())) or "nothing seen"
    return _harmless([*lines, summary])


def _harmless(lines: t.Sequence[str]) -> list[str]:
    """Lines without control characters, whatever servers and hosts put into them."""
    return [printable(line, LINE_LIMIT) for line in lines]


def _finding_lines(finding: Document) -> list[str]:
    line = f"{finding['severity']}: {finding['subject']}: {finding['seen']} ({finding['reference']})"
    return [line] if finding["severity"] == NOTICE else [line, f"    {finding['remedy']}"]


def _table(rows: t.Sequence[t.Sequence[str]], notes: t.Sequence[t.Sequence[str]]) -> list[str]:
    """Rows in columns; the first note of a row beside it, the others below."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row, texts in zip(rows, notes):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths))
        single = len(texts) == 1 and len(texts[0]) <= 40
        lines.append(f"  {cells}  {texts[0] if single else ''}".rstrip())
        lines += [] if single else [f"      {text}" for text in texts[:NOTES]]
        if len(texts) > NOTES:
            lines.append(f"      ... {len(texts) - NOTES} more lines are in the report")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _duration(seconds: int) -> str:
    if seconds % 86400 == 0 and seconds:
        return _count(seconds // 86400, "day")
    if seconds % 3600 == 0 and seconds:
        return _count(seconds // 3600, "hour")
    return f"{seconds} s"
