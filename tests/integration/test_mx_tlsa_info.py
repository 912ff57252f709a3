# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mx_tlsa_info with two name servers that need not agree, and a resolver that validates."""

from __future__ import annotations

import threading
import time
import typing as t
from pathlib import Path

import pytest
from bind import Named, free_port
from modules import executed
from unbound import Unbound

ONE, TWO, THREE = (f"3 1 1 {digit * 64}" for digit in "abc")
ZONES = {
    "signed.test": f"mx A 192.0.2.1\nmx AAAA 2001:db8::1\n_25._tcp.mx 60 TLSA {ONE.upper()}\nbare A 192.0.2.2\n"
    "aliased A 192.0.2.3\n_25._tcp.aliased CNAME _25._tcp.mx\n",
    "plain.test": f"mx A 192.0.2.1\n_25._tcp.mx TLSA {ONE}\n",
}


class World(t.NamedTuple):
    """Two name servers, and a resolver that asks the first."""

    first: Named
    second: Named
    unbound: Unbound

    def servers(self) -> list[str]:
        return [f"{server.host}:{server.port}" for server in (self.first, self.second)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[World]:
    first = Named(tmp_path_factory.mktemp("first"), ZONES, signed_zones={"signed.test"})
    second = Named(tmp_path_factory.mktemp("second"), ZONES)
    [key] = [line.split(maxsplit=1)[1] for line in first.lookup("signed.test", "DNSKEY")]
    known = dict.fromkeys((*ZONES, "."), (first.host, first.port))
    unbound = Unbound(tmp_path_factory.mktemp("unbound"), known, [f"signed.test. DNSKEY {key}"])
    yield World(first, second, unbound)
    for server in (unbound, second, first):
        server.stop()


def look(world: World, place: Path, name: str, **options: t.Any) -> dict[str, t.Any]:
    given = {"authorities": world.servers(), "resolvers": [f"{world.unbound.host}:{world.unbound.port}"], "timeout": 2}
    result, _printed = executed("mx_tlsa_info", place, {"name": name, **given, **options})
    assert not result["changed"]
    found: dict[str, t.Any] = result["dns"]
    return found


AGREED = {"complete": True, "trouble": "", "secure": True, "insecure": ""}


def test_what_all_say_and_is_signed(world: World, tmp_path: Path) -> None:
    assert look(world, tmp_path, "mx.signed.test") == {"anywhere": [ONE], "everywhere": [ONE], "ttl": 60, **AGREED}
    assert look(world, tmp_path, "bare.signed.test") == {"anywhere": [], "everywhere": [], "ttl": 0, **AGREED}


def test_name_servers_that_do_not_agree(world: World, tmp_path: Path) -> None:
    world.second.put("signed.test", "_25._tcp.mx.signed.test", 3600, "TLSA", ONE, TWO)
    found = look(world, tmp_path, "mx.signed.test")
    assert (found["anywhere"], found["everywhere"], found["ttl"]) == ([ONE, TWO], [ONE], 3600)
    # It waits until they do.
    begun = time.monotonic()
    update = (world.first.put, ("signed.test", "_25._tcp.mx.signed.test", 3600, "TLSA", TWO, ONE))
    later = threading.Timer(1, *update)
    later.start()
    found = look(world, tmp_path, "mx.signed.test", wanted=[ONE, TWO], ttl=3600, wait=20)
    later.join()
    assert found["everywhere"] == [ONE, TWO]
    assert 0.5 < time.monotonic() - begun < 15
    # And not for ever.
    assert look(world, tmp_path, "mx.signed.test", wanted=[THREE], ttl=3600, wait=1)["anywhere"] == [ONE, TWO]


def test_a_name_server_that_is_silent(world: World, tmp_path: Path) -> None:
    servers = [world.servers()[0], f"127.0.0.1:{free_port()}"]
    found = look(world, tmp_path, "mx.signed.test", authorities=servers)
    assert not found["complete"]
    assert "cannot be reached over TCP" in found["trouble"]
    assert found["anywhere"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mx.plain.test", "the addresses of mx.plain.test are not signed, or no resolver that was asked validates"),
        ("nothing.signed.test", "nothing.signed.test has no address in DNS"),
    ],
)
def test_what_senders_would_not_use(world: World, tmp_path: Path, name: str, words: str) -> None:
    found = look(world, tmp_path, name)
    assert not found["secure"]
    assert found["insecure"].startswith(words)


def test_a_resolver_that_does_not_validate(world: World, tmp_path: Path) -> None:
    found = look(world, tmp_path, "mx.signed.test", resolvers=[world.servers()[0]])
    assert not found["secure"]


def test_an_alias_is_told(world: World, tmp_path: Path) -> None:
    found = look(world, tmp_path, "aliased.signed.test")
    assert not found["complete"]
    assert "is a CNAME of _25._tcp.mx.signed.test." in found["trouble"]


def test_what_is_no_name_is_refused(world: World, tmp_path: Path) -> None:
    result, _printed = executed("mx_tlsa_info", tmp_path, {"name": "mx 1.example", "authorities": world.servers()})
    assert result["failed"]
    assert "without blanks" in result["msg"]
