# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record sets that others put into DNS: what is written down for them, and how it is seen to arrive.

The table is that of the other ways into DNS, with a colleague who reads what is written and does it.
"""

from __future__ import annotations

import itertools
import json
import typing as t
from pathlib import Path

import dns.rdatatype
import dns.zonefile
import pytest
from bind import Named, free_port
from jsonschema import validate  # type: ignore[import-untyped]
from modules import Result, run
from octodns.provider.yaml import YamlProvider  # type: ignore[import-untyped]
from octodns.zone import Zone  # type: ignore[import-untyped]

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/records.json").read_text())
OLD, NEW = "v=STSv1; id=5d41402abc4b2a76b9719d911017c592", "v=STSv1; id=7d793037a0760186574b0282f2f435e7"
REPORTS = "v=TLSRPTv1; rua=mailto:tls-reports@example.com,https://reports.example.net/tlsrpt?a=b%21"

Set = dict[str, t.Any]
_numbers = itertools.count(1)


class Office:
    """A directory with what is wanted, and a colleague who applies it to BIND."""

    def __init__(self, named: Named, place: Path) -> None:
        self.named, self.place = named, place
        self.directory = place / "records"
        place.mkdir(exist_ok=True)

    def call(self, *sets: Set, check: bool = False, **options: t.Any) -> Result:
        given: dict[str, t.Any] = {
            "record_sets": list(sets),
            "directory": str(self.directory),
            "authorities": [f"{self.named.host}:{self.named.port}"],
            **options,
        }
        given = {key: value for key, value in given.items() if value is not None}
        return run("external_record_sets", self.place, check=check, **given)

    def told(self) -> list[Set]:
        document = json.loads((self.directory / "records.json").read_text())
        validate(document, SCHEMA)
        sets: list[Set] = document["record_sets"]
        return sets

    def apply(self) -> None:
        for one in self.told():
            texts = [f'"{value}"' if one["type"] == "TXT" else value for value in one["values"]]
            self.named.put(one["zone"], one["name"], one["ttl"], one["type"], *texts)

    def files(self) -> dict[str, str]:
        paths = (path for path in self.directory.rglob("*") if path.is_file())
        return {str(path.relative_to(self.directory)): path.read_text() for path in paths}

    def table(self) -> str:
        return (self.directory / "records.md").read_text()


@pytest.fixture
def office(named: Named, tmp_path: Path) -> Office:
    return Office(named, tmp_path)


@pytest.fixture
def name() -> str:
    return f"mta-sts.e{next(_numbers)}.example.com"


def wanted(name: str, rdtype: str, *values: str, **more: t.Any) -> Set:
    return {"name": name, "type": rdtype, "values": list(values), **more}


def statuses(result: Result) -> list[str]:
    return [one["status"] for one in result["results"]]


# What is wanted first and then, each as type and values, and what is to be done then.
CHANGES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "create": (("TXT",), ("TXT", OLD), "to be added"),
    "change": (("TXT", OLD), ("TXT", NEW), "to be changed"),
    "removal": (("TXT", OLD), ("TXT",), "to be removed"),
    "special characters": (("TXT",), ("TXT", REPORTS), "to be added"),
    "fewer addresses": (("A", "192.0.2.1", "192.0.2.2"), ("A", "192.0.2.2"), "to be changed"),
    "another alias": (("CNAME", "a.example.net."), ("CNAME", "b.example.net."), "to be changed"),
}


@pytest.mark.parametrize(("first", "then", "state"), CHANGES.values(), ids=CHANGES)
def test_change(office: Office, name: str, first: tuple[str, ...], then: tuple[str, ...], state: str) -> None:
    """Looked ahead, written, awaited, applied, in place."""
    kept = wanted(f"kept.{name}", "TXT", "kept")
    office.call(wanted(name, *first), kept)
    office.apply()
    one = wanted(name, *then, item="mine")
    before = office.files()
    planned = office.call(one, check=True)
    assert office.files() == before
    written = office.call(one)
    for result in (planned, written):
        assert result["changed"]
        assert statuses(result) == ["awaited"]
        assert not result.get("failed")
        assert "not in DNS yet: " in result["results"][0]["error"]
    assert written["results"] == planned["results"]
    after = written["results"][0]["after"]
    assert (after["values"] if after else []) == list(then[1:])
    assert written["results"][0]["zone"] == "example.com"
    assert f"| {state} | `{name}.` | {then[0]} |" in office.table()
    again = office.call(one)
    assert (again["changed"], statuses(again)) == (False, ["awaited"])
    office.apply()
    arrived = office.call(one)
    assert statuses(arrived) == ["ok"]
    assert (f"`{name}.`" in office.table()) == (len(then) > 1)
    # What the call does not name is looked for, too.
    assert f"| in place | `kept.{name}.`" in office.table()
    assert not office.call(one)["changed"]


def test_two_calls_add_up(office: Office, name: str) -> None:
    office.call(wanted(f"a.{name}", "TXT", OLD))
    office.call(wanted(f"b.{name}", "A", "192.0.2.1"))
    assert [one["name"] for one in office.told()] == [f"a.{name}", f"b.{name}"]


def test_what_was_seen_is_written_down_without_being_asked_for(office: Office, name: str) -> None:
    result = office.call(wanted(name, "TXT", OLD, seen=True))
    assert statuses(result) == ["ok"]
    assert [one["state"] for one in office.told()] == ["in place"]


def test_what_somebody_else_put_there_meanwhile_is_told(office: Office, name: str) -> None:
    office.named.put("example.com", name, 60, "TXT", '"theirs"')
    result = office.call(wanted(name, "TXT", NEW, expected=[OLD]), wanted(f"a.{name}", "TXT", OLD))
    assert statuses(result) == ["failed", "awaited"]
    assert "changed since the plan was made" in result["results"][0]["error"]
    assert [one["name"] for one in office.told()] == [f"a.{name}"]


def test_foreign_values_are_to_be_replaced_whole(office: Office, name: str) -> None:
    office.named.put("example.com", name, 60, "TXT", '"theirs"', '"more"')
    assert statuses(office.call(wanted(name, "TXT", NEW))) == ["awaited"]
    office.apply()
    assert statuses(office.call(wanted(name, "TXT", NEW))) == ["ok"]
    assert office.named.lookup(name, "TXT") == [f'300 "{NEW}"']


def test_their_ttl_is_theirs(office: Office, name: str) -> None:
    office.named.put("example.com", name, 7, "TXT", f'"{OLD}"')
    assert statuses(office.call(wanted(name, "TXT", OLD, ttl=3600))) == ["ok"]


def test_500_sets(office: Office, name: str) -> None:
    sets = [wanted(f"n{number}.{name}", "TXT", f"v=STSv1; id={number}") for number in range(500)]
    assert office.call(*sets)["counts"]["awaited"] == 500
    office.apply()
    assert office.call(*sets)["counts"] == {"ok": 500, "changed": 0, "awaited": 0, "failed": 0}
    assert not office.call(*sets)["changed"]


def test_a_server_that_is_down_is_told_and_nothing_is_lost(office: Office, name: str) -> None:
    office.call(wanted(f"a.{name}", "TXT", OLD))
    before = office.files()
    result = office.call(wanted(name, "TXT", OLD), zone=None, authorities=[f"127.0.0.1:{free_port()}"], timeout=2)
    assert statuses(result) == ["failed"]
    assert "cannot be reached" in result["msg"]
    assert office.files() == before


def test_arrival_is_waited_for(office: Office, name: str) -> None:
    """And what does not arrive has failed, where it was to be brought there."""
    late = office.call(wanted(name, "TXT", OLD), directory=None, must_arrive=True, wait=1)
    assert statuses(late) == ["failed"]
    assert "it was to be brought into DNS, but " in late["msg"]
    assert statuses(office.call(wanted(name, "TXT", OLD), directory=None, must_arrive=True, check=True)) == ["changed"]
    office.named.put("example.com", name, 300, "TXT", f'"{OLD}"')
    assert statuses(office.call(wanted(name, "TXT", OLD), directory=None, must_arrive=True, wait=60)) == ["ok"]


# What is written


@pytest.fixture
def written(office: Office, name: str) -> tuple[Office, str]:
    base = name.partition(".")[2]
    office.call(
        wanted(f"mta-sts.{base}", "A", "192.0.2.1", "192.0.2.2"),
        wanted(f"mta-sts.{base}", "AAAA", "2001:db8::1", ttl=60),
        wanted(f"_smtp._tls.{base}", "TXT", REPORTS),
        wanted(f"d10.{base}", "TXT", "x" * 300),
        wanted(f"d2.{base}", "CNAME", "policies.example.net"),
        wanted(f"odd.{base}", "TXT", 'a "quoted" \\ back|slash `tick`;'),
        wanted("mta-sts.example.net", "A", "192.0.2.9"),
    )
    return office, base


def test_octodns_reads_it(written: tuple[Office, str]) -> None:
    office, base = written
    provider = YamlProvider("mta-sts", str(office.directory / "octodns"), escaped_semicolons=False)
    zone = Zone("example.com.", [])
    provider.populate(zone)
    label = base.partition(".example.com")[0]
    records = {(record.name, record._type): record for record in zone.records}
    assert sorted(records[f"mta-sts.{label}", "A"].values) == ["192.0.2.1", "192.0.2.2"]
    assert records[f"mta-sts.{label}", "AAAA"].ttl == 60
    assert records[f"_smtp._tls.{label}", "TXT"].values == [REPORTS.replace(";", "\\;")]
    assert records[f"d2.{label}", "CNAME"].value == "policies.example.net."
    assert "".join(records[f"d10.{label}", "TXT"].values) == "x" * 300
    assert len(records) == 6


def test_zone_text_is_what_a_name_server_takes(written: tuple[Office, str]) -> None:
    office, base = written
    text = office.files()["records.zone"]
    records = dns.zonefile.read_rrsets(text, rdclass=None)
    found = {(str(one.name), dns.rdatatype.to_text(one.rdtype)): one for one in records}
    assert len(found) == 7
    assert found[f"_smtp._tls.{base}.", "TXT"][0].strings == (REPORTS.encode(),)
    assert b"".join(found[f"d10.{base}.", "TXT"][0].strings) == b"x" * 300
    assert b"".join(found[f"odd.{base}.", "TXT"][0].strings).decode() == 'a "quoted" \\ back|slash `tick`;'


def test_the_table_has_a_row_for_each_set(written: tuple[Office, str]) -> None:
    rows = [line for line in written[0].table().splitlines() if line.startswith("| to be")]
    assert len(rows) == 7
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)


def test_a_zone_without_records_has_no_file_any_more(written: tuple[Office, str]) -> None:
    office, _base = written
    assert "octodns/example.net.yaml" in office.files()
    office.call(wanted("mta-sts.example.net", "A"))
    assert "octodns/example.net.yaml" not in office.files()


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"schema": "x", "record_sets": []}', '{"record_sets": [{"name": 1}]}']
)
def test_what_is_damaged_is_told_and_left_alone(office: Office, name: str, damage: str) -> None:
    office.call(wanted(name, "TXT", OLD))
    (office.directory / "records.json").write_text(damage)
    before = office.files()
    result = office.call(wanted(name, "TXT", NEW))
    assert "records.json is damaged: " in result["msg"]
    assert office.files() == before


def test_a_directory_that_cannot_be_written(office: Office, name: str) -> None:
    result = office.call(wanted(name, "TXT", OLD), directory="/proc/nowhere")
    assert "cannot be written" in result["msg"]
