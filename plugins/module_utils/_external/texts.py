# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The texts that those need who put records into DNS themselves: zone text, JSON, octoDNS YAML and a table.

Needs dnspython and PyYAML, speaks to nobody. Private to this collection.
"""

from __future__ import annotations

import json
import re
import traceback
import typing as t
from collections import defaultdict
from dataclasses import dataclass

try:
    import dns.name
    import dns.rdata
    import dns.rdataset
except ImportError:  # reported by the module, which needs it
    pass

try:
    import yaml

    YAML_ERROR: str | None = None
except ImportError:
    YAML_ERROR = traceback.format_exc()

from .._record_sets.record_set import RecordSet, values_of, zone_lines

SCHEMA: t.Final = "postmaster.mta_sts/records/1"
HEADER: t.Final = "Written by postmaster.mta_sts. What is changed here by hand is lost."
# What has become of a set; the texts are those of the table.
IN_PLACE, TO_ADD, TO_CHANGE, TO_REMOVE = "in place", "to be added", "to be changed", "to be removed"

Document = dict[str, t.Any]


@dataclass(frozen=True)
class Wanted:
    """A set that somebody is to put into DNS, the zone it lies in, and what is to be done with it."""

    record_set: RecordSet
    zone: dns.name.Name
    state: str

    @property
    def key(self) -> tuple[t.Any, ...]:
        """The order of all texts: by zone, and in it by name and type."""
        one = self.record_set
        return (*_natural(self.zone), *_natural(one.name), one.type)


def render(wanted: t.Iterable[Wanted]) -> dict[str, str]:
    """All files by their paths in the directory, each with its text."""
    sets = sorted(wanted, key=lambda one: one.key)
    by_zone: defaultdict[dns.name.Name, list[Wanted]] = defaultdict(list)
    for one in sets:
        by_zone[one.zone].append(one)
    texts = {"records.json": _json(sets), "records.zone": _zone_text(by_zone), "records.md": _table(by_zone)}
    for zone, of_zone in by_zone.items():
        texts[f"octodns/{_text(zone)}.yaml"] = _octodns(zone, of_zone)
    return texts


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _natural(name: dns.name.Name) -> tuple[t.Any, ...]:
    return (_natural_text(_text(name)),)


def _natural_text(text: str) -> tuple[tuple[int, int, str], ...]:
    """As octoDNS wants names sorted: numbers in them count as numbers."""
    parts = re.split(r"([0-9]+)", text)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part)


def _json(sets: t.Sequence[Wanted]) -> str:
    entries = [
        {
            "name": _text(one.record_set.name),
            "type": one.record_set.type,
            **(values_of(one.record_set.wanted) or {"ttl": 0, "values": []}),
            "item": one.record_set.item,
            "zone": _text(one.zone),
            "state": one.state,
        }
        for one in sets
    ]
    return json.dumps({"schema": SCHEMA, "record_sets": entries}, indent=1, ensure_ascii=False) + "\n"


def _zone_text(by_zone: t.Mapping[dns.name.Name, t.Sequence[Wanted]]) -> str:
    lines = [f"; {HEADER}"]
    for zone, sets in by_zone.items():
        lines += ["", f"; {zone}"]
        lines += [line for one in sets for line in zone_lines(one.record_set, one.record_set.wanted)]
    return "\n".join(lines) + "\n"


def _octodns(zone: dns.name.Name, sets: t.Sequence[Wanted]) -> str:
    """A source for octoDNS beside the user's own: it adds records to a zone and says nothing of others.

    Semicolons are not escaped, as will be the default of octoDNS: where they should be, it says so and stops.
    """
    nodes: dict[str, list[Document]] = {}
    for one in sets:
        if one.record_set.wanted is not None:
            name = "" if one.record_set.name == zone else _text(one.record_set.name.relativize(zone))
            nodes.setdefault(name, []).append(_octodns_record(one.record_set.wanted, one.record_set.type))
    ordered = {name: nodes[name] for name in sorted(nodes, key=_natural_text)}
    content = {name: records[0] if len(records) == 1 else records for name, records in ordered.items()}
    return f"# {HEADER}\n---\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)


def _octodns_record(rdataset: dns.rdataset.Rdataset, rdtype: str) -> Document:
    values = [_octodns_value(rdata, rdtype) for rdata in rdataset]
    told: Document = {"value": values[0]} if len(values) == 1 else {"values": sorted(values)}
    return {"ttl": rdataset.ttl, "type": rdtype, **told}


def _octodns_value(rdata: dns.rdata.Rdata, rdtype: str) -> str:
    if rdtype == "TXT":
        text: str = b"".join(rdata.strings).decode(errors="backslashreplace")  # type: ignore[attr-defined]
        return text
    return rdata.to_text()


def _table(by_zone: t.Mapping[dns.name.Name, t.Sequence[Wanted]]) -> str:
    lines = [f"<!-- {HEADER} -->", "", "# DNS records"]
    for zone, sets in by_zone.items():
        lines += ["", f"## {_text(zone)}", "", "| state | name | type | TTL | values |", "|---|---|---|---|---|"]
        lines += [_row(one) for one in sets]
    return "\n".join(lines) + "\n"


def _row(one: Wanted) -> str:
    record_set = one.record_set
    cells = [one.state, f"`{record_set.name}`", record_set.type]
    if record_set.wanted is None:
        cells += ["", ""]
    else:
        values = sorted(rdata.to_text() for rdata in record_set.wanted)
        cells += [str(record_set.wanted.ttl), "<br>".join(f"`{_cell(value)}`" for value in values)]
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")
