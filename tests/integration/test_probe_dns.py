# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS look-ups against BIND, a validating Unbound, and servers that lose questions and lie."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
import typing as t
from pathlib import Path

import dns.message
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe import message
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.answer import (
    Answer,
    CaaProperty,
    DnsBogus,
    DnsFailure,
    Tlsa,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.dns import (
    ADDRESS_LIMIT,
    CONCURRENT,
    SILENCES,
    Lookup,
)
from ansible_collections.postmaster.mta_sts.plugins.module_utils._probe.message import CHAIN
from bind import Named, free_port
from odd_dns import OddDns, relay, reply, silent
from unbound import Unbound

RECORDS = """\
@ 120 MX 10 mx1
@ 120 MX 5 MX2.other.test.
@ 120 MX 5 mx2.other.test.
null MX 0 .
both MX 0 .
both MX 5 mx1
mx1 60 A 192.0.2.1
mx1 90 AAAA 2001:db8::1
four A 192.0.2.4
txt 77 TXT "one " "record"
txt 77 TXT "\\195\\000;"
alias CNAME alias2
alias2 CNAME mx1
dangling CNAME nowhere.secure.test.
outside CNAME txt.secure.test.
a.b.c.d TXT deep
to-child CNAME child
child NS ns.test.
_25._tcp.mx1 TLSA 3 1 1 ab12ef
"""
RECORDS += "".join(f"many A 192.0.2.{number}\n" for number in range(40))
RECORDS += "".join(f'large TXT "{str(number) * 100}"\n' for number in range(10, 50))
SIGNED = (
    'txt TXT "signed"\nplain CNAME txt.plain.test.\n_25._tcp.mx TLSA 3 1 1 ab\nmx A 192.0.2.1\nmx AAAA 2001:db8::1\n'
)
OWN = """\
@ NS ns
ns A 127.0.0.1
@ CAA 0 iodef "mailto:x@own.test"
@ CAA 0 ISSUE "ca.test; validationmethods=http-01"
below CAA 128 odd ""
alias CNAME a.below
kept TXT "old"
"""
ZONES = {
    "own.test": OWN,
    "top": "",
    "customer.test": "kept CNAME kept.own.test.\n",
    "plain.test": RECORDS + "\\195\\032.odd A 192.0.2.9\nodd MX 1 \\195\\032.odd\n",
    "secure.test": SIGNED,
    "bogus.test": SIGNED,
    "child.plain.test": "@ NS ns.of.child.test.\na.b TXT deeper\n",
}
STALE = "127.0.0.2"
T = t.TypeVar("T")


class Lenient(Named):
    """Has names that no host may have."""

    def _configuration(self, closed_zones: t.Collection[str]) -> str:
        names = "recursion no; check-names primary ignore;"
        return super()._configuration(closed_zones).replace("recursion no;", names)


class World(t.NamedTuple):
    """Two name servers with the same zones, of which the second is behind, and a resolver."""

    named: Named
    stale: Named
    unbound: Unbound

    @property
    def server(self) -> tuple[str, int]:
        return self.named.host, self.named.port

    @property
    def resolver(self) -> tuple[str, int]:
        return self.unbound.host, self.unbound.port


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[World]:
    named = Lenient(tmp_path_factory.mktemp("named"), ZONES, signed_zones={"secure.test", "bogus.test"})
    stale = Named(
        tmp_path_factory.mktemp("stale"), {"plain.test": 'txt 3600 TXT "old"\noutside CNAME txt.secure.test.\n'}
    )
    [key] = [line.split(maxsplit=1)[1] for line in named.lookup("secure.test", "DNSKEY")]
    # That of another zone signs nothing here.
    anchors = [f"{zone} DNSKEY {key}" for zone in ("secure.test.", "bogus.test.")]
    known = dict.fromkeys((*ZONES, "."), (named.host, named.port))
    unbound = Unbound(tmp_path_factory.mktemp("unbound"), known, anchors)
    with OddDns(relay(stale), address=(STALE, named.port)):
        yield World(named, stale, unbound)
    for server in (unbound, stale, named):
        server.stop()


def look(
    resolver: tuple[str, int] | t.Sequence[tuple[str, int]],
    question: t.Callable[[Lookup], t.Awaitable[T]],
    authorities: t.Sequence[tuple[str, int]] = (),
    **options: t.Any,
) -> T:
    """What comes of one question, or of several, to a fresh look-up."""
    resolvers = [t.cast("tuple[str, int]", resolver)] if isinstance(resolver, tuple) else resolver

    async def ask() -> T:
        lookup = Lookup(resolvers, authorities, **{"timeout": 3, **options})
        try:
            return await question(lookup)
        finally:
            lookup.close()

    return asyncio.run(ask())


def failure(resolver: t.Any, name: str = "txt.plain.test", **options: t.Any) -> str:
    with pytest.raises(DnsFailure) as raised:
        look(resolver, lambda lookup: lookup.txt(name), **options)
    assert not isinstance(raised.value, DnsBogus)
    assert str(raised.value).startswith(f"{name} TXT: ")
    return str(raised.value).partition(": ")[2]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> t.Iterator[None]:
    """The event loop has nothing to complain of."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


# What may issue certificates

ISSUE = (CaaProperty(0, "iodef", "mailto:x@own.test"), CaaProperty(0, "issue", "ca.test; validationmethods=http-01"))
ODD = (CaaProperty(128, "odd", ""),)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("own.test", ("own.test", ISSUE)),
        ("mta-sts.a.own.test", ("own.test", ISSUE)),
        ("mta-sts.below.own.test", ("below.own.test", ODD)),
        ("alias.own.test", ("own.test", ISSUE)),
        ("mta-sts.a.top", ("", ())),
    ],
)
def test_caa(world: World, name: str, found: tuple[str, tuple[CaaProperty, ...]]) -> None:
    """RFC 8659 3: at the name, or at the next one above it that has any."""
    stands, properties = look(world.resolver, lambda lookup: lookup.caa(name))
    assert (stands, tuple(sorted(properties))) == found


def test_caa_that_cannot_be_known(world: World) -> None:
    with pytest.raises(DnsFailure, match=r"^test CAA: "):
        look(world.resolver, lambda lookup: lookup.caa("mta-sts.plain.test"))


# Yesterday's answer


@pytest.mark.parametrize("name", ["kept.own.test", "kept.customer.test"])
@pytest.mark.parametrize("given", [True, False])
def test_authorities_know_what_a_resolver_does_not_know_yet(world: World, name: str, given: bool) -> None:
    """Given or found out, and for an alias in a zone of somebody else, too."""
    authorities = [world.server] if given else []
    options: dict[str, t.Any] = {"authority_port": world.named.port, "find_authorities": True}

    def seen(**options: t.Any) -> tuple[t.Any, ...]:
        return look(world.resolver, lambda lookup: lookup.txt(name), **options).records

    world.named.put("own.test", "kept.own.test", 300, "TXT", '"old"')
    remembered = seen()
    world.named.put("own.test", "kept.own.test", 300, "TXT", '"new"')
    assert seen() == remembered
    assert seen(authorities=authorities, **options) == (("new",),) != remembered


# What there is

MX1 = ("192.0.2.1", "2001:db8::1")
NOTHING = Answer((), None, False, "", "plain.test")
UNKNOWN = Answer((), None, False, "")
ANSWERS: dict[str, tuple[str, str, Answer]] = {
    "texts": ("txt", "txt.plain.test", Answer((("one ", "record"), ("\ufffd\0;",)), 77, False, "")),
    "no such type": ("txt", "mx1.plain.test", NOTHING),
    "no such name": ("txt", "nowhere.plain.test", NOTHING),
    "mx": ("mx", "plain.test", Answer(("mx2.other.test", "mx1.plain.test"), 120, False, "")),
    "null mx": ("mx", "null.plain.test", Answer(("",), 300, False, "")),
    "null mx and another": ("mx", "both.plain.test", Answer(("", "mx1.plain.test"), 300, False, "")),
    "addresses": ("addresses", "mx1.plain.test", Answer(MX1, 60, False, "")),
    "ipv4 only": ("addresses", "four.plain.test", Answer(("192.0.2.4",), 300, False, "")),
    "upper case and final dot": ("addresses", "FOUR.plain.TEST.", Answer(("192.0.2.4",), 300, False, "")),
    "no address": ("addresses", "txt.plain.test", NOTHING),
    "alias": ("addresses", "alias.plain.test", Answer(MX1, 60, False, "mx1.plain.test")),
    "dangling": ("addresses", "dangling.plain.test", Answer((), None, False, "nowhere.secure.test")),
    "into another zone": ("txt", "outside.plain.test", Answer((("signed",),), 300, False, "txt.secure.test")),
    "tlsa": ("tlsa", "_25._tcp.mx1.plain.test", Answer((Tlsa(3, 1, 1, b"\xab\x12\xef"),), 300, False, "")),
    "no tlsa": ("tlsa", "_25._tcp.four.plain.test", NOTHING),
    "odd name": ("mx", "odd.plain.test", Answer(("\\195\\032.odd.plain.test",), 300, False, "")),
    "address of an odd name": (
        "addresses",
        "\\195\\032.odd.plain.test",
        Answer(("192.0.2.9",), 300, False, ""),
    ),
    "secure": ("txt", "txt.secure.test", Answer((("signed",),), 300, True, "")),
    "secure addresses": ("addresses", "mx.secure.test", Answer(MX1, 300, True, "")),
    "secure tlsa": ("tlsa", "_25._tcp.mx.secure.test", Answer((Tlsa(3, 1, 1, b"\xab"),), 300, True, "")),
    "securely nothing": ("txt", "mx.secure.test", Answer((), None, True, "", "secure.test")),
    "securely nowhere": ("addresses", "nowhere.secure.test", Answer((), None, True, "", "secure.test")),
    "from a signed zone to one that is not": (
        "txt",
        "plain.secure.test",
        Answer((("one ", "record"), ("\ufffd\0;",)), 77, False, "txt.plain.test"),
    ),
}


def assert_same(kind: str, answer: Answer, expected: Answer) -> None:
    records = answer.records if kind == "mx" else tuple(sorted(answer.records))
    assert answer._replace(records=records, ttl=expected.ttl) == expected
    # A resolver counts down what is left of it.
    assert (answer.ttl is None) == (expected.ttl is None)
    assert (answer.ttl or 0) <= (expected.ttl or 0) < (answer.ttl or 0) + 60


@pytest.mark.parametrize("case", ANSWERS)
def test_resolver_answers(world: World, case: str) -> None:
    kind, name, expected = ANSWERS[case]
    answer = look(world.resolver, lambda lookup: getattr(lookup, kind)(name))
    assert_same(kind, answer, expected)


@pytest.mark.parametrize("case", [case for case, (_kind, _name, expected) in ANSWERS.items() if not expected.secure])
def test_authority_answers(world: World, case: str) -> None:
    kind, name, expected = ANSWERS[case]
    answer = look(world.resolver, lambda lookup: getattr(lookup, kind)(name), authorities=[world.server])
    assert_same(kind, answer, expected)


def test_an_authority_cannot_say_that_an_answer_is_secure(world: World) -> None:
    answer = look(world.resolver, lambda lookup: lookup.txt("txt.secure.test"), authorities=[world.server])
    assert answer == Answer((("signed",),), 300, False, "")
    # Nor does what is secure at the end of its alias make the whole of it so.
    answer = look(
        world.resolver,
        lambda lookup: lookup.txt("outside.plain.test"),
        authorities=[(world.stale.host, world.stale.port)],
    )
    assert answer._replace(ttl=300) == Answer((("signed",),), 300, False, "txt.secure.test")


def test_tlsa_records_are_always_asked_of_a_resolver(world: World) -> None:
    name = "_25._tcp.mx.secure.test"
    assert look(world.resolver, lambda lookup: lookup.tlsa(name), authorities=[world.server]).secure


@pytest.mark.parametrize("secure", ["A", "AAAA"])
def test_addresses_are_secure_if_both_kinds_are(secure: str) -> None:
    def behave(query: dns.message.Message, _before: int) -> list[bytes]:
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        record = f"a.test. 60 {kind} {'192.0.2.1' if kind == 'A' else '2001:db8::1'}"
        return [reply(query, record, flags="QR RD RA AD" if kind == secure else "QR RD RA").to_wire()]

    with OddDns(behave) as odd:
        assert look(odd.address, lambda lookup: lookup.addresses("a.test")) == Answer(MX1, 60, False, "")


@pytest.mark.parametrize("kind", ["txt", "mx", "addresses", "tlsa", "name_servers"])
def test_bogus(world: World, kind: str) -> None:
    with pytest.raises(DnsBogus, match=r"^txt\.bogus\.test [A-Z]+: .*DNSSEC"):
        look(world.resolver, lambda lookup: getattr(lookup, kind)("txt.bogus.test"))


def test_addresses_are_bounded(world: World) -> None:
    answer = look(world.resolver, lambda lookup: lookup.addresses("many.plain.test"))
    assert len(set(answer.records)) == ADDRESS_LIMIT


def test_what_is_too_large_for_udp_comes_by_tcp(world: World) -> None:
    for options in ({}, {"authorities": [world.server]}):
        answer = look(world.resolver, lambda lookup: lookup.txt("large.plain.test"), **options)
        assert sorted(answer.records) == [(str(number) * 100,) for number in range(10, 50)]
    answer = look(world.resolver, lambda lookup: lookup.txt_at(world.named.host, "large.plain.test"), **at(world))
    assert len(answer.records) == 40


@pytest.mark.parametrize("length", [CHAIN, CHAIN + 1, 100])
def test_a_chain_of_aliases_has_an_end(length: int) -> None:
    chain = [f"a{number}.test. 60 CNAME A{number + 1}.test." for number in range(length)]
    with OddDns(lambda query, _before: [reply(query, *chain, f"a{length}.test. 9 TXT end").to_wire()]) as odd:
        if length == CHAIN:
            answer = look(odd.address, lambda lookup: lookup.txt("a0.test"))
            assert answer == Answer((("end",),), 9, False, f"a{length}.test")
        else:
            assert failure(odd.address, "a0.test") == "the chain of aliases is too long"


# Name servers

PLAIN, CHILD = ("ns.test",), ("ns.of.child.test", "ns.test")
NAME_SERVERS = {
    "plain.test": PLAIN,
    "txt.plain.test": PLAIN,
    "a.b.c.d.plain.test": PLAIN,
    "not.there.plain.test": PLAIN,
    "alias.plain.test": PLAIN,
    "below.alias.plain.test": PLAIN,
    "child.plain.test": CHILD,
    "x.y.a.b.child.plain.test": CHILD,
    "to-child.plain.test": PLAIN,
    # An alias says nothing of the zone that it lies in.
    "outside.plain.test": PLAIN,
}


@pytest.mark.parametrize("name", NAME_SERVERS)
def test_name_servers(world: World, name: str) -> None:
    answer = look(world.resolver, lambda lookup: lookup.name_servers(name))
    assert answer.records == NAME_SERVERS[name]
    assert answer.ttl
    assert not answer.secure
    assert look(world.resolver, lambda lookup: lookup.name_servers("txt.secure.test")).secure


def test_name_servers_are_asked_once_a_zone() -> None:
    """From names with and without the SOA record that shows the way up."""
    ns = "zone.test. 60 NS NS2.test.", "zone.test. 60 NS ns1.test."

    def behave(query: dns.message.Message, _before: int) -> list[bytes]:
        at_zone = query.question[0].name.to_text() == "zone.test."
        return [reply(query, *(ns if at_zone else ())).to_wire()]

    async def ask(lookup: Lookup) -> list[Answer]:
        return [await lookup.name_servers(name) for name in ("a.b.zone.test", "b.zone.test", "zone.test")]

    with OddDns(behave) as odd:
        answers = look(odd.address, ask)
        assert {answer.records for answer in answers} == {("ns1.test", "ns2.test")}
        assert [query.question[0].name.to_text() for query in odd.questions] == [
            "a.b.zone.test.",
            "b.zone.test.",
            "zone.test.",
        ]
        # Up to the root and no further, however long the name.
        assert look(odd.address, lambda lookup: lookup.name_servers(".".join("abcdefghij") + ".test")) == UNKNOWN
        assert look(odd.address, lambda lookup: lookup.name_servers(".".join("x" * 100))) == UNKNOWN
        assert len(odd.questions) < 40


@pytest.mark.parametrize(
    ("owner", "zone"), [("zone.test.", "zone.test"), ("b.zone.test.", "b.zone.test"), (".", ""), ("other.test.", "")]
)
def test_only_a_zone_that_a_name_lies_in_says_that_it_is_not_there(owner: str, zone: str) -> None:
    def behave(query: dns.message.Message, _before: int) -> list[bytes]:
        message = reply(query)
        message.authority.append(dns.rrset.from_text(owner, 60, "IN", "SOA", "ns.test. h.test. 1 1 1 1 1"))
        return [message.to_wire()]

    with OddDns(behave) as odd:
        assert look(odd.address, lambda lookup: lookup.txt("b.zone.test")).zone == zone
        assert look(odd.address, lambda lookup: lookup.addresses("b.zone.test")).zone == zone


def test_a_zone_that_does_not_tell_its_name_servers() -> None:
    def behave(query: dns.message.Message, _before: int) -> list[bytes]:
        name = query.question[0].name.to_text()
        if name == "zone.test.":
            return [reply(query, "zone.test. 60 NS ns.test.").to_wire()]
        message = reply(query)
        message.authority.append(dns.rrset.from_text(name, 60, "IN", "SOA", "ns.test. h.test. 1 1 1 1 1"))
        return [message.to_wire()]

    with OddDns(behave) as odd:
        assert look(odd.address, lambda lookup: lookup.name_servers("a.zone.test")).records == PLAIN


# One name server in particular


def at(world: World) -> dict[str, t.Any]:
    return {"authority_port": world.named.port}


def test_two_name_servers_that_differ(world: World) -> None:
    async def ask(lookup: Lookup) -> list[Answer]:
        servers = (world.named.host, STALE)
        return list(await asyncio.gather(*(lookup.txt_at(server, "txt.plain.test") for server in servers)))

    new, old = look(world.resolver, ask, **at(world))
    assert sorted(new.records) == [("one ", "record"), ("\ufffd\0;",)]
    assert (new.ttl, old) == (77, Answer((("old",),), 3600, False, ""))


def test_a_name_server_that_has_nothing_or_an_alias(world: World) -> None:
    def ask(name: str) -> Answer:
        return look(world.resolver, lambda lookup: lookup.txt_at(STALE, name), **at(world))

    assert ask("nowhere.plain.test") == NOTHING
    assert ask("outside.plain.test") == Answer((), None, False, "txt.secure.test")


LAME = {
    # It has no such zone; it knows who has; it is down.
    "txt.secure.test": (STALE, "REFUSED"),
    "txt.child.plain.test": (STALE, ""),
    "txt.plain.test": ("127.0.0.3", "refused"),
}


@pytest.mark.parametrize("name", LAME)
def test_a_lame_name_server(world: World, name: str) -> None:
    server, text = LAME[name]
    if not text:
        world.stale.put("plain.test", "child.plain.test", 60, "NS", "ns.child.plain.test.")
        text = "without authority"
    with pytest.raises(DnsFailure, match=f"^{name} TXT: {server}.*{text}"):
        look(world.resolver, lambda lookup: lookup.txt_at(server, name), **at(world))


def test_a_name_server_is_asked_as_one() -> None:
    with OddDns(lambda query, _before: [reply(query, "a.test. 60 TXT x", flags="QR AA").to_wire()]) as odd:
        host, port = odd.address
        assert look(odd.address, lambda lookup: lookup.txt_at(host, "a.test"), authority_port=port).records == (("x",),)
        look(odd.address, lambda lookup: lookup.txt("a.test"))
        first, second = odd.questions
    assert first.flags & 0x0130 == 0
    # Of a resolver it is wanted to know whether it has validated (RFC 6840 5.7).
    assert second.flags & 0x0130 == 0x0120
    assert first.payload == second.payload == 1232


def test_a_name_server_that_is_down_does_not_cost_a_time_out_per_name() -> None:
    async def ask(lookup: Lookup) -> int:
        names = [f"d{number}.test" for number in range(3 * CONCURRENT)]
        found = await asyncio.gather(*(lookup.txt_at("127.0.0.1", name) for name in names), return_exceptions=True)
        return sum(isinstance(one, DnsFailure) and f"{SILENCES} times" in str(one) for one in found)

    with OddDns(silent) as odd:
        assert look(odd.address, ask, authority_port=odd.address[1], timeout=0.5) >= CONCURRENT


def test_a_name_server_that_answers_now_and_then_is_asked_on() -> None:
    async def ask(lookup: Lookup) -> Answer:
        for turn in range(3):
            names = [f"silent{turn}-{number}.test" for number in range(SILENCES - 1)]
            await asyncio.gather(*(lookup.txt_at("127.0.0.1", name) for name in names), return_exceptions=True)
            answer = await lookup.txt_at("127.0.0.1", f"a{turn}.test")
        return answer

    def behave(query: dns.message.Message, _before: int) -> list[bytes]:
        return [] if query.question[0].name.to_text().startswith("silent") else [well(query)]

    with OddDns(behave) as odd:
        assert look(odd.address, ask, authority_port=odd.address[1], timeout=0.9).records == (("ok",),)


# What goes wrong on the way


def well(query: dns.message.Message, *, end: str = "ok") -> bytes:
    return reply(query, f"{query.question[0].name} 60 TXT {end}").to_wire()


def ok(resolver: t.Any, **options: t.Any) -> bool:
    return look(resolver, lambda lookup: lookup.txt("a.test"), **options).records == (("ok",),)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_packet_is_sent_again(lost: int) -> None:
    with OddDns(lambda query, before: [well(query)] if before >= lost else []) as odd:
        begin = time.monotonic()
        assert ok(odd.address, timeout=3)
        assert time.monotonic() - begin < 3
        assert len(odd.questions) == lost + 1
        # Each question looks new.
        assert len({query.id for query in odd.questions}) == lost + 1


def test_silence_is_no_answer() -> None:
    with OddDns(silent) as odd:
        begin = time.monotonic()
        assert failure(odd.address, timeout=0.6) == "no answer from 127.0.0.1 within 0.6 seconds"
        assert 0.5 < time.monotonic() - begin < 2
        assert len(odd.questions) == 3


def from_wire(change: t.Callable[[bytearray], object]) -> t.Callable[[dns.message.Message], bytes]:
    def made(query: dns.message.Message) -> bytes:
        wire = bytearray(well(query, end="forged"))
        change(wire)
        return bytes(wire)

    return made


def garble(at: int, value: int) -> t.Callable[[dns.message.Message], bytes]:
    return from_wire(lambda wire: wire.__setitem__(at, wire[at] ^ value))


def other_question(query: dns.message.Message) -> bytes:
    other = dns.message.make_query("b.test", "TXT")
    other.id = query.id
    return well(other, end="forged")


def other_type(query: dns.message.Message) -> bytes:
    other = dns.message.make_query(query.question[0].name, "A")
    other.id = query.id
    return reply(other, "a.test. 60 A 192.0.2.66").to_wire()


# What is no answer to the question, and passed over.
FORGED: dict[str, t.Callable[[dns.message.Message], bytes]] = {
    "identifier": garble(1, 1),
    "a question": garble(2, 0x80),
    "an update": garble(2, 0x28),
    "other question": other_question,
    "other type": other_type,
    "other class": garble(12 + 8 + 3, 3),
    "two questions": garble(5, 3),
    "no question": from_wire(lambda wire: wire.__setitem__(slice(4, 6), b"\0\0")),
    "empty": lambda _query: b"",
    "short": lambda query: query.to_wire()[:11],
    "noise": lambda _query: bytes(range(256)) * 200,
}


@pytest.mark.parametrize("case", FORGED)
def test_what_is_no_answer_is_passed_over(case: str) -> None:
    with OddDns(lambda query, _before: [FORGED[case](query), well(query)]) as odd:
        assert ok(odd.address)
        assert len(odd.questions) == 1
    with OddDns(lambda query, _before: [FORGED[case](query)] * 50) as odd:
        assert "no answer from" in failure(odd.address, "a.test", timeout=0.3)


def test_an_answer_from_elsewhere_is_passed_over() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        clients: list[int] = []

        class Exposed(OddDns):
            def _answer(self) -> None:
                wire, client = self._udp.recvfrom(65535)
                query = dns.message.from_wire(wire)
                clients.append(client[1])
                other.sendto(well(query, end="forged"), client)
                self._udp.sendto(well(query), client)

        with Exposed(silent) as odd:
            assert ok(odd.address)
        assert clients


def test_a_port_tells_nothing_of_the_next() -> None:
    ports: list[int] = []

    class Exposed(OddDns):
        def _answer(self) -> None:
            for _question in range(20):
                wire, client = self._udp.recvfrom(65535)
                ports.append(client[1])
                self._udp.sendto(well(dns.message.from_wire(wire)), client)

    async def ask(lookup: Lookup) -> None:
        for number in range(20):
            await lookup.txt(f"d{number}.test")

    with Exposed(silent) as odd:
        look(odd.address, ask)
    assert len(set(ports)) > 15
    assert len({two - one for one, two in zip(ports, ports[1:], strict=False)}) > 10


# What is an answer, but cannot be used. Another server may do better.
UNUSABLE: dict[str, tuple[t.Callable[[dns.message.Message], bytes], str]] = {
    "cut": (lambda query: well(query)[:-3], "ends"),
    "more records than there are": (garble(7, 9), "ends"),
    "a record that goes beyond": (garble(-8, 0xFF), "ends|garbled"),
    "a name that leads to itself": (from_wire(lambda wire: wire.__setitem__(slice(24, 26), b"\xc0\x18")), "garbled"),
    "refused": (lambda query: reply(query, rcode=5).to_wire(), "answers REFUSED"),
    "failed": (lambda query: reply(query, rcode=2).to_wire(), "answers SERVFAIL"),
    "not understood": (lambda query: reply(query, rcode=4).to_wire(), "answers NOTIMP"),
    "refused without question": (lambda query: query.to_wire()[:2] + b"\x84\x05" + bytes(8), "answers REFUSED"),
    "truncated, and not by TCP": (lambda query: reply(query, flags="QR TC").to_wire(), "closed"),
    "circle": (lambda query: reply(query, "a.test. 1 CNAME b.test.", "b.test. 1 CNAME a.test.").to_wire(), "too long"),
    "referral": (lambda query: reply(query, flags="QR").to_wire(), "is no resolver"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_used(case: str) -> None:
    made, text = UNUSABLE[case]
    with OddDns(lambda query, _before: [made(query)]) as odd, OddDns(lambda query, _before: [well(query)]) as good:
        seen = failure(odd.address, "a.test", timeout=1)
        assert any(part in seen for part in text.split("|")), seen
        if case not in ("circle", "referral"):
            assert ok([odd.address, good.address])
        assert ok(odd.address, authorities=[good.address])
        if case not in ("circle",):
            assert ok(good.address, authorities=[odd.address])


@pytest.mark.parametrize("kind", ["silent", "dead"])
def test_another_resolver_is_asked(kind: str) -> None:
    with OddDns(silent) as odd, OddDns(lambda query, _before: [well(query)]) as good:
        bad = odd.address if kind == "silent" else ("127.0.0.1", free_port())
        begin = time.monotonic()
        assert ok([bad, good.address], timeout=6)
        assert time.monotonic() - begin < 4


def test_a_dead_resolver_is_a_failure_at_once() -> None:
    begin = time.monotonic()
    assert failure(("127.0.0.1", free_port()), timeout=9) == "127.0.0.1: connection refused"
    assert time.monotonic() - begin < 6


def test_a_resolver_that_fails_for_a_moment_is_not_said_to_find_an_answer_bogus() -> None:
    def behave(query: dns.message.Message, before: int) -> list[bytes]:
        return [well(query) if before else reply(query, rcode=2).to_wire()]

    with OddDns(behave) as odd:
        assert ok(odd.address)
        # With checking disabled, and again as before.
        assert [bool(query.flags & 0x10) for query in odd.questions] == [False, True, False]


def test_a_resolver_that_says_nothing_does_not_hide_what_another_finds_bogus() -> None:
    def behave(query: dns.message.Message, _before: int) -> list[bytes]:
        return [well(query) if query.flags & 0x10 else reply(query, rcode=2).to_wire()]

    with OddDns(behave) as odd, OddDns(silent) as other:
        for resolvers in ([odd.address, other.address], [other.address, odd.address]):
            with pytest.raises(DnsBogus):
                look(resolvers, lambda lookup: lookup.txt("a.test"), timeout=1.5)


def test_a_server_without_edns() -> None:
    def behave(query: dns.message.Message, _before: int) -> list[bytes]:
        return [well(query) if query.edns < 0 else query.to_wire()[:2] + b"\x80\x01" + bytes(8)]

    async def ask(lookup: Lookup) -> list[Answer]:
        return [await lookup.txt(name) for name in ("a.test", "b.test", "c.test")]

    with OddDns(behave) as odd:
        assert {answer.records for answer in look(odd.address, ask)} == {(("ok",),)}
        assert len(odd.questions) == 4


BY_TCP: dict[str, tuple[t.Callable[[bytes], bytes], str]] = {
    "whole": (lambda wire: len(wire).to_bytes(2, "big") + wire, ""),
    "another": (lambda wire: len(wire).to_bytes(2, "big") + b"\0\0" + wire[2:], "not one to this question"),
    "cut": (lambda wire: b"\xff\xff" + wire, "closed"),
    "nothing": (lambda _wire: b"\0\0", "not one to this question"),
}


@pytest.mark.parametrize("case", BY_TCP)
def test_answers_by_tcp(case: str) -> None:
    made, text = BY_TCP[case]
    with OddDns(
        lambda query, _before: [reply(query, flags="QR TC").to_wire()], by_tcp=lambda query: made(well(query))
    ) as odd:
        if text:
            assert text in failure(odd.address, "a.test", timeout=1)
        else:
            assert ok(odd.address)


# Many questions


def test_each_question_is_asked_once() -> None:
    async def ask(lookup: Lookup) -> None:
        await asyncio.gather(*(lookup.txt("a.test") for _time in range(50)))
        await lookup.txt("a.test")
        # One who gives up does not spoil it for the other.
        hasty, patient = (asyncio.ensure_future(lookup.txt("b.test")) for _one in range(2))
        await asyncio.sleep(0)
        hasty.cancel()
        assert (await patient).records == (("ok",),)
        assert hasty.cancelled()

    with OddDns(lambda query, _before: [well(query)]) as odd:
        look(odd.address, ask)
        assert len(odd.questions) == 2


def test_many_questions_at_once_do_not_use_up_all_sockets(world: World) -> None:
    names = [f"d{number}.plain.test" for number in range(4 * CONCURRENT)]

    async def ask(lookup: Lookup) -> list[Answer]:
        return list(await asyncio.gather(*(lookup.txt(name) for name in names)))

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (CONCURRENT + 100, hard))
    try:
        assert look(world.server, ask) == [NOTHING] * len(names)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_is_still_under_way_is_given_up_in_the_end() -> None:
    async def ask(lookup: Lookup) -> asyncio.Task[Answer]:
        waiting = asyncio.ensure_future(lookup.txt("a.test"))
        await asyncio.sleep(0)
        return waiting

    with OddDns(silent) as odd:
        begin = time.monotonic()
        assert look(odd.address, ask, timeout=9).cancelled()
        assert time.monotonic() - begin < 6


def test_a_source_address(world: World) -> None:
    sources: list[str] = []

    class Exposed(OddDns):
        def _answer(self) -> None:
            wire, client = self._udp.recvfrom(65535)
            sources.append(client[0])
            self._udp.sendto(well(dns.message.from_wire(wire)), client)

    with Exposed(silent) as odd:
        assert ok(odd.address, sources=["127.0.0.9"])
    assert sources == ["127.0.0.9"]
    with OddDns(
        lambda query, _before: [reply(query, flags="QR TC").to_wire()],
        by_tcp=lambda query: len(well(query)).to_bytes(2, "big") + well(query),
    ) as odd:
        assert ok(odd.address, sources=["2001:db8::9", "127.0.0.9"])
        assert odd.tcp_clients == ["127.0.0.9"]
    assert "cannot assign requested address" in failure(world.resolver, sources=["192.0.2.1"])


@pytest.mark.parametrize("name", ["a..test", "x" * 64 + ".test", "a." * 127 + "test", "\\999.test"])
def test_what_is_no_name(world: World, name: str) -> None:
    assert "is no domain name" in failure(world.resolver, name)


def test_a_system_without_resolver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere")
    monkeypatch.setattr(dns.resolver.Resolver, "__init__", lambda self: self.read_resolv_conf(path))
    with pytest.raises(ValueError, match="this system has no DNS resolver"):
        look([], lambda lookup: lookup.txt("a.test"))


def test_every_type_is_known_to_both() -> None:
    """The numbers are written out here; the registry is in dnspython."""
    for name in ("A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "TLSA"):
        assert getattr(message, name) == dns.rdatatype.from_text(name)
