# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module zonefile_record_sets against BIND: what it does to files that somebody else keeps."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import signal
import socket
import stat
import subprocess
import time
import typing as t
from pathlib import Path

import modules
import pytest
from backends.backend import Result, record_set, statuses
from bind import free_port
from zone_files import ZONE_FILE, NamedFiles

ZONES = [f"{name}.example" for name in ("one", "two", "three", "four", "five", "sub.one")]
ID = "v=STSv1; id=5d41402abc4b2a76b9719d911017c592"

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[NamedFiles]:
    server = NamedFiles(tmp_path_factory.mktemp("zones"), dict.fromkeys(ZONES, ""))
    yield server
    server.stop()


class Call:
    """Runs the module as Ansible does, in a process of its own."""

    def __init__(self, named: NamedFiles, directory: Path) -> None:
        self.named, self._directory = named, directory

    def __call__(self, *record_sets: dict[str, t.Any], look_ahead: bool = False, **options: t.Any) -> Result:
        given = self._given(*record_sets, **options)
        result, _printed = modules.executed("zonefile_record_sets", self._directory, given, check=look_ahead)
        return result

    def command(self, *record_sets: dict[str, t.Any], **options: t.Any) -> list[str | Path]:
        return modules.command("zonefile_record_sets", self._directory, self._given(*record_sets, **options))

    def _given(self, *record_sets: dict[str, t.Any], **options: t.Any) -> dict[str, t.Any]:
        return {**self.named.options, "record_sets": list(record_sets), **options}

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.named.directory.iterdir() if path.suffix != ".log"}


@pytest.fixture
def call(named: NamedFiles, tmp_path: Path) -> Call:
    return Call(named, tmp_path)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"d{next(_numbers)}"


def test_what_is_written(named: NamedFiles, tmp_path: Path, name: str) -> None:
    """An $INCLUDE once and the serial each time; everything else stays, through a symbolic link, too."""
    call = Call(named, tmp_path)
    zone, real = "four.example", tmp_path / "kept" / "four"
    real.parent.mkdir()
    named.file(zone).rename(real)
    named.file(zone).symlink_to(real)
    os.chown(real, 1234, 2345)
    real.chmod(0o664)
    serial = named.serial(zone)
    for then, values in ((serial + 1, ["b", 'a "quoted"; one']), (serial + 2, ["c"])):
        result = call(record_set(f"{name}.{zone}", "TXT", *values, ttl=600))
        assert statuses(result) == ["changed"], result
        expected = ZONE_FILE.replace("1 ; serial", f"{then} ; serial") + f"$INCLUDE {named.fragment(zone)}\n"
        assert real.read_text() == expected
        assert named.serial(zone) == then
        ours = [line for line in named.fragment(zone).read_text().splitlines() if not line.startswith(";")]
        assert ours == [
            f'{name}.{zone}. 600 IN TXT "{value}"' for value in sorted(v.replace('"', '\\"') for v in values)
        ]
    assert named.file(zone).is_symlink()
    for path in (real, named.fragment(zone)):
        there = path.stat()
        assert (there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)) == (1234, 2345, 0o664)
    assert [path.name for path in real.parent.iterdir()] == ["four"]


def test_a_look_ahead_writes_nothing_and_tells_what_a_run_would(call: Call, name: str) -> None:
    before = call.files()
    bad = record_set(f"*.{name}.one.example", "NS", "ns.one.example")
    sets = [record_set(f"{name}.two.example", "TXT", "a"), bad]
    planned = call(*sets, look_ahead=True)
    assert call.files() == before
    assert statuses(planned) == ["changed", "failed"]
    assert "wildcard" in planned["results"][1]["error"]
    done = call(*sets)
    assert [done[key] for key in ("changed", "diff", "counts")] == [
        planned[key] for key in ("changed", "diff", "counts")
    ]


