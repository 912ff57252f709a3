# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents of a run: written whole, and read with care."""

from __future__ import annotations

import datetime as dt
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import (
    MANY,
    DocumentError,
    Documents,
    ReportDocuments,
    read_document,
    read_plan,
    told,
    write_document,
    write_told,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._evidence import Evidence, Site
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan import make_plan
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan_document import ENTRY

NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.timezone.utc)
PLAN: t.Final = make_plan(
    [Desired("example.com", ("mx.example.net",)), Desired("gone.example", ("mx.example.net",), state="absent")],
    Site({"web1.example.net": ["198.51.100.1"]}),
    Evidence({}),
    NOW,
)


def test_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "directory" / "a.json"
    document = {"text": "grün \x1b \ud800", "list": [1, None]}
    write_document(str(path), document)
    assert read_document(str(path)) == document
    assert b"\x1b" not in path.read_bytes()
    assert [one.name for one in path.parent.iterdir()] == ["a.json"]


def test_many_things_have_a_line_each_and_few_are_indented(tmp_path: Path) -> None:
    few, many = str(tmp_path / "few.json"), str(tmp_path / "many.json")
    entry = {"mx": ["mx1.example.net"], "holds": []}
    write_document(few, {"host": "web1", "domains": {"a.example": entry}})
    assert '\n  "a.example": {\n   "mx": [\n' in Path(few).read_text()
    document = {
        "host": "web1",
        "domains": {f"d{n}.example": entry for n in range(MANY + 1)},
        "record_sets": {"prepare": [], "announce": [{"name": f"d{n}.example"} for n in range(MANY + 1)]},
    }
    write_document(many, document)
    assert read_document(many) == document
    lines = Path(many).read_text().splitlines()
    assert '"d7.example": {"mx": ["mx1.example.net"], "holds": []},' in lines
    assert '{"name": "d7.example"},' in lines
    write_document(many, list(document["domains"]))
    assert json.loads(Path(many).read_text()) == list(document["domains"])


def test_what_a_module_tells_is_written_with_its_host(tmp_path: Path) -> None:
    path = str(tmp_path / "web1.json")
    document = {"counts": {"ok": 1}, "text": "grün \x1b \ud800"}
    assert told({"results": None}, **document) == document
    text = told({"results": path}, **document)["results_document"]
    write_told(path, "web1", text)
    assert read_document(path) == {"host": "web1", **document}
    assert dict(Documents(str(tmp_path))) == {"web1": {"host": "web1", **document}}
    with pytest.raises(DocumentError, match="what web1 told is no JSON document"):
        write_told(path, "web1", text[:-1])


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DocumentError, match=f"{tmp_path}/file/a.json: "):
        write_document(f"{tmp_path}/file/a.json", {})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "No such file or directory"),
        (b"", "not a JSON document"),
        (b'{"a": 1', "not a JSON document"),
        (b"\xff\xfe", "not a JSON document"),
        (b"[" * 100_000, "not a JSON document"),
        (b"[]", "not a JSON object"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, text: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DocumentError, match=f"{path}: {text}"):
        read_document(str(path))


def test_documents_by_host(tmp_path: Path) -> None:
    assert Documents(str(tmp_path / "no")) == {}
    write_document(str(tmp_path / "2.json"), {"host": "web2", "a": 2})
    write_document(str(tmp_path / "1.json"), {"host": "web1", "a": 1})
    (tmp_path / "1.json.bak").write_text("{")
    assert Documents(str(tmp_path)) == {"web1": {"host": "web1", "a": 1}, "web2": {"host": "web2", "a": 2}}
    write_document(str(tmp_path / "3.json"), {})
    with pytest.raises(DocumentError, match=r"3\.json: 'host' is missing"):
        Documents(str(tmp_path))
    for text in ('{"host": "a\n"}', '{"host": "\\u00"}', '{"host": '):
        (tmp_path / "3.json").write_text(text)
        with pytest.raises(DocumentError, match=r"3\.json: "):
            Documents(str(tmp_path))


def test_documents_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    """Also one whose host does not come first, or has odd characters in its name."""
    (tmp_path / "1.json").write_text('{"a": [1], "host": "web1"}')
    write_document(str(tmp_path / "2.json"), {"host": 'web"2', "a": []})
    documents = Documents(str(tmp_path))
    assert (list(documents), len(documents)) == (["web1", 'web"2'], 2)
    write_document(str(tmp_path / "2.json"), {"host": 'web"2', "a": [2]})
    assert documents['web"2']["a"] == [2]
    (tmp_path / "2.json").write_text("{")
    with pytest.raises(DocumentError, match=r"2\.json: not a JSON document"):
        documents['web"2']


