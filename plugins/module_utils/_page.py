# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A report as one HTML file that needs nothing else and loads nothing.

What is told in numbers is in the HTML itself; rows, details and the time lines are made by the page's script from the
data, which stand in the file once, as JSON. Nothing in them is trusted: it is escaped in HTML and in JSON, the script
only ever makes texts of it, and the page's policy forbids everything but this very style and script.
Pure, and private to this collection.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import typing as t
from dataclasses import dataclass
from html import escape

from ._finding import printable
from ._page_data import BAD, GOOD, NOTE, WAIT, WARN, make_page_data

# Without the script, so many domains are listed, and so many things of one kind are named in any case.
LISTED = 200
NAMED = 100
CODES = 8

Document = dict[str, t.Any]


@dataclass(frozen=True)
class Assets:
    """The page's own files."""

    page: str
    style: str
    script: str


def make_page(document: Document, assets: Assets, observed: t.Optional[Document] = None) -> str:
    """The page of a verify document or of a rollout's report, and of what was observed in that rollout."""
    data = make_page_data(document, observed)
    rollout = data["kind"] == "rollout"
    title, tone = _headline(data, len(_failed_hosts(document)))
    parts = {
        "policy": _content_security_policy(assets),
        "style": assets.style,
        "script": assets.script,
        "kind": "MTA-STS rollout" if rollout else "MTA-STS verification",
        "title": escape(title),
        "tone": tone,
        "facts": _facts(document, rollout),
        "troubles": _troubles(document),
        "states": _states(data),
        "first": _code_list("Holds", "hold", data) if rollout else _code_list("Findings", "finding", data),
        "second": _code_list("Findings", "finding", data) if rollout else "",
        "when": " as the run began" if rollout else "",
        "orphans": _orphans(document["orphans"]) if rollout else "",
        "plain": _plain_table(data),
        "data": embedded(data),
    }
    # In one pass, so that nothing in a part is taken for a place of another.
    return re.sub(r"@@(\w+)@@", lambda match: parts[match[1]], assets.page)


