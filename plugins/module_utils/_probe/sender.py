# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whole domains as a strict sender sees them: what DNS, HTTPS and SMTP say, composed to findings.

First every domain is looked at, then, once each, what domains share: MX hosts, addresses of policy hosts, and
hosts that take reports. Only then is it judged. Private to this collection.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import functools
import typing as t
from dataclasses import dataclass, field

from .._checks import TOLD_LIMIT, check_dane, check_id, check_mx, verdict_of
from .._finding import ERROR, KINDS, Finding, printable, worst
from .._policy import Policy, policy_id
from .._record import report_target
from .connect import CONNECTIONS, Reach
from .dns import DnsFailure, Lookup
from .domain import DomainProbe, Seen
from .https import FetchFailure, shake_hands
from .means import Means
from .mx import MxHost, MxProbe, incomplete_finding
from .tls import Document, contexts
from .transport import Server
from .workers import Tell, Told, for_each, keep_quiet, share_out

Item = t.TypeVar("Item")
Result = t.TypeVar("Result")


@dataclass(frozen=True)
class Settings:
    """How to look, and who hears how far it is."""

    resolvers: t.Sequence[Server] = ()
    authorities: t.Sequence[Server] = ()
    ca_file: t.Optional[str] = None
    # Without given authorities: those of each zone are found out and asked. Whether to look at CAA records, too.
    find_authorities: bool = False
    caa: bool = False
    reach: Reach = field(default_factory=Reach)
    # At a time, in each of the processes.
    concurrency: int = 128
    processes: int = 1
    tell: Tell = keep_quiet


def lookup_of(settings: Settings) -> Lookup:
    """Look-ups as the settings want them, for the running event loop. Raises ValueError when there is no resolver."""
    reach = settings.reach
    return Lookup(
        settings.resolvers, settings.authorities, reach.timeout, reach.sources, reach.dns_port,
        find_authorities=settings.find_authorities,
    )  # fmt: skip


def observe(domains: t.Mapping[str, t.Optional[Policy]], settings: Settings) -> Document:
    """What a strict sender sees of each domain (C(domains)), and of the MX hosts that they share (C(mx_hosts)).

    A domain may come with the policy that it shall have, whose MX patterns are then the ones that count.
    Raises ValueError for settings that cannot be used, and for nothing that is seen.
    """
    # What cannot be used is told here, and not by another process.
    contexts(settings.ca_file)
    processes, tell = settings.processes, settings.tell
    alone = dataclasses.replace(settings, tell=keep_quiet)
    seen = share_out("domains", [*domains.items()], functools.partial(_look_at_domains, alone), processes, tell)
    things = _things_of(seen)
    found = share_out("shared hosts", things, functools.partial(_look_at_shared, alone), processes, tell)
    shared = _Shared()
    for thing, result in zip(things, found):
        shared.note(thing, result)
    documents = {one.domain: shared.judge(one) for one in seen}
    return {"domains": documents, "mx_hosts": {host: one.to_dict() for host, one in shared.mx_hosts.items()}}


def probe_failure(subject: str, error: Exception) -> Finding:
    """An error that nobody thought of: it costs one finding, and is not the end of a run over all domains."""
    return Finding("probe-failure", subject, f"{type(error).__name__}: {error}")


def _look_at_domains(settings: Settings, domains: t.Sequence[tuple[str, t.Optional[Policy]]], told: Told) -> list[Seen]:
    return asyncio.run(_look_at_all(settings, told, domains, _Sender.look_at_domain))


def _look_at_shared(settings: Settings, things: t.Sequence[Thing], told: Told) -> list[t.Any]:
    return asyncio.run(_look_at_all(settings, told, things, _Sender.look_at_thing))


async def _look_at_all(
    settings: Settings, told: Told, items: t.Sequence[Item], look: t.Callable[[_Sender, Item], t.Awaitable[Result]]
) -> list[Result]:
    sender = _Sender(settings, told)
    try:
        return await for_each(items, functools.partial(look, sender), settings.concurrency)
    finally:
        sender.close()


class Thing(t.NamedTuple):
    """Something that domains share; of an address, the name is one that it is met by."""

    kind: str
    name: str
    address: str = ""


MX: t.Final = "MX host"
TLS_12: t.Final = "address"
REPORTS: t.Final = "taker of reports"


