# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = """
name: tlsrpt_record
author:
  - The postmaster.mta_sts authors
short_description: TLSRPT TXT record as text
version_added: 0.1.0
description:
  - Writes the TXT record (RFC 8460 section 3) that asks senders for reports about TLS.
  - It belongs at C(_smtp._tls) of the mail domain, as the only record there.
positional: _input
options:
  _input:
    description:
      - Where reports shall go to, C(mailto:) and C(https:) URIs with host names in A-labels.
      - The characters V(,), V(!) and V(;) are percent-encoded. Others that a URI may not have are refused.
    type: list
    elements: str
    required: true
"""

EXAMPLES = """
- name: Show the record for two addresses
  ansible.builtin.debug:
    msg: "{{ ['mailto:tls@example.com', 'https://example.com/tls'] | postmaster.mta_sts.tlsrpt_record }}"
    # => v=TLSRPTv1; rua=mailto:tls@example.com,https://example.com/tls
"""

RETURN = """
_value:
  description: The text of the record.
  type: str
  sample: v=TLSRPTv1; rua=mailto:tls@example.com,https://example.com/tls
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record import render_tlsrpt_record


def tlsrpt_record(rua: t.Sequence[str]) -> str:
    """The text of the TXT record that asks for reports to be sent to these URIs."""
    try:
        return render_tlsrpt_record(rua)
    except ValueError as exc:
        raise AnsibleFilterError(f"postmaster.mta_sts.tlsrpt_record: {exc}") from exc


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"tlsrpt_record": tlsrpt_record}
