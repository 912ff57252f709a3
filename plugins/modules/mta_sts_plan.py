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
  - Runs on the controller.
requirements:
  - Python >= 3.9
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
attributes:
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
    type: list
    elements: raw
    required: true
  defaults:
    description: Values that every entry of O(domains) has unless it says otherwise.
    type: dict
    default: {}
  testing_days:
    description:
      - For how many days a policy is tested before it is enforced, unless O(defaults) or an entry says otherwise.
      - With V(0) there is no such period.
    type: int
    default: 7
    version_added: 0.2.0
  at:
    description:
      - The time to decide for, with its time zone, as in V(2026-11-23T10:00:00+00:00); by default the current time.
      - Give a later plan of the same run the RV(at) of the one that was carried out, so that both say the same.
    type: str
    version_added: 0.2.0
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
    version_added: 0.2.0
  others_apply:
    description:
      - Whether the planned records are put into DNS by somebody else, from files that tell all of them.
      - The plan then names those that are in place, too, and no certificate before the name leads to the policy hosts.
    type: bool
    default: false
    version_added: 0.2.0
  caa_identities:
    description:
      - The domain names that the certification authority takes for its own in CAA records (RFC 8659), as V(letsencrypt.org).
      - With O(observed) that tells CAA records, no certificate is asked for where they forbid it. Without any identities,
        that is where they forbid everybody.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  served:
    description: Directory with one results document of M(postmaster.mta_sts.mta_sts_policies_info) per policy host.
    type: path
  ledgers:
    description:
      - Directory with one results document of M(postmaster.mta_sts.mta_sts_ledger_info) per policy host.
      - If it is given and there is none of a policy host, what senders may hold is not known, and nothing is changed.
      - Without it, what O(served) says is all that is known of the past; waiting times are then longer.
    type: path
    version_added: 0.2.0
  observed:
    description: Results document of M(postmaster.mta_sts.mta_sts_verify).
    type: path
  certificates:
    description: Directory with one results document of M(postmaster.mta_sts.mta_sts_certificates) per policy host.
    type: path
  proof:
    description: Results document of M(postmaster.mta_sts.mta_sts_verify) with O(postmaster.mta_sts.mta_sts_verify#module:prove=true).
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
      web1.example.net: [198.51.100.1]
    dest: ./mta-sts-run/plan.json
  delegate_to: localhost
"""

RETURN = r"""
at:
  description: The time that was decided for.
  type: str
  returned: success
  sample: '2026-11-23T10:00:00+00:00'
  version_added: 0.2.0
stages:
  description: How many domains are in which stage.
  type: dict
  returned: success
  sample: {testing: 3, pending: 1}
orphans:
  description: Domains that the policy hosts serve and the inventory does not name, at most 20 of them.
  type: list
  elements: str
  returned: success
"""

import datetime as dt
import ipaddress
import socket
import typing as t
from collections import Counter

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import (
    DocumentError,
    read_document,
    read_documents,
    write_document,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._evidence import Evidence, Site
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import InventoryError, read_domains
from ansible_collections.postmaster.mta_sts.plugins.module_utils._plan import make_plan


def resolve_hosts(policy_hosts: dict[str, list[str]]) -> dict[str, list[str]]:
    """The policy hosts with addresses for names. Raises ValueError for a host that has none."""
    resolved = {}
    for host, addresses in policy_hosts.items():
        if not isinstance(addresses, list):
            raise ValueError(f"policy host {host}: mta_sts_public_addresses {addresses!r} must be a list of addresses")
        found: list[str] = []
        for address in addresses:
            try:
                found.append(str(ipaddress.ip_address(address)))
            except ValueError:
                try:
                    answers = socket.getaddrinfo(address, 443, type=socket.SOCK_STREAM)
                except (OSError, UnicodeError):
                    raise ValueError(
                        f"policy host {host}: {address!r} is no IP address and does not resolve; "
                        "set mta_sts_public_addresses for this host"
                    ) from None
                found.extend(str(answer[4][0]) for answer in answers)
        if any(ipaddress.ip_address(address).is_loopback for address in found):
            raise ValueError(
                f"policy host {host}: senders cannot reach it at {', '.join(found)}; "
                "set mta_sts_public_addresses for this host"
            )
        if not found:
            raise ValueError(f"policy host {host}: mta_sts_public_addresses is empty")
        resolved[host] = sorted(set(found))
    if not resolved:
        raise ValueError("there is no policy host; put at least one into the group mta_sts_hosts")
    return resolved


def moment(text: t.Optional[str]) -> dt.datetime:
    """The time to decide for. Raises ValueError for a text that is no time with a zone."""
    if text is None:
        return dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"at: {text!r} is no time such as 2026-11-23T10:00:00+00:00") from None
    if time.tzinfo is None:
        raise ValueError(f"at: {text!r} has no time zone, as 2026-11-23T10:00:00+00:00 has")
    return time.astimezone(dt.timezone.utc)


def site_of(params: t.Mapping[str, t.Any]) -> Site:
    """What all domains share. Raises ValueError for a policy host that has no address."""
    return Site(
        hosts=resolve_hosts(params["policy_hosts"]),
        cname=params["cname"].lower().rstrip("."),
        ttl=params["ttl"],
        ttl_changing=params["ttl_changing"],
        others_apply=params["others_apply"],
        caa_identities=tuple(params["caa_identities"]),
    )


def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "domains": {"type": "list", "elements": "raw", "required": True},
            "defaults": {"type": "dict", "default": {}},
            "testing_days": {"type": "int", "default": 7},
            "at": {"type": "str"},
            "policy_hosts": {"type": "dict", "required": True},
            "cname": {"type": "str", "default": ""},
            "ttl": {"type": "int", "default": 3600},
            "ttl_changing": {"type": "int", "default": 300},
            "others_apply": {"type": "bool", "default": False},
            "caa_identities": {"type": "list", "elements": "str", "default": []},
            "served": {"type": "path"},
            "ledgers": {"type": "path"},
            "observed": {"type": "path"},
            "certificates": {"type": "path"},
            "proof": {"type": "path"},
            "dest": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        domains = read_domains(params["domains"], {"testing_days": params["testing_days"], **params["defaults"]})
        site = site_of(params)
        evidence = Evidence(
            served=read_documents(params["served"]) if params["served"] else {},
            ledgers=read_documents(params["ledgers"]) if params["ledgers"] else None,
            observed=read_document(params["observed"]) if params["observed"] else None,
            proof=read_document(params["proof"]) if params["proof"] else None,
            certificates=read_documents(params["certificates"]) if params["certificates"] else None,
        )
        plan = make_plan(domains, site, evidence, moment(params["at"]), assume_proof=module.check_mode)
        write_document(params["dest"], plan)
    except (InventoryError, DocumentError, ValueError) as error:
        module.fail_json(msg=str(error))
    stages = Counter(entry["stage"] for entry in plan["domains"])
    module.exit_json(changed=False, at=plan["at"], stages=dict(stages), orphans=plan["orphans"][:20])


if __name__ == "__main__":
    main()