def _things_of(seen: t.Iterable[Seen]) -> list[Thing]:
    """What is to be looked at once, whoever shares it."""
    hosts: dict[str, None] = {}
    newest: dict[str, str] = {}
    takers: dict[str, None] = {}
    for one in seen:
        if one.judged:
            hosts.update(dict.fromkeys(host for host in one.hosts if host))
        for address, fetched in one.fetched.items():
            if fetched.session.version == "TLSv1.3":
                newest[address] = f"mta-sts.{one.domain}"
        targets = [report_target(uri) for uri in one.tlsrpt.rua[:TOLD_LIMIT]] if one.tlsrpt else []
        takers.update(dict.fromkeys(host for scheme, host in targets if scheme == "https"))
    return [
        *(Thing(MX, host) for host in hosts),
        *(Thing(TLS_12, name, address) for address, name in newest.items()),
        *(Thing(REPORTS, host) for host in takers),
    ]


class _Sender:
    """What is shared while things are looked at, in one event loop."""

    def __init__(self, settings: Settings, told: Told) -> None:
        self._told = told
        self._reach = settings.reach
        self._caa = settings.caa
        self._contexts = contexts(settings.ca_file)
        self._lookup = lookup_of(settings)
        self._turns = asyncio.Semaphore(CONNECTIONS)
        now = dt.datetime.now(dt.timezone.utc)
        means = Means(self._lookup, self._contexts, self._reach, self._turns, now, settings.processes)
        self._domains = DomainProbe(means)
        self._mx_hosts = MxProbe(means)

    def close(self) -> None:
        self._lookup.close()

    async def look_at_domain(self, domain: tuple[str, t.Optional[Policy]]) -> Seen:
        """All that only this domain has."""
        seen = Seen(*domain)
        try:
            async with asyncio.timeout(self._reach.deadline):
                await self._domains.look_at(seen, caa=self._caa)
        except TimeoutError:
            seen.findings.append(incomplete_finding(seen.domain, self._reach))
        except Exception as error:
            seen.findings.append(probe_failure(seen.domain, error))
        self._told(worst(seen.findings) == ERROR)
        return seen

    async def look_at_thing(self, thing: Thing) -> t.Any:
        """An L(MxHost), whether TLS 1.2 is offered, or what keeps a host from taking reports."""
        if thing.kind == TLS_12:
            result: t.Any = await self._takes_12(thing.name, thing.address)
        elif thing.kind == REPORTS:
            result = await self._takes_reports(thing.name)
        else:
            result = await self._mx_host(thing.name)
        self._told(isinstance(result, MxHost) and worst(result.findings) == ERROR)
        return result

    async def _mx_host(self, name: str) -> MxHost:
        seen = MxHost()
        try:
            await self._mx_hosts.look_at(name, seen)
        except Exception as error:
            seen.findings.append(probe_failure(name, error))
        return seen

    async def _takes_12(self, name: str, address: str) -> bool:
        try:
            async with self._turns:
                await shake_hands(name, address, self._contexts.only_12, self._reach)
        except FetchFailure as error:
            return error.code != "policy-tls"
        return True

    async def _takes_reports(self, host: str) -> str:
        """What keeps a host from taking reports over HTTPS; nothing, if nothing is known to."""
        try:
            addresses = (await self._lookup.addresses(host)).records
        except DnsFailure as error:
            return str(error)
        if not addresses:
            return "has no address"
        try:
            async with self._turns:
                await shake_hands(host, addresses[0], self._contexts.strict, self._reach)
        except FetchFailure as error:
            return error.seen
        return ""


