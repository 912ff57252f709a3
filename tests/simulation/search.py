# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds a story in which a broken rule is noticed, makes it as short as it can be, and prints it as for stories.py.

    PYTHONPATH=.collections .venv/bin/python tests/simulation/search.py [-h] [--examples N] [--seed N] [MUTANT ...]

Without a name it looks for all of mutants.py. What is found is put into stories.py by hand; "ruff format" puts it
into shape. Most are found in seconds, some in minutes; another seed tries other stories.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import typing as t
from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test
from machine import Simulation, Story, tell
from mutants import MUTANTS, broken
from rollout import NO_TROUBLE, Trouble
from world import DAY, HOUR, MINUTE, Broken

UNITS = {"DAY": DAY, "HOUR": HOUR, "MINUTE": MINUTE}
Pools = dict[str, tuple[t.Any, ...]]
# What has to happen often for a rule to be noticed soon, by the pool of the machine that it is taken from.
LIKELY: dict[str, Pools] = {
    "what nobody remembers is held by nobody": {"breakdowns": ("rebuilt",)},
    "a ledger that was lost knew nothing": {"breakdowns": ("rebuilt",)},
    "what was only written down was served": {"stops": tuple(range(1, 9))},
    "what is forgotten was harmless": {"breakdowns": ("rebuilt",)},
    "old MX sets are in no cache when it is enforced": {"waits": (MINUTE, HOUR)},
    "files go when the record is gone": {"waits": (MINUTE, "due"), "changes": ({"state": "absent"},)},
    "silence is an answer": {"breakdowns": ("rebuilt",), "troubles": (NO_TROUBLE, Trouble(probe="dns"))},
    "any clock will do": {"troubles": (NO_TROUBLE, Trouble(skew=40 * DAY))},
    "ledgers that are not read do not matter": {
        "breakdowns": ("away",),
        "changes": ({"state": "absent"},),
        "waits": (HOUR, "due"),
    },
}


def search(name: str, examples: int, number: int) -> t.Optional[Story]:
    """The first story that shows it."""
    simulation: t.Optional[Simulation] = None

    def begin(self: Simulation) -> None:
        nonlocal simulation
        simulation = self
        Simulation.__init__(self)

    machine = type("Search", (Simulation,), {**LIKELY.get(name, {}), "__init__": begin})
    told = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    with broken(MUTANTS[name]):
        try:
            seed(number)(get_state_machine_test(machine, settings=told))()
        except Broken:
            assert simulation is not None
            return simulation.told
    return None


def promise(name: str, story: Story) -> str:
    """The number of the promise that is seen to be broken, or nothing."""
    with broken(MUTANTS[name]):
        try:
            tell(story)
        except Broken as error:
            return str(error).split()[0]
        except (AssertionError, ValueError):
            # It fits no more.
            pass
    return ""


def shortest(name: str, story: Story) -> Story:
    """The story without all that is not needed to see the same promise broken."""
    wanted = promise(name, story)
    pending = shorter(story)
    while (tried := next(pending, None)) is not None:
        if promise(name, tried) == wanted:
            story, pending = tried, shorter(tried)
    return story


def shorter(story: Story) -> Iterator[Story]:
    for count in (16, 4, 1):
        for place in range(len(story) - count, 0, -1):
            yield [*story[:place], *story[place + count :]]
    for place, (step, chosen) in enumerate(story):
        for key, value in chosen.items():
            for plainer in values_before(step, key, value):
                yield [*story[:place], (step, {**chosen, key: plainer}), *story[place + 1 :]]


def values_before(step: str, key: str, value: t.Any) -> Iterator[t.Any]:
    """Plainer values than this, the plainest first."""
    plainest = inspect.signature(getattr(Simulation, step)).parameters[key].default
    if value == plainest:
        return
    if plainest is not inspect.Parameter.empty:
        yield plainest
    if key == "starts" and len(value) > 1:
        yield from ([one] for one in value)
        yield from (value[:place] + value[place + 1 :] for place in range(len(value)))
    elif key == "stop":
        yield from range(1, value)


def text_of(name: str, story: Story) -> Iterator[str]:
    yield f"    {as_text(name)}: ("
    for step, chosen in story:
        parameters = inspect.signature(getattr(Simulation, step)).parameters
        told = {key: chosen[key] for key, one in parameters.items() if key in chosen and chosen[key] != one.default}
        yield f"        {as_text((step, told))},"
    yield "    ),"


def as_text(value: t.Any) -> str:
    """Python that gives the value, with times in words."""
    if isinstance(value, Trouble):
        parts = value._asdict().items()
        return f"Trouble({', '.join(f'{key}={as_text(one)}' for key, one in parts if one != getattr(NO_TROUBLE, key))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{as_text(key)}: {as_text(one)}' for key, one in value.items())}}}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(as_text, value))}{',' * (len(value) == 1)})"
    if isinstance(value, int) and abs(value) >= MINUTE:
        name, unit = next((name, unit) for name, unit in UNITS.items() if value % unit == 0)
        return name if value == unit else f"{value // unit} * {name}"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def main() -> int:
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("mutants", metavar="MUTANT", nargs="*", help="a name in mutants.py (default: all)")
    parser.add_argument("--examples", type=int, default=6000, help="how many stories are tried for each (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="where they begin (%(default)s)")
    arguments = parser.parse_args()
    missed = []
    for name in arguments.mutants or MUTANTS:
        story = search(name, arguments.examples, arguments.seed)
        if story is None:
            missed.append(name)
        else:
            print(*text_of(name, shortest(name, story)), sep="\n", flush=True)
    for name in missed:
        print(f"Not found: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
