# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zone files as text: what is found in them, and that nothing else of them changes."""

from __future__ import annotations

import datetime as dt
import typing as t

import dns.rdatatype
import dns.serial
import dns.zone
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._zone_file import text as zone_text
from ansible_collections.postmaster.mta_sts.plugins.module_utils._zone_file.text import ZoneTextError
from hypothesis import given
from hypothesis import strategies as st

TODAY = dt.date(2026, 11, 26)

SOA: dict[str, bytes] = {
    "on one line": b"@ 300 IN SOA ns host SERIAL 1 1 1 1\n",
    "without end of line": b"@ 300 IN SOA ns host SERIAL 1 1 1 1",
    "class first": b"example.com. IN 300 SOA ns host SERIAL 1 1 1 1\n",
    "no class, no TTL": b"$TTL 1h\n@ SOA ns host SERIAL 1 1 1 1\n",
    "no name": b" 300 soa ns host SERIAL 1 1 1 1\n",
    "in parentheses": b"@ 5m in Soa ns host (SERIAL 1 1 1 1)\n",
    "over lines": b"@ 300 IN SOA ns host (\r\n\tSERIAL\t; serial\r\n 1 1\n1 1 ) ; 9\n",
    "parenthesis early": b"@ 300 ( IN SOA\nns host\nSERIAL 1 1 1\n1\n)\n",
    "comments with everything": b'; SOA ( "\n@ 300 IN SOA ns host ( ; 8 ) "\n SERIAL 1 1 1 1 ) ; "\n',
    "after a record called soa": b"soa 300 IN A 192.0.2.7\n@ 300 IN SOA ns host SERIAL 1 1 1 1\n",
    "after a text about it": b'@ 300 TXT "\\" SOA ns host 8 ; (" \\" ( SOA )\n@ 300 IN SOA ns host SERIAL 1 1 1 1\n',
    "names with escapes": b"@ 300 IN SOA n\\;s ho\\(st\\.er\\ x SERIAL 1 1 1 1\n",
    "behind directives": b"$TTL 300\n$GENERATE 1-2 a$ A 192.0.2.$\n@ SOA ns host SERIAL 1 1 1 1\n",
}


@pytest.mark.parametrize("text", SOA.values(), ids=SOA)
def test_the_serial_alone_changes(text: bytes) -> None:
    written = text.replace(b"SERIAL", b"7")
    assert zone_text.serial(written) == 7
    assert zone_text.with_serial(written, 4294967295) == text.replace(b"SERIAL", b"4294967295")


TROUBLES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 1, "no SOA record in the file itself"),
    "none": (b"$INCLUDE soa\n@ 300 NS ns\n", 1, "no SOA record in the file itself"),
    "in a comment": (b";@ 300 SOA ns host 7 1 1 1 1\n", 1, "no SOA record in the file itself"),
    "too short": (b"\n@ 300 SOA ns host\n", 2, "no serial that is a number"),
    "too large": (b"@ 300 SOA ns host 4294967296 1 1 1 1\n", 1, "no serial that is a number"),
    "a word": (b"@ 300 SOA ns host serial 1 1 1 1\n", 1, "no serial that is a number"),
    "no type": (b"\n\n@ 300 IN\n", 3, "has no type"),
    "open parenthesis": (b"\n@ SOA ns host (\n 7 1 1 1 1\n", 2, "opened here and not closed"),
    "closed parenthesis": (b"\n@ SOA ns host )\n", 2, "closed here that was not opened"),
    "open quotation marks": (b'@ TXT "a\n"\n', 1, "has no end on its line"),
    "backslash at the end": (b"@ TXT a\\\n", 1, "has no end on its line"),
}


@pytest.mark.parametrize(("text", "line", "words"), TROUBLES.values(), ids=TROUBLES)
def test_what_is_no_zone_file_is_told_with_its_line(text: bytes, line: int, words: str) -> None:
    with pytest.raises(ZoneTextError, match=words) as caught:
        zone_text.serial(text)
    assert caught.value.line == line


NEXT: dict[str, tuple[int, int]] = {
    "a count": (7, 8),
    "zero": (0, 1),
    "the last": (4294967295, 1),
    "half way": (2147483647, 2147483648),
    "an earlier date": (2026112599, 2026112601),
    "long ago": (1999123101, 2026112601),
    "today's first": (2026112600, 2026112601),
    "today": (2026112601, 2026112602),
    "today's hundredth": (2026112699, 2026112700),
    "a later date": (2026112700, 2026112701),
    "a day that overran its month": (2026103200, 2026112601),
    "seconds since 1970": (1764115200, 1764115201),
    "no month": (2026001301, 2026001302),
    "no day": (2026110001, 2026110002),
}


