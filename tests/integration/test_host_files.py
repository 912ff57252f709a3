# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module host_files on a real file system."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import modules
import pytest


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)[2:]


def order(place: Path) -> dict[str, t.Any]:
    """Two directories, two files in them, and one that shall go."""
    return {
        "directories": [
            {"path": f"{place}/etc/mta-sts", "mode": "0750"},
            {"path": f"{place}/etc/mta-sts/parts", "owner": "root", "group": "root", "mode": "0755"},
        ],
        "files": [
            {"path": f"{place}/etc/mta-sts/hook", "content": "#!/bin/sh\nexit 0\n", "mode": "0755"},
            {"path": f"{place}/etc/mta-sts/parts/bücher", "content": "mx: ü\n", "group": "daemon", "mode": "0640"},
        ],
        "absent": [f"{place}/old"],
    }


def test_all_comes_at_once_and_stays(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("gone soon")
    wanted = order(tmp_path)
    first = modules.run("host_files", tmp_path, **wanted)
    assert first["paths"] == [item["path"] for item in wanted["directories"] + wanted["files"]] + wanted["absent"]
    folder = tmp_path / "etc/mta-sts"
    paths = (folder.parent, folder, folder / "parts", folder / "hook", folder / "parts/bücher")
    assert [mode(path) for path in paths] == ["755", "750", "755", "755", "640"]
    assert (folder / "parts/bücher").read_text() == "mx: ü\n"
    assert (folder / "parts/bücher").group() == "daemon"
    assert not (tmp_path / "old").exists()
    assert sorted(path.name for path in folder.iterdir()) == ["hook", "parts"]

    stamp = (folder / "hook").stat().st_ctime_ns
    second = modules.run("host_files", tmp_path, **wanted)
    assert (second["changed"], second["paths"], second["diff"]) == (False, [], [])
    assert (folder / "hook").stat().st_ctime_ns == stamp


@pytest.mark.parametrize("what", ["content", "mode", "group", "directory", "missing"])
def test_only_what_drifted_is_mended(what: str, tmp_path: Path) -> None:
    wanted = order(tmp_path)
    modules.run("host_files", tmp_path, **wanted)
    file = tmp_path / "etc/mta-sts/parts/bücher"
    good = (file.read_bytes(), file.group(), mode(file), mode(file.parent))
    drift: dict[str, t.Callable[[], object]] = {
        "content": lambda: file.write_text("mx: u\n"),
        "mode": lambda: file.chmod(0o666),
        "group": lambda: os.chown(file, -1, 0),
        "directory": lambda: file.parent.chmod(0o777),
        "missing": file.unlink,
    }
    drift[what]()
    path = str(file.parent if what == "directory" else file)
    foretold = modules.run("host_files", tmp_path, check=True, **wanted)
    assert foretold["paths"] == [path]
    assert not file.exists() or (file.read_bytes(), file.group(), mode(file), mode(file.parent)) != good
    done = modules.run("host_files", tmp_path, **wanted)
    assert done["paths"] == [path]
    assert done["diff"] == foretold["diff"]
    assert (file.read_bytes(), file.group(), mode(file), mode(file.parent)) == good


def test_check_mode_foretells_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("stays")
    wanted = order(tmp_path)
    foretold = modules.run("host_files", tmp_path, check=True, **wanted)
    assert not (tmp_path / "etc").exists()
    assert (tmp_path / "old").read_text() == "stays"
    assert foretold["diff"][2]["after"] == "#!/bin/sh\nexit 0\n"
    assert foretold["diff"][4]["before_header"] == f"{tmp_path}/old"
    assert foretold["diff"][4]["after"] == {"state": "absent"}
    done = modules.run("host_files", tmp_path, **wanted)
    assert done["paths"] == foretold["paths"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"directories": [{"path": "{}/file"}]}, "{}/file shall be a directory, and something else is there"),
        ({"files": [{"path": "{}/folder", "content": ""}]}, "{}/folder shall be a file, and a directory is there"),
        ({"files": [{"path": "{}/no/x", "content": ""}]}, "{}/no/x cannot be written: there is no directory {}/no"),
        (
            {"absent": ["{}/folder"]},
            "{}/folder shall not be there, and is a directory with something in it, which is not removed",
        ),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_is_in_the_way_is_an_error_that_names_it(
    wanted: dict[str, t.Any], said: str, check: bool, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("here")
    (tmp_path / "folder/theirs").mkdir(parents=True)

    def placed(value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {key: placed(inner) for key, inner in value.items()}
        return [placed(inner) for inner in value] if isinstance(value, list) else value.format(tmp_path)

    result = modules.run("host_files", tmp_path, check=check, **placed(wanted))
    assert result["failed"]
    assert result["msg"] == said.format(tmp_path, tmp_path)
    assert (tmp_path / "file").read_text() == "here"
    assert (tmp_path / "folder").is_dir()


def test_a_link_that_shall_not_be_there_is_removed_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "link").symlink_to("target")
    modules.run("host_files", tmp_path, absent=[f"{tmp_path}/link"])
    assert (tmp_path / "target").read_text() == "theirs"
    assert not os.path.lexists(tmp_path / "link")


@pytest.mark.parametrize("check", [True, False])
def test_a_directory_goes_after_all_that_is_in_it(check: bool, tmp_path: Path) -> None:
    (tmp_path / "lib/parts").mkdir(parents=True)
    (tmp_path / "lib/parts/part").write_text("x")
    gone = [f"{tmp_path}/lib/parts/part", f"{tmp_path}/lib/parts", f"{tmp_path}/lib"]
    done = modules.run("host_files", tmp_path, check=check, absent=gone)
    assert done["paths"] == gone
    assert (tmp_path / "lib").exists() == check


def test_what_cannot_be_used_is_told_and_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    wanted = {"path": str(path), "content": "{}", "validate": "python3 -m json.tool %s"}
    assert modules.run("host_files", tmp_path, files=[wanted])["changed"]
    refused = modules.run("host_files", tmp_path, files=[{**wanted, "content": "{x"}])
    assert refused["msg"].startswith(f"{path} was left as it is: Expecting property name")
    assert path.read_text() == "{}"


def test_a_program_is_not_shown_line_by_line(tmp_path: Path) -> None:
    """As a diff of some hundred lines hides all others."""
    files = [
        {"path": f"{tmp_path}/program", "content": "pass\n" * 401},
        {"path": f"{tmp_path}/unit", "content": "[Unit]\n"},
    ]
    program, unit = modules.run("host_files", tmp_path, files=files)["diff"]
    assert (program["before"], program["after"]["bytes"]) == ({}, 2005)
    assert (unit["before"], unit["after"]) == ("", "[Unit]\n")
    (tmp_path / "program").write_text("pass\n")
    [again] = modules.run("host_files", tmp_path, files=files)["diff"]
    assert (again["before"]["bytes"], again["after"]) == (5, program["after"])
