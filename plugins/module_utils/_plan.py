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
import typing as t

from ._evidence import Evidence, Histories, Site, assumed_proof, observed_of
from ._inventory import Desired
from ._lifecycle import Decision, decide
from ._observed import ADDRESS_OURS, Observed
from ._plan_document import SCHEMA
from ._policy import policy_id, render_policy
from ._reported import told_of
from ._wanted_records import WantedRecords, expected_record

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
    # Nothing but the step to enforce asks for them.
    gated = {one.domain for one in domains if (one.state, one.mode, one.gate) == ("present", "enforce", True)}
    reported = told_of(evidence.reports, gated)
    entries = []
    record_sets: dict[str, list[Document]] = {"prepare": [], "announce": []}
    for desired in domains:
        history = histories.of(desired.domain)
        observed = observed_of(desired.domain, site, evidence, reported.get(desired.domain, ()))
        decision = decide(desired, history, observed, now)
        if assume_proof and observed is not None and decision.policy is not None:
            identifier = policy_id(render_policy(decision.policy))
            proof = assumed_proof(identifier, observed.record_id, site, evidence)
            assumed = dataclasses.replace(observed, certificate_failures=(), proof=proof)
            decision = decide(desired, history, assumed, now)
        entries.append(_entry(desired, decision, observed))
        live = evidence.live(desired.domain)
        if observed is not None and live is not None:
            wanted = WantedRecords(desired, decision, observed, site)
            record_sets["prepare"].extend(wanted.prepare())
            record_sets["announce"].extend(wanted.announce(expected_record(live)))
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


def _served_at(identifier: t.Optional[str], observed: t.Optional[Observed]) -> list[str]:
    """All addresses that senders come to, if they were just seen to serve the very policy whose id is announced.

    Nothing is announced then, and what was seen is as good as a proof. Where anything is otherwise, there is none.
    """
    if observed is None or observed.address != ADDRESS_OURS:
        return []
    announced = observed.record_id == identifier and len(observed.records or ()) == 1
    served = dict.fromkeys(observed.addresses, identifier) == observed.served
    return list(observed.addresses) if announced and served else []


def _entry(desired: Desired, decision: Decision, observed: t.Optional[Observed]) -> Document:
    policy, found = decision.policy, decision.found
    conditions = decision.conditions
    identifier = policy_id(render_policy(policy)) if policy else None
    return {
        "domain": desired.domain,
        "policy_host": f"mta-sts.{desired.domain}",
        "stage": decision.stage,
        "serve": decision.serve,
        "remove": decision.remove,
        "record": decision.record,
        "record_name": desired.record_name,
        "certificate": decision.certificate,
        # Why none is asked for where there is none yet.
        "certificate_refusal": observed.caa_refusal if observed else "",
        "id": identifier,
        "served_at": _served_at(identifier, observed),
        "mode": policy.mode if policy else None,
        "mx": list(policy.mx) if policy else [],
        "max_age": policy.max_age if policy else None,
        "found": {
            "mode": found.policy.mode,
            "mx": list(found.policy.mx),
            "max_age": found.policy.max_age,
            "until": _text(found.until),
            "after_unknown": found.after_unknown,
        }
        if found
        else None,
        "after_unknown": decision.after_unknown,
        "conditions": None if conditions is None else {name: _text(since) for name, since in conditions.items()},
        "holds": [{"code": hold.code, "message": hold.message, "until": _text(hold.until)} for hold in decision.holds],
    }
