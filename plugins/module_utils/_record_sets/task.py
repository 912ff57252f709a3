# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all modules for record sets share: their options, what they return, and what they say where they fail.

A back end is a coroutine that brings record sets to their wanted state, and gives each its status.
Private to this collection.
"""

from __future__ import annotations

import asyncio
import typing as t
from collections import Counter

from .._document import DocumentError, read_document, told
from .record_set import InputError, RecordSet, ServerError, bounded_list, diff_text, parse_record_sets

LISTED_FAILURES = 100
STATUSES: t.Final = ("ok", "changed", "awaited", "failed")

Reconcile = t.Callable[[list[RecordSet], bool], t.Awaitable[None]]

# The options that all these modules have; their documentation is the fragment _record_sets.
ARGUMENTS: t.Final[dict[str, t.Any]] = {
    "record_sets": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "required": True},
            "ttl": {"type": "int", "default": 300},
            "values": {"type": "list", "elements": "str", "required": True},
            "expected": {"type": "list", "elements": "str"},
            "seen": {"type": "bool", "default": False},
            "zone": {"type": "str"},
            "item": {"type": "str"},
        },
    },
    "document": {"type": "path"},
    "section": {"type": "str"},
    "results": {"type": "path"},
    "continue_on_error": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 10},
    "wait": {"type": "int", "default": 60},
}
# Those of modules that ask the authoritative servers of each zone; fragment _record_sets.authorities.
AUTHORITIES: t.Final[dict[str, t.Any]] = {
    "authorities": {"type": "list", "elements": "str", "default": []},
    "resolvers": {"type": "list", "elements": "str", "default": []},
}
TOGETHER: t.Final = [("document", "section")]
EITHER: t.Final = [("record_sets", "document")]


def run(params: t.Mapping[str, t.Any], reconcile: Reconcile, *, check_mode: bool) -> dict[str, t.Any]:
    """Do what the module's options say; return what it returns, with failed and msg where it fails.

    Raises InputError for options that cannot be used; nothing was sent then.
    """
    entries, what = params["record_sets"], "record_sets"
    if params["document"] is not None:
        what = f"record_sets.{params['section']}"
        entries = _section(params["document"], params["section"])
    record_sets = parse_record_sets(entries, what)
    trouble = asyncio.run(_guarded(reconcile, record_sets, check_mode))
    return _result(record_sets, trouble, params)


def _section(path: str, section: str) -> object:
    """Return the list of one section of a document with record sets."""
    try:
        return read_document(path)["record_sets"][section]
    except DocumentError as exc:
        raise InputError(f"document {exc}") from exc
    except (KeyError, TypeError, IndexError):
        raise InputError(f"document {path!r} has no list record_sets.{section}") from None


async def _guarded(reconcile: Reconcile, record_sets: list[RecordSet], check_mode: bool) -> str:
    """Work on the sets; return the error that concerns all of them, or nothing."""
    try:
        await reconcile(record_sets, check_mode)
    except ServerError as exc:
        for one in record_sets:
            if not one.status:
                one.fail(str(exc))
        return str(exc)
    return ""


def _result(record_sets: list[RecordSet], trouble: str, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    failed = [one for one in record_sets if one.status == "failed"]
    tally = Counter(one.status for one in record_sets)
    counts = {status: tally[status] for status in STATUSES}
    result: dict[str, t.Any] = {
        "changed": any(one.applied or one.status == "changed" for one in record_sets),
        "counts": counts,
        **told(params, counts=counts, results=[one.result() for one in record_sets]),
        "diff": diff_text(record_sets),
        "failed": bool(trouble or (failed and not params["continue_on_error"])),
    }
    if trouble:
        result["msg"] = trouble
    elif failed:
        texts = bounded_list("; ".join, [f"{one.label}: {one.error}" for one in failed], LISTED_FAILURES)
        result["msg"] = f"{len(failed)} of {len(record_sets)} record sets failed: {texts}"
    return result
