# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real servers that the integration tests talk to. One that is missing is a failure, never a skip."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from bind import Named
from faults.bulk import SILENT_DOMAINS, WELL_DOMAINS
from faults.hostile import HOSTILE_DOMAINS, serve_badly
from faults.matrix import FAULTS, RIGHT
from faults.world import World

NAMED_ZONES = {
    "example.com": "",
    "example.net": "",
    # Answers for every name that is not there.
    "wild.example": '* TXT "v=spf1 -all"\n* A 192.0.2.80\nwww A 192.0.2.81\n',
    # Everything below child is somebody else's.
    "parent.example": "child NS ns.child\nns.child A 192.0.2.53\n",
    "closed.example": "",
}
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def named(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Named]:
    server = Named(tmp_path_factory.mktemp("named"), NAMED_ZONES, closed_zones={"closed.example"})
    yield server
    server.stop()


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[World]:
    """Servers for every domain of the fault matrix, for those whose owners mean ill, and for many more."""
    table = {**RIGHT, **FAULTS, **HOSTILE_DOMAINS, **WELL_DOMAINS, **SILENT_DOMAINS}
    world = World(tmp_path_factory.mktemp("faulty"), table)
    serve_badly(world.odd, world.dns_port)
    yield world
    world.stop()


@pytest.fixture
def domain() -> str:
    """A domain in example.com that no other test uses."""
    return f"d{next(_numbers)}.example.com"
