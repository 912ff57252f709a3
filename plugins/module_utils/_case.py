# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All that a decision about one domain is made from, and what follows from it alone.

Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from dataclasses import dataclass

from ._history import DAY, History, Outstanding, Served, forgotten
from ._inventory import DEFAULT_MAX_AGE, Desired
from ._observed import Observed
from ._policy import Policy, PolicyError, policy_id, render_policy


@dataclass(frozen=True)
class Case:
    """All that a decision is made from."""

    desired: Desired
    past: History
    observed: Observed
    now: dt.datetime
    found: t.Optional[Served]

    @property
    def after_unknown(self) -> bool:
        """Somebody announced a policy, and nothing is known of it."""
        known = any(not served.interrupted for served in self.past.served)
        return not known and bool(self.observed.records)

    @property
    def published(self) -> tuple[Policy, ...]:
        """What senders get now or, while DNS announces what nobody serves, what it was."""
        current, announced = self.past.current(self.now), self.observed.record_id
        if current or announced is None:
            return current
        policies = dict.fromkeys(served.policy for served in self.past.served)
        known = tuple(policy for policy in policies if id_of(policy) == announced)
        return known or self.past.last(self.now)

    @property
    def outstanding(self) -> tuple[Outstanding, ...]:
        max_age = max(self.desired.max_age, DEFAULT_MAX_AGE)
        lost = self.after_unknown or (self.past.unaware and bool(self.observed.records))
        unknown = (forgotten(self.now, max_age),) if lost else ()
        return self.past.outstanding(self.now, max_age) + unknown

    def lasting(self, condition: str, holds: t.Optional[bool]) -> t.Optional[dt.datetime]:
        """Since when a condition has held; C(holds) is none where that cannot be told now, and nothing changes."""
        if holds is False:
            return None
        return self.past.conditions.get(condition, self.now if holds else None)


def id_of(policy: Policy) -> t.Optional[str]:
    """The id of a policy; none for one of others that is too large for us."""
    try:
        return policy_id(render_policy(policy))
    except PolicyError:
        return None


def in_caches(ttl: int) -> dt.timedelta:
    """How long an answer may be in caches; hardly any TTL is longer than a day, and many are told too short.

    Resolvers keep nothing for longer than a week, whatever they are told.
    """
    return min(max(dt.timedelta(seconds=ttl), DAY), 7 * DAY)
