# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = """
name: sts_record
author:
  - The postmaster.mta_sts authors
short_description: MTA-STS TXT record as text
version_added: 0.1.0
description:
  - Writes the TXT record (RFC 8461 section 3.1) that announces the id of a policy.
  - It belongs at C(_mta-sts) of the mail domain, as the only record there, once the policy is served.
positional: _input
options:
  _input:
    description: The id, 1 to 32 ASCII letters and digits.
    type: str
    required: true
seealso:
  - plugin: postmaster.mta_sts.policy_id
    plugin_type: filter
"""

EXAMPLES = """
- name: Show the record for a policy
  vars:
    policy: {mode: testing, mx: [mx1.example.net], max_age: 86400}
    policy_text: "{{ policy | postmaster.mta_sts.policy_text }}"
  ansible.builtin.debug:
    msg: "{{ policy_text | postmaster.mta_sts.policy_id | postmaster.mta_sts.sts_record }}"
    # => v=STSv1; id=a25bcb80089a60911669b350b92aa8bb
"""

RETURN = """
_value:
  description: The text of the record.
  type: str
  sample: v=STSv1; id=a25bcb80089a60911669b350b92aa8bb
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record import render_sts_record


def sts_record(policy_id: str) -> str:
    """The text of the TXT record that announces an id."""
    try:
        return render_sts_record(policy_id)
    except ValueError as exc:
        raise AnsibleFilterError(f"postmaster.mta_sts.sts_record: {exc}") from exc


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"sts_record": sts_record}
