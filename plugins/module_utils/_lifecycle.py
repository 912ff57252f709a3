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
import re
import typing as t
from dataclasses import dataclass

from ._case import Case, id_of, in_caches
from ._history import History, Served
from ._hold import HOLD_KINDS, Hold
from ._inventory import SHORT_MAX_AGE, Desired
from ._mx_patterns import holds_of_mx, kept_patterns, mx_failures
from ._observed import ADDRESS_ELSEWHERE, ADDRESS_MISSING, ADDRESS_OURS, Observed
from ._obstacle import holds_before_proof, holds_of_proof, may_ask_for_certificate, notes
from ._policy import Policy, PolicyError, policy_id, render_policy
from ._reported import holds_of_reports
from ._tlsrpt_record import decide_tlsrpt, leave_tlsrpt

# What may be done with the record at _mta-sts.<domain>.
KEEP = "keep"
ANNOUNCE = "announce"
REMOVE = "remove"

# The conditions that the ledgers keep: what has been so without interruption, and since when.
TESTING = "testing"
READY = "ready"
RECORD_GONE = "record-gone"

STAGES = {"testing": "testing", "enforce": "enforcing", "none": "none"}
# Ids that were derived as ours are.
_OUR_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Decision:
    """What may be done for a domain now."""

    # pending, testing, enforcing, none, withdrawing or absent
    stage: str
    # The policy that senders shall get; none for a domain that has none and shall not.
    policy: t.Optional[Policy]
    holds: tuple[Hold, ...]
    at: dt.datetime
    # Every policy host shall serve the policy; otherwise its file is left as it is.
    serve: bool = False
    # Policy, name and certificate may go.
    remove: bool = False
    # What may be done with the record at _mta-sts.<domain>.
    record: str = KEEP
    # A certificate may be asked for: the name leads, or is about to lead, to the policy hosts.
    certificate: bool = False
    # The URIs that the TLSRPT record shall have, where it may be changed; empty: it shall go.
    tlsrpt: t.Optional[tuple[str, ...]] = None
    # For the ledger: what is so and since when (none: as it was), a policy that was found, and whether a ledger that
    # knows nothing of the domain has missed what was served before.
    conditions: t.Optional[t.Mapping[str, dt.datetime]] = None
    found: t.Optional[Served] = None
    after_unknown: bool = False


def decide(desired: Desired, history: History, observed: t.Optional[Observed], now: dt.datetime) -> Decision:
    """The next safe step for one domain.

    C(observed) is none as long as nothing was looked at. Never raises.
    """
    if observed is None:
        unobserved = Hold("unobserved", HOLD_KINDS["unobserved"].cause)
        return Decision("pending", _wanted_policy(desired), (unobserved,), now)
    if history.frozen:
        current = history.current(now)
        return Decision("pending", current[0] if current else None, history.frozen, now)
    past, found = history.with_found(observed.policy, now, elsewhere=observed.address == ADDRESS_ELSEWHERE)
    step = _withdraw if desired.state == "absent" else _publish
    return step(Case(desired, past, observed, now, found))


# --- publishing -------------------------------------------------------------------------------------------


def _publish(case: Case) -> Decision:
    desired, observed, now = case.desired, case.observed, case.now
    standing = holds_before_proof(desired, observed)
    if observed.records is None and not case.past.current(now):
        # There may be a policy that enforces; to serve another would be to lower it, and to forget it.
        return Decision("pending", _wanted_policy(desired), standing, now)
    kept, kept_since, holds_of_kept = kept_patterns(case)
    mx = desired.mx + kept
    mode, holds_of_mode, mode_since = mode_to_serve(case, mx)
    reports = decide_tlsrpt(desired, observed, case.past.conditions, now)
    conditions = {**mode_since, **kept_since, **reports.conditions}
    wanted = _wanted_policy(desired, mode, mx)
    if wanted is None or not mode:
        too_large = Hold("policy-too-large", HOLD_KINDS["policy-too-large"].cause)
        holds = holds_of_mode if not mode else (too_large,)
        return Decision("pending", None, holds, now, found=case.found, conditions=conditions)
    blocking = standing or holds_of_proof(wanted, observed)
    return Decision(
        "pending" if blocking else STAGES[mode],
        wanted,
        blocking
        + holds_of_mode
        + holds_of_kept
        + holds_of_mx(case, mx, enforces=mode == "enforce")
        + notes(observed)
        + reports.notes,
        now,
        serve=True,
        record=KEEP if blocking else ANNOUNCE,
        certificate=may_ask_for_certificate(desired, observed, standing),
        tlsrpt=reports.uris,
        conditions=conditions,
        found=case.found,
        after_unknown=observed.records != (),
    )


