# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module lexicon_record_sets against the HTTP API of a real PowerDNS."""

from __future__ import annotations

import base64
import json
import socket
import typing as t
from pathlib import Path

import pytest
from ansible_playbook import play
from backends.backend import ZONE, Caller, record_set, statuses
from backends.lexicon import Dying, Lexicon
from bind import Named, free_port

CHECKOUT = Path(__file__).parents[2]
# A text with what some providers' modules stumble over.
OLD = "v=TLSRPTv1; rua=https://reports.example.net/tlsrpt?old=1"
NEW = "v=TLSRPTv1; rua=https://reports.example.net/tlsrpt?new=1"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Lexicon]:
    started = Lexicon(tmp_path_factory.mktemp("lexicon"), "example.net", f"sub.{ZONE}")
    yield started
    started.stop()


@pytest.fixture
def call(backend: Lexicon, tmp_path: Path) -> Caller:
    return Caller(backend, tmp_path)


# Credentials


def test_credentials_from_the_environment(backend: Lexicon, call: Caller, domain: str) -> None:
    call.environment = {
        "LEXICON_POWERDNS_AUTH_TOKEN": backend.server.api_key,
        "LEXICON_POWERDNS_PDNS_SERVER": backend.credentials()["pdns_server"],
    }
    assert statuses(call([record_set(domain, "TXT", "x")], credentials={})) == ["changed"]
    call.environment["LEXICON_POWERDNS_AUTH_TOKEN"] = "from-the-environment"
    wrong = call([record_set(domain, "TXT", "y")], credentials={})
    assert "401" in wrong["msg"]
    assert "from-the-environment" not in call.printed
    # What is given comes first.
    assert statuses(call([record_set(domain, "TXT", "y")])) == ["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"provider": "pdns"},
            ["provider 'pdns' is none that dns-lexicon knows; it knows ", "cloudflare, ", "powerdns"],
        ),
        ({"provider": "auto"}, ["provider 'auto' is none"]),
        ({"credentials": {"pdns_server": "http://127.0.0.1:1"}}, ["(auth_token)", "Its credentials are auth_token ("]),
        ({"credentials": {}}, ["(pdns_server)", "Its credentials are auth_token (", "none is given"]),
        ({"credentials": {"auth_tokn": "topsecret"}}, ["no option 'auth_tokn'; it has auth_token, pdns_server"]),
        ({"credentials": {"auth_token": ["topsecret"]}}, ["auth_token must be a text"]),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_options_that_cannot_be_used(call: Caller, domain: str, options: dict[str, t.Any], words: list[str]) -> None:
    result = call([record_set(domain, "TXT", "x")], **options)
    assert result["failed"]
    assert [word for word in words if word not in result["msg"]] == []
    assert "results" not in result
    assert "topsecret" not in call.printed


def test_what_is_in_dns_anyway_is_not_masked(backend: Lexicon, call: Caller, domain: str) -> None:
    """An account often has the name of the domain."""
    account = f"localhost.{domain}"
    result = call([record_set(account, "TXT", "x")], credentials=backend.credentials(pdns_server_id=account))
    assert result["results"][0]["name"] == account
    result = call([record_set(account, "TXT", "x")], credentials=backend.credentials(pdns_server_id="localhost"))
    assert result["results"][0]["name"] == account
    assert result["diff"]["after"] == f'{account}. 300 IN TXT "x"\n'


def test_a_secret_that_is_longer_than_an_error_is_not_shown_in_part(
    backend: Lexicon, call: Caller, domain: str
) -> None:
    credentials = backend.credentials(pdns_server=backend.credentials()["pdns_server"] + "/" + "secret" * 100)
    result = call([record_set(domain, "TXT", "x")], credentials=credentials)
    assert "does not open zone" in result["msg"]
    assert "HTTPError: 4" in result["msg"]
    assert "secret" not in call.printed


# Zones


