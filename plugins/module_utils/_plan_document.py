# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shape of a plan document, for those who carry it out and need nothing of how it is made.

What a module imports is sent to the host with it. Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t

SCHEMA = "postmaster.mta_sts/plan/1"

# What those who carry a plan out read of each of its domains.
ENTRY: t.Final[dict[str, t.Any]] = {
    "domain": str,
    "policy_host": str,
    "serve": bool,
    "remove": bool,
    "certificate": bool,
    "mode": (str, type(None)),
    "mx": list,
    "max_age": (int, type(None)),
    "found": (dict, type(None)),
    "after_unknown": bool,
    "conditions": (dict, type(None)),
}


def check_plan(plan: t.Mapping[str, t.Any]) -> None:
    """Whether every part is there that is carried out. Raises ValueError."""
    if plan.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {plan.get('schema')!r} instead of {SCHEMA!r}")
    if not isinstance(plan.get("policy_hosts"), dict):
        raise ValueError("'policy_hosts' is missing or damaged")
    if not isinstance(plan.get("domains"), list):
        raise ValueError("'domains' is missing or damaged")
    for index, entry in enumerate(plan["domains"]):
        if not isinstance(entry, dict):
            raise ValueError(f"domains[{index}] is damaged")
        for key, kind in ENTRY.items():
            if key not in entry or not isinstance(entry[key], kind):
                raise ValueError(f"domains[{index}]: {key!r} is missing or damaged")
