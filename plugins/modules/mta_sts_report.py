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
  - Shows a line for each domain when there are few, with why it goes no further. Many are counted, by reason, with examples.
    What to do about it is said once.
  - Writes the same, complete, as a JSON document and, if you like, as a page for a browser and as metrics for Prometheus.
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
    description:
      - Results document of M(postmaster.mta_sts.mta_sts_verify).
      - A verification may have several, of hosts that shared the domains. With O(troubles), those that are not there are left out.
    type: list
    elements: path
    default: []
  record_sets:
    description:
      - Results documents of M(postmaster.mta_sts.rfc2136_record_sets).
      - One that does not exist is left out, as a run may end before it comes to it.
    type: list
    elements: path
    default: []
  started:
    description:
      - When the run began, in seconds since 1970. Required with O(plan).
      - Without it, a verification is said to have taken no time.
    type: int
  troubles:
    description:
      - Policy hosts that failed in a rollout, or hosts that failed to look in a verification, each with a text that says why.
        They are shown first, and the task fails.
    type: dict
    default: {}
  probe_troubles:
    description:
      - Hosts that did not look at their share of the domains in a rollout, or did not prove it, each with a text that says why.
        They are shown, and the task fails.
    type: dict
    default: {}
  dns_trouble:
    description:
      - Why no record at all could be written in a rollout, which ended before it served anything. It is shown, and the task fails.
    type: str
    default: ''
    version_added: 0.2.0
  reports:
    description:
      - Directory with one results document of M(postmaster.mta_sts.tlsrpt_report_info) per host where reports arrive.
      - The report then has for each domain, in the last 14 of the days that they tell of, how many sessions succeeded and failed, who says
        so, and what failed where. With more than 100,000 days of all domains together, only for domains in which something failed.
    type: path
  report_troubles:
    description:
      - Hosts whose reports were not read, each with a text that says why. They are shown, and the task fails.
      - Likewise, of a document of O(reports) that is damaged, the rest is used.
    type: dict
    default: {}
  dest:
    description: Where to write the report.
    type: path
    required: true
  page:
    description:
      - Where to write the report as a page for a browser.
      - It is one HTML file that needs no network and loads nothing. What the page's policy does not allow is not run, so a
        name or a banner in it can do nothing either.
    type: path
  metrics:
    description:
      - Where to write metrics in Prometheus's text format. The file is replaced in one step, and everybody may read it.
      - The textfile collector of the node exporter reads files whose names end with V(.prom) in its directory. A rollout and a
        verification need a file each there, and share no series.
      - In check mode it is left as it is, as nothing was done.
    type: path
  fail_on_pending:
    description:
      - Whether the task fails in a rollout when somebody has to do something. The report comes first.
      - That is when a domain is held by anything but time, or when there are O(troubles), O(probe_troubles), O(report_troubles)
        or O(dns_trouble). A domain that only waits, as in its testing period or in its withdrawal, fails no run.
    type: bool
    default: true
  fail_on:
    description:
      - When the task fails in a verification. The report comes first.
      - V(broken) is when senders cannot use a policy, or refuse mail because of it; V(error), V(warning) and V(notice) are when
        there is a finding of that severity or a worse one, or a domain is broken; with V(never) only
        O(troubles) and O(report_troubles) count.
    type: str
    choices: [broken, error, warning, notice, never]
    default: broken
seealso:
  - module: postmaster.mta_sts.mta_sts_plan
  - module: postmaster.mta_sts.mta_sts_verify
"""

EXAMPLES = r"""
- name: Report a verification
  postmaster.mta_sts.mta_sts_report:
    observed: ./mta-sts-run/observed.json
    dest: ./mta-sts-run/verify.json
    page: ./mta-sts-run/report.html
    metrics: /var/lib/prometheus/node-exporter/mta-sts-verify.prom

- name: Report a rollout
  postmaster.mta_sts.mta_sts_report:
    plan: ./mta-sts-run/plan.json
    observed: ./mta-sts-run/observed.json
    record_sets:
      - ./mta-sts-run/prepared.json
      - ./mta-sts-run/announced.json
    started: 1795428000
    troubles:
      web2.example.net: No space left on device
    dest: ./mta-sts-run/report.json
    page: ./mta-sts-run/report.html
"""

RETURN = r"""
counts:
  description: How many domains are in which stage or, in a verification, how many there are of each verdict.
  type: dict
  returned: success
  sample: {testing: 3, pending: 1}
finding_counts:
  description: How many domains have which finding.
  type: dict
  returned: without O(plan)
  sample: {mx-certificate-date: 1}
hold_counts:
  description: How many domains have which hold.
  type: dict
  returned: with O(plan)
  sample: {testing-period: 3, proof-failed: 1}
"""
