# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run did and found, as a document, and as lines that a tired person understands at a glance.

Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import textwrap
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ._finding import NOTICE
from ._hold import ANNOUNCE, HOLD_KINDS, NOTHING
from ._screen import FEW, NAMED, WRAP, count, cut, harmless, policy_text, table
from ._time_line import NOTHING_REPORTED, Reported, failures_line, report_host_lines

SCHEMA = "postmaster.mta_sts/report/1"

# Of the domains that are held for one reason, so many are named.
EXAMPLES = 3

# What became of the record in DNS in a run.
ANNOUNCED = "announced"
IN_PLACE = "in place"
TO_COME = "to come"
REMOVED = "removed"
GONE = "gone"
TO_GO = "to go"

HOLD_OF_STATUS: t.Final = {"failed": "record-failed", "awaited": "record-awaited"}

# With these holds, senders refuse MX hosts, and mail where there is no other, as long as nobody mends it.
AT_RISK = frozenset({"mx-failing", "mx-early"})

Document = dict[str, t.Any]


@dataclass(frozen=True)
class Run:
    """The documents of one run; those of plays that it did not come to are none."""

    plan: Document
    observed: t.Optional[Document] = None
    record_sets: t.Sequence[Document] = ()
    check_mode: bool = False
    # Policy host -> why it does not serve what was planned.
    troubles: t.Mapping[str, str] = field(default_factory=dict)
    # Probe host -> why it did not look at its share of the domains, or prove it.
    probe_troubles: t.Mapping[str, str] = field(default_factory=dict)
    # Why no record at all could be written, so that the run ended before it served anything.
    dns_trouble: str = ""
    reported: Reported = NOTHING_REPORTED


# --- the document -----------------------------------------------------------------------------------------


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
        "dns_trouble": run.dns_trouble,
        "failed_hosts": dict(run.troubles),
        "failed_probes": dict(run.probe_troubles),
        "failed_report_hosts": dict(run.reported.troubles),
        "troubles": run.plan["troubles"],
        "domains": domains,
        "orphans": run.plan["orphans"],
        "counts": dict(Counter(domain["stage"] for domain in domains)),
        "hold_counts": dict(Counter(code for domain in domains for code in _codes(domain))),
    }


def needing_somebody(report: Document) -> dict[str, str]:
    """The domains that do not go on by waiting alone, each with the code of the first hold that says so."""
    needing = {}
    for domain in report["domains"]:
        code = next((hold["code"] for hold in domain["holds"] if _needs_somebody(hold)), None)
        if code is not None:
            needing[domain["domain"]] = code
    return needing


def _needs_somebody(hold: Document) -> bool:
    kind = HOLD_KINDS[hold["code"]]
    return not kind.waits and kind.effect != NOTHING


def _codes(domain: Document) -> list[str]:
    return list(dict.fromkeys(hold["code"] for hold in domain["holds"]))


def _dns_results(record_sets: t.Sequence[Document]) -> dict[str, list[Document]]:
    by_domain: dict[str, list[Document]] = {}
    for document in record_sets:
        for result in document["results"]:
            by_domain.setdefault(result["item"], []).append(result)
    return by_domain


def _domain(entry: Document, dns: t.Sequence[Document], run: Run) -> Document:
    of_records = [_hold_of(result) for result in dns if result["status"] in HOLD_OF_STATUS]
    announcement = _announcement(entry, dns, run)
    return {
        "domain": entry["domain"],
        "stage": "pending"
        if any(HOLD_KINDS[hold["code"]].effect == ANNOUNCE for hold in of_records)
        else entry["stage"],
        "mode": entry["mode"],
        "mx": entry["mx"],
        "max_age": entry["max_age"],
        "id": entry["id"],
        "record": entry["record"],
        "record_id": _record_id(entry, announcement, run),
        "announcement": announcement,
        "removed": entry["remove"] and not (run.check_mode or run.troubles or run.dns_trouble),
        "holds": [_hold(hold) for hold in (*entry["holds"], *of_records)],
        "findings": _evidence(entry["domain"], run),
        "reported": run.reported.time_lines.get(entry["domain"], []),
    }


def _hold_of(result: Document) -> Document:
    """Of a record set that is not in DNS as it shall be."""
    code = HOLD_OF_STATUS[result["status"]]
    if code == "record-awaited" and result["name"].startswith("_smtp._tls."):
        code = "tlsrpt-awaited"
    return {"code": code, "message": f"{result['name']} {result['type']}: {result['error']}", "until": None}


def _hold(hold: Document) -> Document:
    kind = HOLD_KINDS[hold["code"]]
    return {**hold, "waits": kind.waits, "remedy": kind.remedy}


