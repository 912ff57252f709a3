# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the page shows, in one shape for the report of a rollout and the document of a verification.

Each text stands in it once: codes with what they mean, findings that domains share, certificates with all who present
them. All texts are made printable. Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ._finding import SEVERITIES, printable
from ._hold import HOLD_KINDS, NOTHING
from ._report import AT_RISK, state_of
from ._report import SCHEMA as REPORT_SCHEMA
from ._screen import policy_text
from ._verification import VERDICTS, seen_certificates, worst_severity

TEXT_LIMIT = 2000

# How a thing looks: the page has a colour and a sign for each.
BAD, WARN, WAIT, NOTE, GOOD, PLAIN = "bad", "warn", "wait", "note", "good", "plain"

VERDICT_TONES: t.Final = dict(zip(VERDICTS, (GOOD, NOTE, PLAIN, PLAIN, BAD)))
STAGE_TONES: t.Final = {
    "enforcing": GOOD, "testing": NOTE, "none": PLAIN, "withdrawing": WAIT, "absent": PLAIN, "pending": WARN
}  # fmt: skip
# The worst first: of a verification, its label and look; and of a rollout, in the words of its summary.
SEVERITY_LEVELS: t.Final = {"error": BAD, "warning": WARN, "notice": NOTE, "ok": GOOD}
ROLLOUT_LEVELS: t.Final = {"MAIL AT RISK": BAD, "held": WARN, "waits": WAIT, "ok, but": NOTE, "ok": GOOD}

VERIFY_FACTS = (
    "Record in DNS", "Other TXT records there", "Policy id", "MX patterns of the policy", "MX hosts in DNS",
    "Addresses of the policy host", "TLS reports go to", "DNSSEC",
)  # fmt: skip
ROLLOUT_FACTS = ("Policy id", "Id in DNS", "Record in DNS", "MX patterns of the policy")
NOT_KNOWN = "DNS did not answer"

Document = dict[str, t.Any]


@dataclass
class _Builder:
    """The parts that domains share, as they are met."""

    # The day of the run, in UTC.
    today: dt.date
    codes: dict[str, Document] = field(default_factory=dict)
    findings: dict[tuple[str, ...], int] = field(default_factory=dict)
    # Reporters, result types and MX hosts of reports.
    words: dict[str, int] = field(default_factory=dict)

    def finding(self, finding: Document) -> int:
        """The number of a finding, which stands in the table of findings once however many domains have it."""
        code, severity = finding["code"], finding["severity"]
        if code not in self.codes:
            texts = {key: _sentence(finding[key]) for key in ("title", "remedy", "reference")}
            look = {"tone": SEVERITY_LEVELS[severity], "word": severity, "rank": SEVERITIES.index(severity)}
            self.codes[code] = {"group": "finding", **texts, **look}
        key = (code, _clean(finding["subject"]), _clean(finding["seen"]))
        return self.findings.setdefault(key, len(self.findings))

    def hold(self, hold: Document) -> list[t.Optional[str]]:
        code = hold["code"]
        if code not in self.codes:
            kind = HOLD_KINDS[code]
            texts = {"title": _sentence(kind.cause), "remedy": _sentence(hold["remedy"]), "reference": ""}
            told = kind.effect == NOTHING
            level = "MAIL AT RISK" if code in AT_RISK else "waits" if kind.waits else "ok, but" if told else "held"
            # Holds come before findings.
            rank = list(ROLLOUT_LEVELS).index(level) - len(ROLLOUT_LEVELS)
            look = {"tone": ROLLOUT_LEVELS[level], "word": "told" if told else level, "rank": rank}
            self.codes[code] = {"group": "hold", **texts, **look}
        return [code, _clean(hold["message"]), hold["until"]]

    def time_line(self, days: t.Sequence[Document]) -> list[t.Any]:
        """What senders reported of each day, as short as it can be, since very many domains have one.

        How many days ago; by reporter its number, and how many sessions succeeded and failed; then, if anything did,
        what failed, where, who says so, and how often; and in the end, if not all of it is told, how much is not, and
        the sums.
        """
        return [self._day(day) for day in days]

    def _day(self, day: Document) -> list[t.Any]:
        reporters = [
            part
            for name, told in day["reporters"].items()
            for part in (self._word(name), told["succeeded"], told["failed"])
        ]
        failures = [
            part
            for one in day["failures"]
            for part in (*(self._word(one[key]) for key in ("result_type", "mx_host", "reporter")), one["sessions"])
        ]
        ago = (self.today - dt.date.fromisoformat(day["day"])).days
        rest = [day["left_out"], day["succeeded"], day["failed"]] if day["left_out"] else []
        return [ago, reporters, failures, *rest] if failures or rest else [ago, reporters]

    def _word(self, text: str) -> int:
        return self.words.setdefault(_clean(text), len(self.words))


