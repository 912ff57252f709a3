# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user writes becomes what is desired, or every mistake in it is named."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._inventory import (
    Desired,
    InventoryError,
    entry_of,
    read_domains,
)
from hypothesis import given
from hypothesis import strategies as st

MX = ["mx1.example.net"]


def test_the_smallest_entry() -> None:
    assert read_domains([{"domain": "example.com", "mx": MX}], {}) == (
        Desired("example.com", ("mx1.example.net",), "", 2592000, (), "present", True, False, 7, True),
    )


def test_defaults_are_under_every_entry() -> None:
    entries = [{"domain": "example.com"}, {"domain": "example.org", "mode": "none", "mx": ["*.Example.ORG"]}]
    first, second = read_domains(entries, {"mx": MX, "mode": "enforce", "tlsrpt": ["mailto:a@example.net"]})
    assert (first.mx, first.mode, first.tlsrpt) == (("mx1.example.net",), "enforce", ("mailto:a@example.net",))
    assert (second.mx, second.mode) == (("*.example.org",), "none")


def test_how_a_domain_gets_to_enforce() -> None:
    entries = [{"domain": "example.com"}, {"domain": "example.org", "testing_days": "0", "gate": False}]
    first, second = read_domains(entries, {"mx": MX, "testing_days": 365})
    assert (first.testing_days, first.gate, second.testing_days, second.gate) == (365, True, 0, False)


def test_what_is_kept_of_an_entry_reads_the_same() -> None:
    told: list[dict[str, t.Any]] = [
        {"domain": "bücher.example", "mx": MX, "mode": "enforce", "max_age": 604800, "testing_days": 0, "gate": False},
        {"domain": "a.example", "mx": [*MX, "*.mail.example"], "tlsrpt": ["mailto:a@example.net"], "testing_days": 9},
        {"domain": "b.example", "state": "absent", "replace_foreign": True, "manage_address": False},
        {"domain": "c.example", "mx": MX, "delegation": "zone.example", "tlsrpt_others": "merge"},
    ]
    domains = read_domains(told, {"testing_days": 3})
    kept = json.loads(json.dumps([entry_of(domain) for domain in domains]))
    assert read_domains(kept, {}) == domains
    assert {key for entry in kept for key in entry} == set(vars(domains[0]))


def test_the_source_of_a_mistake_is_named() -> None:
    with pytest.raises(InventoryError, match=r"^domains\.csv has 1 mistake, nothing was touched:\n\[0\] a\.ex"):
        read_domains([{"domain": "a.example"}], {}, "domains.csv")


def test_domains_may_be_written_as_u_labels() -> None:
    assert read_domains([{"domain": "BÜCHER.example.", "mx": MX}], {})[0].domain == "xn--bcher-kva.example"


def test_an_absent_domain_needs_no_mx() -> None:
    assert read_domains([{"domain": "old.example", "state": "absent"}], {})[0].mx == ()


