# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises P1 to P7 hold whatever happens, and in a world that is well all domains arrive.

MTA_STS_EXAMPLES says how many examples are tried in all (640, each of up to 50 steps, which takes a minute of one
core), and MTA_STS_SEED where they begin (0). Who changes the lifecycle tries more of them, and others:

    make simulation MTA_STS_EXAMPLES=20000 MTA_STS_SEED=1

A failure prints the shortest story that was found.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test
from machine import Simulation

EXAMPLES = int(os.environ.get("MTA_STS_EXAMPLES", "640"))
SEED = int(os.environ.get("MTA_STS_SEED", "0"))
# So many tests can run side by side.
PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_the_promises_hold_whatever_happens(part: int) -> None:
    told = settings(
        max_examples=max(EXAMPLES // PARTS, 1),
        stateful_step_count=50,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        # A step has few choices of its own, and what counts is many steps: such stories are large.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    seed(SEED * PARTS + part)(get_state_machine_test(Simulation, settings=told))()
