# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator reads in the last report of a domain, and what the domain still lacks."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import HOLD_KINDS, NOTHING
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, render_policy
from world import DAY, ELSEWHERE, LEGACY_ID, Document, Domain, World, id_in, id_of


def lacks(world: World, domain: Domain) -> t.Iterator[str]:
    """What a domain still lacks; an orphan lacks nothing."""
    desired, said = domain.desired, domain.reported
    if desired is None or said is None:
        return
    held = [hold for hold in holds_of(domain) if HOLD_KINDS[hold["code"]].effect != NOTHING]
    files = {host.files.get(domain.file) for host in world.hosts}
    there = f"{domain.name}: {said['stage']}, there is {files} {domain.txt.value} {domain.address.value}"
    if held:
        yield f"{domain.name}: {said['stage']}, held {held}"
    elif desired.state == "absent":
        # What others publish elsewhere is theirs.
        others = ELSEWHERE in domain.address.value and id_in(domain.txt.value) == LEGACY_ID
        ours = domain.txt.value or set(domain.address.value) & set(world.addresses)
        if files != {None} or (ours and not others):
            yield there
    else:
        mode = desired.mode or ("enforce" if domain.enforced else "testing")
        body = render_policy(Policy(mode, desired.mx, desired.max_age if mode == "enforce" else DAY))
        if files != {body} or domain.txt.value != (f"v=STSv1; id={id_of(body)}",):
            yield there


def holds_of(domain: Domain) -> list[Document]:
    return [] if domain.reported is None else t.cast("list[Document]", domain.reported["holds"])


def time_of(text: t.Optional[str]) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp()) if text else 0
