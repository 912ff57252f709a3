# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""DANE first, MTA-STS second: which TLS policy Postfix is given for a destination. Private to this collection.

Postfix takes what smtp_tls_policy_maps says instead of DANE, so that an MTA-STS policy that is answered there would
override a failing DANE, which RFC 8461 2 forbids. Replies are those of socketmap_table(5).
"""

from __future__ import annotations

import typing as t

NOT_FOUND = "NOTFOUND "
# Delivered only to MX hosts that DANE authenticates; what has no TLSA records is passed over.
DANE_ONLY = "OK dane-only"
# As DANE_ONLY where all MX hosts have TLSA records, but Postfix takes MX records that are not signed, too.
DANE = "OK dane"


class Host(t.NamedTuple):
    """An MX host, as DNS tells of it."""

    name: str
    dane: bool
    """It has a TLSA record that is signed and can be used (RFC 7672 2.2.2)."""


def is_domain(key: str) -> bool:
    """Whether a key is a recipient's domain, and no relay, port, address or parent of the domain (RFC 8461 5)."""
    return not set(key) & set("[]:") and not key.startswith(".") and "." in key


def enforces(reply: str) -> bool:
    """Whether the MTA-STS daemon found a policy that is to be enforced."""
    return reply.startswith("OK secure ")


def usable(usage: int, selector: int, matching: int) -> bool:
    """Whether a TLSA record can authenticate an MX host (RFC 7672 3.1): else DANE does not apply to it."""
    return usage in (2, 3) and selector in (0, 1) and matching in (0, 1, 2)


def choose(reply: str, signed: bool, hosts: t.Sequence[Host]) -> str:
    """What Postfix is told, from the reply that enforces MTA-STS, and from what DNS says of the MX hosts.

    signed is whether the MX records are. Where they are not, it is the policy that keeps a forged MX host out, so that
    DANE takes its place only if all hosts have TLSA records and the policy names them (RFC 7672 2.2.1).
    """
    if not any(host.dane for host in hosts):
        return reply
    if signed:
        return DANE_ONLY
    patterns = _patterns(reply)
    if all(host.dane and _named(host.name, patterns) for host in hosts):
        return DANE
    return reply


def _patterns(reply: str) -> list[str]:
    found = [word[len("match=") :] for word in reply.split() if word.startswith("match=")]
    return found[0].lower().split(":") if found else []


def _named(host: str, patterns: t.Sequence[str]) -> bool:
    """Postfix writes *.example.com as .example.com; it is one label (RFC 8461 4.1)."""
    return host in patterns or "." + host.partition(".")[2] in patterns
