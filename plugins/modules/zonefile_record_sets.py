#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: zonefile_record_sets
short_description: Bring many DNS record sets to their wanted state in zone files
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Brings any number of record sets, in any number of zones of one name server, to their wanted state in files that the
    zone files include, see O(fragment). Runs where the zone files lie.
  - The files are the truth. A set is compared in content and TTL with what the zone file has, with all that it includes,
    and only what differs is changed, always as a whole set.
  - Only sets in the fragment are changed. One that stands elsewhere in the zone is left there, and counts if it is exactly as
    wanted. If it is not, the set fails, and the error names the file and the line.
  - Of the zone file itself two things are changed. It gets an C($INCLUDE) of the fragment at its end, once, and its serial is
    raised each time (RFC 1982). A serial that is made of a date, C(YYYYMMDDnn), becomes that of today if that is later.
    Every other byte stays as it is.
  - What is to be written is checked first, see O(check). Then both files are replaced atomically, with owner, group and
    mode as they were, and the server is told, see O(reload). If it does not take that, both files are put back.
  - In the end the authoritative servers are asked until they answer what was changed, see O(wait). They are asked for what the files
    have already, too. If one does not answer it, the zone gets a new serial and is reloaded, as after a run that died.
  - A zone or a set that cannot be brought to its wanted state does not stop the others.
requirements:
  - Python >= 3.9
  - dnspython >= 2.3
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._record_sets
  - postmaster.mta_sts._record_sets.authorities
attributes:
  check_mode:
    support: full
    details:
      - The check command runs in check mode, too, on files in a temporary directory.
  diff_mode:
    support: full
    details:
      - Shows the record sets, at most 500, and not the text of the files.
  idempotent:
    support: full
options:
  zone_file:
    description:
      - Absolute path of the zone files, with C({zone}) for the name of the zone in lower case, as in
        V(/etc/bind/zones/{zone}.zone). Symbolic links are followed.
      - A set whose O(record_sets[].zone) is not given lies in the longest zone for which there is such a file.
    type: path
    required: true
  fragment:
    description:
      - Absolute path of the files with our records, with C({zone}) in it. They are rewritten whole.
      - If not given, C({zone}.mta-sts) in the directory of O(zone_file).
    type: path
  check:
    description:
      - Command that succeeds if C({file}) is a file that the server would take for C({zone}). It runs in the directory of the
        zone file.
      - For NSD V([nsd-checkzone, '{zone}', '{file}']).
    type: list
    elements: str
    default: [named-checkzone, -i, local, '{zone}', '{file}']
  reload:
    description:
      - Command that makes the server read C({zone}) again. Without C({zone}) in it, it is run once for all zones.
      - For NSD V([nsd-control, reload, '{zone}']).
    type: list
    elements: str
    default: [rndc, reload, '{zone}']
notes:
  - A zone that BIND updates dynamically, which is seen by its journal, is refused, and so is one that is signed in its file.
    Zones that the server signs itself (C(inline-signing)) are fine.
  - The SOA record has to stand in the zone file itself, not in a file that it includes.
  - Relative paths of C($INCLUDE) are looked up in the directory of the zone file. Records that C($GENERATE) makes are not
    seen. A zone may have 64 MiB and 1000 files.
  - Two calls for the same O(zone_file) wait for each other, for at most a minute. A zone file that an editor changes meanwhile is left as
    it is, and its sets fail.
  - A CNAME cannot stand beside other data. Such a conflict is an error, unless the same call removes the set
    that is in the way.
"""

EXAMPLES = r"""
- name: Announce the policy of a domain whose zone BIND keeps in a file
  postmaster.mta_sts.zonefile_record_sets:
    zone_file: /etc/bind/zones/{zone}.zone
    record_sets:
      - name: _mta-sts.example.com
        type: TXT
        values: ["v=STSv1; id=5d41402abc4b2a76b9719d911017c592"]

- name: Do it with NSD, and ask its own address whether it answers that
  postmaster.mta_sts.zonefile_record_sets:
    zone_file: /etc/nsd/zones/{zone}.zone
    check: [nsd-checkzone, '{zone}', '{file}']
    reload: [nsd-control, reload, '{zone}']
    authorities: [192.0.2.53]
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
from ansible_collections.postmaster.mta_sts.plugins.module_utils._zone_file.reconcile import reconcile


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "zone_file": {"type": "path", "required": True},
            "fragment": {"type": "path"},
            "check": {
                "type": "list",
                "elements": "str",
                "default": ["named-checkzone", "-i", "local", "{zone}", "{file}"],
            },
            "reload": {"type": "list", "elements": "str", "default": ["rndc", "reload", "{zone}"]},
            **ARGUMENTS,
            **AUTHORITIES,
        },
        required_together=TOGETHER,
        mutually_exclusive=EITHER,
        required_one_of=EITHER,
        supports_check_mode=True,
    )
    missing = dnspython_error(2, 3)
    if missing:
        module.fail_json(msg=missing_required_lib("dnspython >= 2.3"), exception=missing)
    try:
        result = run(module.params, functools.partial(reconcile, module.params), check_mode=module.check_mode)
    except InputError as exc:
        module.fail_json(msg=str(exc))
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
