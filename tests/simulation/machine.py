# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen in the simulated world, in any order: rollouts, edits, an operator at work, breakdowns, time.

P1 to P8 are checked by the world with everything that happens, and at the end that all comes out right.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import replace

from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import DEFAULT_MAX_AGE, Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import Policy, render_policy
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from reports import holds_of, lacks, time_of
from rollout import NO_TROUBLE, Rollout, Trouble
from world import (
    ADDRESSES,
    DAY,
    ELSEWHERE,
    HOUR,
    LEGACY_ID,
    MINUTE,
    MX_HOSTS,
    RECORD_TTL,
    Answers,
    Broken,
    Document,
    Domain,
    PolicyHost,
    World,
    matches,
)

MX1, MX2, MX3, POOL, WILD = MX_HOSTS
PATTERNS = ((MX1,), (MX2,), (MX1, MX2), (MX2, MX3), (MX1, MX2, MX3), ("*.example.net",), (MX1, "*.pool.example.net"))
STARTS = ("fresh", "fresh", "legacy enforce", "legacy testing", "lone record", "two records")
# Changes of an inventory's entry; without one, it leaves the inventory, or comes back.
CHANGES: tuple[t.Optional[Document], ...] = (
    *[{"mx": patterns} for patterns in PATTERNS],
    *[{"mode": mode} for mode in ("enforce", "enforce", "enforce", "testing", "none", "")],
    *[{"max_age": max_age} for max_age in (DAY, 7 * DAY, 30 * DAY)],
    *[{"testing_days": days} for days in (0, 1, 7)],
    *[{"state": state} for state in ("present", "present", "absent", "absent", "absent")],
    *[{"replace_foreign": replaces} for replaces in (False, True)],
    *[None] * 4,
)
NUMBERS = st.integers(0, 2)
# A plan is not carried out much later than it was made.
LONGEST_RUN = HOUR - MINUTE

Function = t.TypeVar("Function", bound=t.Callable[..., None])


def watched(function: Function) -> Function:
    """What happens is noted, and what was broken once need not come out right."""

    @functools.wraps(function)
    def wrapper(self: Simulation, **chosen: t.Any) -> None:
        self.told.append((function.__name__, chosen))
        try:
            function(self, **chosen)
        except BaseException:
            self.broken = True
            raise

    return t.cast("Function", wrapper)


def one_of(pool: str) -> st.SearchStrategy[t.Any]:
    """One of those that the class says: another may make rare things likely."""
    return st.runner().flatmap(lambda machine: st.sampled_from(getattr(machine, pool)))


# Steps by their names, with what was chosen for them; what is not given is the plainest.
Story = t.Sequence[tuple[str, Document]]


