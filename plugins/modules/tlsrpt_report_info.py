#!/usr/bin/python
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: tlsrpt_report_info
short_description: Read TLSRPT reports, and add them up
version_added: 0.1.0
author: The postmaster.mta_sts authors (@postmaster-collections)
description:
  - Reads the reports about sessions that succeeded and failed (RFC 8460 4) which senders sent, from files and from mail, and
    adds them up for each domain and day.
  - Reads tolerantly, since hardly any sender keeps to the RFC in all. Times without a zone are UTC; C(mx-host) may be a text or a list;
    what is told twice, as in one thing without its list, or not at all is taken as well as it can be. Where the details tell of more or
    fewer failed sessions than the summary does, the larger number counts.
  - Trusts nothing of it. A report of more than 16 MiB, compressed or not, and a mail of more than 32 MiB are refused, and all text is
    bounded and printable.
  - The same report is counted once, however often it came, and by whichever way.
  - Changes nothing, and needs nothing but Python's standard library on the host where the reports are, unless O(dkim=true).
requirements:
  - Python >= 3.9
  - dkimpy >= 1.1 with dnspython, for O(dkim=true); Debian's C(python3-dkim)
extends_documentation_fragment:
  - postmaster.mta_sts._attributes
  - postmaster.mta_sts._attributes.actiongroup_mta_sts
  - postmaster.mta_sts._attributes.info_module
options:
  paths:
    description:
      - Where the reports are. A path may be a file or a directory, which is looked through, eight levels deep.
      - A file may be a report as JSON, one compressed with gzip, a mail that brought reports, or an mbox of them. What it is, is seen by
        what is in it. Of a Maildir the mail that was delivered is read.
      - Hidden files are left out, and links to directories are not followed.
    type: list
    elements: path
    required: true
  domains:
    description: Only of these policy domains. U-labels are accepted. By default, of all.
    type: list
    elements: str
  days:
    description: Only of reports that begin so many days ago at most, by days of UTC. By default, of all.
    type: int
  dkim:
    description:
      - Whether mail counts only where a DKIM signature verifies (RFC 6376), as RFC 8460 3 wants it. What does not is in
        RV(unreadable), with the reason. Reports in files of their own, as those that came by HTTPS, are not concerned.
      - C(d=) must be the domain of C(From), or one be below the other; C(From) must be signed, and the whole body, without C(l=).
        The key must be for reports, with C(s=tlsrpt) or for all services, and no key for tests.
      - The keys are looked up now. A mail whose key was taken out of DNS since, or whose signature expired, counts no more, so
        read mail while it is young.
    type: bool
    default: false
  resolvers:
    description:
      - For O(dkim=true), addresses of the DNS resolvers to ask, each with an optional port, as in V(192.0.2.53) or
        V([2001:db8::53]:5353). Without any, those of the host.
      - A key that is not there after 5 seconds cannot be looked up. When that took two minutes in all, no more are.
    type: list
    elements: str
    default: []
  results:
    description:
      - Path on the controller where RV(domains) and RV(unreadable) are written as a document instead of being returned.
    type: path
seealso:
  - name: RFC 8460, SMTP TLS Reporting
    description: Section 4 describes what is in a report.
    link: https://www.rfc-editor.org/rfc/rfc8460
"""

EXAMPLES = r"""
- name: See what senders reported in the last week
  postmaster.mta_sts.tlsrpt_report_info:
    paths: [/var/mail/vhosts/example.net/tls-reports]
    days: 7
  register: reported

- name: See what was reported in mail that is signed, and by HTTPS
  postmaster.mta_sts.tlsrpt_report_info:
    paths: [/var/lib/mta-sts-reports]
    days: 7
    dkim: true

- name: Say how many sessions failed
  ansible.builtin.debug:
    msg: "{{ reported.counts.failed }} sessions failed, {{ reported.counts.succeeded }} succeeded"
