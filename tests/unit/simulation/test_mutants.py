# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulation that notices nothing proves nothing: it must notice every rule that is broken on purpose."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test
from machine import Simulation
from mutants import MUTANTS, Patch, broken
from world import Broken


@pytest.mark.parametrize("patches", MUTANTS.values(), ids=MUTANTS)
def test_a_broken_rule_is_noticed(patches: list[Patch]) -> None:
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
    story = seed(0)(get_state_machine_test(Simulation, settings=told))
    with broken(patches), pytest.raises(Broken):
        story()
