# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of the lifecycle, broken on purpose: what the simulation must notice."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import typing as t
from collections.abc import Iterable, Iterator
from dataclasses import replace

import rollout
from ansible_collections.postmaster.mta_sts.plugins.module_utils import (
    _evidence,
    _history,
    _lifecycle,
    _mx_patterns,
    _plan,
    _reported,
    _wanted_records,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._case import Case
from ansible_collections.postmaster.mta_sts.plugins.module_utils._history import History, Outstanding
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import DEFAULT_MAX_AGE, Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import Ledger
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lifecycle import Decision
from ansible_collections.postmaster.mta_sts.plugins.module_utils._observed import Observed
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy_files import bodies_by_domain, render_files
from ansible_collections.postmaster.mta_sts.plugins.module_utils._wanted_records import WantedRecords
from world import Document, PolicyHost

NO_TIME = dt.timedelta()
A_DAY = dt.timedelta(days=1)
# Of what, which name, and what stands there instead.
Patch = tuple[object, str, object]

CASE_OUTSTANDING = t.cast("property", Case.__dict__["outstanding"]).fget
CURRENT, OUTSTANDING = History.current, History.outstanding
KEPT_PATTERNS, MX_FAILURES = _mx_patterns.kept_patterns, _mx_patterns.mx_failures
TESTING_PERIOD, WAS_ENFORCING = _lifecycle.testing_period, _lifecycle.was_enforcing
LEAVE_WITH, WITHDRAW = _lifecycle._policy_to_leave_with, _lifecycle._withdraw
WITH_FOUND = History.with_found
HISTORY_OF = _evidence.Histories.of
OBSERVED_OF, PROOF = _evidence.observed_of, _evidence._proof
ENTRY, MAKE_PLAN, RECORD_SETS = _plan._entry, _plan.make_plan, WantedRecords._record
RECORD = Ledger.record
PUBLISH, SERVE = rollout.Rollout._publish, rollout.Rollout._serve


def returning(value: t.Any) -> t.Callable[..., t.Any]:
    return lambda *_args, **_kwargs: value


# --- what senders may hold --------------------------------------------------------------------------------


def outstanding_where(keep: t.Callable[[Case, Outstanding], bool]) -> property:
    assert CASE_OUTSTANDING is not None
    return property(lambda case: tuple(one for one in CASE_OUTSTANDING(case) if keep(case, one)))


def outstanding_of_what_is_there(
    self: History, now: dt.datetime, forgotten_max_age: int = 0
) -> tuple[Outstanding, ...]:
    served = tuple(one for one in self.served if one.until is None or one.until > now)
    return OUTSTANDING(replace(self, served=served), now, forgotten_max_age)


def history_of_the_aware(self: _evidence.Histories, domain: str) -> History:
    return replace(HISTORY_OF(self, domain), unaware=False)


def found_nowhere(self: History, _policy: t.Optional[Policy], _now: dt.datetime, *, elsewhere: bool) -> t.Any:
    del elsewhere
    return self, None


def found_where_we_do_not_serve_it(
    self: History, policy: t.Optional[Policy], now: dt.datetime, *, elsewhere: bool
) -> t.Any:
    del elsewhere
    return WITH_FOUND(self, policy, now, elsewhere=False)


def found_where_it_is_seen(self: History, policy: t.Optional[Policy], now: dt.datetime, *, elsewhere: bool) -> t.Any:
    return (self, None) if policy is None else WITH_FOUND(self, policy, now, elsewhere=elsewhere)


def current_and_interrupted(self: History, now: dt.datetime) -> tuple[Policy, ...]:
    return (*CURRENT(self, now), *(one.policy for one in self.served if one.interrupted))


def entry_of_a_ledger_that_knows(desired: Desired, decision: Decision, observed: t.Optional[Observed]) -> Document:
    return ENTRY(desired, replace(decision, after_unknown=False), observed)


# --- decisions --------------------------------------------------------------------------------------------


def in_caches_for(period: dt.timedelta) -> list[Patch]:
    return [(where, "in_caches", returning(period)) for where in (_lifecycle, _mx_patterns)]


def with_empty_caches(function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """The function, for which no answer stays in any cache."""

    def mutant(*args: t.Any) -> t.Any:
        with broken(in_caches_for(NO_TIME)):
            return function(*args)

    return mutant


def patterns_of_dns(case: Case) -> tuple[tuple[str, ...], dict[str, dt.datetime], tuple[t.Any, ...]]:
    return tuple(host for host in case.observed.mx or () if host not in case.desired.mx), {}, ()


def was_enforcing_and_is_ready(case: Case) -> bool:
    return WAS_ENFORCING(case) and not MX_FAILURES(case.desired.mx, case.observed)


def leave_with_what_is_served(case: Case) -> Policy:
    current = case.past.current(case.now)
    return current[0] if current else LEAVE_WITH(case)


def withdraw_all_at_once(case: Case) -> Decision:
    decision = WITHDRAW(case)
    return replace(decision, serve=False, remove=True) if decision.record == _lifecycle.REMOVE else decision


def lasting_whatever_happens(self: Case, condition: str, holds: t.Optional[bool]) -> t.Optional[dt.datetime]:
    return self.past.conditions.get(condition, self.now if holds else None)


# --- evidence and plans -----------------------------------------------------------------------------------


def proof_without_other_policies(*args: t.Any) -> t.Any:
    proof = PROOF(*args)
    return replace(proof, differing=()) if proof else proof


def proof_of_some(*args: t.Any) -> t.Any:
    proof = PROOF(*args)
    return replace(proof, failures=()) if proof else proof


def silence_is_an_answer(*args: t.Any) -> t.Optional[Observed]:
    seen = OBSERVED_OF(*args)
    return seen and replace(seen, records=seen.records or (), mx=seen.mx or ())


def plan_without_orphans(*args: t.Any) -> Document:
    plan = MAKE_PLAN(*args)
    gone = Decision("absent", None, (), args[-1], remove=True)
    plan["domains"] += [ENTRY(Desired(name, ()), gone, None) for name in plan["orphans"]]
    return plan


def plan_if_all_are_well(domains: t.Any, *args: t.Any) -> Document:
    plan = MAKE_PLAN(domains, *args)
    if any(entry["stage"] == "pending" for entry in plan["domains"]):
        for entry in plan["domains"]:
            entry.update(stage="pending", record="keep")
    return plan


def appended(self: WantedRecords, values: list[str], expected: t.Optional[list[str]]) -> list[Document]:
    return RECORD_SETS(self, [*(self.observed.records or ()), *values, "v=STSv1; id=another"], expected)


def bytes_and_more(body: bytes) -> str:
    return hashlib.sha256(body + b" ").hexdigest()[:32]


# --- policy hosts -----------------------------------------------------------------------------------------


def record_for_any_plan(self: Ledger, entries: t.Any, files: t.Any, at: int, _revision: t.Optional[int] = None) -> None:
    RECORD(self, entries, files, at)


def serve_and_record_then(self: rollout.Rollout, host: PolicyHost, plan: Document) -> Iterator[str]:
    for name, body in render_files(entry for entry in plan["domains"] if entry["serve"]).items():
        if host.files.get(name) != body:
            self.world.write_file(host, self._domain_of(name), body, self)
            yield f"{host.name} wrote {name}"
    yield from SERVE(self, host, plan)


def settle_and_write_then(self: rollout.Rollout, host: PolicyHost, ledger: Ledger, plan: Document) -> Iterator[str]:
    wanted = bodies_by_domain(render_files(entry for entry in plan["domains"] if entry["serve"]))
    ledger.settle({**host.bodies(), **wanted}, self.at)
    yield from PUBLISH(self, host, ledger, plan)


MUTANTS: dict[str, list[Patch]] = {
    "what senders hold expires at once": [(_history, "expiry", lambda fetched, _max_age: fetched)],
    "what is not served any more is held by nobody": [(History, "outstanding", outstanding_of_what_is_there)],
    "what nobody remembers is held by nobody": [
        (Case, "outstanding", outstanding_where(lambda _case, one: one.policy is not None))
    ],
    "a ledger that was lost knew nothing": [(_plan, "_entry", entry_of_a_ledger_that_knows)],
    "a policy host that knows nothing lost nothing": [(_evidence.Histories, "of", history_of_the_aware)],
    "what was only written down was served": [(History, "current", current_and_interrupted)],
    "what is forgotten was harmless": [(_lifecycle, "_is_forgotten", returning(False))],
    "policies of others do not count": [(History, "with_found", found_nowhere)],
    "what others serve, too, ends with what we serve": [(History, "with_found", found_where_we_do_not_serve_it)],
    "what others serve ends where it is not seen": [(History, "with_found", found_where_it_is_seen)],
    "patterns are dropped at once": [(_lifecycle, "kept_patterns", returning(((), {}, ())))],
    "patterns are dropped when the host is out of DNS": [
        (_lifecycle, "kept_patterns", with_empty_caches(KEPT_PATTERNS))
    ],
    "patterns are those of DNS": [(_lifecycle, "kept_patterns", patterns_of_dns)],
    "the TTL of the MX record does not matter": in_caches_for(A_DAY),
    "new MX hosts may come at once": [(_lifecycle, "holds_of_mx", returning(()))],
    "there is no testing period": [(_lifecycle, "testing_period", returning(()))],
    "old MX sets are in no cache when it is enforced": [
        (_lifecycle, "testing_period", with_empty_caches(TESTING_PERIOD))
    ],
    "there is no gate": [(_lifecycle, "mx_failures", returning(()))],
    "MX hosts that match are ready": [(_evidence, "_mx_failures", returning(()))],
    "reports are not heard": [(_lifecycle, "holds_of_reports", returning(()))],
    "the word of one is enough for others": [(_reported, "SILENT", NO_TIME)],
    "whatever failed was refused": [(_reported, "is_refused", returning(True))],
    "what fails is taken back to testing": [(_lifecycle, "was_enforcing", was_enforcing_and_is_ready)],
    "what is tried or withdrawn lasts": [(_lifecycle, "SHORT_MAX_AGE", DEFAULT_MAX_AGE)],
    "what was interrupted goes on": [(Case, "lasting", lasting_whatever_happens)],
    "a record goes at once": [
        (Case, "outstanding", outstanding_where(lambda case, _one: case.desired.state != "absent"))
    ],
    "nobody is told that a domain leaves": [(_lifecycle, "_policy_to_leave_with", leave_with_what_is_served)],
    "what hosts serve by now does not keep a record": [(_evidence, "_proof", proof_without_other_policies)],
    "files go with the record": [(_lifecycle, "_withdraw", withdraw_all_at_once)],
    "files go when the record is gone": [(_lifecycle, "_withdraw", with_empty_caches(WITHDRAW))],
    "orphans are removed": [(rollout, "make_plan", plan_without_orphans)],
    "one domain stops the others": [(rollout, "make_plan", plan_if_all_are_well)],
    "nothing is proved": [(_lifecycle, "holds_of_proof", returning(()))],
    "a proof of some hosts is a proof": [(_evidence, "_proof", proof_of_some)],
    "silence is an answer": [(_plan, "observed_of", silence_is_an_answer)],
    "ids are not those of the bytes": [
        (_plan, "policy_id", bytes_and_more),
        (_wanted_records, "policy_id", bytes_and_more),
    ],
    "records are appended": [(WantedRecords, "_record", appended)],
    "any record may be replaced": [(_plan, "expected_record", returning(None))],
    "any revision will do": [(Ledger, "record", record_for_any_plan)],
    "any clock will do": [(_evidence, "_wrong_clocks", returning(()))],
    "ledgers that are not read do not matter": [(_evidence, "_unread", returning(()))],
    "files come before the ledger": [(rollout.Rollout, "_serve", serve_and_record_then)],
    "the ledger is settled before the files": [(rollout.Rollout, "_publish", settle_and_write_then)],
}


@contextlib.contextmanager
def broken(patches: Iterable[Patch]) -> Iterator[None]:
    """The collection with a rule broken."""
    with contextlib.ExitStack() as stack:
        for target, name, value in patches:
            stack.callback(setattr, target, name, target.__dict__[name])
            setattr(target, name, value)
        yield
