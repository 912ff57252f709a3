# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module rfc2136_record_sets against BIND."""

from __future__ import annotations

import base64
import json
import socket
import typing as t
from pathlib import Path

import pytest
from ansible_playbook import play
from bind import Interceptor, Named, free_port
from modules import executed

Set = dict[str, t.Any]
Result = dict[str, t.Any]


class Call:
    """Runs the module as Ansible does, in a process of its own, and keeps all that it printed."""

    def __init__(self, named: Named, directory: Path) -> None:
        self.named, self.directory = named, directory
        self.printed = ""

    def __call__(self, record_sets: list[Set] | None, *, check: bool = False, **options: t.Any) -> Result:
        arguments = {
            "server": self.named.host,
            "port": self.named.port,
            "key_name": "allowed",
            "key_secret": self.named.secrets["allowed"],
            "record_sets": record_sets,
            **options,
            "_ansible_diff": True,
        }
        given = {key: value for key, value in arguments.items() if value is not None}
        result, self.printed = executed("rfc2136_record_sets", self.directory, given, check=check)
        return result


@pytest.fixture
def call(named: Named, tmp_path: Path) -> Call:
    return Call(named, tmp_path)


def record_set(name: str, rdtype: str, *values: str, **options: t.Any) -> Set:
    return {"name": name, "type": rdtype, "values": list(values), **options}


def beside(domain: str, zone: str) -> str:
    """Return the test's own name in another zone."""
    return f"{domain.partition('.')[0]}.{zone}"


def statuses(result: Result) -> list[str]:
    return [one["status"] for one in result["results"]]


LONG = "".join(f"{number:03d}." for number in range(100))

# What there is, what is wanted (both as type, TTL and values), what is answered then.
CHANGES: dict[str, tuple[tuple[t.Any, ...], tuple[t.Any, ...], list[str]]] = {
    "create": (("TXT", 300), ("TXT", 300, "v=STSv1; id=1"), ['300 "v=STSv1; id=1"']),
    "change value": (("TXT", 300, '"v=STSv1; id=1"'), ("TXT", 300, "v=STSv1; id=2"), ['300 "v=STSv1; id=2"']),
    "change TTL": (("TXT", 300, '"v=STSv1; id=1"'), ("TXT", 60, "v=STSv1; id=1"), ['60 "v=STSv1; id=1"']),
    "remove": (("TXT", 300, '"v=STSv1; id=1"'), ("TXT", 300), []),
    "replace all": (("TXT", 300, '"a"', '"b"'), ("TXT", 300, "c"), ['300 "c"']),
    "drop one": (("A", 300, "192.0.2.1", "192.0.2.2"), ("A", 300, "192.0.2.2"), ["300 192.0.2.2"]),
    "long text": (("TXT", 300), ("TXT", 300, LONG), [f'300 "{LONG[:255]}" "{LONG[255:]}"']),
    "join strings": (("TXT", 300, '"a" "b"'), ("TXT", 300, "ab"), ['300 "ab"']),
    "quotes": (("TXT", 300), ("TXT", 300, 'say "a\\b"; 1'), ['300 "say \\"a\\\\b\\"; 1"']),
    "not ASCII": (("TXT", 300), ("TXT", 300, "é"), ['300 "\\195\\169"']),
    "no text": (("TXT", 300), ("TXT", 300, ""), ['300 ""']),
    "alias": (("CNAME", 300, "a.example.net."), ("CNAME", 300, "b.example.net."), ["300 b.example.net."]),
    "TLSA": (("TLSA", 300), ("TLSA", 300, "3 1 1 " + "ab" * 32), ["300 3 1 1 " + "ab" * 32]),
    "CAA": (("CAA", 300), ("CAA", 300, '0 issue "ca.example; a=b"'), ['300 0 issue "ca.example; a=b"']),
    "delegation": (("NS", 300, "a.example.net."), ("NS", 300, "b.example.net."), []),
}


