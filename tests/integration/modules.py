# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's modules as Ansible does: in a process of their own, with arguments and result in JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

MODULES = "ansible_collections.postmaster.mta_sts.plugins.modules."

Result = dict[str, t.Any]


def command(module: str, directory: Path, options: dict[str, t.Any], *, check: bool = False) -> list[str | Path]:
    path = directory / "arguments.json"
    path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check}}))
    return [sys.executable, "-m", f"{MODULES}{module}", path]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / ".collections")}


def run(module: str, place: Path, /, *, check: bool = False, **options: t.Any) -> Result:
    """Runs a module as Ansible does, in a process of its own."""
    done = subprocess.run(
        command(module, place, options, check=check), env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    result: Result = json.loads(done.stdout)
    assert (done.returncode != 0) == bool(result.get("failed"))
    assert "Traceback" not in result.get("msg", "")
    return result
