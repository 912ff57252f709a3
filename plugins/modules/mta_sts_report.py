#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mta_sts_report
short_description: Show what a run did and found, and write its report
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Shows a table with one line per domain when there are few, and counts with the domains that need attention when there are many.
  - Writes the same, complete, as a JSON document.
  - With O(plan) it reports a rollout. With O(observed) alone it reports a verification.
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._attributes.info_module
attributes:
  action:
    description: Has a corresponding action plugin, so some parts of the options are executed on the controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: none
    details:
      - This action runs completely on the controller.
options:
  plan:
    description: The plan document, as it was carried out.
    type: path
  observed:
    description: Results document of M(postmaster.mta_sts.mta_sts_verify).
    type: path
  record_sets:
    description: Results documents of M(postmaster.mta_sts.rfc2136_record_sets).
    type: list
    elements: path
    default: []
  started:
    description: When the run began, in seconds since 1970. Required with O(plan).
    type: int
  dest:
    description: Where to write the report.
    type: path
    required: true
  fail_on_pending:
    description: Whether the task fails when a domain is pending or, in a verification, broken. The report comes first.
    type: bool
    default: true
seealso:
  - module: postmaster.mta_sts.mta_sts_plan
  - module: postmaster.mta_sts.mta_sts_verify
"""

EXAMPLES = r"""
- name: Report a verification
  postmaster.mta_sts.mta_sts_report:
    observed: ./mta-sts-run/observed.json
    dest: ./mta-sts-run/verify.json
"""

RETURN = r"""
counts:
  description: How many domains are in which stage.
  type: dict
  returned: success
  sample: {testing: 3, pending: 1}
"""