def _announcement(entry: Document, dns: t.Sequence[Document], run: Run) -> str:
    """What became of the record in DNS; nothing for one that was left as it is."""
    done, planned, there = {
        "announce": (ANNOUNCED, TO_COME, IN_PLACE),
        "remove": (REMOVED, TO_GO, GONE),
    }.get(entry["record"], ("", "", ""))
    for result in dns:
        if result["name"].rstrip(".") == entry["record_name"] and result["type"] == "TXT":
            if result["status"] == "changed" and _values(result["before"]) != _values(result["after"]):
                return planned if run.check_mode else done
            if result["status"] == "ok" and entry["record"] == "announce" and _seen_otherwise(entry, run):
                # Somebody has brought it there in this run.
                return done
            # Another TTL is no other announcement.
            return there if result["status"] in ("ok", "changed") else ""
    # What was seen in place is not asked for again.
    return there if entry["record"] == "announce" and _seen_id(entry, run) == entry["id"] else ""


def _seen_otherwise(entry: Document, run: Run) -> bool:
    """Whether DNS had another id before the run, or none."""
    return (
        run.observed is not None
        and "record_id" in run.observed["domains"].get(entry["domain"], {})
        and (_seen_id(entry, run) != entry["id"])
    )


def _seen_id(entry: Document, run: Run) -> t.Optional[str]:
    """The id that DNS had before the run."""
    found: dict[str, t.Optional[str]] = {} if run.observed is None else run.observed["domains"].get(entry["domain"], {})
    return found.get("record_id")


def _values(record_set: t.Optional[Document]) -> list[str]:
    return sorted(record_set["values"]) if record_set else []


def _record_id(entry: Document, announcement: str, run: Run) -> t.Optional[str]:
    """The id that DNS has after the run."""
    if announcement in (ANNOUNCED, IN_PLACE):
        identifier: t.Optional[str] = entry["id"]
    elif announcement in (REMOVED, GONE):
        identifier = None
    else:
        identifier = _seen_id(entry, run)
    return identifier


def _evidence(domain: str, run: Run) -> list[Document]:
    """What is wrong with the MX hosts. The rest of what was observed is what this run itself brings about."""
    if run.observed is None:
        return []
    findings = run.observed["domains"].get(domain, {}).get("findings", [])
    told = (finding for finding in findings if finding["code"].startswith(("mx-", "dane-")))
    return [finding for finding in told if finding["severity"] != NOTICE]


def rollout_failure(report: Document) -> str:
    """Why the run is no success: what does not end by waiting; nothing if there is no such thing."""
    needing = needing_somebody(report)
    parts = []
    if report["dns_trouble"]:
        parts.append("no record could be written")
    if report["failed_hosts"]:
        parts.append(f"policy hosts that failed: {', '.join(report['failed_hosts'])}")
    if report["failed_probes"]:
        parts.append(f"probe hosts that failed: {', '.join(report['failed_probes'])}")
    if report["failed_report_hosts"]:
        parts.append(f"report hosts that failed: {', '.join(report['failed_report_hosts'])}")
    if needing:
        named = ", ".join(f"{domain} ({code})" for domain, code in list(needing.items())[:NAMED])
        more = ", ..." if len(needing) > NAMED else ""
        verb = "needs" if len(needing) == 1 else "need"
        parts.append(f"{len(needing)} of {len(report['domains'])} domains {verb} somebody: {named}{more}")
    return "; ".join(parts)


# --- the summary of a rollout -----------------------------------------------------------------------------


def rollout_lines(report: Document, path: str) -> list[str]:
    """The summary of a rollout: a line for each of a few domains; many are counted, by reason."""
    domains, hosts = report["domains"], report["policy_hosts"]
    mode = " (check mode, nothing was changed)" if report["check_mode"] else ""
    lines = [
        f"postmaster.mta_sts rollout: {count(len(domains), 'domain')}, {count(len(hosts), 'policy host')}, "
        f"{report['seconds']} s{mode}"
    ]
    if report["dns_trouble"]:
        lines.append(f"  DNS: {report['dns_trouble']}")
    troubles = [*(f"{host}: {text}" for host, text in report["failed_hosts"].items()), *report["troubles"]]
    lines += cut([f"  policy host {text}" for text in troubles], "troubles of policy hosts")
    blind = [f"  probe host {host}: {text}" for host, text in report["failed_probes"].items()]
    lines += cut(blind, "probe hosts that failed")
    lines += report_host_lines(report)
    if len(domains) <= FEW:
        notes = [_notes(domain) + failures_line(domain["reported"]) for domain in domains]
        lines += table([_row(domain) for domain in domains], notes)
        lines += _what_to_do(report)
    else:
        moved = [domain for domain in domains if domain["announcement"] not in ("", IN_PLACE, GONE)]
        if len(moved) <= NAMED:
            lines += table([_row(domain) for domain in moved], [[] for _domain in moved])
        lines += _reasons(domains)
    lines += _orphans(report["orphans"])
    return harmless([*lines, f"{_totals(report)} Report: {path}"])


def _row(domain: Document) -> list[str]:
    policy = "no policy" if domain["mode"] is None else policy_text(domain)
    return [domain["domain"], domain["stage"], policy, _done(domain), state_of(domain)]


