# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts are before there is an inbox, to be compared with."""

from __future__ import annotations

import json
import typing as t

from footprint import footprint, kept

if t.TYPE_CHECKING:
    from conftest import Lab


def test_what_there_is_before(lab: Lab) -> None:
    kept(lab).write_text(json.dumps(footprint(lab)))
