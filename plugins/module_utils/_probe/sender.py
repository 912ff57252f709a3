# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whole domains as a strict sender sees them: what DNS, HTTPS and SMTP say, composed to findings.

Every domain is looked at and, once each, what domains share: MX hosts, addresses of policy hosts, and hosts that
take reports. Only then is it judged. Private to this collection.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import datetime as dt
import functools
import threading
import typing as t
from dataclasses import dataclass, field

from .._checks import TOLD_LIMIT, check_dane, check_id, check_mx, verdict_of
from .._finding import ERROR, KINDS, Finding, printable, worst
from .._policy import Policy, policy_id
from .._record import report_target
from .answer import DnsFailure
from .connect import CONNECTIONS, Reach
from .dns import Lookup
from .domain import DomainProbe, Seen
from .https import FetchFailure, shake_hands
from .means import Means
from .mx import MxHost, MxProbe, incomplete_finding
from .older_python import timeout
from .tls import Document, contexts
from .transport import Server
from .workers import Progress, Tell, Told, for_each, keep_quiet, share_out


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
    alone = dataclasses.replace(settings, tell=keep_quiet)
    look = functools.partial(_look_at_domains, alone)
    with _Shared(settings) as shared:
        seen = share_out(
            "domains", [*domains.items()], look, settings.processes, settings.tell, come_upon=shared.look_at
        )
    documents = {one.domain: shared.judge(one) for one in seen}
    return {"domains": documents, "mx_hosts": {host: one.to_dict() for host, one in shared.mx_hosts.items()}}


def probe_failure(subject: str, error: Exception) -> Finding:
    """An error that nobody thought of: it costs one finding, and is not the end of a run over all domains."""
    return Finding("probe-failure", subject, f"{type(error).__name__}: {error}")


def _look_at_domains(settings: Settings, domains: t.Sequence[tuple[str, t.Optional[Policy]]], told: Told) -> list[Seen]:
    return asyncio.run(_look_at_all(settings, domains, told))


async def _look_at_all(
    settings: Settings, domains: t.Sequence[tuple[str, t.Optional[Policy]]], told: Told
) -> list[Seen]:
    sender = _Sender(settings)
    known: set[Thing] = set()

    async def look(domain: tuple[str, t.Optional[Policy]]) -> Seen:
        seen = await sender.look_at_domain(domain)
        found = [thing for thing in _things_of(seen) if thing not in known]
        known.update(found)
        told(worst(seen.findings) == ERROR, found)
        return seen

    try:
        return await for_each(domains, look, settings.concurrency)
    finally:
        sender.close()


MX: t.Final = "MX host"
TLS_12: t.Final = "address"
REPORTS: t.Final = "taker of reports"


@dataclass(frozen=True)
class Thing:
    """Something that domains share: a host, or an address that is met by many a C(server_name)."""

    kind: str
    name: str
    server_name: str = field(default="", compare=False)


def _things_of(seen: Seen) -> t.Iterator[Thing]:
    """What is to be looked at once, whoever shares it."""
    if seen.judged:
        yield from (Thing(MX, host) for host in seen.hosts if host)
    for address, fetched in seen.fetched.items():
        if fetched.session.version == "TLSv1.3":
            yield Thing(TLS_12, address, f"mta-sts.{seen.domain}")
    for uri in seen.tlsrpt.rua[:TOLD_LIMIT] if seen.tlsrpt else ():
        scheme, host = report_target(uri)
        if scheme == "https":
            yield Thing(REPORTS, host)


