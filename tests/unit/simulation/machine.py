# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen in the simulated world, in any order: rollouts, edits, an operator at work, breakdowns, time."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import HOLD_KINDS, NOTHING
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import DEFAULT_MAX_AGE, Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, render_policy
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rollout import Rollout, Trouble
from world import (
    ADDRESSES,
    BEGINNING,
    DAY,
    ELSEWHERE,
    HOUR,
    LEGACY_ID,
    MINUTE,
    MX_HOSTS,
    RECORD_TTL,
    Answers,
    Broken,
    Domain,
    PolicyHost,
    World,
    id_in,
    id_of,
    matches,
    policy_in,
)

MX1, MX2, MX3, POOL, WILD = MX_HOSTS
PATTERNS = ((MX1,), (MX2,), (MX1, MX2), (MX2, MX3), (MX1, MX2, MX3), ("*.example.net",), (MX1, "*.pool.example.net"))
STARTS = ("fresh", "fresh", "legacy enforce", "legacy testing", "lone record", "two records")
WAITS = (0, MINUTE, HOUR, DAY, DAY, 7 * DAY, 31 * DAY, "due", "due")
TROUBLES = (
    *[Trouble()] * 10,
    Trouble(pace=5),
    Trouble(pace=90),
    Trouble("dns"),
    Trouble("mx"),
    Trouble("txt"),
    Trouble("https"),
    Trouble(skew=-5 * MINUTE),
    Trouble(skew=5 * MINUTE),
    Trouble(skew=-40 * DAY),
    Trouble(skew=40 * DAY),
)
MAX_AGES = (DAY, 7 * DAY, 30 * DAY)
STOPS = (*[None] * 12, *range(1, 16))
LONGEST_RUN = HOUR - MINUTE