@pytest.mark.parametrize(("there", "wanted", "answer"), CHANGES.values(), ids=CHANGES)
def test_change(
    call: Call, domain: str, there: tuple[t.Any, ...], wanted: tuple[t.Any, ...], answer: list[str]
) -> None:
    """Checked, done, checked again, done again."""
    named = call.named
    rdtype, ttl, *values = there
    named.put("example.com", domain, ttl, rdtype, *values)
    before = named.lookup(domain, rdtype)
    sets = [record_set(domain, wanted[0], *wanted[2:], ttl=wanted[1], item="mine")]

    planned = call(sets, check=True)
    assert planned["changed"]
    assert named.lookup(domain, rdtype) == before
    done = call(sets)
    assert named.lookup(domain, rdtype) == answer
    assert {key: done[key] for key in ("changed", "diff", "results", "counts")} == {
        key: planned[key] for key in ("changed", "diff", "results", "counts")
    }
    assert done["counts"] == {"ok": 0, "changed": 1, "awaited": 0, "failed": 0}
    assert done["results"][0]["item"] == "mine"
    after = done["results"][0]["after"]
    assert after == ({"ttl": wanted[1], "values": list(wanted[2:])} if wanted[2:] else None)

    for check in (True, False):
        again = call(sets, check=check)
        assert not again["changed"]
        assert again["counts"] == {"ok": 1, "changed": 0, "awaited": 0, "failed": 0}
        assert again["diff"] == {"before": "", "after": ""}


def test_names_are_compared_without_case_and_values_without_order(named: Named, call: Call, domain: str) -> None:
    named.put("example.com", domain, 300, "MX", "10 MX1.example.net.", "20 mx2.example.net.")
    result = call([record_set(domain.upper() + ".", "MX", "20 mx2.EXAMPLE.net", "10 mx1.example.net.")])
    assert statuses(result) == ["ok"]


def test_two_zones_and_diff(named: Named, call: Call, domain: str) -> None:
    other = beside(domain, "example.net")
    named.put("example.net", other, 60, "TXT", '"old"')
    named.put("example.com", f"same.{domain}", 300, "TXT", '"same"')
    result = call(
        [
            record_set(other, "TXT", "new"),
            record_set(domain, "TXT", "b", "a", zone="example.com"),
            record_set(f"same.{domain}", "TXT", "same"),
        ]
    )
    assert statuses(result) == ["changed", "changed", "ok"]
    assert result["diff"] == {
        "before": f'{other}. 60 IN TXT "old"\n',
        "after": f'{domain}. 300 IN TXT "a"\n{domain}. 300 IN TXT "b"\n{other}. 300 IN TXT "new"\n',
    }
    assert named.lookup(other, "TXT") == ['300 "new"']
    assert named.lookup(domain, "TXT") == ['300 "a"', '300 "b"']


def test_large_sets_are_sent_in_several_messages(named: Named, call: Call, domain: str) -> None:
    """40 sets of 4 KB each do not fit into one message."""
    sets = [record_set(f"n{number}.{domain}", "TXT", f"{number}" + "x" * 4000) for number in range(40)]
    assert call(sets)["counts"]["changed"] == 40
    assert named.lookup(f"n39.{domain}", "TXT")[0].startswith('300 "39xxx')


# A CNAME and other data


def test_alias_in_the_way(named: Named, call: Call, domain: str) -> None:
    named.put("example.com", domain, 300, "CNAME", "target.example.net.")
    result = call([record_set(domain, "TXT", "a"), record_set(f"other.{domain}", "TXT", "b")])
    assert result["failed"]
    assert statuses(result) == ["failed", "changed"]
    assert "is a CNAME to target.example.net." in result["results"][0]["error"]
    assert f"{domain} TXT: " in result["msg"]


def test_data_in_the_way_of_an_alias(named: Named, call: Call, domain: str) -> None:
    named.put("example.com", domain, 300, "A", "192.0.2.1")
    named.put("example.com", domain, 300, "TXT", "a")
    for check in (True, False):
        result = call([record_set(domain, "CNAME", "target.example.net")], check=check)
        assert statuses(result) == ["failed"]
        assert "has A, TXT data" in result["results"][0]["error"]


def test_alias_over_an_empty_name(named: Named, call: Call, domain: str) -> None:
    named.put("example.com", f"below.{domain}", 300, "A", "192.0.2.1")
    assert statuses(call([record_set(domain, "CNAME", "target.example.net")])) == ["changed"]
    assert named.lookup(domain, "CNAME") == ["300 target.example.net."]


