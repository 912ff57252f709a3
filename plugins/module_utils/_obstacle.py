# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What stands in the way of an announcement, and what is told beside it.

Pure, and private to this collection.
"""

from __future__ import annotations

import typing as t

from ._hold import HOLD_KINDS, Hold
from ._inventory import Desired
from ._observed import ADDRESS_ELSEWHERE, ADDRESS_MISSING, ADDRESS_OURS, ADDRESS_UNKNOWN, Observed
from ._policy import Policy, policy_id, render_policy


def holds_before_proof(desired: Desired, observed: Observed) -> tuple[Hold, ...]:
    """What in DNS keeps the policy from being announced."""
    name = f"mta-sts.{desired.domain}"
    holds = []
    if observed.records is None:
        holds.append(Hold("dns-failure", f"DNS did not answer for _mta-sts.{desired.domain}"))
    if observed.address == ADDRESS_UNKNOWN:
        holds.append(Hold("dns-failure", f"DNS did not answer for {name}"))
    missing = missing_aliases(desired, observed)
    if missing:
        holds.append(Hold("delegation", _lines_to_add(desired, missing)))
    elif observed.address == ADDRESS_ELSEWHERE and not (desired.manage_address and desired.replace_foreign):
        seen = ", ".join(observed.addresses)
        holds.append(Hold("address-elsewhere", f"{name} leads to {seen}, which is no policy host"))
    elif observed.address == ADDRESS_MISSING and not desired.manage_address:
        holds.append(Hold("address-missing", f"{name} has no address, and its records are kept elsewhere"))
    if observed.foreign_records and not desired.replace_foreign and not missing:
        seen = "; ".join(observed.foreign_records)
        holds.append(Hold("record-foreign", f"_mta-sts.{desired.domain} has a TXT record that is not ours: {seen}"))
    return tuple(holds)


def missing_aliases(desired: Desired, observed: Observed) -> dict[str, str]:
    """The aliases that a domain whose records we keep does not have, each with what is there instead."""
    if not desired.delegation:
        return {}
    missing = {}
    if observed.records is not None and observed.record_alias != desired.record_name:
        texts = observed.records + observed.foreign_records
        missing[f"_mta-sts.{desired.domain}"] = _seen(observed.record_alias, texts)
    # Wherever else it is an alias of, the addresses are what counts.
    elsewhere = observed.address in (ADDRESS_ELSEWHERE, ADDRESS_MISSING)
    if elsewhere and observed.address_alias != desired.address_name:
        missing[f"mta-sts.{desired.domain}"] = _seen(observed.address_alias, observed.addresses)
    return missing


def _seen(alias: str, data: t.Sequence[str]) -> str:
    return f"is an alias of {alias}" if alias else f"has {', '.join(data)}" if data else "is not there"


def _lines_to_add(desired: Desired, missing: t.Mapping[str, str]) -> str:
    """What the keeper of the domain's own zone has to do, to be handed on as it is."""
    seen = ", ".join(f"{name} {what}" for name, what in missing.items())
    lines = " | ".join(
        f"{kind}.{desired.domain}. CNAME {target}."
        for kind, target in (("_mta-sts", desired.record_name), ("mta-sts", desired.address_name))
    )
    return f"{seen}; the zone of {desired.domain} needs these two lines: {lines}"


def holds_of_proof(policy: Policy, observed: Observed) -> tuple[Hold, ...]:
    """What is missing to the proof that every policy host serves this very policy (P1)."""
    proof = observed.proof
    if proof is not None and proof.id == policy_id(render_policy(policy)):
        if proof.fetched and not proof.failures:
            return ()
        # A host without a certificate cannot pass the proof: the cause is worth more than its effect.
        missing = [Hold("certificate", text) for text in observed.certificate_failures]
        missing += [Hold("certificate-queued", text) for text in observed.certificates_queued]
        if missing:
            return tuple(missing)
        if proof.failures:
            return tuple(Hold("proof-failed", text) for text in proof.failures)
    return (Hold("proof-missing", HOLD_KINDS["proof-missing"].cause),)


def may_ask_for_certificate(desired: Desired, observed: Observed, standing: t.Iterable[Hold]) -> bool:
    """Whether the policy host's name leads to the policy hosts, or is about to: each certificate refused counts."""
    if any(hold.code.startswith(("address-", "dns-")) for hold in standing):
        return False
    if observed.address == ADDRESS_OURS:
        return True
    return not observed.others_apply and f"mta-sts.{desired.domain}" not in missing_aliases(desired, observed)


def notes(observed: Observed) -> tuple[Hold, ...]:
    """What is wrong beside the policy is told, and holds nothing back."""
    told = [Hold("renewal", text) for text in observed.renewal_failures]
    if observed.caa_refusal:
        told.append(Hold("caa", observed.caa_refusal))
    return tuple(told)