def test_zones_are_found_and_one_that_the_provider_does_not_have_stops_no_other(
    backend: Lexicon, call: Caller, domain: str
) -> None:
    label = domain.partition(".")[0]
    names = [domain, f"{label}.sub.{ZONE}", f"{label}.example.net"]
    sets = [record_set(name, "TXT", "x") for name in names]
    sets += [
        record_set("a.nowhere.example", "TXT", "x"),
        record_set("b.alien.example", "TXT", "x", zone="alien.example"),
    ]
    result = call(sets)
    assert statuses(result) == ["changed"] * 3 + ["failed"] * 2
    assert "names no zone (SOA record) for a.nowhere.example." in result["results"][3]["error"]
    assert "does not open zone alien.example.: HTTPError: 4" in result["results"][4]["error"]
    assert [backend.answer(name, "TXT") for name in names] == [['300 "x"']] * 3
    # Each in its own zone: the parent's server would hide the other.
    with Dying(backend.server.api_port, lives_for=100) as api:
        again = call(sets[:3], credentials=backend.credentials(pdns_server=api.url))
        assert statuses(again) == ["ok"] * 3
        assert api.connections == 3


def test_writes_to_many_zones_that_stumble_over_each_other(backend: Lexicon, call: Caller, domain: str) -> None:
    """PowerDNS with SQLite answers 500 to some of them."""
    label = domain.partition(".")[0]
    names = [f"n{number}.{label}.{zone}" for zone in (ZONE, f"sub.{ZONE}", "example.net") for number in range(30)]
    for text in (OLD, NEW):
        result = call([record_set(name, "TXT", text) for name in names])
        assert result["counts"] == {"ok": 0, "changed": len(names), "awaited": 0, "failed": 0}, result.get("msg")
        assert [backend.answer(name, "TXT") for name in names] == [[f'300 "{text}"']] * len(names)


def test_a_zone_is_listed_once(backend: Lexicon, call: Caller, domain: str) -> None:
    sets = [record_set(f"n{number}.{domain}", "TXT", "x") for number in range(50)]
    sets += [record_set(f"n{number}.{domain}", "A") for number in range(50)]
    with Dying(backend.server.api_port, lives_for=100) as api:
        assert call(sets, credentials=backend.credentials(pdns_server=api.url), check=True)["counts"]["changed"] == 50
        assert api.connections == 1


def test_nobody_asks_the_network_for_public_suffixes(call: Caller, domain: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        call.environment = {"HTTPS_PROXY": "http://127.0.0.1:{1}".format(*proxy.getsockname()), "HOME": str(tmp_path)}
        assert statuses(call([record_set(domain, "TXT", "x")])) == ["changed"]
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


# Contents


LONG = "v=TLSRPTv1; rua=" + ",".join(f"https://reports{number}.example.net/" for number in range(12))


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('"in " "two strings"', "in two strings"),
        (r'"say \"a\\b\" now"', 'say "a\\b" now'),
        (f'"{LONG[:255]}" "{LONG[255:]}"', LONG),
    ],
)
def test_texts_as_others_write_them(backend: Lexicon, call: Caller, domain: str, written: str, text: str) -> None:
    backend.put(domain, 300, "TXT", written)
    kept = call([record_set(domain, "TXT", "new", expected=["other"])])
    assert kept["results"][0]["before"] == {"ttl": 300, "values": [text]}
    assert "now answers " in kept["results"][0]["error"]
    assert statuses(call([record_set(domain, "TXT", "new", expected=[text])])) == ["changed"]
    assert backend.answer(domain, "TXT") == ['300 "new"']


def test_a_long_text(backend: Lexicon, call: Caller, domain: str) -> None:
    assert statuses(call([record_set(domain, "TXT", LONG)])) == ["changed"]
    assert statuses(call([record_set(domain, "TXT", LONG)])) == ["ok"]
    assert backend.answer(domain, "TXT") == [f'300 "{LONG[:255]}" "{LONG[255:]}"']


