# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What RFC 8461 and RFC 8460 say of what was seen: texts, policies and names are judged here, and not fetched.

Beside what is right or wrong by the RFCs, it is told what some of the known senders stumble over.
Pure, and private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter

from ._finding import ERROR, Finding, printable, worst
from ._names import mx_matches
from ._policy import MAX_PUBLISHED, Policy, PolicyError, parse_policy, policy_fields, policy_id
from ._record import (
    STS_VERSION,
    TLSRPT_VERSION,
    RecordError,
    StsRecord,
    TlsrptRecord,
    is_attempt,
    parse_sts_record,
    record_fields,
    report_target,
    select_tlsrpt_record,
)

# One inner sequence per TXT record, its strings.
Rrset = t.Sequence[t.Sequence[str]]

DAY: t.Final = 86400
WEEK: t.Final = 7 * DAY
# More patterns, hosts or records than this tell nothing more about a domain.
TOLD_LIMIT: t.Final = 32

_POLICY_FIELDS = frozenset({"version", "mode", "mx", "max_age"})
_BLANK_BEFORE_SEMICOLON = re.compile(r"[ \t];")
_OUR_ID = re.compile(r"[0-9a-f]{32}")
_LONE_LF = re.compile(rb"(?<!\r)\n")


class Texts(t.NamedTuple):
    """The texts at a name: those that begin as our records do, and the others, which senders discard."""

    ours: list[str]
    foreign: list[str]


def texts_at(rrset: Rrset, version: str) -> Texts:
    """The TXT records at a name, each in exactly one of the two lists; printable, and not too many."""
    texts = Texts([], [])
    for text in map("".join, rrset):
        (texts.ours if text.startswith(f"{version};") else texts.foreign).append(printable(text))
    return Texts(texts.ours[:TOLD_LIMIT], texts.foreign[:TOLD_LIMIT])


# --- the record at _mta-sts.<domain> ----------------------------------------------------------------------


def check_sts_records(name: str, rrset: Rrset) -> tuple[t.Optional[StsRecord], list[Finding]]:
    """The record that senders accept, and what is wrong with those at its name (RFC 8461 3.1)."""
    candidates, others = _sorted_out(rrset, STS_VERSION)
    attempts = [text for text in others if is_attempt(text, STS_VERSION)]
    foreign = [text for text in others if not is_attempt(text, STS_VERSION)]
    findings = []
    if foreign:
        findings.append(Finding("record-foreign", name, "; ".join(foreign[:TOLD_LIMIT])))
    if len(candidates) > 1:
        seen = f"{len(candidates)} TXT records begin with '{STS_VERSION};', so senders use none of them"
        return None, [*findings, Finding("record-several", name, seen)]
    if not candidates:
        return None, [*findings, _no_candidate(name, len(rrset), attempts)]
    text = "".join(candidates[0])
    try:
        record = parse_sts_record(text)
    except RecordError as error:
        return None, [*findings, Finding("record-unusable", name, f"{error}, in: {text}")]
    return record, [*findings, *_oddities_of_record(name, candidates[0])]


def _sorted_out(rrset: Rrset, version: str) -> tuple[list[t.Sequence[str]], list[str]]:
    """The records that begin as ours do, and the texts of the others."""
    candidates: list[t.Sequence[str]] = []
    others = []
    for strings in rrset:
        text = "".join(strings)
        if text.startswith(f"{version};"):
            candidates.append(strings)
        else:
            others.append(text)
    return candidates, others


def _no_candidate(name: str, count: int, attempts: t.Sequence[str]) -> Finding:
    if attempts:
        seen = f"no TXT record begins with '{STS_VERSION};', as senders want it: {attempts[0]}"
        return Finding("record-unusable", name, seen)
    return Finding("record-missing", name, f"none of {count} TXT records is one" if count else "has no TXT record")


