# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How several probe hosts share the domains of a plan, and how what they found is put together again.

Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t

Document = dict[str, t.Any]


def share_of(plan: t.Mapping[str, t.Any], part: int, parts: int) -> Document:
    """The plan of one of so many probe hosts, with its share of the domains and nothing that a probe does not need.

    All shares are of one size. Domains with the same MX hosts stay together, so that few MX hosts, if any, are in
    two shares. Raises ValueError for a part that there is not.
    """
    if not 0 <= part < parts:
        raise ValueError(f"part {part} of {parts}: must be from 0 to one less than parts")
    entries = sorted(plan["domains"], key=lambda entry: (sorted(entry["mx"]), entry["domain"]))
    share = entries[len(entries) * part // parts : len(entries) * (part + 1) // parts]
    return {"schema": plan["schema"], "policy_hosts": plan["policy_hosts"], "domains": share}


def put_together(documents: t.Sequence[Document]) -> Document:
    """One document in place of those of several hosts."""
    whole: Document = {"host": ", ".join(document["host"] for document in documents)}
    for key in (key for key in documents[0] if key != "host"):
        # Hosts that look at the same MX host see the same of it.
        whole[key] = dict(sorted(pair for document in documents for pair in document[key].items()))
    return whole
