#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mta_sts_ledger_info
short_description: Tell which MTA-STS policies a policy host served from when to when
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Reads the ledger that M(postmaster.mta_sts.mta_sts_policies) keeps on a policy host. A sender may hold a policy for
    max_age seconds after it was last served (RFC 8461 3.2), so this is what tells when it is safe to change one.
  - A ledger that is missing, damaged or cannot be read is no error. RV(state) says so.
  - Needs nothing but Python's standard library on the policy host.
requirements:
  - Python >= 3.9
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._attributes.info_module
options:
  path:
    description: Where the ledger lies. It need not exist.
    type: path
    default: /var/lib/mta-sts/ledger.sqlite3
  domains:
    description: The domains to tell about, all if not given. U-labels are accepted.
    type: list
    elements: str
  results:
    description:
      - Path on the controller where all that is returned, RV(count) apart, is written as a document instead.
    type: path
seealso:
  - module: postmaster.mta_sts.mta_sts_policies
  - module: postmaster.mta_sts.mta_sts_policies_info
"""

EXAMPLES = r"""
- name: See what senders may hold of one domain
  postmaster.mta_sts.mta_sts_ledger_info:
    domains: [example.com]
  register: ledger

- name: Keep it for a plan
  postmaster.mta_sts.mta_sts_ledger_info:
    results: ./mta-sts-run/ledgers/{{ inventory_hostname }}.json
"""

RETURN = r"""
state:
  description:
    - V(ok), or V(missing) if there is none.
    - V(damaged) if M(postmaster.mta_sts.mta_sts_policies) will set it aside and begin anew.
    - V(unreadable) if it cannot be used now, or was written by a newer version of this collection.
  type: str
  returned: success, without O(results)
  sample: ok
trouble:
  description: What is wrong with a ledger that is damaged or unreadable. Otherwise empty.
  type: str
  returned: success, without O(results)
  sample: ''
revision:
  description:
    - Grows with everything that changes in the ledger. A plan is carried out only on the revision it was made from.
    - Null if the ledger is unreadable.
  type: int
  returned: success, without O(results)
  sample: 14
written:
  description: The latest time that was seen when the ledger was written. Null if it is not known.
  type: str
  returned: success, without O(results)
  sample: '2026-11-23T10:00:00+00:00'
now:
  description: What the clock of the policy host says.
  type: str
  returned: success, without O(results)
  sample: '2026-11-24T10:00:00+00:00'
count:
  description: How many domains are told about.
  type: int
  returned: success
  sample: 1
domains:
  description: What the ledger says, by domain.
  type: dict
  returned: success, without O(results)
  contains:
    served:
      description: The policies that were or are served, the oldest first.
      type: list
      elements: dict
      contains:
        id:
          description: The policy's id.
          type: str
        mode:
          description: The policy's mode.
          type: str
        mx:
          description: The patterns of the domain's MX hosts.
          type: list
          elements: str
        max_age:
          description: For how many seconds senders may keep the policy.
          type: int
        since:
          description: When it began to be served.
          type: str
        until:
          description: When it was no longer served. Null while it is.
          type: str
        after_unknown:
          description: Whether it is not known what was served before.
          type: bool
    conditions:
      description: What has been so without interruption, and since when.
      type: dict
  sample:
    example.com:
      conditions:
        testing: '2026-11-23T10:00:00+00:00'
      served:
        - id: 5b3e2a0c9b1d4e6f8a7c5d3e1f0b2a49
          mode: testing
          mx: [mx1.example.net]
          max_age: 86400
          since: '2026-11-23T10:00:00+00:00'
          until: null
          after_unknown: false
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import told
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import read_ledger, time_text
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import DomainNameError, to_ascii


@few_collections()
def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/var/lib/mta-sts/ledger.sqlite3"},
            "domains": {"type": "list", "elements": "str"},
            "results": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        names = None if module.params["domains"] is None else {to_ascii(name) for name in module.params["domains"]}
    except DomainNameError as error:
        module.fail_json(msg=f"Cannot tell about the domains: {error}")
    found = read_ledger(module.params["path"])
    found["domains"] = {name: entry for name, entry in found["domains"].items() if names is None or name in names}
    found["now"] = time_text(int(time.time()))
    module.exit_json(changed=False, count=len(found["domains"]), **told(module.params, **found))


if __name__ == "__main__":
    main()
