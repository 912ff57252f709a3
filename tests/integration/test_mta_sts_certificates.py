# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mta_sts_certificates with given files: what it brings, removes, counts and refuses."""

from __future__ import annotations

import grp
import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan_document import SCHEMA
from modules import Result, run
from tls import Authority

NEW, OLD, GONE, BROKEN = (f"mta-sts.{label}.example" for label in ("new", "old", "gone", "broken"))
Call = t.Callable[..., Result]
GROUP = grp.getgrgid(os.getgid()).gr_name


def document(place: Path, *entries: dict[str, t.Any]) -> str:
    usual: dict[str, t.Any] = {
        "serve": False,
        "remove": False,
        "certificate": False,
        "mode": None,
        "mx": [],
        "max_age": None,
        "found": None,
        "after_unknown": False,
        "conditions": None,
    }
    domains = [{"domain": one["policy_host"].partition(".")[2], **usual, **one} for one in entries]
    path = place / "plan.json"
    path.write_text(json.dumps({"schema": SCHEMA, "policy_hosts": {}, "domains": domains}))
    return str(path)


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """A directory with the file of a name that shall go, and with one that nobody speaks of."""
    directory = tmp_path / "tls"
    directory.mkdir()
    for name in (OLD, "mta-sts.other.example"):
        (directory / f"{name}.pem").write_bytes(b"x")
    (tmp_path / f"{NEW}.given").write_bytes(Authority().issue(NEW))
    return directory


@pytest.fixture
def call(tmp_path: Path, tls: Path) -> Call:
    given = str(tmp_path / "{name}.given")
    options = {"source": "files", "certificate_path": given, "key_path": given, "directory": str(tls), "group": GROUP}

    def call(*, check: bool = False, **more: t.Any) -> Result:
        return run("mta_sts_certificates", tmp_path, check=check, **{**options, **more})

    return call


@pytest.mark.parametrize("kind", ["lists", "document"])
def test_brought_and_removed(call: Call, tmp_path: Path, tls: Path, kind: str) -> None:
    """Checked, done, done again."""
    what: dict[str, t.Any] = {"names": [NEW, BROKEN], "absent": [OLD.upper(), GONE]}
    if kind == "document":
        named = [{"policy_host": name, "serve": True, "certificate": True} for name in (NEW, BROKEN)]
        gone = [{"policy_host": name, "remove": True} for name in (OLD, GONE)]
        what = {"document": document(tmp_path, *named, *gone, {"policy_host": "mta-sts.other.example"})}
    there = sorted(tls.iterdir())
    for check in (True, False):
        result = call(check=check, **what)
        assert result["counts"] == {"changed": 1, "removed": 1, "queued": 0, "unchanged": 1, "failed": 1}
        assert result["changed"]
        certificates = result["certificates"]
        assert certificates[NEW] == {"changed": True, "removed": False, "queued": False, "error": ""}
        assert certificates[OLD] == {"changed": False, "removed": True, "queued": False, "error": ""}
        assert certificates[GONE] == {"changed": False, "removed": False, "queued": False, "error": ""}
        assert certificates[BROKEN]["error"]
        assert (sorted(tls.iterdir()) == there) == check
    assert sorted(path.name for path in tls.iterdir()) == [f"{NEW}.pem", "mta-sts.other.example.pem"]
    again = call(**what)
    assert not again["changed"]
    assert again["counts"] == {"changed": 0, "removed": 0, "queued": 0, "unchanged": 3, "failed": 1}


def test_removal_alone(call: Call, tls: Path) -> None:
    result = call(absent=[OLD])
    assert result["changed"]
    assert result["certificates"] == {OLD: {"changed": False, "removed": True, "queued": False, "error": ""}}
    assert [path.name for path in tls.iterdir()] == ["mta-sts.other.example.pem"]


REFUSED: dict[str, tuple[dict[str, t.Any], str]] = {
    "nothing": ({}, "one of the following is required: names, absent, document"),
    "two sources": ({"absent": [OLD], "document": "/nowhere"}, "mutually exclusive: absent|document"),
    "in both": ({"names": [OLD, NEW], "absent": [OLD]}, f"cannot have a certificate and have none: {OLD}"),
    "a path": ({"absent": ["../mta-sts.old.example"]}, "../mta-sts.old.example"),
    "a limit": ({"names": [NEW], "limit": -1}, "limit -1: must be 0 or more"),
    "no document": ({"document": "/nowhere/plan.json"}, "/nowhere/plan.json: No such file or directory"),
    "no group": ({"absent": [OLD], "group": "no-such-group"}, "no group 'no-such-group'"),
}


@pytest.mark.parametrize(("options", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(call: Call, tls: Path, options: dict[str, t.Any], text: str) -> None:
    result = call(**options)
    assert result["failed"]
    assert text in result["msg"]
    assert len(list(tls.iterdir())) == 2


def test_what_caa_records_forbid_is_not_asked_for(call: Call, tmp_path: Path) -> None:
    """In check mode, which asks no server."""
    names = [
        {"policy_host": NEW, "certificate": True, "certificate_refusal": "CAA records of new.example let nobody issue"},
        {"policy_host": BROKEN, "certificate": True, "certificate_refusal": ""},
    ]
    result = call(check=True, source="acme", document=document(tmp_path, *names))
    assert result["counts"] == {"changed": 1, "removed": 0, "queued": 0, "unchanged": 0, "failed": 1}
    assert result["certificates"][NEW]["error"] == "not asked for: CAA records of new.example let nobody issue"
