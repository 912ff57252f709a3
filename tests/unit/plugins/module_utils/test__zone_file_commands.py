# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that check and reload: what they say is told, bounded and printable, and none is waited for without end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._zone_file.commands import KEPT_BYTES, run

COMMANDS: dict[str, tuple[list[str], str]] = {
    "success": (["sh", "-c", "echo all is well"], ""),
    "its words, on one line": (["sh", "-c", "echo no; echo ' way' >&2; exit 3"], "sh ended with 3 and said: no way"),
    "silence": (["false"], "false ended with 1 and said: nothing"),
    "a signal": (["sh", "-c", "kill -9 $$"], "sh ended with -9 and said: nothing"),
    "not printable": (["printf", "\\033[31m\\0\\351"], ""),
    "not printable, and wrong": (
        ["sh", "-c", "printf '\\033[31m\\351'; exit 1"],
        "sh ended with 1 and said: ?[31m\\xe9",
    ),
    "not there": (["no-such-program"], "no-such-program cannot be run: No such file or directory"),
    "input": (["sh", "-c", "cat; exit 1"], "sh ended with 1 and said: nothing"),
    "where": (["sh", "-c", "pwd; exit 1"], "sh ended with 1 and said: /"),
}


@pytest.mark.parametrize(("command", "told"), COMMANDS.values(), ids=COMMANDS)
def test_what_is_told(command: list[str], told: str) -> None:
    assert asyncio.run(run(command, "/")) == told


def test_very_much_is_cut() -> None:
    told = asyncio.run(run(["sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x; exit 1"], "/"))
    assert told == f"sh ended with 1 and said: {'x' * KEPT_BYTES}"


def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    told = asyncio.run(run(["sh", "-c", "echo $$ > pid; exec sleep 1000"], str(tmp_path), seconds=0.5))
    assert told == "sh did not end within 0.5 s"
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
