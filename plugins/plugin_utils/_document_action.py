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
    write_document,
)


class DocumentActionBase(ActionBase):
    """Runs the module of the same name with O(document) sent to its host and O(results) brought back."""

    _supports_async = False
    # The keys of the module's result that make up its results document.
    result_keys: t.ClassVar[tuple[str, ...]] = ()
    # Those of them that stay in the result, too.
    kept_keys: t.ClassVar[frozenset[str]] = frozenset()

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            arguments = self.module_arguments()
            results_path = arguments.pop("results", None)
            document = arguments.get("document") and unfrackpath(arguments["document"], follow=False)
            if document:
                arguments["document"] = self._send(document)
            result.update(self._execute_module(module_args=arguments, task_vars=variables))
            if document and result.get("failed"):
                # By its path here.
                result["msg"] = str(result.get("msg", "")).replace(arguments["document"], document)
            found = {key: result[key] for key in self.result_keys if key in result}
            # What was done is told of a module that failed, too, if it says so itself.
            if results_path and (found or not result.get("failed")):
                for key in found.keys() - self.kept_keys:
                    del result[key]
                write_document(
                    unfrackpath(results_path, follow=False),
                    {"host": variables.get("inventory_hostname", "localhost"), **found},
                )
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
