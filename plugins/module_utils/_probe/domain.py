# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one domain alone has: its records, its policy, and which MX hosts it names.

Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import typing as t
from dataclasses import dataclass, field

from .._checks import (
    TOLD_LIMIT,
    Texts,
    check_authorities,
    check_policy,
    check_sts_records,
    check_tlsrpt_records,
    texts_at,
)
from .._finding import Finding
from .._policy import Policy
from .._record import STS_VERSION, TLSRPT_VERSION, StsRecord, TlsrptRecord, report_target
from .answer import Answer, CaaProperty, DnsFailure
from .https import Fetched, FetchFailure, fetch_policy, shake_hands
from .means import Means
from .mx import dns_finding
from .tls import Certificate, Document, certificate_finding, findings_of_session

# Some senders give up on a policy after so many seconds.
SLOW: t.Final = 4.0
# So many addresses of the zone's name servers are asked.
SERVERS_LIMIT: t.Final = 16
# A name that nobody has, to see whether a wildcard answers for every name.
NOBODY: t.Final = "_mta-sts-nobody"
# Where an MTA-STS record, or a TLSRPT record, is put by mistake or was in drafts.
MISPLACED: t.Final = ("{}", "mta-sts.{}")
OLD_TLSRPT: t.Final = "_smtp-tlsrpt.{}"


class Told(t.NamedTuple):
    """What DNS says of a record set beside its data."""

    ttl: t.Optional[int]
    alias: str
    # The zone that has nothing there.
    zone: str


@dataclass
class Seen:
    """What was seen of one domain. What is not known is none, which is not the same as that there is none."""

    domain: str
    wanted: t.Optional[Policy]
    # What was told of a record set, by the kind of record.
    told: dict[str, Told] = field(default_factory=dict)
    caa: t.Optional[tuple[str, tuple[CaaProperty, ...]]] = None
    findings: list[Finding] = field(default_factory=list)
    record: t.Optional[StsRecord] = None
    texts: t.Optional[Texts] = None
    record_secure: t.Optional[bool] = None
    tlsrpt: t.Optional[TlsrptRecord] = None
    tlsrpt_texts: t.Optional[Texts] = None
    addresses: t.Optional[tuple[str, ...]] = None
    fetched: dict[str, Fetched] = field(default_factory=dict)
    certificates: list[Document] = field(default_factory=list)
    body: t.Optional[bytes] = None
    policy: t.Optional[Policy] = None
    mx: t.Optional[tuple[str, ...]] = None
    mx_ttl: t.Optional[int] = None
    mx_secure: t.Optional[bool] = None
    mx_failure: t.Optional[Finding] = None
    # The hosts that mail goes to, for want of MX records the domain itself.
    hosts: tuple[str, ...] = ()

    @property
    def judged(self) -> t.Optional[Policy]:
        """The policy whose MX patterns count, if MX hosts matter at all."""
        policy = self.wanted or self.policy
        return None if policy is None or policy.mode == "none" else policy


