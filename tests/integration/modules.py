# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's modules as Ansible does: in a process of their own, with arguments and result in JSON."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
MODULES = "ansible_collections.postmaster.mta_sts.plugins.modules."

Result = dict[str, t.Any]


def command(module: str, directory: Path, options: dict[str, t.Any], *, check: bool = False) -> list[str | Path]:
    path = directory / "arguments.json"
    path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check}}))
    return [sys.executable, "-m", f"{MODULES}{module}", path]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT / ".collections")}


@functools.cache
def _server() -> subprocess.Popen[str]:
    names = [f"{MODULES}{path.stem}" for path in sorted((CHECKOUT / "plugins/modules").glob("*.py"))]
    server = subprocess.Popen(
        [sys.executable, HERE / "module_server.py", *names],
        env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    atexit.register(server.communicate)
    return server


def executed(
    module: str, directory: Path, options: dict[str, t.Any], *, check: bool = False, **environment: str
) -> tuple[Result, str]:
    """What a module returns, and all that it has printed."""
    _python, _m, name, arguments = command(module, directory, options, check=check)
    server = _server()
    assert server.stdin
    assert server.stdout
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        order = {
            "module": name,
            "arguments": str(arguments),
            "output": [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (output, errors)],
            "environment": {**ENVIRONMENT, **environment},
        }
        print(json.dumps(order), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        assert errors.read() == ""
        printed = output.read()
    result: Result = json.loads(printed)
    assert (status != 0) == bool(result.get("failed"))
    assert "Traceback" not in result.get("msg", "")
    return result, printed


def run(module: str, place: Path, /, *, check: bool = False, **options: t.Any) -> Result:
    """What a module returns."""
    result, _printed = executed(module, place, options, check=check)
    return result
