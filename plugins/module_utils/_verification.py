# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a verification found, as a document: what was seen of each domain and each MX host, with the sums.

Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from collections import Counter

from ._finding import SEVERITIES

SCHEMA = "postmaster.mta_sts/verify/1"

# The best first.
VERDICTS: t.Final = ("enforce", "testing", "none", "absent", "broken")

# Whose certificate it is.
POLICY_HOST = "policy"
MX_HOST = "mx"

Document = dict[str, t.Any]


def make_verification(observed: t.Mapping[str, t.Any], started: dt.datetime, now: dt.datetime) -> Document:
    """The document of a verification, from what was observed."""
    domains: dict[str, Document] = observed["domains"]
    verdicts = Counter(seen["verdict"] for seen in domains.values())
    codes = Counter(code for seen in domains.values() for code in _codes(seen))
    return {
        "schema": SCHEMA,
        "at": now.isoformat(timespec="seconds"),
        "seconds": round((now - started).total_seconds()),
        "counts": {verdict: verdicts[verdict] for verdict in VERDICTS if verdicts[verdict]},
        "finding_counts": dict(sorted(codes.items())),
        "domains": domains,
        "mx_hosts": observed.get("mx_hosts", {}),
    }


def worst_severity(findings: t.Sequence[Document]) -> str:
    """The gravest severity among findings as documents have them; empty when there are none."""
    present = {finding["severity"] for finding in findings}
    return next((severity for severity in SEVERITIES if severity in present), "")


def seen_certificates(document: t.Mapping[str, t.Any]) -> list[tuple[str, Document]]:
    """Every certificate that a document has, with whose it is; the one that ends first comes first."""
    found = [(POLICY_HOST, one) for seen in document["domains"].values() for one in seen.get("certificates", ())]
    found += [(MX_HOST, one) for seen in document.get("mx_hosts", {}).values() for one in seen.get("certificates", ())]
    return sorted(found, key=lambda pair: (dt.datetime.fromisoformat(pair[1]["not_after"]), pair[1]["subject"]))


def _codes(seen: Document) -> set[str]:
    return {finding["code"] for finding in seen["findings"]}