WRONG: list[tuple[t.Any, str]] = [
    ("example.com", "[0] 'example.com': an entry is a dictionary with at least 'domain' and 'mx'"),
    ({"mx": MX}, "[0] (no domain): domain None: required, a domain name as text"),
    ({"domain": 7, "mx": MX}, "[0] 7: domain 7: required, a domain name as text"),
    (
        {"domain": ".".join(["a" * 60] * 4), "mx": MX},
        f"[0] {'.'.join(['a' * 60] * 4)}: domain '{'.'.join(['a' * 60] * 4)}': too long to have a name such as",
    ),
    ({"domain": "a b.example", "mx": MX}, "[0] a b.example: domain 'a b.example' holds a blank"),
    ({"domain": "example.com", "mx": ["a b.example"]}, "[0] example.com: mx 'a b.example' holds a blank"),
    ({"domain": "example.com", "mx": []}, "[0] example.com: mx: required, the list of the domain's MX hosts"),
    ({"domain": "example.com", "mx": "mx1"}, "[0] example.com: mx 'mx1': must be a list of host names"),
    ({"domain": "example.com", "mx": [None]}, "[0] example.com: mx None: must be a host name as text"),
    ({"domain": "example.com", "mx": MX * 2}, "[0] example.com: mx 'mx1.example.net': listed twice"),
    ({"domain": "example.com", "mx": ["192.0.2.1"]}, "[0] example.com: mx '192.0.2.1': an IP address"),
    ({"domain": "example.com", "mx": ["[2001:db8::1]"]}, "[0] example.com: mx '[2001:db8::1]': an IP address"),
    ({"domain": "example.com", "mx": ["*"]}, "[0] example.com: mx '*': a wildcard is one whole left-most label"),
    ({"domain": "example.com", "mx": ["a.*.example"]}, "[0] example.com: mx 'a.*.example': a wildcard is one"),
    ({"domain": "example.com", "mx": ["*a.example"]}, "[0] example.com: mx '*a.example': a wildcard is one"),
    (
        {"domain": "example.com", "mx": ["*.bücher.example"]},
        "[0] example.com: mx '*.bücher.example': must be written in A-labels, as '*.xn--bcher-kva.example'",
    ),
    ({"domain": "example.com", "mx": MX, "mode": "Enforce"}, "[0] example.com: mode 'Enforce': must be one of"),
    ({"domain": "example.com", "mx": MX, "state": True}, "[0] example.com: state True: must be one of"),
    ({"domain": "example.com", "mx": MX, "max_age": True}, "[0] example.com: max_age True: must be a whole number"),
    ({"domain": "example.com", "mx": MX, "max_age": 1.5}, "[0] example.com: max_age 1.5: must be a whole number"),
    ({"domain": "example.com", "mx": MX, "max_age": "٣"}, "[0] example.com: max_age '٣': must be a whole number"),
    ({"domain": "example.com", "mx": MX, "max_age": "1_0"}, "[0] example.com: max_age '1_0': must be a whole number"),
    ({"domain": "example.com", "mx": MX, "max_age": -1}, "[0] example.com: max_age -1: must be from 0 to 31557600"),
    ({"domain": "example.com", "mx": MX, "max_age": 31557601}, "[0] example.com: max_age 31557601: must be from 0"),
    ({"domain": "example.com", "mx": MX, "max_age": "--1"}, "[0] example.com: max_age '--1': must be a whole number"),
    ({"domain": "example.com", "mx": MX, "max_age": "-1"}, "[0] example.com: max_age '-1': must be from 0 to 31557600"),
    ({"domain": "example.com", "mx": MX, "max_age": "9" * 5000}, "[0] example.com: max_age '99999"),
    ({"domain": "example.com", "mx": MX, "testing_days": 1.5}, "[0] example.com: testing_days 1.5: must be a whole"),
    (
        {"domain": "example.com", "mx": MX, "testing_days": -1},
        "[0] example.com: testing_days -1: must be from 0 to 365",
    ),
    ({"domain": "example.com", "mx": MX, "testing_days": 366}, "[0] example.com: testing_days 366: must be from 0 to"),
    ({"domain": "example.com", "mx": MX, "gate": 0}, "[0] example.com: gate 0: must be true or false"),
    ({"domain": "example.com", "mx": MX, "tlsrpt": "a"}, "[0] example.com: tlsrpt 'a': must be a list of"),
    ({"domain": "example.com", "mx": MX, "tlsrpt": ["ftp://a"]}, "[0] example.com: tlsrpt: "),
    ({"domain": "example.com", "mx": MX, "manage_address": "no"}, "[0] example.com: manage_address 'no': must be true"),
    (
        {"domain": "example.com", "mx": MX, "delegation": 5},
        "[0] example.com: delegation 5: must be the name of a zone of yours",
    ),
    (
        {"domain": "example.com", "mx": MX, "delegation": "a b.example"},
        "[0] example.com: delegation 'a b.example' holds",
    ),
    (
        {"domain": "example.com", "mx": MX, "delegation": "sts.example.com"},
        "[0] example.com: delegation 'sts.example.com': must lie outside of the domain",
    ),
    (
        {"domain": "example.com", "mx": MX, "delegation": "Example.com"},
        "[0] example.com: delegation 'Example.com': must lie outside of the domain",
    ),
    (
        {"domain": "example.com", "mx": MX, "delegation": ".".join(["a" * 60] * 4)},
        f"[0] example.com: delegation '{'.'.join(['a' * 60] * 4)}': too long for a name such as _smtp._tls.example",
    ),
    (
        {"domain": "example.com", "mx": [f"mx{number}.{'a' * 60}.example" for number in range(200)]},
        "[0] example.com: mx: 200 patterns make a policy of ",
    ),
    ({"domain": "example.com", "mx": MX, "Mode": "none"}, "[0] example.com: unknown key 'Mode'; did you mean 'mode'?"),
    (
        {"domain": "example.com", "mx": MX, "zzz": 1},
        "[0] example.com: unknown key 'zzz'; known are delegation, ",
    ),
]


@pytest.mark.parametrize(("entry", "mistake"), WRONG, ids=lambda value: str(value)[:60])
def test_a_mistake_is_named_with_its_index_and_value(entry: t.Any, mistake: str) -> None:
    with pytest.raises(InventoryError) as caught:
        read_domains([entry], {})
    assert len(caught.value.mistakes) == 1
    assert caught.value.mistakes[0].startswith(mistake)


def test_all_mistakes_are_in_one_message() -> None:
    entries = [entry for entry, _mistake in WRONG]
    with pytest.raises(InventoryError) as caught:
        read_domains([*entries, {"domain": "Example.com", "mx": MX}], {"moed": "none"})
    text = str(caught.value)
    assert text.startswith(f"mta_sts_domains has {len(caught.value.mistakes)} mistakes, nothing was touched:\n")
    assert "mta_sts_defaults: unknown key 'moed'; did you mean 'mode'?" in text
    assert all(f"[{index}] " in text for index in range(len(entries)))


def test_a_domain_that_is_listed_twice_names_both_indexes() -> None:
    entries = [{"domain": "bücher.example", "mx": MX}, {"domain": "XN--bcher-kva.example.", "mx": MX}]
    with pytest.raises(InventoryError, match=r"\[1\] .*'xn--bcher-kva.example' is listed twice, first at \[0\]"):
        read_domains(entries, {})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["domain", "mx", "mode", "max_age", "tlsrpt", "state", "manage_address", "testing_days", "gate", "zone"]
)


@given(st.lists(VALUES | st.dictionaries(KEYS, VALUES), max_size=4))
def test_nothing_but_an_inventory_error_is_ever_raised(entries: list[t.Any]) -> None:
    with contextlib.suppress(InventoryError):
        assert len(read_domains(entries, {})) == len(entries)
