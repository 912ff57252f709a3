# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How lines on the screen are made: tables, cuts, numbers in words, and nothing that harms a terminal.

Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t

from ._finding import printable

Document = dict[str, t.Any]

# With more domains than this, they are only counted, by reason.
FEW = 40
# Of things of one kind so many are named; the document names all.
NAMED = 20
# So much is said of one domain, in lines of so many characters.
NOTES = 20
LINE_LIMIT = 1000
WRAP = 110


def harmless(lines: t.Sequence[str]) -> list[str]:
    """Lines without control characters, whatever servers and hosts put into them."""
    return [printable(line, LINE_LIMIT) for line in lines]


def table(rows: t.Sequence[t.Sequence[str]], notes: t.Sequence[t.Sequence[str]]) -> list[str]:
    """Rows in columns, the notes of each below it."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row, texts in zip(rows, notes):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths))
        lines.append(f"  {cells}".rstrip())
        lines += [f"      {text}" for text in texts[:NOTES]]
        if len(texts) > NOTES:
            lines.append(f"      ... {len(texts) - NOTES} more lines are in the report")
    return lines


def cut(lines: t.Sequence[str], what: str) -> list[str]:
    """The first of many lines, and how many there are more."""
    more = [f"  ... and {len(lines) - NAMED} more {what}"] if len(lines) > NAMED else []
    return [*lines[:NAMED], *more]


def policy_text(policy: Document) -> str:
    """A policy in a few words."""
    return f"{policy['mode']}, {duration(policy['max_age'])}, {len(policy['mx'])} mx"


def count(number: int, noun: str) -> str:
    """A number of things, in the singular or the plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: int) -> str:
    """Seconds in the largest unit that fits."""
    if seconds % 86400 == 0 and seconds:
        return count(seconds // 86400, "day")
    if seconds % 3600 == 0 and seconds:
        return count(seconds // 3600, "hour")
    return f"{seconds} s"