def _oddities_of_record(name: str, strings: t.Sequence[str]) -> t.Iterator[Finding]:
    text = "".join(strings)
    names = [field for field, _value in record_fields(text, STS_VERSION)]
    twice = _repeated(names)
    unknown = [field for field in dict.fromkeys(names) if field != "id"]
    if twice:
        yield Finding("record-duplicate-field", name, f"{', '.join(twice)} in: {text}")
    if unknown:
        yield Finding("record-extension", name, f"{', '.join(unknown)} in: {text}")
    if len(strings) > 1:
        yield Finding("record-split", name, f"{len(strings)} strings: {' '.join(map(repr, strings))}")
    if _BLANK_BEFORE_SEMICOLON.search(text):
        yield Finding("record-space", name, text)


def _repeated(names: t.Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def check_authorities(name: str, said: t.Mapping[str, t.Optional[tuple[Rrset, t.Optional[int]]]]) -> list[Finding]:
    """What is wrong when each name server of the zone said its records and their TTL; none: it gave no answer."""
    findings = [
        Finding("authority-silent", server, f"gives no authoritative answer for {name}")
        for server, answer in said.items()
        if answer is None
    ]
    answers = {server: answer for server, answer in said.items() if answer is not None}
    texts = {server: tuple(sorted("".join(strings) for strings in rrset)) for server, (rrset, _ttl) in answers.items()}
    if len(set(texts.values())) > 1:
        seen = "; ".join(f"{server} says {' and '.join(found) or 'nothing'}" for server, found in texts.items())
        findings.append(Finding("authority-differs", name, seen))
    ttls = {server: ttl for server, (_rrset, ttl) in answers.items() if ttl is not None}
    if len(set(ttls.values())) > 1:
        seen = "; ".join(f"{server} says {ttl} s" for server, ttl in ttls.items())
        findings.append(Finding("authority-ttl", name, seen))
    return findings


# --- the policy -------------------------------------------------------------------------------------------


def check_policy(subject: str, body: bytes) -> tuple[t.Optional[Policy], list[Finding]]:
    """The policy in a body, and what is wrong with it (RFC 8461 3.2)."""
    try:
        policy = parse_policy(body)
    except PolicyError as error:
        return None, [Finding("policy-invalid", subject, str(error))]
    return policy, list(_oddities_of_policy(subject, body, policy))


def _oddities_of_policy(subject: str, body: bytes, policy: Policy) -> t.Iterator[Finding]:
    names = [name for name, _value in policy_fields(body)]
    twice = [name for name in _repeated(names) if name != "mx"]
    unknown = [name for name in dict.fromkeys(names) if name not in _POLICY_FIELDS]
    if twice:
        yield Finding("policy-duplicate-field", subject, ", ".join(twice))
    if unknown:
        yield Finding("policy-extension", subject, ", ".join(unknown))
    if policy.mode != "none" and policy.max_age < (WEEK if policy.mode == "enforce" else DAY):
        yield Finding("policy-max-age", subject, f"{policy.max_age} seconds with mode {policy.mode}")
    if len(body) > MAX_PUBLISHED:
        yield Finding("policy-large", subject, f"{len(body)} bytes")
    if _LONE_LF.search(body):
        yield Finding("policy-line-ends", subject, f"{len(_LONE_LF.findall(body))} lines end with LF alone")
    if policy.mode == "none" and not policy.mx:
        yield Finding("policy-without-mx", subject, "mode none, and no mx")


def check_id(name: str, record: StsRecord, body: bytes) -> list[Finding]:
    """Whether the id of a domain of ours stands for the bytes that are served; others derive theirs in other ways."""
    served = policy_id(body)
    if record.id == served or not _OUR_ID.fullmatch(record.id):
        return []
    return [Finding("record-stale", name, f"says id={record.id}, and the served policy has {served}")]


# --- the MX hosts -----------------------------------------------------------------------------------------


def check_mx(domain: str, hosts: t.Sequence[str], policy: Policy, *, implicit: bool = False) -> list[Finding]:
    """What is wrong with the MX hosts in DNS for senders that go by the policy (RFC 8461 4.1).

    C(implicit) says that the only host is the domain itself, for want of an MX record (RFC 5321 5.1).
    """
    if "" in hosts:
        return [Finding("mx-null", domain, "its MX record says that it receives no mail")]
    if not hosts:
        return [Finding("mx-missing", domain, "has neither an MX record nor an address")]
    findings = [Finding("mx-implicit", domain, "has an address and no MX record")] if implicit else []
    patterns = ", ".join(policy.mx[:TOLD_LIMIT])
    findings += [
        Finding("mx-unmatched", host, f"matches none of {patterns}")
        for host in hosts
        if not mx_matches(host, policy.mx)
    ]
    unused = [pattern for pattern in policy.mx if not any(mx_matches(host, [pattern]) for host in hosts)]
    findings += [Finding("mx-unused", pattern, f"matches no MX host of {domain}") for pattern in unused[:TOLD_LIMIT]]
    return findings


def check_dane(domain: str, protected: t.Mapping[str, t.Optional[bool]]) -> list[Finding]:
    """Whether DANE covers all MX hosts or none; none is one of which that is not known."""
    without = [host for host, has in protected.items() if has is False]
    if without and any(protected.values()):
        return [Finding("dane-partial", domain, f"no usable TLSA records: {', '.join(without)}")]
    return []


# --- the record at _smtp._tls.<domain> --------------------------------------------------------------------


def check_tlsrpt_records(domain: str, rrset: Rrset) -> tuple[t.Optional[TlsrptRecord], list[Finding]]:
    """The record that reporters accept, and what is wrong with those at its name (RFC 8460 3)."""
    name = f"_smtp._tls.{domain}"
    candidates, others = _sorted_out(rrset, TLSRPT_VERSION)
    foreign = [text for text in others if not is_attempt(text, TLSRPT_VERSION)]
    findings = [Finding("tlsrpt-foreign", name, "; ".join(foreign[:TOLD_LIMIT]))] if foreign else []
    if len(foreign) == len(rrset):
        seen = f"none of {len(rrset)} TXT records is one" if rrset else "has no TXT record"
        return None, [*findings, Finding("tlsrpt-missing", name, seen)]
    try:
        record = select_tlsrpt_record(rrset)
    except RecordError as error:
        return None, [*findings, Finding("tlsrpt-unusable", name, str(error))]
    return record, [*findings, *_oddities_of_tlsrpt(domain, candidates[0], record)]


def _oddities_of_tlsrpt(domain: str, strings: t.Sequence[str], record: TlsrptRecord) -> t.Iterator[Finding]:
    name, text = f"_smtp._tls.{domain}", "".join(strings)
    if len(strings) > 1:
        yield Finding("tlsrpt-split", name, f"{len(strings)} strings: {' '.join(map(repr, strings))}")
    if record_fields(text, TLSRPT_VERSION)[0][0] != "rua":
        yield Finding("tlsrpt-order", name, text)
    targets = [report_target(uri) for uri in record.rua]
    if all(target == ("mailto", domain) for target in targets):
        yield Finding("tlsrpt-same-domain", name, ", ".join(record.rua))


# --- the whole --------------------------------------------------------------------------------------------


def verdict_of(policy: t.Optional[Policy], record: t.Optional[StsRecord], findings: t.Collection[Finding]) -> str:
    """What the domain is to a sender that meets it for the first time: a mode, broken, or absent."""
    codes = {finding.code for finding in findings}
    if record is None and policy is None and "record-missing" in codes and not _has_policy_host(codes):
        return "absent"
    if record is None or policy is None:
        return "broken"
    # An MX host that fails is refused by senders only when the policy says 'enforce'.
    relevant = [f for f in findings if policy.mode == "enforce" or not f.code.startswith("mx-")]
    return "broken" if worst(relevant) == ERROR else policy.mode


def _has_policy_host(codes: t.Collection[str]) -> bool:
    # What is wrong with a policy host is said only where there is one, or where nobody knows whether there is.
    return any(
        code.startswith("policy-") or code in ("dns-failure", "dnssec-bogus", "delegation-broken") for code in codes
    )
