# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulation that notices nothing proves nothing: it must notice every rule that is broken on purpose."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test
from machine import Simulation
from mutants import MUTANTS, Mutant, broken
from world import Broken


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_broken_rule_is_noticed(mutant: Mutant) -> None:
    machine = type("Story", (Simulation,), mutant.likely or {})
    told = settings(
        max_examples=1500,
        stateful_step_count=50,
        deadline=None,
        database=None,
        # The first story that shows it will do.
        phases=(Phase.generate,),
        # Stories are long, as many steps count and not many choices.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    story = seed(0)(get_state_machine_test(machine, settings=told))
    with broken(mutant.patches), pytest.raises(Broken):
        story()
