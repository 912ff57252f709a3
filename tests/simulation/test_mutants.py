# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulation that notices nothing proves nothing: it must notice every rule that is broken on purpose."""

from __future__ import annotations

import pytest
from machine import tell
from mutants import MUTANTS, broken
from stories import STORIES
from world import Broken


def test_every_rule_has_its_story() -> None:
    assert list(STORIES) == list(MUTANTS)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_noticed(name: str) -> None:
    # With the rule all ends well.
    tell(STORIES[name])
    with broken(MUTANTS[name]), pytest.raises(Broken):
        tell(STORIES[name])
