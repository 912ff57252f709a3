# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What C(make fuzz) begins with is good input, so that what it breaks comes far; and its search finds what is wrong."""

from __future__ import annotations

import fuzz
import pytest
from parsing import Parser


@pytest.mark.parametrize("name", fuzz.PARSERS)
def test_every_parser_takes_the_good_input(name: str) -> None:
    parser = fuzz.PARSERS[name]
    for seed in parser.seeds:
        parser.check(seed)
    assert parser.seeds


def test_what_a_parser_does_not_stand_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(data: bytes) -> None:
        if b"2" not in data:
            raise KeyError(data)

    monkeypatch.setitem(fuzz.PARSERS, "weak", Parser(check, (b"1 2 3",), (b"4",), (ValueError,)))
    with pytest.raises(KeyError):
        fuzz.search("weak", 60)
