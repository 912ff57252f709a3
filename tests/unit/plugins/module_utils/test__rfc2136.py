# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of _record_sets and _rfc2136 that need no server."""

from __future__ import annotations

import typing as t

import dns.name
import dns.rcode
import dns.update
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets import record_set as record_sets
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets import server
from ansible_collections.postmaster.mta_sts.plugins.module_utils._record_sets.record_set import InputError, RecordSet
from ansible_collections.postmaster.mta_sts.plugins.module_utils._rfc2136 import update_message
from hypothesis import given
from hypothesis import strategies as st


def entry(name: str, rdtype: str, *values: str, **options: t.Any) -> dict[str, t.Any]:
    return {"name": name, "type": rdtype, "values": list(values), **options}


def parse_one(name: str, rdtype: str, *values: str, **options: t.Any) -> RecordSet:
    (one,) = record_sets.parse_record_sets([entry(name, rdtype, *values, **options)])
    return one


VALUES: list[tuple[str, str, str]] = [
    ("TXT", "v=STSv1; id=1", '"v=STSv1; id=1"'),
    ("TXT", 'say "a\\b"', '"say \\"a\\\\b\\""'),
    ("TXT", "", '""'),
    ("TXT", "@", '"@"'),
    ("TXT", "é\n", '"\\195\\169\\010"'),
    ("txt", "x" * 255, f'"{"x" * 255}"'),
    ("TXT", "x" * 256, f'"{"x" * 255}" "x"'),
    ("SPF", "v=spf1 -all", '"v=spf1 -all"'),
    ("A", "192.0.2.1", "192.0.2.1"),
    ("AAAA", "2001:DB8:0::1", "2001:db8::1"),
    ("CNAME", "policies.example.net", "policies.example.net."),
    ("CNAME", "policies.example.net.", "policies.example.net."),
    ("MX", "0 .", "0 ."),
    ("CAA", '0 issue "ca.example; a=b"', '0 issue "ca.example; a=b"'),
    ("HTTPS", "1 . alpn=h2", '1 . alpn="h2"'),
    ("TYPE65280", "\\# 2 abcd", "\\# 2 abcd"),
]


@pytest.mark.parametrize(("rdtype", "value", "text"), VALUES)
def test_value(rdtype: str, value: str, text: str) -> None:
    one = parse_one("example.com", rdtype, value)
    assert one.wanted is not None
    assert [rdata.to_text() for rdata in one.wanted] == [text]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=800))
def test_text_comes_back_as_it_was_given(text: str) -> None:
    one = parse_one("example.com", "TXT", text)
    assert one.wanted is not None
    assert record_sets.values_of(one.wanted) == {"ttl": 300, "values": [text]}
    assert all(len(string) <= 255 for rdata in one.wanted for string in rdata.strings)


def test_absent_set() -> None:
    assert parse_one("example.com", "TXT").wanted is None


# A set, what it may be expected to be, and what not.
EXPECTED: list[tuple[str, str, str, str]] = [
    ("TXT", "ab", "ab", "a b"),
    ("TXT", "x" * 300, "x" * 300, "x" * 299),
    ("TXT", "É", "É", "é"),
    ("A", "192.0.2.1", "192.0.2.1", "192.0.2.2"),
    ("CNAME", "a.example", "A.EXAMPLE.", "b.example"),
    ("AAAA", "2001:db8::1", "2001:DB8:0::1", "2001:db8::2"),
]


@pytest.mark.parametrize(("rdtype", "there", "same", "other"), EXPECTED)
def test_expected_values(rdtype: str, there: str, same: str, other: str) -> None:
    found = record_sets.contents(parse_one("example.com", rdtype, there, ttl=60).wanted)
    assert parse_one("example.com", rdtype, expected=[same]).expected == found
    for values in ([other], []):
        assert parse_one("example.com", rdtype, expected=values).expected != found
    assert parse_one("example.com", rdtype, there).expected is None


