# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an execution environment is made of, as ansible-builder itself reads it."""

from __future__ import annotations

import subprocess
import sys
import typing as t
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[2]
EXAMPLE = CHECKOUT / "docs/examples/awx/execution-environment.yml"
PLAIN = (CHECKOUT / "meta/ee-requirements.txt", CHECKOUT / "meta/ee-bindep.txt")


def builder(*arguments: str | Path) -> str:
    command = [Path(sys.executable).parent / "ansible-builder", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lines(path: Path) -> set[str]:
    """What a file of requirements says, without comments."""
    return {line.partition("#")[0].strip() for line in path.read_text().splitlines()} - {""}


def test_the_collection_says_what_it_needs() -> None:
    found: dict[str, t.Any] = yaml.safe_load(builder("introspect", CHECKOUT / ".collections"))
    python, system = (lines(path) for path in PLAIN)
    assert {line.partition("  #")[0] for line in found["python"]} == python
    assert {line.partition("  #")[0] for line in found["system"]} == system
    assert {line.partition(">")[0] for line in python} == {"cryptography", "dnspython"}


def test_the_example_makes_an_image(tmp_path: Path) -> None:
    builder("create", "--file", EXAMPLE, "--context", tmp_path)
    containerfile = (tmp_path / "Containerfile").read_text()
    assert "quay.io/fedora/fedora:42" in containerfile
    needed = yaml.safe_load((tmp_path / "_build/requirements.yml").read_text())
    assert needed == {"collections": [{"name": "postmaster.mta_sts"}]}
    assert lines(tmp_path / "_build/requirements.txt") == {"dns-lexicon"}
    assert "ansible-core>=2.17" in containerfile
