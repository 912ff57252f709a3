# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The commands that check a zone file and make a name server read it again.

Private to this collection.
"""

from __future__ import annotations

import asyncio
import os
import typing as t

SECONDS: t.Final = 120.0
KEPT_BYTES: t.Final = 1000
# Where name servers keep their commands; not every log-in has these in its path.
_DIRECTORIES: t.Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


async def run(command: t.Sequence[str], directory: str, seconds: float = SECONDS) -> str:
    """Runs a command in a directory; returns what is wrong, in its own words, or nothing if it succeeded."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_DIRECTORIES])
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=directory,
            env={**os.environ, "PATH": path, "LC_ALL": "C"},
        )
    except OSError as error:
        return f"{command[0]} cannot be run: {error.strerror}"
    try:
        words = await asyncio.wait_for(_words(t.cast("asyncio.StreamReader", process.stdout)), seconds)
        code = await process.wait()
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
        return f"{command[0]} did not end within {seconds:g} s"
    if code == 0:
        return ""
    return f"{command[0]} ended with {code} and said: {words or 'nothing'}"


async def _words(stream: asyncio.StreamReader) -> str:
    """What a program says, on one line, printable, and the last of it only."""
    kept = b""
    while said := await stream.read(65536):
        kept = (kept + said)[-KEPT_BYTES:]
    text = " ".join(kept.decode("ascii", "backslashreplace").split())
    return "".join(char if char.isprintable() else "?" for char in text)
