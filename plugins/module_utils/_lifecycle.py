# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What may be done for one domain now: the one place where that is decided.

L(decide) is a pure function of what is wanted, what was served before, what is seen, and the time. It is asked
several times in a run, each time with more known: before a proof there is nothing to announce, after it there
may be. A domain that is not moved further carries at least one L(Hold) that says why.

Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from dataclasses import dataclass

from ._inventory import SHORT_MAX_AGE, Desired
from ._policy import Policy, policy_id, render_policy

# What the address records of mta-sts.<domain> lead to.
ADDRESS_OURS = "ours"
ADDRESS_MISSING = "missing"
ADDRESS_ELSEWHERE = "elsewhere"
ADDRESS_UNKNOWN = "unknown"

HOLD_CODES: t.Final[dict[str, str]] = {
    "unobserved": "nothing was observed of the domain yet",
    "dns-failure": "DNS did not answer, so DNS is left as it is",
    "address-elsewhere": "mta-sts.<domain> leads to an address that is no policy host",
    "address-missing": "mta-sts.<domain> has no address, and its records are kept elsewhere",
    "record-foreign": "TXT records that are not ours stand at _mta-sts.<domain>",
    "certificate": "a policy host has no certificate for mta-sts.<domain>",
    "proof-missing": "the policy was not yet proved on every policy host",
    "proof-failed": "a policy host does not serve the expected policy to a strict sender",
    "record-failed": "a DNS record could not be brought to its wanted state",
    "renewal": "a policy host serves the policy with a certificate that it could not refresh",
    "withdrawal": "the domain is being withdrawn",
    "tlsrpt-foreign": "a TXT record that is not ours keeps the TLSRPT record out; the policy goes on without it",
}


@dataclass(frozen=True)
class Hold:
    """Why a domain is not moved further in this run, and from when it may be, where that is known."""

    code: str
    message: str
    until: t.Optional[dt.datetime] = None


@dataclass(frozen=True)
class Served:
    """History: a policy that a policy host serves."""

    host: str
    policy: Policy


@dataclass(frozen=True)
class Proof:
    """The outcome of fetching a policy from every policy host, and once the public way."""

    # The id of the policy that was looked for; a proof of another policy proves nothing.
    id: str
    # How many fetches returned exactly the expected bytes, and what the others met.
    fetched: int
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """What is known of a domain in the world outside."""

    address: str = ADDRESS_UNKNOWN
    addresses: tuple[str, ...] = ()
    # TXT records at _mta-sts.<domain> that do not begin as an MTA-STS record does.
    foreign_records: tuple[str, ...] = ()
    # Likewise at _smtp._tls.<domain>.
    foreign_tlsrpt_records: tuple[str, ...] = ()
    # Of policy hosts that did not get through the handshake.
    certificate_failures: tuple[str, ...] = ()
    proof: t.Optional[Proof] = None
    # Of policy hosts that serve the policy with the certificate that they had.
    renewal_failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What may be done for a domain now."""

    # pending, testing, enforcing, none, withdrawing or absent
    stage: str
    # The policy that every policy host shall serve; none for a domain that never had one and shall not.
    policy: t.Optional[Policy]
    # Its id may be put into DNS.
    announce: bool
    # A certificate may be asked for: the name leads, or is about to lead, to the policy hosts.
    certificate: bool
    holds: tuple[Hold, ...]
    at: dt.datetime


STAGES = {"testing": "testing", "enforce": "enforcing", "none": "none"}


def decide(desired: Desired, history: t.Sequence[Served], observed: t.Optional[Observed], now: dt.datetime) -> Decision:
    """The next safe step for one domain.

    C(observed) is none as long as nothing was looked at. Never raises.
    """
    policy = policy_to_serve(desired, history)
    if policy is None:
        return Decision("absent", None, announce=False, certificate=False, holds=(), at=now)
    if observed is None:
        unobserved = Hold("unobserved", HOLD_CODES["unobserved"])
        return Decision("pending", policy, announce=False, certificate=False, holds=(unobserved,), at=now)
    standing = _holds_before_proof(desired, observed)
    certificate = not any(hold.code.startswith(("address-", "dns-")) for hold in standing)
    holds = standing or _holds_of_proof(policy, observed)
    announce = not holds
    stage = STAGES[policy.mode] if announce else "pending"
    if desired.state == "absent" and announce:
        stage = "withdrawing"
        holds = (
            Hold(
                "withdrawal",
                "the policy says 'none'; keep it served and announced until no sender can hold an older policy",
            ),
        )
    # What is wrong beside the policy is told, and holds nothing back.
    renewal = tuple(Hold("renewal", text) for text in observed.renewal_failures)
    holds += renewal + _holds_of_tlsrpt(desired, observed)
    return Decision(stage, policy, announce, certificate, holds, now)


def policy_to_serve(desired: Desired, history: t.Sequence[Served]) -> t.Optional[Policy]:
    """The policy for the domain's desired state.

    A withdrawn domain gets mode none and keeps its mx lines, which several senders insist on (RFC 8461 8.3).
    """
    if desired.state == "present":
        short = desired.mode != "enforce"
        max_age = min(desired.max_age, SHORT_MAX_AGE) if short else desired.max_age
        return Policy(desired.mode, desired.mx, max_age)
    if not history:
        return None
    patterns = desired.mx or tuple(dict.fromkeys(pattern for served in history for pattern in served.policy.mx))
    return Policy("none", patterns, SHORT_MAX_AGE)


def _holds_before_proof(desired: Desired, observed: Observed) -> tuple[Hold, ...]:
    name = f"mta-sts.{desired.domain}"
    holds = []
    if observed.address == ADDRESS_UNKNOWN:
        holds.append(Hold("dns-failure", f"DNS did not answer for {name}"))
    elif observed.address == ADDRESS_ELSEWHERE and not (desired.manage_address and desired.replace_foreign):
        holds.append(
            Hold(
                "address-elsewhere",
                f"{name} leads to {', '.join(observed.addresses)}, which is no policy host",
            )
        )
    elif observed.address == ADDRESS_MISSING and not desired.manage_address:
        holds.append(Hold("address-missing", f"{name} has no address, and its records are kept elsewhere"))
    if observed.foreign_records and not desired.replace_foreign:
        seen = "; ".join(observed.foreign_records)
        holds.append(Hold("record-foreign", f"_mta-sts.{desired.domain} has a TXT record that is not ours: {seen}"))
    return tuple(holds)


def _holds_of_tlsrpt(desired: Desired, observed: Observed) -> tuple[Hold, ...]:
    if not desired.tlsrpt or not observed.foreign_tlsrpt_records or desired.replace_foreign:
        return ()
    seen = "; ".join(observed.foreign_tlsrpt_records)
    return (Hold("tlsrpt-foreign", f"_smtp._tls.{desired.domain} has a TXT record that is not ours: {seen}"),)


def _holds_of_proof(policy: Policy, observed: Observed) -> tuple[Hold, ...]:
    proof = observed.proof
    if proof is not None and proof.id == policy_id(render_policy(policy)):
        if proof.fetched and not proof.failures:
            return ()
        # A host without a certificate cannot pass the proof: the cause is worth more than its effect.
        if observed.certificate_failures:
            return tuple(Hold("certificate", text) for text in observed.certificate_failures)
        if proof.failures:
            return tuple(Hold("proof-failed", text) for text in proof.failures)
    return (Hold("proof-missing", HOLD_CODES["proof-missing"]),)