def _done(domain: Document) -> str:
    """What was done with the record in DNS, and with the rest where that goes."""
    announcement = domain["announcement"]
    if domain["stage"] == "withdrawing" and domain["mode"] is None:
        return "withdrawn" if domain["removed"] else "to be withdrawn"
    if announcement in (ANNOUNCED, IN_PLACE, TO_COME):
        return f"{announcement} {domain['id'][:8]}"
    if announcement:
        return f"record {announcement}"
    if domain["record_id"]:
        return f"keeps {domain['record_id'][:8]}"
    return "" if domain["stage"] == "absent" else "not announced"


def state_of(domain: Document) -> str:
    """A word or two for the end of the line."""
    if AT_RISK.intersection(_codes(domain)):
        return "MAIL AT RISK"
    if any(_needs_somebody(hold) for hold in domain["holds"]):
        return "held"
    if any(hold["waits"] for hold in domain["holds"]):
        return "waits"
    return "ok, but" if _notes(domain) else "ok"


def _notes(domain: Document) -> list[str]:
    """Why the domain goes no further, and what else is wrong with it."""
    holds = [f"{_until(hold)}{hold['message']} ({hold['code']})" for hold in domain["holds"]]
    said = [hold["message"] for hold in domain["holds"]]
    findings = [f"{finding['subject']}: {finding['seen']}" for finding in domain["findings"]]
    return holds + [f"{text} (MX finding)" for text in findings if text not in said]


def _until(hold: Document) -> str:
    return f"until {_moment(hold['until'])}: " if hold["until"] else ""


def _moment(text: str) -> str:
    """A time for people, to the minute and never too early."""
    time = dt.datetime.fromisoformat(text).astimezone(dt.timezone.utc) + dt.timedelta(seconds=59)
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _what_to_do(report: Document) -> list[str]:
    """Each remedy once, whoever shares it. What ends by itself needs none."""
    lines = [
        f"  {code}: {kind.remedy}"
        for code, kind in HOLD_KINDS.items()
        if code in report["hold_counts"] and not kind.waits
    ]
    return ["What to do:", *lines] if lines else []


def _reasons(domains: t.Sequence[Document]) -> list[str]:
    """How many domains are held for what reason, with examples. What needs somebody comes first."""
    by_code: dict[str, list[tuple[str, Document]]] = {}
    for domain in domains:
        for hold in domain["holds"]:
            by_code.setdefault(hold["code"], []).append((domain["domain"], hold))

    def urgency(code: str) -> tuple[bool, bool, bool]:
        return code not in AT_RISK, HOLD_KINDS[code].waits, HOLD_KINDS[code].effect == NOTHING

    order = sorted(by_code, key=urgency)
    lines = [line for code in order for line in _reason(code, by_code[code])]
    well = sum(not domain["holds"] for domain in domains)
    return [*lines, f"  {count(well, 'domain')} without a hold"] if well else lines


def _reason(code: str, held: t.Sequence[tuple[str, Document]]) -> list[str]:
    kind = HOLD_KINDS[code]
    word = "waiting" if kind.waits else "told" if kind.effect == NOTHING else "held"
    number = len({name for name, _hold in held})
    lines = [f"  {count(number, 'domain')} {word}, {code}: {kind.cause}"]
    by_message: dict[str, list[str]] = {}
    for name, hold in held:
        by_message.setdefault(hold["message"], []).append(name)
    for message, names in list(by_message.items())[:EXAMPLES]:
        lines.append(f"      {_named(list(dict.fromkeys(names)))}: {message}")
    if len(by_message) > EXAMPLES:
        lines.append(f"      ... and {len(by_message) - EXAMPLES} more like these")
    times = sorted({_moment(hold["until"]) for _name, hold in held if hold["until"]})
    if times:
        lines.append(f"      until {times[0]}" + (f" for the first, {times[-1]} for the last" if times[1:] else ""))
    if not kind.waits:
        lines.append(f"      what to do: {kind.remedy}")
    return lines


def _named(names: t.Sequence[str]) -> str:
    more = f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more


def _orphans(orphans: t.Sequence[str]) -> list[str]:
    if not orphans:
        return []
    more = f" and {len(orphans) - NAMED} more" if len(orphans) > NAMED else ""
    text = f"{count(len(orphans), 'orphan')}: {', '.join(orphans[:NAMED])}{more}"
    lines = textwrap.wrap(text, WRAP, break_long_words=False, break_on_hyphens=False, subsequent_indent="      ")
    them = "it" if len(orphans) == 1 else "them"
    return [
        *(f"  {line}" for line in lines),
        f"      served on, though the inventory does not name {them}; 'state: absent' withdraws {them}",
    ]


def _totals(report: Document) -> str:
    domains = report["domains"]
    done = Counter(domain["announcement"] for domain in domains)
    waiting = sum(state_of(domain) == "waits" for domain in domains)
    numbers = {
        **{text: done[text] for text in (TO_COME, TO_GO, REMOVED) if done[text]},
        ANNOUNCED: done[ANNOUNCED],
        IN_PLACE: done[IN_PLACE],
        "waiting": waiting,
        "held": len(needing_somebody(report)),
        "withdrawing": report["counts"].get("withdrawing", 0),
        "pending": report["counts"].get("pending", 0),
    }
    return ", ".join(f"{number} {text}" for text, number in numbers.items()) + "."
