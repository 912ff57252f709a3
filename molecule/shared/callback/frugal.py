# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has playbook runs compute less: a third of what a rollout costs is the same each time, or for nothing."""

from __future__ import annotations

import gc
import hashlib
import typing as t
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__

DOCUMENTATION = """
name: frugal
type: notification
short_description: Has playbook runs compute less
description:
  - Ansible packs each module once in a run, with all that it imports, and forgets it at the end.
  - Here the same run over and over again finds what an earlier one has packed from the same files.
  - Each task is a process of its own, which begins with all of the first one's objects. Here its garbage collector
    leaves them alone, and the memory that they share is not copied.
"""

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"


def digest() -> str:
    """Changes with every file that may be packed."""
    found = hashlib.sha256(__version__.encode())
    for file in sorted(path for kind in ("modules", "module_utils") for path in (PLUGINS / kind).rglob("*.py")):
        found.update(f"{file.relative_to(PLUGINS)} {file.stat().st_size} ".encode() + file.read_bytes())
    return found.hexdigest()[:16]


class CallbackModule(CallbackBase):
    """Does its work before the first task, and has nothing to say."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "frugal"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: t.Any) -> None:  # noqa: ARG002
        shared = Path(constants.config.get_config_value("ANSIBLE_HOME"), "packed", digest())
        shared.mkdir(parents=True, exist_ok=True)
        gc.collect()
        gc.freeze()
        Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(shared)  # type: ignore[attr-defined]