class _Sender:
    """What is shared while things are looked at, in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._reach = settings.reach
        self._caa = settings.caa
        self._contexts = contexts(settings.ca_file)
        self._lookup = lookup_of(settings)
        self._turns = asyncio.Semaphore(CONNECTIONS)
        now = dt.datetime.now(dt.timezone.utc)
        means = Means(self._lookup, self._contexts, self._reach, self._turns, now)
        self._domains = DomainProbe(means)
        self._mx_hosts = MxProbe(means)

    def close(self) -> None:
        self._lookup.close()

    async def look_at_domain(self, domain: tuple[str, t.Optional[Policy]]) -> Seen:
        """All that only this domain has."""
        seen = Seen(*domain)
        try:
            async with timeout(self._reach.deadline):
                await self._domains.look_at(seen, caa=self._caa)
        except TimeoutError:
            seen.findings.append(incomplete_finding(seen.domain, self._reach))
        except Exception as error:
            seen.findings.append(probe_failure(seen.domain, error))
        return seen

    async def look_at_thing(self, thing: Thing) -> t.Any:
        """An L(MxHost), whether TLS 1.2 is offered, or what keeps a host from taking reports."""
        if thing.kind == TLS_12:
            return await self._takes_12(thing.server_name, thing.name)
        if thing.kind == REPORTS:
            return await self._takes_reports(thing.name)
        return await self._mx_host(thing.name)

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


class _Shared:
    """What domains share: looked at from a thread of its own as soon as a domain names it, and known in the end."""

    def __init__(self, settings: Settings) -> None:
        self.mx_hosts: dict[str, MxHost] = {}
        # Address of a policy host -> whether it offers TLS 1.2; host that takes reports -> what keeps it from that.
        self._takes_12: dict[str, bool] = {}
        self._takes_reports: dict[str, str] = {}
        self._sender = _Sender(settings)
        self._turns = asyncio.Semaphore(settings.concurrency)
        self._tell = settings.tell
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._looked: dict[Thing, concurrent.futures.Future[t.Any]] = {}

    def __enter__(self) -> _Shared:
        return self

    def look_at(self, things: t.Iterable[Thing]) -> None:
        """Looks at what was not looked at yet, and waits for nothing."""
        for thing in things:
            if thing not in self._looked:
                self._looked[thing] = asyncio.run_coroutine_threadsafe(self._look_at(thing), self._loop)
        # Processes are better begun before threads.
        if self._looked and self._thread.ident is None:
            self._thread.start()

    def __exit__(self, failed: t.Optional[type[BaseException]], *_error: object) -> None:
        try:
            if not failed:
                self._wait()
        finally:
            if self._thread.ident is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
            self._sender.close()
            self._end()

    def _end(self) -> None:
        """Ends what is still under way, too."""
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks))
        self._loop.close()

    def _wait(self) -> None:
        progress = Progress("shared hosts", 0, len(self._looked), 0)
        for future in concurrent.futures.as_completed(self._looked.values()):
            result = future.result()
            broken = isinstance(result, MxHost) and worst(result.findings) == ERROR
            progress = progress._replace(done=progress.done + 1, broken=progress.broken + broken)
            self._tell(progress)
        for thing, future in self._looked.items():
            self._note(thing, future.result())

    async def _look_at(self, thing: Thing) -> t.Any:
        async with self._turns:
            return await self._sender.look_at_thing(thing)

    def _note(self, thing: Thing, result: t.Any) -> None:
        if thing.kind == MX:
            self.mx_hosts[thing.name] = result
        elif thing.kind == TLS_12:
            self._takes_12[thing.name] = result
        else:
            self._takes_reports[thing.name] = result

    def judge(self, seen: Seen) -> Document:
        """The document of one domain, with all its findings."""
        findings = [*seen.findings, *self._of_policy_host(seen), *self._of_mx(seen), *self._of_reports(seen)]
        if seen.record is not None and seen.body is not None and seen.wanted is not None:
            findings += check_id(f"_mta-sts.{seen.domain}", seen.record, seen.body)
        return _document(seen, _one_cause_each(findings))

    def _of_policy_host(self, seen: Seen) -> t.Iterator[Finding]:
        for address in seen.fetched:
            if not self._takes_12.get(address, True):
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
            trouble = self._takes_reports.get(host, "") if scheme == "https" else ""
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
