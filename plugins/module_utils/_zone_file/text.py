# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text of a zone file (RFC 1035 5.1): its entries, the serial of its SOA record, and what it includes.

What is changed here is changed in place: every other byte stays as somebody wrote it. Private to this collection.
"""

from __future__ import annotations

import datetime as dt
import re
import typing as t
from dataclasses import dataclass

SERIALS: t.Final = 2**32

_THING = re.compile(
    rb"""(?P<blank>[ \t\r\f\v]+|;[^\n]*)
    |(?P<end>\n)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<word>(?:[^\s;()"\\]+|\\.|"(?:[^"\\\n]|\\.)*")+)""",
    re.VERBOSE,
)
_TTL = re.compile(rb"[0-9][0-9wdhms]*", re.IGNORECASE)
_CLASSES: t.Final = frozenset({b"IN", b"CH", b"HS", b"CS"})
# A serial of the form YYYYMMDDnn. The day may run over where a zone was raised a hundred times in one.
_DATE = re.compile(r"(?:19[89]|20[0-9])[0-9](?:0[1-9]|1[0-2])(?!00)[0-9]{4}")


class ZoneTextError(ValueError):
    """A text that is no zone file; C(line) is where."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True)
class Word:
    """A word of an entry, as it is written, with its quotation marks, and where it begins."""

    start: int
    text: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True)
class Entry:
    """A record or a directive, which may go over several lines."""

    line: int
    # Whether it begins with a word at the margin: the name of a record, or a directive.
    at_margin: bool
    words: tuple[Word, ...]

    @property
    def directive(self) -> bytes:
        """Its name with the dollar sign, in capitals; nothing for a record."""
        first = self.words[0].text
        return first.upper() if self.at_margin and first.startswith(b"$") else b""


@dataclass(frozen=True)
class Record:
    """A record with its parts apart; what is not written is C(None)."""

    line: int
    name: t.Optional[bytes]
    ttl: t.Optional[bytes]
    rdclass: bytes
    type: bytes
    data: tuple[Word, ...]


def entries(text: bytes) -> t.Iterator[Entry]:
    """The entries of a zone file, in order. Raises ZoneTextError."""
    line, position, depth = 1, 0, 0
    began_at, at_margin, words = line, False, list[Word]()
    while position < len(text):
        thing = _THING.match(text, position)
        if thing is None:
            raise ZoneTextError(line, "a quotation mark or a backslash here has no end on its line")
        kind = thing.lastgroup
        if kind in ("word", "open") and not words and not depth:
            began_at, at_margin = line, position == 0 or text[position - 1 : position] == b"\n"
        if kind == "word":
            words.append(Word(position, thing.group()))
        elif kind in ("open", "close"):
            depth += 1 if kind == "open" else -1
            if depth < 0:
                raise ZoneTextError(line, "a parenthesis is closed here that was not opened")
        elif kind == "end":
            line += 1
            if words and not depth:
                yield Entry(began_at, at_margin, tuple(words))
                words = []
        position = thing.end()
    if depth:
        raise ZoneTextError(began_at, "a parenthesis is opened here and not closed")
    if words:
        yield Entry(began_at, at_margin, tuple(words))


def record(entry: Entry) -> Record:
    """The parts of a record; TTL and class come in any order. Raises ZoneTextError."""
    words = list(entry.words)
    name = words.pop(0).text if entry.at_margin else None
    ttl: t.Optional[bytes] = None
    rdclass = b""
    while words:
        word = words.pop(0).text
        if ttl is None and _TTL.fullmatch(word):
            ttl = word
        elif not rdclass and word.upper() in _CLASSES:
            rdclass = word.upper()
        else:
            return Record(entry.line, name, ttl, rdclass or b"IN", word.upper(), tuple(words))
    raise ZoneTextError(entry.line, "a record here has no type")


def _serial_word(text: bytes) -> Word:
    for entry in entries(text):
        if entry.directive:
            continue
        one = record(entry)
        if one.type == b"SOA":
            word = one.data[2] if len(one.data) > 2 else Word(0, b"")
            if not re.fullmatch(rb"[0-9]{1,10}", word.text) or int(word.text) >= SERIALS:
                raise ZoneTextError(one.line, "the SOA record here has no serial that is a number of 32 bits")
            return word
    raise ZoneTextError(1, "there is no SOA record in the file itself, so its serial cannot be raised")


def serial(text: bytes) -> int:
    """The serial of the SOA record. Raises ZoneTextError."""
    return int(_serial_word(text).text)


def next_serial(now: int, today: dt.date) -> int:
    """A serial that is greater (RFC 1982 3.2). One that is made of a date becomes today's, if that is later."""
    first_today = int(f"{today:%Y%m%d}01")
    if _DATE.fullmatch(str(now)) and now < first_today:
        return first_today
    # Some servers take 0 for no serial.
    return (now + 1) % SERIALS or 1


def with_serial(text: bytes, number: int) -> bytes:
    """The text with another serial, and else unchanged. Raises ZoneTextError."""
    return with_words(text, [_serial_word(text)], b"%d" % number)


def with_words(text: bytes, words: t.Iterable[Word], new: bytes) -> bytes:
    """The text with another word in the place of each of these."""
    for word in sorted(words, key=lambda word: word.start, reverse=True):
        text = text[: word.start] + new + text[word.end :]
    return text


def included(entry: Entry) -> Word:
    """What an C($INCLUDE) includes: the path, which may be in quotation marks. Raises ZoneTextError."""
    if len(entry.words) not in (2, 3):
        raise ZoneTextError(entry.line, "$INCLUDE takes a path, and perhaps an origin")
    return entry.words[1]


def with_include(text: bytes, path: str) -> bytes:
    """The text with one more file included, at its end."""
    end = b"" if text.endswith(b"\n") or not text else b"\n"
    return text + end + b"$INCLUDE " + path.encode() + b"\n"
