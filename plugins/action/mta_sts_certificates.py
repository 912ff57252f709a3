# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes the documents of M(postmaster.mta_sts.mta_sts_certificates) to its host and back."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.utils.path import unfrackpath
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import DocumentError, read_document
from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._document_action import DocumentActionBase

ADDRESSES = ("A", "AAAA", "CNAME")


class ActionModule(DocumentActionBase):
    def module_arguments(self) -> dict[str, t.Any]:
        arguments = super().module_arguments()
        prepared = arguments.pop("prepared", None)
        if prepared:
            arguments["unready"] = {**(arguments.get("unready") or {}), **unready(unfrackpath(prepared, follow=False))}
        return arguments


def unready(path: str) -> dict[str, str]:
    """The names whose address records are not there, each with the reason, by a results document of the DNS step."""
    if not Path(path).exists():
        return {}
    try:
        missing = [
            result
            for result in read_document(path)["results"]
            if result["status"] in ("failed", "awaited") and result["type"] in ADDRESSES
        ]
        # The records may be kept under a name in another zone, of which that of the domain is an alias.
        return {
            name: f"{result['name']} {result['type']}: {result['error']}"
            for result in missing
            for name in (result["name"].rstrip("."), f"mta-sts.{result['item']}")
            if name.startswith("mta-sts.")
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise DocumentError(f"{path}: no results document of record sets: {error!r}") from None