def test_what_cannot_be_written_fails_alone(call: Caller, domain: str) -> None:
    sets = [record_set(domain, "MX", "10 mx.example.net"), record_set(domain, "TXT", 'with "quotes"')]
    result = call([*sets, record_set(f"beside.{domain}", "TXT", "x")])
    assert statuses(result) == ["failed", "failed", "changed"]
    assert (
        "MX sets cannot be kept through dns-lexicon here, A, AAAA, CNAME, TLSA, TXT sets can"
        in result["results"][0]["error"]
    )
    assert "without quotes and backslashes" in result["results"][1]["error"]


def test_the_shortest_ttl(backend: Lexicon, call: Caller, domain: str) -> None:
    sets = [record_set(domain, "TXT", "x", ttl=300), record_set(f"beside.{domain}", "TXT", "x", ttl=3600)]
    result = call(sets, minimum_ttl=600)
    assert [one["after"]["ttl"] for one in result["results"]] == [600, 3600]
    assert backend.answer(domain, "TXT") == ['600 "x"']
    assert statuses(call(sets, minimum_ttl=600)) == ["ok", "ok"]


SEVERAL = [
    (["a", "b", "c"], ["x"]),
    (["a", "b"], ["b", "x", "y"]),
    (["a"], ["x", "y"]),
    (["a", "b"], ["a"]),
    (["a", "b"], []),
]


@pytest.mark.parametrize(("old", "new"), SEVERAL, ids=str)
def test_sets_of_several(backend: Lexicon, call: Caller, domain: str, old: list[str], new: list[str]) -> None:
    for ttl in (300, 60):
        backend.put(domain, 300, "TXT", *old)
        assert statuses(call([record_set(domain, "TXT", *new, ttl=ttl)])) == ["changed"]
        assert backend.answer(domain, "TXT") == [f'{ttl} "{text}"' for text in new]


# Somebody else


def test_an_alias_in_the_way_and_data_in_the_way_of_one(backend: Lexicon, call: Caller, domain: str) -> None:
    backend.put(domain, 300, "CNAME", "target.example.net.")
    backend.put(f"data.{domain}", 300, "MX", "10 mx.example.net.")
    sets = [record_set(domain, "TXT", "x"), record_set(f"data.{domain}", "CNAME", "a.example.net")]
    for check in (True, False):
        alias, data = call(sets, check=check)["results"]
        assert "is a CNAME to target.example.net., beside which there can be no TXT set" in alias["error"]
        assert "has MX data, beside which there can be no CNAME" in data["error"]


@pytest.mark.parametrize(
    ("expected", "status"), [([], "changed"), (["wild"], "changed"), (["other"], "failed")], ids=str
)
def test_what_a_wildcard_answers_is_no_set_of_the_name(
    backend: Lexicon, call: Caller, domain: str, expected: list[str], status: str
) -> None:
    backend.put(f"*.{domain}", 300, "TXT", "wild")
    assert statuses(call([record_set(f"a.{domain}", "TXT")])) == ["ok"]
    result = call([record_set(f"a.{domain}", "TXT", "mine", expected=expected)])
    assert statuses(result) == [status]
    assert result["results"][0]["before"] is None


# What goes wrong


def test_a_run_that_dies_while_it_changes_a_set(backend: Lexicon, call: Caller, domain: str) -> None:
    """Wherever it dies there are never two records, and the next run heals it."""
    seen = set()
    for requests in range(1, 8):
        backend.put(domain, 300, "TXT", f'"{OLD}"')
        with Dying(backend.server.api_port, lives_for=requests) as api:
            result = call([record_set(domain, "TXT", NEW)], credentials=backend.credentials(pdns_server=api.url))
        answer = backend.answer(domain, "TXT")
        assert answer in ([f'300 "{OLD}"'], [], [f'300 "{NEW}"'])
        if result.get("failed"):
            assert "ConnectionError" in result["msg"]
            seen.add(str(answer))
        healed = call([record_set(domain, "TXT", NEW)])
        assert statuses(healed) in (["changed"], ["ok"])
        assert backend.answer(domain, "TXT") == [f'300 "{NEW}"']
    # The old one is still there, is not there, and the new one is there though nobody was told.
    assert len(seen) >= 2


