# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Searches for input that a parser does not stand: that makes it raise what it does not say, or answer what is not so.

Each parser gets good input that is broken in places, by hypothesis, which makes what it finds as small as it can:

    make fuzz                               10 minutes for each parser
    make fuzz SECONDS=30 PARSERS="policy"   less of it
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor

import hypothesis
import of_text
import of_wire
from hypothesis import strategies as st
from parsing import Parser

EXAMPLES = 500
ERROR_LIMIT = 2000
PARSERS: dict[str, Parser] = {**of_text.PARSERS, **of_wire.PARSERS}


@st.composite
def broken(draw: st.DrawFn, parser: Parser) -> bytes:
    """Good input with a few places cut out, doubled or overwritten; now and then anything."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    data = draw(st.sampled_from(parser.seeds))
    piece = st.one_of(st.sampled_from(parser.pieces), st.binary(max_size=4), st.sampled_from(parser.seeds))
    for _time in range(draw(st.integers(0, 6))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.integers(0, 12)))
        new = draw(st.one_of(st.just(b""), piece, st.just(data[begin:end] * 2)))
        # In its place, what is behind it stays where it is.
        end = draw(st.sampled_from([end, begin + len(new)]))
        data = data[:begin] + new + data[end:]
    return data


def search(name: str, seconds: float) -> int:
    """Tries a parser for so long, and says how often. Raises what the parser must not, with the input."""
    parser = PARSERS[name]
    tried = 0

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
    )
    @hypothesis.given(broken(parser))
    def attempt(data: bytes) -> None:
        nonlocal tried
        tried += 1
        try:
            parser.check(data)
        except parser.errors as error:
            # An inventory tells of all mistakes at once, each in a line.
            for line in str(error).splitlines():
                assert len(line) < ERROR_LIMIT

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        hypothesis.seed(int.from_bytes(os.urandom(8), "big"))(attempt)()
    return tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="for each parser")
    parser.add_argument("parsers", nargs="*", choices=[*PARSERS, []], help="all, unless some are named")
    arguments = parser.parse_args()
    names = arguments.parsers or list(PARSERS)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, tried in zip(names, pool.map(search, names, [arguments.seconds] * len(names))):
            print(f"{name:<14} {tried:>10,} tried", flush=True)


if __name__ == "__main__":
    main()