@pytest.mark.parametrize(("now", "then"), NEXT.values(), ids=NEXT)
def test_next_serial(now: int, then: int) -> None:
    assert zone_text.next_serial(now, TODAY) == then


@given(st.integers(0, 2**32 - 1), st.dates(dt.date(1990, 1, 1), dt.date(2098, 12, 31)))
def test_the_next_serial_is_greater(now: int, today: dt.date) -> None:
    """By RFC 1982 3.2, as dnspython has it."""
    then = zone_text.next_serial(now, today)
    assert 0 < then < 2**32
    assert dns.serial.Serial(then) > dns.serial.Serial(now)


BLANK = st.sampled_from([b" ", b"\t", b"  "])
# Inside parentheses: what goes for a blank there.
WIDE = st.sampled_from([b" ", b"\t", b"\n", b' ; 8 ) ( "\n', b"\n\n  ", b" ;\n"])
OTHERS = st.sampled_from(
    [
        b"\n",
        b'; SOA 8 ( "\n',
        b"soa 300 IN A 192.0.2.1\n",
        b"in 300 TXT SOA\n",
        b'txt 300 IN TXT "a ; SOA ( 7" \\" ; (\n',
        b'long 300 TXT ( a\n  "b ) ;" ; c )\n  d )\n',
        b"$TTL 600\n",
    ]
)


@st.composite
def zones(draw: st.DrawFn) -> tuple[bytes, bytes, int]:
    """A zone file up to its serial and behind it, and the serial."""
    number = draw(st.integers(0, 2**32 - 1))
    head = [draw(st.sampled_from([b"@", b"example.com.", b"$ORIGIN example.com.\n@"]))]
    ttl_and_class = draw(st.sampled_from([[b"300"], [b"300", b"IN"], [b"1h", b"in"]]))
    words = [*ttl_and_class, draw(st.sampled_from([b"SOA", b"soa", b"Soa"])), b"ns.example.net.", b"host\\.master"]
    opens = draw(st.integers(len(ttl_and_class), len(words)))
    text = b"".join(head)
    for index, word in enumerate(words):
        text += (draw(BLANK) if index <= opens else draw(WIDE)) + (b"(" if index == opens else b"") + word
    text += draw(WIDE) if opens < len(words) else draw(BLANK) + b"("
    rest = b"".join(draw(WIDE) + word for word in (b"1", b"2", b"3", b"4")) + draw(WIDE) + b")\n"
    before, after = (b"".join(draw(st.lists(OTHERS, max_size=4))) for _place in range(2))
    return before + text, rest + after, number


@given(zones(), st.integers(0, 2**32 - 1))
def test_everything_else_stays(zone: tuple[bytes, bytes, int], number: int) -> None:
    before, after, serial = zone
    text = before + b"%d" % serial + after
    assert zone_text.serial(text) == serial
    changed = zone_text.with_serial(text, number)
    assert changed == before + b"%d" % number + after
    read = dns.zone.from_text(changed.decode(), "example.com.", check_origin=False)
    assert read.find_rdataset("@", dns.rdatatype.SOA)[0].serial == number


@given(zones(), st.booleans())
def test_an_include_is_added_and_found(zone: tuple[bytes, bytes, int], ends: bool) -> None:
    before, after, serial = zone
    text = before + b"%d" % serial + (after if ends else after.rstrip(b"\n"))
    more = zone_text.with_include(text, "/etc/zones/example.com.mta-sts")
    assert more.startswith(text)
    assert paths(more) == [*paths(text), b"/etc/zones/example.com.mta-sts"]
    assert zone_text.serial(more) == serial


def paths(text: bytes) -> list[bytes]:
    found = [zone_text.included(entry) for entry in zone_text.entries(text) if entry.directive == b"$INCLUDE"]
    assert [text[word.start : word.end] for word in found] == [word.text for word in found]
    return [word.text for word in found]


INCLUDES: list[tuple[bytes, list[bytes]]] = [
    (b"$include a\n$Include b example.com. ; c\n", [b"a", b"b"]),
    (b'$INCLUDE "a b"\n', [b'"a b"']),
    (b"; $INCLUDE a\n @ TXT $INCLUDE a\n", []),
    (b"@ TXT (\n$INCLUDE a )\n", []),
]


@pytest.mark.parametrize(("text", "expected"), INCLUDES)
def test_includes(text: bytes, expected: t.Sequence[bytes]) -> None:
    assert paths(text) == expected


def test_an_include_of_nothing() -> None:
    with pytest.raises(ZoneTextError, match="takes a path"):
        paths(b"$INCLUDE\n")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    try:
        found = list(zone_text.entries(text))
    except ZoneTextError:
        return
    words = [word for entry in found for word in entry.words]
    assert all(text[word.start : word.end] == word.text for word in words)
