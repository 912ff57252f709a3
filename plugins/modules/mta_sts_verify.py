#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mta_sts_verify
short_description: Check many mail domains as a strict MTA-STS sender would
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Looks at any number of mail domains concurrently, ours or not. The record at C(_mta-sts) (RFC 8461 3.1), the same at every
    name server of the zone (8.1), the policy from every address of the policy host (3.3), its grammar (3.2), the MX hosts
    against its patterns (4.1), STARTTLS and the certificate on every address of every MX host (4.2), their TLSA records
    (RFC 7672), and the TLSRPT record with the addresses that reports go to (RFC 8460 3).
  - An MX host that serves many domains is probed once, and so is every other thing that domains share. Of the connections that one
    address of MX hosts takes it uses at most 10 at a time, whatever number of names leads to it; the others are for mail.
  - With O(prove=true) it looks whether every policy host serves exactly the policies of a plan instead.
  - Reads only. What comes from the network is bounded in size and time, and made printable.
  - Runs where it can reach port 443 of the policy hosts and port 25 of the MX hosts, usually on the controller.
  - DANE is only judged by what a validating resolver says is secure. See that the resolvers are such ones, and that the way to
    them can be trusted.
requirements:
  - Python >= 3.10
  - dnspython >= 2.6
  - cryptography >= 42
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._attributes.info_module
options:
  domains:
    description:
      - The mail domains. U-labels are accepted.
      - Exactly one of O(domains), O(domains_file) and O(document) is required.
    type: list
    elements: str
  domains_file:
    description:
      - Path of a file on the controller with the mail domains.
      - If its name ends with V(.json), V(.yml), V(.yaml) or V(.csv), it is one as for O(postmaster.mta_sts.mta_sts_plan#module:domains_file),
        of which nothing but the domains matters here. Any other has a domain on each line, and comments behind C(#).
    type: path
  document:
    description:
      - Path of a plan document on the controller, whose domains are looked at.
      - A policy that the plan has for a domain, served already or not, is the one that its MX hosts are held against.
    type: path
  part:
    description:
      - Which share of the domains is looked at, from V(0) to one less than O(parts); only that is sent to the host.
      - M(postmaster.mta_sts.mta_sts_merge) puts together what was found.
    type: int
    default: 0
  parts:
    description:
      - How many hosts share the domains. All shares are of one size. Those of O(document) with the same C(mx) are kept together, so
        that few MX hosts are looked at by two hosts; of the others each host has every so-manieth.
    type: int
    default: 1
  prove:
    description:
      - Fetch each policy of the plan from every address of every policy host and once the public way, and compare its bytes.
      - Left out is a policy that the plan was made from having seen at all of these addresses, and whose id DNS has already.
      - Needs O(document).
    type: bool
    default: false
  policy_hosts:
    description:
      - For O(prove=true), the policy hosts and for each the list of the IP addresses at which it can be reached from here.
      - A policy host that is not named here is reached at the addresses of the plan.
    type: dict
    default: {}
  resolvers:
    description:
      - Addresses of the DNS resolvers to ask, each with an optional port, as in V(192.0.2.53) or V([2001:db8::53]:5353).
      - Defaults to those of the system.
    type: list
    elements: str
    default: []
  authorities:
    description:
      - Names or addresses of name servers that are asked first, without recursion. What they have no authority for is asked of the resolvers.
      - A resolver may still hold what was there before a change; the server that was changed does not.
    type: list
    elements: str
    default: []
  find_authorities:
    description:
      - Without O(authorities), whether the name servers of the zone that a name lies in are found out and asked first.
      - For those who publish records, and must not decide from what a resolver remembers. It takes some more questions.
    type: bool
    default: false
  caa:
    description:
      - Whether to look at the CAA records, too, that hold for each policy host's name (RFC 8659). They are told, and no finding.
    type: bool
    default: false
  ca_file:
    description: PEM file with the certificates to trust, in place of the system's, on the host where the module runs.
    type: path
  timeout:
    description:
      - Seconds that each look-up, fetch and SMTP dialogue may take.
      - Looking at one domain, and at one MX host, ends after three times that in any case.
    type: float
    default: 10
  concurrency:
    description: How many domains, and then how many of the things that they share, each process looks at at a time.
    type: int
    default: 128
  processes:
    description:
      - How many processes share very many domains, of which each takes up to one core and some ten MiB.
      - Defaults to the number of cores. With fewer than some hundred domains there is one.
    type: int
  source_addresses:
    description: IP addresses of the host where the module runs to connect from, at most one of each family.
    type: list
    elements: str
    default: []
  https_port:
    description: Port of the policy hosts. Senders use no other than the default; another one is for tests.
    type: int
    default: 443
  smtp_port:
    description: Port of the MX hosts, likewise.
    type: int
    default: 25
  dns_port:
    description: Port of the zones' name servers, likewise.
    type: int
    default: 53
  progress:
    description:
      - Path, on the host where the module runs, of a file that tells once a second how far it is, as JSON.
      - The action plugin of this module reads it where it runs on the controller, and shows what it says.
    type: path
  results:
    description: Path on the controller where RV(domains) and RV(mx_hosts) are written as a document instead of being returned.
    type: path
seealso:
  - module: postmaster.mta_sts.mta_sts_merge
  - module: postmaster.mta_sts.mta_sts_plan
  - module: postmaster.mta_sts.mta_sts_report
"""

EXAMPLES = r"""
- name: Look at two domains
  postmaster.mta_sts.mta_sts_verify:
    domains: [example.com, example.org]
  delegate_to: localhost
  register: seen

- name: Observe for a plan, from hosts that share the domains
  postmaster.mta_sts.mta_sts_verify:
    document: ./mta-sts-run/plan.json
    part: "{{ groups.mta_sts_probes.index(inventory_hostname) }}"
    parts: "{{ groups.mta_sts_probes | length }}"
    results: ./mta-sts-run/seen/{{ inventory_hostname }}.json

- name: Prove a plan
  postmaster.mta_sts.mta_sts_verify:
    document: ./mta-sts-run/plan.json
    prove: true
    results: ./mta-sts-run/proof.json
  delegate_to: localhost
"""

RETURN = r"""
counts:
  description:
    - How many domains there are of each verdict, which is V(enforce), V(testing), V(none), V(absent) or V(broken).
    - With O(prove=true), how many are V(proved) and V(unproved).
  type: dict
  returned: success
  sample: {enforce: 1, broken: 1}
domains:
  description:
    - For each domain what was seen and the list of findings, each with code, severity, subject, what was seen, what to do
      and the section of the RFC.
    - With O(prove=true), the id of each policy, how often exactly its bytes were fetched, the hosts that were proved, and the failures.
  type: dict
  returned: success, without O(results)
mx_hosts:
  description: For each MX host the certificates that it serves, its TLSA records, and the versions of TLS that were met.
  type: dict
  returned: success, without O(results) and O(prove=true)
"""

import os
import sys
import typing as t
from collections import Counter

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import DocumentError, read_plan, told
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import DomainNameError, to_ascii
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.connect import Reach, local_addresses
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.proof import prove
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.sender import Settings, observe
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.server import parse_server, resolve_server
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.workers import ProgressFile, keep_quiet

try:
    import dns.version

    DNSPYTHON: tuple[int, ...] = (dns.version.MAJOR, dns.version.MINOR)
except ImportError:
    DNSPYTHON = ()

try:
    import cryptography

    CRYPTOGRAPHY = int(cryptography.__version__.partition(".")[0])
except ImportError:
    CRYPTOGRAPHY = 0


def planned_policy(entry: t.Mapping[str, t.Any]) -> Policy:
    """The policy of a plan's entry."""
    return Policy(entry["mode"], tuple(entry["mx"]), entry["max_age"])


def given_names(names: t.Iterable[str]) -> list[str]:
    """The domains as A-labels. Raises DomainNameError, with all that is wrong."""
    found, mistakes = [], []
    for name in names:
        try:
            found.append(to_ascii(name))
        except DomainNameError as error:
            mistakes.append(str(error))
    if mistakes:
        raise DomainNameError("; ".join(mistakes))
    return found


def reached_at(plan: t.Mapping[str, t.Any], given: t.Mapping[str, t.Any]) -> dict[str, list[str]]:
    """The addresses of every policy host of a plan, with those of O(policy_hosts) in place of its own."""
    hosts = {**plan["policy_hosts"], **given}
    for host, addresses in hosts.items():
        if not isinstance(addresses, list):
            raise ValueError(f"policy_hosts: {host}: {addresses!r} is not a list of addresses")
    return hosts


def settings_of(params: t.Mapping[str, t.Any]) -> Settings:
    """How to look. Raises ValueError."""
    processes = os.cpu_count() or 1 if params["processes"] is None else params["processes"]
    if params["timeout"] <= 0 or params["concurrency"] < 1 or processes < 1:
        raise ValueError("timeout, concurrency and processes must be greater than 0")
    return Settings(
        resolvers=[parse_server(server) for server in params["resolvers"]],
        authorities=[resolve_server(server) for server in params["authorities"]],
        ca_file=params["ca_file"],
        find_authorities=params["find_authorities"],
        caa=params["caa"],
        reach=Reach(
            timeout=params["timeout"],
            https_port=params["https_port"],
            smtp_port=params["smtp_port"],
            dns_port=params["dns_port"],
            sources=local_addresses(params["source_addresses"]),
        ),
        concurrency=params["concurrency"],
        processes=processes,
        tell=ProgressFile(params["progress"]) if params["progress"] else keep_quiet,
    )


def look(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What was asked for: what was seen, or what was proved. Raises DocumentError, DomainNameError and ValueError."""
    settings = settings_of(params)
    if params["domains"] is not None:
        return observe(dict.fromkeys(given_names(params["domains"])), settings)
    plan = read_plan(params["document"])
    if params["prove"]:
        policies = {e["domain"]: planned_policy(e) for e in plan["domains"] if e["serve"] and e["certificate"]}
        seen_at = {e["domain"]: e.get("served_at", []) for e in plan["domains"]}
        return {"domains": prove(policies, reached_at(plan, params["policy_hosts"]), settings, seen_at)}
    # What may not be served yet is looked at all the same: it depends on what is seen whether it may be.
    wanted = {e["domain"]: None if e["mode"] is None else planned_policy(e) for e in plan["domains"]}
    return observe(wanted, settings)


def count(domains: t.Mapping[str, t.Mapping[str, t.Any]], *, proof: bool) -> dict[str, int]:
    """How many domains there are of each verdict."""
    if proof:
        return dict(Counter("unproved" if found["failures"] else "proved" for found in domains.values()))
    return dict(Counter(str(found["verdict"]) for found in domains.values()))


@few_collections()
def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "domains": {"type": "list", "elements": "str"},
            "domains_file": {"type": "path"},
            "document": {"type": "path"},
            "part": {"type": "int", "default": 0},
            "parts": {"type": "int", "default": 1},
            "prove": {"type": "bool", "default": False},
            "policy_hosts": {"type": "dict", "default": {}},
            "resolvers": {"type": "list", "elements": "str", "default": []},
            "authorities": {"type": "list", "elements": "str", "default": []},
            "find_authorities": {"type": "bool", "default": False},
            "caa": {"type": "bool", "default": False},
            "ca_file": {"type": "path"},
            "timeout": {"type": "float", "default": 10},
            "concurrency": {"type": "int", "default": 128},
            "processes": {"type": "int"},
            "source_addresses": {"type": "list", "elements": "str", "default": []},
            "https_port": {"type": "int", "default": 443},
            "smtp_port": {"type": "int", "default": 25},
            "dns_port": {"type": "int", "default": 53},
            "progress": {"type": "path"},
            "results": {"type": "path"},
        },
        required_one_of=[("domains", "domains_file", "document")],
        mutually_exclusive=[("domains", "domains_file", "document")],
        required_if=[("prove", True, ("document",))],
        supports_check_mode=True,
    )
    if sys.version_info < (3, 10):
        module.fail_json(msg=f"Needs Python 3.10 or later, this is {sys.version.split()[0]} ({sys.executable})")
    if DNSPYTHON < (2, 6):
        module.fail_json(msg=missing_required_lib("dnspython >= 2.6"))
    if CRYPTOGRAPHY < 42:
        module.fail_json(msg=missing_required_lib("cryptography >= 42"))
    try:
        seen = look(module.params)
    except (DocumentError, DomainNameError, OSError, ValueError) as error:
        module.fail_json(msg=f"Cannot look at the domains: {error}")
    counts = count(seen["domains"], proof=module.params["prove"])
    module.exit_json(changed=False, counts=counts, **told(module.params, **seen))


if __name__ == "__main__":
    main()
