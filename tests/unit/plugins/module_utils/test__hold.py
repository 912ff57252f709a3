# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the hold codes is whole: every code that is used is in it, and every one in it is used."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import (
    ANNOUNCE,
    HOLD_KINDS,
    NOTHING,
    STEP,
    Hold,
    HoldKind,
)

UTILS = Path(__file__).resolve().parents[4] / "plugins/module_utils"


@pytest.mark.parametrize("kind", HOLD_KINDS.values(), ids=HOLD_KINDS)
def test_a_kind_says_what_it_stops_and_what_ends_it(kind: HoldKind) -> None:
    assert kind.effect in (ANNOUNCE, STEP, NOTHING)
    assert kind.cause
    assert kind.remedy
    # What keeps an id out of DNS never ends by itself, but for a certificate's turn, which comes with the next run.
    assert kind.effect == STEP or not kind.waits or kind is HOLD_KINDS["certificate-queued"]


def test_what_keeps_from_announcing() -> None:
    assert {code: Hold(code, "").keeps_from_announcing for code in ("clock", "testing-period", "renewal")} == {
        "clock": True,
        "testing-period": False,
        "renewal": False,
    }


def test_every_code_that_is_used_is_in_the_table_and_every_one_in_it_is_used() -> None:
    texts = {
        node.value
        for path in UTILS.glob("_*.py")
        if path.name != "_hold.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    assert set(HOLD_KINDS) - texts == set()
    used = {
        node.args[0].value
        for path in UTILS.glob("_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Hold"
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(used) > 15
    assert used - set(HOLD_KINDS) == set()
