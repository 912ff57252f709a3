#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mta_sts_plan
short_description: Decide what may be done for many mail domains now
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Checks what the inventory wants of every domain and decides, from what was served before and everything that was
    observed so far, which policy may be served now, which DNS records may be brought to which state, and what is
    held, why, and until when.
  - The decision is pure. It is made again in the course of a run whenever more is known, and costs nothing but
    the plan document that it writes. A rollout makes it before anything is observed, which checks the
    inventory, after the observation, and after the proof.
  - An id is planned for DNS only with a proof that every policy host serves the very bytes it is derived from
    (RFC 8461 8.1).
  - Runs on the controller, in Ansible's own process, so that many domains need not be handed on.
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
attributes:
  action:
    description: Has a corresponding action plugin, so some parts of the options are executed on the controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: none
    details:
      - This action runs completely on the controller.
  check_mode:
    support: full
    details:
      - The plan is written in check mode, too. With O(observed), it assumes that every policy that may be served
        will be proved, to show the records that are to come.
  diff_mode:
    support: N/A
    details:
      - What a plan changes is shown by the modules that carry it out.
  idempotent:
    support: full
options:
  domains:
    description:
      - What every domain shall end up as, as in the variable C(mta_sts_domains).
      - Every mistake in any entry is reported, all in one message, and then no plan is written.
      - The keys of an entry are C(domain), C(mx), C(mode), C(max_age), C(tlsrpt), C(state), C(manage_address),
        C(replace_foreign), C(delegation), C(tlsrpt_others), C(testing_days) and C(gate); see the guide of this collection.
      - Exactly one of O(domains) and O(domains_file) is required.
    type: list
    elements: raw
  domains_file:
    description:
      - File with the list of such entries, in place of O(domains). Ansible takes seconds to hand on a variable with
        thousands of entries, and a file costs nothing.
      - What is in it follows from how its name ends. V(.json) and V(.yml) or V(.yaml) have a list of dictionaries, as O(domains) is.
        V(.csv) has a line for each domain, after a first one with the keys. An empty cell counts as a key that is not there, and
        several MX hosts or URIs in one cell have spaces between them.
      - The file is no template, and values of Ansible Vault are not decrypted.
      - A key that an entry has twice is an error, as one of the two would be lost.
    type: path
  domains_dest:
    description:
      - Where to write the entries, with their defaults, once they are found to be right.
      - Give it to later plans of the same run as O(domains_file), without O(defaults) and O(testing_days), so that all of them
        decide about the same inventory.
    type: path
  begin:
    description:
      - Whether a run begins. Then what earlier runs left in the directory of O(dest) is removed first, as it says nothing of this run.
      - These are the documents, and the directories of documents, that are named as in a rollout. With a mistake in the
        inventory they stay.
    type: bool
    default: false
  defaults:
    description: Values that every entry of O(domains) or O(domains_file) has unless it says otherwise.
    type: dict
    default: {}
  testing_days:
    description:
      - For how many days a policy is tested before it is enforced, unless O(defaults) or an entry says otherwise.
      - With V(0) there is no such period.
    type: int
    default: 7
  at:
    description:
      - The time to decide for, with its time zone, as in V(2026-11-23T10:00:00+00:00); by default the current time.
      - Give a later plan of the same run the RV(at) of the one that was carried out, so that both say the same.
    type: str
  policy_hosts:
    description:
      - The policy hosts and, for each, the list of the public addresses at which senders reach it.
      - A host name in place of an address is resolved.
    type: dict
    required: true
  cname:
    description:
      - A name that leads to all policy hosts. C(mta-sts.<domain>) becomes a CNAME of it.
      - Without it C(mta-sts.<domain>) has the addresses of O(policy_hosts).
    type: str
    default: ''
  ttl:
    description: The TTL of the planned DNS records of domains that are where they shall be, in seconds.
    type: int
    default: 3600
  ttl_changing:
    description:
      - The TTL of the records of domains with something about to change, in seconds, if it is shorter than O(ttl).
        These are new domains, and those on the way to enforce or out, or with MX hosts that move.
    type: int
    default: 300
  others_apply:
    description:
      - Whether the planned records are put into DNS by somebody else, from files that tell all of them.
      - The plan then names those that are in place, too, and no certificate before the name leads to the policy hosts.
    type: bool
    default: false
  caa_identities:
    description:
      - The domain names that the certification authority takes for its own in CAA records (RFC 8659), as V(letsencrypt.org).
      - With O(observed) that tells CAA records, no certificate is asked for where they forbid it. Without any identities,
        that is where they forbid everybody.
    type: list
    elements: str
    default: []
  served:
    description: Directory with one results document of M(postmaster.mta_sts.mta_sts_policies_info) per policy host.
    type: path
  ledgers:
    description:
      - Directory with one results document of M(postmaster.mta_sts.mta_sts_ledger_info) per policy host.
      - If it is given and there is none of a policy host, what senders may hold is not known, and nothing is changed.
      - Without it, what O(served) says is all that is known of the past; waiting times are then longer.
    type: path
  observed:
    description: Results document of M(postmaster.mta_sts.mta_sts_verify).
    type: path
  certificates:
    description: Directory with one results document of M(postmaster.mta_sts.mta_sts_certificates) per policy host.
    type: path
  proof:
    description: Results document of M(postmaster.mta_sts.mta_sts_verify) with O(postmaster.mta_sts.mta_sts_verify#module:prove=true).
    type: path
  failed_hosts:
    description:
      - Names of O(policy_hosts) that could not carry the plan out.
      - Where these are all of them, no other id than the one in DNS is announced, whatever O(proof) says, as what they serve at the
        moment may not last. Where some did not fail, O(proof) alone says what every host serves.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  reports:
    description:
      - Directory with one results document of M(postmaster.mta_sts.tlsrpt_report_info) per host where reports arrive.
      - With O(observed), sessions of the last C(testing_days), and at least of a day, that failed as they would have been refused
        with C(mode=enforce) hold the step to it, until senders report that all goes well or until they are too old. See the guide of
        the lifecycle for the rule. An entry with C(gate=false) is not held by them.
      - They lower nothing that enforces, and bring nothing sooner than it would come without them, since anybody can send a report.
      - Of what is no such document as much is left out; M(postmaster.mta_sts.mta_sts_report) tells of it.
    type: path
  dest:
    description: Where to write the plan document.
    type: path
    required: true
seealso:
  - module: postmaster.mta_sts.mta_sts_verify
  - module: postmaster.mta_sts.mta_sts_policies
  - module: postmaster.mta_sts.rfc2136_record_sets
"""

EXAMPLES = r"""
- name: Check an inventory, and plan without having looked at anything
  postmaster.mta_sts.mta_sts_plan:
    domains:
      - domain: example.com
        mx: [mx1.example.net, mx2.example.net]
      - domain: example.org
        mx: ['*.mail.example.org']
        mode: enforce
        tlsrpt: ['mailto:tls-reports@example.net']
    policy_hosts:
      web1.example.net: [198.51.100.1, '2001:db8::1']
    dest: ./mta-sts-run/plan.json

- name: Check what a file says of many domains, and keep it for later plans
  postmaster.mta_sts.mta_sts_plan:
    domains_file: ./domains.csv
    policy_hosts:
      web1.example.net: [198.51.100.1, '2001:db8::1']
    domains_dest: ./mta-sts-run/domains.json
    dest: ./mta-sts-run/plan.json

- name: Decide what may be done now
  postmaster.mta_sts.mta_sts_plan:
    domains_file: ./mta-sts-run/domains.json
    policy_hosts:
      web1.example.net: [198.51.100.1, '2001:db8::1']
    served: ./mta-sts-run/served
    ledgers: ./mta-sts-run/ledgers
    observed: ./mta-sts-run/observed.json
    dest: ./mta-sts-run/plan.json
"""

RETURN = r"""
at:
  description: The time that was decided for.
  type: str
  returned: success
  sample: '2026-11-23T10:00:00+00:00'
stages:
  description: How many domains are in which stage.
  type: dict
  returned: success
  sample: {testing: 3, pending: 1}
report_days:
  description:
    - For how many days back O(reports) matter to these domains, which is what O(postmaster.mta_sts.tlsrpt_report_info#module:days) is for.
  type: int
  returned: success
  sample: 7
mistakes:
  description: What is wrong in the inventory, a sentence for each mistake, with the index of its entry. They are shown, too.
  type: list
  elements: str
  returned: when there are any
  sample: ["[1] example.org: unknown key 'maxage'; did you mean 'max_age'?"]
orphans:
  description: Domains that the policy hosts serve and the inventory does not name, at most 20 of them.
  type: list
  elements: str
  returned: success
"""
