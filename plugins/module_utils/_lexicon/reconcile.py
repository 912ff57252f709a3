# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings record sets to their wanted state through a provider's API.

Each zone is worked on by itself: its records are listed once, compared, and what differs is written, one call after the
other. Then the authoritative servers are waited for.
Private to this collection.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

try:
    import dns.name
    import dns.rdataset
    import dns.rdatatype
except ImportError:  # reported by the module, which needs it
    pass

from .._record_sets.answers import for_each, neighbour
from .._record_sets.authorities import Authorities, confirm
from .._record_sets.record_set import (
    RecordSet,
    ServerError,
    SetError,
    beside_alias,
    beside_data,
    contents,
    keep_together,
    overtaken,
    values_of,
)
from .content import TYPES, Record, content_of, rdataset_of
from .provider import Provider, ProviderError, Session

ZONES_AT_ONCE = 4
NAMES_AT_ONCE = 32
# What may stand in the way of an alias, as far as it is looked for: a provider tells its records type by type.
BESIDE_AN_ALIAS: t.Final = ("A", "AAAA", "CAA", "MX", "NS", "SRV", "TXT")


@dataclass
class Zone:
    """What is wanted in one zone, and how its provider tells it."""

    provider: Provider
    name: dns.name.Name
    record_sets: list[RecordSet]
    check_mode: bool
    # Why the zone cannot be worked on at all.
    closed: str = ""
    # Whether the provider tells the TTL of each record.
    tells_ttl: bool = True
    # The sets over which the provider stumbled.
    stumbled: list[RecordSet] = field(default_factory=list)
    _records: defaultdict[tuple[dns.name.Name, str], list[Record]] = field(default_factory=lambda: defaultdict(list))
    _removed: defaultdict[dns.name.Name, set[str]] = field(default_factory=lambda: defaultdict(set))

    def work(self) -> None:
        """Give each set its status."""
        for one in self.record_sets:
            if one.wanted is None:
                self._removed[one.name].add(one.type)
        try:
            with self.provider.session(self.name) as session:
                self._list(session)
                for one in self.record_sets:
                    self._guard(one, self._plan)
                keep_together(self.record_sets)
                self._write(session)
        except ProviderError as exc:
            # Of the session or the list, or of a call after which no other would fare better.
            self.closed = str(exc)
            for one in self._open():
                one.fail(str(exc))

    def _open(self) -> list[RecordSet]:
        return [one for one in self.record_sets if not one.status]

    def work_again(self) -> None:
        """Give the sets over which the provider stumbled a second chance, after a look at what became of them."""
        before = [(one, one.before) for one in self.stumbled]
        again = Zone(self.provider, self.name, self.stumbled, self.check_mode)
        for one in self.stumbled:
            # What it was found to be, it may be no longer.
            one.status, one.error, one.expected = "", "", None
        again.work()
        for one, was in before:
            one.before = was
            if one.status == "ok":
                one.status, one.applied = "changed", True

    def _guard(self, one: RecordSet, work: t.Callable[[RecordSet], None]) -> None:
        try:
            work(one)
        except ProviderError as exc:
            one.fail(str(exc))
            if exc.is_hopeless:
                raise
            if exc.is_temporary:
                self.stumbled.append(one)
        except SetError as exc:
            one.fail(str(exc))

    def _list(self, session: Session) -> None:
        types = {"CNAME", *(one.type for one in self.record_sets)} & set(TYPES)
        if any(one.type == "CNAME" and one.wanted is not None for one in self.record_sets):
            types |= set(BESIDE_AN_ALIAS)
        for rtype in sorted(types):
            for record in session.records(rtype):
                self._records[record.name, rtype].append(record)
                self.tells_ttl &= record.ttl is not None

    def _plan(self, one: RecordSet) -> None:
        if one.type not in TYPES:
            raise SetError(f"{one.type} sets cannot be kept through dns-lexicon here, {', '.join(TYPES)} sets can")
        ttl = 0 if one.wanted is None else one.wanted.ttl
        one.before = rdataset_of(one.rdtype, self._records[one.name, one.type], ttl)
        in_place = contents(one.before) == contents(one.wanted)
        alias = None if one.type == "CNAME" else self._alias(one.name)
        if alias is not None and one.wanted is not None and "CNAME" not in self._removed[one.name]:
            raise SetError(beside_alias(one, alias))
        if in_place and (one.before is None or one.wanted is None or one.before.ttl == one.wanted.ttl):
            one.status = "ok"
        elif one.type == "CNAME" and one.wanted is not None:
            others = {rtype for rtype in BESIDE_AN_ALIAS if self._records[one.name, rtype]} - self._removed[one.name]
            if others:
                raise SetError(beside_data(one, others))
        if not one.status:
            self._hold_to_expected(one)

    def _hold_to_expected(self, one: RecordSet) -> None:
        """Leave a set alone that is not what it was when somebody decided what it shall be."""
        if one.expected is None or one.expected == contents(one.before):
            return
        # What a wildcard or an alias answers is no set of the name, though it was seen as one.
        beside = neighbour(one.name)
        if one.before is None and beside is not None:
            wild = rdataset_of(one.rdtype, self._records[beside, one.type], 0)
            if self._alias(one.name) or self._alias(beside) or one.expected == contents(wild):
                return
        raise SetError(overtaken(one, self.provider, one.before))

    def _alias(self, name: dns.name.Name) -> dns.name.Name | None:
        rdataset = rdataset_of(dns.rdatatype.CNAME, self._records[name, "CNAME"], 0)
        return None if rdataset is None else rdataset[0].target

    def _write(self, session: Session) -> None:
        if self.check_mode:
            for one in self._open():
                one.status = "changed"
            return
        # Removals first, as an alias and other data change places.
        for one in sorted(self._open(), key=lambda one: one.wanted is not None):
            self._guard(one, lambda one: self._replace(session, one))

    def _replace(self, session: Session, one: RecordSet) -> None:
        """Make the set what is wanted, in an order in which no new value ever stands beside an old one.

        Two records where there has to be one count as none (RFC 8461 3.1, RFC 8460 3), for as long as it takes, or
        until the next run if this one dies here. So the old ones go first, but for one, in the place of which the first
        new one is put: with one call where the provider can, so that there is no time without a record either.
        """
        wanted = {rdata: content_of(rdata) for rdata in one.wanted or ()}
        ttl = 0 if one.wanted is None else one.wanted.ttl
        old = list(self._records[one.name, one.type])
        kept: set[object] = set()
        if one.before is not None and one.wanted is not None and one.before.ttl == ttl:
            for record in list(old):
                said = contents(rdataset_of(one.rdtype, [record], ttl))
                if said <= contents(one.wanted) and not said & kept:
                    kept |= said
                    old.remove(record)
        new = [text for rdata, text in wanted.items() if not contents(dns.rdataset.from_rdata(ttl, rdata)) & kept]
        for record in old[1:] if new else old:
            session.delete(record)
            one.applied = True
        if old and new:
            session.update(old[0], new.pop(0), ttl)
            one.applied = True
        for text in new:
            session.create(one.name, one.type, text, ttl)
            one.applied = True
        one.status = "changed"


