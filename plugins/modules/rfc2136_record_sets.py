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
  - postmaster.mta_sts._record_sets
attributes:
  check_mode:
    support: full
    details:
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
  authorities:
    description:
      - Further authoritative servers, such as secondaries, that are waited for until they answer what was changed.
      - Without any, what was changed is read back from O(server) alone.
    type: list
    elements: str
    default: []
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
    key_name: strong.example.net
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
  description: How many record sets met which end.
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
    awaited:
      description: Sets that others have to put into DNS, and that are not there yet.
      type: int
      sample: 0
    failed:
      description: Sets that could not be brought to their wanted state.
      type: int
      sample: 1
results:
  description: The result of every record set, in the order of O(record_sets).
  returned: when the input was valid, without O(results)
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
    zone:
      description: The zone that the set lies in. Empty where nobody had to know.
      type: str
      sample: example.com
    status:
      description: What became of the set, V(ok), V(changed), V(awaited) or V(failed).
      type: str
      sample: changed
    before:
      description: TTL and values that were found. V(null) if there was no such set, or it could not be read.
      type: dict
      sample: null
    after:
      description:
        - TTL and values now (in check mode, after a run; of an awaited set, when it has come), or V(null) if there is no such set.
        - For a set that failed the same as RV(results[].before).
      type: dict
      sample: {ttl: 300, values: ["v=STSv1; id=5d41402abc4b2a76b9719d911017c592"]}
    error:
      description: What went wrong and what to mend. Empty for a set that is as wanted.
      type: str
      sample: ''
msg:
  description: Names the failed record sets, or says what concerns all.
  returned: when anything failed
  type: str
"""

import functools
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.record_set import (
    InputError,
    dnspython_error,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.server import KEY_ALGORITHMS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.task import (
    ARGUMENTS,
    EITHER,
    TOGETHER,
    run,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._rfc2136.reconcile import reconcile


@few_collections()
def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "str", "required": True},
            "port": {"type": "int", "default": 53},
            "key_name": {"type": "str", "no_log": False},
            "key_algorithm": {"type": "str", "default": "hmac-sha256", "choices": list(KEY_ALGORITHMS)},
            "key_secret": {"type": "str", "no_log": True},
            "authorities": {"type": "list", "elements": "str", "default": []},
            **ARGUMENTS,
        },
        required_together=[("key_name", "key_secret"), *TOGETHER],
        mutually_exclusive=EITHER,
        required_one_of=EITHER,
        supports_check_mode=True,
    )
    missing = dnspython_error(2, 6)
    if missing:
        module.fail_json(msg=missing_required_lib("dnspython >= 2.6"), exception=missing)
    try:
        result = run(module.params, functools.partial(reconcile, module.params), check_mode=module.check_mode)
    except InputError as exc:
        module.fail_json(msg=str(exc))
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