def test_what_stands_in_their_part_is_told_with_its_line(call: Call, named: NamedFiles, name: str) -> None:
    zone, more = "one.example", named.directory / f"{name}.more"
    more.write_text(f'; theirs\n{name} 300 TXT "a"\n\nalias.{name} CNAME example.net.\n')
    with named.file(zone).open("a") as file:
        file.write(f"$INCLUDE {more.name} {zone}.\nsub.{name} 300 ( TXT\n x )\n")
    named.put(zone, f"other.{zone}", 300, "TXT", "reloaded")
    line = named.file(zone).read_text().splitlines().index(f"sub.{name} 300 ( TXT") + 1
    result = call(
        record_set(f"{name}.{zone}", "TXT", "a"),
        record_set(f"{name}.{zone}", "AAAA", "2001:db8::1"),
        record_set(f"sub.{name}.{zone}", "TXT"),
        record_set(f"alias.{name}.{zone}", "A", "192.0.2.1"),
        record_set(f"alias.{name}.{zone}", "TXT"),
    )
    assert statuses(result) == ["ok", "changed", "failed", "failed", "ok"]
    assert f"stands in {named.file(zone)}:{line}, which is yours: take it out" in result["results"][2]["error"]
    assert f"is a CNAME ({more}:4)" in result["results"][3]["error"]
    assert '"a"' not in named.fragment(zone).read_text()


def test_an_alias_comes_only_with_what_it_replaces(call: Call, named: NamedFiles, name: str) -> None:
    zone = "one.example"
    named.put(zone, f"{name}.{zone}", 300, "TXT", "theirs")
    assert statuses(call(record_set(f"{name}.{zone}", "A", "192.0.2.1"))) == ["changed"]
    alias = [record_set(f"{name}.{zone}", "CNAME", "example.net"), record_set(f"{name}.{zone}", "A")]
    result = call(*alias)
    assert statuses(result) == ["failed", "failed"]
    assert f"has TXT data ({named.file(zone)}:" in result["results"][0]["error"]
    assert named.lookup(f"{name}.{zone}", "A") == ["300 192.0.2.1"]


def test_what_does_not_pass_the_check_changes_nothing(call: Call, named: NamedFiles, name: str) -> None:
    """The other zones go on, and the command's own words are told, with the names of the real files."""
    before = {zone: named.file(zone).read_bytes() for zone in ZONES}
    result = call(
        record_set(f"{name}.two.example", "TXT", "a"),
        record_set(f"*.{name}.three.example", "NS", "ns.three.example"),
        record_set(f"{name}.three.example", "TXT", "a"),
    )
    assert statuses(result) == ["changed", "failed", "failed"]
    error = result["results"][2]["error"]
    assert "named-checkzone ended with 1 and said: " in error
    assert "invalid NS owner name (wildcard)" in error
    assert f"{named.fragment('three.example')}" in error
    assert ".unfinished" not in error
    assert named.file("three.example").read_bytes() == before["three.example"]
    assert named.file("two.example").read_bytes() != before["two.example"]


def test_a_server_that_does_not_reload_gets_its_files_back(call: Call, named: NamedFiles, name: str) -> None:
    sets = [record_set(f"{name}.{zone}", "TXT", "a") for zone in ZONES]
    words = " ".join(map(shlex.quote, named.control))
    refuse = f'case "$0" in t*) echo "$0: no\x07 way"; exit 3;; esac; exec {words} reload "$0"'
    before = call.files()
    result = call(*sets, reload=["sh", "-c", refuse, "{zone}"])
    by_zone = dict(zip(ZONES, result["results"]))
    assert {zone for zone in ZONES if by_zone[zone]["status"] == "failed"} == {"two.example", "three.example"}
    error = by_zone["two.example"]["error"]
    assert error.startswith("sh ended with 3 and said: two.example: no")
    assert error.endswith("; the files are as they were before")
    after = call.files()
    assert {name for name in after if after[name] != before.get(name)} == {
        f"{zone}.{ending}" for zone in set(ZONES) - {"two.example", "three.example"} for ending in ("zone", "mta-sts")
    }
    assert statuses(call(*sets)).count("changed") == 2
    assert not call(*sets)["changed"]


@pytest.mark.parametrize("died", ["before the reload", "between the two writes"])
def test_a_run_that_died_is_healed(call: Call, named: NamedFiles, name: str, died: str) -> None:
    zone = "one.example"
    call(record_set(f"first.{name}.{zone}", "TXT", "a"))
    served, before = named.serial(zone), named.file(zone).read_bytes()
    wanted = record_set(f"{name}.{zone}", "TXT", "a")
    command = call.command(wanted, reload=["sh", "-c", 'kill -9 "$PPID"', "{zone}"])
    assert subprocess.run(command, env=modules.ENVIRONMENT, check=False).returncode == -signal.SIGKILL
    if died == "between the two writes":
        named.file(zone).write_bytes(before)
        (named.directory / ".unfinished-x").write_bytes(b"left")
    assert named.lookup(f"{name}.{zone}", "TXT") == []
    assert statuses(call(wanted, look_ahead=True)) == ["changed"]
    assert statuses(call(wanted)) == ["changed"]
    assert named.lookup(f"{name}.{zone}", "TXT") == ['300 "a"']
    assert named.serial(zone) > served
    assert not call(wanted)["changed"]
    assert not list(named.directory.glob(".unfinished-*"))


