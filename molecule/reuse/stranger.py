# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who has nothing of this project but what is published, and an environment of his own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import textwrap
import typing as t
from dataclasses import dataclass
from pathlib import Path

FOREIGN = ("ANSIBLE", "MOLECULE", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Run:
    """What a command did."""

    status: int
    output: str

    def counts(self, word: str) -> dict[str, int]:
        """The number that Ansible counts by a word, as in C(changed=3), by host."""
        found = re.findall(rf"(?m)^(\S+)\s+: ok=.*\b{word}=(\d+)", self.output)
        assert found, self.output
        return {host: int(count) for host, count in found}


@dataclass(frozen=True)
class Block:
    """A block of code in a guide."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The name of the file that it is, which stands in its first line."""
        named = re.match(r"# (\S+)\n", self.text)
        return named[1] if named else ""


class Stranger:
    """Runs commands in a home of its own, in a shell that goes on from one to the next."""

    def __init__(self, directory: Path, secrets: t.Sequence[str]) -> None:
        self.directory = directory
        self.work = directory / "work"
        self.directory_now = directory / "checkout"
        self._secrets = secrets
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.environment |= {
            "HOME": str(directory / "home"),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            # From where packages come here.
            "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config"),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
            "PIP_CONSTRAINT": str(directory / "constraints.txt"),
        }

    def write(self, name: str, text: str) -> None:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, script: str, status: int = 0, **environment: str) -> Run:
        """Runs lines of a shell, and sees that they end as they shall and tell no secret."""
        left = self.directory / "environment"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", f"trap 'env -0 >{left}' EXIT\n{script}"],
            cwd=self.directory_now,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        kept = dict(entry.split("=", 1) for entry in left.read_text().split("\0") if entry)
        self.environment = {name: value for name, value in kept.items() if name not in environment}
        assert done.returncode == status, done.stdout
        assert not [secret for secret in self._secrets if secret in done.stdout]
        return Run(done.returncode, done.stdout)

    def json(self, script: str) -> t.Any:
        """What a command prints, as JSON."""
        return json.loads(self.run(f"{script} 2>/dev/null").output)


def blocks_of(page: str) -> list[Block]:
    """The blocks of code in a guide, in order."""
    pattern = r"(?m)^\.\. code-block:: (\w+)\n\n((?: {4}.*\n|\n)+)"
    return [Block(language, textwrap.dedent(text).strip() + "\n") for language, text in re.findall(pattern, page)]
