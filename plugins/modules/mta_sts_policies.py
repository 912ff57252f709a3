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
  - Keeps a ledger of which policy was served from when to when, because a sender may hold a policy for as long as its
    max_age says (RFC 8461 3.2). A policy is recorded before it is written, so that the ledger never says too little.
  - Removes a policy only where a plan says so. A domain that is no longer named goes on being served (RFC 8461 8.3).
  - Only one call is at work in a directory at a time. Another one waits for it, for at most 60 seconds.
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
    support: partial
    details:
      - With O(policy_host) a plan that changed anything is carried out once. After that the ledger is no longer the
        one that it was made from.
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
    description:
      - Path of a plan document on the controller. The policies that it says are to be served are published, those that
        it says are to be removed are removed, and what it knows of each domain is kept in the ledger.
    type: path
  policy_host:
    description:
      - The name that this host has in the plan, for use with O(document).
      - Given it, nothing is done if the ledger is not as it was when the plan was made, because another rollout has been
        here since.
    type: str
  directory:
    description: Where the policies lie, one file C(mta-sts.<domain>.txt) each. The directory must exist.
    type: path
    default: /var/lib/mta-sts/policies
  ledger:
    description:
      - Where the ledger lies, an SQLite database. It is begun if there is none, in a directory that must exist.
      - A damaged one is set aside, as C(<name>.damaged-<time in UTC>), and a new one begun.
      - What changes in the ledger alone does not make the task changed.
    type: path
    default: /var/lib/mta-sts/ledger.sqlite3
  results:
    description: Path on the controller where RV(published) is written as a document instead of being returned.
    type: path
seealso:
  - module: postmaster.mta_sts.mta_sts_ledger_info
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
    policy_host: '{{ inventory_hostname }}'
"""

RETURN = r"""
counts:
  description: How many policies were written, how many were removed, and how many were there already.
  type: dict
  returned: success
  sample: {written: 2, removed: 0, unchanged: 0}
ledger:
  description: What was wrong with the ledger, if it was damaged and had to be set aside. Otherwise empty.
  type: str
  returned: success
  sample: ''
published:
  description: The names of all policy hosts' sites that are in the directory after the call, given or not.
  type: list
  elements: str
  returned: success
  sample: [mta-sts.example.com, mta-sts.example.org]
"""

import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import DocumentError, read_plan, told
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import time_seconds
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger_file import LedgerError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import DomainNameError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import PolicyError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy_files import policy_diff
from ansible_collections.postmaster.mta_sts.plugins.module_utils._publication import Order, publish


def order_of(directory: Path, ledger: Path, options: dict[str, t.Any]) -> Order:
    """What the options say shall be done. Raises DocumentError."""
    path = options["document"]
    if not path:
        entries = [{**policy, "serve": True} for policy in options["policies"]]
        return Order(directory, ledger, entries, int(time.time()))
    plan = read_plan(path)
    try:
        at = time_seconds(plan["at"])
        revision = plan.get("revisions", {}).get(options["policy_host"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DocumentError(f"{path}: 'at' or 'revisions' is missing or damaged: {error!r}") from error
    return Order(directory, ledger, plan["domains"], at, revision)


@few_collections()
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
            "policy_host": {"type": "str"},
            "directory": {"type": "path", "default": "/var/lib/mta-sts/policies"},
            "ledger": {"type": "path", "default": "/var/lib/mta-sts/ledger.sqlite3"},
            "results": {"type": "path"},
        },
        required_one_of=[("policies", "document")],
        mutually_exclusive=[("policies", "document")],
        required_by={"policy_host": "document"},
        supports_check_mode=True,
    )
    directory, ledger = (Path(module.params[option]) for option in ("directory", "ledger"))
    try:
        done = publish(order_of(directory, ledger, module.params), check_mode=module.check_mode)
    except (DocumentError, PolicyError, DomainNameError, LedgerError, OSError) as error:
        module.fail_json(msg=f"Cannot publish the policies: {error}")
    if done.note:
        module.warn(done.note)
    module.exit_json(
        changed=bool(done.pending),
        counts=done.counts,
        ledger=done.note,
        **told(module.params, published=done.sites),
        diff=policy_diff(directory, done.pending),
    )


if __name__ == "__main__":
    main()
