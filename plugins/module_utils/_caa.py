# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether CAA records let a certification authority issue (RFC 8659 4, RFC 8657 4).

Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t

# Properties that say nothing of certificates for servers, or not of those without a wildcard.
OTHER_PROPERTIES: t.Final = frozenset({"issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"})
CRITICAL: t.Final = 0x80
METHOD: t.Final = "http-01"


def caa_refusal(name: str, records: t.Sequence[t.Mapping[str, t.Any]], identities: t.Collection[str]) -> str:
    """Why no certificate will be issued; empty if one may be, as far as the records tell.

    C(name) is where the records stand. C(identities) are the domain names that our certification authority takes for
    its own; without any, only what forbids everybody is told.
    """
    unknown = [
        record["tag"]
        for record in records
        if record["flags"] & CRITICAL and record["tag"] not in OTHER_PROPERTIES | {"issue"}
    ]
    if unknown:
        return f"{name} has a critical CAA property {unknown[0]!r}, with which no authority issues"
    values = [record["value"] for record in records if record["tag"] == "issue"]
    if not values:
        return ""
    issuers = {_issuer(value) for value in values}
    if not issuers - {""}:
        return f"the CAA records of {name} let nobody issue certificates"
    ours = {identity.lower() for identity in identities}
    if ours and not issuers & ours:
        allowed, wanted = ", ".join(sorted(issuers - {""})), ", ".join(sorted(ours))
        return f"the CAA records of {name} let {allowed} issue certificates, and not {wanted}"
    if ours and not any(_issuer(value) in ours and _allows_method(value) for value in values):
        return f"the CAA records of {name} do not let certificates be issued by {METHOD}"
    return ""


def _issuer(value: str) -> str:
    return value.partition(";")[0].strip().lower().rstrip(".")


def _allows_method(value: str) -> bool:
    """RFC 8657 4: without that parameter, any method is allowed."""
    for parameter in value.split(";")[1:]:
        tag, _equals, setting = parameter.partition("=")
        if tag.strip().lower() == "validationmethods":
            return METHOD in [method.strip().lower() for method in setting.split(",")]
    return True