def _wanted_policy(desired: Desired, mode: str = "", mx: tuple[str, ...] = ()) -> t.Optional[Policy]:
    """The policy of a mode, or of the domain's desired one; none where it cannot be served.

    What is only tried, or says that there is nothing, must be gone from every cache within a day.
    """
    mode = mode or desired.mode or "testing"
    max_age = desired.max_age if mode == "enforce" else min(desired.max_age, SHORT_MAX_AGE)
    try:
        policy = Policy(mode, mx or desired.mx, max_age)
        render_policy(policy)
    except PolicyError:
        return None
    return policy


def mode_to_serve(case: Case, mx: tuple[str, ...]) -> tuple[str, tuple[Hold, ...], dict[str, dt.datetime]]:
    """The mode that may be served with these patterns, why it is not the desired one, and the conditions.

    The mode is empty where none may be served.
    """
    desired, observed = case.desired, case.observed
    enforces = was_enforcing(case)
    wanted = desired.mode or ("enforce" if enforces else "testing")
    if wanted == "none":
        return "none", (), {}
    failures = mx_failures(mx, observed)
    if wanted == "enforce" and enforces:
        told = desired.gate and observed.mx is not None
        return "enforce", tuple(Hold("mx-failing", text) for text in failures if told), {}
    unready = tuple(Hold("mx-unready", text) for text in failures if desired.gate)
    since = {
        TESTING: case.lasting(TESTING, _is_testing_in_the_wild(observed)),
        READY: case.lasting(READY, None if observed.mx is None else not unready),
    }
    known = {name: time for name, time in since.items() if time is not None}
    if desired.mode != "testing" and _may_enforce_unseen(case):
        # The patterns are forgotten, too: also those that were kept for an MX set that is still in caches.
        until = known[READY] + in_caches(observed.mx_ttl) if READY in known else None
        decided = desired.mode == "enforce" and _is_forgotten(case) and not unready
        if decided and (not desired.gate or (until is not None and until <= case.now)):
            return "enforce", (), known
        lost = Hold("history-lost", HOLD_KINDS["history-lost"].cause, until if decided else None)
        return "", (lost, *unready), known
    missing: tuple[Hold, ...] = ()
    if wanted == "enforce":
        reported = holds_of_reports(desired, observed.reported, observed.mx, case.now) if desired.gate else ()
        missing = testing_period(case, known) + unready + reported
    if wanted == "enforce" and observed.address not in (ADDRESS_OURS, ADDRESS_MISSING) and not missing:
        missing = (Hold("testing-period", "senders are not led to the policy hosts yet"),)
    return "testing" if missing or wanted == "testing" else "enforce", missing, known


def was_enforcing(case: Case) -> bool:
    """Whether the domain enforces: P6, what enforces is never taken back because of what is seen."""
    if any(policy.mode == "enforce" for policy in case.published):
        return True
    # Ids are hashes, so DNS remembers a policy even where no ledger does.
    enforcing = _wanted_policy(case.desired, "enforce")
    announced = enforcing is not None and case.observed.record_id == policy_id(render_policy(enforcing))
    return announced and not any(case.observed.record_id == id_of(one.policy) for one in case.past.served)


def _may_enforce_unseen(case: Case) -> bool:
    """Whether a policy is announced of which nothing can be known now: it may be one that enforces."""
    elsewhere = (
        case.after_unknown and case.observed.record_id is not None and case.observed.address == ADDRESS_ELSEWHERE
    )
    return elsewhere or _is_forgotten(case)


def _is_forgotten(case: Case) -> bool:
    """Whether a policy is announced that nobody remembers, and that was ours.

    It is one of ours, or of somebody whom we took it over from in a run that died.
    """
    testing = _wanted_policy(case.desired, "testing")
    record_id = case.observed.record_id
    return (
        case.after_unknown
        and record_id is not None
        and (_OUR_ID.fullmatch(record_id) is not None or case.observed.address == ADDRESS_OURS)
        and not (testing is not None and record_id == policy_id(render_policy(testing)))
    )