def test_exchange_data_and_alias(named: Named, call: Call, domain: str) -> None:
    named.put("example.com", domain, 300, "A", "192.0.2.1")
    to_alias = [record_set(domain, "CNAME", "target.example.net"), record_set(domain, "A")]
    to_data = [record_set(domain, "A", "192.0.2.1"), record_set(domain, "CNAME")]
    for sets, rdtype, answer in ((to_alias, "CNAME", "target.example.net."), (to_data, "A", "192.0.2.1")):
        assert statuses(call(sets, check=True)) == ["changed", "changed"]
        assert statuses(call(sets)) == ["changed", "changed"]
        assert named.lookup(domain, rdtype) == [f"300 {answer}"]
        assert not call(sets)["changed"]


# Wildcards


def test_wildcard_is_no_set_of_the_name(named: Named, call: Call, domain: str) -> None:
    name = beside(domain, "wild.example")
    assert statuses(call([record_set(name, "TXT")])) == ["ok"]
    created = call([record_set(name, "TXT", "mine")])
    assert created["results"][0]["before"] is None
    assert named.lookup(name, "TXT") == ['300 "mine"']
    assert statuses(call([record_set(name, "TXT")])) == ["changed"]
    assert named.lookup(name, "TXT") == ['300 "v=spf1 -all"']


def test_wildcard_is_not_in_the_way_of_an_alias(named: Named, call: Call, domain: str) -> None:
    name = beside(domain, "wild.example")
    assert statuses(call([record_set(name, "CNAME", "target.example.net")])) == ["changed"]
    assert named.lookup(name, "CNAME") == ["300 target.example.net."]


def test_set_that_equals_a_wildcard(named: Named, call: Call, domain: str) -> None:
    name = beside(domain, "wild.example")
    named.put("wild.example", name, 300, "TXT", '"v=spf1 -all"')
    assert statuses(call([record_set(name, "TXT", "mine")])) == ["changed"]
    assert named.lookup(name, "TXT") == ['300 "mine"']


# Somebody else before: another rollout that ran since the plan was made

# What there is (as TTL and values), what is expected, and what becomes of the set that shall be "new".
EXPECTED: dict[str, tuple[tuple[t.Any, ...], list[str], str]] = {
    "as expected": ((300, '"old"'), ["old"], "changed"),
    "as expected, with another TTL": ((60, '"old"'), ["old"], "changed"),
    "as expected, in two strings": ((300, '"o" "ld"'), ["old"], "changed"),
    "as expected, several": ((300, '"b"', '"a"'), ["a", "b"], "changed"),
    "as expected, none": ((300,), [], "changed"),
    "as wanted": ((300, '"new"'), ["old"], "ok"),
    "as wanted, with another TTL": ((60, '"new"'), ["old"], "failed"),
    "newer": ((300, '"newer"'), ["old"], "failed"),
    "one more": ((300, '"old"', '"newer"'), ["old"], "failed"),
    "one less": ((300, '"a"'), ["a", "b"], "failed"),
    "gone": ((300,), ["old"], "failed"),
    "not there before": ((300, '"newer"'), [], "failed"),
}


@pytest.mark.parametrize(("there", "expected", "status"), EXPECTED.values(), ids=EXPECTED)
def test_what_is_not_as_expected_is_left_alone(
    call: Call, domain: str, there: tuple[t.Any, ...], expected: list[str], status: str
) -> None:
    named = call.named
    ttl, *values = there
    named.put("example.com", domain, ttl, "TXT", *values)
    before = named.lookup(domain, "TXT")
    sets = [record_set(domain, "TXT", "new", expected=expected), record_set(f"other.{domain}", "TXT", "x")]
    for check in (True, False):
        result = call(sets, check=check)
        assert statuses(result) == [status, "changed"]
        assert bool(result.get("failed")) == (status == "failed")
        told = f"{domain}. changed since the plan was made, run again: server 127.0.0.1 port {named.port} now answers "
        assert result["results"][0]["error"].startswith(told) == (status == "failed")
        assert (named.lookup(domain, "TXT") == before) == (check or status != "changed")
    assert named.lookup(f"other.{domain}", "TXT") == ['300 "x"']


def test_what_is_there_instead_is_told(named: Named, call: Call, domain: str) -> None:
    result = call([record_set(domain, "TXT", "new", expected=["old"])])
    assert result["results"][0]["error"].endswith(" now answers nothing")
    named.put("example.com", domain, 60, "TXT", '"newer"')
    result = call([record_set(domain, "TXT", "new", expected=["old"])])
    assert result["results"][0]["error"].endswith(' now answers "newer" (TTL 60)')