def test_a_server_that_goes_on_with_what_it_had(call: Call, named: NamedFiles, name: str) -> None:
    """It is told, what was done is told, and the next run tries again."""
    wanted = record_set(f"{name}.one.example", "TXT", "a")
    result = call(wanted, reload=["true"], wait=0)
    assert statuses(result) == ["failed"]
    assert result["changed"]
    assert result["results"][0]["error"] == (
        f'server {named.host} port {named.port} answers nothing instead of "a" (TTL 300); '
        "if that takes its time, run again later"
    )
    assert statuses(call(wanted)) == ["changed"]
    silent = call(wanted, authorities=[f"{named.host}:{free_port()}"])
    assert silent["results"][0]["error"].startswith("it is in the zone file, but server 127.0.0.1 port ")
    assert not silent["changed"]


def test_a_secondary_that_is_silent_is_waited_for_once(call: Call, named: NamedFiles, name: str) -> None:
    """One of several that is down says nothing, and costs no wait for each set."""
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server((named.host, 0), backlog=0))
        # What is behind these in the queue is not even refused.
        for _connection in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        authorities = [*named.options["authorities"], f"{named.host}:{silent.getsockname()[1]}"]
        sets = [record_set(f"n{number}.{name}.one.example", "TXT", "a") for number in range(100)]
        began = time.monotonic()
        result = call(*sets, authorities=authorities, timeout=2)
        took = time.monotonic() - began
    assert statuses(result) == ["changed"] * 100
    assert took < 15


def test_a_file_that_an_editor_saves_meanwhile(call: Call, named: NamedFiles, name: str) -> None:
    zone = "one.example"
    edit = f'echo "; edited {name}" >> {shlex.quote(str(named.file(zone)))}'
    result = call(record_set(f"{name}.{zone}", "TXT", "a"), check=["sh", "-c", edit, "{file}"])
    assert statuses(result) == ["failed"]
    assert "was changed by somebody meanwhile: run again" in result["results"][0]["error"]
    assert named.file(zone).read_text().endswith(f"; edited {name}\n")
    assert statuses(call(record_set(f"{name}.{zone}", "TXT", "a"))) == ["changed"]


def test_two_runs_follow_each_other(named: NamedFiles, tmp_path: Path, name: str) -> None:
    zone, runs = "one.example", []
    for number in range(4):
        directory = tmp_path / str(number)
        directory.mkdir()
        command = Call(named, directory).command(record_set(f"n{number}.{name}.{zone}", "TXT", "a"))
        runs.append(subprocess.Popen(command, env=modules.ENVIRONMENT, stdout=subprocess.DEVNULL))
    assert [run.wait() for run in runs] == [0] * 4
    assert [named.lookup(f"n{number}.{name}.{zone}", "TXT") for number in range(4)] == [['300 "a"']] * 4


def test_fragments_in_a_directory_of_their_own(call: Call, named: NamedFiles, tmp_path: Path, name: str) -> None:
    """What an earlier fragment has is theirs then, as everything else in the zone."""
    zone, fragment = "five.example", f"{tmp_path}/ours/{{zone}}.inc"
    assert statuses(call(record_set(f"old.{name}.{zone}", "TXT", "a"))) == ["changed"]
    wanted = record_set(f"{name}.{zone}", "TXT", "a")
    missing = call(wanted, fragment=fragment)
    assert f"{tmp_path}/ours: No such file or directory" in missing["results"][0]["error"]
    (tmp_path / "ours").mkdir()
    assert statuses(call(wanted, fragment=fragment)) == ["changed"]
    assert named.file(zone).read_text().endswith(f"$INCLUDE {tmp_path}/ours/{zone}.inc\n")
    other = call(record_set(f"old.{name}.{zone}", "TXT", "b"), fragment=fragment)
    assert f"stands in {named.fragment(zone)}:" in other["results"][0]["error"]


def test_one_reload_for_all_zones(call: Call, named: NamedFiles, tmp_path: Path, name: str) -> None:
    log = shlex.quote(str(tmp_path / "reloads"))
    words = " ".join(map(shlex.quote, named.control))
    sets = [record_set(f"{name}.{zone}", "TXT", "a") for zone in ZONES]
    result = call(*sets, reload=["sh", "-c", f"echo reload >> {log}; exec {words} reload"])
    assert statuses(result) == ["changed"] * len(ZONES), result
    assert (tmp_path / "reloads").read_text() == "reload\n"


