# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publication on a policy host that is killed, that has no room left, and that two runs want at once."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import Ledger, read_ledger
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan_document import SCHEMA
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._publication import Order, carry_out, publish
from ansible_collections.postmaster.mta_sts.plugins.module_utils._webroot import Change, locked
from modules import ENVIRONMENT, Result, command

NOW = int(time.time())
SECONDS = 60

Entry = dict[str, t.Any]
Files = dict[str, bytes]


def policy(mode: str) -> Policy:
    return Policy(mode, ("mx.example.net",), 86400)


def body(mode: str) -> bytes:
    return render_policy(policy(mode))


def values(domain: str, mode: str) -> Entry:
    return {"domain": domain, "mode": mode, "mx": ["mx.example.net"], "max_age": 86400}


def entry(domain: str, mode: str, **more: t.Any) -> Entry:
    return {**values(domain, mode), "serve": True, **more}


def order(place: Path, *entries: Entry, **more: t.Any) -> Order:
    return Order(place / "policies", place / "ledger.sqlite3", entries, NOW, **more)


def on_disk(place: Path) -> Files:
    """The policies that senders may get, by domain."""
    return {
        path.name[len("mta-sts.") : -len(".txt")]: path.read_bytes() for path in (place / "policies").glob("m*.txt")
    }


def open_rows(place: Path) -> dict[str, set[str]]:
    """The ids that the ledger takes for served, by domain."""
    return {
        domain: {row["id"] for row in one["served"] if row["until"] is None}
        for domain, one in read_ledger(place / "ledger.sqlite3")["domains"].items()
    }


def ids(files: Files) -> dict[str, set[str]]:
    return {domain: {policy_id(content)} for domain, content in files.items()}


# --- killed -----------------------------------------------------------------------------------------------

# Carries an order out, and gets a signal before the nth thing that it does to a file or to the ledger, or before
# the first one of a name.
STRUCK = """\
import json, os, sqlite3, sys
from pathlib import Path
from ansible_collections.postmaster.mta_sts.plugins.module_utils._publication import Order, publish

when, signal_number, (directory, ledger, entries, at) = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
done = 0

def touch(what):
    global done
    if when in (str(done), what):
        os.kill(os.getpid(), signal_number)
    done += 1

def watch(event, arguments):
    if event in ("os.rename", "os.remove", "os.link", "tempfile.mkstemp"):
        touch(event)

connect = sqlite3.connect

def watched(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.set_trace_callback(touch)
    return connection

sqlite3.connect = watched
sys.addaudithook(watch)
publish(Order(Path(directory), Path(ledger), entries, at), check_mode=False)
"""