def make_page_data(document: Document, observed: t.Optional[Document] = None) -> Document:
    """All that the page shows. The certificates of a rollout are those that it observed."""
    builder = _Builder(dt.date.fromisoformat(document["at"][:10]))
    rollout = document.get("schema") == REPORT_SCHEMA
    if rollout:
        domains = [_rollout_domain(domain, builder) for domain in document["domains"]]
        tones, levels = STAGE_TONES, ROLLOUT_LEVELS
    else:
        domains = [_verified_domain(name, seen, builder) for name, seen in document["domains"].items()]
        tones, levels = VERDICT_TONES, SEVERITY_LEVELS
    return {
        "kind": "rollout" if rollout else "verify",
        "at": document["at"],
        "seconds": document["seconds"],
        "facts": ROLLOUT_FACTS if rollout else VERIFY_FACTS,
        "states": _sums(tones, [domain[1] for domain in domains]),
        "levels": _sums(levels, [domain[2] for domain in domains]),
        "codes": _codes(builder, domains),
        "findings": list(builder.findings),
        "words": list(builder.words),
        "domains": domains,
        "certificates": _certificates(observed if rollout else document),
    }


def _sums(tones: t.Mapping[str, str], values: t.Sequence[str]) -> list[list[t.Any]]:
    numbers = Counter(values)
    return [[value, tone, numbers[value]] for value, tone in tones.items() if numbers[value]]


def _codes(builder: _Builder, domains: t.Sequence[list[t.Any]]) -> Document:
    """Every code that occurs, the gravest first, with the number of domains that have it."""
    findings = [key[0] for key in builder.findings]
    numbers = Counter(
        code for domain in domains for code in {*(hold[0] for hold in domain[4]), *(findings[n] for n in domain[5])}
    )
    order = sorted(builder.codes, key=lambda code: (builder.codes[code]["rank"], -numbers[code], code))
    return {code: {**builder.codes[code], "count": numbers[code]} for code in order}


# --- one domain: name, state, level, policy, holds, findings, facts, time line ----------------------------


def _rollout_domain(domain: Document, builder: _Builder) -> list[t.Any]:
    # A code is a hold's or a finding's; what both say, the hold says.
    holds = [builder.hold(hold) for hold in domain["holds"]]
    said = {hold["message"] for hold in domain["holds"]}
    findings = [one for one in domain["findings"] if f"{one['subject']}: {one['seen']}" not in said]
    facts = [domain["id"], domain["record_id"], domain["announcement"] or None, domain["mx"]]
    policy = "no policy" if domain["mode"] is None else policy_text(domain)
    first = [_clean(domain["domain"]), domain["stage"], state_of(domain), policy]
    told = builder.time_line(domain["reported"])
    return [*first, _by_urgency(holds, builder), _numbers(findings, builder), _facts(facts), told]


def _verified_domain(name: str, seen: Document, builder: _Builder) -> list[t.Any]:
    policy = seen["policy"]
    facts = [
        _known(seen["records"]),
        _known(seen["foreign_records"]),
        policy and policy["id"],
        policy and policy["mx"],
        _known(seen["mx"]),
        _known(seen["addresses"]),
        seen["tlsrpt"],
        _dnssec(seen.get("dnssec") or {}),
    ]
    text = policy_text(policy) if policy else "no policy"
    first = [_clean(name), seen["verdict"], worst_severity(seen["findings"]) or "ok", text]
    return [*first, [], _numbers(seen["findings"], builder), _facts(facts), builder.time_line(seen["reported"])]


def _numbers(findings: t.Sequence[Document], builder: _Builder) -> list[int]:
    order = sorted(findings, key=lambda finding: SEVERITIES.index(finding["severity"]))
    return [builder.finding(finding) for finding in order]


def _by_urgency(holds: list[list[t.Optional[str]]], builder: _Builder) -> list[list[t.Optional[str]]]:
    return sorted(holds, key=lambda hold: builder.codes[str(hold[0])]["rank"])


def _known(values: t.Optional[t.Sequence[str]]) -> t.Sequence[str]:
    return [NOT_KNOWN] if values is None else values


def _dnssec(validated: t.Mapping[str, t.Optional[bool]]) -> list[str]:
    words = {True: "validated", False: "not validated"}
    return [f"{name}: {words[known]}" for name, known in validated.items() if known is not None]


def _facts(facts: t.Sequence[t.Any]) -> list[t.Any]:
    """A text, a list of texts, or nothing, for each heading; what is empty at the end is left out."""
    values = [
        [_clean(one) for one in fact] if isinstance(fact, (list, tuple)) else fact and _clean(fact) for fact in facts
    ]
    while values and not values[-1]:
        values.pop()
    return [value or 0 for value in values]


# --- certificates -----------------------------------------------------------------------------------------


def _certificates(observed: t.Optional[Document]) -> list[Document]:
    """Each certificate once, with all who present it; the one that ends first comes first."""
    found: dict[tuple[t.Any, ...], Document] = {}
    for service, one in seen_certificates(observed) if observed else ():
        key = (service, *one["names"], one["issuer"], one["not_before"], one["not_after"])
        names, issuer = [_clean(name) for name in one["names"]], _clean(one["issuer"] or "")
        certificate = {"service": service, "names": names, "issuer": issuer, "subjects": []}
        certificate.update(since=one["not_before"], until=one["not_after"])
        found.setdefault(key, certificate)["subjects"].append(_clean(one["subject"]))
    return list(found.values())


def _sentence(text: str) -> str:
    """A text of ours with a capital, unless it begins with a name."""
    first = text.partition(" ")[0].rstrip(",;:'")
    return _clean(text[:1].upper() + text[1:] if first.isalpha() else text)


def _clean(text: str) -> str:
    return printable(str(text), TEXT_LIMIT)