@pytest.mark.parametrize("domains", [{}, {"a.example": {}}, {f'{n}\u2028"': {"x": [n, None]} for n in range(300)}])
@pytest.mark.parametrize("first", [{}, {"unreadable": [{"domains": {"x": 1}}]}])
def test_reports_come_domain_by_domain(tmp_path: Path, domains: dict[str, t.Any], first: dict[str, t.Any]) -> None:
    """However the document is written."""
    document = {"host": "inbox1", **first, "domains": domains, "unreadable": []}
    write_document(str(tmp_path / "1.json"), document)
    (tmp_path / "2.json").write_text(json.dumps({**document, "host": "inbox2"}, indent=3, separators=(" ,", " : ")))
    documents = ReportDocuments(str(tmp_path))
    assert (list(documents), len(documents)) == (["inbox1", "inbox2"], 2)
    for host in documents:
        assert dict(documents[host]) == domains
        # As often as it is asked for.
        assert dict(documents[host]) == domains


DAMAGED: dict[str, str] = {
    '{"host": "a"}': "it has no 'domains'",
    '{"host": "a", "domains": 5}': "there is no { at character 25",
    '{"host": "a", "domains": {"x": 1': "there is no , or } at character 32",
    '{"host": "a", "domains": {"x"}}': "there is no : at character 29",
    '{"host": "a", "domains": {"x": }}': "Expecting value",
    '{"host": "a", "domains"': "there is no : at character 23",
    '{"host": "a", "domains": {"x": ' + "[" * 100_000: "is nested too deep",
    '{"host": "a", "b": 1, ': "Expecting value",
    '{"host": "a", [1]: 2}': "there is no name at character 14",
    '{"host": "a", "domains": { {}: 1}}': "there is no name at character 27",
}


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_reports_raise_nothing_but_a_value_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.json").write_text(text)
    documents = ReportDocuments(str(tmp_path))
    with pytest.raises(ValueError, match=DAMAGED[text]):
        list(documents["a"])
    (tmp_path / "1.json").unlink()
    with pytest.raises(ValueError, match="No such file"):
        list(documents["a"])


def test_what_a_host_told_is_of_that_host(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    write_told(str(path), "web1", '{"a": 1, "host": "web2"}')
    assert read_document(str(path)) == {"host": "web1", "a": 1}
    assert path.read_text().startswith('{\n "host": "web1"')


@pytest.mark.parametrize(("text", "what"), [("{", "document: "), ("[]", "object$"), ("[" * 100_000, "document: ")])
def test_what_a_host_told_may_be_damaged(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(DocumentError, match=rf"1\.json: what web1 told is no JSON {what}"):
        write_told(str(tmp_path / "1.json"), "web1", text)


def test_a_plan_as_it_is_made_can_be_read(tmp_path: Path) -> None:
    write_document(str(tmp_path / "plan.json"), PLAN)
    assert read_plan(str(tmp_path / "plan.json")) == PLAN
    assert len(PLAN["domains"]) == 2


@pytest.mark.parametrize("key", ENTRY)
@pytest.mark.parametrize("value", ["missing", 0.5])
def test_a_damaged_entry_is_named(tmp_path: Path, key: str, value: t.Any) -> None:
    plan = json.loads(json.dumps(PLAN))
    if value == "missing":
        del plan["domains"][1][key]
    else:
        plan["domains"][1][key] = value
    write_document(str(tmp_path / "plan.json"), plan)
    with pytest.raises(DocumentError, match=rf"plan\.json: domains\[1\]: '{key}' is missing or damaged"):
        read_plan(str(tmp_path / "plan.json"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schema": "postmaster.mta_sts/plan/2"}, "its schema is 'postmaster.mta_sts/plan/2'"),
        ({"domains": {}}, "'domains' is missing or damaged"),
        ({"domains": [None]}, r"domains\[0\] is damaged"),
        ({"policy_hosts": []}, "'policy_hosts' is missing or damaged"),
    ],
)
def test_a_damaged_plan_is_refused(tmp_path: Path, change: dict[str, t.Any], text: str) -> None:
    write_document(str(tmp_path / "plan.json"), {**PLAN, **change})
    with pytest.raises(DocumentError, match=text):
        read_plan(str(tmp_path / "plan.json"))
