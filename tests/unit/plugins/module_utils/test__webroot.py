# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Atomic publication: old or new, whole, and never anything between."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._webroot import (
    FEW,
    TEMPORARY_PREFIX,
    Change,
    changes,
    locked,
    read_files,
    remove_files,
    remove_leftovers,
    write_file,
    write_files,
)


def test_only_files_of_the_kind_are_read(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"b")
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "large.txt").write_bytes(b"x" * 100)
    (tmp_path / "a.pem").write_bytes(b"no")
    (tmp_path / ".hidden.txt").write_bytes(b"no")
    (tmp_path / "directory.txt").mkdir()
    (tmp_path / "dangling.txt").symlink_to("nowhere")
    (tmp_path / "pipe.txt").symlink_to("/dev/zero")
    assert read_files(tmp_path, ".txt", limit=10) == {"a.txt": b"a", "b.txt": b"b", "large.txt": b"x" * 10}


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read_files(tmp_path / "no", ".txt") == {}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_only_what_differs_is_written_and_only_what_is_named_removed(tmp_path: Path) -> None:
    present = {"same.txt": b"same", "old.txt": b"old", "other.txt": b"other", "gone.txt": b"gone"}
    for name, content in present.items():
        (tmp_path / name).write_bytes(content)
    untouched = (tmp_path / "same.txt").stat()
    wanted = {"same.txt": b"same", "old.txt": b"new", "first.txt": b"first"}
    pending = changes(read_files(tmp_path, ".txt"), wanted, ["gone.txt", "never.txt"])
    assert pending == [
        Change("first.txt", None, b"first"),
        Change("gone.txt", b"gone", None),
        Change("old.txt", b"old", b"new"),
    ]
    write_files(tmp_path, pending)
    assert contents(tmp_path) == {**present, **wanted}
    remove_files(tmp_path, pending)
    assert contents(tmp_path) == {"other.txt": b"other", **wanted}
    assert (tmp_path / "same.txt").stat() == untouched
    assert changes(read_files(tmp_path, ".txt"), wanted, ["gone.txt", "never.txt"]) == []


def test_what_is_gone_already_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"b")
    remove_files(tmp_path, [Change("a.txt", b"a", None), Change("b.txt", b"b", None)])
    assert contents(tmp_path) == {}


# Holds a directory until it is killed.
HOLDS = """\
import pathlib, signal, sys
from ansible_collections.postmaster.mta_sts.plugins.module_utils._webroot import locked
with locked(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    signal.pause()
"""


@pytest.fixture
def holder(tmp_path: Path) -> t.Iterator[subprocess.Popen[str]]:
    """A process that holds the directory."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / ".collections")}
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_one_at_a_time(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """The others wait, but not for ever; a process that was killed holds nobody up."""
    text = f"another run is at work here, .* 0.1 seconds: '{tmp_path}'"
    with pytest.raises(TimeoutError, match=text), locked(tmp_path, 0.1):
        raise AssertionError("nobody else may be here")
    holder.send_signal(signal.SIGKILL)
    for _turn in range(2):
        with locked(tmp_path, 30):
            (tmp_path / "a.txt").write_bytes(b"a")
    assert contents(tmp_path) == {"a.txt": b"a"}


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_mode_is_what_was_asked_for(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_file(tmp_path / "file", b"x", 0o640)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(TypeError):
        write_file(tmp_path / "file", "not bytes", 0o644)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_directory_in_the_way_is_an_error_and_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.txt"):
        write_files(tmp_path, [Change("a.txt", None, b"a")])
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_of_many_files_each_is_old_or_new_when_one_fails(tmp_path: Path) -> None:
    names = [f"{number:04}.txt" for number in range(3 * FEW)]
    write_files(tmp_path, [Change(name, None, b"old") for name in names])
    assert {name: (tmp_path / name).read_bytes() for name in names} == dict.fromkeys(names, b"old")
    in_the_way = tmp_path / names[2 * FEW]
    in_the_way.unlink()
    in_the_way.mkdir()
    with pytest.raises(IsADirectoryError, match=in_the_way.name):
        write_files(tmp_path, [Change(name, b"old", b"new") for name in names])
    in_the_way.rmdir()
    assert {path.name for path in tmp_path.iterdir()} == {*names} - {in_the_way.name}
    contents = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert set(contents[: 2 * FEW]) == {b"new"}
    assert set(contents) <= {b"old", b"new"}


def test_readers_keep_what_they_have_open(tmp_path: Path) -> None:
    """What replaces a file is another file: who reads the old one reads it to its end."""
    (tmp_path / "file").write_bytes(b"old")
    with (tmp_path / "file").open("rb") as reader:
        write_file(tmp_path / "file", b"new", 0o644)
        assert reader.read() == b"old"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_leftovers_are_removed_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY_PREFIX}abc").write_bytes(b"half")
    (tmp_path / "kept").write_bytes(b"kept")
    write_files(tmp_path, [])
    assert (tmp_path / f"{TEMPORARY_PREFIX}abc").exists()
    write_files(tmp_path, [Change("a.txt", None, b"a")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "kept"]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"there is no such directory: '{tmp_path / 'no'}'"):
        write_files(tmp_path / "no", [Change("a.txt", None, b"a")])
    with pytest.raises(OSError, match="there is no such directory"):
        remove_leftovers(tmp_path / "no")
    with pytest.raises(OSError, match="there is no such directory"), locked(tmp_path / "no"):
        pass
