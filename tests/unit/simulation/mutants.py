# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of the lifecycle, broken on purpose: what the simulation must notice."""

from __future__ import annotations

import contextlib
import datetime as dt
import typing as t
from collections.abc import Iterator
from dataclasses import replace

from ansible_collections.postmaster.mta_sts.plugins.module_utils import _evidence, _history, _lifecycle, _plan
from ansible_collections.postmaster.mta_sts.plugins.module_utils._history import History, Outstanding
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import DEFAULT_MAX_AGE
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import Ledger
from ansible_collections.postmaster.mta_sts.plugins.module_utils._lifecycle import Decision, _Case
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy_files import render_files

import rollout

NOTHING = dt.timedelta()
# What is put in the place of what.
Patch = tuple[object, str, object]


def returning(value: t.Any) -> t.Callable[..., t.Any]:
    return lambda *_args, **_kwargs: value


def with_in_caches_of_nothing(function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """The function, for which no answer stays in any cache."""

    def mutant(*args: t.Any) -> t.Any:
        original = _lifecycle._in_caches
        _lifecycle._in_caches = returning(NOTHING)
        try:
            return function(*args)
        finally:
            _lifecycle._in_caches = original

    return mutant


def outstanding_where(keep: t.Callable[[_Case, Outstanding], bool]) -> property:
    original = t.cast("property", _Case.__dict__["outstanding"]).fget
    assert original is not None
    return property(lambda case: tuple(one for one in original(case) if keep(case, one)))


def outstanding_of_open_rows(self: History, now: dt.datetime, forgotten_max_age: int = 0) -> tuple[Outstanding, ...]:
    served = tuple(one for one in self.served if one.until is None or one.until > now)
    return HISTORY_OUTSTANDING(replace(self, served=served), now, forgotten_max_age)


HISTORY_OUTSTANDING = History.outstanding
WAS_ENFORCING = _lifecycle.was_enforcing
WITHDRAW = _lifecycle._withdraw
PROOF = _evidence._proof
RECORD = Ledger.record
MAKE_PLAN = rollout.make_plan
PUBLISHED = t.cast("property", _Case.__dict__["published"]).fget
MX_FAILURES = _lifecycle.mx_failures
EVIDENCE_MX_FAILURES = _evidence._mx_failures


def was_enforcing_and_is_ready(case: _Case) -> bool:
    return WAS_ENFORCING(case) and not MX_FAILURES(case.desired.mx, case.observed)


def leave_with_what_is_served(case: _Case) -> t.Any:
    current = case.past.current(case.now)
    return current[0] if current else LEAVE_WITH(case)


LEAVE_WITH = _lifecycle._policy_to_leave_with


def withdraw_all_at_once(case: _Case) -> Decision:
    decision = WITHDRAW(case)
    return replace(decision, serve=False, remove=True) if decision.record == _lifecycle.REMOVE else decision


def proof_of_some(*args: t.Any) -> t.Any:
    proof = PROOF(*args)
    return replace(proof, failures=()) if proof else proof


def record_anything(self: Ledger, entries: t.Any, files: t.Any, at: int, _revision: t.Optional[int] = None) -> None:
    RECORD(self, entries, files, at)


def plan_without_orphans(domains: t.Any, site: t.Any, evidence: t.Any, now: t.Any) -> t.Any:
    plan = MAKE_PLAN(domains, site, evidence, now)
    decision = Decision("absent", None, (), now, remove=True)
    plan["domains"] += [_plan._entry(_lifecycle.Desired(name, ()), decision) for name in plan["orphans"]]
    return plan


def serve_and_record_then(self: rollout.Rollout, host: t.Any, plan: t.Any) -> Iterator[str]:
    for name, body in render_files(entry for entry in plan["domains"] if entry["serve"]).items():
        if host.managed and host.files.get(name) != body:
            self.world.write_file(host, self._domain_of(name), body, self)
            yield f"{host.name} wrote {name}"
    yield from SERVE(self, host, plan)


SERVE = rollout.Rollout._serve


def settle_first(self: rollout.Rollout, host: t.Any, ledger: Ledger, plan: t.Any) -> Iterator[str]:
    wanted = render_files(entry for entry in plan["domains"] if entry["serve"])
    bodies = {name[len("mta-sts.") : -len(".txt")]: body for name, body in wanted.items()}
    ledger.settle({**host.bodies(), **bodies}, self.at)
    yield from PUBLISH(self, host, ledger, plan)


PUBLISH = rollout.Rollout._publish


def lasting_for_ever(self: _Case, condition: str, holds: t.Optional[bool]) -> t.Optional[dt.datetime]:
    return self.past.conditions.get(condition, self.now if holds else None)


MUTANTS: dict[str, list[Patch]] = {
    "what senders hold expires at once": [(_history, "expiry", lambda fetched, _max_age: fetched)],
    "what is not served any more is held by nobody": [(History, "outstanding", outstanding_of_open_rows)],
    "what nobody remembers is held by nobody": [
        (_Case, "outstanding", outstanding_where(lambda _case, one: one.policy is not None))
    ],
    "patterns are dropped at once": [(_lifecycle, "kept_patterns", returning(((), {}, ())))],
    "patterns are dropped when the host is out of DNS": [
        (_lifecycle, "kept_patterns", with_in_caches_of_nothing(_lifecycle.kept_patterns))
    ],
    "patterns of one policy are kept": [(_Case, "published", property(lambda case: PUBLISHED(case)[:1]))],
    "the TTL of the MX record does not matter": [(_lifecycle, "_in_caches", returning(dt.timedelta(days=1)))],
    "new MX hosts may come at once": [(_lifecycle, "holds_of_mx", returning(()))],
    "there is no testing period": [(_lifecycle, "testing_period", returning(()))],
    "old MX sets are in no cache when it is enforced": [
        (_lifecycle, "testing_period", with_in_caches_of_nothing(_lifecycle.testing_period))
    ],
    "there is no gate": [(_lifecycle, "mx_failures", returning(()))],
    "MX hosts that match are ready": [(_evidence, "_mx_failures", returning(()))],
    "what fails is taken back to testing": [(_lifecycle, "was_enforcing", was_enforcing_and_is_ready)],
    "nothing is proved": [(_lifecycle, "holds_of_proof", returning(()))],
    "a proof of some hosts is a proof": [(_evidence, "_proof", proof_of_some)],
    "a record goes at once": [
        (_Case, "outstanding", outstanding_where(lambda case, _one: case.desired.state != "absent"))
    ],
    "nobody is told that a domain leaves": [(_lifecycle, "_policy_to_leave_with", leave_with_what_is_served)],
    "files go with the record": [(_lifecycle, "_withdraw", withdraw_all_at_once)],
    "files go when the record is gone": [(_lifecycle, "_withdraw", with_in_caches_of_nothing(WITHDRAW))],
    "orphans are removed": [(rollout, "make_plan", plan_without_orphans)],
    "policies of others do not count": [(History, "with_found", lambda self, _policy, _now: (self, None))],
    "what is tried or withdrawn lasts": [(_lifecycle, "SHORT_MAX_AGE", DEFAULT_MAX_AGE)],
    "files come before the ledger": [(rollout.Rollout, "_serve", serve_and_record_then)],
    "the ledger is settled before the files": [(rollout.Rollout, "_publish", settle_first)],
    "ledgers that are not read do not matter": [(_evidence, "_unread", returning(()))],
    "what was interrupted goes on": [(_Case, "lasting", lasting_for_ever)],
    "any revision will do": [(Ledger, "record", record_anything)],
    "any record may be replaced": [(_plan, "_expected", returning({}))],
    "any clock will do": [(_evidence, "_wrong_clocks", returning(()))],
    "what is forgotten was harmless": [(_lifecycle, "_is_forgotten", returning(False))],
}


@contextlib.contextmanager
def broken(patches: t.Iterable[Patch]) -> Iterator[None]:
    """The collection with a rule broken."""
    with contextlib.ExitStack() as stack:
        for target, name, value in patches:
            original = target.__dict__[name]
            setattr(target, name, value)
            stack.callback(setattr, target, name, original)
        yield
