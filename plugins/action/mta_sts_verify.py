# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes the documents of M(postmaster.mta_sts.mta_sts_verify) to its host and back, and shows how far it is."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.utils.path import unfrackpath
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import read_plan, write_document
from ansible_collections.postmaster.mta_sts.plugins.module_utils._shares import share_of
from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._document_action import DocumentActionBase
from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._domains_file import DomainsFileError, read_names
from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._progress import ProgressDisplay


class ActionModule(DocumentActionBase):
    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None) -> dict[str, t.Any]:
        # What another host writes cannot be read while its module runs.
        if self._connection.transport != "local" or self._task.args.get("progress"):
            return super().run(tmp, task_vars)
        with tempfile.TemporaryDirectory(prefix="mta-sts-") as directory:
            path = Path(directory, "progress.json")
            self._task.args = {**self._task.args, "progress": str(path)}
            with ProgressDisplay(path):
                return super().run(tmp, task_vars)

    def module_arguments(self) -> dict[str, t.Any]:
        arguments = super().module_arguments()
        try:
            self._part, self._parts = (
                int(arguments.pop(name, default)) for name, default in (("part", 0), ("parts", 1))
            )
        except (TypeError, ValueError):
            raise AnsibleActionFail("part and parts must be whole numbers") from None
        path = arguments.pop("domains_file", None)
        if path and arguments.get("domains"):
            raise AnsibleActionFail("parameters are mutually exclusive: domains|domains_file")
        names = _names_in(path) if path else _listed(arguments.get("domains"))
        if names is not None:
            arguments["domains"] = names[self._part :: self._parts]
        return arguments

    def _send(self, path: str) -> str:
        if (self._part, self._parts) == (0, 1):
            return super()._send(path)
        # Only its share goes to a probe host.
        try:
            share = share_of(read_plan(path), self._part, self._parts)
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        with tempfile.TemporaryDirectory(prefix="mta-sts-") as directory:
            own = str(Path(directory, "share.json"))
            write_document(own, share)
            return super()._send(own)


def _names_in(path: str) -> list[str]:
    try:
        return read_names(unfrackpath(path, follow=False))
    except DomainsFileError as error:
        raise AnsibleActionFail(str(error)) from None


def _listed(domains: t.Any) -> t.Optional[list[str]]:
    """The names as a list, also if they are given in one line with commas."""
    if domains is None:
        return None
    names = domains.split(",") if isinstance(domains, str) else domains
    return [name.strip() if isinstance(name, str) else name for name in names if name]
