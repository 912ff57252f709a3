# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the action plugins of all modules for record sets do. Private to this collection."""

from __future__ import annotations

from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._document_action import DocumentActionBase


class RecordSetsActionBase(DocumentActionBase):
    """Takes the documents of such a module to its host and back."""
