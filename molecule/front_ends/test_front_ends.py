# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several policy hosts that serve other sites, too, with a certificate and a key of their own for each name."""

from __future__ import annotations

import json
import typing as t

import neighbours
import pytest

if t.TYPE_CHECKING:
    from conftest import Lab

HOSTS = ("web1", "web2")


@pytest.mark.parametrize("host", HOSTS)
def test_the_other_site_answers_as_before(lab: Lab, host: str) -> None:
    before = json.loads(neighbours.kept(lab).read_text())
    assert neighbours.answers(lab, host) == before[host]["answers"]
