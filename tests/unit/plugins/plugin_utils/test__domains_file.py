# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of domains: three forms of the same list, and nothing in one that is lost without a word."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._domains_file import (
    DomainsFileError,
    read_entries,
    read_names,
)

ENTRIES: list[dict[str, t.Any]] = [
    {"domain": "example.com", "mx": ["mx1.example.net", "*.mail.example.net"], "mode": "enforce", "gate": False},
    {
        "domain": "b\u00fccher.example",
        "mx": ["mx1.example.net"],
        "tlsrpt": ["mailto:tls@example.net", "https://r.example/"],
    },
    {"domain": "example.org", "state": "absent", "replace_foreign": True},
]
CSV = """\
domain,mx,mode,gate,tlsrpt,state,replace_foreign
example.com, mx1.example.net *.mail.example.net ,enforce,false,,,

b\u00fccher.example,mx1.example.net,,,mailto:tls@example.net https://r.example/,,
"example.org",,,,,absent,TRUE
"""
SAME = {
    "domains.json": json.dumps(ENTRIES),
    "domains.yml": yaml.safe_dump(ENTRIES, allow_unicode=True),
    "domains.YAML": "---\n" + yaml.safe_dump(ENTRIES, default_flow_style=True),
    "domains.csv": CSV,
    "with marks.csv": "\ufeff" + CSV.replace("\n", "\r\n"),
}


@pytest.mark.parametrize(("name", "text"), SAME.items(), ids=SAME)
def test_all_forms_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_entries(str(tmp_path / name)) == ENTRIES


def test_an_anchor_of_yaml_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "domains.yml"
    path.write_text("- &one {domain: a.example, mx: [mx.example]}\n- {<<: *one, domain: b.example}\n")
    assert read_entries(str(path)) == [{"domain": f"{name}.example", "mx": ["mx.example"]} for name in "ab"]


REFUSED = {
    "domains.txt": ("", "the name of a file of domains ends with .json, .yml, .yaml, .csv"),
    "domains": ("", "the name of a file of domains ends with"),
    "twice.json": ('[{"domain": "a.example", "mx": [], "mx": []}]', "an entry has mx twice: 'a.example'"),
    "twice.yml": ("- domain: a.example\n  mx: [a.b]\n  mx: [c.d]\n", "an entry has mx twice: 'a.example'"),
    "twice.csv": ("domain,mx,mx\n", "the first line names a column twice"),
    "mapping.yml": ("mta_sts_domains: []\n", "must be a list of entries, as mta_sts_domains is"),
    "empty.yml": ("", "must be a list of entries"),
    "empty.csv": ("", "the first line must name the columns, of which one is 'domain'"),
    "headless.csv": ("example.com,mx.example.net\n", "the first line must name the columns"),
    "short.csv": ("domain,mx\na.example,mx.example\nb.example\n", "line 3: 1 cells, and there are 2 columns"),
    "quote.csv": ('domain,mx\n"a.example,mx.example\n', "unexpected end of data"),
    "half.json": ('[{"domain"', "Expecting ':' delimiter: line 1"),
    "object.yml": ("- !!python/object/apply:os.system [id]\n", "could not determine a constructor for the tag"),
    "deep.json": ("[" * 100_000, "recursion"),
    "latin.csv": ("domain\nb\udcfccher.example\n", "can't decode byte 0xfc"),
}


@pytest.mark.parametrize(("name", "text", "message"), [(name, *row) for name, row in REFUSED.items()], ids=REFUSED)
def test_what_could_be_lost_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DomainsFileError) as caught:
        read_entries(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DomainsFileError, match="No such file or directory"):
        read_entries(str(tmp_path / "domains.csv"))


def test_names_of_any_file(tmp_path: Path) -> None:
    names = [entry["domain"] for entry in ENTRIES]
    for name, text in SAME.items():
        (tmp_path / name).write_bytes(text.encode())
        assert read_names(str(tmp_path / name)) == names
    path = tmp_path / "domains.txt"
    path.write_text("# ours\n" + "  # theirs\n\n ".join(names), encoding="utf-8")
    assert read_names(str(path)) == names


@pytest.mark.parametrize(("name", "text"), [("a.txt", "# none\n"), ("a.json", "[]"), ("a.csv", "domain\n")])
def test_a_file_without_names(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DomainsFileError, match="names no domain"):
        read_names(str(tmp_path / name))
