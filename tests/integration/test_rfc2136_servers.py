# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each name server says where it refuses, and what the module rfc2136_record_sets makes of it."""

from __future__ import annotations

import base64
import typing as t
from pathlib import Path

import pytest
from backends.backend import ZONE, Caller, record_set, statuses
from backends.updates import Updates, UpdatesToBind, UpdatesToKnot, UpdatesToPowerDNS

SERVERS = {"BIND": UpdatesToBind, "Knot": UpdatesToKnot, "PowerDNS": UpdatesToPowerDNS}
CLOSED = "closed.example"


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[str]:
    started[request.param] = SERVERS[request.param](tmp_path_factory.mktemp("server"), CLOSED)
    yield request.param
    started.pop(request.param).stop()


started: dict[str, Updates] = {}


@pytest.fixture
def call(server: str, tmp_path: Path) -> Caller:
    return Caller(started[server], tmp_path)


NO_KEY = "(BADKEY): compare key_name and key_algorithm with the server's configuration"
NO_SIGNATURE = "did not sign its answer (NOTAUTH) with TSIG key 'allowed'"
NO_ZONE = "(NOTAUTH): it is not the primary server of this zone"
REFUSED = "(REFUSED): let it accept updates of this set with this key"
# What is told of a set that the key may not touch, and of all with another secret, algorithm or zone.
WORDS: dict[str, dict[str, str]] = {
    "BIND": {"closed": REFUSED, "secret": "(BADSIG)", "algorithm": NO_KEY, "zone": NO_ZONE},
    "Knot": {"closed": NO_KEY, "secret": "(BADSIG)", "algorithm": NO_KEY, "zone": NO_ZONE},
    "PowerDNS": {"closed": REFUSED, "secret": NO_SIGNATURE, "algorithm": NO_SIGNATURE, "zone": NO_ZONE},
}
NO_KEY_GIVEN = {
    "BIND": "without a TSIG key (REFUSED): name a TSIG key",
    "Knot": "without a TSIG key (NOTAUTH): name a TSIG key",
    "PowerDNS": "without a TSIG key (REFUSED): name a TSIG key",
}
# The setting that is named to who has to change it.
SETTING = {"BIND": "allow-update", "Knot": "acl", "PowerDNS": "TSIG-ALLOW-DNSUPDATE"}


def test_a_zone_that_is_closed_does_not_stop_another(server: str, call: Caller) -> None:
    closed = [record_set(f"n{number}.{CLOSED}", "TXT", "x") for number in range(3)]
    nowhere = record_set("a.nowhere.example", "TXT", "x")
    result = call([*closed, nowhere, record_set(f"beside.{ZONE}", "TXT", "x")])
    assert statuses(result) == ["failed"] * 4 + ["changed"]
    for one in result["results"][:3]:
        assert WORDS[server]["closed"] in one["error"]
        assert SETTING[server] in one["error"]
    assert "is not authoritative for a.nowhere.example." in result["results"][3]["error"]
    assert started[server].answer(f"beside.{ZONE}", "TXT") == ['300 "x"']


def test_a_key_that_may_do_nothing(server: str, call: Caller) -> None:
    secret = started[server].server.secrets["powerless"]
    result = call([record_set(f"a.{ZONE}", "TXT", "x")], key_name="powerless", key_secret=secret)
    assert statuses(result) == ["failed"]
    assert WORDS[server]["closed"] in result["msg"]
    assert started[server].answer(f"a.{ZONE}", "TXT") == []


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("secret", {"key_secret": base64.b64encode(b"wrong" * 6).decode()}),
        ("algorithm", {"key_algorithm": "hmac-sha512"}),
    ],
)
def test_a_key_that_the_server_does_not_have(server: str, call: Caller, what: str, options: dict[str, t.Any]) -> None:
    """It concerns all, so the task fails whatever continue_on_error says."""
    result = call([record_set(f"a.{ZONE}", "TXT", "x")], continue_on_error=True, **options)
    assert result["failed"]
    assert WORDS[server][what] in result["msg"]


def test_no_key(server: str, call: Caller) -> None:
    result = call([record_set(f"a.{ZONE}", "TXT", "x")], key_name=None, key_secret=None)
    assert NO_KEY_GIVEN[server] in result["results"][0]["error"]


def test_a_zone_that_is_none(server: str, call: Caller) -> None:
    sets = [record_set(f"a.none.{ZONE}", "TXT", "x", zone=f"none.{ZONE}"), record_set(f"b.{ZONE}", "TXT", server)]
    result = call(sets)
    assert statuses(result) == ["failed", "changed"]
    assert WORDS[server]["zone"] in result["results"][0]["error"]


def test_what_was_seen_not_to_be_there_may_have_come(server: str, call: Caller) -> None:
    """Such a set is created without a look, if the server agrees that there is nothing; else it is looked at."""
    there = {"other": '"other"', "same": '"new"', "absent": "", "led": ""}
    for name, value in there.items():
        if value:
            started[server].put(f"{name}.new.{ZONE}", 300, "TXT", value)
    started[server].put(f"led.new.{ZONE}", 300, "CNAME", "target.example.net.")
    sets = [record_set(f"{name}.new.{ZONE}", "TXT", "new", expected=[], zone=ZONE) for name in there]
    result = call(sets, continue_on_error=True)
    assert statuses(result) == ["failed", "ok", "changed", "failed"]
    errors = [one["error"] for one in result["results"]]
    assert errors[0].startswith(f"other.new.{ZONE}. changed since the plan was made, run again: ")
    assert errors[3].startswith(f"led.new.{ZONE}. is a CNAME to target.example.net., beside which there can be no TXT")
    assert started[server].answer(f"absent.new.{ZONE}", "TXT") == ['300 "new"']
    assert started[server].answer(f"other.new.{ZONE}", "TXT") == ['300 "other"']
    assert statuses(call(sets[1:3])) == ["ok", "ok"]


def test_a_zone_that_was_seen_elsewhere_is_looked_for(server: str, call: Caller) -> None:
    """Others may cut the zones otherwise than the server that is updated."""
    name = f"a.cut.{ZONE}"
    assert statuses(call([record_set(name, "TXT", "x", expected=[], zone=f"cut.{ZONE}")])) == ["changed"]
    assert started[server].answer(name, "TXT") == ['300 "x"']


@pytest.mark.parametrize("check", [True, False])
def test_a_key_is_tried_before_sets_are_created_without_a_look(server: str, call: Caller, check: bool) -> None:
    secret = base64.b64encode(b"wrong" * 6).decode()
    sets = [record_set(f"{name}.tried.{ZONE}", "TXT", "x", expected=[], zone=ZONE) for name in "ab"]
    result = call(sets, check=check, continue_on_error=True, key_secret=secret)
    assert result["failed"]
    assert WORDS[server]["secret"] in result["msg"]


def test_all_that_stands_in_the_way_of_an_alias_is_told(server: str, call: Caller) -> None:
    """Knot answers a question for everything with one set alone; removing that one must not be enough."""
    name = f"full.{ZONE}"
    for rdtype, value in (("A", "192.0.2.1"), ("TXT", "x"), ("MX", "10 mx.example.net.")):
        started[server].put(name, 300, rdtype, value)
    alias = record_set(name, "CNAME", "target.example.net")
    result = call([alias, record_set(name, "A")], check=True)
    assert "has MX, TXT data, beside which there can be no CNAME" in result["results"][0]["error"]
    assert statuses(call([alias, *(record_set(name, rdtype) for rdtype in ("A", "MX", "TXT"))])) == ["changed"] * 4
    assert started[server].answer(name, "CNAME") == ["300 target.example.net."]
