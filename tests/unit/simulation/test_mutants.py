# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulation that notices nothing proves nothing: it must notice every rule that is broken on purpose."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test
from machine import Simulation
from mutants import MUTANTS, Mutant, broken
from world import Broken


def searched(mutant: Mutant) -> t.Callable[[], None]:
    """Any stories at all, until one shows it."""
    machine = type("Story", (Simulation,), mutant.likely or {})
    told = settings(
        max_examples=6000,
        stateful_step_count=50,
        deadline=None,
        database=None,
        # The first story that shows it will do.
        phases=(Phase.generate,),
        # Stories are long, as many steps count and not many choices.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    search: t.Callable[[], None] = seed(0)(get_state_machine_test(machine, settings=told))
    return search


def known(mutant: Mutant) -> t.Callable[[], None]:
    """The story that shows it."""

    def tell() -> None:
        simulation = Simulation()
        for step, chosen in mutant.story:
            getattr(simulation, step)(**chosen)

    return tell


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_broken_rule_is_noticed(mutant: Mutant) -> None:
    tell = known(mutant) if mutant.story else searched(mutant)
    if mutant.story:
        # With the rule it ends well.
        tell()
    with broken(mutant.patches), pytest.raises(Broken):
        tell()
