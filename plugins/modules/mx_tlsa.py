#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mx_tlsa
short_description: Decide which TLSA records an MX host shall have, and replace its key in order
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Decides from what is in DNS, what Postfix serves, and what the host remembers which TLSA records it shall have (RFC 7672
    3.1.1), and takes the steps that are the host's own. Bring the records into DNS, and call it again with what is there then.
  - A next key is served only when every set of records without it has expired in all caches (RFC 7672 8, RFC 7671 8.1). Every
    call goes as far as is safe, and tells until when it waits.
  - The next key is made on the host and never leaves it.
  - Needs M(postmaster.mta_sts.mx_tls) to have been there, and nothing but Python's standard library.
requirements:
  - Python >= 3.9
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - The difference of the records is shown by what brings them into DNS.
  idempotent:
    support: partial
    details:
      - Except for O(rollover), a call in which nothing can be done yet changes nothing.
options:
  dns:
    description: What M(postmaster.mta_sts.mx_tlsa_info) returned as C(dns).
    type: dict
    required: true
  ttl:
    description: The TTL of the records, in seconds.
    type: int
    default: 3600
  margin:
    description: For how many seconds to wait beyond a TTL, for senders that hold records while they connect.
    type: int
    default: 3600
  rollover:
    description:
      - Whether to begin to replace the key, unless that is under way. Say so for one run; the runs after it end what was begun.
      - With certificates from files it begins when the files have another key, and not otherwise.
    type: bool
    default: false
  key_days:
    description: After how many days to begin to replace the key. V(0) is for never.
    type: int
    default: 0
  replace_foreign:
    description: Whether records go that are not of keys of this host.
    type: bool
    default: false
  address:
    description: The address at which Postfix is asked which chain it serves, from the host itself.
    type: str
    default: 127.0.0.1
  directory:
    description: Where M(postmaster.mta_sts.mx_tls) keeps its files.
    type: path
    default: /var/lib/mx-tls
  state:
    description: V(absent) is for no records, and forgets them when no cache holds any.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: postmaster.mta_sts.mx_tls
  - module: postmaster.mta_sts.mx_tlsa_info
"""

EXAMPLES = r"""
- name: See which TLSA records there are
  postmaster.mta_sts.mx_tlsa_info:
    name: mx1.example.net
  delegate_to: localhost
  register: tlsa

- name: Decide which there shall be
  postmaster.mta_sts.mx_tlsa:
    dns: '{{ tlsa.dns }}'
  register: decided
"""

RETURN = r"""
name:
  description: The name of the host.
  type: str
  returned: always
  sample: mx1.example.net
records:
  description: The records that there shall be. Null if they shall be left alone.
  type: list
  elements: str
  returned: success
  sample: ['3 1 1 8bb0c2a4d4a0c6b5d3b1bcb0a9f3a0a7b0e6a1c2d3e4f5061728394a5b6c7d8e']
stage:
  description:
    - V(publishing) while the records are not at all name servers, V(waiting) for caches or because it is not seen what is
      served, V(replacing) the key, V(dropping) the record of the key before after a while, or V(steady).
    - V(leaving) and V(absent) with O(state=absent).
  type: str
  returned: success
  sample: steady
served:
  description: The SHA-256 digest of the public key that is served. Null if it could not be seen.
  type: str
  returned: success
why:
  description: What it waits for.
  type: str
  returned: success
  sample: senders may hold records without the next key
until:
  description: From when on it can go on, if that is known.
  type: str
  returned: success
  sample: '2026-11-27T12:00:00+00:00'
"""

import datetime as dt
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_chain import ChainError, read_settings
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_tlsa import Host
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa import Wish, in_dns

WISHES = ["ttl", "margin", "rollover", "key_days", "replace_foreign"]


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "dns": {"type": "dict", "required": True},
            "ttl": {"type": "int", "default": 3600},
            "margin": {"type": "int", "default": 3600},
            "rollover": {"type": "bool", "default": False},
            "key_days": {"type": "int", "default": 0, "no_log": False},
            "replace_foreign": {"type": "bool", "default": False},
            "address": {"type": "str", "default": "127.0.0.1"},
            "directory": {"type": "path", "default": "/var/lib/mx-tls"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    params = module.params
    wish = Wish(absent=params["state"] == "absent", **{name: params[name] for name in WISHES})
    try:
        directory = Path(params["directory"])
        settings = read_settings(directory)
        host = Host(directory, settings, params["address"], check_mode=module.check_mode)
        turn = host.turn(in_dns(params["dns"]), wish, lambda: int(time.time()))
    except (ChainError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    for warning in turn.warnings:
        module.warn(warning)
    told = turn.decision
    if told.refused:
        module.fail_json(msg=f"no TLSA records for {settings.name}: {told.refused}", name=settings.name)
    until = told.until and dt.datetime.fromtimestamp(told.until, dt.timezone.utc).isoformat()
    records = None if told.values is None else list(told.values)
    seen = {"served": turn.served, "stage": told.stage, "why": told.why, "until": until}
    module.exit_json(changed=turn.changed, name=settings.name, records=records, **seen)


if __name__ == "__main__":
    main()
