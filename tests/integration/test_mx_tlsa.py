# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module mx_tlsa with a real Postfix: no key is served before its record is everywhere."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._mx_chain import served_key
from ansible_collections.postmaster.mta_sts.plugins.module_utils._tlsa import tlsa_value
from modules import Result
from mx_host import LISTENER, NAME, Host
from postfix import POSTFIX

HOUR = 3600
WEEK = 7 * 86400
MEMORY = "tlsa.json"


@pytest.fixture
def host(tmp_path: Path) -> t.Iterator[Host]:
    started = Host(tmp_path)
    yield started
    started.postfix.stop()


def dns(*records: str, **more: t.Any) -> dict[str, t.Any]:
    """What all name servers say, as mx_tlsa_info returns it."""
    ttl = HOUR if records else 0
    answer = {"anywhere": list(records), "everywhere": list(records), "ttl": ttl, "complete": True, "trouble": ""}
    return {**answer, "secure": True, "insecure": "", **more}


def age(host: Host, seconds: int) -> None:
    """Makes all that the host remembers so much older."""
    memory = json.loads((host.directory / MEMORY).read_bytes())
    for key in memory["keys"].values():
        key.update({name: time and time - seconds for name, time in key.items()})
    memory.update({name: memory[name] and memory[name] - seconds for name in ("served_since", "cached_until")})
    (host.directory / MEMORY).write_text(json.dumps(memory))


def told(result: Result) -> tuple[str, list[str] | None, bool]:
    assert not result.get("failed"), result
    return result["stage"], result["records"], result["changed"]


def test_a_key_is_replaced_turn_by_turn(host: Host) -> None:
    first = host.give(host.authority.issue(NAME))
    host.call()
    old = tlsa_value(first)
    # The records come.
    assert told(host.turn(dns(), check=True)) == ("publishing", [old], False)
    assert not (host.directory / MEMORY).exists()
    assert told(host.turn(dns())) == ("publishing", [old], False)
    assert told(host.turn(dns(old))) == ("steady", [old], False)
    # The next key is published beside it, and waits until nobody holds records without it.
    second = host.give(host.authority.issue(NAME))
    new, both = tlsa_value(second), sorted([old, tlsa_value(second)])
    assert told(host.turn(dns(old))) == ("publishing", both, False)
    one_of_two = dns(*both, everywhere=[old])
    assert told(host.turn(one_of_two)) == ("publishing", both, False)
    waiting = host.turn(dns(*both))
    assert (told(waiting), waiting["why"]) == (
        ("waiting", both, False),
        "senders may hold records without the next key",
    )
    assert served_key(*LISTENER) == first == waiting["served"]
    # One second before is too early; the margin is an hour, too.
    age(host, 2 * HOUR - 5)
    assert told(host.turn(dns(*both)))[0] == "waiting"
    age(host, 10)
    planned = host.turn(dns(*both), check=True)
    assert (told(planned), served_key(*LISTENER)) == (("replacing", both, True), first)
    assert told(host.turn(dns(*both))) == ("dropping", both, True)
    assert served_key(*LISTENER) == second
    # The record of the key before goes when no sender holds its set only.
    assert told(host.turn(dns(*both))) == ("dropping", both, False)
    age(host, 2 * HOUR + 5)
    assert told(host.turn(dns(*both))) == ("publishing", [new], False)
    assert told(host.turn(dns(new))) == ("steady", [new], False)
    assert host.turn(dns(new))["served"] == second


def test_the_records_go_before_they_are_forgotten(host: Host) -> None:
    old = tlsa_value(host.give(host.authority.issue(NAME)))
    host.call()
    assert told(host.turn(dns(), state="absent")) == ("absent", None, False)
    host.turn(dns(old))
    assert told(host.turn(dns(old), state="absent")) == ("leaving", [], False)
    gone = host.turn(dns(), state="absent")
    assert (told(gone), gone["why"]) == (("leaving", [], False), "senders may hold the records")
    assert host.call(state="absent")["failed"]
    age(host, 2 * HOUR + 5)
    assert told(host.turn(dns(), state="absent", check=True)) == ("absent", [], True)
    assert (host.directory / MEMORY).exists()
    assert told(host.turn(dns(), state="absent")) == ("absent", [], True)
    assert not (host.directory / MEMORY).exists()
    assert host.call(state="absent")["changed"]


@pytest.mark.parametrize("text", [None, '{"keys"', "[]", '{"keys": {"a": 1}}'])
def test_a_memory_that_is_lost_makes_it_wait_longer(host: Host, text: str | None) -> None:
    old = tlsa_value(host.give(host.authority.issue(NAME)))
    host.call()
    host.turn(dns(old))
    if text is None:
        (host.directory / MEMORY).unlink()
    else:
        (host.directory / MEMORY).write_text(text)
    both = sorted([old, tlsa_value(host.give(host.authority.issue(NAME)))])
    assert told(host.turn(dns(*both)))[0] == "waiting"
    age(host, WEEK)
    assert told(host.turn(dns(*both)))[0] == "waiting"
    age(host, WEEK + 2 * HOUR)
    assert told(host.turn(dns(*both)))[0] == "dropping"


def test_where_it_is_not_seen_what_is_served_nothing_is_decided(host: Host) -> None:
    old = tlsa_value(host.give(host.authority.issue(NAME)))
    host.call()
    host.turn(dns(old))
    subprocess.run([POSTFIX, "-c", host.postfix.directory, "stop"], check=True, capture_output=True)
    blind = host.turn(dns(old))
    assert told(blind) == ("waiting", None, False)
    assert blind["served"] is None
    assert blind["why"].startswith("it cannot be seen which key is served: ")


def test_what_is_refused_and_what_is_said_loudly(host: Host) -> None:
    missing = host.turn(dns())
    assert missing["failed"]
    assert str(host.directory) in missing["msg"]
    own = tlsa_value(host.give(host.authority.issue(NAME)))
    host.call()
    unsigned = host.turn(dns(secure=False, insecure="the zone is not signed"))
    assert unsigned["msg"] == f"no TLSA records for {NAME}: the zone is not signed"
    assert host.turn({"anywhere": [own]})["msg"] == "dns is not what mx_tlsa_info returned"
    foreign = tlsa_value("0" * 64)
    beside = host.turn(dns(foreign))
    assert told(beside) == ("publishing", sorted([foreign, own]), False)
    assert "no TLSA record is of the key that is served" in str(beside["warnings"][0])
    assert "TLSA records that are not of this host's keys are left as they are" in str(beside["warnings"][1])
    assert told(host.turn(dns(foreign), replace_foreign=True)) == ("publishing", [own], False)
