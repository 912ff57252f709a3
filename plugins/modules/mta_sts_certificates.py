#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mta_sts_certificates
short_description: Bring certificates for all names of a policy host to where nginx reads them
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Sees to it that every name has a PEM file with its certificate's chain and key, from given files or from an ACME
    server by certbot and http-01.
  - Each name has a certificate of its own. A name that is not ready stops no other, and costs no reload of the web
    server, as nginx reads the file at the handshake.
  - With ACME, certbot's own timer renews the certificates, and a deploy hook installs them.
  - Takes away the certificates of names that are no longer served, when they are named or a plan says so. Nothing is
    removed because it is missing from a list.
  - Only one call is at work in a directory at a time. Another one waits for it, for at most 60 seconds.
  - Needs nothing but Python's standard library on the policy host, and certbot where O(source=acme).
requirements:
  - Python >= 3.9
  - certbot, for O(source=acme)
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
attributes:
  check_mode:
    support: full
    details:
      - Does not ask the ACME server anything in check mode.
  diff_mode:
    support: none
    details:
      - Certificates come with their keys, which no diff may show.
  idempotent:
    support: full
options:
  names:
    description:
      - The names that need a certificate, as in V(mta-sts.example.com).
      - Either O(document), or at least one of O(names) and O(absent) is required.
    type: list
    elements: str
  absent:
    description:
      - The names whose certificate is removed. That is the PEM file in O(directory) and, for O(source=acme), what certbot
        holds under exactly this name. Given files, as of O(certificate_path), stay.
      - A name in O(names) must not be here, too.
    type: list
    elements: str
  document:
    description:
      - Path of a plan document on the controller, which says which names may have a certificate now, and of which it is
        removed at the end of a withdrawal.
    type: path
  source:
    description:
      - V(acme) gets certificates from an ACME server by certbot.
      - V(files) installs files that are on the policy host already.
    type: str
    choices: [acme, files]
    default: acme
  directory:
    description: Where the PEM files for nginx lie. The directory must exist.
    type: path
    default: /var/lib/mta-sts/tls
  group:
    description: The group of nginx's workers, which may read the PEM files. The files' mode is 0640.
    type: str
    default: www-data
  acme_directory:
    description: The ACME server's directory URL. For O(source=acme).
    type: str
    default: https://acme-v02.api.letsencrypt.org/directory
  acme_email:
    description: Where the ACME server may send notices. For O(source=acme).
    type: str
    default: ''
  webroot:
    description: The directory whose C(.well-known/acme-challenge) nginx serves on port 80. For O(source=acme).
    type: path
    default: /var/lib/mta-sts/acme
  limit:
    description:
      - For O(source=acme), how many certificates are asked for in one call, at most. What is refused counts, too, as the ACME
        server counts it. C(0) is for any number. The other names are V(queued), and it is the turn of those that failed last time
        after all others. Certificates that are there are refreshed in any case.
    type: int
    default: 100
  prepared:
    description:
      - Path on the controller of the results document of the DNS step, as of M(postmaster.mta_sts.rfc2136_record_sets). A name
        whose address records could not be brought, or are awaited, is not asked for if it has no certificate yet. For
        O(source=acme). A document that is not there says nothing.
    type: path
  unready:
    description:
      - The names that are not asked for as long as they have no certificate, each with the reason. For O(source=acme). O(prepared)
        and, in O(document), CAA records (RFC 8659) add to it.
    type: dict
    default: {}
  hook:
    description: The program that installs the certificate of a certbot lineage. For O(source=acme).
    type: path
    default: /etc/letsencrypt/renewal-hooks/deploy/mta-sts
  certificate_path:
    description:
      - Path of a name's certificate with its chain, in which C({name}) stands for the name. Required for O(source=files).
    type: path
  key_path:
    description: Path of a name's key, in which C({name}) stands for the name. Required for O(source=files).
    type: path
  results:
    description: Path on the controller where RV(certificates) is written as a document instead of being returned.
    type: path
"""

EXAMPLES = r"""
- name: Certificates from an ACME server
  postmaster.mta_sts.mta_sts_certificates:
    names: [mta-sts.example.com, mta-sts.example.org]
    acme_email: hostmaster@example.net

- name: Certificates from files that are on the host
  postmaster.mta_sts.mta_sts_certificates:
    names: [mta-sts.example.com]
    source: files
    certificate_path: /etc/ssl/mta-sts/{name}.crt
    key_path: /etc/ssl/mta-sts/{name}.key

- name: Forget a name that is no longer served
  postmaster.mta_sts.mta_sts_certificates:
    absent: [mta-sts.old.example]
"""

RETURN = r"""
counts:
  description:
    - Of how many names the certificate was brought or refreshed, was removed, is yet to be asked for because of O(limit), and was
      as it shall be; and how many failed.
    - A name whose certificate was got and could not be installed counts as changed and as failed.
  type: dict
  returned: success
  sample: {changed: 1, removed: 0, queued: 0, unchanged: 1, failed: 0}
certificates:
  description: For each name whether its certificate changed, was removed or is yet to be asked for, and what is wrong, if anything.
  type: dict
  returned: success, without O(results)
  sample:
    mta-sts.example.com: {changed: true, removed: false, queued: false, error: ''}
