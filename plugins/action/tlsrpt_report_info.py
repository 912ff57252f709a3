# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes the documents of M(postmaster.mta_sts.tlsrpt_report_info) back from its host."""

from __future__ import annotations

from ansible_collections.postmaster.mta_sts.plugins.plugin_utils._document_action import DocumentActionBase


class ActionModule(DocumentActionBase):
    """As its base does."""
