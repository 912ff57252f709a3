# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way into DNS keeps the same promises, each against its real server: one table for all of them."""

from __future__ import annotations

import itertools
import json
import typing as t
from pathlib import Path

import pytest
from backends.backend import ZONE, Backend, Caller, record_set, statuses
from backends.lexicon import Lexicon
from backends.updates import UpdatesToBind, UpdatesToKnot, UpdatesToPowerDNS
from backends.zone_files import FilesOfBind, FilesOfNsd

BACKENDS: dict[str, t.Callable[[Path], Backend]] = {
    "rfc2136 to BIND": UpdatesToBind,
    "rfc2136 to Knot": UpdatesToKnot,
    "rfc2136 to PowerDNS": UpdatesToPowerDNS,
    "zone files of BIND": FilesOfBind,
    "zone files of NSD": FilesOfNsd,
    "lexicon to PowerDNS": Lexicon,
}
# What a look ahead tells as the run itself does.
TOLD = ("changed", "diff", "results")

_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=list(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Backend]:
    started = BACKENDS[request.param](tmp_path_factory.mktemp("backend"))
    yield started
    started.stop()


@pytest.fixture
def call(backend: Backend, tmp_path: Path) -> Caller:
    return Caller(backend, tmp_path)


@pytest.fixture
def name() -> str:
    """A name in the zone that no other test uses."""
    return f"mta-sts.d{next(_numbers)}.{ZONE}"


OLD, NEW = "v=STSv1; id=5d41402abc4b2a76b9719d911017c592", "v=STSv1; id=7d793037a0760186574b0282f2f435e7"
REPORTS = "v=TLSRPTv1; rua=mailto:tls-reports@example.com,https://reports.example.net/tlsrpt?a=b%21"

Wanted = tuple[t.Any, ...]


class Change(t.NamedTuple):
    """What is wanted first and then, each as type, TTL and values, and what is answered at last."""

    first: Wanted
    then: Wanted
    answer: list[str]


