# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan: what was observed and decided for all domains, as one document.

The plan is made on the controller and is all that policy hosts and DNS back ends are told. Everything in it is
plain JSON; C(docs/schemas/plan.json) describes it. Pure, and private to this collection.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
import typing as t
from dataclasses import dataclass

from ._finding import printable
from ._inventory import Desired
from ._lifecycle import (
    ADDRESS_ELSEWHERE,
    ADDRESS_MISSING,
    ADDRESS_OURS,
    ADDRESS_UNKNOWN,
    Decision,
    Observed,
    Proof,
    Served,
    decide,
)
from ._policy import Policy, PolicyError, policy_id, render_policy
from ._record import render_sts_record, render_tlsrpt_record

SCHEMA = "postmaster.mta_sts/plan/1"

Document = dict[str, t.Any]


@dataclass(frozen=True)
class Site:
    """What all domains share: the policy hosts and the shape of the records."""

    # Policy host -> the public addresses at which senders reach it.
    hosts: t.Mapping[str, t.Sequence[str]]
    # A name that mta-sts.<domain> shall be a CNAME of, instead of having the hosts' addresses itself.
    cname: str = ""
    ttl: int = 3600

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(sorted({address for addresses in self.hosts.values() for address in addresses}))


@dataclass(frozen=True)
class Evidence:
    """The documents that a plan is made from, each as far as it exists yet."""

    served: t.Mapping[str, Document]
    observed: t.Optional[Document] = None
    proof: t.Optional[Document] = None
    certificates: t.Optional[t.Mapping[str, Document]] = None


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
    histories = _histories({host: document for host, document in evidence.served.items() if host in site.hosts})
    entries = []
    record_sets: dict[str, list[Document]] = {"prepare": [], "announce": []}
    for desired in domains:
        history = histories.get(desired.domain, ())
        observed = _observed(desired.domain, site, evidence)
        decision = decide(desired, history, observed, now)
        if assume_proof and observed is not None and decision.policy is not None:
            identifier = policy_id(render_policy(decision.policy))
            assumed = dataclasses.replace(observed, certificate_failures=(), proof=Proof(identifier, 1))
            decision = decide(desired, history, assumed, now)
        entries.append(_entry(desired, decision))
        if observed is not None:
            live = _live(desired.domain, evidence)
            record_sets["prepare"].extend(_prepare(desired, decision, observed, live, site))
            record_sets["announce"].extend(_announce(desired, decision, observed, site))
    wanted = {desired.domain for desired in domains}
    return {
        "schema": SCHEMA,
        "at": now.isoformat(timespec="seconds"),
        "policy_hosts": {host: list(addresses) for host, addresses in site.hosts.items()},
        "domains": entries,
        # What is served though the inventory no longer names it: reported, and served on (RFC 8461 8.3).
        "orphans": sorted(set(histories) - wanted),
        "record_sets": record_sets,
    }


def _histories(served: t.Mapping[str, Document]) -> dict[str, tuple[Served, ...]]:
    histories: dict[str, list[Served]] = {}
    for host, document in served.items():
        for domain, values in document["policies"].items():
            try:
                policy = Policy(values["mode"], tuple(values["mx"]), values["max_age"])
            except PolicyError:
                continue
            histories.setdefault(domain, []).append(Served(host, policy))
    return {domain: tuple(history) for domain, history in histories.items()}


def _live(domain: str, evidence: Evidence) -> t.Optional[Document]:
    if evidence.observed is None:
        return None
    live: t.Optional[Document] = evidence.observed["domains"].get(domain)
    return live


def _observed(domain: str, site: Site, evidence: Evidence) -> t.Optional[Observed]:
    live = _live(domain, evidence)
    if live is None:
        return None
    address, addresses = _address(live, site)
    failures, renewals = _certificate_failures(domain, evidence)
    return Observed(
        address=address,
        addresses=addresses,
        foreign_records=tuple(printable(text) for text in live["foreign_records"] or ()),
        foreign_tlsrpt_records=tuple(printable(text) for text in live["foreign_tlsrpt_records"] or ()),
        certificate_failures=failures,
        renewal_failures=renewals,
        proof=_proof(domain, site, evidence),
    )


