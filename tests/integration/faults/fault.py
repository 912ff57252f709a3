# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a domain can be set up, rightly or wrongly: its records, its web server, its mail servers."""

from __future__ import annotations

import ssl
import typing as t
from dataclasses import dataclass, field

from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, policy_id, render_policy
from odd import Behaviour
from tls import CLIENTS, Authority, self_signed

# Zones: signed and validated, not signed, signed so that nothing validates, and with something wrong with the
# second name server: it differs, it is not there, it does not know the zone, its name leads nowhere.
SIGNED, PLAIN, BOGUS, DIFFERS = "signed.test", "plain.test", "bogus.test", "differs.test"
SILENT, LAME, NAMELESS = "silent.test", "lame.test", "nameless.test"
# Of which some name servers are not even that.
HOSTILE = "hostile.test"
ZONES = (SIGNED, PLAIN, BOGUS, DIFFERS, SILENT, LAME, NAMELESS, HOSTILE)
# Nobody answers for it.
VOID = "void.test"

# The MX host of whoever has none of its own, the first with DANE, and where TLSRPT reports go.
GOOD_MX, PLAIN_MX = f"mx.{SIGNED}", f"mx.{PLAIN}"
REPORTS = f"reports.{SIGNED}"
# With the least that pleases every sender.
MAX_AGE = 2592000
TEXT = render_policy(Policy("enforce", (GOOD_MX,), MAX_AGE))


class Authorities:
    """Those who issue the certificates."""

    def __init__(self) -> None:
        self.root = Authority()
        self.between = Authority(issuer=self.root)
        self.expired = Authority(issuer=self.root, ends=-1)
        self.unknown = Authority()


Certificate = t.Callable[[Authorities, t.Sequence[str]], bytes]


def good(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.between.issue(*names)


def expired(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.between.issue(*names, expired=True)


def to_come(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.between.issue(*names, begins=2)


def expiring(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.between.issue(*names, ends=3)


def expired_between(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.expired.issue(*names)


def for_itself(_authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return self_signed(*names)


def of_unknown(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.unknown.issue(*names)


def without_chain(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.between.issue(*names, with_chain=False)


def common_name_only(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.between.issue(common_name=names[0])


def for_clients(authorities: Authorities, names: t.Sequence[str]) -> bytes:
    return authorities.between.issue(*names, purpose=CLIENTS)


def named(*patterns: str) -> Certificate:
    """For these names, in which C({name}) stands for that of the server and C({parent}) for what is above it."""

    def issue(authorities: Authorities, names: t.Sequence[str]) -> bytes:
        parts = {"name": names[0], "parent": names[0].partition(".")[2]}
        return authorities.between.issue(*(pattern.format(**parts) for pattern in patterns))

    return issue


@dataclass(frozen=True)
class Web:
    """A policy host: nginx, or something that is stranger than nginx can be."""

    certificate: Certificate = good
    directives: str = ""
    # What stands in the server block.
    server: str = ""
    behaviour: Behaviour | None = None
    # Without TLS.
    plain: bool = False

    @property
    def is_apart(self) -> bool:
        """Whether it needs an address of its own."""
        return bool(self.server or self.behaviour or self.plain)


@dataclass(frozen=True)
class Mail:
    """An MX host: Postfix with these options, or something stranger. Without certificate it offers no STARTTLS."""

    certificate: Certificate | None = good
    options: tuple[str, ...] = ()
    # TLSA records, in which {spki}, {cert} and so on stand for what matches.
    tlsa: tuple[str, ...] = ()
    behaviour: Behaviour | None = None
    # The same for one that needs the certificate.
    behaviour_over: t.Callable[[ssl.SSLContext], Behaviour] | None = None


@dataclass(frozen=True)
class Domain:
    """A domain, and what shall be found there: each code, with a part of C(subject: seen).

    Records are lines of a zone file, in which {d} stands for the domain ({domain}: without its dot), {mx} and {mx2}
    for its MX hosts, {web}, {web2}, {mail} and {mail2} for the addresses of its servers, {closed} for one where nobody
    listens, and {silent} for one where somebody does and never says a word.
    """

    finds: t.Mapping[str, str] = field(default_factory=dict)
    sts: str = '_mta-sts.{d} TXT "v=STSv1; id={id}"'
    # In place of that on the second name server.
    sts2: str | None = None
    tlsrpt: str = f'_smtp._tls.{{d}} TXT "v=TLSRPTv1; rua=mailto:tls@{REPORTS}"'
    host: str = "mta-sts.{d} A {web}"
    mx: str | None = None
    mail_host: str | None = None
    more: str = ""
    zone: str = SIGNED
    # Names whose signatures are damaged.
    forged: tuple[str, ...] = ()
    policy: Policy | bytes | None = None
    # What the second web server has in place of that.
    policy2: bytes | None = None
    # What the inventory wants, of a domain of ours.
    wanted: Policy | None = None
    web: Web = Web()
    mail: Mail | None = None
    mail2: Mail | None = None
    verdict: str | None = None

    @property
    def mx_hosts(self) -> list[str]:
        """The names of its MX hosts, in which {d} stands for the domain."""
        own = ["mx.{d}" for _mail in (self.mail,) if _mail] + ["mx2.{d}" for _mail in (self.mail2,) if _mail]
        return own or [GOOD_MX if self.zone == SIGNED else PLAIN_MX]

    def body(self, name: str) -> bytes:
        """What its policy host serves."""
        if isinstance(self.policy, bytes):
            return self.policy.replace(b"{d}", name.encode())
        mx = tuple(host.format(d=name) for host in self.mx_hosts)
        return render_policy(self.policy or Policy("enforce", mx, MAX_AGE))

    def lines(self, name: str, places: t.Mapping[str, str], *, second: bool = False) -> list[str]:
        """Its records, as the first or the second name server has them."""
        hosts = [host.format(d=name) for host in self.mx_hosts]
        mx = [f"{{d}} MX {number}0 {host}." for number, host in enumerate(hosts, 1)]
        mails = {"mx": self.mail, "mx2": self.mail2}
        own = [f"{{{mx}}} A {{{mx.replace('x', 'ail')}}}" for mx, mail in mails.items() if mail]
        tlsa = [f"_25._tcp.{{{mx}}} TLSA {data}" for mx, mail in mails.items() if mail for data in mail.tlsa]
        text = "\n".join(
            [
                self.sts2 if second and self.sts2 is not None else self.sts,
                self.tlsrpt,
                self.host,
                *(mx if self.mx is None else [self.mx]),
                *(own if self.mail_host is None else [self.mail_host]),
                *tlsa,
                self.more,
            ]
        )
        known = {
            "d": f"{name}.",
            "domain": name,
            "mx": f"mx.{name}.",
            "mx2": f"mx2.{name}.",
            "id": policy_id(self.body(name)),
        }
        return fill(text, {**places, **known}).splitlines()


def fill(text: str, parts: t.Mapping[str, str]) -> str:
    """The text with its placeholders filled in; what is hostile in it is left as it is."""
    for key, value in parts.items():
        text = text.replace(f"{{{key}}}", value)
    return text
