# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault matrix: domains with real servers, each set up wrong in one way, of which exactly that is found."""

from __future__ import annotations

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import ERROR, KINDS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe import domain as probe
from faults.fault import Domain
from faults.matrix import FAULTS, RIGHT
from faults.world import PATIENCE, Document, World, assert_found

TABLE = {**RIGHT, **FAULTS}
NAMED = {f"{name}.{domain.zone}": domain for name, domain in TABLE.items()}
# No server can bring that about.
NOT_OF_SERVERS = {"probe-failure", "probe-incomplete"}


def errors(domain: Domain) -> list[str]:
    return [code for code in domain.finds if KINDS[code].severity == ERROR]


@pytest.fixture(scope="module")
def seen(faulty: World) -> Document:
    """All domains in one go, as they come: no one may spoil another. What is slow is seen when nothing else is."""
    slow = [name for name, domain in NAMED.items() if "policy-slow" in domain.finds]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "SLOW", PATIENCE)
        document = faulty.observe(name for name in NAMED if name not in slow)
        patch.setattr(probe, "SLOW", 1.0)
        document["domains"].update(faulty.observe(slow)["domains"])
    return document


def test_the_matrix_is_large_and_whole() -> None:
    assert sum(bool(errors(domain)) for domain in FAULTS.values()) >= 60
    assert {len(errors(domain)) for domain in FAULTS.values()} == {0, 1}
    assert all(domain.finds for domain in FAULTS.values())
    assert not any(domain.finds for domain in RIGHT.values())
    assert {code for domain in FAULTS.values() for code in domain.finds} == set(KINDS) - NOT_OF_SERVERS


@pytest.mark.parametrize(("name", "domain"), NAMED.items(), ids=TABLE)
def test_exactly_what_is_wrong_is_found(seen: Document, name: str, domain: Domain) -> None:
    document = seen["domains"][name]
    assert_found(document, domain)
    assert document["verdict"] == (domain.verdict or ("broken" if errors(domain) else "enforce"))
