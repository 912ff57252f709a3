# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One MX host as senders meet it: its addresses, STARTTLS at each of them, and its TLSA records.

What is found does not depend on the domain, so a host that serves many of them is looked at once.
Private to this collection.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import typing as t
from dataclasses import dataclass, field

from .._finding import Finding
from .connect import Reach
from .dane import is_usable, matches, tlsa_name, tlsa_text
from .dns import Answer, DnsBogus, DnsFailure, Lookup, Tlsa
from .smtp import SmtpFailure, probe_starttls
from .tls import Contexts, Document, Session, certificate_finding, findings_of_session

# So many TLSA records are told of one host.
TLSA_LIMIT: t.Final = 16


@dataclass
class MxHost:
    """What was seen of one MX host."""

    findings: list[Finding] = field(default_factory=list)
    certificates: list[Document] = field(default_factory=list)
    tlsa: tuple[Tlsa, ...] = ()
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


class MxProbe:
    """Looks at MX hosts."""

    def __init__(
        self, lookup: Lookup, contexts: Contexts, reach: Reach, turns: asyncio.Semaphore, now: dt.datetime
    ) -> None:
        self._lookup = lookup
        self._contexts = contexts
        self._reach = reach
        self._turns = turns
        self._now = now

    async def look_at(self, host: str, seen: MxHost) -> None:
        """What every sender meets at a host."""
        try:
            addresses = await self._lookup.addresses(host)
        except DnsFailure as error:
            seen.findings.append(dns_finding(host, error))
            return
        if addresses.alias:
            seen.findings.append(Finding("mx-alias", host, f"is a CNAME of {addresses.alias}"))
        if not addresses.records:
            seen.findings.append(Finding("mx-address-missing", host, "has no address in DNS"))
            return
        await self._read_tlsa(host, addresses, seen)
        await asyncio.gather(*(self._look_at_address(host, address, seen) for address in addresses.records))

    async def _read_tlsa(self, host: str, addresses: Answer, seen: MxHost) -> None:
        name = tlsa_name(host)
        try:
            answer = await self._lookup.tlsa(name)
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
            texts = "; ".join(tlsa_text(record) for record in seen.tlsa[:TLSA_LIMIT])
            seen.findings.append(Finding("dane-unusable", name, texts))

    async def _look_at_address(self, host: str, address: str, seen: MxHost) -> None:
        subject = f"{host}:{self._reach.smtp_port} at {address}"
        try:
            session = await self._probe(host, address, self._contexts.strict)
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
            seen.findings += findings_of_session("mx", subject, session.version, leaf, self._now)
            if session.version == "TLSv1.3" and not await self._takes_12(host, address):
                seen.findings.append(Finding("mx-tls-without-12", subject, "takes TLS 1.3 alone"))
        seen.versions.add(session.version)
        if leaf is not None:
            seen.certificates.append(leaf.to_dict(subject))
        if seen.protected and not matches(seen.tlsa, session.chain, host, self._now):
            texts = "; ".join(tlsa_text(record) for record in seen.tlsa[:TLSA_LIMIT])
            seen.findings.append(
                Finding("dane-mismatch", subject, f"serves a chain that none of these is for: {texts}")
            )

    async def _look_again(self, host: str, address: str) -> t.Optional[Session]:
        """The session of who does not mind what is served, to say what it was."""
        try:
            return await self._probe(host, address, self._contexts.lenient)
        except SmtpFailure:
            return None

    async def _takes_12(self, host: str, address: str) -> bool:
        try:
            await self._probe(host, address, self._contexts.only_12)
        except SmtpFailure as error:
            # Who answers no more than once in a while may take it all the same.
            return error.code != "mx-tls"
        return True

    async def _probe(self, host: str, address: str, context: ssl.SSLContext) -> Session:
        async with self._turns:
            return await probe_starttls(host, address, context, self._reach)