def _is_testing_in_the_wild(observed: Observed) -> t.Optional[bool]:
    """Whether senders that look now find a policy to test; none where that cannot be told."""
    if observed.records is None or (observed.records and observed.policy is None):
        return None
    if observed.record_id is None or observed.policy is None or observed.policy.mode != "testing":
        return False
    announced = observed.record_id == id_of(observed.policy)
    # Served, but senders are not told yet: no reason to begin, and none to begin anew.
    return True if announced or _OUR_ID.fullmatch(observed.record_id) is None else None


def testing_period(case: Case, since: t.Mapping[str, dt.datetime]) -> tuple[Hold, ...]:
    """The hold of a domain that was not tested for long enough.

    The period begins when DNS is seen to announce the policy. Within it the MX hosts must have been ready for as
    long as an older set of them may be in caches.
    """
    days = case.desired.testing_days
    if not days:
        return ()
    if TESTING not in since:
        return (Hold("testing-period", f"{days} days of testing begin when the policy is seen announced"),)
    until = since[TESTING] + dt.timedelta(days=days)
    if READY in since:
        until = max(until, since[READY] + in_caches(case.observed.mx_ttl))
    if until <= case.now:
        return ()
    return (Hold("testing-period", f"testing period of {days} days", until),)


# --- withdrawing ------------------------------------------------------------------------------------------


def _withdraw(case: Case) -> Decision:
    """RFC 8461 8.3: mode none, until no other policy is left with any sender; then the record; then the rest."""
    desired, past, observed, now = case.desired, case.past, case.observed, case.now
    current = past.current(now)
    standing = holds_before_proof(desired, observed)
    name_stays = observed.address == ADDRESS_OURS and desired.manage_address
    if not past.served and not observed.records and not name_stays:
        unknown = tuple(hold for hold in standing if hold.code == "dns-failure")
        return Decision("pending" if unknown else "absent", None, unknown, now)
    policy = _policy_to_leave_with(case)
    certificate = may_ask_for_certificate(desired, observed, standing)
    older = [one for one in case.outstanding if one.policy is None or one.policy.mode != "none"]
    reports = leave_tlsrpt(desired, observed, past.conditions, now)
    since = case.lasting(RECORD_GONE, None if observed.records is None else not observed.records)
    common: dict[str, t.Any] = {
        "found": case.found,
        "after_unknown": observed.records != (),
        "conditions": {**reports.conditions, **({} if since is None else {RECORD_GONE: since})},
    }
    told = any(policy.mode == "none" and observed.record_id == id_of(policy) for policy in current)
    if older or (observed.records and not told):
        until = max([one.expires for one in older], default=None)
        blocking = standing or holds_of_proof(policy, observed)
        wait = Hold("withdrawal-policies", "senders may hold older policies", until)
        return Decision(
            "pending" if blocking else "withdrawing", policy,
            (*blocking, wait, *holds_of_mx(case, policy.mx, enforces=False)), now, serve=True,
            record=KEEP if blocking else ANNOUNCE, certificate=certificate, **common,
        )  # fmt: skip
    if observed.records is None or (observed.records and observed.foreign_records and not desired.replace_foreign):
        return Decision("pending", policy, standing, now, serve=bool(current), **common)
    gone = (since or now) + in_caches(observed.record_ttl)
    # A host that serves another policy by now was told to by another run: the domain is not leaving any more.
    differing = observed.proof.differing if observed.proof else ()
    if observed.records and differing:
        holds = tuple(Hold("proof-failed", text) for text in differing)
        return Decision("pending", policy, holds, now, serve=bool(current), certificate=certificate, **common)
    if since is None or gone > now:
        wait = Hold("withdrawal-record", "the record is removed; the policy goes when it is in no cache", gone)
        return Decision(
            "withdrawing", policy, (wait,), now, serve=bool(current), record=REMOVE if observed.records else KEEP,
            certificate=bool(current) and certificate, **common,
        )  # fmt: skip
    # An address that is left then is a wildcard's, or another hand's.
    stage = "withdrawing" if current else "absent"
    left = tuple(Hold("renewal", text) for text in observed.removal_failures)
    return Decision(stage, None, left, now, remove=True, tlsrpt=reports.uris, **common)


def _policy_to_leave_with(case: Case) -> Policy:
    """Mode none, with the mx lines that were served: several senders refuse one without."""
    patterns = case.desired.mx or tuple(
        dict.fromkeys(pattern for served in case.past.served for pattern in served.policy.mx)
    )
    policy = Policy("none", patterns, SHORT_MAX_AGE)
    try:
        render_policy(policy)
    except PolicyError:
        return Policy("none", patterns[:1], SHORT_MAX_AGE)
    return policy
