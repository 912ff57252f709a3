# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = """
name: ascii_name
author:
  - The postmaster.mta_sts authors
short_description: Domain name to lower-case A-labels
version_added: 0.1.0
description:
  - Takes a domain name as a person writes it, in U-labels or A-labels, in any case, with or without one dot
    at its end.
  - Returns it as DNS, certificates and MTA-STS policies need it, in lower-case A-labels (Punycode) without
    that dot.
  - A name whose U-labels IDNA2003 and IDNA2008 may encode differently, as those with V(ß), is refused.
    Write its A-labels.
positional: _input
options:
  _input:
    description:
      - A domain name of at least two labels.
      - URLs, mail addresses, IP addresses, ports and underscores are refused.
    type: str
    required: true
"""

EXAMPLES = """
- name: Write a name as DNS needs it
  ansible.builtin.debug:
    msg: "{{ 'Bücher.example' | postmaster.mta_sts.ascii_name }}"
    # => xn--bcher-kva.example
"""

RETURN = """
_value:
  description: The name in lower-case A-labels.
  type: str
  sample: xn--bcher-kva.example
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import to_ascii


def ascii_name(name: str) -> str:
    """A domain name in lower-case A-labels."""
    try:
        return to_ascii(name)
    except ValueError as exc:
        raise AnsibleFilterError(f"postmaster.mta_sts.ascii_name: {exc}") from exc


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"ascii_name": ascii_name}
