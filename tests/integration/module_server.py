# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts modules, each in a process of its own that is a copy of this one, which has imported already all they need.

It takes one order a line and answers each with the exit status, until there are no more.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import sys
import typing as t


def run(module: str, arguments: str, output: t.Sequence[str], environment: dict[str, str]) -> None:
    """Runs a module in this process."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(output, start=1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main(modules: t.Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)
        # What runs is imported anew.
        del sys.modules[name]
    # Copies share what is never touched.
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(**json.loads(line))
            return
        _child, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