@contextlib.contextmanager
def struck(todo: Order, when: int | str, by: signal.Signals) -> t.Iterator[subprocess.Popen[str]]:
    """A process that carries an order out, begun."""
    text = json.dumps([str(todo.directory), str(todo.ledger), list(todo.entries), todo.at])
    arguments = [sys.executable, "-c", STRUCK, str(when), str(int(by)), text]
    with subprocess.Popen(arguments, env=ENVIRONMENT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def as_before(_place: Path) -> None:
    """The ledger as the run before has left it."""


def without_ledger(place: Path) -> None:
    (place / "ledger.sqlite3").unlink()


def with_damaged_ledger(place: Path) -> None:
    (place / "ledger.sqlite3").write_bytes(b"\0" * 5000)


@pytest.mark.parametrize("prepare", [as_before, without_ledger, with_damaged_ledger])
def test_killed_between_any_two_steps(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    """P8: whatever senders may get is in the ledger as served; the next run settles everything."""
    world = tmp_path / "world"
    (world / "policies").mkdir(parents=True)
    publish(order(world, entry("a.example", "testing"), entry("b.example", "none")), check_mode=False)
    prepare(world)
    before = on_disk(world)
    entries = [
        entry("a.example", "enforce"),
        entry("b.example", "none", serve=False, remove=True),
        entry("c.example", "testing"),
    ]
    after = {"a.example": body("enforce"), "c.example": body("testing")}
    seen = []
    for number in itertools.count():
        place = tmp_path / str(number)
        shutil.copytree(world, place)
        with struck(order(place, *entries), number, signal.SIGKILL) as process:
            status = process.wait(SECONDS)
        files, rows = on_disk(place), open_rows(place)
        seen.append((files, rows))
        for domain, content in files.items():
            # A ledger that has to be begun knows nothing yet; but then nothing has changed.
            assert policy_id(content) in rows.get(domain, ()) or (prepare is not as_before and files == before), number
        publish(order(place, *entries), check_mode=False)
        assert (on_disk(place), open_rows(place)) == (after, {**ids(after), "b.example": set()}), number
        assert not list(place.rglob(".unfinished-*")), number
        assert not publish(order(place, *entries), check_mode=False).pending
        if status == 0:
            break
        assert status == -signal.SIGKILL
    # It was struck before, between and after all that it did.
    assert seen[0][0] == before
    assert seen[-1] == (after, {**ids(after), "b.example": set()})
    assert ({**before, **after}, {"a.example", "b.example", "c.example"}) in [
        (files, {domain for domain, open_ones in rows.items() if open_ones}) for files, rows in seen
    ]
    assert len(seen) > 15


# --- two at once ------------------------------------------------------------------------------------------


def module(place: Path, name: str, options: dict[str, t.Any]) -> subprocess.Popen[str]:
    """The module, begun."""
    (place / name).mkdir()
    paths = {"directory": str(place / "policies"), "ledger": str(place / "ledger.sqlite3")}
    arguments = command("mta_sts_policies", place / name, {**paths, **options})
    return subprocess.Popen(arguments, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)


def result_of(process: subprocess.Popen[str]) -> Result:
    output, _no_errors = process.communicate(timeout=SECONDS)
    result: Result = json.loads(output)
    return result


def wait_until_stopped(process: subprocess.Popen[str]) -> None:
    _pid, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def wait_until_open(process: subprocess.Popen[str], path: Path) -> None:
    """Waits until a process has a file or directory open."""
    deadline = time.monotonic() + SECONDS
    while str(path) not in open_paths(process):
        assert process.poll() is None
        assert time.monotonic() < deadline


def open_paths(process: subprocess.Popen[str]) -> set[str]:
    paths = set()
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            paths.add(str(link.readlink()))
    return paths


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    """The first has recorded a policy and not yet written it: the second must not settle that as gone."""
    (tmp_path / "policies").mkdir()
    publish(order(tmp_path), check_mode=False)
    recorded = {"a.example": {policy_id(body("testing"))}}
    todo = order(tmp_path, entry("a.example", "testing"))
    others = {"policies": [values("b.example", "testing")]}
    with struck(todo, "tempfile.mkstemp", signal.SIGSTOP) as first:
        wait_until_stopped(first)
        assert (on_disk(tmp_path), open_rows(tmp_path)) == ({}, recorded)
        with module(tmp_path, "second", others) as second:
            wait_until_open(second, tmp_path / "policies")
            with pytest.raises(TimeoutError), locked(tmp_path / "policies", 0.1):
                raise AssertionError("nobody else may be here")
            assert second.poll() is None
            assert open_rows(tmp_path) == recorded
            first.send_signal(signal.SIGCONT)
            assert first.wait(SECONDS) == 0
            assert result_of(second)["counts"] == {"written": 1, "removed": 0, "unchanged": 0}
    files = {"a.example": body("testing"), "b.example": body("testing")}
    assert (on_disk(tmp_path), open_rows(tmp_path)) == (files, ids(files))


def test_a_ledger_that_was_begun_meanwhile_is_used(tmp_path: Path) -> None:
    """Not replaced, with what it holds already."""
    (tmp_path / "policies").mkdir()
    todo = order(tmp_path, entry("a.example", "testing"))
    with struck(todo, "os.link", signal.SIGSTOP) as first:
        wait_until_stopped(first)
        with Ledger(todo.ledger) as ledger:
            ledger.record([entry("b.example", "testing")], {}, NOW)
        first.send_signal(signal.SIGCONT)
        assert first.wait(SECONDS) == 0
    assert open_rows(tmp_path) == {"a.example": {policy_id(body("testing"))}, "b.example": set()}


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    """The first of all begins the ledger."""
    (tmp_path / "policies").mkdir()
    domains = [f"d{number}.example" for number in range(6)]
    processes = [module(tmp_path, domain, {"policies": [values(domain, "testing")]}) for domain in domains]
    for process in processes:
        assert result_of(process)["counts"] == {"written": 1, "removed": 0, "unchanged": 0}
    files = dict.fromkeys(domains, body("testing"))
    assert (on_disk(tmp_path), open_rows(tmp_path)) == (files, ids(files))


def test_of_two_plans_from_one_ledger_one_is_carried_out(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    processes = {}
    for mode in ("testing", "enforce"):
        todo = {**entry("a.example", mode), "policy_host": "mta-sts.a.example", "remove": False, "certificate": True}
        todo |= {"found": None, "after_unknown": False, "conditions": {}}
        plan = {"schema": SCHEMA, "at": "2026-11-23T10:00:00+00:00", "policy_hosts": {}, "revisions": {"web1": 0}}
        (tmp_path / f"{mode}.json").write_text(json.dumps({**plan, "domains": [todo]}))
        options = {"document": str(tmp_path / f"{mode}.json"), "policy_host": "web1"}
        processes[mode] = module(tmp_path, mode, options)
    results = {mode: result_of(process) for mode, process in processes.items()}
    (done,) = [mode for mode, result in results.items() if result.get("changed")]
    (refused,) = [result for result in results.values() if result.get("failed")]
    assert "another rollout has changed this policy host" in refused["msg"]
    assert (on_disk(tmp_path), open_rows(tmp_path)) == ({"a.example": body(done)}, ids({"a.example": body(done)}))


# --- no room, no way --------------------------------------------------------------------------------------

# Runs a module that may write no file beyond so many bytes.
LIMITED = """\
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def limited(place: Path, size: int, *policies: Entry) -> Result:
    options = {"policies": policies, "directory": str(place / "policies"), "ledger": str(place / "ledger.sqlite3")}
    arguments = [str(argument) for argument in command("mta_sts_policies", place, options)[-2:]]
    # There is no room for what coverage would write either.
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), *arguments],
        env=environment, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    result: Result = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("size", [0, 2000, 5000, 9000])
def test_no_room_for_a_ledger(tmp_path: Path, size: int) -> None:
    (tmp_path / "policies").mkdir()
    result = limited(tmp_path, size, values("a.example", "testing"))
    assert result["failed"]
    assert f"{tmp_path}/ledger.sqlite3: " in result["msg"]
    assert on_disk(tmp_path) == {}
    assert read_ledger(tmp_path / "ledger.sqlite3")["state"] == "missing"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arguments.json", "policies"]
    assert publish(order(tmp_path, entry("a.example", "testing")), check_mode=False).pending


def test_no_room_for_what_comes_into_the_ledger(tmp_path: Path) -> None:
    """What cannot be written down is not served."""
    (tmp_path / "policies").mkdir()
    publish(order(tmp_path, entry("a.example", "testing")), check_mode=False)
    before, revision = on_disk(tmp_path), read_ledger(tmp_path / "ledger.sqlite3")["revision"]
    size = (tmp_path / "ledger.sqlite3").stat().st_size
    many = [values(f"d{number}.example", "testing") for number in range(2000)]
    result = limited(tmp_path, size, values("a.example", "enforce"), *many)
    assert result["failed"]
    assert f"{tmp_path}/ledger.sqlite3: " in result["msg"]
    assert (on_disk(tmp_path), open_rows(tmp_path)) == (before, ids(before))
    assert read_ledger(tmp_path / "ledger.sqlite3")["revision"] == revision
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arguments.json", "ledger.sqlite3", "policies"]


def test_a_write_that_fails_half_way_is_settled(tmp_path: Path) -> None:
    """What was written is known, what was not is not taken for served, and what went wrong is told."""
    policies = tmp_path / "policies"
    (policies / "mta-sts.b.example.txt").mkdir(parents=True)
    publish(order(tmp_path, entry("c.example", "none")), check_mode=False)
    entries = [
        entry("a.example", "testing"),
        entry("b.example", "testing"),
        entry("c.example", "testing"),
        entry("d.example", "none", serve=False, remove=True),
    ]
    with pytest.raises(IsADirectoryError, match=r"mta-sts\.b\.example\.txt"):
        publish(order(tmp_path, *entries), check_mode=False)
    (policies / "mta-sts.b.example.txt").rmdir()
    files = {"a.example": body("testing"), "c.example": body("none")}
    assert (on_disk(tmp_path), open_rows(tmp_path)) == (files, {**ids(files), "b.example": set()})


def test_what_went_wrong_first_is_told(tmp_path: Path) -> None:
    """Where the ledger cannot be settled either, both policies stay in it."""
    policies = tmp_path / "policies"
    policies.mkdir()
    publish(order(tmp_path, entry("a.example", "none")), check_mode=False)
    todo = order(tmp_path, entry("a.example", "testing"))
    ledger = Ledger(todo.ledger, 0.05)
    present = {"mta-sts.a.example.txt": body("none")}
    with ledger, contextlib.closing(sqlite3.connect(todo.ledger, isolation_level=None)) as other:

        class Pending(list[Change]):
            """Something else begins to write as soon as the ledger is written."""

            def __iter__(self) -> t.Iterator[Change]:
                other.execute("BEGIN EXCLUSIVE")
                raise OSError("no room")

        with pytest.raises(OSError, match="no room"):
            carry_out(todo, ledger, present, Pending())
    assert open_rows(tmp_path) == {"a.example": {policy_id(body("none")), policy_id(body("testing"))}}