@dataclass
class _Shared:
    """What was seen of the things that domains share."""

    mx_hosts: dict[str, MxHost] = field(default_factory=dict)
    # Address of a policy host -> whether it offers TLS 1.2; host that takes reports -> what keeps it from that.
    takes_12: dict[str, bool] = field(default_factory=dict)
    takes_reports: dict[str, str] = field(default_factory=dict)

    def note(self, thing: Thing, result: t.Any) -> None:
        """Keeps what was found."""
        if thing.kind == MX:
            self.mx_hosts[thing.name] = result
        elif thing.kind == TLS_12:
            self.takes_12[thing.address] = result
        else:
            self.takes_reports[thing.name] = result

    def judge(self, seen: Seen) -> Document:
        """The document of one domain, with all its findings."""
        findings = [*seen.findings, *self._of_policy_host(seen), *self._of_mx(seen), *self._of_reports(seen)]
        if seen.record is not None and seen.body is not None and seen.wanted is not None:
            findings += check_id(f"_mta-sts.{seen.domain}", seen.record, seen.body)
        return _document(seen, _one_cause_each(findings))

    def _of_policy_host(self, seen: Seen) -> t.Iterator[Finding]:
        for address in seen.fetched:
            if not self.takes_12.get(address, True):
                yield Finding(
                    "policy-tls-without-12", f"https://mta-sts.{seen.domain} at {address}", "takes TLS 1.3 alone"
                )

    def _of_mx(self, seen: Seen) -> list[Finding]:
        policy = seen.judged
        if policy is None:
            return []
        if seen.mx_failure is not None:
            return [seen.mx_failure]
        hosts = {host: self.mx_hosts[host] for host in seen.hosts if host}
        findings = check_mx(seen.domain, seen.hosts, policy, implicit=bool(seen.hosts) and not seen.mx)
        findings += [finding for host in hosts.values() for finding in host.findings]
        return findings + check_dane(seen.domain, {name: host.protected for name, host in hosts.items()})

    def _of_reports(self, seen: Seen) -> t.Iterator[Finding]:
        for uri in seen.tlsrpt.rua[:TOLD_LIMIT] if seen.tlsrpt else ():
            scheme, host = report_target(uri)
            trouble = self.takes_reports.get(host, "") if scheme == "https" else ""
            if trouble:
                yield Finding("tlsrpt-undeliverable", f"_smtp._tls.{seen.domain}", f"{uri}: {trouble}")


def _one_cause_each(findings: t.Sequence[Finding]) -> list[Finding]:
    """Without what follows from something else, in an order that does not depend on which answer came first."""
    codes = {finding.code for finding in findings}
    if "record-missing" in codes:
        # Who has no record has no need of a policy host.
        findings = [finding for finding in findings if finding.code != "policy-host-missing"]
    order = list(KINDS)
    unique = dict.fromkeys(findings)
    return sorted(unique, key=lambda finding: (order.index(finding.code), finding.subject, finding.seen))


def _document(seen: Seen, findings: t.Sequence[Finding]) -> Document:
    policy, texts, tlsrpt_texts = seen.policy, seen.texts, seen.tlsrpt_texts
    return {
        "verdict": verdict_of(policy, seen.record, findings),
        "record_id": seen.record.id if seen.record else None,
        "records": texts.ours if texts else None,
        "foreign_records": texts.foreign if texts else None,
        "tlsrpt": list(seen.tlsrpt.rua) if seen.tlsrpt else [],
        "tlsrpt_records": tlsrpt_texts.ours if tlsrpt_texts else None,
        "foreign_tlsrpt_records": tlsrpt_texts.foreign if tlsrpt_texts else None,
        "addresses": None if seen.addresses is None else list(seen.addresses),
        "served": {address: policy_id(fetched.body) for address, fetched in sorted(seen.fetched.items())},
        "policy": {"id": policy_id(seen.body), "mode": policy.mode, "mx": list(policy.mx), "max_age": policy.max_age}
        if policy is not None and seen.body is not None
        else None,
        "mx": None if seen.mx is None else list(seen.mx),
        "mx_ttl": seen.mx_ttl,
        "ttls": {kind: told.ttl for kind, told in sorted(seen.told.items())},
        "aliases": {kind: told.alias for kind, told in sorted(seen.told.items()) if told.alias},
        "zones": {kind: told.zone for kind, told in sorted(seen.told.items()) if told.zone},
        "caa": _caa(seen),
        "dnssec": {"record": seen.record_secure, "mx": seen.mx_secure},
        "certificates": sorted(seen.certificates, key=lambda one: str(one["subject"])),
        "findings": [finding.to_dict() for finding in findings],
    }


def _caa(seen: Seen) -> t.Optional[Document]:
    if seen.caa is None:
        return None
    name, properties = seen.caa
    records = [{"flags": one.flags, "tag": printable(one.tag), "value": printable(one.value)} for one in properties]
    return {"name": name, "records": records}
