# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy of RFC 8461 3.2: what is read, what is refused and why, what is written."""

from __future__ import annotations

import copy
import pickle
import re
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._policy import (
    Policy,
    PolicyError,
    parse_policy,
    policy_id,
    render_policy,
)
from hypothesis import given
from hypothesis import strategies as st

RFC_EXAMPLE = (
    b"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"
    b"mx: backupmx.example.com\nmax_age: 604800\n"
)
TESTING = Policy(mode="testing", mx=("mx.example.com",), max_age=86400)
GOOD = b"version: STSv1\r\nmode: testing\r\nmx: mx.example.com\r\nmax_age: 86400\r\n"


def lines(*extra: str, without: str = "") -> bytes:
    """The good policy, and more lines after it, and one field less."""
    good = ["version: STSv1", "mode: testing", "mx: mx.example.com", "max_age: 86400"]
    return "\n".join([*(line for line in good if line.partition(":")[0] != without), *extra]).encode()


def test_the_example_of_the_rfc() -> None:
    policy = parse_policy(RFC_EXAMPLE)
    assert policy == Policy(
        mode="enforce", mx=("mail.example.com", "*.example.net", "backupmx.example.com"), max_age=604800
    )


@pytest.mark.parametrize(
    "body",
    [
        GOOD,
        GOOD[:-2],
        GOOD.replace(b"\r\n", b"\n"),
        GOOD.replace(b"\r\n", b"\n", 2),
        GOOD.replace(b"\r\n", b" \t \r\n"),
        GOOD[:-2] + b" \t",
        GOOD.replace(b": ", b":"),
        GOOD.replace(b": ", b": \t "),
        GOOD.replace(b"mx.example", b"MX.Example"),
        b"max_age:86400\nmx:mx.example.com\nmode:testing\nversion:STSv1",
        GOOD.replace(b"86400", b"0000086400"),
        # The first entry counts, whatever a later one says, if only it is a well-formed line.
        lines("version: STSv2", "mode: bogus", "max_age: never"),
        lines("mode: enforce", "max_age: 1"),
        # Unknown fields.
        lines("x: y"),
        lines("a.b_c-d: colons: are: fine"),
        lines("9: nine"),
        lines("A" * 32 + ": long"),
        lines("Mode: enforce", "MX: nobody", "max-age: 1"),
        lines("note: schöne Grüße \U0001f4e7"),
        lines("note: NEL\u0085LS\u2028PS\u2029NBSP\u00a0 all inside"),
        lines("note: \u0085", "note: \ufeff"),
        lines("note: \u00a0begins and ends with no-break spaces\u00a0"),
    ],
)
def test_forms_of_the_same_policy(body: bytes) -> None:
    assert parse_policy(body) == TESTING


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"version: STSv1\nmode: none\nmax_age: 0", Policy("none", (), 0)),
        (b"version: STSv1\nmode: none\nmx: a.example\nmax_age: 5", Policy("none", ("a.example",), 5)),
        (lines("mx: *.Example.NET"), Policy("testing", ("mx.example.com", "*.example.net"), 86400)),
        (lines("mx: mx.example.com"), Policy("testing", ("mx.example.com", "mx.example.com"), 86400)),
        (lines("mx: 192.0.2.1"), Policy("testing", ("mx.example.com", "192.0.2.1"), 86400)),
        (lines("mx: localhost"), Policy("testing", ("mx.example.com", "localhost"), 86400)),
        (lines("mx: *.com"), Policy("testing", ("mx.example.com", "*.com"), 86400)),
        (lines("max_age: 31557600", without="max_age"), Policy("testing", ("mx.example.com",), 31557600)),
    ],
)
def test_other_policies(body: bytes, expected: Policy) -> None:
    assert parse_policy(body) == expected


