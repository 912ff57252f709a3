# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whole domains as a strict sender sees them: what DNS, HTTPS and SMTP say, composed to findings.

L(observe) looks at domains, ours or not. L(prove) asks whether every policy host serves exactly the policies
of a plan. Both take any number of domains and work on them concurrently. Private to this collection.
"""

from __future__ import annotations

import asyncio
import ssl
import typing as t
from dataclasses import dataclass

from .._finding import ERROR, KINDS, Finding, printable, worst
from .._names import mx_matches
from .._policy import Policy, PolicyError, parse_policy, policy_id, render_policy
from .._record import RecordError, StsRecord, TlsrptRecord, select_sts_record, select_tlsrpt_record
from .dns import DnsFailure, Lookup, MxSet, Server, Strings
from .https import FetchFailure, fetch_policy, strict_context
from .smtp import SmtpFailure, probe_starttls

Document = dict[str, t.Any]

# More MX hosts, or patterns, or TXT records at one name than this tell nothing more about a domain.
MX_LIMIT = 32
RECORD_LIMIT = 32
# So many connections at a time, whatever the number of domains: a process may not have very many open, and one
# domain with all the addresses it may have must not use up what the others need.
CONNECTIONS = 256
STS_PREFIX = "v=STSv1;"
TLSRPT_PREFIX = "v=TLSRPTv1;"


@dataclass(frozen=True)
class Settings:
    """How to look: C(timeout) in seconds bounds each look-up, fetch and dialogue."""

    resolvers: t.Sequence[Server] = ()
    authorities: t.Sequence[Server] = ()
    ca_file: t.Optional[str] = None
    timeout: float = 10.0
    concurrency: int = 64


def observe(domains: t.Mapping[str, t.Optional[Policy]], settings: Settings) -> dict[str, Document]:
    """What a strict sender sees of each domain.

    A domain may come with the policy that it shall have, whose MX patterns are then the ones that count.
    Raises ValueError for settings that cannot be used, and for nothing that is seen.
    """

    async def work(sender: _Sender, domain: str) -> Document:
        try:
            return await sender.observe(domain, domains[domain])
        except Exception as error:
            return _seen(findings=[_escaped(domain, error)])

    return asyncio.run(_concurrently(domains, work, settings))


def prove(
    policies: t.Mapping[str, Policy], hosts: t.Mapping[str, t.Sequence[str]], settings: Settings
) -> dict[str, Document]:
    """Fetches each domain's policy from every address of every policy host, and from the public ones.

    A document has the policy's C(id), how many addresses served exactly its bytes (C(fetched)), the hosts all of
    whose addresses did (C(proved)), and the C(failures). Raises ValueError for settings that cannot be used, and for
    nothing that is seen.
    """
    bodies = {domain: render_policy(policy) for domain, policy in policies.items()}

    async def work(sender: _Sender, domain: str) -> Document:
        try:
            fetched, failures = await sender.prove(domain, bodies[domain], hosts)
        except Exception as error:
            fetched, failures = 0, [_failure(host, _escaped(domain, error)) for host in (*hosts, "public")]
        failed = {failure["host"] for failure in failures}
        proved = [host for host in hosts if host not in failed]
        return {"id": policy_id(bodies[domain]), "fetched": fetched, "proved": proved, "failures": failures}

    return asyncio.run(_concurrently(bodies, work, settings))


async def _concurrently(
    domains: t.Iterable[str], work: t.Callable[[_Sender, str], t.Awaitable[Document]], settings: Settings
) -> dict[str, Document]:
    """The results in the order of the domains, with at most C(concurrency) of them under way."""
    sender = _Sender(settings)
    queue = list(domains)
    results: dict[str, Document] = {}
    pending = iter(queue)

    async def worker() -> None:
        for domain in pending:
            results[domain] = await work(sender, domain)

    await asyncio.gather(*(worker() for _worker in range(min(settings.concurrency, len(queue)))))
    return {domain: results[domain] for domain in queue}


class _Texts(t.NamedTuple):
    """The texts at a name: those that begin as our records do, and the others, which senders discard."""

    ours: list[str]
    foreign: list[str]


class _Sender:
    """What is shared while domains are looked at, in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.timeout
        self._context: ssl.SSLContext = strict_context(settings.ca_file)
        self._lookup = Lookup(settings.resolvers, settings.authorities, settings.timeout)
        self._connections = asyncio.Semaphore(CONNECTIONS)
        # An MX host that serves many domains is probed once.
        self._mx_probes: dict[str, asyncio.Task[list[Finding]]] = {}

    async def observe(self, domain: str, wanted: t.Optional[Policy]) -> Document:
        findings: list[Finding] = []
        (record, texts), (tlsrpt, tlsrpt_texts), (addresses, body), mx = await asyncio.gather(
            self._sts_record(domain, findings),
            self._tlsrpt_record(domain, findings),
            self._published_policy(domain, findings),
            self._mx_set(domain),
        )
        policy = self._parse(domain, body, findings)
        judged = wanted or policy
        if judged is not None and judged.mode != "none":
            findings += await self._mx_findings(domain, mx, judged)
        hosts, ttl = (None, None) if isinstance(mx, DnsFailure) else mx
        return _seen(
            verdict=_verdict(record, addresses, policy, findings),
            record_id=record.id if record else None,
            records=texts.ours if texts else None,
            foreign_records=texts.foreign if texts else None,
            tlsrpt=list(tlsrpt.rua) if tlsrpt else [],
            foreign_tlsrpt_records=tlsrpt_texts.foreign if tlsrpt_texts else None,
            addresses=None if addresses is None else list(addresses),
            policy={"id": policy_id(body), "mode": policy.mode, "mx": list(policy.mx), "max_age": policy.max_age}
            if policy is not None and body is not None
            else None,
            mx=None if hosts is None else list(hosts),
            mx_ttl=ttl,
            findings=findings,
        )

    async def prove(
        self, domain: str, body: bytes, hosts: t.Mapping[str, t.Sequence[str]]
    ) -> tuple[int, list[Document]]:
        """How many addresses serve exactly this policy, and what the others do."""
        name = f"mta-sts.{domain}"
        failures: list[Document] = []
        # A policy host's own address is, as a rule, a public one, too: what it serves is the same.
        targets: dict[str, str] = {}
        for host, addresses in hosts.items():
            if not addresses:
                seen = f"no address is known at which the policy host {host} can be reached from here"
                failures.append(_failure(host, Finding("policy-unreachable", f"https://{name}", seen)))
            for address in addresses:
                other = targets.setdefault(address, host)
                if other != host:
                    seen = f"is the address of both {other} and {host}; name addresses that tell them apart"
                    failures.append(_failure(host, Finding("policy-unreachable", f"https://{name} at {address}", seen)))
        try:
            public = await self._lookup.addresses(name)
            targets.update({address: "public" for address in public if address not in targets})
            if not public:
                failures.append(_failure("public", Finding("policy-host-missing", name, "has no address in DNS")))
        except DnsFailure as error:
            failures.append(_failure("public", Finding("dns-failure", name, str(error))))
        outcomes = await asyncio.gather(*(self._prove_one(name, address, body) for address in targets))
        failures += [_failure(host, finding) for host, finding in zip(targets.values(), outcomes) if finding]
        return outcomes.count(None), failures

    async def _prove_one(self, name: str, address: str, body: bytes) -> t.Optional[Finding]:
        subject = f"https://{name} at {address}"
        served = await self._fetch(name, address)
        if isinstance(served, FetchFailure):
            return Finding(served.code, subject, served.seen)
        if served != body:
            seen = f"serves the policy with id {policy_id(served)} instead of {policy_id(body)}"
            return Finding("policy-differs", subject, seen)
        return None

    async def _sts_record(
        self, domain: str, findings: list[Finding]
    ) -> tuple[t.Optional[StsRecord], t.Optional[_Texts]]:
        name = f"_mta-sts.{domain}"
        try:
            records = await self._lookup.txt(name)
        except DnsFailure as error:
            findings.append(Finding("dns-failure", name, str(error)))
            return None, None
        texts = _texts(records, STS_PREFIX)
        if not records:
            findings.append(Finding("record-missing", name, "has no TXT record"))
            return None, texts
        if texts.foreign:
            findings.append(Finding("record-foreign", name, "; ".join(texts.foreign)))
        try:
            return select_sts_record(records), texts
        except RecordError as error:
            findings.append(Finding("record-unusable", name, str(error)))
            return None, texts

    async def _tlsrpt_record(
        self, domain: str, findings: list[Finding]
    ) -> tuple[t.Optional[TlsrptRecord], t.Optional[_Texts]]:
        name = f"_smtp._tls.{domain}"
        try:
            records = await self._lookup.txt(name)
        except DnsFailure as error:
            findings.append(Finding("dns-failure", name, str(error)))
            return None, None
        texts = _texts(records, TLSRPT_PREFIX)
        if not records:
            findings.append(Finding("tlsrpt-missing", name, "has no TXT record"))
            return None, texts
        try:
            return select_tlsrpt_record(records), texts
        except RecordError as error:
            findings.append(Finding("tlsrpt-unusable", name, str(error)))
            return None, texts

    async def _published_policy(
        self, domain: str, findings: list[Finding]
    ) -> tuple[t.Optional[tuple[str, ...]], t.Optional[bytes]]:
        """The policy host's addresses (none: DNS did not answer) and the policy that the first of them serves."""
        name = f"mta-sts.{domain}"
        try:
            addresses = await self._lookup.addresses(name)
        except DnsFailure as error:
            findings.append(Finding("dns-failure", name, str(error)))
            return None, None
        if not addresses:
            findings.append(Finding("policy-host-missing", name, "has no address in DNS"))
            return addresses, None
        bodies = []
        for address, outcome in zip(
            addresses, await asyncio.gather(*(self._fetch(name, address) for address in addresses))
        ):
            if isinstance(outcome, FetchFailure):
                findings.append(Finding(outcome.code, f"https://{name} at {address}", outcome.seen))
            else:
                bodies.append(outcome)
        if len(set(bodies)) > 1:
            seen = f"its {len(addresses)} addresses serve {len(set(bodies))} different policies"
            findings.append(Finding("policy-differs", f"https://{name}", seen))
        return addresses, bodies[0] if bodies else None

    async def _fetch(self, name: str, address: str) -> t.Union[bytes, FetchFailure]:
        async with self._connections:
            try:
                return await fetch_policy(name, address, self._context, self._timeout)
            except FetchFailure as error:
                return error

    def _parse(self, domain: str, body: t.Optional[bytes], findings: list[Finding]) -> t.Optional[Policy]:
        if body is None:
            return None
        try:
            return parse_policy(body)
        except PolicyError as error:
            findings.append(Finding("policy-invalid", f"https://mta-sts.{domain}", str(error)))
            return None

    async def _mx_set(self, domain: str) -> t.Union[MxSet, DnsFailure]:
        try:
            hosts, ttl = await self._lookup.mx(domain)
        except DnsFailure as error:
            return error
        return MxSet(hosts[:MX_LIMIT], ttl)

    async def _mx_findings(self, domain: str, mx: t.Union[MxSet, DnsFailure], policy: Policy) -> list[Finding]:
        """What is wrong with the MX hosts for senders that go by the policy."""
        if isinstance(mx, DnsFailure):
            return [Finding("dns-failure", domain, str(mx))]
        findings = []
        if not mx.hosts:
            findings.append(Finding("mx-missing", domain, "has no MX record that names a host"))
        for host in mx.hosts:
            if not mx_matches(host, policy.mx):
                findings.append(Finding("mx-unmatched", host, f"matches none of {', '.join(policy.mx)}"))
        unused = [p for p in policy.mx if mx.hosts and not any(mx_matches(host, [p]) for host in mx.hosts)]
        findings += [Finding("mx-unused", p, f"matches no MX host of {domain}") for p in unused[:MX_LIMIT]]
        for found in await asyncio.gather(*(self._mx_probe(host) for host in mx.hosts)):
            findings.extend(found)
        return findings

    async def _mx_probe(self, host: str) -> list[Finding]:
        if host not in self._mx_probes:
            self._mx_probes[host] = asyncio.ensure_future(self._probe_mx(host))
        return await self._mx_probes[host]

    async def _probe_mx(self, host: str) -> list[Finding]:
        try:
            addresses = await self._lookup.addresses(host)
        except DnsFailure as error:
            return [Finding("dns-failure", host, str(error))]
        if not addresses:
            return [Finding("mx-address-missing", host, "has no address in DNS")]
        outcomes = await asyncio.gather(*(self._probe_address(host, address) for address in addresses))
        return [finding for finding in outcomes if finding is not None]

    async def _probe_address(self, host: str, address: str) -> t.Optional[Finding]:
        async with self._connections:
            try:
                await probe_starttls(host, address, self._context, self._timeout)
            except SmtpFailure as error:
                return Finding(error.code, f"{host}:25 at {address}", error.seen)
        return None


