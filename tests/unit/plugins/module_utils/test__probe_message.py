# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS messages, taken apart here and by dnspython: both find the same, in whatever comes."""

from __future__ import annotations

import contextlib
import time

import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe import message
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.message import (
    MessageError,
    follow,
    is_answer,
    is_below,
    make_query,
    parse_data,
    parse_reply,
    to_text,
    to_wire,
)
from hypothesis import given
from hypothesis import strategies as st

TYPES = {name: dns.rdatatype.from_text(name) for name in ("A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "TLSA")}

labels = st.binary(min_size=1, max_size=12) | st.sampled_from([b"a", b"B", b"_mta-sts", b"x" * 63])
names = st.lists(labels, max_size=3).map(lambda parts: dns.name.Name([*parts, b"example", b""]))
texts = st.lists(st.binary(max_size=20), min_size=1, max_size=3)
records = st.one_of(
    st.tuples(st.just("A"), st.ip_addresses(v=4).map(str)),
    st.tuples(st.just("AAAA"), st.ip_addresses(v=6).map(str)),
    st.tuples(st.just("NS"), names.map(str)),
    st.tuples(st.just("CNAME"), names.map(str)),
    st.tuples(st.just("MX"), st.builds("{} {}".format, st.integers(0, 65535), names)),
    st.tuples(st.just("TXT"), texts.map(lambda parts: " ".join(map(quoted, parts)))),
    st.tuples(st.just("TLSA"), st.binary(min_size=1, max_size=40).map(lambda data: f"3 1 0 {data.hex()}")),
    st.tuples(st.just("SOA"), names.map(lambda name: f"{name} {name} 1 2 3 4 5")),
    st.tuples(st.just("SRV"), names.map(lambda name: f"1 2 3 {name}")),
)


def quoted(part: bytes) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in part) + '"'


@st.composite
def replies(draw: st.DrawFn) -> dns.message.Message:
    query = dns.message.make_query(draw(names), draw(st.sampled_from(list(TYPES))))
    made = dns.message.make_response(query)
    for section in (made.answer, made.authority):
        for owner, (rdtype, data), ttl in draw(
            st.lists(st.tuples(names, records, st.integers(0, 2**31 - 1)), max_size=4)
        ):
            section.append(dns.rrset.from_text(owner, ttl, "IN", rdtype, data))
    return made


def simple(rdata: dns.rdata.Rdata) -> object:
    """The data of a record in the form that it has here."""
    wire = rdata.to_wire() or b""
    text = dns.rdatatype.to_text(rdata.rdtype)
    if text in ("A", "AAAA"):
        return rdata.to_text()
    if text in ("NS", "CNAME"):
        return wire.lower()
    if text == "MX":
        return int.from_bytes(wire[:2], "big"), wire[2:].lower()
    if text == "TXT":
        return rdata.strings  # type: ignore[attr-defined]
    return wire


@given(replies())
def test_what_dnspython_has_written_is_read(made: dns.message.Message) -> None:
    reply = parse_reply(made.to_wire(max_size=65535))
    assert reply.flags == made.flags
    assert reply.rcode == made.rcode()
    for found, section in ((reply.answer, made.answer), (reply.authority, made.authority)):
        wanted = [
            ((one.name.to_wire() or b"").lower(), one.rdtype, one.ttl, simple(rdata))
            for one in section
            for rdata in one
        ]
        plain = [tuple(one) for one in found if one.rdtype not in (TYPES["SOA"], 33)]
        assert plain == [one for one in wanted if one[1] not in (TYPES["SOA"], 33)]
        assert len(found) == len(wanted)


@given(replies(), st.data())
def test_what_is_damaged_is_an_error_and_nothing_else(made: dns.message.Message, data: st.DataObject) -> None:
    wire = bytearray(made.to_wire(max_size=65535))
    for _change in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    wire = wire[: data.draw(st.integers(0, len(wire)))]
    with contextlib.suppress(MessageError):
        reply = parse_reply(bytes(wire))
        for record in reply.answer:
            for rdtype in TYPES.values():
                with contextlib.suppress(MessageError):
                    follow(reply, record.owner, rdtype)
            assert to_wire(to_text(record.owner)) == record.owner


@given(st.binary(max_size=200))
def test_noise(noise: bytes) -> None:
    query = make_query(1, to_wire("a.example"), message.TXT, message.RD)
    assert not is_answer(noise, query)
    with contextlib.suppress(MessageError):
        parse_reply(noise)


@given(names)
def test_names_are_written_as_dnspython_does(name: dns.name.Name) -> None:
    wire = (name.to_wire() or b"").lower()
    assert to_wire(str(name)) == to_wire(str(name).rstrip(".")) == wire
    assert to_text(wire) == dns.name.from_wire(wire, 0)[0].to_text(omit_final_dot=True)
    assert to_wire(to_text(wire)) == wire


def test_root() -> None:
    assert (to_wire(""), to_wire("."), to_text(b"\0")) == (b"\0", b"\0", "")


LONG = ".".join(["x" * 63] * 3) + "." + "y" * 61


def test_a_name_may_be_so_long() -> None:
    assert len(to_wire(LONG)) == len(to_wire(LONG + ".")) == 255
    assert to_text(to_wire(LONG)) == LONG


@pytest.mark.parametrize(
    "name", ["a..b", ".a", "x" * 64, LONG + "y", "y." + LONG, "\\256", "\\", "a.\u2028." + "x" * 64]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="is no domain name"):
        to_wire(name)


@pytest.mark.parametrize(
    ("name", "zone", "expected"),
    [
        ("a.example", "example", True),
        ("example", "example", True),
        ("a.example", "", True),
        ("example", "a.example", False),
        ("ba.example", "a.example", False),
        ("a.example", "b.example", False),
    ],
)
def test_is_below(name: str, zone: str, expected: bool) -> None:
    assert is_below(to_wire(name), to_wire(zone)) == expected


@given(names, st.sampled_from(list(TYPES)), st.booleans())
def test_queries_are_those_of_dnspython(name: dns.name.Name, rdtype: str, edns: bool) -> None:
    flags = message.RD | message.AD
    ours = dns.message.from_wire(make_query(77, to_wire(str(name)), TYPES[rdtype], flags, edns=edns))
    theirs = dns.message.make_query(name, rdtype, id=77, flags=flags, use_edns=0 if edns else False, payload=1232)
    assert ours == theirs
    assert (ours.flags, ours.edns, ours.payload) == (theirs.flags, theirs.edns, theirs.payload)
    answer = dns.message.make_response(theirs)
    wire = answer.to_wire()
    query = make_query(77, to_wire(str(name)), TYPES[rdtype], flags, edns=edns)
    assert is_answer(wire, query)
    for at in (0, 1, len(wire) - (11 if edns else 0) - 1):
        other = bytearray(wire)
        other[at] ^= 4
        assert not is_answer(bytes(other), query)


def test_an_answer_may_be_in_other_case() -> None:
    query = make_query(1, to_wire("name.example"), message.TXT, message.RD)
    wire = dns.message.make_response(dns.message.from_wire(query)).to_wire()
    assert is_answer(wire.replace(b"name", b"nAmE"), query)


def test_a_ttl_is_that_of_the_shortest_record_and_never_negative() -> None:
    query = dns.message.make_query("a.example", "TXT")
    made = dns.message.make_response(query)
    made.answer = [dns.rrset.from_text("a.example.", 5, "IN", "TXT", "x", "y")]
    wire = made.to_wire()
    name = to_wire("a.example")
    assert follow(parse_reply(wire), name, message.TXT).ttl == 5
    one = b"\0\0\0\5"
    assert follow(parse_reply(wire.replace(one, b"\0\0\0\6", 1)), name, message.TXT).ttl == 5
    assert follow(parse_reply(wire.replace(one, b"\x80\0\0\5", 1)), name, message.TXT).ttl == 0


def test_another_class_is_another_world() -> None:
    made = dns.message.make_response(dns.message.make_query("a.example", "TXT"))
    made.answer = [dns.rrset.from_text("a.example.", 5, kind, "TXT", kind) for kind in ("CH", "IN")]
    chain = follow(parse_reply(made.to_wire()), to_wire("a.example"), message.TXT)
    assert chain.data == [(b"IN",)]


def pointers(count: int) -> bytes:
    """A message whose records each have a name that is a row of pointers, each to the one before."""
    header = b"\0\1\x84\0\0\0" + (5000).to_bytes(2, "big") + bytes(4)
    first = b"\0\0\x63\0\1\0\0\0\0" + (2 * count + 2).to_bytes(2, "big")
    row = b"\0\0" + b"".join((0xC000 | 12 + len(first) + 2 * one).to_bytes(2, "big") for one in range(count))
    last = (0xC000 | 12 + len(first) + 2 * count).to_bytes(2, "big") + b"\0\x63\0\1\0\0\0\0\0\0"
    return header + first + row + last * 4999


def test_pointers_have_an_end() -> None:
    assert len(parse_reply(pointers(message.POINTERS - 2)).answer) == 5000
    begin = time.process_time()
    with pytest.raises(MessageError, match="scattered"):
        parse_reply(pointers(5000))
    parse_reply(pointers(message.POINTERS - 2))
    assert time.process_time() - begin < 2
    for target in (b"\xc0\x0c", b"\xc0\x20", b"\x40\x00", b"\x80\x00"):
        with pytest.raises(MessageError, match="garbled"):
            parse_reply(b"\0\1\x84\0\0\0\0\1\0\0\0\0" + target + b"\0\x10\0\1\0\0\0\0\0\0" + bytes(64))


def test_a_name_that_is_too_long() -> None:
    row = (b"\x3f" + b"x" * 63) * 4
    with pytest.raises(MessageError, match="too long"):
        parse_reply(b"\0\1\x84\0\0\0\0\1\0\0\0\0" + row + b"\0\0\x10\0\1\0\0\0\0\0\0")


@given(records.filter(lambda record: record[0] not in ("SOA", "SRV")))
def test_data_alone_is_what_it_is_in_a_message(record: tuple[str, str]) -> None:
    rdtype, text = record
    made = dns.message.make_response(dns.message.make_query(".", rdtype))
    made.answer.append(dns.rrset.from_text(".", 5, "IN", rdtype, text))
    (found,) = parse_reply(made.to_wire()).answer
    assert parse_data(made.answer[0][0].to_wire(), TYPES[rdtype]) == found.data


@pytest.mark.parametrize("rdtype", [rdtype for rdtype in TYPES if rdtype != "SOA"])
def test_data_that_ends_too_early(rdtype: str) -> None:
    with pytest.raises(MessageError):
        parse_data(b"\7ab"[: rdtype == "MX" or 3], TYPES[rdtype])