"""

RETURN = r"""
counts:
  description: >-
    How many reports were counted, how many had come before, how many things could not be read as a report or as a policy in one,
    and how many sessions succeeded and failed.
  type: dict
  returned: success
  sample: {reports: 31, duplicates: 2, unreadable: 1, succeeded: 5326, failed: 303}
domains:
  description: What was reported, by policy domain in A-labels and by the day in UTC on which a report begins.
  type: dict
  returned: success, without O(results)
  sample:
    example.com:
      "2026-11-20":
        reporters:
          Google Inc.: {failed: 3, succeeded: 120}
        failures:
          - {result_type: certificate-expired, mx_host: mx1.example.net, policy_type: sts, reporter: Google Inc., sessions: 3}
  contains:
    reporters:
      description: >-
        By who reported it, how many sessions succeeded and failed and, where there was a policy of TLSA records, how many succeeded under it
        (C(succeeded_dane)).
      type: dict
    failures:
      description: >-
        What failed, the most first. C(result_type) is one of RFC 8460 4.3, what else the reporter wrote, or V(not detailed) for sessions that only the
        summary tells of; C(policy_type) is V(sts), V(tlsa) or V(no-policy-found) (RFC 8460 4.4), or what else the reporter
        wrote. C(policy_type) and C(mx_host) may be empty.
      type: list
      elements: dict
unreadable:
  description: What could not be read as a report, or as a policy in one, and why; the first 100.
  type: list
  elements: dict
  returned: success, without O(results)
  sample: [{source: /var/mail/reports/new/17.eml, reason: is neither a report nor a mail that brings one}]
"""

import datetime as dt
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.postmaster.mta_sts.plugins.module_utils._document import told
from ansible_collections.postmaster.mta_sts.plugins.module_utils._finding import printable
from ansible_collections.postmaster.mta_sts.plugins.module_utils._garbage import few_collections
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import DomainNameError, to_ascii
from ansible_collections.postmaster.mta_sts.plugins.module_utils._report_files import read_reports
from ansible_collections.postmaster.mta_sts.plugins.module_utils._signed_mail import SignedMail, missing_library
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsrpt import ReportError, Sums

UNREADABLE_LIMIT = 100


@few_collections()
def main() -> t.NoReturn:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "required": True},
            "domains": {"type": "list", "elements": "str"},
            "days": {"type": "int"},
            "dkim": {"type": "bool", "default": False},
            "resolvers": {"type": "list", "elements": "str", "default": []},
            "results": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    unreadable: list[dict[str, str]] = []
    if params["dkim"] and missing_library():
        module.fail_json(msg=missing_required_lib(missing_library()))
    try:
        distrust = SignedMail(params["resolvers"]).distrust if params["dkim"] else None
        domains = None if params["domains"] is None else {to_ascii(name) for name in params["domains"]}
        sums = Sums(domains, None if params["days"] is None else first_day(params["days"]))
        for path in params["paths"]:
            for source, report in read_reports(path, distrust):
                # Of a report with several policies some may be readable.
                reasons = [str(report)] if isinstance(report, ReportError) else report.troubles
                unreadable += [{"source": printable(source), "reason": reason} for reason in reasons]
                if not isinstance(report, ReportError):
                    sums.add(report)
    except (DomainNameError, OSError, ValueError) as error:
        module.fail_json(msg=f"Cannot read the reports: {error}")
    counts = {**sums.counts(), "unreadable": len(unreadable)}
    found = {"domains": sums.to_dict(), "unreadable": unreadable[:UNREADABLE_LIMIT]}
    module.exit_json(changed=False, counts=counts, **told(params, **found))


def first_day(days: int) -> dt.date:
    """The first day that counts. Raises ValueError."""
    if not 0 <= days <= 36500:
        raise ValueError(f"days: {days} is not between 0 and 36500")
    return dt.datetime.now(dt.timezone.utc).date() - dt.timedelta(days=days)


if __name__ == "__main__":
    main()