NOT_MX = "is not a host name, nor '*.' and a host name"
NOT_MODE = "is not 'none', 'testing' or 'enforce', in lower case"
NOT_NAME = "is not a field name: 1 to 32 letters, digits, '_', '-' or '.', of which the first is a letter or a digit"
BLANK = "is blank: a policy has no blank lines, and one line end after the last field"
BARE_CR = "has a bare carriage return (CR): end lines with CRLF or LF"


@pytest.mark.parametrize(
    ("body", "message", "line", "field"),
    [
        (b"", "the policy is empty", None, None),
        (b"\n", f"line 1: {BLANK}", 1, None),
        (b" ", f"line 1: {BLANK}", 1, None),
        (GOOD + b"\r\n", f"line 5: {BLANK}", 5, None),
        (GOOD + b"\n\n", f"line 5: {BLANK}", 5, None),
        (GOOD + b" ", f"line 5: {BLANK}", 5, None),
        (b"\n" + GOOD, f"line 1: {BLANK}", 1, None),
        (GOOD.replace(b"mode", b"\r\nmode"), f"line 2: {BLANK}", 2, None),
        # Line ends.
        (GOOD.replace(b"\r\n", b"\r"), f"line 1: {BARE_CR}", 1, None),
        (GOOD[:-1], f"line 4: {BARE_CR}", 4, None),
        (GOOD.replace(b"\r\n", b"\r\r\n"), f"line 1: {BARE_CR}", 1, None),
        (GOOD.replace(b"\r\n", b"\n\r"), f"line 2: {BARE_CR}", 2, None),
        (GOOD.replace(b"\r\n", b"\r \n"), f"line 1: {BARE_CR}", 1, None),
        (
            GOOD.replace(b"\r\nmx", b"\x0bmx"),
            "line 2: mode: 'testing\\x0bmx: mx.example.com' has the control character 0x0b",
            2,
            "mode",
        ),
        (
            GOOD.replace(b"\r\nmx", b"\x0cmx"),
            "line 2: mode: 'testing\\x0cmx: mx.example.com' has the control character 0x0c",
            2,
            "mode",
        ),
        (
            GOOD.replace(b"\r\nmx", "\u2028mx".encode()),
            f"line 2: mode: 'testing\\u2028mx: mx.example.com' {NOT_MODE}",
            2,
            "mode",
        ),
        (
            GOOD.replace(b"\r\nmx", "\u0085mx".encode()),
            f"line 2: mode: 'testing\\x85mx: mx.example.com' {NOT_MODE}",
            2,
            "mode",
        ),
        (lines("a: b\x00c"), "line 5: a: 'b\\x00c' has the control character 0x00", 5, "a"),
        (lines("a: b\x7f"), "line 5: a: 'b\\x7f' has the control character 0x7f", 5, "a"),
        (lines("a: b\tc"), "line 5: a: 'b\\tc' has the control character 0x09", 5, "a"),
        # Encodings.
        (
            b"\xef\xbb\xbf" + GOOD,
            "line 1: begins with a byte order mark (BOM): save the policy without one",
            1,
            None,
        ),
        (
            GOOD.decode().encode("utf-16"),
            "line 1: begins with a byte order mark (BOM): save the policy without one",
            1,
            None,
        ),
        (lines() + b"\na: b\xff", "line 5: byte 0xff at position 5 is not UTF-8", 5, None),
        (lines() + b"\na: \xe9t\xe9", "line 5: byte 0xe9 at position 4 is not UTF-8", 5, None),
        (lines() + b"\na: \xc0\xaf", "line 5: byte 0xc0 at position 4 is not UTF-8", 5, None),
        (lines() + b"\na: \xed\xa0\x80", "line 5: byte 0xed at position 4 is not UTF-8", 5, None),
        (lines() + b"\na: \xf4\x90\x80\x80", "line 5: byte 0xf4 at position 4 is not UTF-8", 5, None),
        # The form of a line.
        (lines(" a: b"), "line 5: ' a: b' begins with a blank: start the field at the beginning of the line", 5, None),
        (
            lines("\ta: b"),
            "line 5: '\\ta: b' begins with a blank: start the field at the beginning of the line",
            5,
            None,
        ),
        (lines("a : b"), "line 5: 'a : b' has a blank before the colon: remove it", 5, None),
        (lines("a\t: b"), "line 5: 'a\\t: b' has a blank before the colon: remove it", 5, None),
        (lines("junk"), "line 5: 'junk' has no colon: write 'field: value'", 5, None),
        (lines("# a comment"), "line 5: '# a comment' has no colon: write 'field: value'", 5, None),
        (
            b"<!DOCTYPE html>",
            "line 1: '<!DOCTYPE html>' has no colon: write 'field: value'",
            1,
            None,
        ),
        (lines("# a: b"), f"line 5: '# a' {NOT_NAME}", 5, None),
        (lines(": b"), f"line 5: '' {NOT_NAME}", 5, None),
        (lines("_a: b"), f"line 5: '_a' {NOT_NAME}", 5, None),
        (lines("a b: c"), f"line 5: 'a b' {NOT_NAME}", 5, None),
        (lines("é: b"), f"line 5: 'é' {NOT_NAME}", 5, None),
        (lines("\u00a0a: b"), f"line 5: '\\xa0a' {NOT_NAME}", 5, None),
        (lines("A" * 33 + ": b"), f"line 5: '{'A' * 33}' {NOT_NAME}", 5, None),
        (lines("a:"), "line 5: a: has no value", 5, "a"),
        (lines("mx: \t "), "line 5: mx: has no value", 5, "mx"),
        (lines("mode:"), "line 5: mode: has no value", 5, "mode"),
        # version
        (lines(without="version"), "version: is missing", None, "version"),
        (
            lines("version: STSv2", without="version"),
            "line 4: version: 'STSv2' is not 'STSv1'",
            4,
            "version",
        ),
        (
            lines("version: stsv1", without="version"),
            "line 4: version: 'stsv1' is not 'STSv1'",
            4,
            "version",
        ),
        (
            lines("version: STSv1;", without="version"),
            "line 4: version: 'STSv1;' is not 'STSv1'",
            4,
            "version",
        ),
        (
            lines("Version: STSv1", without="version"),
            "version: is missing; line 4 has 'Version', but field names must be written exactly so",
            None,
            "version",
        ),
        # mode
        (lines(without="mode"), "mode: is missing", None, "mode"),
        (lines("mode: Testing", without="mode"), f"line 4: mode: 'Testing' {NOT_MODE}", 4, "mode"),
        (
            lines("mode: bogus", "mode: none", without="mode"),
            f"line 4: mode: 'bogus' {NOT_MODE}",
            4,
            "mode",
        ),
        (lines("mode: report", without="mode"), f"line 4: mode: 'report' {NOT_MODE}", 4, "mode"),
        (
            lines("a: b", "MODE: testing", "Mode: none", without="mode"),
            "mode: is missing; line 5 has 'MODE', but field names must be written exactly so",
            None,
            "mode",
        ),
        # max_age
        (lines(without="max_age"), "max_age: is missing", None, "max_age"),
        (
            lines("max-age: 1", without="max_age"),
            "max_age: is missing; line 4 has 'max-age', but field names must be written exactly so",
            None,
            "max_age",
        ),
        (
            lines("max_age: 31557601", without="max_age"),
            "line 4: max_age: 31557601 is not within 0 to 31557600 seconds",
            4,
            "max_age",
        ),
        *(
            (
                lines(f"max_age: {value}", without="max_age"),
                f"line 4: max_age: {value!r} is not a number of 1 to 10 digits",
                4,
                "max_age",
            )
            for value in (
                *("+5", "-1", "1_000", "1e3", "0x10", "1.0", "86400s", "1 000", "\u0663", "\uff15", "\u00b2"),
                "00000086400",
            )
        ),
        # mx
        (lines(without="mx"), "mx: is missing", None, "mx"),
        (
            lines("MX: a.example", without="mx"),
            "mx: is missing; line 4 has 'MX', but field names must be written exactly so",
            None,
            "mx",
        ),
        (lines("mx: foo..bar"), f"line 5: mx: 'foo..bar' {NOT_MX}", 5, "mx"),
        (lines("mx: a.example b.example"), f"line 5: mx: 'a.example b.example' {NOT_MX}", 5, "mx"),
        (lines("mx: a.example,b.example"), f"line 5: mx: 'a.example,b.example' {NOT_MX}", 5, "mx"),
        (lines("mx: .example.com"), f"line 5: mx: '.example.com' {NOT_MX}", 5, "mx"),
        (lines("mx: -a.example"), f"line 5: mx: '-a.example' {NOT_MX}", 5, "mx"),
        (lines("mx: a.example:25"), f"line 5: mx: 'a.example:25' {NOT_MX}", 5, "mx"),
        (lines("mx: " + "a" * 64), f"line 5: mx: '{'a' * 64}' {NOT_MX}", 5, "mx"),
        (lines("mx: bücher.example"), f"line 5: mx: 'bücher.example' {NOT_MX}: write A-labels ('xn--...')", 5, "mx"),
        (lines("mx: a.example."), f"line 5: mx: 'a.example.' {NOT_MX}: remove the dot at the end", 5, "mx"),
        (lines("mx: *."), f"line 5: mx: '*.' {NOT_MX}: remove the dot at the end", 5, "mx"),
        (lines("mx: a_b.example"), f"line 5: mx: 'a_b.example' {NOT_MX}: host names have no '_'", 5, "mx"),
        (lines("mx: [192.0.2.1]"), f"line 5: mx: '[192.0.2.1]' {NOT_MX}: an address cannot be a pattern", 5, "mx"),
        *(
            (
                lines(f"mx: {value}"),
                f"line 5: mx: {value!r} {NOT_MX}: '*' may only stand for the whole first label",
                5,
                "mx",
            )
            for value in ("*", "*.*.example", "a.*.example", "m*.example", "**.example", "*example.com")
        ),
        (
            b"version: STSv1\nmode: none\nmx: foo..bar\nmax_age: 1",
            f"line 3: mx: 'foo..bar' {NOT_MX}",
            3,
            "mx",
        ),
    ],
)
def test_errors_name_line_field_and_value(body: bytes, message: str, line: int | None, field: str | None) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(body)
    assert (str(caught.value), caught.value.line, caught.value.field) == (message, line, field)


