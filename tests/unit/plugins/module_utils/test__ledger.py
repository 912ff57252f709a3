# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: it may say too much, and never too little."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils import _ledger, _ledger_file
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import (
    FOUND_LIMIT,
    REMEMBERED,
    Ledger,
    open_ledger,
    read_ledger,
    time_seconds,
    time_text,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger_file import (
    MIGRATIONS,
    LedgerDamaged,
    LedgerError,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy

DAY = 86400
# 2026-11-23T10:00:00+00:00
NOW = 1795428000
NOBODY = 65534

Entry = dict[str, t.Any]
Rows = list[tuple[str, int, t.Optional[int], bool]]


def policy(name: str) -> Policy:
    """Policies that differ: t testing, e enforcing, n none, and a number for more of them."""
    modes = {"t": "testing", "e": "enforce", "n": "none"}
    return Policy(modes[name[0]], (f"mx{name[1:]}.example.net", "*.mail.example.net"), DAY)


def body(name: str) -> bytes:
    return render_policy(policy(name))


def entry(name: str, domain: str = "a.example", **more: t.Any) -> Entry:
    one = policy(name)
    return {"domain": domain, "serve": True, "mode": one.mode, "mx": list(one.mx), "max_age": one.max_age, **more}


def unserved(domain: str = "a.example", **more: t.Any) -> Entry:
    return {"domain": domain, "serve": False, "mode": None, "mx": [], "max_age": None, **more}


def found(name: str, until: int) -> Entry:
    one = policy(name)
    return {
        "mode": one.mode,
        "mx": list(one.mx),
        "max_age": one.max_age,
        "until": time_text(until),
        "after_unknown": True,
    }


NAMES = {policy_id(body(name)): name for name in ("t", "t2", "e", "e2", "n")}


def rows(ledger: Ledger, domain: str = "a.example") -> Rows:
    """What the ledger says was served: which policy, since, until, after what is not known."""
    served = ledger.describe()["domains"].get(domain, {"served": []})["served"]
    return [
        (
            NAMES[row["id"]],
            time_seconds(row["since"]),
            row["until"] and time_seconds(row["until"]),
            row["after_unknown"],
        )
        for row in served
    ]


def conditions(ledger: Ledger, domain: str = "a.example") -> dict[str, int]:
    kept = ledger.describe()["domains"].get(domain, {"conditions": {}})["conditions"]
    return {name: time_seconds(since) for name, since in kept.items()}


@pytest.fixture
def ledger() -> t.Iterator[Ledger]:
    with Ledger(":memory:") as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of one policy, which is closed again."""
    place = tmp_path / "ledger.sqlite3"
    with Ledger(place) as opened:
        publish(opened, "t", at=NOW)
    return place


def publish(ledger: Ledger, name: str, at: int, before: t.Optional[str] = None) -> None:
    """One run, from the ledger's point of view."""
    ledger.record([entry(name)], {"a.example": body(before)} if before else {}, at)
    ledger.settle({"a.example": body(name)}, at + 5)


# What is written down


def test_a_policy_from_its_first_day_to_its_last(ledger: Ledger) -> None:
    publish(ledger, "t", NOW)
    assert rows(ledger) == [("t", NOW, None, False)]
    publish(ledger, "e", NOW + DAY, before="t")
    assert rows(ledger) == [("t", NOW, NOW + DAY + 5, False), ("e", NOW + DAY, None, False)]
    ledger.record([unserved(remove=True)], {"a.example": body("e")}, NOW + 2 * DAY)
    assert rows(ledger)[1] == ("e", NOW + DAY, None, False)
    ledger.settle({}, NOW + 2 * DAY + 5)
    assert rows(ledger) == [("t", NOW, NOW + DAY + 5, False), ("e", NOW + DAY, NOW + 2 * DAY + 5, False)]


def test_the_document(ledger: Ledger) -> None:
    ledger.record([entry("t", conditions={"testing": time_text(NOW)}), entry("e", "b.example")], {}, NOW)
    row = {
        "id": policy_id(body("t")),
        "mode": "testing",
        "mx": ["mx.example.net", "*.mail.example.net"],
        "max_age": DAY,
        "since": "2026-11-23T10:00:00+00:00",
        "until": None,
        "after_unknown": False,
    }
    described = ledger.describe()
    assert list(described["domains"]) == ["a.example", "b.example"]
    assert described["domains"]["a.example"] == {
        "served": [row],
        "conditions": {"testing": "2026-11-23T10:00:00+00:00"},
    }
    assert (described["revision"], described["written"]) == (1, "2026-11-23T10:00:00+00:00")


def test_both_policies_are_open_while_a_file_is_replaced(ledger: Ledger) -> None:
    """A run that dies here leaves too much in the ledger, and the next one settles it."""
    publish(ledger, "t", NOW)
    ledger.record([entry("e")], {"a.example": body("t")}, NOW + DAY)
    assert rows(ledger) == [("t", NOW, None, False), ("e", NOW + DAY, None, False)]
    publish(ledger, "e", NOW + 2 * DAY, before="t")
    assert rows(ledger) == [("t", NOW, NOW + 2 * DAY + 5, False), ("e", NOW + DAY, None, False)]


def test_a_policy_that_returns_is_another_row(ledger: Ledger) -> None:
    publish(ledger, "t", NOW)
    publish(ledger, "e", NOW + DAY, before="t")
    publish(ledger, "t", NOW + 2 * DAY, before="e")
    assert [(name, until is None) for name, _since, until, _unknown in rows(ledger)] == [
        ("t", False),
        ("e", False),
        ("t", True),
    ]


def test_a_file_that_nobody_wrote_down(ledger: Ledger) -> None:
    """Edited by hand: it is served since some time that is not known, after whatever there was."""
    publish(ledger, "t", NOW)
    ledger.record([entry("t")], {"a.example": body("e2")}, NOW + DAY)
    assert rows(ledger) == [("t", NOW, None, False), ("e2", NOW + DAY, None, True)]
    ledger.settle({"a.example": body("t")}, NOW + DAY + 5)
    assert rows(ledger) == [("t", NOW, None, False), ("e2", NOW + DAY, NOW + DAY + 5, True)]


def test_what_is_on_disk_and_in_no_plan_is_kept_too(ledger: Ledger) -> None:
    files = {"a.example": body("t"), "b.example": body("e"), "c.example": b"\xff"}
    ledger.record([], files, NOW)
    ledger.settle(files, NOW + 5)
    assert (rows(ledger), rows(ledger, "b.example")) == ([("t", NOW, None, True)], [("e", NOW, None, True)])
    assert list(ledger.describe()["domains"]) == ["a.example", "b.example"]


def test_files_that_say_the_same_in_other_bytes(ledger: Ledger) -> None:
    """The digest is that of the bytes: an id stands for nothing else."""
    with_lf = body("t").replace(b"\r\n", b"\n")
    ledger.record([entry("t")], {"a.example": with_lf}, NOW)
    served = ledger.describe()["domains"]["a.example"]["served"]
    assert [row["id"] for row in served] == [policy_id(with_lf), policy_id(body("t"))]
    assert served[0]["mx"] == served[1]["mx"] == list(policy("t").mx)


@pytest.mark.parametrize("unknown", [True, False])
def test_what_was_before_is_not_known_where_the_plan_says_so(ledger: Ledger, unknown: bool) -> None:
    ledger.record([entry("t", after_unknown=unknown)], {}, NOW)
    assert rows(ledger) == [("t", NOW, None, unknown)]


def test_a_policy_of_others_is_kept_and_extended(ledger: Ledger) -> None:
    ledger.record([unserved(found=found("e", NOW + DAY))], {}, NOW)
    assert rows(ledger) == [("e", NOW, NOW + DAY, True)]
    ledger.record([unserved(found=found("e", NOW + DAY + 60))], {}, NOW + 60)
    ledger.settle({}, NOW + 60)
    ledger.record([unserved(found=found("e", NOW + 60))], {}, NOW + 60)
    assert rows(ledger) == [("e", NOW, NOW + DAY + 60, True)]
    # Of what was there in between nobody knows anything.
    ledger.record([unserved(found=found("e", NOW + 4 * DAY))], {}, NOW + 3 * DAY)
    assert rows(ledger) == [("e", NOW, NOW + DAY + 60, True), ("e", NOW + 3 * DAY, NOW + 4 * DAY, True)]


def test_the_newest_row_of_a_policy_of_others_is_extended(ledger: Ledger) -> None:
    for until, at in ((9, 0), (10, 10), (12, 8)):
        ledger.record([unserved(found=found("e", NOW + until * DAY))], {}, NOW + at * DAY)
    assert rows(ledger) == [("e", NOW, NOW + 9 * DAY, True), ("e", NOW + 10 * DAY, NOW + 12 * DAY, True)]


def test_a_policy_of_others_that_we_could_not_publish(ledger: Ledger) -> None:
    large = {**found("e", NOW), "mx": [f"mx{number}.example.net" for number in range(1000)]}
    for at in (NOW, NOW - 60):
        ledger.record([unserved(found=large)], {}, at)
    (row,) = ledger.describe()["domains"]["a.example"]["served"]
    assert len(row["mx"]) == 1000
    assert re.fullmatch("[0-9a-f]{32}", row["id"])


def test_conditions_are_replaced_and_left_alone(ledger: Ledger) -> None:
    first = {"testing": NOW, "unneeded *.mx.example": NOW + 1}
    ledger.record([entry("t", conditions={name: time_text(since) for name, since in first.items()})], {}, NOW)
    assert conditions(ledger) == first
    nothing: tuple[Entry, ...] = ({}, {"conditions": None})
    for untouched in nothing:
        ledger.record([entry("t", **untouched)], {}, NOW)
        ledger.record([], {}, NOW)
        assert conditions(ledger) == first
    ledger.record([entry("t", conditions={"testing": time_text(NOW + 9), "ready": time_text(NOW)})], {}, NOW)
    assert conditions(ledger) == {"testing": NOW + 9, "ready": NOW}
    ledger.record([unserved("b.example", conditions={"ready": time_text(NOW)})], {}, NOW)
    assert ledger.describe()["domains"]["b.example"]["served"] == []
    ledger.record([entry("t", conditions={})], {}, NOW)
    # What a plan does not name is not looked at, and so does not last.
    assert (conditions(ledger), conditions(ledger, "b.example")) == ({}, {})


def test_what_nobody_can_hold_any_more_is_forgotten(ledger: Ledger) -> None:
    publish(ledger, "t", NOW)
    publish(ledger, "e", NOW + DAY, before="t")
    gone = NOW + DAY + 5 + policy("t").max_age + REMEMBERED
    files = {"a.example": body("e")}
    ledger.record([], files, gone)
    assert len(rows(ledger)) == 2
    ledger.record([], files, gone + 1)
    assert rows(ledger) == [("e", NOW + DAY, None, False)]


# Revisions and clocks


def test_a_revision_is_of_what_changed(ledger: Ledger) -> None:
    """A run that finds everything done leaves no trace but the time, so that the plans of others go on to hold."""
    before = ledger.revision
    entries = [entry("t", conditions={"ready": time_text(NOW)}, found=found("e", NOW + DAY))]
    files = {"a.example": body("t")}
    steps: list[tuple[t.Callable[[], None], bool]] = [
        (lambda: ledger.record(entries, {}, NOW, before), True),
        (lambda: ledger.record(entries, {}, NOW), False),
        (lambda: ledger.settle(files, NOW + 60), False),
        (lambda: ledger.record(entries, files, NOW + 120), False),
        (lambda: ledger.record([entry("t", conditions={})], files, NOW), True),
        (lambda: ledger.settle({}, NOW), True),
    ]
    for number, (step, changes) in enumerate(steps):
        revision = ledger.revision
        step()
        assert ledger.revision - revision == changes, number
    assert ledger.describe()["written"] == time_text(NOW + 120)


def test_a_plan_that_is_outdated_changes_nothing(ledger: Ledger) -> None:
    old = ledger.revision
    publish(ledger, "t", NOW)
    before = ledger.describe()
    with pytest.raises(LedgerError, match=r":memory:: another rollout .* run again"):
        ledger.record([entry("e", conditions={})], {"a.example": body("e2")}, NOW + DAY, old)
    assert ledger.describe() == before
    ledger.record([entry("e")], {"a.example": body("t")}, NOW + DAY, before["revision"])
    assert ledger.revision == before["revision"] + 1


def test_a_clock_that_goes_back(ledger: Ledger) -> None:
    """No policy ends before it began, nor before the latest time at which it was known to be served."""
    publish(ledger, "t", NOW)
    ledger.record([entry("t")], {"a.example": body("t")}, NOW + DAY)
    ledger.record([entry("e")], {"a.example": body("t")}, NOW - DAY)
    ledger.settle({"a.example": body("e")}, NOW - DAY)
    assert rows(ledger) == [("e", NOW - DAY, None, False), ("t", NOW, NOW + DAY, False)]
    assert ledger.describe()["written"] == time_text(NOW + DAY)


def test_a_ledger_that_was_edited_by_hand_can_be_settled(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE policies SET since = since + 9999")
    with Ledger(path) as ledger:
        ledger.settle({}, NOW)
        assert rows(ledger) == [("t", NOW + 9999, NOW + 9999, False)]


@pytest.mark.parametrize(
    "damage",
    [
        {"found": {}},
        {"found": {**found("e", NOW), "mode": "on"}},
        {"found": {**found("e", NOW), "until": "2026-11-23T10:00:00"}},
        {"found": {**found("e", NOW), "until": 7}},
        {"conditions": []},
        {"conditions": {"ready": "soon"}},
        {"conditions": {"ready": "1900-01-01T00:00:00+00:00"}},
        {"conditions": {"rea\ndy": time_text(NOW)}},
        {"mode": None},
        {"mx": None},
        {"domain": "a b"},
    ],
)
def test_a_damaged_entry_changes_nothing(ledger: Ledger, damage: Entry) -> None:
    publish(ledger, "t", NOW)
    before = ledger.describe()
    with pytest.raises(LedgerError):
        ledger.record([entry("e2", "b.example"), entry("e", **damage)], {}, NOW + DAY)
    assert ledger.describe() == before


def test_very_many_domains(tmp_path: Path) -> None:
    """Also in one file and in three runs, of which the last changes nothing."""
    domains = [f"d{number}.example" for number in range(2000)]
    with Ledger(tmp_path / "ledger") as ledger:
        for at, name, before in ((NOW, "t", None), (NOW + DAY, "e", "t"), (NOW + 2 * DAY, "e", "e")):
            entries = [entry(name, domain, conditions={"ready": time_text(NOW)}) for domain in domains]
            ledger.record(entries, dict.fromkeys(domains, body(before)) if before else {}, at)
            ledger.settle(dict.fromkeys(domains, body(name)), at)
        assert ledger.revision == 3
    described = read_ledger(tmp_path / "ledger")
    assert list(described["domains"]) == sorted(domains)
    assert {len(one["served"]) for one in described["domains"].values()} == {2}
    assert sum(row["until"] is None for one in described["domains"].values() for row in one["served"]) == len(domains)


# Files


def test_a_ledger_is_begun_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    umask = os.umask(0o077)
    try:
        Ledger(path).close()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]
    found = read_ledger(path)
    assert found == {"state": "ok", "trouble": "", "revision": 0, "written": None, "domains": {}}


def test_a_ledger_is_kept(path: Path) -> None:
    with Ledger(path) as ledger:
        before = ledger.describe()
        # Extra: a power cut takes back nothing that was recorded. There is no other way to see it here.
        assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (3,)
    assert rows_of(before) == ["t"]
    again, note = open_ledger(path)
    with again:
        assert (again.describe(), note) == (before, "")
    assert read_ledger(path) == {"state": "ok", "trouble": "", **before}


def rows_of(document: t.Mapping[str, t.Any]) -> list[str]:
    return [NAMES[row["id"]] for row in document["domains"]["a.example"]["served"]]


def test_odd_paths(tmp_path: Path) -> None:
    path = tmp_path / "a ledger?mode=memory#%41.sqlite3"
    with Ledger(path) as ledger:
        publish(ledger, "t", NOW)
    assert path.is_file()
    assert rows_of(read_ledger(path)) == ["t"]


@pytest.mark.parametrize("name", ["ledger", "no/such/directory/ledger"])
def test_a_missing_ledger_is_not_made_by_looking(tmp_path: Path, name: str) -> None:
    found = read_ledger(tmp_path / name)
    assert found == {"state": "missing", "trouble": "", "revision": 0, "written": None, "domains": {}}
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_was_deleted_is_rebuilt(path: Path) -> None:
    path.unlink()
    ledger, note = open_ledger(path)
    with ledger:
        assert note == ""
        ledger.record([entry("e")], {"a.example": body("t")}, NOW)
        assert rows(ledger) == [("t", NOW, None, True), ("e", NOW, None, False)]


def of_another_program(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cookies (name TEXT)")


def without(table: str) -> t.Callable[[Path], None]:
    def damage(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"DROP TABLE {table}")

    return damage


def sql(statement: str) -> t.Callable[[Path], None]:
    """What no program of ours would do."""

    def damage(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = 1")
            connection.execute(statement)

    return damage


def overwritten(path: Path) -> None:
    """One page in the middle, of many."""
    with Ledger(path) as ledger:
        ledger.record([entry("t", f"d{number}.example") for number in range(1000)], {}, NOW)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(content)


DAMAGES: dict[str, t.Callable[[Path], t.Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(os.urandom(9000)),
    "zeros": lambda path: path.write_bytes(bytes(9000)),
    "text": lambda path: path.write_text("a.example testing\n"),
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 4096),
    "truncated within the header": lambda path: os.truncate(path, 50),
    "a page overwritten": overwritten,
    "of another program": of_another_program,
    "without policies": without("policies"),
    "without conditions": without("conditions"),
    "without state": without("state"),
    "state without a row": sql("DELETE FROM state"),
    "state with two rows": sql("INSERT INTO state VALUES (1, 1)"),
    "a bad time": sql("UPDATE policies SET since = 'yesterday'"),
    "a time too far ahead": sql("UPDATE state SET written = 1000000000000000"),
    "ends before it begins": sql("UPDATE policies SET until = since - 1"),
    "a bad name": sql("UPDATE policies SET domain = CAST(x'ff0a' AS TEXT)"),
    "a name that is no text": sql("UPDATE policies SET domain = x'61'"),
    "a bad pattern": sql("UPDATE policies SET mx = 'mx' || x'ff'"),
    "a bad id": sql("UPDATE policies SET digest = 'abc'"),
    "a bad condition": sql("INSERT INTO conditions VALUES ('a.example', 'rea' || x'0a' || 'dy', 1)"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_ledger_is_set_aside(path: Path, damage: t.Callable[[Path], None]) -> None:
    damage(path)
    bad = path.read_bytes()
    found = read_ledger(path)
    assert (found["state"], found["revision"], found["domains"]) == ("damaged", 0, {})
    assert found["trouble"].startswith(f"{path}: ")
    assert "\n" not in found["trouble"]
    assert path.read_bytes() == bad
    with pytest.raises(LedgerDamaged):
        Ledger(path)
    ledger, note = open_ledger(path)
    with ledger:
        assert ledger.revision == 0
        publish(ledger, "e", NOW)
    (aside,) = [one for one in path.parent.iterdir() if one != path]
    assert re.fullmatch(r"ledger\.sqlite3\.damaged-\d{8}T\d{6}Z", aside.name)
    assert aside.read_bytes() == bad
    assert str(aside) in note
    assert found["trouble"] in note
    assert rows_of(read_ledger(path)) == ["e"]


def test_nothing_that_was_set_aside_is_overwritten(path: Path) -> None:
    """Not even within one second."""
    path.unlink()
    left = {f"{number}{suffix}".encode(): suffix for number in range(3) for suffix in ("", "-journal", "-wal", "-shm")}
    for content, suffix in left.items():
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}{suffix}").write_bytes(content)
        open_ledger(path)[0].close()
    aside = {one.read_bytes(): one.name for one in path.parent.glob("*.damaged-*")}
    assert set(aside) == set(left)
    for content, suffix in left.items():
        assert re.fullmatch(rf"ledger\.sqlite3\.damaged-\d{{8}}T\d{{6}}Z(-\d+)?{suffix}", aside[content])
    assert len(list(path.parent.iterdir())) == len(left) + 1


# Stops for ever within a transaction of which a part is in the ledger's file already.
DIES = """\
import os, signal, sys
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import Ledger
ledger = Ledger(sys.argv[1])
ledger._connection.execute("PRAGMA cache_size = 1")
with ledger._change(0):
    rows = [(f"d{number}.example", "0" * 64, "none", "", 0, 0, None, 0) for number in range(3000)]
    ledger._connection.execute("DELETE FROM policies")
    ledger._connection.executemany("INSERT INTO policies VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(path: Path) -> Path:
    """A ledger whose writer died within a transaction."""
    before = path.stat().st_size
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / ".collections")}
    done = subprocess.run([sys.executable, "-c", DIES, path], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.stat().st_size > before
    assert path.with_name(f"{path.name}-journal").stat().st_size > 0
    return path


@pytest.mark.parametrize("look", [read_ledger, lambda path: Ledger(path).close()], ids=["reading", "opening"])
def test_what_a_killed_writer_left_is_rolled_back(killed: Path, look: t.Callable[[Path], object]) -> None:
    look(killed)
    assert list(killed.parent.iterdir()) == [killed]
    assert rows_of(read_ledger(killed)) == ["t"]


def test_a_journal_of_a_deleted_ledger_does_not_spoil_the_next(killed: Path) -> None:
    killed.unlink()
    found = read_ledger(killed)
    assert found["state"] == "damaged"
    assert found["trouble"] == f"{killed}: it is gone, and left {killed.name}-journal behind"
    ledger, note = open_ledger(killed)
    with ledger:
        publish(ledger, "e", NOW)
    assert found["trouble"] in note
    assert rows_of(read_ledger(killed)) == ["e"]
    assert [one.name.rpartition("Z")[2] for one in killed.parent.glob("*.damaged-*")] == ["-journal"]


def test_what_died_while_it_began_a_ledger_is_cleaned_up(tmp_path: Path) -> None:
    names = [".unfinished-ledger[1]-abc", ".unfinished-ledger[1]-abc-journal", ".unfinished-ledger2-abc"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    open_ledger(tmp_path / "ledger[1]")[0].close()
    # One beside it is none of its business.
    assert sorted(one.name for one in tmp_path.iterdir()) == [names[2], "ledger[1]"]


# Versions


def test_a_newer_ledger_is_left_alone(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=re.escape(f"{path}: its version is 2")) as refused:
        open_ledger(path)
    assert not isinstance(refused.value, LedgerDamaged)
    found = read_ledger(path)
    assert (found["state"], found["revision"]) == ("unreadable", None)
    assert found["trouble"] == str(refused.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_older_ledger_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = (*MIGRATIONS, ("ALTER TABLE policies ADD COLUMN note TEXT", "UPDATE state SET revision = 1000"))
    monkeypatch.setattr(_ledger_file, "MIGRATIONS", newer)
    before = path.read_bytes()
    assert read_ledger(path)["revision"] == 1000
    assert path.read_bytes() == before
    with Ledger(path) as ledger:
        assert ledger.revision == 1000
        publish(ledger, "e", NOW + DAY, before="t")
        assert [name for name, *_times in rows(ledger)] == ["t", "e"]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT note FROM policies").fetchall() == [(None,), (None,)]


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ledger_file, "MIGRATIONS", (*MIGRATIONS, ("DELETE FROM policies", "nonsense")))
    with pytest.raises(LedgerError, match=f"{path}: .*nonsense"):
        Ledger(path)
    monkeypatch.undo()
    assert rows_of(read_ledger(path)) == ["t"]


# What stands in the way


def test_somebody_else_is_writing(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other, Ledger(path, 0.05) as ledger:
        other.execute("BEGIN EXCLUSIVE")
        for step in (lambda: ledger.record([], {}, NOW), lambda: ledger.settle({}, NOW), lambda: Ledger(path, 0.05)):
            with pytest.raises(LedgerError, match=f"{path}: database is locked") as refused:
                step()
            assert not isinstance(refused.value, LedgerDamaged)
        found = read_ledger(path, 0.05)
        assert (found["state"], found["trouble"]) == ("unreadable", f"{path}: database is locked")
        other.execute("ROLLBACK")
        ledger.settle({}, NOW)
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_sees_one_moment(path: Path) -> None:
    """Who describes a ledger while another one writes gets all of the old or all of the new."""
    with Ledger(path) as reader, Ledger(path, 0.05) as writer:
        with _ledger._snapshot(reader._connection):
            assert reader.describe()["revision"] == 1
            with pytest.raises(LedgerError, match="locked"):
                publish(writer, "e", NOW + DAY, before="t")
            assert rows_of(reader.describe()) == ["t"]
        publish(writer, "e", NOW + DAY, before="t")
        assert rows_of(reader.describe()) == ["t", "e"]


@contextlib.contextmanager
def unprivileged() -> t.Iterator[None]:
    """As a user to whom file modes apply."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def public() -> t.Iterator[Path]:
    """A directory with a ledger that everybody may read; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with Ledger(directory / "ledger") as ledger:
            publish(ledger, "t", NOW)
        directory.chmod(0o555)
        yield directory
        directory.chmod(0o755)


def test_a_directory_that_is_not_writable(public: Path) -> None:
    path = public / "ledger"
    with unprivileged():
        assert rows_of(read_ledger(path)) == ["t"]
        with pytest.raises(LedgerError, match=f"{public}/new: Permission denied"):
            open_ledger(public / "new")
        with Ledger(path) as ledger, pytest.raises(LedgerError, match=f"{path}: "):
            ledger.record([entry("e")], {}, NOW)
    assert list(public.iterdir()) == [path]
    assert rows_of(read_ledger(path)) == ["t"]


def test_a_ledger_that_is_not_readable(public: Path) -> None:
    path = public / "ledger"
    for place in (path, public):
        mode = place.stat().st_mode
        place.chmod(0)
        with unprivileged():
            found = read_ledger(path)
        place.chmod(mode)
        assert (found["state"], found["revision"], found["domains"]) == ("unreadable", None, {})
        assert found["trouble"].startswith(f"{path}: ")
    assert rows_of(read_ledger(path)) == ["t"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("directory", "unable to open database file"),
        ("file/ledger", "Not a directory"),
        ("dangling", "unable to open database file"),
    ],
)
def test_what_is_no_place_for_a_ledger(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    found = read_ledger(tmp_path / name)
    assert (found["state"], found["trouble"]) == ("unreadable", f"{tmp_path / name}: {text}")
    with pytest.raises(LedgerError, match=re.escape(str(tmp_path / name))) as refused:
        open_ledger(tmp_path / name)
    assert not isinstance(refused.value, LedgerDamaged)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dangling", "directory", "file"]


def test_there_is_no_directory_for_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=f"{tmp_path}/no/ledger: there is no such directory"):
        open_ledger(tmp_path / "no/ledger")


def test_times() -> None:
    for text in ("2026-11-23T10:00:00+00:00", "9999-12-31T23:59:59+00:00", "1970-01-01T00:00:00+00:00"):
        assert time_text(time_seconds(text)) == text
    assert time_seconds("2026-11-23T12:00:00+02:00") == time_seconds("2026-11-23T10:00:00+00:00") == NOW
    with pytest.raises(ValueError, match="no time zone"):
        time_seconds("2026-11-23T10:00:00")


def entry_of(domain: str, **more: t.Any) -> dict[str, t.Any]:
    return {"domain": domain, "serve": False, "mode": None, "mx": [], "max_age": None, **more}


def test_what_others_serve_does_not_fill_the_ledger() -> None:
    """P7: somebody who serves another policy with every run harms nobody but himself."""
    with Ledger(":memory:") as ledger:
        for number in range(50):
            found = {"mode": "enforce", "mx": [f"mx{number}.example"], "max_age": 86400, "until": time_text(number + 9)}
            found["after_unknown"] = True
            ledger.record([entry_of("a.example", found=found)], {}, number)
        rows = ledger.describe()["domains"]["a.example"]["served"]
    assert len(rows) == FOUND_LIMIT
    assert rows[-1]["mx"] == ["mx49.example"]
    assert all(row["after_unknown"] for row in rows)


def test_a_condition_does_not_outlast_the_entry_of_its_domain() -> None:
    with Ledger(":memory:") as ledger:
        lasting = {"conditions": {"testing": time_text(1)}}
        ledger.record([entry_of("a.example", **lasting), entry_of("b.example", **lasting)], {}, 1)
        ledger.record([entry_of("b.example", conditions=None)], {}, 2)
        assert set(ledger.describe()["domains"]) == {"a.example", "b.example"}
        ledger.record([entry_of("b.example", **lasting)], {}, 3)
        assert set(ledger.describe()["domains"]) == {"b.example"}
