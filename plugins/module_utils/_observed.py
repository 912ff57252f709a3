# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of a domain in the world outside: DNS, the policy that senders get, the MX hosts, the proof.

Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ._policy import Policy
from ._reported import Told

# What the address records of mta-sts.<domain> lead to.
ADDRESS_OURS = "ours"
ADDRESS_MISSING = "missing"
ADDRESS_ELSEWHERE = "elsewhere"
ADDRESS_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Proof:
    """The outcome of fetching a policy from every policy host, and once the public way."""

    # The id of the policy that was looked for; a proof of another policy proves nothing.
    id: str
    # How many fetches returned exactly the expected bytes, and what the others met.
    fetched: int
    failures: tuple[str, ...] = ()
    # Those of the failures that are of a policy host of ours which serves something else.
    differing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """What is known of a domain in the world outside. What is not known is none."""

    address: str = ADDRESS_UNKNOWN
    addresses: tuple[str, ...] = ()
    # The MTA-STS records in DNS, and the id of the one that senders accept.
    records: t.Optional[tuple[str, ...]] = None
    record_id: t.Optional[str] = None
    # The TTL in seconds with which the record is published.
    record_ttl: int = 3600
    # TXT records at _mta-sts.<domain> that do not begin as an MTA-STS record does.
    foreign_records: tuple[str, ...] = ()
    # Likewise at _smtp._tls.<domain>; then the TLSRPT records there, and the URIs of the one that senders accept.
    foreign_tlsrpt_records: tuple[str, ...] = ()
    tlsrpt_records: t.Optional[tuple[str, ...]] = ()
    tlsrpt: tuple[str, ...] = ()
    # Where the aliases of the three names end; empty for a name that is none.
    record_alias: str = ""
    address_alias: str = ""
    tlsrpt_alias: str = ""
    # The TTLs in seconds that DNS told, where it told any.
    ttls: t.Mapping[str, t.Optional[int]] = field(default_factory=dict)
    # The zones that have nothing at one of the three names: not even records of another type that we would keep there.
    zones: t.Mapping[str, str] = field(default_factory=dict)
    # Why the certification authority may not issue for mta-sts.<domain>; empty if it may.
    caa_refusal: str = ""
    # An address that is missing comes only when somebody has applied the records.
    others_apply: bool = False
    # What a sender gets now, and the ids of the policies that each address of mta-sts.<domain> serves.
    policy: t.Optional[Policy] = None
    served: t.Mapping[str, str] = field(default_factory=dict)
    # The MX hosts in DNS, the TTL of that record set in seconds, and why senders that enforce refuse hosts of it.
    mx: t.Optional[tuple[str, ...]] = None
    mx_ttl: int = 0
    mx_failures: tuple[str, ...] = ()
    # What senders reported of their sessions, where any of it may hold the domain.
    reported: tuple[Told, ...] = ()
    # Of policy hosts that did not get through the handshake.
    certificate_failures: tuple[str, ...] = ()
    # Likewise, where the certificate was not asked for yet.
    certificates_queued: tuple[str, ...] = ()
    proof: t.Optional[Proof] = None
    # Of policy hosts that serve the policy with the certificate that they had.
    renewal_failures: tuple[str, ...] = ()
    # Of policy hosts that have the certificate of a policy that is gone.
    removal_failures: tuple[str, ...] = ()
    # Of addresses elsewhere: there are others that lead to policy hosts.
    partly_ours: bool = False
