#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mx_tlsa_info
short_description: Tell which TLSA records of an MX host its zone's name servers have
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Asks every authoritative name server for the records at C(_25._tcp.<name>) (RFC 7672 2.2.3), and validating resolvers
    whether these and the host's addresses are signed, as without that no sender uses them (RFC 7672 2.2).
  - What it returns is what M(postmaster.mta_sts.mx_tlsa) decides from.
requirements:
  - Python >= 3.10
  - dnspython >= 2.6
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._attributes.info_module
options:
  name:
    description: The name of the MX host, as MX records have it.
    type: str
    required: true
  authorities:
    description:
      - The authoritative name servers that are asked, each as address or name with an optional port. Without any, those that DNS
        names for the zone.
    type: list
    elements: str
    default: []
  resolvers:
    description:
      - The resolvers that are asked, which have to validate. Without any, those of the system.
    type: list
    elements: str
    default: []
  wanted:
    description: With this the module waits until all name servers have exactly these records, or O(wait) is over.
    type: list
    elements: str
  ttl:
    description: The TTL in seconds that O(wanted) shall have.
    type: int
    default: 3600
  wait:
    description: For how many seconds to wait at most.
    type: int
    default: 0
  timeout:
    description: For how many seconds at most to wait for one answer.
    type: int
    default: 10
seealso:
  - module: postmaster.mta_sts.mx_tlsa
"""

EXAMPLES = r"""
- name: See which TLSA records there are
  postmaster.mta_sts.mx_tlsa_info:
    name: mx1.example.net
    resolvers: [127.0.0.1]
  delegate_to: localhost
  register: tlsa
"""

RETURN = r"""
dns:
  description: What was found.
  type: dict
  returned: success
  contains:
    anywhere:
      description: The records that any name server has.
      type: list
      elements: str
    everywhere:
      description: The records that all name servers have.
      type: list
      elements: str
    ttl:
      description: The longest TTL, in seconds; 0 where there are no records.
      type: int
    complete:
      description: Whether all name servers gave an answer.
      type: bool
    trouble:
      description: What is wrong with those that did not.
      type: str
    secure:
      description: Whether a validating resolver says that addresses and TLSA records are signed.
      type: bool
    insecure:
      description: What is wrong where they are not.
      type: str
  sample:
    anywhere: ['3 1 1 8bb0c2a4d4a0c6b5d3b1bcb0a9f3a0a7b0e6a1c2d3e4f5061728394a5b6c7d8e']
    everywhere: ['3 1 1 8bb0c2a4d4a0c6b5d3b1bcb0a9f3a0a7b0e6a1c2d3e4f5061728394a5b6c7d8e']
    ttl: 3600
    complete: true
    trouble: ''
    secure: true
    insecure: ''
"""

import asyncio
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.record_set import (
    InputError,
    dnspython_error,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa_look import look_at


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "authorities": {"type": "list", "elements": "str", "default": []},
            "resolvers": {"type": "list", "elements": "str", "default": []},
            "wanted": {"type": "list", "elements": "str"},
            "ttl": {"type": "int", "default": 3600},
            "wait": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    missing = dnspython_error(2, 6)
    if missing:
        module.fail_json(msg=missing_required_lib("dnspython >= 2.6"), exception=missing)
    try:
        found = asyncio.run(look_at(module.params))
    except (InputError, ValueError) as error:
        module.fail_json(msg=str(error))
    dns = {key: sorted(value) if isinstance(value, frozenset) else value for key, value in vars(found).items()}
    module.exit_json(changed=False, dns=dns)


if __name__ == "__main__":
    main()