def _address(live: Document, site: Site) -> tuple[str, tuple[str, ...]]:
    addresses: t.Optional[list[str]] = live["addresses"]
    if addresses is None or live["foreign_records"] is None:
        return ADDRESS_UNKNOWN, ()
    if not addresses:
        return ADDRESS_MISSING, ()
    elsewhere = tuple(sorted(set(addresses) - set(site.addresses)))
    return (ADDRESS_ELSEWHERE, elsewhere) if elsewhere else (ADDRESS_OURS, tuple(addresses))


def _certificate_failures(domain: str, evidence: Evidence) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why hosts that did not get through the handshake have no certificate, and what is wrong with that of others.

    Of a host that was neither proved nor met there may be a document of an earlier run, which says nothing here.
    """
    proof = {} if evidence.proof is None else evidence.proof["domains"].get(domain, {})
    met = {failure["host"] for failure in proof.get("failures", ()) if failure["code"] == "policy-certificate"}
    failures, renewals = [], []
    for host, document in (evidence.certificates or {}).items():
        error = document["certificates"].get(f"mta-sts.{domain}", {}).get("error")
        if error and host in met:
            failures.append(f"{host}: no certificate for mta-sts.{domain}: {printable(error, 400)}")
        elif error and host in proof.get("proved", ()):
            renewals.append(f"{host}: the certificate for mta-sts.{domain} is not refreshed: {printable(error, 400)}")
    return tuple(failures), tuple(renewals)


def _proof(domain: str, site: Site, evidence: Evidence) -> t.Optional[Proof]:
    if evidence.proof is None:
        return None
    result = evidence.proof["domains"].get(domain)
    if result is None:
        return None
    failures = [f"{failure['host']}: {failure['subject']}: {failure['seen']}" for failure in result["failures"]]
    known = {failure["host"] for failure in result["failures"]} | set(result["proved"])
    # A proof that leaves a policy host out proves nothing (P1).
    failures += [f"{host}: was not asked for mta-sts.{domain}" for host in site.hosts if host not in known]
    return Proof(result["id"], result["fetched"], tuple(failures))


def _entry(desired: Desired, decision: Decision) -> Document:
    policy = decision.policy
    body = render_policy(policy) if policy else b""
    return {
        "domain": desired.domain,
        "policy_host": f"mta-sts.{desired.domain}",
        "stage": decision.stage,
        "serve": policy is not None,
        "announce": decision.announce,
        "certificate": decision.certificate,
        "id": policy_id(body) if policy else None,
        "mode": policy.mode if policy else None,
        "mx": list(policy.mx) if policy else [],
        "max_age": policy.max_age if policy else None,
        "holds": [
            {
                "code": hold.code,
                "message": hold.message,
                "until": hold.until.isoformat(timespec="seconds") if hold.until else None,
            }
            for hold in decision.holds
        ],
    }


def _prepare(
    desired: Desired, decision: Decision, observed: Observed, live: t.Optional[Document], site: Site
) -> list[Document]:
    """Records that do no harm before the policy is served, and that certificates may need."""
    if decision.policy is None:
        return []
    sets = []
    if desired.manage_address and decision.certificate and observed.address != ADDRESS_OURS:
        sets.extend(_address_sets(desired, site))
    # None: DNS did not say what stands there.
    foreign = None if live is None else live["foreign_tlsrpt_records"]
    if desired.tlsrpt and (foreign == [] or (foreign and desired.replace_foreign)):
        sets.append(
            _record_set(desired, f"_smtp._tls.{desired.domain}", "TXT", site, [render_tlsrpt_record(desired.tlsrpt)])
        )
    return sets


def _announce(desired: Desired, decision: Decision, observed: Observed, site: Site) -> list[Document]:
    """Records that may change only when every policy host was proved."""
    if not decision.announce or decision.policy is None:
        return []
    identifier = policy_id(render_policy(decision.policy))
    record = render_sts_record(identifier)
    sets = [_record_set(desired, f"_mta-sts.{desired.domain}", "TXT", site, [record])]
    # A policy host that joins gets its first senders only now that it is known to serve.
    partly_ours = observed.address == ADDRESS_OURS and set(observed.addresses) != set(site.addresses)
    if desired.manage_address and partly_ours and not site.cname:
        sets.extend(_address_sets(desired, site))
    return sets


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
