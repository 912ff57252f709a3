# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an MX host remembers of its TLSA records. What it does with that is in the simulation."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_chain import key_to_serve
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_tlsa import read_memory, write_memory
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa import UNKNOWN_TTL, Key, Memory, Pending

NOW = 1_800_000_000
MEMORIES = {
    "nothing": Memory(),
    "all": Memory({"a" * 64: Key(1, 2), "b" * 64: Key(3)}, "a" * 64, 4, 5, Pending(("3 1 1 aa", "3 1 1 bb"), 6)),
}


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)
def test_what_is_written_is_read(tmp_path: Path, memory: Memory) -> None:
    write_memory(tmp_path, memory)
    assert read_memory(tmp_path, NOW) == memory
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_host_that_never_had_records_waits_for_nothing(tmp_path: Path) -> None:
    assert read_memory(tmp_path, NOW) == Memory()
    assert key_to_serve(tmp_path) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"keys": 1}', "\xff", None])
def test_what_was_lost_or_damaged_makes_it_wait(tmp_path: Path, damage: str | None) -> None:
    write_memory(tmp_path, MEMORIES["all"])
    path = tmp_path / "tlsa.json"
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage, encoding="latin-1")
    assert read_memory(tmp_path, NOW) == Memory(cached_until=NOW + UNKNOWN_TTL)


def test_the_key_that_may_be_served(tmp_path: Path) -> None:
    write_memory(tmp_path, MEMORIES["all"])
    assert key_to_serve(tmp_path) == "a" * 64
