# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads the entries of C(mta_sts_domains) from a file, for lists that are too large for a variable of Ansible.

What the entries say is checked elsewhere, as that of the variable is. Here it is seen that nothing in the file is lost:
a key that is written twice would silently hide an MX host. Private to this collection.
"""

from __future__ import annotations

import csv
import io
import json
import typing as t
from pathlib import Path

import yaml

Entry = dict[str, t.Any]

# In CSV, where a cell is text: lists have their items between spaces.
LISTS = frozenset({"mx", "tlsrpt"})
FLAGS = {"true": True, "false": False}


class DomainsFileError(ValueError):
    """A file that cannot be read as a list of entries; the text names it."""


def read_entries(path: str) -> list[t.Any]:
    """The entries of a JSON, YAML or CSV file, told by its name. Raises L(DomainsFileError)."""
    reader = READERS.get(Path(path).suffix.lower())
    if reader is None:
        raise DomainsFileError(f"{path}: the name of a file of domains ends with {', '.join(READERS)}")
    try:
        entries = reader(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DomainsFileError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError, csv.Error, yaml.YAMLError) as error:
        raise DomainsFileError(f"{path}: {error}") from None
    if not isinstance(entries, list):
        raise DomainsFileError(f"{path}: must be a list of entries, as mta_sts_domains is")
    return entries


def read_names(path: str) -> list[t.Any]:
    """The domains in such a file or, by any other name, in one with a domain on each line and comments behind C(#).

    Raises L(DomainsFileError), also for a file without any.
    """
    if Path(path).suffix.lower() in READERS:
        names = [entry.get("domain") if isinstance(entry, dict) else entry for entry in read_entries(path)]
    else:
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise DomainsFileError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise DomainsFileError(f"{path}: {error}") from None
        names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise DomainsFileError(f"{path}: names no domain")
    return names


def _json(text: str) -> t.Any:
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: t.Sequence[tuple[t.Any, t.Any]]) -> Entry:
    entry = dict(pairs)
    _see_that_each_is_once([key for key, _value in pairs], entry)
    return entry


def _see_that_each_is_once(keys: t.Sequence[t.Any], entry: Entry) -> None:
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"an entry has {', '.join(twice)} twice: {entry.get('domain', entry)!r}")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The loader in C, if there is one: it is ten times as fast."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Entry:
    own = [key.value for key, _value in node.value]
    # What an entry says itself goes over what it takes from another.
    loader.flatten_mapping(node)
    entry = dict(loader.construct_pairs(node, deep=True))
    _see_that_each_is_once(own, entry)
    return entry


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _yaml(text: str) -> t.Any:
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


def _csv(text: str) -> list[Entry]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [name.strip() for name in next(rows, [])]
    if "domain" not in header:
        raise ValueError("the first line must name the columns, of which one is 'domain'")
    if len(set(header)) < len(header):
        raise ValueError("the first line names a column twice")
    entries = []
    for row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"line {rows.line_num}: {len(row)} cells, and there are {len(header)} columns")
        cells = {key: cell.strip() for key, cell in zip(header, row)}
        entries.append({key: _value(key, cell) for key, cell in cells.items() if cell})
    return entries


def _value(key: str, cell: str) -> t.Any:
    return cell.split() if key in LISTS else FLAGS.get(cell.lower(), cell)


READERS: t.Final[dict[str, t.Callable[[str], t.Any]]] = {".json": _json, ".yml": _yaml, ".yaml": _yaml, ".csv": _csv}
