# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No sender ever holds TLSA records of which none is of the key that is served, whatever happens; and a key that
shall be replaced is, in a world that is well.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import replace
from unittest import mock

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils import _tlsa
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa import Memory, Seen, Wish, tlsa_value
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, initialize, rule
from rollover import HOLDS, MARGIN, Mx, Story, tell
from world import Broken

EXAMPLES = int(os.environ.get("MTA_STS_EXAMPLES", "640"))
SEED = int(os.environ.get("MTA_STS_SEED", "0"))
HOUR, DAY = 3600, 86400
TTLS = (60, HOUR, DAY)
WAITS = (1, HOLDS, HOUR, HOUR + 2 * MARGIN, DAY, 8 * DAY)


class Rollovers(RuleBasedStateMachine):
    """Anything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Mx()
        self.keys = 1

    @initialize(source=st.sampled_from(["acme", "files"]), initial_ttl=st.sampled_from([0, 60, DAY]))
    def begin(self, source: str, initial_ttl: int) -> None:
        self.world = Mx(source, initial_ttl)

    @rule(seconds=st.sampled_from(WAITS))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    @rule(
        stop=st.integers(0, 9),
        ttl=st.sampled_from(TTLS),
        rollover=st.booleans(),
        state=st.sampled_from(["present", "present", "present", "absent"]),
        late=st.booleans(),
    )
    def run(self, **chosen: t.Any) -> None:
        self.world.run(**chosen)

    @rule(seconds=st.sampled_from(WAITS), ttl=st.sampled_from(TTLS))
    def well_for_a_while(self, seconds: int, ttl: int) -> None:
        self.world.silence(False)
        self.world.arrive()
        self.world.run(ttl=ttl, rollover=True)
        self.world.wait(seconds)
        self.world.run(ttl=ttl)

    @rule()
    def arrive(self) -> None:
        self.world.arrive()

    @rule(on=st.booleans())
    def silence(self, on: bool) -> None:
        self.world.silence(on)

    @rule(again=st.booleans())
    def new_files(self, again: bool) -> None:
        if self.world.source == "files":
            self.keys += not again
            self.world.new_files(f"key{self.keys}")

    @rule()
    def follow(self) -> None:
        self.world.follow()

    @rule()
    def respawn(self) -> None:
        self.world.respawn()

    @rule()
    def lose(self) -> None:
        self.world.lose()

    def teardown(self) -> None:
        """In a world that is well it comes to an end: the newest key is served, and its record is the only one."""
        self.world.silence(False)
        self.world.arrive()
        for _run in range(6):
            self.world.run()
            self.world.wait(8 * DAY)
        turn = self.world.run()
        assert turn is not None
        assert turn.decision.stage == "steady"
        assert self.world.served == self.world.ready[-1]
        # What it made itself, and forgot, it finds at its name and leaves to the operator.
        assert tlsa_value(self.world.served) in self.world.zones[0].values


@pytest.mark.parametrize("part", range(2))
def test_no_sender_is_ever_left_without_a_record_for_the_key(part: int) -> None:
    told = settings(
        max_examples=max(EXAMPLES // 4, 1),
        stateful_step_count=30,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    seed(SEED * 2 + part)(get_state_machine_test(Rollovers, settings=told))()


# --- each rule, broken on purpose -------------------------------------------------------------------------

REMEMBER, CASE = _tlsa.remember, _tlsa._Case
BEGIN: tuple[str, dict[str, t.Any]] = ("begin", {"initial_ttl": DAY})
ROLLOVER: tuple[str, dict[str, t.Any]] = ("run", {"rollover": True})


def safe_at_once(_key: str, _known: t.Any, _dns: t.Any, _limit: int) -> int:
    return 0


def without_earlier_sets(memory: Memory, seen: Seen, wish: Wish, now: int) -> Memory:
    return replace(REMEMBER(replace(memory, cached_until=0), seen, wish, now), cached_until=0)


def one_server_is_enough(memory: Memory, seen: Seen, wish: Wish, now: int) -> Memory:
    return REMEMBER(memory, replace(seen, dns=replace(seen.dns, everywhere=seen.dns.anywhere)), wish, now)


def served_as_ordered(memory: Memory, seen: Seen, wish: Wish, now: int) -> Memory:
    return replace(REMEMBER(memory, seen, wish, now), served_since=0)


def nothing_begun(self: t.Any) -> Memory:
    memory: Memory = self.memory
    return replace(memory, pending=_tlsa.Pending(self.values, 0))


# Of each: what stands where, and the story in which that is noticed.
MUTANTS: dict[str, tuple[t.Any, Story]] = {
    "nothing is waited for": (
        mock.patch.object(_tlsa, "_safe_from", safe_at_once),
        [BEGIN, ROLLOVER],
    ),
    "the records before had no TTL": (
        mock.patch.object(CASE, "_begun", nothing_begun),
        [
            BEGIN,
            ("run", {"rollover": True, "late": True}),
            ("wait", {"seconds": 2 * HOUR}),
            ("arrive", {}),
            ("run", {}),
            ("wait", {"seconds": DAY - HOUR}),
            ("run", {}),
        ],
    ),
    "a lost memory knew all": (
        mock.patch.object(_tlsa, "UNKNOWN_TTL", 0),
        [BEGIN, ROLLOVER, ("lose", {}), ("run", {}), ("wait", {"seconds": MARGIN}), ("run", {})],
    ),
    "only the last TTL counts": (
        mock.patch.object(_tlsa, "remember", without_earlier_sets),
        [BEGIN, ("run", {"ttl": 60}), ("run", {"ttl": 60, "rollover": True}), ("wait", {"seconds": 3600}), ("run", {})],
    ),
    "one name server speaks for all": (
        mock.patch.object(_tlsa, "remember", one_server_is_enough),
        [
            BEGIN,
            ("run", {"rollover": True, "late": True}),
            ("wait", {"seconds": 2 * DAY}),
            ("arrive", {}),
            ("run", {}),
        ],
    ),
    "the record before goes at once": (
        mock.patch.object(_tlsa, "remember", served_as_ordered),
        [BEGIN, ROLLOVER, ("wait", {"seconds": 2 * DAY}), ("run", {}), ("run", {})],
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_of_the_rollover_is_noticed(name: str) -> None:
    mutant, story = MUTANTS[name]
    tell(story)
    with mutant, pytest.raises(Broken):
        tell(story)


def test_a_rollover_goes_step_by_step() -> None:
    world = Mx(initial_ttl=3600)
    stages = []
    for seconds, rollover in (
        (0, False),
        (0, True),
        (3600, False),
        (MARGIN, False),
        (3600 + MARGIN, False),
        (1, False),
    ):
        world.wait(seconds)
        turn = world.run(rollover=rollover)
        assert turn is not None
        stages.append((turn.decision.stage, world.served, sorted(world.zones[0].values)))
    one, two = tlsa_value("key1"), tlsa_value("key2")
    assert stages == [
        ("steady", "key1", [one]),
        ("waiting", "key1", [one, two]),
        ("waiting", "key1", [one, two]),
        ("dropping", "key2", [one, two]),
        ("steady", "key2", [two]),
        ("steady", "key2", [two]),
    ]
    assert world.ready == ["key2"]