KEY, NEXT_KEY = (f"3 1 1 {digit * 64}" for digit in "ab")
ONE, TWO = "2001:db8::1", "2001:db8::2"
CHANGES = {
    "create": Change(("TXT", 300), ("TXT", 300, OLD), [f'300 "{OLD}"']),
    "change": Change(("TXT", 300, OLD), ("TXT", 300, NEW), [f'300 "{NEW}"']),
    "change of the TTL": Change(("TXT", 300, OLD), ("TXT", 3600, OLD), [f'3600 "{OLD}"']),
    "removal": Change(("TXT", 300, OLD), ("TXT", 300), []),
    "special characters": Change(("TXT", 300), ("TXT", 300, REPORTS), [f'300 "{REPORTS}"']),
    "fewer addresses": Change(("A", 300, "192.0.2.1", "192.0.2.2"), ("A", 300, "192.0.2.2"), ["300 192.0.2.2"]),
    "more addresses": Change(("AAAA", 300, ONE), ("AAAA", 300, ONE, TWO), [f"300 {ONE}", f"300 {TWO}"]),
    "next key": Change(("TLSA", 300, KEY), ("TLSA", 300, KEY, NEXT_KEY), [f"300 {KEY}", f"300 {NEXT_KEY}"]),
    "another alias": Change(("CNAME", 300, "a.example.net"), ("CNAME", 300, "b.example.net"), ["300 b.example.net."]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change(backend: Backend, call: Caller, name: str, change: Change) -> None:
    """Looked ahead, done, looked ahead again, done again; neighbours are left alone."""
    rdtype, ttl, *values = change.then
    kept = record_set(f"kept.{name}", "TXT", "kept")
    prepared = call([record_set(name, change.first[0], *change.first[2:], ttl=change.first[1]), kept])
    assert not prepared.get("failed"), prepared
    before = backend.answer(name, rdtype)
    assert len(before) == len(change.first[2:])
    sets = [record_set(name, rdtype, *values, ttl=ttl, item="mine")]
    planned = call(sets, check=True)
    assert planned["changed"]
    assert backend.answer(name, rdtype) == before
    done = call(sets)
    assert backend.answer(name, rdtype) == change.answer
    assert [done[key] for key in TOLD] == [planned[key] for key in TOLD]
    assert done["counts"] == {"ok": 0, "changed": 1, "awaited": 0, "failed": 0}
    assert done["results"][0]["item"] == "mine"
    absolute = sorted(f"{value}." if rdtype == "CNAME" else value for value in values)
    assert done["results"][0]["after"] == ({"ttl": ttl, "values": absolute} if values else None)
    assert all(f"{name}. " in line for text in done["diff"].values() for line in text.splitlines())
    for check in (True, False):
        again = call(sets, check=check)
        assert not again["changed"]
        assert statuses(again) == ["ok"]
        assert again["diff"] == {"before": "", "after": ""}
    assert backend.answer(f"kept.{name}", "TXT") == ['300 "kept"']


def test_addresses_and_an_alias_change_places(backend: Backend, call: Caller, name: str) -> None:
    to_alias = [record_set(name, "A"), record_set(name, "CNAME", "target.example.net")]
    to_addresses = [record_set(name, "A", "192.0.2.1"), record_set(name, "CNAME")]
    assert not call([to_addresses[0]]).get("failed")
    for sets, rdtype, answer in ((to_alias, "CNAME", "target.example.net."), (to_addresses, "A", "192.0.2.1")):
        result = call(sets)
        assert statuses(result) == ["changed", "changed"], result
        assert backend.answer(name, rdtype) == [f"300 {answer}"]
        assert not call(sets)["changed"]


def test_what_cannot_change_places_stays(backend: Backend, call: Caller, name: str) -> None:
    """A name that cannot become an alias keeps its addresses."""
    assert not call([record_set(name, "A", "192.0.2.1")]).get("failed")
    backend.put(name, 300, "TXT", "theirs")
    sets = [record_set(name, "A"), record_set(name, "CNAME", "target.example.net"), record_set(f"a.{name}", "TXT", "x")]
    assert statuses(call(sets, check=True)) == ["failed", "failed", "changed"]
    result = call(sets)
    assert statuses(result) == ["failed", "failed", "changed"]
    assert "left as it is, since the CNAME set there cannot be changed" in result["results"][0]["error"]
    assert backend.answer(name, "A") == ["300 192.0.2.1"]


def test_nothing_to_do(call: Caller, name: str) -> None:
    assert statuses(call([record_set(name, "TXT")])) == ["ok"]
    assert call([])["counts"] == {"ok": 0, "changed": 0, "awaited": 0, "failed": 0}


@pytest.mark.parametrize("check", [True, False])
def test_what_somebody_else_put_there_meanwhile_is_left_alone(
    backend: Backend, call: Caller, name: str, check: bool
) -> None:
    backend.put(name, 60, "TXT", "theirs")
    result = call([record_set(name, "TXT", NEW, expected=[OLD]), record_set(f"a.{name}", "TXT", OLD)], check=check)
    assert statuses(result) == ["failed", "changed"]
    assert result["failed"]
    assert f"{name}. changed since the plan was made" in result["results"][0]["error"]
    assert "theirs" in result["results"][0]["error"]
    assert backend.answer(name, "TXT") == ['60 "theirs"']
    assert backend.answer(f"a.{name}", "TXT") == ([] if check else [f'300 "{OLD}"'])


def test_foreign_values(backend: Backend, call: Caller, name: str) -> None:
    """Where nothing is expected a set is replaced whole, or told where that cannot be; never is one added to it."""
    backend.put(name, 60, "TXT", "theirs", "and more of theirs")
    result = call([record_set(name, "TXT", NEW)])
    if backend.replaces_foreign:
        assert statuses(result) == ["changed"]
        assert backend.answer(name, "TXT") == [f'300 "{NEW}"']
    else:
        assert statuses(result) == ["failed"]
        assert "theirs" in result["results"][0]["error"]
        assert backend.answer(name, "TXT") == ['60 "and more of theirs"', '60 "theirs"']


def test_wrong_credentials(backend: Backend, call: Caller, name: str) -> None:
    for wrong in backend.wrong_credentials():
        result = call([record_set(name, "TXT", NEW)], **wrong.options)
        assert result["failed"]
        assert not result.get("changed")
        assert all(word in result["msg"] for word in wrong.words), result["msg"]
        assert not wrong.secret or wrong.secret not in call.printed
        assert backend.answer(name, "TXT") == []


def test_no_secret_is_printed(backend: Backend, call: Caller, name: str) -> None:
    for value in (OLD, NEW):
        call([record_set(name, "TXT", value), record_set(f"a.{name}", "TXT", "x", expected=["y"])])
        assert call.printed
        assert not [secret for secret in backend.secrets if secret in call.printed]


def test_a_server_that_goes_down_half_way(backend: Backend, call: Caller, name: str) -> None:
    """What was done is told, what was not is told, and the next run does the rest."""
    sets = [record_set(f"n{number}.{name}", "TXT", f"{number}") for number in range(250)]
    with backend.dying() as options:
        result = call(sets, **options)
    assert result["failed"]
    assert result["msg"]
    for one in result["results"]:
        assert (one["status"], bool(one["error"])) in (("changed", False), ("failed", True)), one
        if one["status"] == "changed":
            assert backend.answer(one["name"], "TXT")
    assert "failed" in statuses(result)
    healed = call(sets)
    assert not healed.get("failed"), healed["msg"]
    assert [backend.answer(one["name"], "TXT") for one in sets] == [[f'300 "{one["values"][0]}"'] for one in sets]
    assert not call(sets)["changed"]


def test_500_sets(backend: Backend, call: Caller, name: str) -> None:
    sets = [record_set(f"n{number}.{name}", "TXT", f"v=STSv1; id={number}") for number in range(500)]
    assert call(sets)["counts"] == {"ok": 0, "changed": 500, "awaited": 0, "failed": 0}
    assert [backend.answer(one["name"], "TXT") for one in sets] == [[f'300 "{one["values"][0]}"'] for one in sets]
    assert call(sets)["counts"] == {"ok": 500, "changed": 0, "awaited": 0, "failed": 0}
    removal = [{**one, "values": []} for one in sets]
    assert call(removal)["counts"] == {"ok": 0, "changed": 500, "awaited": 0, "failed": 0}
    assert backend.answer(sets[0]["name"], "TXT") == []


def test_all_mistakes_are_told_before_anything_is_done(backend: Backend, call: Caller, name: str) -> None:
    sets = [record_set(name, "TXT", "x"), record_set("two words", "TXT", "x"), record_set(name, "A", "192.0.2.300")]
    message = call(sets)["msg"]
    assert "record_sets[1]: " in message
    assert "record_sets[2]: value '192.0.2.300' is no A data" in message
    assert backend.answer(name, "TXT") == []


def test_a_section_of_a_document(backend: Backend, call: Caller, name: str, tmp_path: Path) -> None:
    document = tmp_path / "plan.json"
    document.write_text(json.dumps({"record_sets": {"announce": [record_set(name, "TXT", "x")], "other": []}}))
    assert statuses(call(None, document=str(document), section="announce")) == ["changed"]
    assert call(None, document=str(document), section="other")["results"] == []
    assert "has no list record_sets.missing" in call(None, document=str(document), section="missing")["msg"]
    assert backend.answer(name, "TXT") == ['300 "x"']
