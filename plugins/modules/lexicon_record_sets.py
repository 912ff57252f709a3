#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: lexicon_record_sets
short_description: Bring DNS record sets to their wanted state through a provider's API
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Brings any number of record sets, in any number of zones, to their wanted state at one of the some 80 DNS providers
    that dns-lexicon knows.
  - The records of each zone are listed once and compared in content and TTL. Only what differs is written, so that no
    new value ever stands beside an old one.
  - What was changed is waited for on the authoritative servers. A set that they do not answer as wanted in time fails.
  - A set may say what it is expected to be now, see O(record_sets[].expected). What was decided from an older state
    then does not undo a newer decision. APIs know no conditions, so a change that somebody else makes between the list and
    the write is not noticed.
  - A set that cannot be brought to its wanted state does not stop the others, nor does a zone that the provider does not
    open.
  - Runs where dns-lexicon is installed, usually on the controller.
requirements:
  - Python >= 3.10
  - dns-lexicon >= 3.20
  - dnspython >= 2.6
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._record_sets
  - postmaster.mta_sts._record_sets.authorities
attributes:
  check_mode:
    support: full
    details:
      - Signs in at the provider and lists records, but writes nothing. Whether it would allow the writing is known only
        then.
  diff_mode:
    support: full
    details:
      - Shows at most 500 changed record sets.
  idempotent:
    support: full
options:
  provider:
    description:
      - Name of the provider in dns-lexicon, for example V(cloudflare), V(hetzner), V(ovh) or V(powerdns). A name that it does
        not know is an error that lists all.
    type: str
    required: true
  credentials:
    description:
      - The provider's own options in dns-lexicon, with underscores, for example C(auth_token), or C(pdns_server).
        One that the provider does not have, or credentials that are not complete, are errors that list what it has.
      - What is not given is taken from the environment in which the module runs, as C(lexicon) itself does it, for
        example from E(LEXICON_CLOUDFLARE_AUTH_TOKEN). Set it for the controller and not with the C(environment) of a
        task, which Ansible prints at C(-vvv).
      - None of the values is ever printed, but for those that are part of a wanted name or value, or shorter than 4
        characters. In errors they are replaced, as they are and as URLs and Base64 write them.
    type: dict
    default: {}
  minimum_ttl:
    description:
      - The shortest TTL that the provider allows, in seconds. Where a shorter one is wanted, this one is written.
      - Without it, a set whose TTL the provider raises by itself fails, because its servers never answer what is wanted.
    type: int
    default: 0
notes:
  - Sets of the types V(A), V(AAAA), V(CNAME), V(TLSA) and V(TXT) can be kept. Others are written in another way for each provider.
  - Texts have to be of printable ASCII characters without quotes and backslashes. All that MTA-STS and TLSRPT need are such.
  - Each request ends after O(timeout) seconds where the provider's part of dns-lexicon uses C(requests), as nearly all do.
  - A CNAME cannot stand beside other data. Such a conflict is an error, unless the same call removes the set
    that is in the way.
"""

EXAMPLES = r"""
- name: Announce a policy, and take back another, at Hetzner
  postmaster.mta_sts.lexicon_record_sets:
    provider: hetzner
    credentials:
      auth_token: "{{ vault_hetzner_token }}"
    record_sets:
      - name: _mta-sts.example.com
        type: TXT
        values: ["v=STSv1; id=5d41402abc4b2a76b9719d911017c592"]
      - name: _mta-sts.old.example
        type: TXT
        values: []
  delegate_to: localhost

- name: The same with a server of one's own, with the key from LEXICON_POWERDNS_AUTH_TOKEN
  postmaster.mta_sts.lexicon_record_sets:
    provider: powerdns
    credentials:
      pdns_server: https://ns1.example.net:8443
    authorities: [ns1.example.net, ns2.example.net]
    record_sets:
      - name: mta-sts.example.com
        type: CNAME
        values: [policies.example.net]
        zone: example.com
  delegate_to: localhost
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
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lexicon.provider import LEXICON_ERROR
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lexicon.reconcile import reconcile
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.record_set import (
    InputError,
    dnspython_error,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.task import (
    ARGUMENTS,
    AUTHORITIES,
    EITHER,
    TOGETHER,
    run,
)


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "provider": {"type": "str", "required": True},
            "credentials": {"type": "dict", "default": {}, "no_log": True},
            "minimum_ttl": {"type": "int", "default": 0},
            **AUTHORITIES,
            **ARGUMENTS,
        },
        required_together=TOGETHER,
        mutually_exclusive=EITHER,
        required_one_of=EITHER,
        supports_check_mode=True,
    )
    missing = dnspython_error(2, 6)
    if missing:
        module.fail_json(msg=missing_required_lib("dnspython >= 2.6"), exception=missing)
    if LEXICON_ERROR is not None:
        module.fail_json(msg=missing_required_lib("dns-lexicon >= 3.20"), exception=LEXICON_ERROR)
    work = functools.partial(reconcile, module.params, module.no_log_values)
    try:
        result = run(module.params, work, check_mode=module.check_mode)
    except InputError as exc:
        module.fail_json(msg=str(exc))
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