class Simulation(RuleBasedStateMachine):
    """A rule's arguments have the plainest of their values as defaults, for stories that are told again."""

    # Due: until the next hold of the last reports ends.
    waits: tuple[t.Union[int, str], ...] = (0, MINUTE, HOUR, DAY, DAY, 7 * DAY, 31 * DAY, "due", "due")
    # A run is well more often than not.
    troubles = (
        *[NO_TROUBLE] * 10,
        *[Trouble(pace=pace) for pace in (5, 90)],
        *[Trouble(probe=probe) for probe in ("dns", "mx", "txt", "https")],
        *[Trouble(skew=skew) for skew in (-5 * MINUTE, 5 * MINUTE, -40 * DAY, 40 * DAY)],
    )
    # After so many writes a run is killed, or waits.
    stops: tuple[t.Optional[int], ...] = (*[None] * 12, *range(1, 16))
    # What becomes of a policy host. Away: senders reach it, and Ansible does not.
    breakdowns: tuple[str, ...] = (
        *("rebuilt", "ledger missing", "ledger damaged", "ledger unreadable"),
        *("away", "away", "down", "clock", "well", "well"),
    )
    changes = CHANGES

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.waiting: t.Optional[Rollout] = None
        self.broken = False
        self.told: list[tuple[str, Document]] = []

    @initialize(
        hosts=st.sampled_from((1, 2, 2, 3)),
        starts=st.lists(st.sampled_from(STARTS), min_size=1, max_size=3),
        days=st.sampled_from((0, 0, 1, 1, 7)),
        patterns=st.sampled_from(PATTERNS),
        mx_ttl=st.sampled_from((5 * MINUTE, DAY, 3 * DAY, 3 * DAY)),
        wild=st.booleans(),
        replaces=st.booleans(),
        runs=st.sampled_from((0, 0, 1, 3)),
    )
    @watched
    def begin(
        self,
        *,
        hosts: int = 1,
        starts: t.Sequence[str] = ("fresh",),
        days: int = 0,
        patterns: tuple[str, ...] = (MX1,),
        mx_ttl: int = 5 * MINUTE,
        wild: bool = False,
        replaces: bool = False,
        runs: int = 0,
    ) -> None:
        live = (MX1, WILD) if wild else (MX1,)
        domains = []
        for name, start in zip(("a.example", "b.example", "c.example"), starts):
            desired = Desired(name, patterns, "enforce", testing_days=days, replace_foreign=replaces)
            domain = Domain(name, desired, Answers((), RECORD_TTL), Answers((), RECORD_TTL), Answers(live, mx_ttl))
            _publish_before(domain, start)
            domains.append(domain)
        self.world = World(list(ADDRESSES)[:hosts], domains)
        self._keep_running(runs, "due")

    # --- rollouts -----------------------------------------------------------------------------------------

    @rule(wait=one_of("waits"), trouble=one_of("troubles"), stop=one_of("stops"), dies=st.booleans())
    @watched
    def roll_out(
        self,
        *,
        wait: t.Union[int, str] = 0,
        trouble: Trouble = NO_TROUBLE,
        stop: t.Optional[int] = None,
        dies: bool = False,
    ) -> None:
        self._wait(wait)
        run = self._start(trouble)
        if self._advance(run, stop):
            return
        if dies:
            run.steps.close()
        else:
            self._give_up()
            self.waiting = run

    @rule(times=st.integers(2, 4), wait=st.sampled_from((DAY, 7 * DAY, "due")))
    @watched
    def keep_running(self, *, times: int = 2, wait: t.Union[int, str] = "due") -> None:
        self._keep_running(times, wait)

    def _keep_running(self, times: int, wait: t.Union[int, str]) -> None:
        for _run in range(times):
            self._wait(wait)
            self._advance(self._start(NO_TROUBLE))

    @rule(stop=st.integers(1, 12), number=NUMBERS, change=one_of("changes"))
    @watched
    def overtake(self, *, stop: int, number: int = 0, change: t.Optional[Document]) -> None:
        """While a run is under way, the inventory is edited and rolled out."""
        self._give_up()
        slow = self._start(NO_TROUBLE)
        if not self._advance(slow, stop):
            self._edit(number, change)
            self.waiting = slow
            self._advance(self._start(NO_TROUBLE))
            self.waiting = None
            self._advance(slow)

    @precondition(lambda self: self.waiting is not None)
    @rule()
    @watched
    def go_on(self) -> None:
        """The run that was stopped goes on."""
        assert self.waiting is not None
        run, self.waiting = self.waiting, None
        self._advance(run)

    def _start(self, trouble: Trouble) -> Rollout:
        run = Rollout(self.world, trouble)
        if self.waiting is not None:
            self.waiting.overtaken = run.overtaken = True
        return run

    def _advance(self, run: Rollout, stop: t.Optional[int] = None) -> bool:
        """Whether the run has come to its end."""
        for number, step in enumerate(run.steps, start=1):
            for host in self.world.hosts:
                if step.startswith(host.name):
                    self.world.check_ledger(host)
            self.world.wait(run.trouble.pace)
            self.world.mail()
            if number == stop:
                return False
        return True

    def _give_up(self) -> None:
        if self.waiting is not None:
            self.waiting.steps.close()
            self.waiting = None

    def _wait(self, wait: t.Union[int, str]) -> None:
        seconds = self._until_due() if isinstance(wait, str) else wait
        if self.waiting is not None and self.world.now + seconds - self.waiting.started >= LONGEST_RUN:
            self._give_up()
        self.world.mail()
        self.world.wait(seconds)
        self.world.mail()

    def _until_due(self) -> int:
        """Seconds until the next hold ends, or a day."""
        now = self.world.now
        ends = [time_of(hold["until"]) for domain in self.world.domains.values() for hold in holds_of(domain)]
        return min((end - now for end in ends if end > now), default=DAY)

    # --- the operator -------------------------------------------------------------------------------------

    @rule(number=NUMBERS, change=one_of("changes"))
    @watched
    def edit(self, *, number: int = 0, change: t.Optional[Document]) -> None:
        self._edit(number, change)

    def _edit(self, number: int, change: t.Optional[Document]) -> None:
        domain = self._domain(number)
        before = domain.desired or Desired(domain.name, (MX1,), "enforce", replace_foreign=True)
        self.world.desire(domain, None if change is None and domain.desired else replace(before, **(change or {})))

    @rule(wait=st.sampled_from((0, MINUTE, "due")))
    @watched
    def follow_reports(self, *, wait: t.Union[int, str] = 0) -> None:
        """An operator in a hurry does all that he may do, as soon as he may."""
        self._wait(wait)
        for domain in self.world.domains.values():
            self._follow(domain)

    @rule(number=NUMBERS, host=st.sampled_from(MX_HOSTS), put=st.booleans())
    @watched
    def move_mx(self, *, number: int = 0, host: str, put: bool) -> None:
        (self._put if put else self._take_out)(self._domain(number), host)

    def _move_name(self, domain: Domain) -> None:
        """Leads mta-sts.<domain> to the policy hosts by hand, as the report asks.

        That is done right after a rollout: what others served until then is known, and not what they served since.
        """
        fresh = self.world.now <= domain.reported_at + HOUR
        if fresh and any(hold["code"] == "address-elsewhere" for hold in holds_of(domain)):
            self.world.set_address(domain, self.world.addresses)

    def _domain(self, number: int) -> Domain:
        domains = list(self.world.domains.values())
        return domains[number % len(domains)]

    def _follow(self, domain: Domain) -> None:
        self._move_name(domain)
        for host in MX_HOSTS:
            self._put(domain, host)
        for host in domain.mx.value:
            if domain.desired is not None and not matches(host, domain.desired.mx):
                self._take_out(domain, host)

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
            or time_of(hold["until"]) <= self.world.now
            for hold in said["holds"]
        )

    def _take_out(self, domain: Domain, host: str) -> None:
        """Whenever another one is well; an operator does not take his last good MX host out of DNS."""
        left = tuple(one for one in domain.mx.value if one != host)
        if host in domain.mx.value and any(one not in self.world.broken_mx for one in left):
            self.world.set_mx(domain, left)

    # --- breakdowns ---------------------------------------------------------------------------------------

    @rule(host=st.sampled_from(MX_HOSTS), healthy=st.booleans())
    @watched
    def break_mx(self, *, host: str, healthy: bool) -> None:
        self.world.set_mx_health(host, healthy=healthy)

    @rule(number=NUMBERS, what=one_of("breakdowns"))
    @watched
    def break_host(self, *, number: int = 0, what: str) -> None:
        host = self.world.hosts[number % len(self.world.hosts)]
        if host.publishing:
            return
        if what == "rebuilt":
            self.world.rebuild(host)
        elif what == "well":
            self._mend(host)
        elif what == "clock":
            host.skew = 5 * MINUTE if host.skew <= 0 else -5 * MINUTE
        elif what in ("away", "down"):
            self.world.reach(host, managed=False, serving=what == "away")
        elif host.ledger is not None:
            host.lose_ledger(what.split()[1])

    def _mend(self, host: PolicyHost) -> None:
        self.world.reach(host, managed=True, serving=True)
        host.skew = 0
        if host.ledger_state == "unreadable":
            host.ledger_state = "ok"

    # --- all comes out right ------------------------------------------------------------------------------

    def teardown(self) -> None:
        if self.broken or not hasattr(self, "world"):
            return
        self._give_up()
        for host in self.world.hosts:
            self._mend(host)
        for name in MX_HOSTS:
            self.world.set_mx_health(name, healthy=True)
        self._arrive()
        self.world.close()

    def _arrive(self) -> None:
        """In a world that is well every domain arrives where the inventory wants it."""
        deadline = self.world.now + (2 * 30 + 7 + 5) * DAY
        while True:
            run = self._start(NO_TROUBLE)
            idle = all(step.endswith((" recorded", " settled", " proved")) for step in list(run.steps))
            for domain in self.world.domains.values():
                self._obey(domain)
                self._follow(domain)
            missing = [text for domain in self.world.domains.values() for text in lacks(self.world, domain)]
            if idle and not missing:
                return
            if self.world.now > deadline:
                raise Broken("liveness: " + "; ".join(missing or ["it never comes to rest"]))
            # Daily runs would change nothing until something is due.
            self._wait("due")

    def _obey(self, domain: Domain) -> None:
        """What a hold says that the operator shall do."""
        if not any(hold["code"] == "history-lost" and hold["until"] is None for hold in holds_of(domain)):
            return
        if ELSEWHERE in domain.address.value and domain.legacy is not None:
            raise Broken(f"liveness: what others serve for {domain.name} is to be seen, and counts as lost")
        self.world.desire(domain, replace(t.cast("Desired", domain.desired), mode="testing"))


def tell(story: Story) -> None:
    """Has it all happen, to the end."""
    simulation = Simulation()
    for step, chosen in story:
        getattr(simulation, step)(**chosen)
    simulation.teardown()


def _publish_before(domain: Domain, start: str) -> None:
    """What stands in the world before the first rollout."""
    if start.startswith("legacy"):
        policy = Policy(start.split()[1], (MX1, WILD), DEFAULT_MAX_AGE)
        domain.legacy = render_policy(policy).replace(b"\r\n", b"\n")
        domain.txt = Answers((f"v=STSv1; id={LEGACY_ID}",), RECORD_TTL)
        domain.address = Answers((ELSEWHERE,), DAY)
    elif start == "lone record":
        domain.txt = Answers(("v=STSv1; id=wild",), RECORD_TTL)
    elif start == "two records":
        domain.txt = Answers(("v=STSv1; id=wild", "v=STSv1; id=other"), RECORD_TTL)