def embedded(data: t.Any) -> str:
    """JSON that cannot end the element it stands in, nor a line of a script: ASCII, without C(<), C(>) and C(&)."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _content_security_policy(assets: Assets) -> str:
    return (
        f"default-src 'none'; script-src {_hash(assets.script)}; style-src {_hash(assets.style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


# --- what stands at the top -------------------------------------------------------------------------------


def _headline(data: Document, failed: int) -> tuple[str, str]:
    """The one thing to know, and how it looks."""
    levels = {level: number for level, _tone, number in data["levels"]}
    states = {state: number for state, _tone, number in data["states"]}
    total = _count(sum(states.values()), "domain")

    def some(number: int, one: str, many: str) -> str:
        return f"{number:,} of {total} {one if number == 1 else many}"

    if "MAIL AT RISK" in levels:
        title = f"Mail is at risk for {levels['MAIL AT RISK']:,} of {total}", BAD
    elif "held" in levels:
        title = some(levels["held"], "needs somebody", "need somebody"), WARN
    elif failed:
        title = f"{_count(failed, 'host')} failed", WARN
    elif "waits" in levels:
        title = f"All is well, and {some(levels['waits'], 'waits', 'wait')}", WAIT
    elif "broken" in states:
        title = some(states["broken"], "is broken", "are broken"), BAD
    elif "error" in levels:
        title = f"None is broken, but {some(levels['error'], 'has errors', 'have errors')}", WARN
    elif "warning" in levels:
        title = f"There are no errors, but {some(levels['warning'], 'has warnings', 'have warnings')}", NOTE
    else:
        title = f"All is well with {total}", GOOD
    return title


def _facts(document: Document, rollout: bool) -> str:
    at = str(document["at"])
    facts = [
        f'<time datetime="{escape(at)}">{escape(at[:16].replace("T", " "))} UTC</time>',
        f"{document['seconds']} s",
        _count(len(document["domains"]), "domain"),
    ]
    if rollout:
        facts.append(_count(len(document["policy_hosts"]), "policy host"))
        if document["check_mode"]:
            facts.append("<strong>check mode: nothing was changed</strong>")
    elif document.get("mx_hosts"):
        facts.append(_count(len(document["mx_hosts"]), "MX host"))
    return "".join(f"<li>{fact}</li>" for fact in facts)


def _troubles(report: Document) -> str:
    """What is wrong with whole policy hosts, or with hosts that were to look."""
    failed = [f"<strong>{_text(host)}</strong> failed: {_text(why)}" for host, why in _failed_hosts(report)]
    rows = [
        *(f'<li class="bad">{row}</li>' for row in failed),
        *(f"<li>{_text(one)}</li>" for one in report.get("troubles", ())),
    ]
    if not rows:
        return ""
    more = f"<li>and {len(rows) - NAMED} more</li>" if len(rows) > NAMED else ""
    return (
        '<section class="troubles" aria-labelledby="troubles"><h2 id="troubles">Hosts in trouble</h2>'
        f"<ul>{''.join(rows[:NAMED])}{more}</ul></section>"
    )


def _failed_hosts(document: Document) -> list[tuple[str, str]]:
    """All hosts that failed, whatever they were there for, each with the reason; the way into DNS counts as one."""
    kinds = ("failed_hosts", "failed_probes", "failed_report_hosts")
    dns = [("DNS", document["dns_trouble"])] if document.get("dns_trouble") else []
    return [*dns, *(failed for kind in kinds for failed in document.get(kind, {}).items())]


def _orphans(orphans: t.Sequence[str]) -> str:
    if not orphans:
        return ""
    more = f"<li>and {len(orphans) - NAMED} more</li>" if len(orphans) > NAMED else ""
    names = "".join(f"<li>{_text(name)}</li>" for name in orphans[:NAMED])
    return (
        f'<section class="orphans" aria-labelledby="orphans"><h2 id="orphans">{_count(len(orphans), "orphan")}</h2>'
        "<p>Served on, because senders may hold their policies, though the inventory does not name them. "
        f"<code>state: absent</code> withdraws them in order.</p><ul>{names}{more}</ul></section>"
    )


# --- the overview -----------------------------------------------------------------------------------------


def _states(data: Document) -> str:
    states, word = data["states"], "stage" if data["kind"] == "rollout" else "verdict"
    choices = "".join(_choice("state", *row) for row in states)
    return f'<div class="panel states"><h3>Domains, by {word}</h3>{_bar(states)}<ul>{choices}</ul></div>'


def _bar(states: t.Sequence[t.Sequence[t.Any]]) -> str:
    """The domains as one bar, in which everything that occurs can be seen."""
    total = sum(number for _state, _tone, number in states)
    widths = [max(number * 1000 / total, 8) for _state, _tone, number in states]
    rects, left = [], 0.0
    for (_state, tone, _number), width in zip(states, widths):
        part = width * 1000 / sum(widths)
        rects.append(f'<rect class="{tone}" x="{left:.1f}" width="{max(part - 3, 3):.1f}" height="10" rx="2"/>')
        left += part
    attributes = 'class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true"'
    return f"<svg {attributes}>{''.join(rects)}</svg>"


def _choice(kind: str, value: str, tone: str, number: int) -> str:
    """A number that chooses the domains it counts, where there is a script."""
    word = f'<span class="word"><i class="dot {tone}"></i>{escape(value)}</span>'
    return f'<li>{_button(kind, value)}<span class="number">{number:,}</span> {word}</button></li>'


def _button(kind: str, value: str) -> str:
    return f'<button type="button" disabled data-choose="{kind}" data-value="{escape(value)}" aria-pressed="false">'


def _code_list(title: str, group: str, data: Document) -> str:
    rows = [(code, known) for code, known in data["codes"].items() if known["group"] == group]
    if not rows:
        return ""
    items = [_code(code, known) for code, known in rows]
    more = ""
    if len(items) > CODES:
        rest = "".join(items[CODES:])
        more = f"<details><summary>{len(items) - CODES} more</summary><ul>{rest}</ul></details>"
    return f'<div class="panel codes"><h3>{title}</h3><ul>{"".join(items[:CODES])}</ul>{more}</div>'


def _code(code: str, known: Document) -> str:
    title = f'<span class="title">{escape(known["title"])}</span>'
    what = f'<span class="what">{title} <span class="code">{escape(code)}, {escape(known["word"])}</span></span>'
    number = f'<span class="number">{known["count"]:,}</span>'
    return f'<li>{_button("code", code)}<i class="dot {known["tone"]}"></i>{what} {number}</button></li>'


# --- without the script -----------------------------------------------------------------------------------


def _plain_table(data: Document) -> str:
    """The domains for a browser that runs no script, the worst first."""
    levels, states = ([value for value, _tone, _number in data[key]] for key in ("levels", "states"))
    domains = sorted(data["domains"], key=lambda domain: (levels.index(domain[2]), -states.index(domain[1])))
    rows = [
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(state)}</td><td>{escape(policy)}</td>"
        f"<td>{escape('; '.join(_lines(holds, findings, data)))}</td></tr>"
        for name, state, _level, policy, holds, findings, *_more in domains[:LISTED]
    ]
    more = f"<p>and {_count(len(domains) - LISTED, 'more domain')}</p>" if len(domains) > LISTED else ""
    head = "".join(f"<th scope='col'>{word}</th>" for word in ("Domain", "State", "Policy", "What is wrong"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"


def _lines(holds: t.Sequence[t.Any], findings: t.Sequence[int], data: Document) -> list[str]:
    found = [data["findings"][number] for number in findings]
    return [*(f"{message} ({code})" for code, message, _until in holds), *(f"{one[1]}: {one[2]}" for one in found)]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _text(text: str) -> str:
    return escape(printable(str(text), 1000))