class DomainProbe:
    """Looks at domains, one by one."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def look_at(self, seen: Seen, *, caa: bool) -> None:
        """All that only this domain has; C(caa): also who may issue certificates for its policy host."""
        work = [self._sts_record(seen), self._tlsrpt_record(seen), self._policy(seen), self._mx(seen)]
        await asyncio.gather(*work, *([self._caa(seen)] if caa else []))

    # --- records ------------------------------------------------------------------------------------------

    async def _sts_record(self, seen: Seen) -> None:
        name = f"_mta-sts.{seen.domain}"
        answer = await self._ask(seen, name, self._means.lookup.txt(name))
        if answer is None:
            return
        seen.told["record"] = Told(answer.ttl, answer.alias, answer.zone)
        seen.texts = texts_at(answer.records, STS_VERSION)
        seen.record_secure = answer.secure
        if await self._is_dangling(seen, name, answer):
            return
        seen.record, findings = check_sts_records(name, answer.records)
        seen.findings += findings
        if seen.texts.foreign and await self._is_wildcard(seen.domain, answer):
            seen.findings = [_told_more(one, "record-foreign", "a wildcard answers: ") for one in seen.findings]
        if seen.record is None:
            await self._misplaced_records(seen)
        if answer.records:
            await self._authorities(seen, answer.alias or name)

    async def _is_dangling(self, seen: Seen, name: str, answer: Answer) -> bool:
        if not answer.alias or answer.records:
            return False
        seen.findings.append(
            Finding("delegation-broken", name, f"is a CNAME of {answer.alias}, where there is nothing")
        )
        return True

    async def _is_wildcard(self, domain: str, answer: Answer) -> bool:
        try:
            return (await self._means.lookup.txt(f"{NOBODY}.{domain}")).records == answer.records
        except DnsFailure:
            return False

    async def _misplaced_records(self, seen: Seen) -> None:
        for pattern in MISPLACED:
            name = pattern.format(seen.domain)
            for text in await self._texts(name, STS_VERSION):
                seen.findings.append(Finding("record-elsewhere", name, text))

    async def _texts(self, name: str, version: str) -> list[str]:
        """The texts that begin as our records do, at a name where none should be."""
        try:
            return texts_at((await self._means.lookup.txt(name)).records, version).ours
        except DnsFailure:
            return []

    async def _authorities(self, seen: Seen, name: str) -> None:
        """What each name server of the zone says of the record itself."""
        try:
            servers = (await self._means.lookup.name_servers(name)).records[:SERVERS_LIMIT]
        except DnsFailure:
            return
        found = await asyncio.gather(*(self._addresses(seen, server) for server in servers))
        targets = {address: server for server, addresses in zip(servers, found) for address in addresses}
        said = await asyncio.gather(*(self._say(address, name) for address in [*targets][:SERVERS_LIMIT]))
        labels = [f"{server} at {address}" for address, server in targets.items()]
        seen.findings += check_authorities(name, dict(zip(labels, said)))

    async def _addresses(self, seen: Seen, server: str) -> tuple[str, ...]:
        """Where a name server is reached."""
        try:
            addresses = (await self._means.lookup.addresses(server)).records
        except DnsFailure:
            # That may be otherwise in a moment.
            return ()
        if not addresses:
            seen.findings.append(Finding("authority-silent", server, "has no address in DNS"))
        return addresses

    async def _say(self, address: str, name: str) -> t.Optional[tuple[tuple[t.Any, ...], t.Optional[int]]]:
        try:
            answer = await self._means.lookup.txt_at(address, name)
        except DnsFailure:
            return None
        return answer.records, answer.ttl

    async def _tlsrpt_record(self, seen: Seen) -> None:
        name = f"_smtp._tls.{seen.domain}"
        answer = await self._ask(seen, name, self._means.lookup.txt(name))
        if answer is None:
            return
        seen.told["tlsrpt"] = Told(answer.ttl, answer.alias, answer.zone)
        seen.tlsrpt_texts = texts_at(answer.records, TLSRPT_VERSION)
        if await self._is_dangling(seen, name, answer):
            return
        seen.tlsrpt, findings = check_tlsrpt_records(seen.domain, answer.records)
        seen.findings += findings
        if seen.tlsrpt is None:
            old = OLD_TLSRPT.format(seen.domain)
            seen.findings += [Finding("tlsrpt-old-name", old, text) for text in await self._texts(old, TLSRPT_VERSION)]
            return
        for uri in seen.tlsrpt.rua[:TOLD_LIMIT]:
            scheme, host = report_target(uri)
            if scheme == "mailto" and not await self._takes_mail(host):
                seen.findings.append(Finding("tlsrpt-undeliverable", name, f"{uri}: {host} takes no mail"))

    async def _takes_mail(self, host: str) -> bool:
        try:
            hosts = (await self._means.lookup.mx(host)).records or (host,)
            addresses = [await self._means.lookup.addresses(one) for one in hosts[:2] if one]
        except DnsFailure:
            # That may be otherwise in a moment, and where it is told nobody can do anything about it.
            return True
        return any(one.records for one in addresses)

    async def _caa(self, seen: Seen) -> None:
        """Which certification authorities may issue for the policy host's name."""
        # Where DNS does not tell, nothing is known, and nothing wrong with what senders need.
        with contextlib.suppress(DnsFailure):
            seen.caa = await self._means.lookup.caa(f"mta-sts.{seen.domain}")

    # --- the policy ---------------------------------------------------------------------------------------

    async def _policy(self, seen: Seen) -> None:
        name = f"mta-sts.{seen.domain}"
        answer = await self._ask(seen, name, self._means.lookup.addresses(name))
        if answer is None:
            return
        seen.told["address"] = Told(answer.ttl, answer.alias, answer.zone)
        seen.addresses = answer.records
        if not answer.records:
            if not await self._is_dangling(seen, name, answer):
                seen.findings.append(Finding("policy-host-missing", name, "has no address in DNS"))
            return
        await asyncio.gather(*(self._fetch(seen, name, address) for address in answer.records))
        bodies = [seen.fetched[address].body for address in answer.records if address in seen.fetched]
        if len(set(bodies)) > 1:
            told = f"its {len(answer.records)} addresses serve {len(set(bodies))} different policies"
            seen.findings.append(Finding("policy-differs", f"https://{name}", told))
        if bodies:
            seen.body = bodies[0]
            seen.policy, findings = check_policy(f"https://{name}", bodies[0])
            seen.findings += findings

    async def _fetch(self, seen: Seen, name: str, address: str) -> None:
        subject = f"https://{name} at {address}"
        try:
            async with self._means.turns:
                fetched = await fetch_policy(name, address, self._means.contexts.strict, self._means.reach)
        except FetchFailure as error:
            leaf = await self._leaf(name, address) if error.code.startswith("policy-certificate") else None
            seen.findings.append(certificate_finding(error.code, subject, error.seen, leaf))
        else:
            seen.fetched[address] = fetched
            leaf = fetched.session.leaf()
            seen.findings += findings_of_session("policy", subject, fetched.session.version, leaf, self._means.now)
            if fetched.seconds > SLOW:
                seen.findings.append(Finding("policy-slow", subject, f"took {fetched.seconds:.1f} seconds"))
        if leaf is not None:
            seen.certificates.append(leaf.to_dict(subject))

    async def _leaf(self, name: str, address: str) -> t.Optional[Certificate]:
        """The certificate that does not verify, to say what is wrong with it."""
        try:
            async with self._means.turns:
                session = await shake_hands(name, address, self._means.contexts.lenient, self._means.reach)
        except FetchFailure:
            return None
        return session.leaf()

    # --- the MX hosts -------------------------------------------------------------------------------------

    async def _mx(self, seen: Seen) -> None:
        try:
            answer = await self._means.lookup.mx(seen.domain)
            seen.mx = tuple(host for host in answer.records if host)[:TOLD_LIMIT]
            seen.mx_ttl, seen.mx_secure = answer.ttl, answer.secure
            seen.hosts = answer.records[:TOLD_LIMIT]
            if not seen.hosts and (await self._means.lookup.addresses(seen.domain)).records:
                seen.hosts = (seen.domain,)
        except DnsFailure as error:
            seen.mx_failure = dns_finding(seen.domain, error)

    async def _ask(self, seen: Seen, name: str, answer: t.Awaitable[Answer]) -> t.Optional[Answer]:
        try:
            return await answer
        except DnsFailure as error:
            seen.findings.append(dns_finding(name, error))
            return None


def _told_more(finding: Finding, code: str, more: str) -> Finding:
    return Finding(code, finding.subject, more + finding.seen) if finding.code == code else finding
