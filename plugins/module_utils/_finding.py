# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The finding codes, one table: what a check can say, how grave it is, and what to do about it.

A finding is one result of one check. Its code never changes its meaning; what was seen is bounded text from
the network, made printable here so that no report can be garbled by a banner or a policy body.
Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

ERROR = "error"
WARNING = "warning"
NOTICE = "notice"
# The gravest first.
SEVERITIES: t.Final = (ERROR, WARNING, NOTICE)

SEEN_LIMIT = 200


@dataclass(frozen=True)
class Kind:
    """What every finding of one code has in common."""

    severity: str
    title: str
    remedy: str
    reference: str


KINDS: t.Final[dict[str, Kind]] = {
    # The TXT record at _mta-sts.<domain>
    "record-missing": Kind(
        ERROR,
        "no MTA-STS record",
        "publish the TXT record once the policy is served",
        "RFC 8461 3.1",
    ),
    "record-unusable": Kind(
        ERROR,
        "the MTA-STS record is not usable",
        "leave exactly one TXT record, 'v=STSv1; id=...', at this name",
        "RFC 8461 3.1",
    ),
    "record-foreign": Kind(
        WARNING,
        "TXT records that are not MTA-STS share the name",
        "remove them: some senders ignore the policy when they see another TXT record",
        "RFC 8461 3.1",
    ),
    "dns-failure": Kind(
        ERROR,
        "DNS did not answer",
        "mend the name servers of this domain; senders that meet this may delay mail",
        "RFC 8461 3.1",
    ),
    # The policy at https://mta-sts.<domain>/.well-known/mta-sts.txt
    "policy-host-missing": Kind(
        ERROR,
        "the policy host has no address",
        "give the name A or AAAA records, or a CNAME, that lead to the policy hosts",
        "RFC 8461 3.3",
    ),
    "policy-unreachable": Kind(
        ERROR,
        "the policy host cannot be reached",
        "see that the web server listens on port 443 and that no firewall is in the way",
        "RFC 8461 3.3",
    ),
    "policy-certificate": Kind(
        ERROR,
        "the policy host's certificate does not verify",
        "serve a valid chain whose DNS-ID is the policy host's name",
        "RFC 8461 3.3",
    ),
    "policy-http": Kind(
        ERROR,
        "the policy is not delivered as senders require",
        "answer 200 with text/plain, without a redirect, and at most 64 KiB",
        "RFC 8461 3.3",
    ),
    "policy-invalid": Kind(
        ERROR,
        "the policy does not fit the grammar",
        "publish a policy that does",
        "RFC 8461 3.2",
    ),
    "policy-differs": Kind(
        ERROR,
        "the policy is not the expected one",
        "bring every policy host to the same policy before its id is announced",
        "RFC 8461 8.1",
    ),
    # The MX hosts
    "mx-missing": Kind(
        WARNING,
        "the domain has no MX record",
        "publish MX records, or withdraw the policy of a domain that receives no mail",
        "RFC 8461 4.1",
    ),
    "mx-unmatched": Kind(
        ERROR,
        "an MX host is matched by no pattern of the policy",
        "add the host to the policy; enforcing senders refuse to deliver to it",
        "RFC 8461 4.1",
    ),
    "mx-unused": Kind(
        NOTICE,
        "a pattern of the policy matches no MX host",
        "remove it once no sender can hold a policy without its successor",
        "RFC 8461 4.1",
    ),
    "mx-address-missing": Kind(
        ERROR,
        "an MX host has no address",
        "give it A or AAAA records, or take it out of the MX records",
        "RFC 8461 4.1",
    ),
    "mx-unreachable": Kind(
        WARNING,
        "an MX host could not be probed",
        "see that it answers on port 25, and that port 25 is open from where the probe runs",
        "RFC 8461 4.2",
    ),
    "mx-starttls": Kind(
        ERROR,
        "an MX host does not offer a working STARTTLS",
        "turn TLS on for port 25",
        "RFC 8461 4.2",
    ),
    "mx-certificate": Kind(
        ERROR,
        "an MX host's certificate does not verify",
        "give it a valid chain, in date, with the MX host's own name as a DNS-ID",
        "RFC 8461 4.2",
    ),
    # The TLSRPT record at _smtp._tls.<domain>
    "tlsrpt-missing": Kind(
        NOTICE,
        "no TLSRPT record",
        "publish one to hear of failures that senders meet",
        "RFC 8460 3",
    ),
    "tlsrpt-unusable": Kind(
        WARNING,
        "the TLSRPT record is not usable",
        "leave exactly one TXT record, 'v=TLSRPTv1; rua=...', at this name",
        "RFC 8460 3",
    ),
    # The check itself
    "probe-failure": Kind(
        ERROR,
        "the check met what it was not made for",
        "report it to the authors of this collection, with what was seen",
        "RFC 8461 3",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One result of one check.

    C(subject) is the thing it is about (a name, or C(host:port)), C(seen) what was seen there.
    """

    code: str
    subject: str
    seen: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", printable(self.seen))

    @property
    def severity(self) -> str:
        return KINDS[self.code].severity

    @property
    def message(self) -> str:
        """The finding in one line, for people."""
        return f"{self.subject}: {self.seen}"

    def to_dict(self) -> dict[str, str]:
        """The finding as it stands in the documents."""
        kind = KINDS[self.code]
        return {
            "code": self.code,
            "severity": kind.severity,
            "title": kind.title,
            "subject": self.subject,
            "seen": self.seen,
            "remedy": kind.remedy,
            "reference": kind.reference,
        }


def printable(text: str, limit: int = SEEN_LIMIT) -> str:
    """Text from the network, bounded, on one line and without control characters."""
    clean = "".join(char if char.isprintable() else "?" for char in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


def worst(findings: t.Iterable[Finding]) -> t.Optional[str]:
    """The gravest severity among findings; none when there are none."""
    present = {finding.severity for finding in findings}
    return next((severity for severity in SEVERITIES if severity in present), None)
