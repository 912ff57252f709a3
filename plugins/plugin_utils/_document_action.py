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

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.path import unfrackpath
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import (
    DocumentError,
    read_plan,
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
            if arguments.get("document"):
                arguments["document"] = self._send(unfrackpath(arguments["document"], follow=False))
            result.update(self._execute_module(module_args=arguments, task_vars=variables))
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

    def check_document(self, path: str) -> None:
        """Raises L(DocumentError) for a document that the module could not use."""
        read_plan(path)

    def _send(self, path: str) -> str:
        # Read here first: a document that cannot be used is an error on the controller, with its path there.
        self.check_document(path)
        return self._send_file(path)

    def _send_file(self, path: str) -> str:
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote: str = self._connection._shell.join_path(self._connection._shell.tmpdir, "document.json")
        self._transfer_file(path, remote)
        self._fixup_perms2((self._connection._shell.tmpdir, remote))
        return remote
