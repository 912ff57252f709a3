# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One MX host as senders meet it: its addresses, STARTTLS at each of them, and its TLSA records.

What is found does not depend on the domain, so a host that serves many of them is looked at once.
Private to this collection.
"""

from __future__ import annotations

import asyncio
import ssl
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from .._finding import Finding
from .answer import Answer, DnsBogus, DnsFailure, Tlsa
from .connect import CONNECTIONS_TO_AN_MX_HOST, Reach
from .dane import is_usable, matches, tlsa_name, tlsa_text
from .means import Means
from .older_python import timeout
from .smtp import SmtpFailure, probe_starttls
from .tls import Document, Session, certificate_finding, findings_of_session

# So many TLSA records are told of one host.
TLSA_LIMIT: t.Final = 16


@dataclass
class MxHost:
    """What was seen of one MX host."""

    findings: list[Finding] = field(default_factory=list)
    certificates: list[Document] = field(default_factory=list)
    tlsa: tuple[Tlsa, ...] = ()
    # Those of them that match what is served at some address, and at how many it was seen what is.
    matched: set[Tlsa] = field(default_factory=set)
    met: int = 0
    versions: set[str] = field(default_factory=set)
    # Whether senders that know DANE find records that they use; none: that is not known.
    protected: t.Optional[bool] = None

    def to_dict(self) -> Document:
        """The host as it stands in the documents."""
        return {
            "certificates": self.certificates,
            "tlsa": [tlsa_text(record) for record in self.tlsa[:TLSA_LIMIT]],
            "tls": sorted(self.versions),
        }


def dns_finding(subject: str, error: DnsFailure) -> Finding:
    """A look-up that failed."""
    return Finding("dnssec-bogus" if isinstance(error, DnsBogus) else "dns-failure", subject, str(error))


def incomplete_finding(subject: str, reach: Reach) -> Finding:
    """What took too long."""
    return Finding("probe-incomplete", subject, f"was not done after {reach.deadline:g} seconds")


def _texts(records: t.Sequence[Tlsa]) -> str:
    return "; ".join(tlsa_text(record) for record in records[:TLSA_LIMIT])


@dataclass
class _Address:
    """What names of MX hosts share that lead to one address: turns to connect, and what does not depend on the name."""

    turns: asyncio.Semaphore
    unreachable: t.Optional[SmtpFailure] = None
    takes_12: t.Optional[bool] = None


class MxProbe:
    """Looks at MX hosts; the only one that does, as they take but so many connections at a time."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._addresses: defaultdict[str, _Address] = defaultdict(
            lambda: _Address(asyncio.Semaphore(CONNECTIONS_TO_AN_MX_HOST))
        )

    async def look_at(self, host: str, seen: MxHost) -> None:
        """What every sender meets at a host."""
        try:
            async with timeout(self._means.reach.deadline):
                addresses = await self._look_up(host, seen)
        except TimeoutError:
            seen.findings.append(incomplete_finding(host, self._means.reach))
            return
        await asyncio.gather(*(self._look_at_address(host, address, seen) for address in addresses))
        spare = [record for record in seen.tlsa if is_usable(record) and record not in seen.matched]
        # Of an address that was not met nobody knows what it serves.
        if seen.matched and spare and seen.met == len(addresses):
            seen.findings.append(Finding("dane-unmatched", tlsa_name(host), _texts(spare)))

    async def _look_up(self, host: str, seen: MxHost) -> t.Sequence[str]:
        """The addresses of a host, and its TLSA records."""
        try:
            addresses = await self._means.lookup.addresses(host)
        except DnsFailure as error:
            seen.findings.append(dns_finding(host, error))
            return ()
        if addresses.alias:
            seen.findings.append(Finding("mx-alias", host, f"is a CNAME of {addresses.alias}"))
        if not addresses.records:
            seen.findings.append(Finding("mx-address-missing", host, "has no address in DNS"))
            return ()
        await self._read_tlsa(host, addresses, seen)
        return addresses.records

    async def _read_tlsa(self, host: str, addresses: Answer, seen: MxHost) -> None:
        name = tlsa_name(host)
        try:
            answer = await self._means.lookup.tlsa(name)
        except DnsFailure as error:
            # Where addresses are not secure, no sender asks for TLSA records (RFC 7672 2.2).
            if addresses.secure or isinstance(error, DnsBogus):
                seen.findings.append(dns_finding(name, error))
            return
        seen.tlsa = answer.records
        seen.protected = answer.secure and any(map(is_usable, seen.tlsa))
        if seen.tlsa and not answer.secure:
            seen.findings.append(Finding("dane-insecure", name, f"{len(seen.tlsa)} TLSA records without DNSSEC"))
        elif seen.tlsa and not seen.protected:
            seen.findings.append(Finding("dane-unusable", name, _texts(seen.tlsa)))
        elif not all(map(is_usable, seen.tlsa)):
            unusable = [record for record in seen.tlsa if not is_usable(record)]
            seen.findings.append(Finding("dane-partly-unusable", name, _texts(unusable)))

    async def _look_at_address(self, host: str, address: str, seen: MxHost) -> None:
        subject = f"{host}:{self._means.reach.smtp_port} at {address}"
        # How long it takes until it is our turn says nothing of the host.
        async with self._addresses[address].turns, self._means.turns:
            try:
                async with timeout(self._means.reach.deadline):
                    await self._meet(host, address, subject, seen)
            except TimeoutError:
                seen.findings.append(incomplete_finding(subject, self._means.reach))

    async def _meet(self, host: str, address: str, subject: str, seen: MxHost) -> None:
        try:
            session = await self._probe(host, address, self._means.contexts.strict)
        except SmtpFailure as error:
            if not error.code.startswith("mx-certificate"):
                seen.findings.append(Finding(error.code, subject, error.seen))
                return
            looked = await self._look_again(host, address)
            leaf = looked.leaf() if looked else None
            seen.findings.append(certificate_finding(error.code, subject, error.seen, leaf))
            if looked is None:
                return
            session = looked
        else:
            leaf = session.leaf()
            seen.findings += findings_of_session("mx", subject, session.version, leaf, self._means.now)
            if session.version == "TLSv1.3" and not await self._takes_12(host, address):
                seen.findings.append(Finding("mx-tls-without-12", subject, "takes TLS 1.3 alone"))
        seen.versions.add(session.version)
        if leaf is not None:
            seen.certificates.append(leaf.to_dict(subject))
        if seen.protected:
            found = {one for one in seen.tlsa if matches([one], session.chain, host, self._means.now)}
            seen.matched |= found
            seen.met += 1
            if not found:
                text = f"serves a chain that none of these is for: {_texts(seen.tlsa)}"
                seen.findings.append(Finding("dane-mismatch", subject, text))

    async def _look_again(self, host: str, address: str) -> t.Optional[Session]:
        """The session of who does not mind what is served, to say what it was."""
        try:
            return await self._probe(host, address, self._means.contexts.lenient)
        except SmtpFailure:
            return None

    async def _takes_12(self, host: str, address: str) -> bool:
        known = self._addresses[address]
        if known.takes_12 is None:
            known.takes_12 = True
            try:
                await self._probe(host, address, self._means.contexts.only_12)
            except SmtpFailure as error:
                # Who answers no more than once in a while may take it all the same.
                known.takes_12 = error.code != "mx-tls"
        return known.takes_12

    async def _probe(self, host: str, address: str, context: ssl.SSLContext) -> Session:
        known = self._addresses[address]
        if known.unreachable is not None:
            raise known.unreachable
        try:
            return await probe_starttls(host, address, context, self._means.reach)
        except SmtpFailure as error:
            if not error.connected:
                known.unreachable = error
            raise
