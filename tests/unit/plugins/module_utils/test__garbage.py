# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer looks for garbage, and as many as before when that is over."""

from __future__ import annotations

import gc

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections


def test_it_ends_with_the_context() -> None:
    before = gc.get_threshold()

    @few_collections()
    def work() -> int:
        assert gc.isenabled()
        return gc.get_threshold()[0]

    assert work() > before[0]
    with pytest.raises(KeyError), few_collections():
        raise KeyError
    assert gc.get_threshold() == before