def test_removal_of_what_is_expected_alone(named: Named, call: Call, domain: str) -> None:
    removal = [record_set(domain, "TXT", expected=["old"])]
    named.put("example.com", domain, 300, "TXT", '"newer"')
    assert statuses(call(removal)) == ["failed"]
    named.put("example.com", domain, 300, "TXT", '"old"')
    assert statuses(call(removal)) == ["changed"]
    assert statuses(call(removal)) == ["ok"]


@pytest.mark.parametrize(
    ("expected", "status"), [([], "changed"), (["v=spf1 -all"], "changed"), (["x"], "failed")], ids=str
)
def test_wildcard_is_expected_or_nothing(call: Call, domain: str, expected: list[str], status: str) -> None:
    name = beside(domain, "wild.example")
    assert statuses(call([record_set(name, "TXT", expected=expected)])) == ["ok"]
    assert statuses(call([record_set(name, "TXT", "mine", expected=expected)])) == [status]


def test_what_an_alias_leads_to_is_no_set_of_the_name(named: Named, call: Call, domain: str) -> None:
    """Who asks a resolver sees it there all the same, and expects it."""
    named.put("example.com", f"target.{domain}", 300, "TXT", '"seen"')
    named.put("example.com", f"*.{domain}", 300, "CNAME", f"target.{domain}.")
    assert statuses(call([record_set(f"a.{domain}", "TXT", "mine", expected=["seen"])])) == ["changed"]
    assert named.lookup(f"a.{domain}", "TXT") == ['300 "mine"']


# Somebody else at the same time


@pytest.mark.parametrize("there", [[], ['"old"']])
def test_foreign_change_between_read_and_update(named: Named, call: Call, domain: str, there: list[str]) -> None:
    names = [f"n{number}.{domain}" for number in range(5)]
    named.put("example.com", names[2], 300, "TXT", *there)
    interceptor = Interceptor(named, before=lambda: named.put("example.com", names[2], 300, "TXT", '"foreign"'))
    result = call([record_set(name, "TXT", "mine") for name in names], port=interceptor.port)
    interceptor.close()
    assert statuses(result) == ["changed", "changed", "failed", "changed", "changed"]
    assert result["changed"]
    assert "changed meanwhile, run again" in result["results"][2]["error"]
    assert '"foreign" (TTL 300)' in result["results"][2]["error"]
    assert [named.lookup(name, "TXT") for name in names[1:3]] == [['300 "mine"'], ['300 "foreign"']]


def test_foreign_alias_between_read_and_update(named: Named, call: Call, domain: str) -> None:
    """BIND answers NOERROR to an addition beside a CNAME, and ignores it."""
    interceptor = Interceptor(named, before=lambda: named.put("example.com", domain, 300, "CNAME", "a.example.net."))
    result = call([record_set(domain, "TXT", "mine")], port=interceptor.port)
    interceptor.close()
    assert "changed meanwhile" in result["results"][0]["error"]
    assert "a CNAME to a.example.net." in result["results"][0]["error"]


def test_a_server_that_signs_beside_what_is_updated_may_take_a_moment(tmp_path: Path) -> None:
    named = Named(tmp_path, {"signed.test": ""}, signed_zones={"signed.test"}, inline=True)
    call = Call(named, tmp_path)
    try:
        for value in ("3 1 1 " + "ab" * 32, "3 1 1 " + "cd" * 32):
            result = call([record_set(f"_25._tcp.mx{number}.signed.test", "TLSA", value) for number in range(20)])
            assert set(statuses(result)) == {"changed"}, result
            assert named.lookup("_25._tcp.mx7.signed.test", "TLSA") == [f"300 {value}"]
    finally:
        named.stop()


def test_foreign_change_after_the_update(named: Named, call: Call, domain: str) -> None:
    interceptor = Interceptor(named, after=lambda: named.put("example.com", domain, 60, "TXT", '"foreign"'))
    result = call([record_set(domain, "TXT", "mine")], port=interceptor.port)
    interceptor.close()
    assert result["changed"]
    assert statuses(result) == ["failed"]
    assert result["results"][0]["error"].endswith(
        'accepted the update but still answers "foreign" (TTL 60) instead of "mine" (TTL 300)'
    )


