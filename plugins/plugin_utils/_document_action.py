# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the action plugins share whose modules work on documents.

A module option names a document by its path on the controller; the module itself runs wherever the task does.
The document travels there as a file, and what the module found travels back as one. Ansible's variables carry
only summaries: they are too slow, and too loud under C(-v), for thousands of domains. Private to this collection.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.path import unfrackpath
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import (
    DocumentError,
    write_told,
)


class DocumentActionBase(ActionBase):
    """Runs the module of the same name with O(document) sent to its host and O(results) brought back."""

    _supports_async = False

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            arguments = self.module_arguments()
            document = arguments.get("document") and unfrackpath(arguments["document"], follow=False)
            if document:
                arguments["document"] = self._send(document)
            result.update(self._execute_module(module_args=arguments, task_vars=variables))
            if document and result.get("failed"):
                # By its path here.
                result["msg"] = str(result.get("msg", "")).replace(arguments["document"], document)
            # What was done is told of a module that failed, too, if it says so itself.
            told = result.pop("results_document", None)
            if told is not None:
                results = unfrackpath(arguments["results"], follow=False)
                write_told(results, variables.get("inventory_hostname", "localhost"), told)
        except DocumentError as error:
            raise AnsibleActionFail(str(error)) from error
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def module_arguments(self) -> dict[str, t.Any]:
        """The options that the module is called with. Raises L(DocumentError)."""
        return dict(self._task.args)

    def _send(self, path: str) -> str:
        # Its module reads it, and says what is wrong with it. To do so here, too, would take as much memory again
        # for each of the hosts at a time.
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise DocumentError(f"{path}: {error.strerror}") from None
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote: str = self._connection._shell.join_path(self._connection._shell.tmpdir, "document.json")
        self._transfer_file(path, remote)
        self._fixup_perms2((self._connection._shell.tmpdir, remote))
        return remote
