# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever means ill, or never answers, gets no more time and memory than others, and nothing into a terminal."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._metrics import verify_metrics
from ansible_collections.postmaster.mta_sts.plugins.module_utils._page import Assets, make_page
from ansible_collections.postmaster.mta_sts.plugins.module_utils._verification import make_verification, verify_lines
from faults.bulk import SILENT_DOMAINS, WELL_DOMAINS
from faults.fault import Domain
from faults.hostile import HOSTILE_DOMAINS
from faults.world import PATIENCE, Document, World, assert_found
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from modules import ENVIRONMENT

CHECKOUT = Path(__file__).parents[2]

# In bytes, for all of them at once, and what a line of a document may have.
MEMORY = 150 << 20
TEXT_LIMIT = 1000
# Of one domain, mostly the patterns of a policy of 64 KiB.
DOCUMENT_LIMIT = 200_000

PROGRAM = """
import json, resource, sys, time
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe import domain
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.connect import Reach
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.sender import Settings, observe

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

given = json.load(sys.stdin)
domain.SLOW = given["reach"]["timeout"]
resolvers, reach = [tuple(server) for server in given["resolvers"]], Reach(**given["reach"])
settings = Settings(resolvers, ca_file=given["ca_file"], reach=reach, concurrency=given["concurrency"])
before, begin = peak(), time.monotonic()
document = observe(dict.fromkeys(given["domains"]), settings)
json.dump({"document": document, "memory": peak() - before, "seconds": time.monotonic() - begin}, sys.stdout)
"""


@pytest.fixture(scope="module")
def seen(faulty: World) -> Document:
    """All of them in one go, by a process of its own."""
    settings = faulty.settings()
    given = {
        "resolvers": settings.resolvers,
        "ca_file": settings.ca_file,
        "reach": vars(settings.reach),
        "concurrency": settings.concurrency,
        "domains": [f"{name}.{domain.zone}" for name, domain in HOSTILE_DOMAINS.items()],
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(given),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    found: Document = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", HOSTILE_DOMAINS)
def test_what_is_wrong_is_found_all_the_same(seen: Document, name: str) -> None:
    domain = HOSTILE_DOMAINS[name]
    assert_found(seen["document"]["domains"][f"{name}.{domain.zone}"], domain)


def texts_in(document: t.Any) -> t.Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from texts_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from texts_in(value)


def test_everything_is_printable_and_bounded(seen: Document) -> None:
    texts = list(texts_in(seen["document"]))
    assert [text for text in texts if not text.isprintable() or len(text) > TEXT_LIMIT] == []
    assert any("<script>" in text for text in texts)
    sizes = {name: len(json.dumps(one)) for name, one in seen["document"]["domains"].items()}
    assert {name: size for name, size in sizes.items() if size > DOCUMENT_LIMIT} == {}


@pytest.fixture(scope="module")
def document(seen: Document) -> Document:
    """What the playbook makes of it."""
    now = dt.datetime.now(dt.timezone.utc)
    return make_verification([seen["document"]], now, now)


def test_the_document_fits_its_schema(document: Document) -> None:
    Draft202012Validator(json.loads((CHECKOUT / "docs/schemas/verify.json").read_text())).validate(document)


def test_the_screen_stays_as_it_is(document: Document) -> None:
    domains = document["domains"]
    lines = [line for name in domains for line in verify_lines({**document, "domains": {name: domains[name]}}, "x")]
    assert len(lines) > len(domains)
    assert [line for line in lines if not line.isprintable() or len(line) > TEXT_LIMIT] == []


def test_the_page_shows_it_as_text(document: Document) -> None:
    files = CHECKOUT / "playbooks/files/report"
    page = make_page(document, Assets(*((files / f"page.{kind}").read_text() for kind in ("html", "css", "js"))))
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert [line for line in page.splitlines() if not line.isprintable()] == []


def test_the_metrics_keep_to_their_lines(document: Document) -> None:
    lines = verify_metrics(document).splitlines()
    assert len(lines) > len(document["domains"])
    assert [line for line in lines if not line.isprintable() or line[:1] not in "#m"] == []


def test_memory_is_bounded(seen: Document) -> None:
    assert seen["memory"] < MEMORY


def test_time_is_bounded(seen: Document) -> None:
    """Domains first, what they share then: each may take its time, and some more is for what there is to do."""
    assert seen["seconds"] < 3 * PATIENCE


def test_who_never_answers_costs_two_deadlines_at_most(faulty: World) -> None:
    """One for what a domain has for itself and one for what domains share, however many there are."""
    deadline = 2.5

    def observed(*tables: t.Mapping[str, Domain]) -> tuple[float, Document]:
        names = [f"{name}.{domain.zone}" for table in tables for name, domain in table.items()]
        begin = time.monotonic()
        document = faulty.observe(names, reach=faulty.reach(deadline))
        return time.monotonic() - begin, document["domains"]

    alone, found = observed(WELL_DOMAINS)
    assert all(document["findings"] == [] for document in found.values())
    together, found = observed(WELL_DOMAINS, SILENT_DOMAINS)
    for name, domain in {**WELL_DOMAINS, **SILENT_DOMAINS}.items():
        assert_found(found[f"{name}.{domain.zone}"], domain)
    # Deadlines are counted: what else there is to do takes the time that the machine has for it.
    assert round((together - alone) / deadline) <= 2