async def reconcile(
    params: t.Mapping[str, t.Any], no_log_values: set[str], record_sets: list[RecordSet], check_mode: bool
) -> None:
    """Brings the sets to their wanted state at the provider, and sees them arrive on the authoritative servers.

    What must not be printed is put into C(no_log_values).
    """
    provider = Provider(params["provider"], params["credentials"], params["timeout"])
    no_log_values |= provider.redact.secrets
    provider.check()
    _hide(provider, no_log_values, record_sets)
    authorities = Authorities(params["authorities"], params["resolvers"], params["timeout"])
    try:
        for one in record_sets:
            if one.wanted is not None:
                one.wanted.ttl = max(one.wanted.ttl, params["minimum_ttl"])
            one.settle_if_seen()
        zones = await _zones(provider, authorities, record_sets, check_mode)
        # The providers' modules run in this process, and print what they like.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            await for_each(zones, ZONES_AT_ONCE, lambda zone: asyncio.to_thread(zone.work))
            # One after the other: PowerDNS with SQLite stumbles over writes to two zones at the same time.
            stumbled = [zone for zone in zones if zone.stumbled]
            await for_each(stumbled, 1, lambda zone: asyncio.to_thread(zone.work_again))
        closed = [zone.closed for zone in zones if zone.closed]
        if not check_mode:
            changed = [one for one in record_sets if one.status == "changed"]
            await confirm(changed, authorities, params["wait"], exact=all(zone.tells_ttl for zone in zones))
        if closed and len(closed) == len(zones):
            raise ServerError(closed[0])
    finally:
        await authorities.close()


def _hide(provider: Provider, no_log_values: set[str], record_sets: list[RecordSet]) -> None:
    """Leave what is in DNS anyway to be read, or names in the results would be garbled."""
    public = " ".join(
        f"{one.name} {one.item} {values_of(one.wanted)} {one.expected and sorted(map(str, one.expected))}"
        for one in record_sets
    )
    secrets = provider.hide(public)
    no_log_values -= set(provider.options.values()) - secrets
    no_log_values |= set(provider.redact.forms)


async def _zones(
    provider: Provider, authorities: Authorities, record_sets: list[RecordSet], check_mode: bool
) -> list[Zone]:
    """Sort the sets into their zones."""

    async def locate(one: RecordSet) -> None:
        try:
            one.zone = one.zone or await authorities.zone_of(one.name)
        except SetError as exc:
            one.fail(f"{exc}; give the zone, or the servers that know it")

    await for_each([one for one in record_sets if not one.status], NAMES_AT_ONCE, locate)
    by_zone: defaultdict[dns.name.Name, list[RecordSet]] = defaultdict(list)
    for one in record_sets:
        if not one.status:
            by_zone[t.cast("dns.name.Name", one.zone)].append(one)
    return [Zone(provider, zone, sets, check_mode) for zone, sets in by_zone.items()]