def test_which_zone(call: Call, named: NamedFiles, name: str) -> None:
    """The longest whose file exists, a label at a time; a zone that is given; none."""
    result = call(
        record_set(f"{name}.sub.one.example", "TXT", "a"),
        record_set(f"{name}.xsub.one.example", "TXT", "a"),
        record_set(f"{name}.sub.one.example", "A", "192.0.2.1", zone="sub.one.example"),
        record_set(f"{name}.six.example", "TXT", "a"),
        record_set(f"{name}.six.example", "A", "192.0.2.1", zone="six.example"),
        record_set(f"{name}.six.example", "AAAA", zone="example"),
        record_set("a/b.example", "TXT", "a", zone="a/b.example"),
    )
    assert statuses(result) == ["changed"] * 3 + ["failed"] * 4
    assert [f"{name}.sub." in named.fragment(zone).read_text() for zone in ("sub.one.example", "one.example")] == [
        True,
        False,
    ]
    assert [one["zone"] for one in result["results"][:3]] == ["sub.one.example", "one.example", "sub.one.example"]
    errors = [one["error"] for one in result["results"]]
    assert errors[3] == f"no zone that {name}.six.example. may lie in has a file {named.directory}/{{zone}}.zone"
    assert errors[4] == f"there is no zone file {named.directory}/six.example.zone"
    assert "there is no zone file" in errors[6]


REFUSED: dict[str, tuple[str, str]] = {
    "endless": ("$INCLUDE /dev/zero", "/dev/zero is no file"),
    "missing": ("$INCLUDE nothing.inc", "includes a file that cannot be read: {directory}/nothing.inc: No such file"),
    "itself": ("$INCLUDE {zone}.zone", "included 10 deep"),
    "signed": ("a RRSIG TXT 13 3 300 20270101000000 20260101000000 1 example. AAAA", "is signed in its file"),
    "no TTL": ("$TTL x", "{zone}.zone:6: this cannot be read: "),
    "open": ("a TXT (", "{zone}.zone:6: a parenthesis is opened here and not closed"),
    "ours, elsewhere": ("$INCLUDE {more}", ":1 includes {directory}/{zone}.mta-sts: let the zone file itself do that"),
}


@pytest.mark.parametrize(("line", "words"), REFUSED.values(), ids=REFUSED)
def test_a_zone_file_that_cannot_be_used(call: Call, tmp_path: Path, name: str, line: str, words: str) -> None:
    """The zone is told, and left as it is; no server is needed to see that."""
    zone, more = f"{name}.example", tmp_path / "more"
    names = {"zone": zone, "directory": tmp_path, "more": more}
    more.write_text(f"$INCLUDE {tmp_path}/{zone}.mta-sts\n")
    file = tmp_path / f"{zone}.zone"
    file.write_text(f"{ZONE_FILE}{line.format(**names)}\n")
    before = file.read_bytes()
    result = call(record_set(f"a.{zone}", "TXT", "a"), zone_file=f"{tmp_path}/{{zone}}.zone")
    assert statuses(result) == ["failed"]
    assert words.format(**names) in result["results"][0]["error"]
    assert file.read_bytes() == before
    assert not (tmp_path / f"{zone}.mta-sts").exists()


UNUSABLE: dict[str, tuple[dict[str, t.Any], str]] = {
    "no zone in the path": ({"zone_file": "/etc/db.example"}, "zone_file must be an absolute path with {zone} in it"),
    "relative": ({"fragment": "{zone}.inc"}, "fragment must be an absolute path with {zone} in it"),
    "blank": ({"fragment": "/etc/my zones/{zone}"}, "without blanks"),
    "the same": ({"zone_file": "/etc/{zone}", "fragment": "/etc/{zone}"}, "another file than zone_file"),
    "no file to check": ({"check": ["true"]}, "have {file} among its words"),
    "no reload": ({"reload": []}, "reload must name a program"),
    "no directory": ({"zone_file": "/nowhere/{zone}"}, "/nowhere: there is no such directory"),
    "no server": ({"authorities": ["192.0.2.1:x"]}, "192.0.2.1:x"),
}


@pytest.mark.parametrize(("options", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_options_that_cannot_be_used(call: Call, options: dict[str, t.Any], words: str) -> None:
    result = call(record_set("a.one.example", "TXT", "a"), **options)
    assert result["failed"]
    assert words in result["msg"]
