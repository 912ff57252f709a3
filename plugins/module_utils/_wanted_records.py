# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The DNS record sets of a domain as they shall be now, in the order of a run: what is prepared, what is announced.

What DNS was seen to have as it shall be is left out, so that a run with nothing to do asks nobody. Where others put
the records into DNS it is told all the same, since their files are whole or useless.

Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ._evidence import Site
from ._finding import SEEN_LIMIT
from ._hold import STEP
from ._inventory import Desired
from ._lifecycle import ANNOUNCE, REMOVE, STAGES, Decision
from ._observed import ADDRESS_OURS, Observed
from ._policy import policy_id, render_policy
from ._record import render_sts_record, render_tlsrpt_record

Document = dict[str, t.Any]
Sets = list[Document]


def expected_record(live: Document) -> t.Optional[list[str]]:
    """What was seen: another rollout may have changed it since, and its id is not to be replaced by an older one.

    Nothing is expected where what was seen may not be the very text: records of others are cut, and made printable.
    """
    records = live["records"]
    if records is None or live["foreign_records"] or not all(map(_is_whole, records)):
        return None
    return list(records)


def _is_whole(text: str) -> bool:
    return len(text) < SEEN_LIMIT and text.isascii() and not set(text) & {"?", "\\"}


@dataclass(frozen=True)
class WantedRecords:
    """Of one domain, from what was decided and what was seen."""

    desired: Desired
    decision: Decision
    observed: Observed
    site: Site

    @property
    def ttl(self) -> int:
        """Short while something is about to change, so that it is known everywhere soon."""
        steady = self.decision.stage in STAGES.values() and not any(
            hold.kind.effect == STEP for hold in self.decision.holds
        )
        return self.site.ttl if steady else min(self.site.ttl, self.site.ttl_changing)

    def prepare(self) -> Sets:
        """Records that do no harm before the policy is served, and that certificates may need."""
        if not self.decision.serve:
            return []
        sets = []
        if self._may_lead_to_us():
            sets += self._addresses()
        if self.decision.tlsrpt:
            sets += self._tlsrpt([render_tlsrpt_record(self.decision.tlsrpt)])
        return sets

    def announce(self, expected: t.Optional[list[str]]) -> Sets:
        """Records that may change only when every policy host was proved, and those that go at the end."""
        decision = self.decision
        sets: Sets = []
        if decision.record == ANNOUNCE and decision.policy is not None:
            sets += self._record([render_sts_record(policy_id(render_policy(decision.policy)))], expected)
            # A policy host that joins gets its first senders only now that it is known to serve.
            if self._manages_addresses() and self._is_partly_ours():
                sets += self._addresses()
        elif decision.record == REMOVE:
            sets += self._record([], expected)
        if decision.remove and self.desired.manage_address and self._leads_to_us():
            sets += [self._set(self.desired.address_name, rdtype, []) for rdtype in ("A", "AAAA", "CNAME")]
        if decision.remove and decision.tlsrpt == ():
            sets.append(self._set(self.desired.tlsrpt_name, "TXT", []))
        return sets

    # --- addresses ----------------------------------------------------------------------------------------

    def _manages_addresses(self) -> bool:
        """Whether the name's own records are ours to keep: not, where it is an alias that somebody has made."""
        desired, alias = self.desired, self.observed.address_alias
        return desired.manage_address and (not alias or bool(self.site.cname) or alias == desired.address_name)

    def _leads_to_us(self) -> bool:
        return self.observed.address == ADDRESS_OURS

    def _is_partly_ours(self) -> bool:
        return self._leads_to_us() and set(self.observed.addresses) != set(self.site.addresses) and not self.site.cname

    def _may_lead_to_us(self) -> bool:
        """Whether the name may lead to the policy hosts before they are proved."""
        if not self.desired.manage_address or self._is_partly_ours():
            return False
        if self._leads_to_us():
            return self._manages_addresses()
        # What a zone of ours has, nobody sees before the domain's own zone leads there.
        unseen = bool(self.desired.delegation) and self.observed.address_alias != self.desired.address_name
        return self.decision.certificate or unseen or self._waits_for_others()

    def _waits_for_others(self) -> bool:
        return self.observed.others_apply and (not self.observed.addresses or self.desired.replace_foreign)

    def _addresses(self) -> Sets:
        values: dict[str, list[str]] = {"A": [], "AAAA": [], "CNAME": []}
        if self.site.cname:
            values["CNAME"] = [self.site.cname]
        else:
            for address in self.site.addresses:
                values["AAAA" if ":" in address else "A"].append(address)
        if self._leads_to_us() and not self._is_partly_ours():
            return self._in_place("address", [self._set(self.desired.address_name, *one) for one in values.items()])
        if "address" in self.observed.zones and not self.desired.delegation:
            return [
                self._new("address", self._set(self.desired.address_name, *one)) for one in values.items() if one[1]
            ]
        # The types that are not wanted are emptied in the same step: a CNAME tolerates nothing beside it.
        return [self._set(self.desired.address_name, rdtype, texts) for rdtype, texts in sorted(values.items())]

    # --- texts --------------------------------------------------------------------------------------------

    def _record(self, values: list[str], expected: t.Optional[list[str]]) -> Sets:
        one = self._set(self.desired.record_name, "TXT", values)
        observed = self.observed
        at_its_place = observed.record_alias == (self.desired.record_name if self.desired.delegation else "")
        if values and at_its_place and list(observed.records or ()) == values and not observed.foreign_records:
            return self._in_place("record", [one])
        # What stands at another name is no matter of this one.
        return [self._new("record", one if expected is None or not at_its_place else {**one, "expected": expected})]

    def _tlsrpt(self, values: list[str]) -> Sets:
        one = self._set(self.desired.tlsrpt_name, "TXT", values)
        observed = self.observed
        at_its_place = observed.tlsrpt_alias == (self.desired.tlsrpt_name if self.desired.delegation else "")
        only = len(observed.tlsrpt_records or ()) == 1 and not observed.foreign_tlsrpt_records
        if at_its_place and only and observed.tlsrpt == self.decision.tlsrpt:
            return self._in_place("tlsrpt", [one])
        return [self._new("tlsrpt", one)]

    # --- what they have in common -------------------------------------------------------------------------

    def _in_place(self, kind: str, sets: Sets) -> Sets:
        """What is there already: told anew if its TTL shall be another one, and to those who want to know all."""
        present = [one for one in sets if one["values"]]
        if self.observed.others_apply:
            return [{**one, "seen": True} for one in present]
        ttl = self.observed.ttls.get(kind)
        return [] if ttl is None or ttl == self.ttl else present

    def _new(self, kind: str, one: Document) -> Document:
        """A set, with the zone that was seen to have nothing at its name: nobody needs to look again."""
        zone = "" if self.desired.delegation else self.observed.zones.get(kind, "")
        return {**one, "expected": [], "zone": zone} if zone else one

    def _set(self, name: str, rdtype: str, values: list[str]) -> Document:
        return {"item": self.desired.domain, "name": name, "type": rdtype, "ttl": self.ttl, "values": values}
