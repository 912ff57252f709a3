# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A world of domains, policy hosts and senders with caches, in which time passes as it is told.

It keeps its own log of what senders could ever have fetched. That log, and not a ledger, is the truth which the
promises of the design are held against.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import Desired
from ansible_collections.postmaster.mta_sts.plugins.module_utils._ledger import Ledger
from ansible_collections.postmaster.mta_sts.plugins.module_utils._names import mx_matches
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import (
    Policy,
    PolicyError,
    parse_policy,
    render_policy,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record import RecordError, select_sts_record

Document = dict[str, t.Any]
Value = t.TypeVar("Value")

MINUTE = 60
HOUR = 3600
DAY = 86400
BEGINNING = 1_800_000_000
ADDRESSES = {"web1": "192.0.2.1", "web2": "192.0.2.2", "web3": "192.0.2.3"}
ELSEWHERE = "198.51.100.9"
# MX hosts that may come and go, one that only a wildcard pattern covers, and one that no inventory ever names.
MX_HOSTS = ("mx1.example.net", "mx2.example.net", "mx3.example.net", "a.pool.example.net", "wild.example.org")
RECORD_TTL = HOUR
LEGACY_ID = "legacy"
# Senders that report: how many days after a day its report comes, and at which MX hosts they have mail.
REPORTERS: dict[str, tuple[int, tuple[str, ...]]] = {"prompt": (1, MX_HOSTS[:1]), "late": (2, MX_HOSTS)}
# A rollout reads the reports of so many days.
REPORTED_DAYS = 7


class Broken(AssertionError):
    """A promise of the design that does not hold; begins with its number."""


@functools.lru_cache(maxsize=100_000)
def moment(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc)


@functools.lru_cache(maxsize=100_000)
def policy_in(body: bytes) -> t.Optional[Policy]:
    try:
        return parse_policy(body)
    except PolicyError:
        return None


@functools.lru_cache(maxsize=100_000)
def id_in(texts: tuple[str, ...]) -> t.Optional[str]:
    """The id that senders accept."""
    try:
        return select_sts_record([[text] for text in texts]).id
    except RecordError:
        return None


def id_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


matches = functools.lru_cache(maxsize=100_000)(mx_matches)


def may_enforce(desired: Desired) -> bool:
    """Whether the inventory wants a domain to enforce, or does not mind that it does."""
    return desired.state == "present" and desired.mode in ("enforce", "")


class Answers(t.Generic[Value]):
    """A record set at its authoritative servers, and what caches may still say of it."""

    def __init__(self, value: Value, ttl: int) -> None:
        self.value, self.ttl = value, ttl
        # Former values with the time of their end.
        self._former: list[tuple[Value, int]] = []

    def set(self, value: Value, now: int) -> None:
        if value != self.value:
            self._former = [former for former in self._former if former[1] + self.ttl > now]
            self._former.append((self.value, now))
            self.value = value

    def former(self, now: int) -> list[tuple[Value, int]]:
        """What caches may say that is no longer so, with the time until when it was."""
        return [former for former in self._former if former[1] + self.ttl > now]

    def oldest(self, now: int) -> Value:
        """The oldest answer that a cache may give."""
        return next((value for value, _until in self.former(now)), self.value)


@dataclass
class Domain:
    """One mail domain: what stands in DNS, what the operator wants, and what became of it."""

    name: str
    desired: t.Optional[Desired]
    txt: Answers[tuple[str, ...]]
    address: Answers[tuple[str, ...]]
    mx: Answers[tuple[str, ...]]
    # What somebody else publishes at an address of his own.
    legacy: t.Optional[bytes] = None
    # What the last completed run said of it.
    reported: t.Optional[Document] = None
    reported_mx: tuple[str, ...] = ()
    reported_at: int = 0
    # Policy -> when a sender could fetch it for the last time.
    fetched: dict[Policy, int] = field(default_factory=dict)
    # Address -> since when it serves what it serves.
    placed: dict[str, int] = field(default_factory=dict)
    # All patterns that inventories named, or that were served before us.
    patterns: set[str] = field(default_factory=set)
    # Since when DNS has announced a testing policy.
    testing_since: t.Optional[int] = None
    # Senders were told to enforce, and the inventory did not ask for anything else since.
    enforced: bool = False
    # Until when a policy host served a policy that enforces.
    enforced_until: int = 0
    # When it was stepped to enforce without a testing period, because the operator wants none.
    hasty: int = 0
    senders: list[Sender] = field(default_factory=list)
    # Day, in days since 1970 -> the MX hosts in DNS that did not take mail as a policy that enforces wants it.
    bad_days: dict[int, set[str]] = field(default_factory=dict)

    @property
    def file(self) -> str:
        return f"mta-sts.{self.name}.txt"


@dataclass
class PolicyHost:
    """A web server with its policy files and its ledger."""

    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    ledger: t.Optional[Ledger] = None
    ledger_state: str = "missing"
    # Ansible reaches it; senders reach it.
    managed: bool = True
    serving: bool = True
    # A run has its lock.
    publishing: bool = False
    # By how many seconds its clock is wrong.
    skew: int = 0

    @property
    def address(self) -> str:
        return ADDRESSES[self.name]

    def bodies(self) -> dict[str, bytes]:
        return {name[len("mta-sts.") : -len(".txt")]: body for name, body in self.files.items()}

    def lose_ledger(self, state: str) -> None:
        if self.ledger is not None and state in ("missing", "damaged"):
            self.ledger.close()
            self.ledger = None
        self.ledger_state = state


@dataclass
class Sender:
    """A sending MTA, with its caches, for one domain.

    C(compares) ids as the RFC wants it; C(ignores) ids until max_age has passed; C(slow) does so with a resolver that
    always gives the oldest answer it may; C(rarely) has mail once a month; C(daily) refreshes without a look at the id.
    """

    kind: str
    # Which of the policy hosts it happens to meet.
    place: int
    policy: t.Optional[Policy] = None
    id: t.Optional[str] = None
    expires: int = 0
    refreshed: int = 0
    next_mail: int = 0
    cache: dict[str, tuple[t.Any, int]] = field(default_factory=dict)

    def resolve(self, name: str, answers: Answers[t.Any], now: int) -> t.Any:
        if self.kind == "slow":
            return answers.oldest(now)
        value, until = self.cache.get(name, (None, 0))
        if until <= now:
            value = answers.value
            self.cache[name] = (value, now + answers.ttl)
        return value

    def mail(self, world: World, domain: Domain) -> None:
        now = world.now
        if now < self.next_mail:
            return
        if self.kind == "rarely":
            self.next_mail = now + 30 * DAY
        if self.policy is not None and self.expires <= now:
            self.policy = self.id = None
        seen = id_in(self.resolve("txt", domain.txt, now))
        if self._wants(seen, now):
            self._fetch(world, domain, seen)
        if self.policy is not None and self.policy.mode == "enforce":
            world.deliver(domain, self.policy, self.resolve("mx", domain.mx, now), f"the sender that {self.kind}")

    def _wants(self, seen: t.Optional[str], now: int) -> bool:
        if self.kind == "daily":
            return (seen is not None or self.policy is not None) and now >= self.refreshed + DAY
        return seen is not None and (self.policy is None or (self.kind != "ignores" and seen != self.id))

    def _fetch(self, world: World, domain: Domain, seen: t.Optional[str]) -> None:
        addresses = self.resolve("address", domain.address, world.now)
        body = world.body_at(addresses[self.place % len(addresses)], domain) if addresses else None
        policy = policy_in(body) if body is not None else None
        if policy is not None:
            self.policy, self.id = policy, seen
            self.expires, self.refreshed = world.now + policy.max_age, world.now


KINDS = ("compares", "ignores", "slow", "rarely", "daily")


class World:
    """All there is, and the only way to change it: every change is held against the promises."""

    def __init__(self, hosts: t.Iterable[str], domains: t.Iterable[Domain]) -> None:
        self.now = BEGINNING
        self.hosts = [PolicyHost(name) for name in hosts]
        self.domains = {domain.name: domain for domain in domains}
        self.broken_mx: set[str] = set()
        # Numbers what changes on policy hosts, as much may happen in one second.
        self.change = 0
        self.changes: dict[tuple[str, str], int] = {}
        # What was written by runs, with the number of the change and the run.
        self.written: dict[str, tuple[int, Run]] = {}
        self._at = {host.address: host for host in self.hosts}
        for domain in self.domains.values():
            domain.senders = [Sender(kind, place) for place, kind in enumerate(KINDS)]
            if domain.desired is not None:
                domain.patterns.update(domain.desired.mx)
            if domain.legacy is not None:
                domain.placed[ELSEWHERE] = self.now
                legacy = policy_in(domain.legacy)
                domain.patterns.update(legacy.mx if legacy else ())
            self._note_announced(domain)

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(sorted(self._at))

    # --- what senders meet --------------------------------------------------------------------------------

    def body_at(self, address: str, domain: Domain) -> t.Optional[bytes]:
        """What an address serves for a domain."""
        if address == ELSEWHERE:
            return domain.legacy
        host = self._at[address]
        return host.files.get(domain.file) if host.serving else None

    def policy_at(self, address: str, domain: Domain) -> t.Optional[Policy]:
        body = self.body_at(address, domain)
        return None if body is None else policy_in(body)

    def observe_fetches(self, domain: Domain) -> None:
        """Brings the log up to date: any policy that can be fetched now, or could be since the last look."""
        now = self.now
        addresses = {
            address: until + domain.address.ttl
            for value, until in domain.address.former(now - 400 * DAY)
            for address in value
        }
        addresses.update(dict.fromkeys(domain.address.value, now))
        if id_in(domain.txt.value) or any(last + policy.max_age > now for policy, last in domain.fetched.items()):
            found_until = now
        else:
            known = [until + domain.txt.ttl for texts, until in domain.txt.former(now - 400 * DAY) if id_in(texts)]
            found_until = max(known, default=0)
        for address, reached_until in addresses.items():
            policy = self.policy_at(address, domain)
            end = min(now, reached_until, found_until)
            if policy is not None and end >= domain.placed.get(address, 0):
                domain.fetched[policy] = max(end, domain.fetched.get(policy, 0))

    def held(self, domain: Domain) -> list[Policy]:
        """The policies that a sender may hold now."""
        self.observe_fetches(domain)
        gone = [policy for policy, last in domain.fetched.items() if last + policy.max_age <= self.now]
        for policy in gone:
            del domain.fetched[policy]
        return list(domain.fetched)

    def look(self) -> None:
        """No sender that may exist refuses good mail (P4), whatever its caches hold."""
        for domain in self.domains.values():
            self.look_at(domain)

    def look_at(self, domain: Domain) -> None:
        enforced = [policy for policy in self.held(domain) if policy.mode == "enforce"]
        if not enforced:
            return
        views = {domain.mx.value, *(value for value, _until in domain.mx.former(self.now))}
        for policy in enforced:
            for hosts in views:
                self.deliver(domain, policy, hosts, "a sender")

    def deliver(self, domain: Domain, policy: Policy, hosts: tuple[str, ...], who: str) -> None:
        healthy = [host for host in hosts if host not in self.broken_mx]
        if not healthy or any(matches(host, policy.mx) for host in healthy):
            return
        if self._excused(domain, hosts):
            return
        raise Broken(f"P4 {who} refuses mail for {domain.name}: it holds {policy} and finds the MX hosts {hosts}")

    def _excused(self, domain: Domain, hosts: tuple[str, ...]) -> bool:
        """All that is excused when good mail is refused.

        With testing_days 0 the operator asked for the step to enforce at once: an MX set that had left DNS before
        that step was never part of what was tried.
        """
        left = [until for value, until in domain.mx.former(self.now) if value == hosts]
        return hosts != domain.mx.value and bool(left) and max(left) <= domain.hasty

    def mail(self) -> None:
        for domain in self.domains.values():
            for sender in domain.senders:
                sender.mail(self, domain)

    def close(self) -> None:
        for host in self.hosts:
            if host.ledger is not None:
                host.ledger.close()

    def wait(self, seconds: int) -> None:
        if seconds:
            self.look()
            self._note_bad_days(seconds)
            self.now += seconds
            self.look()

    # --- what senders report ------------------------------------------------------------------------------

    def _note_bad_days(self, seconds: int = 0) -> None:
        """What senders meet from now on, for a time."""
        for domain in self.domains.values():
            bad = self.broken_mx.intersection(domain.mx.value)
            for day in range(self.now // DAY, (self.now + seconds) // DAY + 1) if bad else ():
                domain.bad_days.setdefault(day, set()).update(bad)

    def reports(self, domain: Domain) -> Document:
        """What has arrived until now of the last days, as the host where it arrives knows it.

        One of the senders never gets at a policy, which is no matter for the MX hosts.
        """
        today = self.now // DAY
        found: Document = {}
        for name, (delay, hosts) in REPORTERS.items():
            for day in range(today - REPORTED_DAYS, today - delay + 1):
                told = found.setdefault(str(moment(day * DAY).date()), {"reporters": {}, "failures": []})
                told["reporters"][name] = {"succeeded": 5, "failed": 1}
                failed = [("certificate-expired", host) for host in domain.bad_days.get(day, set()).intersection(hosts)]
                told["failures"] += [
                    {"result_type": kind, "mx_host": host, "policy_type": "sts", "reporter": name, "sessions": 1}
                    for kind, host in [*failed, ("sts-policy-fetch-error", "")]
                ]
        return found

    def last_words(self, domain: Domain) -> dict[tuple[str, int], set[str]]:
        """The MX hosts that each reporter was refused at on the last day that it has reported of."""
        return {
            (name, day): domain.bad_days.get(day, set()).intersection(hosts)
            for name, (delay, hosts) in REPORTERS.items()
            for day in [self.now // DAY - delay]
        }

    # --- what a rollout does ------------------------------------------------------------------------------

    def write_file(self, host: PolicyHost, domain: Domain, body: bytes, run: Run) -> None:
        policy = policy_in(body)
        if policy is None:
            raise Broken(f"P1 {host.name} gets a policy for {domain.name} that nobody can read")
        self._check_served(domain, policy, run)
        self._check_order(f"{host.name} {domain.file}", run)
        self._place(host, domain, body)
        self.look_at(domain)

    def remove_file(self, host: PolicyHost, domain: Domain, run: Run) -> None:
        self._check_leaving(domain, "the file", run)
        self._place(host, domain, None)

    def write_txt(self, domain: Domain, texts: tuple[str, ...], run: Run) -> None:
        self.observe_fetches(domain)
        if texts:
            self._check_announced(domain, texts, run)
        else:
            self._check_record_removal(domain, run)
        self._check_order(f"_mta-sts.{domain.name}", run)
        domain.txt.set(texts, self.now)
        self._note_announced(domain)
        self.look_at(domain)

    def write_address(self, domain: Domain, addresses: tuple[str, ...], run: Run) -> None:
        self.observe_fetches(domain)
        if not addresses and domain.address.value:
            self._check_leaving(domain, "the address", run)
        domain.address.set(addresses, self.now)
        self.look_at(domain)

    def _place(self, host: PolicyHost, domain: Domain, body: t.Optional[bytes]) -> None:
        self.observe_fetches(domain)
        before = policy_in(host.files.get(domain.file, b""))
        if before is not None and before.mode == "enforce":
            domain.enforced_until = self.now
        if body is None:
            host.files.pop(domain.file, None)
        else:
            host.files[domain.file] = body
        domain.placed[host.address] = self.now
        self._note_change(host, domain)
        self._note_announced(domain)

    def _note_change(self, host: PolicyHost, domain: Domain) -> None:
        self.change += 1
        self.changes[host.name, domain.name] = self.change

    def check_ledger(self, host: PolicyHost) -> None:
        """What is served is in the ledger as long as it is served: it says too much, and never too little (P8)."""
        rows = host.ledger.describe()["domains"] if host.ledger else {}
        for name, body in host.bodies().items():
            served = rows.get(name, {"served": ()})["served"]
            if not any(row["id"] == id_of(body) and row["until"] is None for row in served):
                raise Broken(f"P8 {host.name} serves a policy of {name} that its ledger does not know")

    # --- what happens to it -------------------------------------------------------------------------------

    def rebuild(self, host: PolicyHost) -> None:
        for domain in self.domains.values():
            self._place(host, domain, None)
        host.lose_ledger("missing")

    def reach(self, host: PolicyHost, *, serving: bool, managed: bool) -> None:
        for domain in self.domains.values():
            self.observe_fetches(domain)
            if serving != host.serving:
                domain.placed[host.address] = self.now
                self._note_change(host, domain)
        host.serving, host.managed = serving, managed

    def set_mx(self, domain: Domain, hosts: tuple[str, ...]) -> None:
        domain.mx.set(hosts, self.now)
        self._note_bad_days()
        self.look_at(domain)

    def set_mx_health(self, host: str, *, healthy: bool) -> None:
        (self.broken_mx.discard if healthy else self.broken_mx.add)(host)
        self._note_bad_days()
        self.look()

    def set_address(self, domain: Domain, addresses: tuple[str, ...]) -> None:
        """The operator's own hand, or a third party's."""
        self.observe_fetches(domain)
        domain.address.set(addresses, self.now)

    def desire(self, domain: Domain, desired: t.Optional[Desired]) -> None:
        domain.desired = desired
        if desired is not None:
            domain.patterns.update(desired.mx)

    # --- the promises -------------------------------------------------------------------------------------

    def announced(self, domain: Domain) -> t.Optional[Policy]:
        """The policy that DNS announces, as far as it is served anywhere."""
        announced = id_in(domain.txt.value)
        for address in domain.address.value:
            body = self.body_at(address, domain)
            # What another id is derived from, nobody can tell.
            if body is not None and announced is not None and (announced == id_of(body) or len(announced) < 32):
                return policy_in(body)
        return None

    def _note_announced(self, domain: Domain) -> None:
        policy, announced = self.announced(domain), id_in(domain.txt.value)
        if announced is None or (policy is not None and policy.mode != "testing"):
            domain.testing_since = None
        elif policy is not None and domain.testing_since is None:
            domain.testing_since = self.now
        if policy is None or announced != id_of(render_policy(policy)):
            return
        # Where hosts serve something else already, as somebody asked for, it is on the way out of it.
        bodies = {self.body_at(address, domain) for address in domain.address.value}
        if policy.mode != "enforce" or len(bodies) == 1:
            domain.enforced = policy.mode == "enforce"

    def _check_served(self, domain: Domain, policy: Policy, run: Run) -> None:
        desired = run.desired.get(domain.name)
        if desired is None:
            raise Broken(f"P5 {domain.name} is not in the inventory, and its file is changed")
        invented = set(policy.mx) - domain.patterns
        if invented:
            raise Broken(f"P6 the patterns {invented} of {domain.name} come from nowhere")
        asked = may_enforce(desired)
        if policy.mode == "testing" and domain.enforced and asked:
            raise Broken(f"P6 {domain.name} enforces, and is taken back to testing")
        if policy.mode != "enforce":
            domain.enforced = False
        elif not asked:
            raise Broken(f"P6 {domain.name} shall not enforce, and does")
        elif not domain.enforced and not self._enforces_somewhere(domain):
            self._check_step(domain, policy, run, desired)

    def _enforces_somewhere(self, domain: Domain) -> bool:
        """Whether senders may get a policy that enforces, also from an address that is in caches only.

        As clocks differ, one that was replaced just now may count as served.
        """
        if self.now <= domain.enforced_until + 20 * MINUTE:
            return True
        former = {address for value, _until in domain.address.former(self.now) for address in value}
        policies = [self.policy_at(address, domain) for address in {*self.addresses, *domain.address.value, *former}]
        return any(policy is not None and policy.mode == "enforce" for policy in policies)

    def _check_step(self, domain: Domain, policy: Policy, run: Run, desired: Desired) -> None:
        """The step to enforce, by what was to be seen when it was decided (P6)."""
        if desired.mode != "enforce":
            raise Broken(f"P6 {domain.name} steps to enforce, and nobody asked for it")
        seen = run.seen_mx[domain.name]
        if not seen or any(bad or not matches(host, policy.mx) for host, bad in seen.items()):
            raise Broken(f"P6 {domain.name} steps to enforce with the MX hosts {seen} and {policy.mx}")
        first = run.at // DAY - max(desired.testing_days, 1)
        for (reporter, day), hosts in run.last_words[domain.name].items():
            if hosts & set(seen) and first <= day <= run.at // DAY and domain.name not in run.forgotten:
                raise Broken(f"P6 {domain.name} steps to enforce, and {reporter} was last refused at {hosts}")
        if not desired.testing_days:
            domain.hasty = self.now
        elif domain.name in run.forgotten:
            # Nobody knows what was announced: to enforce is the safe thing where the MX hosts are ready.
            return
        elif domain.testing_since is None or run.at - domain.testing_since < desired.testing_days * DAY - 10 * MINUTE:
            raise Broken(f"P6 {domain.name} steps to enforce, and was testing since {domain.testing_since}")

    def _check_announced(self, domain: Domain, texts: tuple[str, ...], run: Run) -> None:
        if len(texts) != 1:
            raise Broken(f"P3 {domain.name} gets {len(texts)} records")
        if domain.name not in run.desired:
            raise Broken(f"P5 {domain.name} is not in the inventory, and its record is changed")
        announced = id_in(texts)
        for host in self.hosts:
            body = self.body_at(host.address, domain)
            if body is not None and announced == id_of(body):
                continue
            # Another run, or a breakdown, may have come after its proof: then it was so when it was proved.
            if self.changes.get((host.name, domain.name), 0) <= run.proved_at:
                raise Broken(f"P1 the id of {domain.name} is announced, and {host.name} serves {body!r}")

    def _check_order(self, what: str, run: Run) -> None:
        """What another run wrote since this one looked is not undone by it (P8)."""
        self.change += 1
        change, writer = self.written.get(what, (0, run))
        if writer is not run and change > run.looked_at:
            raise Broken(f"P8 {what} is written by a run that does not know what it was")
        self.written[what] = self.change, run

    def _check_record_removal(self, domain: Domain, run: Run) -> None:
        self._check_held(domain, "the record", run, set())

    def _check_held(self, domain: Domain, what: str, run: Run, known: t.Collection[Policy]) -> None:
        """Nobody holds what is gone with it, but for policies that are C(known) to stay."""
        desired = run.desired.get(domain.name)
        if desired is None or desired.state != "absent":
            raise Broken(f"P5 nobody asked for {domain.name} to leave")
        older = [policy for policy in self.held(domain) if policy.mode != "none" and policy not in known]
        if older:
            raise Broken(f"P5 {what} of {domain.name} goes, and senders may hold {older}")

    def _served_since(self, domain: Domain, change: int) -> set[Policy]:
        """What policy hosts were told to serve since a change."""
        bodies = [
            host.files[domain.file]
            for host in self.hosts
            if domain.file in host.files and self.changes.get((host.name, domain.name), 0) > change
        ]
        return {policy for policy in map(policy_in, bodies) if policy is not None}

    def _check_leaving(self, domain: Domain, what: str, run: Run) -> None:
        if run.overtaken:
            # What another run does meanwhile cannot be seen: the domain may be published again, on other hosts.
            self._check_held(domain, what, run, self._served_since(domain, run.looked_at))
            return
        self._check_held(domain, what, run, set())
        views = [domain.txt.value, *(texts for texts, _until in domain.txt.former(self.now))]
        if any(id_in(texts) for texts in views):
            raise Broken(f"P5 {what} of {domain.name} goes, and its record is in DNS or in caches")


class Run(t.Protocol):
    """What the promises need to know of a run."""

    desired: dict[str, Desired]
    at: int
    # MX host -> whether it was seen to be bad; empty if nothing was to be seen.
    seen_mx: dict[str, dict[str, bool]]
    # What reporters said last, by domain.
    last_words: dict[str, dict[tuple[str, int], set[str]]]
    # Domains of which no ledger knows anything though DNS announces a policy of ours.
    forgotten: set[str]
    # Numbers of changes.
    looked_at: int
    proved_at: int
    overtaken: bool
