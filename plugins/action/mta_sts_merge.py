# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts documents of probe hosts together, all of which are on the controller."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import (
    DocumentError,
    copy_document,
    read_document,
    write_document,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._shares import put_together


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    @few_collections()
    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[dict[str, t.Any]] = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(
            argument_spec={
                "documents": {"type": "list", "elements": "path", "required": True},
                "troubles": {"type": "dict", "default": {}},
                "dest": {"type": "path", "required": True},
            }
        )
        found = [path for path in params["documents"] if Path(path).exists()]
        if not found:
            troubles = "; ".join(f"{host}: {text}" for host, text in params["troubles"].items())
            raise AnsibleActionFail(f"No probe host has found anything: {troubles or 'there is no document'}")
        try:
            if len(found) == 1:
                copy_document(found[0], params["dest"])
            else:
                write_document(params["dest"], put_together([read_document(path) for path in found]))
        except DocumentError as error:
            raise AnsibleActionFail(str(error)) from error
        except (KeyError, TypeError, AttributeError) as error:
            raise AnsibleActionFail(f"{', '.join(found)}: no results documents of one kind: {error!r}") from None
        return {**result, "changed": False, "found": len(found)}
