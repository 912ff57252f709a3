#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: rfc2136_record_sets
short_description: Bring many DNS record sets to their wanted state with dynamic updates
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Brings any number of record sets, in any number of zones of one primary server, to their wanted state
    over DNS UPDATE (RFC 2136), signed with TSIG (RFC 8945).
  - Every set is read from the server first and compared in content and TTL. Only what differs is updated,
    always as a whole set.
  - An update is made on the condition that the set still is what was read, so a change that somebody else
    makes at the same time is never overwritten. After the update the set is read back.
  - A set may say what it is expected to be now, see O(record_sets[].expected). What was decided from an older state
    then does not undo a newer decision.
  - A set that cannot be brought to its wanted state does not stop the others.
  - Server and key are tried even when there is no set to look at.
requirements:
  - Python >= 3.9
  - dnspython >= 2.6
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
attributes:
  check_mode:
    support: full
    details:
      - The file O(results) is written in check mode, too, since it is a report.
      - Whether the server would allow an update is known only when it is made.
  diff_mode:
    support: full
    details:
      - Shows at most 500 changed record sets.
  idempotent:
    support: full
options:
  server:
    description:
      - Name or address of the primary server of the zones.
      - It is queried directly over TCP, and must answer with authority for every name.
    type: str
    required: true
  port:
    description: TCP port of the server.
    type: int
    default: 53
  key_name:
    description:
      - Name of the TSIG key. Queries and updates are signed with it.
      - Without it nothing is signed, and the server has to allow updates by address.
      - Needs O(key_secret).
    type: str
  key_algorithm:
    description: Algorithm of the TSIG key.
    type: str
    default: hmac-sha256
    choices:
      - hmac-md5
      - hmac-sha1
      - hmac-sha224
      - hmac-sha256
      - hmac-sha256-128
      - hmac-sha384
      - hmac-sha384-192
      - hmac-sha512
      - hmac-sha512-256
  key_secret:
    description:
      - Secret of the TSIG key, in Base64.
      - Needs O(key_name).
    type: str
  timeout:
    description: Seconds to wait for a connection and for each answer.
    type: int
    default: 10
  record_sets:
    description:
      - The record sets and what they shall be.
      - All of them are validated before anything is sent. Each name and type may be given once.
      - Exactly one of O(record_sets) and O(document) is required.
    type: list
    elements: dict
    suboptions:
      name:
        description: The absolute name of the set, in A-labels. The dot at the end may be left out.
        type: str
        required: true
      type:
        description:
          - The type of the set, for example V(TXT), V(CNAME) or V(TLSA).
          - Types that the server makes itself, such as V(SOA) and V(RRSIG), are refused.
        type: str
        required: true
      ttl:
        description: The TTL of the set, in seconds.
        type: int
        default: 300
      values:
        description:
          - The values of the set, in any order. An empty list says that the set shall not be there.
          - The values of V(TXT) sets are plain text, without quotes. What is longer than 255 bytes is
            stored as several strings.
          - The values of other types are written as in a zone file. Names in them are absolute, with or
            without the dot at the end.
          - What a wildcard answers for a name does not count as a set of that name.
        type: list
        elements: str
        required: true
      expected:
        description:
          - The values that the set may have now, in the form of O(record_sets[].values). An empty list says that
            there is no such set.
          - If the set has neither these values, whatever its TTL, nor is as wanted already, somebody has changed it
            since it was decided what it shall be. It fails then, and is left as it is.
          - What a wildcard answers for the name may be given as well as an empty list.
          - If not given, the set may be anything.
        type: list
        elements: str
      zone:
        description: The zone in which the set lies. If not given, the server is asked.
        type: str
      item:
        description:
          - What the set belongs to, for example a mail domain. It is repeated in results and error messages.
        type: str
  document:
    description:
      - Path of a JSON file on the host where the module runs. It holds an object with the key C(record_sets),
        in which each key is the name of a section, and each value a list of the form of O(record_sets).
      - Meant for thousands of sets. The task then returns counts and the first failures only, see O(results).
      - Needs O(section).
    type: path
  section:
    description: Which list of O(document) to use.
    type: str
  results:
    description:
      - Path of a JSON file on the host where the module runs, into which the result of every set is written.
      - It holds an object with the keys C(counts) and C(results), which have the form of RV(counts) and
        RV(results). An older file is replaced at once. It is written with mode C(0644).
    type: path
  continue_on_error:
    description:
      - Whether the task succeeds although some sets could not be brought to their wanted state. The results
        tell them.
      - With V(false) the task fails in the end, after all others were applied, and still returns what it did.
      - Errors that concern all sets, such as a server that cannot be reached or does not accept the key,
        always fail the task.
    type: bool
    default: false
notes:
  - The server has to support DNS over TCP.
  - A CNAME cannot stand beside other data. Such a conflict is an error, unless the same call removes the set
    that is in the way.
"""

EXAMPLES = r"""
- name: Announce the policies of two domains and take back that of a third
  postmaster.mta_sts.rfc2136_record_sets:
    server: ns1.example.net
    key_name: mta-sts.example.net
    key_secret: "{{ mta_sts_key_secret }}"
    record_sets:
      - name: _mta-sts.example.com
        type: TXT
        values: ["v=STSv1; id=5d41402abc4b2a76b9719d911017c592"]
      - name: _mta-sts.example.org
        type: TXT
        ttl: 3600
        values: ["v=STSv1; id=7d793037a0760186574b0282f2f435e7"]
      - name: _mta-sts.old.example
        type: TXT
        values: []

