# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the documents of a run say of each domain: its history, and what was observed of it.

Nothing in a document is trusted that came from the network: it is bounded and made printable here. Pure, and
private to this collection.
"""

from __future__ import annotations

import datetime as dt
import functools
import typing as t
from dataclasses import dataclass, field

from ._caa import caa_refusal
from ._finding import ERROR, KINDS, printable
from ._history import CLOCKS_DIFFER, LONGEST_RUN, History, Served
from ._hold import HOLD_KINDS, Hold
from ._observed import ADDRESS_ELSEWHERE, ADDRESS_MISSING, ADDRESS_OURS, ADDRESS_UNKNOWN, Observed, Proof
from ._policy import Policy, PolicyError
from ._reported import Told
from ._reports_document import Documents as Reports

Document = dict[str, t.Any]
# The id of a policy that is served, and the policy; none if it is none.
File = tuple[t.Optional[str], t.Optional[Policy]]

# Why a sender that enforces refuses an MX host. A certificate that ends soon still verifies.
MX_FAILURES = frozenset(
    {"mx-address-missing", "mx-unreachable", "mx-greeting", "mx-starttls", "mx-tls", "dns-failure", "dnssec-bogus"}
    | {code for code, kind in KINDS.items() if code.startswith("mx-certificate") and kind.severity == ERROR}
)
# What a proof meets where there is no good certificate.
POLICY_CERTIFICATE = ("policy-certificate", "policy-tls")
WITHOUT: t.Final = {
    "certificate": "no certificate for",
    "renewal": "no newer certificate for",
    "removal": "still a certificate for",
}


@dataclass(frozen=True)
class Site:
    """What all domains share: the policy hosts and the shape of the records."""

    # Policy host -> the public addresses at which senders reach it.
    hosts: t.Mapping[str, t.Sequence[str]]
    # A name that mta-sts.<domain> shall be a CNAME of, instead of having the hosts' addresses itself.
    cname: str = ""
    # The TTL in seconds of records that stay, and of those that are about to change.
    ttl: int = 3600
    ttl_changing: int = 300
    # Records are put into DNS by somebody else, from files that tell all of them.
    others_apply: bool = False
    # The domain names that the certification authority takes for its own in CAA records.
    caa_identities: tuple[str, ...] = ()

    @functools.cached_property
    def addresses(self) -> tuple[str, ...]:
        return tuple(sorted({address for addresses in self.hosts.values() for address in addresses}))


@dataclass(frozen=True)
class Evidence:
    """The documents that a plan is made from, each as far as it exists yet; those of policy hosts by host."""

    served: t.Mapping[str, Document]
    ledgers: t.Optional[t.Mapping[str, Document]] = None
    observed: t.Optional[Document] = None
    proof: t.Optional[Document] = None
    certificates: t.Optional[t.Mapping[str, Document]] = None
    # The policy hosts that could not carry the plan out.
    failed_hosts: t.Collection[str] = ()
    # Of the hosts where reports arrive.
    reports: Reports = field(default_factory=dict)

    def live(self, domain: str) -> t.Optional[Document]:
        """What was observed of a domain."""
        if self.observed is None:
            return None
        found: t.Optional[Document] = self.observed["domains"].get(domain)
        return found


class Histories:
    """The histories of all domains, from the ledgers and from what the policy hosts serve now.

    Each document is read once, and let go before the next: with many domains, those of all hosts would be too much.
    """

    def __init__(self, site: Site, evidence: Evidence, now: dt.datetime) -> None:
        # A host that is no policy host any more says nothing.
        ledgers = [host for host in evidence.ledgers or () if host in site.hosts]
        served = [host for host in evidence.served if host in site.hosts]
        # What is wrong with a whole host and stops nothing.
        self.troubles: tuple[str, ...] = ()
        self.revisions: dict[str, int] = {}
        # All domains that a policy host serves.
        self.served: set[str] = set()
        # The policy hosts whose ledgers are at hand.
        self._asked = frozenset(ledgers)
        self._now = now
        self._served: dict[str, list[Served]] = {}
        self._conditions: dict[str, dict[str, dt.datetime]] = {}
        # Most rows of most ledgers have the same policies and times.
        self._policies: dict[tuple[t.Any, ...], t.Optional[Policy]] = {}
        self._times: dict[str, dt.datetime] = {}
        unexplained: list[tuple[str, Served]] = []
        unread: dict[str, str] = {host: "its ledger was not read" for host in site.hosts if host not in self._asked}
        clocks: list[Hold] = []
        for host in dict.fromkeys((*ledgers, *served)):
            files = self._files(evidence.served[host]) if host in served else None
            if host in self._asked:
                ledger = t.cast("t.Mapping[str, Document]", evidence.ledgers)[host]
                if ledger["state"] == "unreadable":
                    unread[host] = printable(ledger["trouble"], 400)
                clocks += _wrong_clocks(host, ledger, now)
                self.troubles += _rebuilt(host, ledger, bool(files))
                if ledger["revision"] is not None:
                    self.revisions[host] = ledger["revision"]
                self._read_ledger(host, ledger, files)
            unexplained += self._unexplained(host, files or {})
        for domain, one in unexplained:
            self._served.setdefault(domain, []).append(one)
        self.frozen: tuple[Hold, ...] = ()
        if evidence.ledgers is not None:
            self.frozen = (*_unread(site, unread), *clocks)

    def of(self, domain: str) -> History:
        """The history of one domain."""
        served = tuple(self._served.get(domain, ()))
        unaware = bool(self._asked - {one.host for one in served})
        conditions = dict(sorted(self._conditions.get(domain, {}).items()))
        return History(served, conditions, self.frozen, unaware)

    def _files(self, document: Document) -> dict[str, File]:
        """The ids of the policies that a host serves, and these policies, by domain."""
        self.served.update(document["policies"])
        return {domain: (values.get("id"), self._policy(values)) for domain, values in document["policies"].items()}

    def _read_ledger(self, host: str, document: Document, files: t.Optional[t.Mapping[str, File]]) -> None:
        for domain, entry in document["domains"].items():
            on_disk = None if files is None else files.get(domain, (None, None))[0]
            for row in entry["served"]:
                policy = self._policy(row)
                if policy is not None:
                    since, until = self._time(row["since"]), self._time(row["until"]) if row["until"] else None
                    interrupted = until is None and files is not None and row["id"] != on_disk
                    ended = self._now if interrupted else until
                    one = Served(host, policy, since, ended, row["after_unknown"], interrupted)
                    self._served.setdefault(domain, []).append(one)
            self._keep_conditions(domain, {name: self._time(since) for name, since in entry["conditions"].items()})

    def _unexplained(self, host: str, files: t.Mapping[str, File]) -> t.Iterator[tuple[str, Served]]:
        """What is served and not in the ledger counts as served until now, and what was before it is not known."""
        for domain, (_id, policy) in files.items():
            history = self._served.get(domain, ())
            known = any(one.host == host and one.until is None and one.policy == policy for one in history)
            if policy is not None and not known:
                yield domain, Served(host, policy, self._now, after_unknown=True)

    def _keep_conditions(self, domain: str, conditions: dict[str, dt.datetime]) -> None:
        """What all ledgers that know the domain agree on, since the latest time that any of them gives."""
        known = self._conditions.get(domain, conditions)
        self._conditions[domain] = {
            name: max(since, conditions[name]) for name, since in known.items() if name in conditions
        }

    def _policy(self, values: Document) -> t.Optional[Policy]:
        key = (values["mode"], *values["mx"], values["max_age"])
        if key not in self._policies:
            self._policies[key] = _policy(values)
        return self._policies[key]

    def _time(self, text: str) -> dt.datetime:
        if text not in self._times:
            self._times[text] = _time(text)
        return self._times[text]


def observed_of(domain: str, site: Site, evidence: Evidence, reported: tuple[Told, ...] = ()) -> t.Optional[Observed]:
    """What was observed of one domain, with what senders reported of it; none if nothing was."""
    live = evidence.live(domain)
    if live is None:
        return None
    address, addresses = _address(live, site)
    return Observed(
        address=address,
        addresses=addresses,
        partly_ours=address == ADDRESS_ELSEWHERE and not set(site.addresses).isdisjoint(live["addresses"]),
        records=None if live["records"] is None else tuple(live["records"]),
        record_id=live["record_id"],
        record_ttl=site.ttl,
        foreign_records=tuple(printable(text) for text in live["foreign_records"] or ()),
        foreign_tlsrpt_records=tuple(printable(text) for text in live["foreign_tlsrpt_records"] or ()),
        tlsrpt_records=None if live["tlsrpt_records"] is None else tuple(map(printable, live["tlsrpt_records"])),
        tlsrpt=tuple(live["tlsrpt"]),
        record_alias=live["aliases"].get("record", ""),
        address_alias=live["aliases"].get("address", ""),
        tlsrpt_alias=live["aliases"].get("tlsrpt", ""),
        ttls=live["ttls"],
        zones=live["zones"],
        caa_refusal=_caa_refusal(live, site),
        others_apply=site.others_apply,
        policy=_policy(live["policy"]) if live["policy"] else None,
        served=live["served"],
        mx=None if live["mx"] is None else tuple(live["mx"]),
        mx_ttl=live["mx_ttl"] or 0,
        mx_failures=_mx_failures(live),
        reported=reported,
        proof=_proof(domain, live["record_id"], site, evidence),
        **_certificate_failures(domain, evidence),
    )


def _unread(site: Site, troubles: t.Mapping[str, str]) -> t.Iterator[Hold]:
    for host in site.hosts:
        if host in troubles:
            yield Hold("ledger-unread", f"{host}: {troubles[host]}")


def _wrong_clocks(host: str, ledger: Document, now: dt.datetime) -> t.Iterator[Hold]:
    written, clock = ledger["written"], _time(ledger["now"])
    if written is not None and _time(written) > now + CLOCKS_DIFFER:
        yield Hold("clock", f"the ledger of {host} was written at {written}, and here it is {now:%Y-%m-%d %H:%M} UTC")
    elif not now - LONGEST_RUN < clock < now + CLOCKS_DIFFER:
        yield Hold("clock", f"on {host} it is {clock:%Y-%m-%d %H:%M} UTC, and here {now:%Y-%m-%d %H:%M} UTC")


def _rebuilt(host: str, ledger: Document, serves: bool) -> tuple[str, ...]:
    consequence = (
        "it begins anew with what is served now; "
        "as older policies are forgotten, waiting times are longer than they might be"
    )
    if ledger["state"] == "damaged":
        trouble = printable(ledger["trouble"], 400)
        return (f"{host}: its ledger is damaged and is set aside: {trouble}; {consequence}",)
    if ledger["state"] == "missing" and serves:
        return (f"{host}: it serves policies and has no ledger; {consequence}",)
    return ()


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _policy(values: Document) -> t.Optional[Policy]:
    try:
        return Policy(values["mode"], tuple(values["mx"]), values["max_age"])
    except PolicyError:
        return None


def _mx_failures(live: Document) -> tuple[str, ...]:
    hosts = set(live["mx"] or ())
    return tuple(
        f"{finding['subject']}: {finding['seen']}"
        for finding in live["findings"]
        if finding["code"] in MX_FAILURES and finding["subject"].partition(":")[0] in hosts
    )


def _caa_refusal(live: Document, site: Site) -> str:
    caa = live["caa"]
    return printable(caa_refusal(caa["name"], caa["records"], site.caa_identities)) if caa else ""


def _address(live: Document, site: Site) -> tuple[str, tuple[str, ...]]:
    addresses: t.Optional[list[str]] = live["addresses"]
    if addresses is None:
        return ADDRESS_UNKNOWN, ()
    if not addresses:
        return ADDRESS_MISSING, ()
    elsewhere = tuple(sorted(set(addresses) - set(site.addresses)))
    return (ADDRESS_ELSEWHERE, elsewhere) if elsewhere else (ADDRESS_OURS, tuple(addresses))


def without_good_ones(documents: t.Mapping[str, Document]) -> dict[str, Document]:
    """The documents of certificates, with no more in them than a plan has to know."""
    return {
        host: {
            "certificates": {
                name: outcome
                for name, outcome in document["certificates"].items()
                if outcome.get("error") or outcome.get("queued")
            }
        }
        for host, document in documents.items()
    }


def _certificate_failures(domain: str, evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """What is wrong with certificates, by what it means for the domain; the keys are those of L(Observed)."""
    proof = {} if evidence.proof is None else evidence.proof["domains"].get(domain, {})
    met = {failure["host"] for failure in proof.get("failures", ()) if failure["code"].startswith(POLICY_CERTIFICATE)}
    # Without a proof there is none, or it is to be removed.
    failures: dict[str, list[str]] = {kind: [] for kind in WITHOUT}
    queued = []
    for host, document in (evidence.certificates or {}).items():
        outcome = document["certificates"].get(f"mta-sts.{domain}", {})
        error = outcome.get("error")
        kind = "certificate" if host in met else "renewal" if host in proof.get("proved", ()) else "removal"
        if error and (kind != "removal" or not proof):
            failures[kind].append(f"{host}: {WITHOUT[kind]} mta-sts.{domain}: {printable(error, 400)}")
        if outcome.get("queued") and host in met:
            queued.append(
                f"{host}: a certificate for mta-sts.{domain} is queued: {HOLD_KINDS['certificate-queued'].cause}"
            )
    texts = {f"{kind}_failures": tuple(found) for kind, found in failures.items()}
    return {**texts, "certificates_queued": tuple(queued)}


def assumed_proof(policy_id: str, record_id: t.Optional[str], site: Site, evidence: Evidence) -> Proof:
    """The proof that check mode takes for granted, unless every policy host failed by then."""
    return Proof(policy_id, 1, tuple(_nothing_done(policy_id, record_id, site, evidence)))


def _proof(domain: str, record_id: t.Optional[str], site: Site, evidence: Evidence) -> t.Optional[Proof]:
    if evidence.proof is None:
        return None
    result = evidence.proof["domains"].get(domain)
    if result is None:
        return None
    failures = [_failure(failure) for failure in result["failures"]]
    differing = [
        _failure(failure)
        for failure in result["failures"]
        if failure["code"] == "policy-differs" and failure["host"] in site.hosts
    ]
    known = {failure["host"] for failure in result["failures"]} | set(result["proved"])
    # A proof that leaves a policy host out proves nothing (P1).
    failures += [f"{host}: was not asked for mta-sts.{domain}" for host in site.hosts if host not in known]
    failures += _nothing_done(result["id"], record_id, site, evidence)
    return Proof(result["id"], result["fetched"], tuple(failures), tuple(differing))


def _nothing_done(policy_id: str, record_id: t.Optional[str], site: Site, evidence: Evidence) -> list[str]:
    """Where no policy host carried the plan out, nothing new is announced; what is announced already stays so."""
    if record_id == policy_id or not set(site.hosts) <= set(evidence.failed_hosts):
        return []
    return ["every policy host failed in this run, so what they serve may not last"]


def _failure(failure: Document) -> str:
    return f"{failure['host']}: {failure['subject']}: {failure['seen']}"
