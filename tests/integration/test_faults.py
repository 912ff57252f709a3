# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault matrix: domains with real servers, each set up wrong in one way, of which exactly that is found."""

from __future__ import annotations

import json

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import ERROR, KINDS
from faults.fault import Domain
from faults.matrix import FAULTS, RIGHT
from faults.world import Document, World

TABLE = {**RIGHT, **FAULTS}
# No server can bring that about.
NOT_OF_SERVERS = {"probe-failure"}


def errors(domain: Domain) -> list[str]:
    return [code for code in domain.finds if KINDS[code].severity == ERROR]


@pytest.fixture(scope="module")
def seen(faulty: World) -> Document:
    """All domains in one go, as they come: no one may spoil another."""
    return faulty.observe(faulty.domains)


def test_the_matrix_is_large_and_whole() -> None:
    assert sum(bool(errors(domain)) for domain in FAULTS.values()) >= 60
    assert {len(errors(domain)) for domain in FAULTS.values()} == {0, 1}
    assert all(domain.finds for domain in FAULTS.values())
    assert not any(domain.finds for domain in RIGHT.values())
    assert {code for domain in FAULTS.values() for code in domain.finds} == set(KINDS) - NOT_OF_SERVERS


@pytest.mark.parametrize("name", TABLE)
def test_exactly_what_is_wrong_is_found(seen: Document, name: str) -> None:
    domain = TABLE[name]
    document = seen["domains"][f"{name}.{domain.zone}"]
    texts: dict[str, list[str]] = {}
    for finding in document["findings"]:
        texts.setdefault(finding["code"], []).append(f"{finding['subject']}: {finding['seen']}")
    assert set(texts) == set(domain.finds), texts
    for code, part in domain.finds.items():
        assert any(part in text for text in texts[code]), texts[code]
    assert document["verdict"] == (domain.verdict or ("broken" if errors(domain) else "enforce"))
    assert json.dumps(document).isprintable()
