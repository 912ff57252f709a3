# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The MX hosts of a domain and the patterns of its policy: which stay, which may come, and which senders would refuse.

Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from ._case import Case, in_caches
from ._hold import Hold
from ._names import mx_matches
from ._observed import Observed

# A condition that the ledgers keep, and the pattern after it: since when no MX host in DNS needs it.
UNNEEDED = "unneeded "
# So many patterns of one policy may stay: what others publish is not bounded otherwise.
KEPT_LIMIT: t.Final = 400


def kept_patterns(case: Case) -> tuple[tuple[str, ...], dict[str, dt.datetime], tuple[Hold, ...]]:
    """The patterns that the inventory no longer names and that stay, with the conditions and holds they come with.

    A pattern stays until no sender can find an MX host of it in DNS, or in a cache (RFC 8461 8.3).
    """
    desired, observed, now = case.desired, case.observed, case.now
    if desired.mode == "none":
        return (), {}, ()
    served = [pattern for policy in case.published for pattern in policy.mx[:KEPT_LIMIT]]
    kept: list[str] = []
    since: dict[str, dt.datetime] = {}
    holds = []
    for pattern in dict.fromkeys(served):
        if pattern in desired.mx or (not pattern.startswith("*.") and mx_matches(pattern, desired.mx)):
            continue
        needed = None if observed.mx is None else _only_matched_by(pattern, observed.mx, desired.mx)
        unneeded = case.lasting(UNNEEDED + pattern, None if needed is None else not needed)
        if unneeded is not None:
            since[UNNEEDED + pattern] = unneeded
        gone = unneeded + in_caches(observed.mx_ttl) if unneeded is not None else None
        if gone is None or gone > now or needed is None:
            kept.append(pattern)
            where = f"{', '.join(needed)} is still in DNS" if needed else "it may still be in caches"
            if needed is None:
                where, gone = "DNS did not answer for the MX hosts", None
            holds.append(Hold("mx-needed", f"the pattern {pattern} stays: {where}", gone))
    return tuple(kept), since, tuple(holds)


def _only_matched_by(pattern: str, hosts: t.Iterable[str], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(host for host in hosts if mx_matches(host, [pattern]) and not mx_matches(host, others))


def mx_failures(mx: t.Iterable[str], observed: Observed) -> tuple[str, ...]:
    """Why senders would refuse MX hosts of the domain under a policy of these patterns (RFC 8461 4.1, 4.2)."""
    if observed.mx is None:
        return ("DNS did not answer for the MX hosts",)
    if not observed.mx:
        return ("the domain has no MX record that names a host",)
    patterns = tuple(mx)
    unmatched = [
        f"{host} is matched by no pattern of the policy" for host in observed.mx if not mx_matches(host, patterns)
    ]
    return (*unmatched, *observed.mx_failures)


def holds_of_mx(case: Case, mx: tuple[str, ...], *, enforces: bool) -> tuple[Hold, ...]:
    """When an MX host may come into DNS, and which have come too early.

    A sender refuses a host that the policy it holds does not name, whatever is served now (RFC 8461 8.3).
    """
    enforced = [one for one in case.outstanding if one.enforces]
    live = case.observed.mx or ()
    holds = []
    for host in live:
        refusing = [one.expires for one in enforced if one.policy is not None and not one.accepts(host)]
        # Of one that the policy itself does not name, mx-failing tells.
        if refusing and (not enforces or mx_matches(host, mx)):
            holds.append(Hold("mx-early", f"{host} is in DNS, and senders may hold a policy without it", max(refusing)))
    for pattern in case.desired.mx:
        refusing = [one.expires for one in enforced if not one.accepts(pattern)]
        # Of a '*.' pattern more hosts may come than those that are there.
        if refusing and pattern not in live:
            holds.append(
                Hold("mx-new", f"put {pattern} into DNS only then: senders may hold policies without it", max(refusing))
            )
    return tuple(holds)
