#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mta_sts_policies
short_description: Publish all MTA-STS policies of a policy host
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Writes the policy (RFC 8461 3.2) of each domain as a file that a web server delivers, in the form that every known
    sender accepts.
  - One call publishes any number of policies. Each file is replaced atomically, and only when its content differs.
  - Never removes a policy. A domain that is no longer named goes on being served, because senders may hold its
    policy for as long as its max_age says (RFC 8461 8.3).
  - Needs nothing but Python's standard library on the policy host.
requirements:
  - Python >= 3.9
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows at most 200 policies.
  idempotent:
    support: full
options:
  policies:
    description:
      - The policies to publish.
      - Exactly one of O(policies) and O(document) is required.
    type: list
    elements: dict
    suboptions:
      domain:
        description: The mail domain. U-labels are accepted.
        type: str
        required: true
      mode:
        description: The policy's mode.
        type: str
        choices: [none, testing, enforce]
        required: true
      mx:
        description: The patterns of the domain's MX hosts, in A-labels.
        type: list
        elements: str
        required: true
      max_age:
        description: For how many seconds senders may keep the policy, at most 31557600.
        type: int
        required: true
  document:
    description: Path of a plan document on the controller, whose policies are published.
    type: path
  directory:
    description: Where the policies lie, one file C(mta-sts.<domain>.txt) each. The directory must exist.
    type: path
    default: /var/lib/mta-sts/policies
  results:
    description: Path on the controller where RV(published) is written as a document instead of being returned.
    type: path
seealso:
  - module: postmaster.mta_sts.mta_sts_policies_info
  - module: postmaster.mta_sts.mta_sts_plan
"""

EXAMPLES = r"""
- name: Publish two policies
  postmaster.mta_sts.mta_sts_policies:
    policies:
      - {domain: example.com, mode: testing, mx: [mx1.example.net], max_age: 86400}
      - {domain: example.org, mode: enforce, mx: ['*.mail.example.org'], max_age: 2592000}

- name: Publish all policies of a plan
  postmaster.mta_sts.mta_sts_policies:
    document: ./mta-sts-run/plan.json
"""

RETURN = r"""
counts:
  description: How many policies were written, and how many were there already.
  type: dict
  returned: success
  sample: {written: 2, unchanged: 0}
published:
  description: The names of all policy hosts' sites that are in the directory after the call, given or not.
  type: list
  elements: str
  returned: success
  sample: [mta-sts.example.com, mta-sts.example.org]
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import DocumentError, read_plan
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import DomainNameError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import PolicyError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy_files import (
    SUFFIX,
    policy_diff,
    render_files,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._webroot import (
    changes,
    read_files,
    write_files,
)


def main() -> t.NoReturn:
    policy_spec = {
        "domain": {"type": "str", "required": True},
        "mode": {"type": "str", "required": True, "choices": ["none", "testing", "enforce"]},
        "mx": {"type": "list", "elements": "str", "required": True},
        "max_age": {"type": "int", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "policies": {"type": "list", "elements": "dict", "options": policy_spec},
            "document": {"type": "path"},
            "directory": {"type": "path", "default": "/var/lib/mta-sts/policies"},
            "results": {"type": "path"},
        },
        required_one_of=[("policies", "document")],
        mutually_exclusive=[("policies", "document")],
        supports_check_mode=True,
    )
    directory = Path(module.params["directory"])
    try:
        if module.params["document"]:
            plan = read_plan(module.params["document"])
            policies = [entry for entry in plan["domains"] if entry["serve"]]
        else:
            policies = module.params["policies"]
        wanted = render_files(policies)
        pending = changes(directory, SUFFIX, wanted)
        if not module.check_mode:
            write_files(directory, pending)
    except (DocumentError, PolicyError, DomainNameError, OSError) as error:
        module.fail_json(msg=f"Cannot publish the policies: {error}")
    module.exit_json(
        changed=bool(pending),
        counts={"written": len(pending), "unchanged": len(wanted) - len(pending)},
        published=sorted(name[: -len(SUFFIX)] for name in {*wanted, *read_files(directory, SUFFIX)}),
        diff=policy_diff(directory, pending),
    )


if __name__ == "__main__":
    main()
