# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan: what was decided for all domains, as one document.

The plan is made on the controller and is all that policy hosts and DNS back ends are told. Everything in it is
plain JSON; C(docs/schemas/plan.json) describes it. Pure, and private to this collection.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
import typing as t

from ._evidence import Evidence, Histories, Site, observed_of
from ._finding import SEEN_LIMIT
from ._inventory import Desired
from ._lifecycle import ANNOUNCE, REMOVE, Decision, decide
from ._observed import ADDRESS_OURS, Observed, Proof
from ._policy import policy_id, render_policy
from ._record import render_sts_record, render_tlsrpt_record

SCHEMA = "postmaster.mta_sts/plan/1"

Document = dict[str, t.Any]


def make_plan(
    domains: t.Sequence[Desired],
    site: Site,
    evidence: Evidence,
    now: dt.datetime,
    *,
    assume_proof: bool = False,
) -> Document:
    """The plan document for all domains.

    With C(assume_proof), what check mode needs, every policy counts as proved once nothing else stands
    against it, so that the records to come can be shown.
    """
    histories = Histories(site, evidence, now)
    entries = []
    record_sets: dict[str, list[Document]] = {"prepare": [], "announce": []}
    for desired in domains:
        history = histories.of(desired.domain)
        observed = observed_of(desired.domain, site, evidence)
        decision = decide(desired, history, observed, now)
        if assume_proof and observed is not None and decision.policy is not None:
            identifier = policy_id(render_policy(decision.policy))
            assumed = dataclasses.replace(observed, certificate_failures=(), proof=Proof(identifier, 1))
            decision = decide(desired, history, assumed, now)
        entries.append(_entry(desired, decision))
        live = evidence.live(desired.domain)
        if observed is not None and live is not None:
            record_sets["prepare"].extend(_prepare(desired, decision, observed, live, site))
            record_sets["announce"].extend(_announce(desired, decision, observed, live, site))
    return {
        "schema": SCHEMA,
        "at": _text(now),
        "policy_hosts": {host: list(addresses) for host, addresses in site.hosts.items()},
        # Of the ledgers that this plan was made from: a host that has moved on since does not carry it out.
        "revisions": histories.revisions,
        "troubles": list(histories.troubles),
        "domains": entries,
        # What is served though the inventory no longer names it: reported, and served on (RFC 8461 8.3).
        "orphans": sorted(histories.served - {desired.domain for desired in domains}),
        "record_sets": record_sets,
    }


def _text(time: t.Optional[dt.datetime]) -> t.Optional[str]:
    return time.isoformat(timespec="seconds") if time else None


def _entry(desired: Desired, decision: Decision) -> Document:
    policy, found = decision.policy, decision.found
    conditions = decision.conditions
    return {
        "domain": desired.domain,
        "policy_host": f"mta-sts.{desired.domain}",
        "stage": decision.stage,
        "serve": decision.serve,
        "remove": decision.remove,
        "record": decision.record,
        "certificate": decision.certificate,
        "id": policy_id(render_policy(policy)) if policy else None,
        "mode": policy.mode if policy else None,
        "mx": list(policy.mx) if policy else [],
        "max_age": policy.max_age if policy else None,
        "found": {
            "mode": found.policy.mode,
            "mx": list(found.policy.mx),
            "max_age": found.policy.max_age,
            "until": _text(found.until),
        }
        if found
        else None,
        "after_unknown": decision.after_unknown,
        "conditions": None if conditions is None else {name: _text(since) for name, since in conditions.items()},
        "holds": [{"code": hold.code, "message": hold.message, "until": _text(hold.until)} for hold in decision.holds],
    }


def _prepare(desired: Desired, decision: Decision, observed: Observed, live: Document, site: Site) -> list[Document]:
    """Records that do no harm before the policy is served, and that certificates may need."""
    if not decision.serve:
        return []
    sets = []
    if desired.manage_address and decision.certificate and observed.address != ADDRESS_OURS:
        sets.extend(_address_sets(desired, site))
    # None: DNS did not say what stands there.
    foreign = live["foreign_tlsrpt_records"]
    if desired.tlsrpt and (foreign == [] or (foreign and desired.replace_foreign)):
        sets.append(
            _record_set(desired, f"_smtp._tls.{desired.domain}", "TXT", site, [render_tlsrpt_record(desired.tlsrpt)])
        )
    return sets


def _announce(desired: Desired, decision: Decision, observed: Observed, live: Document, site: Site) -> list[Document]:
    """Records that may change only when every policy host was proved, and those that go at the end."""
    sets = []
    values = []
    if decision.record == ANNOUNCE and decision.policy is not None:
        values = [render_sts_record(policy_id(render_policy(decision.policy)))]
    if values or decision.record == REMOVE:
        announced = _record_set(desired, f"_mta-sts.{desired.domain}", "TXT", site, values)
        sets.append({**announced, **_expected(live)})
    # A policy host that joins gets its first senders only now that it is known to serve.
    partly_ours = observed.address == ADDRESS_OURS and set(observed.addresses) != set(site.addresses)
    if values and desired.manage_address and partly_ours and not site.cname:
        sets.extend(_address_sets(desired, site))
    if decision.remove and desired.manage_address and observed.address == ADDRESS_OURS:
        name = f"mta-sts.{desired.domain}"
        sets.extend(_record_set(desired, name, rdtype, site, []) for rdtype in ("A", "AAAA", "CNAME"))
    return sets


def _expected(live: Document) -> Document:
    """What was seen: another rollout may have changed it since, and its id is not to be replaced by an older one.

    Nothing is expected where what was seen may not be the very text: records of others are cut, and made printable.
    """
    records = live["records"]
    if records is None or live["foreign_records"] or not all(map(_is_whole, records)):
        return {}
    return {"expected": list(records)}


def _is_whole(text: str) -> bool:
    return len(text) < SEEN_LIMIT and text.isascii() and not set(text) & {"?", "\\"}


def _address_sets(desired: Desired, site: Site) -> list[Document]:
    name = f"mta-sts.{desired.domain}"
    values: dict[str, list[str]] = {"A": [], "AAAA": [], "CNAME": []}
    if site.cname:
        values["CNAME"] = [site.cname]
    else:
        for address in site.addresses:
            values["AAAA" if ipaddress.ip_address(address).version == 6 else "A"].append(address)
    # The types that are not wanted are emptied in the same step: a CNAME tolerates nothing beside it.
    return [_record_set(desired, name, rdtype, site, texts) for rdtype, texts in sorted(values.items())]


def _record_set(desired: Desired, name: str, rdtype: str, site: Site, values: list[str]) -> Document:
    return {"item": desired.domain, "name": name, "type": rdtype, "ttl": site.ttl, "values": values}
