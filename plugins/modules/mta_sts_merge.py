#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mta_sts_merge
short_description: Put together what several probe hosts found
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Makes one results document of those of M(postmaster.mta_sts.mta_sts_verify) on hosts that shared the domains of a plan with
    O(postmaster.mta_sts.mta_sts_verify#module:parts).
  - A host that failed has left none. Its domains are not in O(dest) then, so nothing is changed of them in this run, and nothing
    announced.
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
  documents:
    description:
      - The results documents of all hosts that had a share. Those that do not exist are left out.
      - That there is none at all is an error. One alone is taken as it is.
    type: list
    elements: path
    required: true
  troubles:
    description: The hosts that failed, each with a text that says why, for the message of that error.
    type: dict
    default: {}
  dest:
    description: Where to write the document.
    type: path
    required: true
seealso:
  - module: postmaster.mta_sts.mta_sts_verify
"""

EXAMPLES = r"""
- name: Put together what two hosts saw
  postmaster.mta_sts.mta_sts_merge:
    documents:
      - ./mta-sts-run/seen/probe1.example.net.json
      - ./mta-sts-run/seen/probe2.example.net.json
    dest: ./mta-sts-run/observed.json
"""

RETURN = r"""
found:
  description: How many of O(documents) there were.
  type: int
  returned: success
  sample: 2
"""