def test_lost_answer_to_an_update(named: Named, call: Call, domain: str) -> None:
    interceptor = Interceptor(named, lose_answer=True)
    result = call([record_set(domain, "TXT", "mine")], port=interceptor.port)
    interceptor.close()
    assert interceptor.updates == 2
    assert statuses(result) == ["changed"]
    assert named.lookup(domain, "TXT") == ['300 "mine"']


# Errors


@pytest.mark.parametrize("continue_on_error", [False, True])
def test_bad_zones_among_good_ones(named: Named, call: Call, domain: str, continue_on_error: bool) -> None:
    result = call(
        [
            record_set("a.closed.example", "TXT", "x", item="closed.example"),
            record_set("b.nowhere.example", "TXT", "x"),
            record_set("www.child.parent.example", "TXT", "x"),
            record_set(domain, "TXT", "good"),
        ],
        continue_on_error=continue_on_error,
    )
    assert bool(result.get("failed")) is not continue_on_error
    assert result["changed"]
    assert statuses(result) == ["failed", "failed", "failed", "changed"]
    assert named.lookup(domain, "TXT") == ['300 "good"']
    closed, nowhere, child, good = (one["error"] for one in result["results"])
    where = f"server 127.0.0.1 port {named.port}"
    assert closed.startswith(f"{where} refused the update of zone closed.example. with TSIG key 'allowed' (REFUSED): ")
    assert nowhere.startswith(f"{where} is not authoritative for b.nowhere.example.")
    assert child.startswith(f"{where} is not authoritative for www.child.parent.example.")
    assert child.endswith(": it refers to the servers of child.parent.example.")
    assert not good
    for label in (
        "a.closed.example TXT (closed.example): ",
        "b.nowhere.example TXT: ",
        "www.child.parent.example TXT: ",
    ):
        assert label in result["msg"]
    assert "3 of 4 record sets failed" in result["msg"]


@pytest.mark.parametrize("more", [{}, {"check": True}, {"continue_on_error": True}])
@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            {"key_secret": base64.b64encode(b"wrong" * 6).decode()},
            "with TSIG key 'allowed' (hmac-sha256) (BADSIG)",
        ),
        ({"key_name": "unknown"}, "with TSIG key 'unknown' (hmac-sha256) (BADKEY)"),
        ({"key_algorithm": "hmac-sha512"}, "with TSIG key 'allowed' (hmac-sha512) (BADKEY)"),
        ({"port": free_port()}, "cannot be reached over TCP"),
        ({"key_secret": "no base64"}, "key_secret is not base64"),
    ],
)
def test_errors_that_concern_all(
    call: Call, domain: str, options: dict[str, t.Any], error: str, more: dict[str, t.Any]
) -> None:
    result = call([record_set(domain, "TXT", "x")], **options, **more)
    assert result["failed"]
    assert error in result["msg"]
    assert not result.get("changed")
    assert options.get("key_secret", "not given") not in call.printed


def test_silent_server(call: Call, domain: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = call([record_set(domain, "TXT", "x")], port=silent.getsockname()[1], timeout=1)
    assert "did not answer within 1 s" in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key_name": "powerless"}, "with TSIG key 'powerless' (REFUSED)"),
        ({"key_name": None, "key_secret": None}, "without a TSIG key (REFUSED)"),
    ],
)
def test_no_permission(named: Named, call: Call, domain: str, options: dict[str, t.Any], words: str) -> None:
    if options["key_name"]:
        options = {**options, "key_secret": named.secrets["powerless"]}
    result = call([record_set(f"n{number}.{domain}", "TXT", "x") for number in range(3)], **options)
    assert statuses(result) == ["failed"] * 3
    assert not result["changed"]
    assert all(words in one["error"] for one in result["results"])
    assert named.lookup(f"n1.{domain}", "TXT") == []


def test_wrong_zone(call: Call, domain: str) -> None:
    result = call([record_set(domain, "TXT", "x", zone=domain)])
    assert "(NOTAUTH): it is not the primary server of this zone" in result["results"][0]["error"]