"""

import dataclasses
import grp
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.postmaster.mta_sts.plugins.module_utils._certificates import Acme, from_acme, remove
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import DocumentError, read_plan, told
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import to_ascii
from ansible_collections.postmaster.mta_sts.plugins.module_utils._pem_files import Outcome, Store, from_files
from ansible_collections.postmaster.mta_sts.plugins.module_utils._webroot import locked, remove_leftovers

ARGUMENTS = {
    "names": {"type": "list", "elements": "str"},
    "absent": {"type": "list", "elements": "str"},
    "document": {"type": "path"},
    "source": {"type": "str", "choices": ["acme", "files"], "default": "acme"},
    "directory": {"type": "path", "default": "/var/lib/mta-sts/tls"},
    "group": {"type": "str", "default": "www-data"},
    "acme_directory": {"type": "str", "default": "https://acme-v02.api.letsencrypt.org/directory"},
    "acme_email": {"type": "str", "default": ""},
    "webroot": {"type": "path", "default": "/var/lib/mta-sts/acme"},
    "limit": {"type": "int", "default": 100},
    "prepared": {"type": "path"},
    "unready": {"type": "dict", "default": {}},
    "hook": {"type": "path", "default": "/etc/letsencrypt/renewal-hooks/deploy/mta-sts"},
    "certificate_path": {"type": "path"},
    "key_path": {"type": "path", "no_log": False},
    "results": {"type": "path"},
}


@dataclass(frozen=True)
class Given:
    """The names that may have a certificate now, those that shall have none, and those that are not asked for yet."""

    names: list[str]
    absent: list[str]
    unready: dict[str, str]


def given(params: t.Mapping[str, t.Any]) -> Given:
    """What was asked for. Raises ValueError for a name that shall have a certificate and have none."""
    unready = {name: str(reason) for name, reason in params["unready"].items()}
    if params["document"]:
        domains = read_plan(params["document"])["domains"]
        names = [entry["policy_host"] for entry in domains if entry["certificate"]]
        absent = [entry["policy_host"] for entry in domains if entry["remove"]]
        refused = {entry["policy_host"]: entry.get("certificate_refusal") for entry in domains}
        unready.update((name, str(refusal)) for name, refusal in refused.items() if refusal)
    else:
        names = [to_ascii(name) for name in params["names"] or ()]
        absent = [to_ascii(name) for name in params["absent"] or ()]
    both = sorted(set(names).intersection(absent))
    if both:
        raise ValueError(f"a name cannot have a certificate and have none: {', '.join(both)}")
    if params["limit"] < 0:
        raise ValueError(f"limit {params['limit']}: must be 0 or more")
    return Given(names, absent, unready)


def bring_alone(what: Given, params: t.Mapping[str, t.Any], *, check_mode: bool) -> dict[str, Outcome]:
    """The outcome for every name. Raises KeyError for an unknown group, OSError for a missing directory."""
    directory = Path(params["directory"])
    if check_mode:
        # Before the first run the web server, and with it its group, may not be there yet.
        return bring(what, params, Store(directory, None), check_mode=True)
    with locked(directory):
        remove_leftovers(directory)
        return bring(what, params, Store(directory, grp.getgrnam(params["group"]).gr_gid), check_mode=False)


def bring(what: Given, params: t.Mapping[str, t.Any], store: Store, *, check_mode: bool) -> dict[str, Outcome]:
    """The same, while nobody else is at work."""
    removed = remove(what.absent, store, acme=params["source"] == "acme", check_mode=check_mode)
    if params["source"] == "files":
        paths = params["certificate_path"], params["key_path"]
        brought = from_files(what.names, *paths, store, check_mode=check_mode)
    else:
        acme = Acme(
            params["acme_directory"], params["acme_email"], Path(params["webroot"]), Path(params["hook"]),
            params["limit"], what.unready,
        )  # fmt: skip
        brought = from_acme(what.names, acme, store, check_mode=check_mode)
    return {**brought, **removed}


def count(outcomes: t.Collection[Outcome]) -> dict[str, int]:
    """How many names were met with which outcome."""
    return {
        "changed": sum(outcome.changed for outcome in outcomes),
        "removed": sum(outcome.removed for outcome in outcomes),
        "queued": sum(outcome.queued for outcome in outcomes),
        "unchanged": sum(outcome == Outcome() for outcome in outcomes),
        "failed": sum(bool(outcome.error) for outcome in outcomes),
    }


@few_collections()
def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_one_of=[("names", "absent", "document")],
        mutually_exclusive=[("names", "document"), ("absent", "document")],
        required_if=[("source", "files", ("certificate_path", "key_path"))],
        supports_check_mode=True,
    )
    try:
        outcomes = bring_alone(given(module.params), module.params, check_mode=module.check_mode)
    except KeyError:
        module.fail_json(msg=f"There is no group {module.params['group']!r} on this host; nginx's workers need one")
    except (DocumentError, ValueError, OSError) as error:
        module.fail_json(msg=f"Cannot bring the certificates: {error}")
    counts = count(outcomes.values())
    module.exit_json(
        changed=bool(counts["changed"] or counts["removed"]),
        counts=counts,
        **told(module.params, certificates={name: dataclasses.asdict(outcome) for name, outcome in outcomes.items()}),
    )


if __name__ == "__main__":
    main()
