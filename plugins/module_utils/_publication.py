# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a policy host does with a plan: ledger, files, ledger, in this order and under one lock.

A run may die between any two steps; the next one heals it. Standard library only, because it runs on policy
hosts. Private to this collection.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ._ledger import Ledger, open_ledger, read_ledger, wrong_revision
from ._ledger_file import LedgerError
from ._names import to_ascii
from ._policy_files import PREFIX, SUFFIX, bodies_by_domain, file_name, render_files
from ._webroot import Change, changes, locked, read_files, remove_files, write_files


@dataclass(frozen=True)
class Order:
    """What a policy host shall do, and where."""

    directory: Path
    ledger: Path
    # As in a plan, and when it was decided.
    entries: t.Sequence[t.Mapping[str, t.Any]]
    at: int
    # Of the ledger that it was decided from; none: it may be any.
    revision: t.Optional[int] = None


@dataclass(frozen=True)
class Publication:
    """What was done, or in check mode would be."""

    pending: t.Sequence[Change]
    unchanged: int
    # The names of the sites that the host has policies for.
    sites: t.Sequence[str]
    # What was wrong with the ledger and did not stop it.
    note: str

    @property
    def counts(self) -> dict[str, int]:
        removed = sum(change.after is None for change in self.pending)
        return {"written": len(self.pending) - removed, "removed": removed, "unchanged": self.unchanged}


def publish(order: Order, *, check_mode: bool) -> Publication:
    """Carries an order out. Raises PolicyError, DomainNameError, LedgerError or OSError."""
    wanted = render_files(entry for entry in order.entries if entry["serve"])
    unwanted = [file_name(entry["domain"]) for entry in order.entries if entry.get("remove") and not entry["serve"]]
    with contextlib.nullcontext() if check_mode else locked(order.directory):
        present = read_files(order.directory, SUFFIX)
        pending = changes(present, wanted, unwanted)
        if check_mode:
            note = _preview(order)
        else:
            ledger, note = open_ledger(order.ledger)
            with ledger:
                carry_out(order, ledger, present, pending)
    written = sum(change.after is not None for change in pending)
    return Publication(pending, len(wanted) - written, _sites({**present, **wanted}, pending), note)


def carry_out(order: Order, ledger: Ledger, present: t.Mapping[str, bytes], pending: t.Sequence[Change]) -> None:
    """The steps, of which every one depends on those before it."""
    entries = [{**entry, "domain": to_ascii(entry["domain"])} for entry in order.entries]
    if not any(map(_decided, entries)):
        # Nothing is, where a clock is wrong: a wrong time in the ledger would outlast it.
        return
    ledger.record(entries, bodies_by_domain(present), order.at, order.revision)
    try:
        write_files(order.directory, pending)
        remove_files(order.directory, pending)
    except OSError:
        # What became of the files is known at once; what went wrong first is told.
        with contextlib.suppress(LedgerError, OSError):
            settle(order, ledger)
        raise
    settle(order, ledger)


def _decided(entry: t.Mapping[str, t.Any]) -> bool:
    """Whether a plan says anything of a domain that a policy host has to know."""
    return bool(entry["serve"] or entry.get("remove") or entry.get("found") or entry.get("conditions") is not None)


def settle(order: Order, ledger: Ledger) -> None:
    """Tells the ledger what is on disk now."""
    ledger.settle(bodies_by_domain(read_files(order.directory, SUFFIX)), int(time.time()))


def _preview(order: Order) -> str:
    """The note on the ledger, for check mode. Raises LedgerError where the order would not be carried out."""
    found = read_ledger(order.ledger)
    if found["state"] == "unreadable":
        raise LedgerError(found["trouble"])
    if order.revision not in (None, found["revision"]):
        raise wrong_revision(order.ledger)
    return f"the ledger is damaged and will be set aside: {found['trouble']}" if found["state"] == "damaged" else ""


def _sites(files: t.Mapping[str, bytes], pending: t.Sequence[Change]) -> list[str]:
    removed = {change.name for change in pending if change.after is None}
    kept = {name: body for name, body in files.items() if name not in removed}
    return sorted(f"{PREFIX}{domain}" for domain in bodies_by_domain(kept))
