# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = """
name: policy_id
author:
  - The postmaster.mta_sts authors
short_description: Id of an MTA-STS policy
version_added: 0.1.0
description:
  - Derives the id to announce in DNS from the text of a policy.
  - It is the beginning of the SHA-256 of the bytes that are served, line ends included, and so it changes if
    and only if they do. Many senders read a policy again only when its id has changed.
  - A text that is no valid policy (RFC 8461 section 3.2) is refused.
positional: _input
options:
  _input:
    description: The policy exactly as it is served. It is encoded as UTF-8.
    type: str
    required: true
seealso:
  - plugin: postmaster.mta_sts.policy_text
    plugin_type: filter
  - plugin: postmaster.mta_sts.sts_record
    plugin_type: filter
"""

EXAMPLES = """
- name: Show the id of a policy
  vars:
    policy: {mode: testing, mx: [mx1.example.net], max_age: 86400}
  ansible.builtin.debug:
    msg: "{{ policy | postmaster.mta_sts.policy_text | postmaster.mta_sts.policy_id }}"
    # => a25bcb80089a60911669b350b92aa8bb
"""

RETURN = """
_value:
  description: 32 hexadecimal digits.
  type: str
  sample: a25bcb80089a60911669b350b92aa8bb
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.postmaster.mta_sts.plugins.module_utils import _policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import quoted


def policy_id(text: str) -> str:
    """The id of a policy that is given as its text."""
    try:
        if not isinstance(text, str):
            raise ValueError(f"{quoted(text)} is not a text")
        body = text.encode("utf-8")
        _policy.parse_policy(body)
    except ValueError as exc:
        raise AnsibleFilterError(f"postmaster.mta_sts.policy_id: {exc}") from exc
    return _policy.policy_id(body)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"policy_id": policy_id}
