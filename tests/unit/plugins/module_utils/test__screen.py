# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written of numbers."""

from __future__ import annotations

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._screen import duration, table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (1, "1 s"),
        (3599, "3599 s"),
        (3600, "1 hour"),
        (90_000, "25 hours"),
        (86400, "1 day"),
        (31557600, "8766 hours"),
    ],
)
def test_a_duration_is_told_in_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_a_table_of_nothing_has_no_lines() -> None:
    assert table([], []) == []
