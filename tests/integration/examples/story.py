# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the examples of the modules are run, where, and what they have to do."""

from __future__ import annotations

import dataclasses
import typing as t

SYSTEMD = "no systemd is here: the scenario reuse of molecule runs it on a host"
ACME = "no ACME server is here: the scenario {} of molecule gets certificates with the same options"


@dataclasses.dataclass(frozen=True)
class Told:
    """What an example does when it is run."""

    changed: bool = False
    # Part of what it returns.
    returned: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    # Words of the error, for what cannot succeed here.
    fails: str = ""
    # Why it is only looked ahead, if it is.
    only_checked: str = ""
    # Why it is not run here at all, if it is not.
    elsewhere: str = ""
    # The world where it is run, and by which hosts.
    world: str = "updates"
    hosts: str = "web1.example.net"


# The examples follow each other: what one leaves is there for the next, in the same world.
STORY: dict[tuple[str, str], Told] = {
    ("host_files", "A hook in a directory of its own"): Told(changed=True),
    ("host_services", "A proxy that reads its configuration once, and a timer"): Told(elsewhere=SYSTEMD),
    ("host_services", "Have Postfix read its main.cf, if it has not and if it runs"): Told(elsewhere=SYSTEMD),
    ("mx_tls", "Have Postfix serve a certificate from Let's Encrypt"): Told(
        changed=True, only_checked=ACME.format("mx")
    ),
    ("mx_tls", "Have it serve one that is there"): Told(changed=True, returned={"name": "mx1.example.net"}),
    ("mx_tlsa_info", "See which TLSA records there are"): Told(returned={"dns": {"complete": True, "secure": True}}),
    ("mx_tlsa", "See which TLSA records there are"): Told(returned={"dns": {"complete": True, "secure": True}}),
    ("mx_tlsa", "Decide which there shall be"): Told(returned={"stage": "publishing"}),
    ("mta_sts_nginx_info", "See what else nginx serves"): Told(returned={"installed": True}),
    ("mta_sts_certificates", "Certificates from an ACME server"): Told(
        changed=True, only_checked=ACME.format("rollout")
    ),
    ("mta_sts_certificates", "Certificates from files that are on the host"): Told(
        changed=True, returned={"counts": {"changed": 1}}
    ),
    ("mta_sts_certificates", "Forget a name that is no longer served"): Told(
        changed=True, returned={"counts": {"removed": 1}}
    ),
    ("mta_sts_policies", "Publish two policies"): Told(changed=True, returned={"counts": {"written": 2}}),
    ("mta_sts_policies_info", "See what this host serves"): Told(returned={"policies": {"example.org": {}}}),
    ("mta_sts_policies_info", "Keep it for a plan"): Told(returned={"count": 2}),
    ("mta_sts_ledger_info", "See what senders may hold of one domain"): Told(returned={"state": "ok"}),
    ("mta_sts_ledger_info", "Keep it for a plan"): Told(returned={"count": 2}),
    ("mta_sts_plan", "Check an inventory, and plan without having looked at anything"): Told(
        returned={"stages": {"pending": 2}}
    ),
    ("mta_sts_plan", "Check what a file says of many domains, and keep it for later plans"): Told(
        returned={"stages": {"pending": 2}}
    ),
    ("mta_sts_verify", "Look at two domains"): Told(returned={"counts": {"enforce": 1, "testing": 1}}),
    ("mta_sts_verify", "Observe for a plan, from hosts that share the domains"): Told(
        hosts="mta_sts_probes", returned={"counts": {}}
    ),
    ("mta_sts_merge", "Put together what two hosts saw"): Told(returned={"found": 2}),
    ("mta_sts_plan", "Decide what may be done now"): Told(returned={"stages": {"pending": 2}}),
    ("mta_sts_policies", "Publish all policies of a plan"): Told(changed=True),
    ("mta_sts_verify", "Prove a plan"): Told(returned={"counts": {"proved": 2}}),
    ("external_record_sets", "Write down what a colleague has to publish, and see what is there already"): Told(
        changed=True, returned={"counts": {"awaited": 1}}
    ),
    ("external_record_sets", "Wait until tasks of your own have brought a record into DNS"): Told(
        returned={"counts": {"ok": 1}}
    ),
    ("rfc2136_record_sets", "Announce the policies of two domains and take back that of a third"): Told(
        changed=True, returned={"counts": {"changed": 3}}
    ),
    ("rfc2136_record_sets", "Announce the next policy unless somebody has announced another one meanwhile"): Told(
        changed=True, returned={"counts": {"changed": 1}}
    ),
    ("rfc2136_record_sets", "Replace address records with an alias"): Told(
        changed=True, returned={"counts": {"changed": 3}}
    ),
    ("rfc2136_record_sets", "Bring thousands of record sets up to date, whatever becomes of a single one"): Told(
        changed=True, returned={"counts": {"changed": 2, "failed": 1}}
    ),
    ("tlsrpt_report_info", "See what senders reported in the last week"): Told(
        returned={"counts": {"reports": 1, "unreadable": 0}}
    ),
    ("tlsrpt_report_info", "See what was reported in mail that is signed, and by HTTPS"): Told(
        returned={"counts": {"reports": 2, "unreadable": 0}}
    ),
    ("tlsrpt_report_info", "Say how many sessions failed"): Told(returned={"msg": "1 sessions failed, 10 succeeded"}),
    ("mta_sts_report", "Report a verification"): Told(returned={"counts": {"enforce": 1, "testing": 1}}),
    ("mta_sts_report", "Report a rollout"): Told(fails="policy hosts that failed: web2.example.net"),
    ("zonefile_record_sets", "Announce the policy of a domain whose zone BIND keeps in a file"): Told(
        changed=True, returned={"counts": {"changed": 1}}, world="zone files of BIND"
    ),
    ("zonefile_record_sets", "Do it with NSD, and ask its own address whether it answers that"): Told(
        changed=True, returned={"counts": {"changed": 1}}, world="zone files of NSD"
    ),
    ("lexicon_record_sets", "Announce a policy, and take back another, at Hetzner"): Told(
        # It is not asked here: the name leads nowhere.
        fails="provider hetzner does not open zone example.com.: ",
        world="an API",
    ),
    ("lexicon_record_sets", "The same with a server of one's own, with the key from LEXICON_POWERDNS_AUTH_TOKEN"): Told(
        changed=True, returned={"counts": {"changed": 1}}, world="an API"
    ),
}
