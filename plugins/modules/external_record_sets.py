#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: external_record_sets
short_description: Look for DNS record sets that others publish, and write them down for them
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - For record sets that somebody else puts into DNS, such as a repository of DNS as code, a web form or a colleague. Nothing
    is changed in DNS here.
  - Each set is compared with what the authoritative servers answer. It is C(ok) when they answer it, and C(awaited) until then.
    TTLs are not compared, since they are theirs.
  - With O(directory), what is wanted is written there for those who apply it.
  - C(records.md) is a table for people, with what is to be done about each set. C(records.zone) is zone text, C(records.json)
    the same for programs, and C(octodns/<zone>.yaml) a source for octoDNS beside your own sources of the zone.
  - The directory is meant to be kept, as under version control. What earlier calls wanted stays in all files, until another
    call wants something else of it. What shall go is told until it is gone.
  - A set that is awaited stops nothing, and does not fail the task.
requirements:
  - Python >= 3.9
  - dnspython >= 2.6
  - PyYAML
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._record_sets
  - postmaster.mta_sts._record_sets.authorities
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the record sets that are awaited, at most 500, and not the text of the files.
  idempotent:
    support: full
options:
  directory:
    description:
      - Where the files are written, on the host where the module runs. It is made if it is missing.
      - Without it nothing is written.
    type: path
  must_arrive:
    description:
      - Whether a set has failed, instead of being C(awaited), if it is not answered after O(wait).
      - For those who have just had the sets brought into DNS. In check mode it counts as C(changed), as if they had.
    type: bool
    default: false
  wait:
    description: For how many seconds at most to wait until the authoritative servers answer what is wanted.
    type: int
    default: 0
notes:
  - A C(records.json) that is damaged is an error, as it may be all that tells which records there are to be.
  - octoDNS takes several sources for a zone. Let the directory C(octodns) be one of them, as a YamlProvider with
    C(escaped_semicolons=false).
seealso:
  - name: octoDNS
    description: DNS as code.
    link: https://github.com/octodns/octodns
"""

EXAMPLES = r"""
- name: Write down what a colleague has to publish, and see what is there already
  postmaster.mta_sts.external_record_sets:
    directory: ./mta-sts-records
    record_sets:
      - name: _mta-sts.example.com
        type: TXT
        values: ["v=STSv1; id=5d41402abc4b2a76b9719d911017c592"]
  delegate_to: localhost

- name: Wait until tasks of your own have brought a record into DNS
  postmaster.mta_sts.external_record_sets:
    record_sets:
      - name: mta-sts.example.org
        type: CNAME
        values: [policies.example.net]
    must_arrive: true
    wait: 120
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
from ansible_collections.postmaster.mta_sts.plugins.module_utils._external.reconcile import reconcile
from ansible_collections.postmaster.mta_sts.plugins.module_utils._external.texts import YAML_ERROR
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
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


@few_collections()
def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            **AUTHORITIES,
            "directory": {"type": "path"},
            "must_arrive": {"type": "bool", "default": False},
            "wait": {"type": "int", "default": 0},
        },
        required_together=TOGETHER,
        mutually_exclusive=EITHER,
        required_one_of=EITHER,
        supports_check_mode=True,
    )
    for library, missing in (("dnspython >= 2.6", dnspython_error(2, 6)), ("PyYAML", YAML_ERROR)):
        if missing:
            module.fail_json(msg=missing_required_lib(library), exception=missing)
    try:
        result = run(module.params, functools.partial(reconcile, module.params), check_mode=module.check_mode)
    except InputError as exc:
        module.fail_json(msg=str(exc))
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