def test_what_was_done_before_the_api_went_away_is_told(backend: Lexicon, call: Caller, domain: str) -> None:
    sets = [record_set(f"n{number}.{domain}", "TXT", "x") for number in range(20)]
    with Dying(backend.server.api_port, lives_for=20) as api:
        result = call(sets, credentials=backend.credentials(pdns_server=api.url))
    assert result["changed"]
    assert 0 < result["counts"]["changed"] < 20
    assert result["counts"]["changed"] + result["counts"]["failed"] == 20
    for one in result["results"]:
        assert one["status"] == "failed" or backend.answer(one["name"], "TXT")


@pytest.mark.parametrize("continue_on_error", [False, True])
def test_an_api_that_cannot_be_reached_concerns_all(
    backend: Lexicon, call: Caller, domain: str, continue_on_error: bool
) -> None:
    gone = backend.credentials(pdns_server=f"http://127.0.0.1:{free_port()}")
    result = call([record_set(domain, "TXT", "x")], credentials=gone, continue_on_error=continue_on_error)
    assert result["failed"]
    assert "provider powerdns does not open zone example.com.: ConnectionError: " in result["msg"]


def test_an_api_that_is_silent(backend: Lexicon, call: Caller, domain: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = "http://127.0.0.1:{1}".format(*silent.getsockname())
        result = call([record_set(domain, "TXT", "x")], credentials=backend.credentials(pdns_server=url), timeout=1)
    assert "ReadTimeout" in result["msg"]


def test_servers_that_do_not_answer_what_was_written(backend: Lexicon, call: Caller, domain: str, named: Named) -> None:
    result = call([record_set(domain, "TXT", "x")], authorities=[f"{named.host}:{named.port}"], wait=0)
    assert statuses(result) == ["failed"]
    assert result["changed"]
    assert f'server {named.host} port {named.port} answers nothing instead of "x" (TTL 300)' in result["msg"]
    assert backend.answer(domain, "TXT") == ['300 "x"']


# Through Ansible

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Announce
      ansible.builtin.import_role:
        name: postmaster.mta_sts.dns_records
      vars:
        dns_records_backend: lexicon
        dns_records_provider: powerdns
        dns_records_credentials: "{{ credentials }}"
        dns_records_authorities: "{{ authorities }}"
        dns_records_record_sets:
          - {name: "_mta-sts.{{ domain }}", type: TXT, values: ["v=STSv1; id=1"]}
        dns_records_results: "{{ results }}"
"""


@pytest.mark.parametrize("given_by", ["variables", "environment"])
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_no_secret_is_in_any_output(backend: Lexicon, domain: str, tmp_path: Path, given_by: str, right: bool) -> None:
    """At -vvv, whether it works or fails, as it is and as it is encoded; and the URL is a secret, too."""
    url = f"http://user:p%40ss@127.0.0.1:{backend.server.api_port}"
    secrets = {"auth_token": backend.server.api_key if right else "wrong key/of=the+api", "pdns_server": url}
    by_variables = given_by == "variables"
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    results = tmp_path / "results.json"
    variables = {
        "credentials": secrets if by_variables else {},
        "authorities": backend.options()["authorities"],
        "domain": domain,
        "results": str(results),
    }
    (tmp_path / "vars.json").write_text(json.dumps(variables))
    given = {} if by_variables else {f"LEXICON_POWERDNS_{key.upper()}": value for key, value in secrets.items()}
    for check in (("--check",), ()):
        arguments = ("-i", "localhost,", "-c", "local", "-e", "@vars.json", "--diff", "-vvv", *check)
        status, printed = play(tmp_path, "play.yml", *arguments, **given)
        assert (status == 0) == right, printed
        assert ("HTTPError: 401" in printed) != right
        output = printed + results.read_text()
        assert f"_mta-sts.{domain}" in output
        for secret in secrets.values():
            forms = (secret, json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode())
            assert [form for form in forms if form in output] == []
    assert backend.answer(f"_mta-sts.{domain}", "TXT") == (['300 "v=STSv1; id=1"'] if right else [])
