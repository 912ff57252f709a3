# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the policy hosts are before the first rollout, to be compared with."""

from __future__ import annotations

import json
import typing as t

import neighbours

if t.TYPE_CHECKING:
    from conftest import Lab


def test_what_there_is_before(lab: Lab) -> None:
    before = neighbours.seen(lab)
    for host, greeting in (("web1", "Welcome to"), ("web2", "Hello from")):
        answers = before[host]["answers"]
        assert f"{greeting} shop.example" in answers["https://shop.example/page"]
        assert f"{greeting} unknown.example" in answers["https://unknown.example/page"]
        assert "refused" not in "".join(answers.values())
    neighbours.kept(lab).write_text(json.dumps(before))