def test_all_mistakes_in_one_message_before_anything_is_sent(named: Named, call: Call, domain: str) -> None:
    sets = [
        record_set(domain, "TXT", "good"),
        record_set("two words", "TXT", "x"),
        record_set(domain, "A", "192.0.2.300"),
        record_set(domain, "TXT", "twice"),
    ]
    message = call(sets)["msg"]
    assert "record_sets[1]: " in message
    assert "record_sets[2]: value '192.0.2.300' is no A data" in message
    assert f"record_sets[0] and record_sets[3] are both {domain} TXT" in message
    assert named.lookup(domain, "TXT") == []


def test_secret_is_never_shown(named: Named, call: Call, domain: str) -> None:
    for value in ("a", "b"):
        call([record_set(domain, "TXT", value), record_set("a.closed.example", "TXT", "x")])
        assert named.secrets["allowed"] not in call.printed
        assert '"key_name"' in call.printed


# Documents


def test_document(call: Call, domain: str) -> None:
    sets = [record_set(f"n{number}.{domain}", "TXT", "x", item=domain) for number in range(30)]
    sets += [record_set(f"n{number}.closed.example", "TXT", "x") for number in range(30)]
    document = call.directory / "plan.json"
    document.write_text(json.dumps({"record_sets": {"announce": sets, "other": []}}))
    options: dict[str, t.Any] = {"document": str(document), "continue_on_error": True}

    result = call(None, section="announce", **options)
    assert result["counts"] == {"ok": 0, "changed": 30, "awaited": 0, "failed": 30}
    assert [one["name"] for one in result["results"]] == [one["name"] for one in sets]

    assert call(None, section="other", **options)["counts"] == {"ok": 0, "changed": 0, "awaited": 0, "failed": 0}
    assert "has no list record_sets.missing" in call(None, section="missing", **options)["msg"]
    document.write_text(json.dumps({"record_sets": {"announce": [{"name": domain, "type": "TXT", "value": "x"}]}}))
    assert "record_sets.announce[0]: unknown option 'value'" in call(None, section="announce", **options)["msg"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"record_sets": []}, None),
        ({}, "one of the following is required: record_sets, document"),
        ({"record_sets": [], "document": "/x", "section": "a"}, "mutually exclusive: record_sets|document"),
        ({"document": "/x"}, "required together: document, section"),
        ({"record_sets": [], "key_name": None}, "required together: key_name, key_secret"),
        ({"document": "/nowhere/plan.json", "section": "a"}, "document /nowhere/plan.json: No such file"),
    ],
)
def test_options(call: Call, options: dict[str, t.Any], error: str | None) -> None:
    result = call(options.pop("record_sets", None), **options)
    if error is None:
        assert not result["changed"]
    else:
        assert error in result["msg"]


def test_a_key_that_does_not_work_is_told_even_when_there_is_nothing_to_do(call: Call) -> None:
    assert not call([])["changed"]
    result = call([], key_secret="bm90IHRoZSBzZWNyZXQ=")
    assert result["failed"]
    assert "BADSIG" in result["msg"]


# Through Ansible

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/postmaster.mta_sts.mta_sts:
      server: "{{ server }}"
      port: "{{ port }}"
      key_name: allowed
      key_secret: "{{ secret }}"
  tasks:
    - name: Announce
      postmaster.mta_sts.rfc2136_record_sets:
        record_sets:
          - {name: "_mta-sts.{{ domain }}", type: TXT, values: ["v=STSv1; id=1"]}
        results: "{{ results }}"
"""


def test_playbook(named: Named, domain: str, tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    (tmp_path / "vars.json").write_text(
        json.dumps(
            {
                **{"server": named.host, "port": named.port, "secret": named.secrets["allowed"], "domain": domain},
                "results": str(tmp_path / "results.json"),
            }
        )
    )
    arguments = ("-i", "localhost,", "-c", "local", "-e", "@vars.json", "--diff", "-vvv")
    record = f'_mta-sts.{domain}. 300 IN TXT "v=STSv1; id=1"'
    for check, change in ((["--check"], 1), ([], 1), ([], 0)):
        status, printed = play(tmp_path, "play.yml", *arguments, *check)
        assert status == 0, printed
        assert f"ok=1    changed={change} " in printed
        assert (f"+{record}" in printed) == bool(change)
        written = json.loads((tmp_path / "results.json").read_text())
        assert written["counts"]["changed"] == change
        assert named.secrets["allowed"] not in printed + json.dumps(written)
    assert named.lookup(f"_mta-sts.{domain}", "TXT") == ['300 "v=STSv1; id=1"']
