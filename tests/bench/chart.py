# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of what a domain costs, over the number of domains, both on logarithmic scales."""

from __future__ import annotations

import math
import typing as t

Point = tuple[float, float]

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 74, 560, 64, 384
NOTICE = """\
<!--
SPDX-FileCopyrightText: The postmaster.mta_sts authors
SPDX-License-Identifier: GPL-3.0-or-later
-->"""
# Colours that can be told apart by those who see no red or no green, in the light and in the dark.
STYLE = """\
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #3d4451 }
.title { font-size: 17px; font-weight: 600; fill: #14181f }
.ground { fill: #ffffff } .grid { stroke: #e3e6ea } .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
.far { stroke-dasharray: 2 6; stroke-linecap: round }
.a { stroke: #0b62b0 } .b { stroke: #00806a } .c { stroke: #8a5a9e } .d { stroke: #c8500a }
text.a, circle.a { fill: #0b62b0; stroke: none } text.b, circle.b { fill: #00806a; stroke: none }
text.c, circle.c { fill: #8a5a9e; stroke: none } text.d, circle.d { fill: #c8500a; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #b6bdc8 } .title { fill: #f0f3f6 } .ground { fill: #12161c } .grid { stroke: #2a313b }
  .a { stroke: #6cb0f2 } .b { stroke: #45c9a9 } .c { stroke: #c79ddb } .d { stroke: #f79a5b }
  text.a, circle.a { fill: #6cb0f2 } text.b, circle.b { fill: #45c9a9 }
  text.c, circle.c { fill: #c79ddb } text.d, circle.d { fill: #f79a5b }
}"""


class Series(t.NamedTuple):
    """One line: what it says at its end, the class of its colour, and the domains and seconds of its points."""

    text: str
    colour: str
    points: list[Point]
    # Whether it was measured there, or goes on as it began.
    measured: bool = True


def chart(results: dict[str, t.Any]) -> str:
    """All of it, as SVG."""
    runs = [run for run in results["rollouts"] if run["hosts"] == 1]
    ours = [("cold", "cold", "a"), ("change", "one change", "c"), ("unchanged", "unchanged", "b")]
    series = [
        Series(text, colour, [(run["domains"], run[kind]["seconds"] / run["domains"]) for run in runs])
        for kind, text, colour in ours
    ]
    looped = results["looped"]
    each = looped["seconds_each"]["cold"]
    beside = [(run["domains"], run["cold"]["seconds"] / run["domains"]) for run in looped["runs"]]
    largest = runs[-1]["domains"]
    series.append(Series("", "d", beside))
    series.append(Series("role with loops", "d", [beside[-1], (largest, each)], measured=False))
    return _drawing(series, largest)


def _drawing(series: list[Series], largest: float) -> str:
    values = [value for one in series for _domains, value in one.points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def across(domains: float) -> float:
        return LEFT + (RIGHT - LEFT) * math.log10(domains) / math.log10(largest)

    def up(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (math.log10(value) - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">',
        NOTICE,
        "<title>What one domain costs in a rollout, over the number of domains</title>",
        f'<style>{STYLE}</style><rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        f'<text class="title" x="{LEFT}" y="32">Seconds for each domain of a rollout</text>',
    ]
    for power in range(low, high + 1):
        parts.append(_grid((LEFT, up(10**power)), (RIGHT, up(10**power))))
        parts.append(
            f'<text x="{LEFT - 10}" y="{up(10**power) + 4:.0f}" text-anchor="end">{_seconds(10**power)}</text>'
        )
    for power in range(round(math.log10(largest)) + 1):
        parts.append(_grid((across(10**power), TOP), (across(10**power), BOTTOM)))
        parts.append(f'<text x="{across(10**power):.0f}" y="{BOTTOM + 22}" text-anchor="middle">{10**power:,}</text>')
    parts.append(f'<text x="{(LEFT + RIGHT) / 2:.0f}" y="{BOTTOM + 46}" text-anchor="middle">domains</text>')
    ends = _apart([up(one.points[-1][1]) for one in series if one.text])
    for one in series:
        where = [(across(domains), up(value)) for domains, value in one.points]
        parts.append(_line(one, where))
        if one.text:
            parts.append(_end(one, where[-1][0], ends.pop(0)))
    return "\n".join([*parts, "</svg>", ""])


def _seconds(value: float) -> str:
    return f"{value:g} s" if value >= 1 else f"{1000 * value:g} ms"


def _grid(begin: Point, end: Point) -> str:
    (x1, y1), (x2, y2) = begin, end
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _line(one: Series, where: list[Point]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in where)
    line = f'<polyline class="line {one.colour}{"" if one.measured else " far"}" points="{path}"/>'
    dots = [f'<circle class="{one.colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in where if one.measured]
    return line + "".join(dots)


def _end(one: Series, x: float, y: float) -> str:
    value = one.points[-1][1]
    shown = f"{value:,.1f} s" if value >= 1 else f"{1000 * value:,.1f} ms"
    return f'<text class="{one.colour}" x="{x + 14:.1f}" y="{y + 4:.1f}">{one.text}, {shown}</text>'


def _apart(heights: list[float], least: float = 17) -> list[float]:
    """The heights, moved so that texts there do not lie on each other."""
    moved = dict.fromkeys(range(len(heights)), 0.0)
    last = -least
    for number in sorted(moved, key=heights.__getitem__):
        moved[number] = last = max(heights[number], last + least)
    return list(moved.values())
