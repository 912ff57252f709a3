# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hold codes, one table: why a domain is not moved further, and what ends that.

A hold's code never changes its meaning. Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from dataclasses import dataclass

# What a hold keeps from happening.
ANNOUNCE: t.Final = "announce"  # the domain is pending: its record in DNS stays as it is
STEP: t.Final = "step"  # the domain is served and announced, and goes no further
NOTHING: t.Final = "nothing"  # told, and that is all


@dataclass(frozen=True)
class HoldKind:
    """What every hold of one code has in common."""

    effect: str
    # Time alone ends it; nobody has to do anything, and nothing is broken.
    waits: bool
    cause: str
    remedy: str


HOLD_KINDS: t.Final[dict[str, HoldKind]] = {
    # What is not known
    "unobserved": HoldKind(
        ANNOUNCE,
        False,
        "nothing was observed of the domain, so nothing is changed",
        "see why its probe host failed; then run again",
    ),
    "ledger-unread": HoldKind(
        ANNOUNCE,
        False,
        "the ledger of a policy host could not be read, so nobody knows what senders may hold; nothing is changed",
        "bring the host back, or take it out of the group for good; then run again",
    ),
    "clock": HoldKind(
        ANNOUNCE,
        False,
        "a clock is wrong, so no waiting time can be trusted; nothing is changed",
        "set the clocks of the controller and of the policy hosts; then run again",
    ),
    "history-lost": HoldKind(
        ANNOUNCE,
        False,
        "DNS announces a policy that nobody remembers and that may be one that enforces; nothing is served",
        "run again; if it stays so, mend the MX hosts that are named, or set mode: testing for the domain",
    ),
    "dns-failure": HoldKind(
        ANNOUNCE, False, "DNS did not answer, so DNS is left as it is", "mend the name servers of the domain"
    ),
    # What stands in the way of the announcement
    "address-elsewhere": HoldKind(
        ANNOUNCE,
        False,
        "mta-sts.<domain> leads to an address that is no policy host",
        "correct the address records, or allow them to be replaced with replace_foreign: true",
    ),
    "address-missing": HoldKind(
        ANNOUNCE,
        False,
        "mta-sts.<domain> has no address, and its records are kept elsewhere",
        "have the address records published where they are kept",
    ),
    "record-foreign": HoldKind(
        ANNOUNCE,
        False,
        "TXT records that are not ours stand at _mta-sts.<domain>",
        "remove them, or allow them to be replaced with replace_foreign: true",
    ),
    "delegation": HoldKind(
        ANNOUNCE,
        False,
        "the domain's own zone does not lead to the zone that keeps its records",
        "have the lines that the message names added to the domain's own zone",
    ),
    "policy-too-large": HoldKind(
        ANNOUNCE,
        False,
        "with the MX patterns that must stay for now, the policy is too large for some senders; nothing is changed",
        "move fewer MX hosts at a time, or use '*.' patterns",
    ),
    "certificate": HoldKind(
        ANNOUNCE,
        False,
        "a policy host has no certificate for mta-sts.<domain>",
        "mend what the message says; then run again",
    ),
    "certificate-queued": HoldKind(
        ANNOUNCE,
        True,
        "a run asks for so many certificates and no more; the next one goes on",
        "run again; policy_host_certificates_per_run sets the number",
    ),
    "proof-missing": HoldKind(ANNOUNCE, False, "the policy was not yet proved on every policy host", "run again"),
    "proof-failed": HoldKind(
        ANNOUNCE,
        False,
        "a policy host does not serve the expected policy to a strict sender",
        "mend what the message says; then run again",
    ),
    "record-failed": HoldKind(
        ANNOUNCE,
        False,
        "a DNS record could not be brought to its wanted state",
        "mend what the name server says; then run again",
    ),
    "record-awaited": HoldKind(
        ANNOUNCE,
        False,
        "a DNS record is to be put in place by whoever keeps the zone",
        "apply the records that the message names; then run again",
    ),
    # On the way to enforce
    "testing-period": HoldKind(
        STEP, True, "the policy is tested before it is enforced", "wait; testing_days sets the period"
    ),
    "mx-unready": HoldKind(
        STEP,
        False,
        "an MX host is not ready for 'enforce': senders would refuse it",
        "mend the MX host, or set gate: false to enforce all the same",
    ),
    "mx-reported": HoldKind(
        STEP,
        False,
        "senders reported sessions that they would have refused under 'enforce'",
        "mend the MX host; the hold ends when they report that all goes well, or with time; gate: false passes it over",
    ),
    "mx-failing": HoldKind(
        STEP,
        False,
        "the domain enforces, and senders refuse an MX host of it; it is not taken back to testing",
        "mend the MX host now, or take it out of DNS",
    ),
    # While MX hosts move
    "mx-new": HoldKind(
        STEP,
        True,
        "an MX host of the policy is not in DNS yet, and senders may hold policies without it",
        "put it into DNS only when the time has come",
    ),
    "mx-early": HoldKind(
        STEP,
        False,
        "an MX host is in DNS already, and senders that hold a policy without it refuse it",
        "take it out of DNS until then, or keep an older MX host beside it",
    ),
    "mx-needed": HoldKind(
        STEP,
        True,
        "an MX host that the inventory no longer names is still in DNS, or in caches; its pattern stays",
        "take it out of DNS; the pattern goes when its TTL has passed",
    ),
    # On the way out
    "withdrawal-policies": HoldKind(
        STEP,
        True,
        "mode none is served and announced until every policy that a sender may hold has expired",
        "wait, and keep the entry in the inventory",
    ),
    "withdrawal-record": HoldKind(
        STEP,
        True,
        "the record is gone from DNS; the policy stays until it is gone from every cache",
        "wait, and keep the entry in the inventory",
    ),
    # Told beside the rest
    "renewal": HoldKind(
        NOTHING,
        False,
        "a policy host could not refresh its certificate, or not remove that of a policy that is gone",
        "mend what the message says, before the certificate expires",
    ),
    "caa": HoldKind(
        NOTHING,
        False,
        "CAA records keep the certification authority from issuing, so no certificate is asked for, or can be renewed",
        "let it issue with a CAA record, or name its identities in mta_sts_caa_identities",
    ),
    "tlsrpt-awaited": HoldKind(
        NOTHING,
        False,
        "the TLSRPT record is to be put in place by whoever keeps the zone; the policy goes on without it",
        "apply the record that the message names",
    ),
    "tlsrpt-delegation": HoldKind(
        NOTHING,
        False,
        "_smtp._tls.<domain> does not lead to the TLSRPT record that is kept for it",
        "have the line that the message names added to the domain's own zone",
    ),
    "tlsrpt-others": HoldKind(
        NOTHING,
        False,
        "the domain has a TLSRPT record of somebody else, which is left as it is",
        "name its addresses in the inventory, or set tlsrpt_others to merge or replace",
    ),
    "tlsrpt-foreign": HoldKind(
        NOTHING,
        False,
        "a TXT record that is not ours keeps the TLSRPT record out; the policy goes on without it",
        "remove it, or allow it to be replaced with replace_foreign: true",
    ),
}


@dataclass(frozen=True)
class Hold:
    """Why a domain is not moved further in this run, and from when it may be, where that is known."""

    code: str
    message: str
    until: t.Optional[dt.datetime] = None

    @property
    def kind(self) -> HoldKind:
        return HOLD_KINDS[self.code]

    @property
    def keeps_from_announcing(self) -> bool:
        return self.kind.effect == ANNOUNCE