MISTAKES: list[tuple[t.Any, str]] = [
    ("example.com", "must be a dictionary, not 'example.com'"),
    (entry("", "A"), "name must be a domain name, not ''"),
    (entry(".", "A"), "name must be a domain name, not '.'"),
    ({"type": "A", "values": []}, "name must be a domain name, not None"),
    (entry("münchen.example", "A"), "name 'münchen.example' must be written in A-labels (xn--...)"),
    (entry("a b.example", "A"), "name 'a b.example' must be a whole domain name without blanks or @"),
    (entry("@", "A"), "name '@' must be a whole domain name without blanks or @"),
    (entry("a..example", "A"), "name 'a..example' is no domain name: A DNS label is empty."),
    (entry("a.example", "TXTT"), "type must be a DNS record type such as TXT, not 'TXTT'"),
    ({"name": "a.example", "values": []}, "type must be a DNS record type such as TXT, not None"),
    (entry("a.example", "ANY"), "type 'ANY' cannot be managed with updates"),
    (entry("a.example", "SOA"), "type 'SOA' cannot be managed with updates"),
    (entry("a.example", "A", ttl=-1), "ttl must be a number of seconds from 0 to 2147483647, not -1"),
    (entry("a.example", "A", ttl="5m"), "ttl must be a number of seconds from 0 to 2147483647, not '5m'"),
    (entry("a.example", "A", ttl=True), "ttl must be a number of seconds from 0 to 2147483647, not True"),
    (entry("a.example", "A", zone="b.example"), "name 'a.example' does not lie in zone 'b.example'"),
    (entry("a.example", "A", item=1), "item must be a string, not 1"),
    (
        entry("a.example", "A", value="192.0.2.1"),
        "unknown option 'value'; known are expected, item, name, seen, ttl, type",
    ),
    ({"name": "a.example", "type": "A"}, "values must be a list of strings (an empty one: no such set)"),
    (entry("a.example", "A") | {"values": [1]}, "value 1 must be a string"),
    (entry("a.example", "A", expected=""), "expected must be a list of strings (an empty one: no such set), not ''"),
    (entry("a.example", "A", expected=["x"]), "value 'x' is no A data"),
    (entry("a.example", "A", "192.0.2.300"), "value '192.0.2.300' is no A data"),
    (entry("a.example", "A", "192.0.2.1\n"), "value '192.0.2.1\\n' is no A data: write names in full"),
    (entry("a.example", "MX", "10 @"), "value '10 @' is no MX data: write names in full"),
    (entry("a.example", "CNAME", "é.example"), "value 'é.example' is no CNAME data: write names in full"),
    (entry("a.example", "CAA", "0 issue ca.example; a=b"), "what follows an unquoted ; is a comment"),
    (entry("a.example", "CNAME", "b.example", "c.example"), "a CNAME set has one value, not 2"),
    (entry("a.example", "TXT", "x" * 70000), "70000 bytes do not fit into one record"),
]


@pytest.mark.parametrize(("bad", "error"), MISTAKES, ids=[error[:40] for _bad, error in MISTAKES])
def test_mistake(bad: t.Any, error: str) -> None:
    with pytest.raises(InputError) as caught:
        record_sets.parse_record_sets([entry("good.example", "A"), bad], "record_sets.announce")
    assert str(caught.value).startswith("record_sets.announce[1]: ")
    assert error in str(caught.value)


def test_all_mistakes_are_told_up_to_a_bound() -> None:
    with pytest.raises(InputError) as caught:
        record_sets.parse_record_sets([entry("", "A")] * 60)
    lines = str(caught.value).split("\n")
    assert [line.partition(":")[0] for line in lines[:-1]] == [f"record_sets[{index}]" for index in range(50)]
    assert lines[-1] == "and 10 more"


def test_sets_given_twice() -> None:
    sets = [entry("a.example", "TXT", "x"), entry("b.example", "TXT"), entry("A.example.", "txt")]
    with pytest.raises(InputError, match=r"^record_sets\[0\] and record_sets\[2\] are both A\.example TXT: "):
        record_sets.parse_record_sets(sets)


def test_alias_beside_other_data() -> None:
    sets = [entry("a.example", "A"), entry("a.example", "TXT", "x"), entry("a.example", "CNAME", "b.example")]
    with pytest.raises(InputError, match=r"^record_sets\[2\] and record_sets\[1\]: a CNAME at a\.example\. "):
        record_sets.parse_record_sets(sets)
    assert len(record_sets.parse_record_sets([sets[0], sets[2]])) == 2


