# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the result of each task down, as a line of JSON."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: recorder
type: notification
short_description: Writes the result of each task into the file that RECORDED names
description: For tests.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def _record(self, told: t.Any, **more: t.Any) -> None:
        line = {"task": told.task.get_name(), "host": told.host.get_name(), "result": {**told.result, **more}}
        with Path(os.environ["RECORDED"]).open("a") as stream:
            print(json.dumps(line, default=str), file=stream)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._record(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        self._record(result, failed=True)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._record(result, failed=True)
