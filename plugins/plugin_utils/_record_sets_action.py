# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the action plugins of all modules for record sets do. Private to this collection."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.utils.path import unfrackpath
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import (
    DocumentError,
    read_document,
    told,
    write_told,
)
from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._document_action import DocumentActionBase


class RecordSetsActionBase(DocumentActionBase):
    """Takes the documents of such a module to its host and back."""

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None) -> dict[str, t.Any]:
        try:
            return super().run(tmp, task_vars)
        except AnsibleConnectionFailure as error:
            if not self._task.delegate_to:
                raise
            # Ansible would take it for the controller, which delegated the task, and end a rollout without its report.
            trouble = f"{self._task.delegate_to} could not be reached: {error}"
            try:
                self._tell_of_all(trouble)
            except (DocumentError, LookupError, TypeError, AttributeError) as other:
                trouble = f"{trouble}; its results cannot be written: {other!r}"
            raise AnsibleActionFail(trouble) from error

    def _tell_of_all(self, trouble: str) -> None:
        """Writes the results of a module that told nothing. Raises anything, for a document that is none."""
        arguments = self._task.args
        if not arguments.get("results"):
            return
        entries = arguments.get("record_sets") or []
        if arguments.get("document"):
            document = read_document(unfrackpath(arguments["document"], follow=False))
            entries = document["record_sets"][arguments["section"]]
        nothing = {"zone": "", "status": "failed", "before": None, "after": None, "error": trouble}
        results = [
            {"name": one["name"].rstrip("."), "type": one["type"], "item": one.get("item") or "", **nothing}
            for one in entries
        ]
        counts = {"ok": 0, "changed": 0, "awaited": 0, "failed": len(results)}
        path = unfrackpath(arguments["results"], follow=False)
        write_told(path, self._task.delegate_to, told(arguments, counts=counts, results=results)["results_document"])