def changed(name: str, before: str | None, after: str | None) -> RecordSet:
    one = parse_one(name, "TXT", *([] if after is None else [after]))
    one.before = None if before is None else parse_one(name, "TXT", before, ttl=60).wanted
    one.status = "changed"
    return one


def test_diff_has_the_changed_sets_in_the_order_of_a_zone() -> None:
    same = changed("same.example", "x", "y")
    same.status = "ok"
    sets = [
        changed("b.example", "1", "2"),
        changed("a.b.example", None, "3"),
        changed("a.example", "4", None),
    ]
    assert record_sets.diff_text([same, *sets]) == {
        "before": 'a.example. 60 IN TXT "4"\nb.example. 60 IN TXT "1"\n',
        "after": 'b.example. 300 IN TXT "2"\na.b.example. 300 IN TXT "3"\n',
    }


def test_diff_is_bounded() -> None:
    diff = record_sets.diff_text([changed(f"n{number}.example", None, "x") for number in range(12)], limit=10)
    assert len(diff["after"].splitlines()) == 11
    assert diff["after"].endswith("; and 2 more changed record sets\n")


def test_batches_are_bounded_and_keep_units_together() -> None:
    sets = [changed(f"n{number}.example", None, "x") for number in range(150)]
    alias = parse_one("n149.example", "CNAME")
    units = update_message.units_of([*sets, alias])
    assert units[-1] == [alias, sets[149]]
    assert [len(batch) for batch in update_message.batches(units)] == [100, 50]
    large = [[changed(f"n{number}.example", "x" * 9000, "y" * 9000)] for number in range(5)]
    assert [len(batch) for batch in update_message.batches(large)] == [2, 2, 1]


# What there is and what is wanted at one name: prerequisites and updates as class, type and data.
UPDATES: list[tuple[list[RecordSet], list[str], list[str]]] = [
    (
        [changed("a.example", None, "x")],
        ["NONE TXT", "NONE CNAME"],
        ["IN TXT 300 x"],
    ),
    ([changed("a.example", "old", "x")], ["IN TXT 0 old"], ["ANY TXT", "IN TXT 300 x"]),
    ([changed("a.example", "old", None)], ["IN TXT 0 old"], ["ANY TXT"]),
    ([parse_one("a.example", "CNAME", "b.example")], ["NONE ANY"], ["IN CNAME 300 b.example."]),
    (
        [changed("a.example", "old", None), parse_one("a.example", "CNAME", "b.example")],
        ["IN TXT 0 old", "NONE CNAME"],
        ["ANY TXT", "IN CNAME 300 b.example."],
    ),
]


@pytest.mark.parametrize(("unit", "prerequisites", "updates"), UPDATES)
def test_update_message(unit: list[RecordSet], prerequisites: list[str], updates: list[str]) -> None:
    """RFC 2136 2.4 and 2.5, read from the wire."""
    message = dns.update.UpdateMessage("example")
    update_message.fill(message, [unit])
    received = dns.message.from_wire(message.to_wire())
    assert isinstance(received, dns.update.UpdateMessage)

    def texts(section: list[t.Any]) -> list[str]:
        return [
            " ".join([dns.rdataclass.to_text(rrset.deleting or rrset.rdclass), dns.rdatatype.to_text(rrset.rdtype)])
            + "".join(f" {rrset.ttl} {rdata.to_text()}".replace('"', "") for rdata in rrset)
            for rrset in section
        ]

    assert texts(received.prerequisite) == prerequisites
    assert texts(received.update) == updates


@pytest.mark.parametrize("secret", ["no base64!", "é", "YQ=", "a b"])
def test_secret_is_not_in_the_error(secret: str) -> None:
    with pytest.raises(InputError) as caught:
        server.make_key("key.example", "hmac-sha256", secret)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("algorithm", server.KEY_ALGORITHMS)
def test_algorithms_can_sign(algorithm: str) -> None:
    message = dns.update.UpdateMessage("example")
    message.use_tsig(server.make_key("key.example.", algorithm, "c2VjcmV0"))
    assert message.to_wire()
    assert message.keyalgorithm in vars(dns.tsig).values()