class Simulation(RuleBasedStateMachine):
    """Checks P1 to P7 with everything that happens, and at the end that all comes out right."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.waiting: t.Optional[tuple[Rollout, t.Iterator[str]]] = None
        self.broken = False

    @initialize(
        hosts=st.sampled_from((1, 2, 2, 3)),
        starts=st.lists(st.sampled_from(STARTS), min_size=1, max_size=3),
        days=st.sampled_from((0, 0, 1, 7)),
        patterns=st.sampled_from(PATTERNS),
        mx_ttl=st.sampled_from((5 * MINUTE, DAY, 3 * DAY)),
        wild=st.booleans(),
    )
    def begin(
        self, hosts: int, starts: list[str], days: int, patterns: tuple[str, ...], mx_ttl: int, wild: bool
    ) -> None:
        domains = []
        for index, start in enumerate(starts):
            name = f"{'abc'[index]}.example"
            desired = Desired(name, patterns, "enforce", testing_days=days, replace_foreign=True)
            live = (MX1, WILD) if wild else (MX1,)
            domain = Domain(name, desired, Answers((), RECORD_TTL), Answers((), RECORD_TTL), Answers(live, mx_ttl))
            if start.startswith("legacy"):
                policy = Policy(start.split()[1], (MX1, WILD), DEFAULT_MAX_AGE)
                domain.legacy = render_policy(policy).replace(b"\r\n", b"\n")
                domain.txt = Answers((f"v=STSv1; id={LEGACY_ID}",), RECORD_TTL)
                domain.address = Answers((ELSEWHERE,), DAY)
            elif start == "lone record":
                domain.txt = Answers(("v=STSv1; id=wild",), RECORD_TTL)
            elif start == "two records":
                domain.txt = Answers(("v=STSv1; id=wild", "v=STSv1; id=other"), RECORD_TTL)
            domains.append(domain)
        self.world = World(list(ADDRESSES)[:hosts], domains)

    def _guard(self, action: t.Callable[[], t.Any]) -> None:
        try:
            action()
        except BaseException:
            self.broken = True
            raise

    # --- rollouts -----------------------------------------------------------------------------------------

    @rule(
        wait=st.sampled_from(WAITS), trouble=st.sampled_from(TROUBLES), stop=st.sampled_from(STOPS), dies=st.booleans()
    )
    def roll_out(self, wait: t.Union[int, str], trouble: Trouble, stop: t.Optional[int], dies: bool) -> None:
        self._guard(lambda: self._roll_out(wait, trouble, stop, dies))

    def _roll_out(self, wait: t.Union[int, str], trouble: Trouble, stop: t.Optional[int], dies: bool) -> None:
        self._wait(wait)
        run = Rollout(self.world, trouble)
        steps = run.steps()
        if self.waiting is not None:
            self.waiting[0].overtaken = run.overtaken = True
        if self._advance(run, steps, stop):
            return
        if dies:
            steps.close()
        else:
            if self.waiting is not None:
                self.waiting[1].close()
            self.waiting = run, steps

    def _advance(self, run: Rollout, steps: t.Iterator[str], stop: t.Optional[int] = None) -> bool:
        """Whether the run has come to its end."""
        for number, _step in enumerate(steps, start=1):
            self.world.wait(run.trouble.pace)
            self.world.mail()
            if number == stop:
                return False
        return True

    @precondition(lambda self: self.waiting is not None)
    @rule()
    def go_on(self) -> None:
        """The run that was stopped goes on."""
        run, steps = t.cast("tuple[Rollout, t.Iterator[str]]", self.waiting)
        self.waiting = None
        if self.world.now - run.started < LONGEST_RUN:
            self._guard(lambda: self._advance(run, steps))
        else:
            steps.close()

    def _wait(self, wait: t.Union[int, str]) -> None:
        if wait == "due":
            due = [
                time
                for domain in self.world.domains.values()
                for hold in (domain.reported or {}).get("holds", ())
                if (time := _seconds(hold["until"])) and time > self.world.now
            ]
            wait = min(due, default=self.world.now + DAY) - self.world.now
        if self.waiting is not None and self.world.now + wait - self.waiting[0].started >= LONGEST_RUN:
            self.waiting[1].close()
            self.waiting = None
        self.world.mail()
        self.world.wait(t.cast(int, wait))
        self.world.mail()

    @rule(wait=st.sampled_from((MINUTE, HOUR, DAY, "due")))
    def wait(self, wait: t.Union[int, str]) -> None:
        self._guard(lambda: self._wait(wait))

    # --- the operator -------------------------------------------------------------------------------------

    def _domain(self, number: int) -> Domain:
        domains = list(self.world.domains.values())
        return domains[number % len(domains)]

    @rule(
        number=st.integers(0, 2),
        change=st.one_of(
            st.fixed_dictionaries({"mx": st.sampled_from(PATTERNS)}),
            st.fixed_dictionaries({"mode": st.sampled_from(("enforce", "enforce", "testing", "none", ""))}),
            st.fixed_dictionaries({"max_age": st.sampled_from(MAX_AGES)}),
            st.fixed_dictionaries({"testing_days": st.sampled_from((0, 1, 7))}),
            st.fixed_dictionaries({"state": st.sampled_from(("present", "absent"))}),
            st.none(),
        ),
    )
    def edit(self, number: int, change: t.Optional[dict[str, t.Any]]) -> None:
        domain = self._domain(number)
        before = domain.desired or Desired(domain.name, (MX1,), "enforce", replace_foreign=True)
        self.world.desire(domain, None if change is None and domain.desired else replace(before, **(change or {})))

    @rule()
    def follow_reports(self) -> None:
        """An operator in a hurry does all that he may do, at once."""
        for domain in self.world.domains.values():
            self._guard(lambda domain=domain: self._follow(domain))

    def _follow(self, domain: Domain) -> None:
        for host in MX_HOSTS[:4]:
            self._put(domain, host)
        for host in domain.mx.value:
            if domain.desired is not None and not matches(host, domain.desired.mx):
                self._take_out(domain, host)

    @rule(number=st.integers(0, 2), host=st.sampled_from(MX_HOSTS), put=st.booleans())
    def move_mx(self, number: int, host: str, put: bool) -> None:
        domain = self._domain(number)
        self._guard(lambda: self._put(domain, host) if put else self._take_out(domain, host))

    def _put(self, domain: Domain, host: str) -> None:
        if host not in domain.mx.value and self._may_put(domain, host):
            self.world.set_mx(domain, (*domain.mx.value, host))

    def _may_put(self, domain: Domain, host: str) -> bool:
        """Whether the last report allows to put an MX host into DNS."""
        said, desired = domain.reported, domain.desired
        if said is None or desired is None or said["stage"] == "pending":
            return False
        # A report tells when the hosts of the inventory that it was made for may come.
        if not all(matches(host, patterns) for patterns in (desired.mx, domain.reported_mx, tuple(said["mx"]))):
            return False
        return all(
            hold["code"] != "mx-new"
            or not matches(host, (hold["message"].split()[1],))
            or _seconds(hold["until"]) <= self.world.now
            for hold in said["holds"]
        )

    def _take_out(self, domain: Domain, host: str) -> None:
        left = tuple(one for one in domain.mx.value if one != host)
        if host in domain.mx.value and any(one not in self.world.broken_mx for one in left):
            self.world.set_mx(domain, left)

    # --- breakdowns ---------------------------------------------------------------------------------------

    @rule(host=st.sampled_from(MX_HOSTS), healthy=st.booleans())
    def break_mx(self, host: str, healthy: bool) -> None:
        self._guard(lambda: self.world.set_mx_health(host, healthy=healthy))

    @rule(
        number=st.integers(0, 2),
        what=st.sampled_from(
            (
                "rebuilt",
                "ledger missing",
                "ledger damaged",
                "ledger unreadable",
                "away",
                "down",
                "clock",
                "well",
                "well",
            )
        ),
    )
    def break_host(self, number: int, what: str) -> None:
        host = self.world.hosts[number % len(self.world.hosts)]
        if host.publishing:
            return
        self._guard(lambda: self._break_host(host, what))

    def _break_host(self, host: PolicyHost, what: str) -> None:
        if what == "rebuilt":
            self.world.rebuild(host)
        elif what == "well":
            self._mend_host(host)
        elif what.startswith("ledger"):
            if what == "ledger unreadable" and host.ledger is None:
                return
            host.lose_ledger(what.split()[1])
        elif what == "clock":
            host.skew = 5 * MINUTE if host.skew <= 0 else -5 * MINUTE
        else:
            self.world.reach(host, managed=False, serving=what == "away")

    def _mend_host(self, host: PolicyHost) -> None:
        self.world.reach(host, managed=True, serving=True)
        host.skew = 0
        if host.ledger_state == "unreadable":
            host.ledger_state = "ok" if host.ledger is not None else "missing"

    # --- all comes out right ------------------------------------------------------------------------------

    def teardown(self) -> None:
        if self.broken or not hasattr(self, "world"):
            return
        if self.waiting is not None:
            self.waiting[1].close()
        self._heal()
        self._arrive()
        for host in self.world.hosts:
            if host.ledger is not None:
                host.ledger.close()

    def _heal(self) -> None:
        for host in self.world.hosts:
            self._mend_host(host)
        for host in MX_HOSTS:
            self.world.set_mx_health(host, healthy=True)

    def _arrive(self) -> None:
        """In a world that is well every domain arrives where the inventory wants it."""
        world = self.world
        deadline = world.now + (2 * 30 + 7 + 5) * DAY
        while True:
            run = Rollout(world)
            quiet = all(step.endswith(("recorded", "settled")) for step in list(run.steps()))
            for domain in world.domains.values():
                self._obey(domain)
                self._follow(domain)
            missing = [text for domain in world.domains.values() for text in _missing(world, domain)]
            if not missing and quiet:
                return
            if world.now > deadline:
                raise Broken("liveness: " + "; ".join(missing))
            self._pass_quietly()

    def _obey(self, domain: Domain) -> None:
        """What a hold says that the operator shall do."""
        held = {hold["code"] for hold in (domain.reported or {}).get("holds", ())}
        if domain.desired is None:
            return
        if "history-lost" in held and domain.desired.mode != "none":
            self.world.desire(domain, replace(domain.desired, mode="testing"))

    def _pass_quietly(self) -> None:
        """Daily runs would change nothing until something is due."""
        due = [
            time
            for domain in self.world.domains.values()
            for hold in (domain.reported or {}).get("holds", ())
            if (time := _seconds(hold["until"])) and time > self.world.now
        ]
        self.world.wait(min(due, default=self.world.now + DAY) - self.world.now)
        self.world.mail()


def _missing(world: World, domain: Domain) -> t.Iterator[str]:
    """What a domain still lacks."""
    desired = domain.desired
    if desired is None:
        return
    said = domain.reported or {"stage": "not reported", "holds": []}
    held = [hold["code"] for hold in said["holds"] if HOLD_KINDS[hold["code"]].effect != NOTHING]
    bodies = {host.files.get(domain.file) for host in world.hosts}
    if held:
        yield f"{domain.name}: {said['stage']}, held {said['holds']}"
    elif desired.state == "absent":
        if bodies != {None} or domain.txt.value or (set(domain.address.value) & set(world.addresses)):
            yield f"{domain.name}: {said['stage']}, there is {bodies} {domain.txt.value} {domain.address.value}"
    else:
        mode = desired.mode or ("enforce" if domain.enforced else "testing")
        max_age = desired.max_age if mode == "enforce" else DAY
        body = render_policy(Policy(mode, desired.mx, max_age))
        if bodies != {body} or domain.txt.value != (f"v=STSv1; id={id_of(body)}",):
            yield f"{domain.name}: {said['stage']}, there is {bodies} {domain.txt.value}"


def _seconds(text: t.Optional[str]) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(text).timestamp()) if text else 0
