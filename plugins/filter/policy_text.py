# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = """
name: policy_text
author:
  - The postmaster.mta_sts authors
short_description: MTA-STS policy as text
version_added: 0.1.0
description:
  - Writes an MTA-STS policy (RFC 8461 section 3.2) in the one form that every known sender reads.
  - Lines end with CRLF. Serve the text as it is, byte for byte, since the id in DNS is derived from them.
positional: _input
options:
  _input:
    description:
      - The policy, a dictionary with the keys C(mode), C(mx) and C(max_age), and no other.
      - C(mode) is V(none), V(testing) or V(enforce).
      - C(mx) is a list of host names in A-labels. V(*.) in front of a name stands for one whole label.
        It may be left out for V(none) only. Better keep it there, as some senders refuse a policy without.
      - C(max_age) is the number of seconds, from V(0) to V(31557600), that senders may keep the policy.
    type: dict
    required: true
seealso:
  - plugin: postmaster.mta_sts.policy_id
    plugin_type: filter
  - plugin: postmaster.mta_sts.ascii_name
    plugin_type: filter
"""

EXAMPLES = """
- name: Show a policy for a first week
  vars:
    policy: {mode: testing, mx: [mx1.example.net], max_age: 86400}
  ansible.builtin.debug:
    msg: "{{ policy | postmaster.mta_sts.policy_text }}"
    # => version: STSv1
    #    mode: testing
    #    mx: mx1.example.net
    #    max_age: 86400
"""

RETURN = """
_value:
  description: The policy, with CRLF at the end of each line.
  type: str
  sample: "version: STSv1\\r\\nmode: testing\\r\\nmx: mx1.example.net\\r\\nmax_age: 86400\\r\\n"
"""

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import quoted
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, render_policy


def policy_text(policy: Mapping[str, t.Any]) -> str:
    """The text of a policy that is given as a dictionary."""
    try:
        return render_policy(_policy(policy)).decode("ascii")
    except ValueError as exc:
        raise AnsibleFilterError(f"postmaster.mta_sts.policy_text: {exc}") from exc


def _policy(policy: object) -> Policy:
    if not isinstance(policy, Mapping):
        raise ValueError(f"{quoted(policy)} is not a dictionary with the keys mode, mx and max_age")
    unknown = [key for key in policy if key not in {"mode", "mx", "max_age"}]
    if unknown:
        raise ValueError(f"the key {quoted(unknown[0])} is not one of mode, mx and max_age")
    missing = [key for key in ("mode", "max_age") if key not in policy]
    if missing:
        raise ValueError(f"the key {missing[0]!r} is missing")
    return Policy(mode=policy["mode"], mx=policy.get("mx", ()), max_age=policy["max_age"])


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"policy_text": policy_text}
