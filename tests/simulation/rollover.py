# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated world of one MX host with TLSA records: its name servers, all caches that there may be, and its runs.

Of every set of records that a name server has had, some sender holds it for as long as it may. Whenever one of them
connects, the key that is served must be that of one of its records.
"""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

from ansible_collections.postmaster.mta_sts.plugins.module_utils import _mx_tlsa, _tlsa
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_chain import Chain, ChainError, Settings, choose
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_tlsa import Host, Turn
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa import InDns, Memory, Wish, tlsa_value
from world import Broken

# Between a look-up and the connection, and between a reload and the end of the last process from before it.
HOLDS = 300
MARGIN = 600
SERVERS = 2
Records = frozenset[str]
NOTHING: Records = frozenset()


class Crash(Exception):
    """The run dies here."""


@dataclass
class Zone:
    """What one name server says, and until when somebody may hold what it said before."""

    values: Records = NOTHING
    ttl: int = 0
    held: list[tuple[Records, int]] = field(default_factory=list)
    silent: bool = False


class Mx:
    """The world. All steps are methods, which a story names."""

    def __init__(self, source: str = "acme", initial_ttl: int = 0) -> None:
        self.now = 1_000_000
        self.source = source
        self.ready = ["key1"]
        self.installed = "key1"
        self.served = "key1"
        # Processes from before the last reload, and until when.
        self.earlier: list[tuple[str, int]] = []
        self.memory: t.Optional[Memory] = None
        self.kept = False
        self.zones = [Zone() for _server in range(SERVERS)]
        self.stop = 0
        if initial_ttl:
            # What is there is known before anything is changed.
            self.memory, self.kept = Memory(serve="key1"), True
            for zone in self.zones:
                zone.values, zone.ttl = frozenset({tlsa_value("key1")}), initial_ttl

    # --- what may happen ----------------------------------------------------------------------------------

    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.look()

    def run(
        self,
        stop: int = 0,
        ttl: int = 3600,
        rollover: bool = False,
        state: str = "present",
        late: bool = False,
    ) -> t.Optional[Turn]:
        """A turn of the role; it may die at a step, and one name server may not have the records at its end."""
        wish = Wish(ttl=ttl, margin=MARGIN, rollover=rollover, absent=state == "absent")
        self.stop = stop
        host = Host(Path("/nowhere"), Settings("mx", self.source), "address", check_mode=False)
        with self.patched():
            try:
                turn = host.turn(self.in_dns(), wish, lambda: self.now)
                values = turn.decision.values
                if values is None or self.is_in_dns(frozenset(values), ttl):
                    return turn
                self.publish(frozenset(values), ttl, late=late)
                return host.turn(self.in_dns(), replace(wish, rollover=False), lambda: self.now)
            except Crash:
                return None
            except ChainError as error:
                raise Broken(str(error)) from None
            finally:
                self.look()

    def arrive(self) -> None:
        """The name server that was late has what the first has."""
        self.set_zone(self.zones[1], self.zones[0].values, self.zones[0].ttl)
        self.look()

    def silence(self, on: bool = True) -> None:
        self.zones[1].silent = on

    def new_files(self, key: str) -> None:
        """Somebody puts a certificate with another key in place of the one before."""
        self.ready = [key]

    def follow(self) -> None:
        """A renewal: what the hook of certbot does, and the timer."""
        with contextlib.suppress(ChainError):
            key = choose(self.chains(), self.key_to_serve()).key
            if self.installed != key:
                self.installed = key
            self.load()
        self.look()

    def respawn(self) -> None:
        """Postfix starts anew, as after a reboot: it serves what is installed."""
        self.load()
        self.look()

    def lose(self) -> None:
        """What the host remembers is lost."""
        self.memory = None

    # --- what the host's own steps do ---------------------------------------------------------------------

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        with (
            mock.patch.multiple(
                _mx_tlsa,
                available=lambda _settings: (self.chains(), []),
                served_key=lambda _address: self.served,
                read_memory=lambda _directory, now: self.memory or (_tlsa.lost(now) if self.kept else Memory()),
                write_memory=lambda _directory, memory: self.step(self.write, memory),
                issue_next=lambda _settings: self.step(self.make_key),
                bring=self.bring,
                lineages=lambda _name: list(self.ready),
                forget=lambda names: self.step(self.forget, names),
            ),
            mock.patch.object(Host, "_forget_all", side_effect=lambda: self.step(self.forget_all)),
        ):
            yield

    def step(self, action: t.Callable[..., None], *args: t.Any) -> None:
        self.stop -= 1
        if self.stop == 0:
            raise Crash
        action(*args)
        self.look()

    def chains(self) -> list[Chain]:
        return [Chain(f"/live/{key}/fullchain.pem", key.encode(), key) for key in self.ready]

    def key_to_serve(self) -> t.Optional[str]:
        if not self.kept:
            return None
        return self.installed if self.memory is None else self.memory.serve

    def write(self, memory: Memory) -> None:
        self.memory, self.kept = memory, True

    def make_key(self) -> None:
        self.ready.append(f"key{int(self.ready[-1][3:]) + 1}")

    def bring(self, _settings: Settings, _directory: Path, *, check_mode: bool) -> None:
        assert not check_mode
        self.step(self.install, choose(self.chains(), self.key_to_serve()))
        self.step(self.load)

    def install(self, chain: Chain) -> None:
        self.installed = chain.key

    def load(self) -> None:
        if self.served != self.installed:
            self.earlier.append((self.served, self.now + HOLDS))
            self.served = self.installed

    def forget(self, names: t.Sequence[str]) -> None:
        self.ready = [key for key in self.ready if key not in names]

    def forget_all(self) -> None:
        self.memory, self.kept = None, False

    # --- DNS ----------------------------------------------------------------------------------------------

    def in_dns(self) -> InDns:
        said = [zone for zone in self.zones if not zone.silent]
        sets = [zone.values for zone in said]
        ttl = max((zone.ttl for zone in said if zone.values), default=0)
        complete = len(said) == SERVERS
        trouble = "" if complete else "one is silent"
        return InDns(frozenset().union(*sets), frozenset.intersection(*sets), ttl, complete, trouble)

    def is_in_dns(self, values: Records, ttl: int) -> bool:
        return all(zone.values == values and (zone.ttl == ttl or not values) for zone in self.zones)

    def publish(self, values: Records, ttl: int, *, late: bool) -> None:
        self.step(self.set_zone, self.zones[0], values, ttl)
        if not late and not self.zones[1].silent:
            self.step(self.set_zone, self.zones[1], values, ttl)

    def set_zone(self, zone: Zone, values: Records, ttl: int) -> None:
        zone.held.append((zone.values, self.now + zone.ttl))
        zone.values, zone.ttl = values, ttl if values else 0

    # --- the promise --------------------------------------------------------------------------------------

    def look(self) -> None:
        """Every sender that there may be connects to every process that there may be."""
        # Without records it is nobody's concern, and who comes back to them does not do so within minutes.
        if not all(zone.values for zone in self.zones):
            self.earlier = []
        self.earlier = [(key, until) for key, until in self.earlier if until > self.now]
        keys = {self.served, *(key for key, _until in self.earlier)}
        for zone in self.zones:
            zone.held = [(values, until) for values, until in zone.held if until + HOLDS > self.now]
            for values in [zone.values, *(values for values, _until in zone.held)]:
                for key in keys if values else ():
                    if tlsa_value(key) not in values:
                        raise Broken(f"{key} is served to a sender that holds {', '.join(sorted(values))}")


Story = t.Sequence[tuple[str, dict[str, t.Any]]]


def tell(story: Story) -> Mx:
    """The world at the end of a story, of which the first step says how it begins."""
    world = Mx(**story[0][1])
    for step, chosen in story[1:]:
        getattr(world, step)(**chosen)
    return world
