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
        ERROR, "no MTA-STS record", "publish the TXT record once the policy is served", "RFC 8461 3.1"
    ),
    "record-unusable": Kind(
        ERROR,
        "the MTA-STS record does not fit the grammar",
        "publish 'v=STSv1; id=...', with an id of 1 to 32 letters and digits",
        "RFC 8461 3.1",
    ),
    "record-several": Kind(
        ERROR,
        "there is more than one MTA-STS record",
        "leave exactly one TXT record that begins with 'v=STSv1;'",
        "RFC 8461 3.1",
    ),
    "record-stale": Kind(
        ERROR,
        "the id in DNS is not that of the policy that is served",
        "run the rollout, and see why it did not announce the policy",
        "RFC 8461 8.1",
    ),
    "record-foreign": Kind(
        WARNING,
        "TXT records that are not MTA-STS share the name",
        "remove them: some senders ignore the policy when they see another TXT record",
        "RFC 8461 3.1",
    ),
    "record-duplicate-field": Kind(
        WARNING,
        "a field stands twice in the MTA-STS record",
        "write it once: the first one counts, and some senders take the last or none",
        "RFC 8461 3.1",
    ),
    "record-split": Kind(
        WARNING,
        "the MTA-STS record is split into several strings",
        "publish it as one string: some senders cut it or put a space between",
        "RFC 8461 3.1",
    ),
    "record-elsewhere": Kind(
        WARNING,
        "an MTA-STS record stands at a name where no sender looks",
        "remove it; the name is _mta-sts.<domain>",
        "RFC 8461 3.1",
    ),
    "record-extension": Kind(
        NOTICE,
        "the MTA-STS record has fields that RFC 8461 does not know",
        "remove them: some senders refuse what they do not know",
        "RFC 8461 3.1",
    ),
    "record-space": Kind(
        NOTICE,
        "the MTA-STS record has a blank before a semicolon",
        "remove it: some senders split at ';' and keep the blank",
        "RFC 8461 3.1",
    ),
    # DNS itself
    "dns-failure": Kind(
        ERROR,
        "DNS did not answer",
        "mend the name servers of this domain; senders that meet this may delay mail",
        "RFC 8461 3.1",
    ),
    "dnssec-bogus": Kind(
        ERROR,
        "DNSSEC validation fails",
        "sign the zone anew, or correct the DS records at its parent; validating senders get no answer at all",
        "RFC 4035 5.5",
    ),
    "delegation-broken": Kind(
        ERROR,
        "a CNAME leads to a name that is not there",
        "publish what is missing at the target, or remove the CNAME",
        "RFC 8461 8.2",
    ),
    "authority-differs": Kind(
        ERROR,
        "the name servers of the zone do not say the same",
        "see why the zone is not transferred; some senders get an old id",
        "RFC 8461 8.1",
    ),
    "authority-ttl": Kind(
        WARNING,
        "the name servers of the zone publish the record with different TTLs",
        "bring the zone to the same version on all of them",
        "RFC 2181 5.2",
    ),
    "authority-silent": Kind(
        WARNING,
        "a name server of the zone gives no answer",
        "mend the server, or take it out of the NS records",
        "RFC 1034 4.1",
    ),
    # The policy at https://mta-sts.<domain>/.well-known/mta-sts.txt: the way there
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
    "policy-tls": Kind(
        ERROR,
        "the TLS handshake with the policy host fails",
        "offer TLS 1.2 and 1.3, and have a certificate for this name",
        "RFC 8461 3.3",
    ),
    "policy-certificate": Kind(
        ERROR,
        "the policy host's certificate does not verify",
        "serve a certificate that is meant for servers, from a CA that is publicly trusted",
        "RFC 8461 3.3",
    ),
    "policy-certificate-name": Kind(
        ERROR,
        "the policy host's certificate is for another name",
        "have one with the policy host's name as DNS-ID (subjectAltName); a common name does not count",
        "RFC 8461 3.3",
    ),
    "policy-certificate-date": Kind(
        ERROR,
        "the policy host's certificate is not valid at this time",
        "renew it, load it, and see why that did not happen by itself",
        "RFC 8461 3.3",
    ),
    "policy-certificate-self-signed": Kind(
        ERROR,
        "the policy host's certificate is self-signed",
        "have one from a CA that is publicly trusted",
        "RFC 8461 3.3",
    ),
    "policy-certificate-chain": Kind(
        ERROR,
        "the policy host's certificate leads to no trusted root",
        "serve the intermediate certificates with it (fullchain.pem); use a publicly trusted CA",
        "RFC 8461 3.3",
    ),
    "policy-certificate-expiring": Kind(
        WARNING, "the policy host's certificate ends soon", "see why it was not renewed yet", "RFC 8461 3.3"
    ),
    "policy-tls-without-12": Kind(
        WARNING,
        "the policy host does not offer TLS 1.2",
        "offer it beside TLS 1.3: some senders have nothing newer",
        "RFC 8461 3.3",
    ),
    "policy-tls-without-13": Kind(
        NOTICE, "the policy host does not offer TLS 1.3", "offer it beside TLS 1.2", "RFC 8461 3.3"
    ),
    # What is served there
    "policy-redirect": Kind(
        ERROR,
        "the policy host redirects",
        "serve the policy at this very address: senders follow no redirect",
        "RFC 8461 3.3",
    ),
    "policy-status": Kind(
        ERROR,
        "the policy host does not answer with status 200",
        "serve the policy to everybody, whatever the User-Agent",
        "RFC 8461 3.3",
    ),
    "policy-type": Kind(
        ERROR, "the policy does not come as text/plain", "send 'Content-Type: text/plain'", "RFC 8461 3.2"
    ),
    "policy-encoding": Kind(
        ERROR,
        "the policy comes encoded",
        "serve it without Content-Encoding to who does not ask for one",
        "RFC 8461 3.3",
    ),
    "policy-size": Kind(ERROR, "the policy is larger than senders read", "serve at most 64 KiB", "RFC 8461 3.3"),
    "policy-http": Kind(
        ERROR,
        "the policy host does not speak HTTP as it should",
        "serve the policy with a web server that does",
        "RFC 8461 3.3",
    ),
    "policy-slow": Kind(
        WARNING,
        "the policy takes long to come",
        "answer within 2 seconds: some senders give up after 4",
        "RFC 8461 3.3",
    ),
    "policy-differs": Kind(
        ERROR,
        "the addresses of the policy host do not serve the same",
        "bring every policy host to the same policy before its id is announced",
        "RFC 8461 8.1",
    ),
    "policy-invalid": Kind(ERROR, "the policy does not fit the grammar", "publish a policy that does", "RFC 8461 3.2"),
    "policy-duplicate-field": Kind(
        WARNING,
        "a field stands twice in the policy",
        "write it once: the first one counts, and some senders take the last or none",
        "RFC 8461 3.2",
    ),
    "policy-max-age": Kind(
        WARNING,
        "max_age is shorter than senders like it",
        "use 2592000 (30 days), and 86400 (1 day) while testing",
        "RFC 8461 3.2",
    ),
    "policy-large": Kind(
        WARNING,
        "the policy is larger than some senders read",
        "use '*.' patterns: some senders read 10 KiB",
        "RFC 8461 3.2",
    ),
    "policy-extension": Kind(
        NOTICE,
        "the policy has fields that RFC 8461 does not know",
        "remove them: some senders refuse what they do not know",
        "RFC 8461 3.2",
    ),
    "policy-line-ends": Kind(
        NOTICE,
        "the lines of the policy do not all end with CRLF",
        "end them with CRLF, which every sender takes",
        "RFC 8461 3.2",
    ),
    "policy-without-mx": Kind(
        NOTICE,
        "the policy has mode none and no mx",
        "keep the mx lines: some senders refuse a policy without",
        "RFC 8461 3.2",
    ),
    # The MX hosts
    "mx-missing": Kind(
        WARNING,
        "the domain has no MX record and no address",
        "publish MX records, or withdraw the policy of a domain that receives no mail",
        "RFC 8461 4.1",
    ),
    "mx-null": Kind(
        WARNING,
        "the domain receives no mail, and has a policy",
        "withdraw the policy, or publish MX records in place of the null MX",
        "RFC 7505 3",
    ),
    "mx-implicit": Kind(
        WARNING,
        "the domain has no MX record; mail goes to its own address",
        "publish an MX record: with a policy, hosts should be named",
        "RFC 5321 5.1",
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
    "mx-alias": Kind(
        WARNING,
        "an MX host is a CNAME",
        "name the target in the MX record: senders differ in which of the names they match",
        "RFC 2181 10.3",
    ),
    "mx-unreachable": Kind(
        WARNING,
        "an MX host could not be probed",
        "see that it answers on port 25, and that port 25 is open from where the probe runs",
        "RFC 8461 4.2",
    ),
    "mx-greeting": Kind(
        WARNING,
        "an MX host does not greet with 220",
        "see why it turns mail away, or whether it does so only to the host that the probe ran on",
        "RFC 5321 3.1",
    ),
    "mx-starttls": Kind(
        ERROR, "an MX host does not offer a working STARTTLS", "turn TLS on for port 25", "RFC 8461 4.2"
    ),
    "mx-tls": Kind(
        ERROR, "the TLS handshake with an MX host fails", "offer TLS 1.2 and 1.3 on port 25", "RFC 8461 4.2"
    ),
    "mx-certificate": Kind(
        ERROR,
        "an MX host's certificate does not verify",
        "serve a certificate that is meant for servers, from a CA that is publicly trusted",
        "RFC 8461 4.2",
    ),
    "mx-certificate-name": Kind(
        ERROR,
        "an MX host's certificate is for another name",
        "have one with the MX host's own name as DNS-ID (subjectAltName); a common name does not count",
        "RFC 8461 4.2",
    ),
    "mx-certificate-date": Kind(
        ERROR,
        "an MX host's certificate is not valid at this time",
        "renew it, load it, and see why that did not happen by itself",
        "RFC 8461 4.2",
    ),
    "mx-certificate-self-signed": Kind(
        ERROR, "an MX host's certificate is self-signed", "have one from a CA that is publicly trusted", "RFC 8461 4.2"
    ),
    "mx-certificate-chain": Kind(
        ERROR,
        "an MX host's certificate leads to no trusted root",
        "serve the intermediate certificates with it (fullchain.pem); use a publicly trusted CA",
        "RFC 8461 4.2",
    ),
    "mx-certificate-expiring": Kind(
        WARNING, "an MX host's certificate ends soon", "see why it was not renewed yet", "RFC 8461 4.2"
    ),
    "mx-tls-without-12": Kind(
        WARNING,
        "an MX host does not offer TLS 1.2",
        "offer it beside TLS 1.3: some senders have nothing newer",
        "RFC 8461 4.2",
    ),
    "mx-tls-without-13": Kind(NOTICE, "an MX host does not offer TLS 1.3", "offer it beside TLS 1.2", "RFC 8461 4.2"),
    # DANE at the MX hosts, which senders that know it put before MTA-STS
    "dane-mismatch": Kind(
        ERROR,
        "no TLSA record matches the certificate that an MX host serves",
        "publish a record for the served key; senders that know DANE deliver nothing here, whatever the policy says",
        "RFC 7672 2.2",
    ),
    "dane-unusable": Kind(
        WARNING,
        "no TLSA record of an MX host is of a kind that is used for mail",
        "publish '3 1 1', or '2 1 1' for the key of a CA",
        "RFC 7672 3.1",
    ),
    "dane-partly-unusable": Kind(
        NOTICE,
        "some TLSA records of an MX host are of no kind that is used for mail",
        "remove them: senders go by the others; usages 0 and 1 are not for mail",
        "RFC 7672 3.1.3",
    ),
    "dane-unmatched": Kind(
        NOTICE,
        "a TLSA record of an MX host is of no certificate that it serves",
        "leave it while a key is replaced, as it is that of the next one; remove it otherwise",
        "RFC 7671 8.1",
    ),
    "dane-insecure": Kind(
        WARNING,
        "an MX host has TLSA records in a zone that is not signed",
        "sign the zone, or remove the records: without DNSSEC nobody uses them",
        "RFC 7672 2.2",
    ),
    "dane-partial": Kind(
        NOTICE,
        "some MX hosts of the domain have TLSA records and others have not",
        "publish them for all: an attacker chooses the host without",
        "RFC 7672 2.2",
    ),
    # The TLSRPT record at _smtp._tls.<domain>
    "tlsrpt-missing": Kind(
        NOTICE, "no TLSRPT record", "publish one to hear of failures that senders meet", "RFC 8460 3"
    ),
    "tlsrpt-unusable": Kind(
        WARNING,
        "the TLSRPT record is not usable",
        "leave exactly one TXT record, 'v=TLSRPTv1; rua=...', at this name",
        "RFC 8460 3",
    ),
    "tlsrpt-undeliverable": Kind(
        WARNING,
        "reports cannot reach one of the addresses they should go to",
        "correct the address in rua, or the DNS records of its domain",
        "RFC 8460 3",
    ),
    "tlsrpt-split": Kind(
        WARNING,
        "the TLSRPT record is split into several strings",
        "publish it as one string: some reporters put a space between",
        "RFC 8460 3",
    ),
    "tlsrpt-foreign": Kind(NOTICE, "TXT records that are not TLSRPT share the name", "remove them", "RFC 8460 3"),
    "tlsrpt-order": Kind(
        NOTICE,
        "rua is not the second field of the TLSRPT record",
        "write it right after the version: some reporters look nowhere else",
        "RFC 8460 3",
    ),
    "tlsrpt-same-domain": Kind(
        NOTICE,
        "all reports go to the domain that they are about",
        "name an address elsewhere too: reports of a failure meet the same failure",
        "RFC 8460 5.3",
    ),
    "tlsrpt-old-name": Kind(
        NOTICE,
        "a TLSRPT record stands at a name of an old draft",
        "remove it; the name is _smtp._tls.<domain>",
        "RFC 8460 3",
    ),
    # The check itself
    "probe-incomplete": Kind(
        WARNING,
        "looking at it took too long, and was given up",
        "see whether name servers, policy host or MX host are slow, or raise the timeout",
        "RFC 8461 3.3",
    ),
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
    clean = text[: limit + 1]
    if not clean.isprintable():
        clean = "".join(char if char.isprintable() else "?" for char in clean)
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


def worst(findings: t.Iterable[Finding]) -> t.Optional[str]:
    """The gravest severity among findings; none when there are none."""
    present = {finding.severity for finding in findings}
    return next((severity for severity in SEVERITIES if severity in present), None)
