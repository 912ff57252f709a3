# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to be wrong, and what is to be found of each; and some to be right, of which nothing is.

What a row does not say is as it should be.
"""

from __future__ import annotations

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy
from faults.fault import GOOD_MX, MAX_AGE, PLAIN, REPORTS, Domain, Mail, Web, named
from faults.hosts import HOSTS, POLICIES
from faults.mail import DANE, MX
from faults.records import RECORDS, REPORTING, sts, tlsrpt

RIGHT: dict[str, Domain] = {
    "well": Domain(),
    "well-unsigned": Domain(zone=PLAIN),
    "well-two-addresses": Domain(host="mta-sts.{d} A {web}\nmta-sts.{d} A {web2}"),
    "well-ours": Domain(wanted=Policy("enforce", (GOOD_MX,), MAX_AGE)),
    "well-ours-with-an-id-of-others": Domain(
        sts=sts('"v=STSv1; id=20260101"'), wanted=Policy("enforce", (GOOD_MX,), MAX_AGE)
    ),
    "well-testing": Domain(policy=Policy("testing", (GOOD_MX,), 86400), verdict="testing"),
    "well-none": Domain(policy=Policy("none", (GOOD_MX,), 86400), verdict="none"),
    "well-wildcard": Domain(policy=Policy("enforce", ("*.signed.test",), MAX_AGE)),
    "well-in-capitals": Domain(mx=f"{{d}} MX 10 {GOOD_MX.upper()}."),
    "well-by-alias": Domain(
        sts="_mta-sts.{d} CNAME id.{d}\nid.{d} CNAME id2.{d}",
        host="mta-sts.{d} CNAME web.{d}\nweb.{d} A {web}",
        more='id2.{d} TXT "v=STSv1; id={id};"',
    ),
    "well-charset": Domain(web=Web(directives='default_type "text/plain; charset=utf-8"; try_files /$host.txt =404;')),
    "well-wildcard-certificate": Domain(web=Web(named("*.{parent}")), mail=Mail(named("*.{parent}"))),
    "well-https-reports": Domain(tlsrpt=tlsrpt(f'"v=TLSRPTv1; rua=mailto:a@{REPORTS},https://{REPORTS}/r"')),
    "well-dane-whole-certificate": Domain(mail=Mail(tlsa=("3 0 0 {mail-cert-whole}",))),
    "well-dane-sha512": Domain(mail=Mail(tlsa=("3 1 2 {mail-spki512}",))),
    "well-dane-authority": Domain(mail=Mail(tlsa=("2 1 1 {mail-issuer-spki}",))),
}

FAULTS: dict[str, Domain] = {**RECORDS, **HOSTS, **POLICIES, **MX, **DANE, **REPORTING}