@pytest.mark.parametrize(
    ("mode", "mx", "max_age", "message"),
    [
        ("bogus", ("a.example",), 1, f"mode: 'bogus' {NOT_MODE}"),
        (None, ("a.example",), 1, f"mode: None {NOT_MODE}"),
        ("enforce", (), 1, "mx: there is none, but mode 'enforce' needs at least one"),
        ("testing", (), 1, "mx: there is none, but mode 'testing' needs at least one"),
        ("enforce", "a.example", 1, "mx: 'a.example' is not a list of patterns"),
        ("enforce", None, 1, "mx: None is not a list of patterns"),
        ("enforce", ("a.example", "b."), 1, f"mx: 'b.' {NOT_MX}: remove the dot at the end"),
        ("enforce", ("a.example\r\nmode: none",), 1, f"mx: 'a.example\\r\\nmode: none' {NOT_MX}"),
        ("enforce", (None,), 1, f"mx: None {NOT_MX}"),
        ("enforce", ("a.example",), -1, "max_age: -1 is not within 0 to 31557600 seconds"),
        ("enforce", ("a.example",), 31557601, "max_age: 31557601 is not within 0 to 31557600 seconds"),
        ("enforce", ("a.example",), True, "max_age: True is not a whole number of seconds"),
        ("enforce", ("a.example",), 1.0, "max_age: 1.0 is not a whole number of seconds"),
        ("enforce", ("a.example",), "1", "max_age: '1' is not a whole number of seconds"),
    ],
)
def test_there_is_no_invalid_policy(mode: t.Any, mx: t.Any, max_age: t.Any, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy(mode=mode, mx=mx, max_age=max_age)
    assert str(caught.value) == message
    assert caught.value.line is None


def test_patterns_are_lower_case_and_a_tuple() -> None:
    patterns: t.Any = ["MX.Example.COM", "*.Example.NET"]
    policy = Policy(mode="testing", mx=patterns, max_age=1)
    assert policy.mx == ("mx.example.com", "*.example.net")
    assert hash(policy) == hash(copy.deepcopy(policy))


def test_an_error_can_leave_its_process() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(lines("mx: a."))
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (str(again), again.line, again.field) == (str(caught.value), 5, "mx")


def test_render() -> None:
    policy = Policy(mode="enforce", mx=("B.example", "*.a.example"), max_age=2592000)
    assert render_policy(policy) == (
        b"version: STSv1\r\nmode: enforce\r\nmx: b.example\r\nmx: *.a.example\r\nmax_age: 2592000\r\n"
    )
    assert render_policy(Policy("none", (), 0)) == b"version: STSv1\r\nmode: none\r\nmax_age: 0\r\n"


def test_render_keeps_to_what_the_most_modest_sender_reads() -> None:
    patterns = tuple(f"mx{number:04}.test" for number in range(600))
    assert len(render_policy(Policy("enforce", patterns[:599], 2592000))) == 10232
    with pytest.raises(PolicyError) as caught:
        render_policy(Policy("enforce", patterns, 2592000))
    assert str(caught.value) == (
        "mx: 600 patterns make a policy of 10249 bytes, but some senders read only 10240: use '*.' patterns"
    )
    assert len(render_policy(Policy("enforce", (*patterns[:598], "a" * 19), 2592000))) == 10240
    with pytest.raises(PolicyError, match="policy of 10241 bytes"):
        render_policy(Policy("enforce", (*patterns[:598], "a" * 20), 2592000))


def test_policy_id_is_stable_for_ever() -> None:
    assert policy_id(b"") == "e3b0c44298fc1c149afbf4c8996fb924"
    assert policy_id(GOOD) == "3fc87e4d8bdc5c648937d50a0c4f5eac"


labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,10}[A-Za-z0-9])?", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
patterns = st.builds("{}{}".format, st.sampled_from(["", "*."]), domains)
max_ages = st.integers(min_value=0, max_value=31557600)
policies = st.one_of(
    st.builds(
        Policy,
        mode=st.sampled_from(["testing", "enforce"]),
        mx=st.lists(patterns, min_size=1, max_size=4).map(tuple),
        max_age=max_ages,
    ),
    st.builds(Policy, mode=st.just("none"), mx=st.lists(patterns, max_size=3).map(tuple), max_age=max_ages),
)

