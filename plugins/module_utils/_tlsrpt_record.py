# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of the TLSRPT record of a domain (RFC 8460 3): ours is kept as the inventory wants it, others' are kept.

The ledgers remember which record was ours, so that one that the inventory has changed since is told from one that
somebody else has put there. Pure, and private to this collection.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from dataclasses import dataclass

from ._hold import Hold
from ._inventory import Desired
from ._observed import Observed
from ._policy import policy_id
from ._record import RecordError, render_tlsrpt_record

Uris = tuple[str, ...]
Conditions = t.Mapping[str, dt.datetime]

# The condition that a record was put there by us; its text stands behind it as a hash.
OURS: t.Final = "tlsrpt "
# What others have put there is not bounded, and a record of more characters fits into few answers.
MERGED_LIMIT: t.Final = 1000


@dataclass(frozen=True)
class TlsrptDecision:
    """The URIs that the record shall have (none: no record), or that it is left as it is."""

    uris: t.Optional[Uris]
    conditions: Conditions
    notes: tuple[Hold, ...] = ()


def decide_tlsrpt(desired: Desired, observed: Observed, known: Conditions, now: dt.datetime) -> TlsrptDecision:
    """What shall become of the record of a domain that stays."""
    ours = _ours(desired, observed, known, now)
    if not desired.tlsrpt or observed.tlsrpt_records is None:
        return TlsrptDecision(None, ours)
    name = f"_smtp._tls.{desired.domain}"
    mine = {OURS + _digest(desired.tlsrpt): known.get(OURS + _digest(desired.tlsrpt), now)}
    if desired.delegation and observed.tlsrpt_alias != desired.tlsrpt_name:
        told = f"{name} is no alias yet; it needs the line: {name}. CNAME {desired.tlsrpt_name}."
        return TlsrptDecision(desired.tlsrpt, {**ours, **mine}, (Hold("tlsrpt-delegation", told),))
    if observed.foreign_tlsrpt_records and not desired.replace_foreign:
        seen = "; ".join(observed.foreign_tlsrpt_records)
        told = f"{name} has a TXT record that is not ours: {seen}"
        return TlsrptDecision(None, ours, (Hold("tlsrpt-foreign", told),))
    replace = desired.replace_foreign or desired.tlsrpt_others == "replace"
    if ours or replace or not observed.tlsrpt_records:
        return TlsrptDecision(desired.tlsrpt, {**ours, **mine})
    if desired.tlsrpt_others == "merge" and observed.tlsrpt:
        merged = tuple(dict.fromkeys(observed.tlsrpt + desired.tlsrpt))
        if merged == observed.tlsrpt or _can_be_merged(merged):
            return TlsrptDecision(merged, {})
    told = f"{name} has a TLSRPT record of somebody else: {'; '.join(observed.tlsrpt_records)}"
    return TlsrptDecision(None, {}, (Hold("tlsrpt-others", told),))


def leave_tlsrpt(desired: Desired, observed: Observed, known: Conditions, now: dt.datetime) -> TlsrptDecision:
    """What shall become of the record of a domain that leaves: ours goes, one of others stays."""
    ours = _ours(desired, observed, known, now)
    return TlsrptDecision(() if ours and observed.tlsrpt_records else None, ours)


def _ours(desired: Desired, observed: Observed, known: Conditions, now: dt.datetime) -> Conditions:
    """The conditions of a record that is there and that is ours; all of them, where DNS did not answer."""
    if observed.tlsrpt_records is None:
        return {name: since for name, since in known.items() if name.startswith(OURS)}
    if len(observed.tlsrpt_records) != 1 or not observed.tlsrpt:
        return {}
    name = OURS + _digest(observed.tlsrpt)
    if name not in known and observed.tlsrpt != desired.tlsrpt:
        return {}
    return {name: known.get(name, now)}


def _digest(uris: Uris) -> str:
    return policy_id(",".join(uris).encode())


def _can_be_merged(uris: Uris) -> bool:
    try:
        return len(render_tlsrpt_record(uris)) <= MERGED_LIMIT
    except RecordError:
        return False
