#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mta_sts_policies_info
short_description: Tell which MTA-STS policies a policy host holds
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Reads the policies that M(postmaster.mta_sts.mta_sts_policies) published on a policy host.
  - Needs nothing but Python's standard library on the policy host.
requirements:
  - Python >= 3.9
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._attributes.info_module
options:
  directory:
    description: Where the policies lie. It need not exist.
    type: path
    default: /var/lib/mta-sts/policies
  results:
    description:
      - Path on the controller where RV(policies) and RV(damaged) are written as a document instead of being returned.
    type: path
seealso:
  - module: postmaster.mta_sts.mta_sts_policies
"""

EXAMPLES = r"""
- name: See what this host serves
  postmaster.mta_sts.mta_sts_policies_info:
  register: served

- name: Keep it for a plan
  postmaster.mta_sts.mta_sts_policies_info:
    results: ./mta-sts-run/served/{{ inventory_hostname }}.json
"""

RETURN = r"""
count:
  description: How many policies there are.
  type: int
  returned: success
policies:
  description: For each domain the id, mode, MX patterns and max_age of its policy.
  type: dict
  returned: success, without O(results)
  sample:
    example.com:
      id: 5b3e2a0c9b1d4e6f8a7c5d3e1f0b2a49
      max_age: 86400
      mode: testing
      mx: [mx1.example.net]
damaged:
  description: For each domain whose policy does not fit RFC 8461 3.2, what is wrong with it.
  type: dict
  returned: success, without O(results)
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import told
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy_files import SUFFIX, describe_files
from ansible_collections.postmaster.mta_sts.plugins.module_utils._webroot import read_files


@few_collections()
def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/var/lib/mta-sts/policies"},
            "results": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        files = read_files(Path(module.params["directory"]), SUFFIX)
    except OSError as error:
        module.fail_json(msg=f"Cannot read the policies: {error}")
    policies, damaged = describe_files(files)
    module.exit_json(changed=False, count=len(policies), **told(module.params, policies=policies, damaged=damaged))


if __name__ == "__main__":
    main()
