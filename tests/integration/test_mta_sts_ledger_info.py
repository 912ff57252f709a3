# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy host tells of its ledger: always something, and always what the schema says."""

from __future__ import annotations

import datetime as dt
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import Ledger
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from modules import Result, run

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/ledger.json").read_text())
TESTING = Policy("testing", ("mx.example.net", "*.mail.example.net"), 86400)
ENFORCE = Policy("enforce", ("mx.example.net",), 2592000)
# 2026-11-23T10:00:00+00:00
NOW = 1795428000
TOLD = ("state", "trouble", "revision", "written", "now", "domains")


def entry(domain: str, policy: Policy) -> dict[str, t.Any]:
    return {"domain": domain, "serve": True, "mode": policy.mode, "mx": policy.mx, "max_age": policy.max_age}


def tell(path: Path, **options: t.Any) -> Result:
    """Calls the module, and checks the document that its action plugin makes of what it returns."""
    before = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    result = run("mta_sts_ledger_info", path.parent, path=str(path), **options)
    if not result.get("failed"):
        document = {"host": "web1", **{key: result[key] for key in TOLD}}
        Draft202012Validator(SCHEMA).validate(document)
        assert not result["changed"]
        assert result["count"] == len(result["domains"])
        assert before <= dt.datetime.fromisoformat(result["now"]) <= dt.datetime.now(dt.timezone.utc)
        with pytest.raises(ValidationError):
            Draft202012Validator(SCHEMA).validate({**document, "extra": 1})
    return result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of two domains, of which one has changed its policy."""
    place = tmp_path / "ledger.sqlite3"
    conditions = {"testing": "2026-11-23T10:00:00+00:00", "unneeded *.old.example": "2026-11-22T10:00:00+00:00"}
    with Ledger(place) as ledger:
        first = [{**entry("a.example", TESTING), "conditions": conditions}, entry("xn--bcher-kva.example", TESTING)]
        ledger.record(first, {}, NOW)
        ledger.record([entry("a.example", ENFORCE)], {"a.example": render_policy(TESTING)}, NOW + 60)
        bodies = {"a.example": render_policy(ENFORCE), "xn--bcher-kva.example": render_policy(TESTING)}
        ledger.settle(bodies, NOW + 65)
    return place


def test_all_of_it(path: Path) -> None:
    before = path.read_bytes()
    told = tell(path)
    assert (told["state"], told["trouble"], told["revision"]) == ("ok", "", 3)
    assert told["written"] == "2026-11-23T10:01:05+00:00"
    assert list(told["domains"]) == ["a.example", "xn--bcher-kva.example"]
    first, second = told["domains"]["a.example"]["served"]
    assert first == {
        "id": policy_id(render_policy(TESTING)),
        "mode": "testing",
        "mx": ["mx.example.net", "*.mail.example.net"],
        "max_age": 86400,
        "since": "2026-11-23T10:00:00+00:00",
        "until": "2026-11-23T10:01:05+00:00",
        "after_unknown": False,
    }
    assert (second["id"], second["until"]) == (policy_id(render_policy(ENFORCE)), None)
    assert set(told["domains"]["a.example"]["conditions"]) == {"testing", "unneeded *.old.example"}
    assert told["domains"]["xn--bcher-kva.example"]["conditions"] == {}
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("domains", "told"),
    [
        (["A.Example"], ["a.example"]),
        (["b\u00fccher.example", "never.example"], ["xn--bcher-kva.example"]),
        ([], []),
    ],
)
def test_some_domains(path: Path, domains: list[str], told: list[str]) -> None:
    result = tell(path, domains=domains)
    assert (result["state"], result["revision"]) == ("ok", 3)
    assert list(result["domains"]) == told


def test_a_domain_that_is_none(path: Path) -> None:
    result = tell(path, domains=["a.example", "https://b.example"])
    assert result["failed"]
    assert "'https://b.example' is a URL" in result["msg"]


def test_check_mode_tells_the_same(path: Path) -> None:
    plain, checked = tell(path), run("mta_sts_ledger_info", path.parent, check=True, path=str(path))
    for key in {*TOLD, "count"} - {"now"}:
        assert checked[key] == plain[key]


@pytest.mark.parametrize(
    ("content", "state", "revision", "trouble"),
    [
        (None, "missing", 0, ""),
        (b"", "damaged", 0, "is empty, or no ledger"),
        (b"\x1b[2J" * 2000, "damaged", 0, "file is not a database"),
    ],
)
def test_what_is_no_ledger_is_no_error(
    tmp_path: Path, content: t.Optional[bytes], state: str, revision: int, trouble: str
) -> None:
    path = tmp_path / "ledger.sqlite3"
    if content is not None:
        path.write_bytes(content)
    told = tell(path)
    assert (told["state"], told["revision"], told["written"], told["domains"]) == (state, revision, None, {})
    assert told["trouble"] == (f"{path}: {trouble}" if trouble else "")
    assert path.exists() == (content is not None)
    assert not list(tmp_path.glob("*.damaged-*"))


def test_what_cannot_be_read_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").mkdir()
    told = tell(tmp_path / "ledger.sqlite3")
    assert (told["state"], told["revision"], told["domains"]) == ("unreadable", None, {})
    assert told["trouble"] == f"{tmp_path}/ledger.sqlite3: unable to open database file"