def _seen(
    *,
    findings: t.Sequence[Finding],
    verdict: str = "broken",
    record_id: t.Optional[str] = None,
    records: t.Optional[list[str]] = None,
    foreign_records: t.Optional[list[str]] = None,
    tlsrpt: t.Sequence[str] = (),
    foreign_tlsrpt_records: t.Optional[list[str]] = None,
    addresses: t.Optional[list[str]] = None,
    policy: t.Optional[Document] = None,
    mx: t.Optional[list[str]] = None,
    mx_ttl: t.Optional[int] = None,
) -> Document:
    """The document of one domain. What is not known is none, which is not the same as that there is none."""
    order = list(KINDS)
    # In an order that does not depend on which answer came first.
    findings = sorted(findings, key=lambda finding: (order.index(finding.code), finding.subject, finding.seen))
    return {
        "verdict": verdict,
        "record_id": record_id,
        "records": records,
        "foreign_records": foreign_records,
        "tlsrpt": list(tlsrpt),
        "foreign_tlsrpt_records": foreign_tlsrpt_records,
        "addresses": addresses,
        "policy": policy,
        "mx": mx,
        "mx_ttl": mx_ttl,
        "findings": [finding.to_dict() for finding in findings],
    }


def _escaped(domain: str, error: Exception) -> Finding:
    """What nobody thought of is one domain's finding, and not the end of a run over all of them."""
    return Finding("probe-failure", domain, f"{type(error).__name__}: {error}")


def _texts(records: t.Sequence[Strings], prefix: str) -> _Texts:
    """The TXT records at a name, each in exactly one of the two lists."""
    texts = _Texts([], [])
    for text in map("".join, records):
        (texts.ours if text.startswith(prefix) else texts.foreign).append(printable(text))
    return _Texts(texts.ours[:RECORD_LIMIT], texts.foreign[:RECORD_LIMIT])


def _failure(host: str, finding: Finding) -> Document:
    return {"host": host, "code": finding.code, "subject": finding.subject, "seen": finding.seen}


def _verdict(
    record: t.Optional[StsRecord],
    addresses: t.Optional[tuple[str, ...]],
    policy: t.Optional[Policy],
    findings: t.Sequence[Finding],
) -> str:
    """What the domain is to a sender that meets it for the first time: a mode, broken, or absent."""
    # Addresses that are not known may be there all the same.
    if addresses == () and any(finding.code == "record-missing" for finding in findings):
        return "absent"
    if record is None or policy is None:
        return "broken"
    # An MX host that fails is refused by senders only when the policy says 'enforce'.
    relevant = [f for f in findings if policy.mode == "enforce" or not f.code.startswith("mx-")]
    return "broken" if worst(relevant) == ERROR else policy.mode