- name: Announce the next policy unless somebody has announced another one meanwhile
  postmaster.mta_sts.rfc2136_record_sets:
    server: ns1.example.net
    key_name: mta-sts.example.net
    key_secret: "{{ mta_sts_key_secret }}"
    record_sets:
      - name: _mta-sts.example.com
        type: TXT
        values: ["v=STSv1; id=7d793037a0760186574b0282f2f435e7"]
        expected: ["v=STSv1; id=5d41402abc4b2a76b9719d911017c592"]

- name: Replace address records with an alias
  postmaster.mta_sts.rfc2136_record_sets:
    server: 192.0.2.53
    key_name: mta-sts.example.net
    key_algorithm: hmac-sha512
    key_secret: "{{ mta_sts_key_secret }}"
    record_sets:
      - name: mta-sts.example.com
        type: A
        values: []
      - name: mta-sts.example.com
        type: AAAA
        values: []
      - name: mta-sts.example.com
        type: CNAME
        values: [policies.example.net]

- name: Bring thousands of record sets up to date, whatever becomes of a single one
  postmaster.mta_sts.rfc2136_record_sets:
    server: ns1.example.net
    key_name: mta-sts.example.net
    key_secret: "{{ mta_sts_key_secret }}"
    document: /var/lib/mta-sts/plan.json
    section: announce
    results: /var/lib/mta-sts/announced.json
    continue_on_error: true
"""

RETURN = r"""
counts:
  description: How many record sets were as wanted, were changed, and could not be changed.
  returned: when the input was valid
  type: dict
  contains:
    ok:
      description: Sets that were as wanted.
      type: int
      sample: 9998
    changed:
      description: Sets that were changed, or would be in check mode.
      type: int
      sample: 1
    failed:
      description: Sets that could not be brought to their wanted state.
      type: int
      sample: 1
results:
  description: The result of every record set, in the order of O(record_sets).
  returned: when O(record_sets) was given and valid
  type: list
  elements: dict
  contains:
    name:
      description: The name, without the dot at the end.
      type: str
      sample: _mta-sts.example.com
    type:
      description: The type.
      type: str
      sample: TXT
    item:
      description: What was given as O(record_sets[].item).
      type: str
      sample: example.com
    status:
      description: What became of the set.
      type: str
      sample: changed
    before:
      description: TTL and values that were found. V(null) if there was no such set, or it could not be read.
      type: dict
      sample: null
    after:
      description:
        - TTL and values now (in check mode, after a run), or V(null) if there is no such set.
        - For a failed set the same as RV(results[].before).
      type: dict
      sample: {ttl: 300, values: ["v=STSv1; id=5d41402abc4b2a76b9719d911017c592"]}
    error:
      description: What went wrong and what to mend. Empty unless RV(results[].status) is V(failed).
      type: str
      sample: ''
failures:
  description: The first 20 failed results, of the form of RV(results[]).
  returned: when O(document) was given and valid
  type: list
  elements: dict
  sample: []
msg:
  description: Names the failed record sets, or says what concerns all.
  returned: when anything failed
  type: str
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.postmaster.mta_sts.plugins.module_utils._rfc2136.reconcile import run
from ansible_collections.postmaster.mta_sts.plugins.module_utils._rfc2136.record_sets import DNSPYTHON_ERROR, InputError
from ansible_collections.postmaster.mta_sts.plugins.module_utils._rfc2136.server import KEY_ALGORITHMS


def main() -> None:
    record_set = {
        "name": {"type": "str", "required": True},
        "type": {"type": "str", "required": True},
        "ttl": {"type": "int", "default": 300},
        "values": {"type": "list", "elements": "str", "required": True},
        "expected": {"type": "list", "elements": "str"},
        "zone": {"type": "str"},
        "item": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "str", "required": True},
            "port": {"type": "int", "default": 53},
            "key_name": {"type": "str", "no_log": False},
            "key_algorithm": {
                "type": "str",
                "default": "hmac-sha256",
                "choices": list(KEY_ALGORITHMS),
            },
            "key_secret": {"type": "str", "no_log": True},
            "timeout": {"type": "int", "default": 10},
            "record_sets": {"type": "list", "elements": "dict", "options": record_set},
            "document": {"type": "path"},
            "section": {"type": "str"},
            "results": {"type": "path"},
            "continue_on_error": {"type": "bool", "default": False},
        },
        required_together=[("key_name", "key_secret"), ("document", "section")],
        mutually_exclusive=[("record_sets", "document")],
        required_one_of=[("record_sets", "document")],
        supports_check_mode=True,
    )
    if DNSPYTHON_ERROR is not None:
        module.fail_json(msg=missing_required_lib("dnspython >= 2.6"), exception=DNSPYTHON_ERROR)
    try:
        result = run(module.params, check_mode=module.check_mode)
    except InputError as exc:
        module.fail_json(msg=str(exc))
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
