# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes into the messages of DNS UPDATE (RFC 2136 2): which sets go together, how many, and on what conditions.

Needs dnspython, speaks to nobody. Private to this collection.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict

try:
    import dns.name
    import dns.rdatatype
    import dns.update
except ImportError:  # reported by the module, which needs it
    pass

from .._record_sets.record_set import RecordSet

BATCH_SETS = 100
BATCH_BYTES = 48 * 1024  # leaves room for the TSIG record in a message of 64 KiB


def units_of(record_sets: list[RecordSet]) -> list[list[RecordSet]]:
    """Keep together what must change together: a CNAME and the other sets at its name."""
    by_name: defaultdict[dns.name.Name, list[RecordSet]] = defaultdict(list)
    for one in record_sets:
        by_name[one.name].append(one)
    units: list[list[RecordSet]] = []
    for group in by_name.values():
        if any(one.rdtype == dns.rdatatype.CNAME for one in group):
            # Removals first: servers ignore what they cannot add at that moment (RFC 2136 3.4.2.2).
            units.append(sorted(group, key=lambda one: one.wanted is not None))
        else:
            units.extend([one] for one in group)
    return units


def batches(units: list[list[RecordSet]]) -> t.Iterator[list[list[RecordSet]]]:
    batch: list[list[RecordSet]] = []
    sets = size = 0
    for unit in units:
        unit_size = sum(_wire_size(one) for one in unit)
        if batch and (sets + len(unit) > BATCH_SETS or size + unit_size > BATCH_BYTES):
            yield batch
            batch, sets, size = [], 0, 0
        batch.append(unit)
        sets, size = sets + len(unit), size + unit_size
    if batch:
        yield batch


def _wire_size(one: RecordSet) -> int:
    """Return an upper bound of what a set takes in an update, with its prerequisites."""
    head = len(one.name.to_wire() or b"") + 10
    rdatas = [rdata for rdataset in (one.before, one.wildcard, one.wanted) for rdata in rdataset or ()]
    return 3 * head + sum(head + len(rdata.to_wire() or b"") for rdata in rdatas)


def fill(message: dns.update.UpdateMessage, units: list[list[RecordSet]]) -> None:
    for unit in units:
        removed = {one.rdtype for one in unit if one.wanted is None}
        for one in unit:
            if one.before is not None:
                message.present(one.name, *one.before)
                message.delete(one.name, one.rdtype)
            elif one.rdtype == dns.rdatatype.CNAME and not removed:
                message.absent(one.name)
            else:
                message.absent(one.name, one.rdtype)
                # BIND ignores, with NOERROR, what is added beside a CNAME.
                if dns.rdatatype.CNAME not in removed | {one.rdtype}:
                    message.absent(one.name, dns.rdatatype.CNAME)
            if one.wanted is not None:
                message.add(one.name, one.wanted)