PUBLISHED = re.compile(
    rb"version: STSv1\r\nmode: (?:testing|enforce|none)\r\n(?:mx: (?:\*\.)?[a-z0-9.-]+\r\n)*"
    rb"max_age: (?:0|[1-9][0-9]{0,7})\r\n"
)


@given(policies)
def test_what_is_rendered_is_read_again(policy: Policy) -> None:
    body = render_policy(policy)
    assert parse_policy(body) == policy
    assert PUBLISHED.fullmatch(body)
    assert len(body) <= 10240


@given(policies, policies)
def test_the_id_changes_if_and_only_if_the_body_does(one: Policy, other: Policy) -> None:
    first, second = render_policy(one), render_policy(other)
    assert (policy_id(first) == policy_id(second)) is (first == second) is (one == other)
    assert re.fullmatch(r"[0-9a-f]{32}", policy_id(first))
    assert policy_id(bytes(bytearray(first))) == policy_id(first)


@given(st.binary())
def test_bytes_raise_nothing_but_policy_error(body: bytes) -> None:
    reads(body)


# The grammar again, straight from the ABNF of RFC 8461 3.2 and RFC 3629, as one expression over bytes.
UTF8 = (
    rb"(?:[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2})"
)
VCHAR = rb"(?:[\x21-\x7e]|" + UTF8 + rb")"
FIELD = rb"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}:[ \t]*" + VCHAR + rb"(?:(?:\x20|" + VCHAR + rb")*" + VCHAR + rb")?[ \t]*"
RECORD = re.compile(FIELD + rb"(?:\r?\n" + FIELD + rb")*(?:\r?\n)?")
VALUES = {
    b"version": re.compile(rb"STSv1"),
    b"mode": re.compile(rb"testing|enforce|none"),
    b"max_age": re.compile(rb"[0-9]{1,10}"),
    b"mx": re.compile(
        rb"(?:\*\.)?(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    ),
}


def is_grammatical(body: bytes) -> bool:
    if RECORD.fullmatch(body) is None:
        return False
    seen: dict[bytes, bytes] = {}
    for line in re.split(rb"\r?\n", body):
        name, _colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if name in VALUES and (name == b"mx" or name not in seen):
            if VALUES[name].fullmatch(value) is None:
                return False
            seen[name] = value
    wanted = {b"version", b"mode", b"max_age"} | (set() if seen.get(b"mode") == b"none" else {b"mx"})
    return wanted <= seen.keys() and int(seen[b"max_age"]) <= 31557600


def reads(body: bytes) -> bool:
    outcome: Policy | PolicyError
    try:
        outcome = parse_policy(body)
    except PolicyError as exc:
        outcome = exc
    if isinstance(outcome, Policy):
        assert parse_policy(render_policy(outcome)) == outcome
        return True
    assert outcome.line is None or str(outcome).startswith(f"line {outcome.line}: ")
    assert "\n" not in str(outcome)
    return False


traps = st.sampled_from(
    ["", *"\t\n\r\x00\x0b\x0c\x1c\x7f:;*._-+٣é", " ", "\r\n", "\n\n", "\u0085", "\u2028", "\ufeff", " :", ": "]
).map(str.encode)
fields = st.sampled_from(
    [
        *("version: STSv1", "version:STSv1", "Version: STSv1", "version: STSv2"),
        *("mode: testing", "mode: none", "mode: enforce", "mode: bogus", "MODE: none"),
        *("mx: a.example", "mx: *.a.example", "mx: *", "mx: a..b", "mx: 1"),
        *("max_age: 0", "max_age: 31557600", "max_age: 31557601", "max_age: +5", "x: y: z", "no colon"),
    ]
).map(str.encode)
ends = st.sampled_from([b"\n", b"\r\n", b" \r\n", b"\t\n"])
whole = st.lists(st.builds(bytes.__add__, fields, ends), max_size=8).map(b"".join)
likely = st.permutations(lines().split(b"\n")).map(b"\r\n".join)


@given(
    st.one_of(likely, whole, st.builds(b"\n".join, st.tuples(likely, whole))),
    st.lists(st.tuples(st.integers(0, 200), st.one_of(traps, st.binary(max_size=2)), st.integers(0, 2)), max_size=2),
)
def test_exactly_the_grammar_is_read(body: bytes, edits: list[tuple[int, bytes, int]]) -> None:
    for position, new, removed in edits:
        start = position % (len(body) + 1)
        body = body[:start] + new + body[start + removed :]
    assert reads(body) is is_grammatical(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\n" * 1_000_000,
        b" " * 1_000_000,
        b"a" * 1_000_000,
        b"a: " + b" " * 1_000_000 + b"\x00",
        b"a: " + b"b " * 500_000 + b"\x00",
        GOOD + b"mx: " + b"a." * 500_000,
        GOOD + b"mx: " + b"a-" * 500_000,
        GOOD + b"a: b\n" * 200_000 + b"\r",
        b"max_age: " + b"9" * 1_000_000,
    ],
)
def test_a_hostile_megabyte_is_refused_in_few_words(body: bytes) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(body)
    assert len(str(caught.value)) < 500
