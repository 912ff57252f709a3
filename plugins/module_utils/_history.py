# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was served before, and what senders may therefore hold (RFC 8461 3.2 max_age, 5.1, 8.3).

Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from dataclasses import dataclass, field, replace

from ._hold import Hold
from ._inventory import DEFAULT_MAX_AGE
from ._names import mx_matches
from ._policy import Policy

DAY: t.Final = dt.timedelta(days=1)
CLOCKS_DIFFER: t.Final = dt.timedelta(minutes=10)
# What a run replaces is served until it gets there.
LONGEST_RUN: t.Final = dt.timedelta(hours=1)
# By how much later than is known a sender may have fetched a policy.
TOLERANCE: t.Final = LONGEST_RUN + CLOCKS_DIFFER
# A policy that somebody else serves may be fetched there until the addresses have left all caches.
ELSEWHERE_LASTS: t.Final = DAY


@dataclass(frozen=True)
class Served:
    """A policy that a policy host served from C(since) to C(until); none: it does so now."""

    host: str
    policy: Policy
    since: dt.datetime
    until: t.Optional[dt.datetime] = None
    # What was served before it, nobody remembers.
    after_unknown: bool = False
    # It was written down, and is not there: a run died before it served it, or after it replaced it.
    interrupted: bool = False


@dataclass(frozen=True)
class Outstanding:
    """A policy that a sender may hold now, and until when; none: one that nobody remembers."""

    policy: t.Optional[Policy]
    expires: dt.datetime

    @property
    def enforces(self) -> bool:
        return self.policy is None or self.policy.mode == "enforce"

    def accepts(self, pattern: str) -> bool:
        """Whether a sender that holds it delivers to the MX hosts of a pattern."""
        return self.policy is not None and (
            pattern in self.policy.mx or (not pattern.startswith("*.") and mx_matches(pattern, self.policy.mx))
        )


@dataclass(frozen=True)
class History:
    """What the ledgers of all policy hosts say of one domain."""

    served: tuple[Served, ...] = ()
    # What has been so without interruption, and since when.
    conditions: t.Mapping[str, dt.datetime] = field(default_factory=dict)
    # Why nothing may be changed: the ledgers do not tell all that has to be known.
    frozen: tuple[Hold, ...] = ()
    # A policy host knows nothing of the domain: it is new, or lost what it alone knew.
    unaware: bool = False

    def current(self, now: dt.datetime) -> tuple[Policy, ...]:
        """The policies that a sender may get now, each once."""
        return tuple(
            dict.fromkeys(served.policy for served in self.served if served.until is None or served.until > now)
        )

    def last(self, now: dt.datetime) -> tuple[Policy, ...]:
        """The policies that were certainly served, and the last of those, each once."""
        certain = [served for served in self.served if not served.interrupted]
        last = max((served.until or now for served in certain), default=now)
        return tuple(dict.fromkeys(served.policy for served in certain if (served.until or now) == last))

    def outstanding(self, now: dt.datetime, forgotten_max_age: int = DEFAULT_MAX_AGE) -> tuple[Outstanding, ...]:
        """The policies that a sender may hold now, also one that never looks at the id.

        A policy that nobody remembers is taken to have had C(forgotten_max_age), in seconds, or that of the first
        one that is remembered, if that is longer.
        """
        longest: dict[t.Optional[Policy], Outstanding] = {}

        def hold(one: Outstanding) -> None:
            known = longest.get(one.policy)
            if known is None or one.expires > known.expires:
                longest[one.policy] = one

        for served in self.served:
            hold(Outstanding(served.policy, expiry(served.until or now, served.policy.max_age)))
            if served.after_unknown:
                hold(forgotten(served.since, max(forgotten_max_age, served.policy.max_age)))
        return tuple(one for one in longest.values() if one.expires > now)

    def with_found(
        self, policy: t.Optional[Policy], now: dt.datetime, *, elsewhere: bool
    ) -> tuple[History, t.Optional[Served]]:
        """This history and, if senders get a policy that no policy host serves, that one: it is served until now.

        C(elsewhere): senders are led to others. What these serve does not end with what a policy host serves alike, and
        where it cannot be seen now, it is taken to be what was found last.
        """
        if policy is None and elsewhere:
            before = [one for one in self.served if one.after_unknown and one.until is not None]
            held = [one for one in before if expiry(one.until or now, one.policy.max_age) > now]
            policy = max(held, key=lambda one: one.until or now).policy if held else None
        ours = any(policy == served.policy for served in self.served if served.until is None)
        if policy is None or (ours and not elsewhere):
            return self, None
        found = Served("elsewhere", policy, now, now + ELSEWHERE_LASTS, after_unknown=not ours)
        return replace(self, served=(*self.served, found)), found


def forgotten(until: dt.datetime, max_age: int) -> Outstanding:
    """The policy that was served until a time, and that nobody remembers: it may have been elsewhere, too."""
    return Outstanding(None, expiry(until + ELSEWHERE_LASTS, max_age))


def expiry(fetched: dt.datetime, max_age: int) -> dt.datetime:
    """Until when a sender may hold a policy that it can have fetched until a time."""
    return fetched + dt.timedelta(seconds=max_age) + TOLERANCE
