# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters: their types and errors. Their documented examples are an integration test."""

from __future__ import annotations

import importlib
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.postmaster.mta_sts.plugins.filter.ascii_name import ascii_name
from ansible_collections.postmaster.mta_sts.plugins.filter.policy_id import policy_id
from ansible_collections.postmaster.mta_sts.plugins.filter.policy_text import policy_text
from ansible_collections.postmaster.mta_sts.plugins.filter.sts_record import sts_record
from ansible_collections.postmaster.mta_sts.plugins.filter.tlsrpt_record import tlsrpt_record

ROOT = Path(__file__).resolve().parents[4]
FILTERS = ("ascii_name", "policy_id", "policy_text", "sts_record", "tlsrpt_record")
PLUGINS = "ansible_collections.postmaster.mta_sts.plugins.filter"

POLICY: dict[t.Any, t.Any] = {"mode": "testing", "mx": ["mx1.example.net"], "max_age": 86400}
TEXT = "version: STSv1\r\nmode: testing\r\nmx: mx1.example.net\r\nmax_age: 86400\r\n"
ID = "a25bcb80089a60911669b350b92aa8bb"


def test_values() -> None:
    assert ascii_name("Bücher.example.") == "xn--bcher-kva.example"
    assert policy_text(POLICY) == TEXT
    assert policy_text({"mode": "none", "max_age": 86400}) == "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"
    assert policy_id(TEXT) == ID
    assert policy_id(TEXT.replace("\r\n", "\n")) == "2cbf8313b7bc66861457312f4751f8e3"
    assert policy_id(TEXT + "note: ü") == "722fc84a32a1e95e0258b2620fd54a25"
    assert sts_record(ID) == f"v=STSv1; id={ID}"
    assert tlsrpt_record(["mailto:a@example.com", "https://example.com/a,b"]) == (
        "v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/a%2Cb"
    )


MODE = "is not 'none', 'testing' or 'enforce', in lower case"


@pytest.mark.parametrize(
    ("function", "value", "message"),
    [
        (ascii_name, 5, "ascii_name: 5 is not a text, but a domain name must be one"),
        (ascii_name, "localhost", "ascii_name: 'localhost' is a single label: write the whole domain name"),
        (
            policy_text,
            "testing",
            "policy_text: 'testing' is not a dictionary with the keys mode, mx and max_age",
        ),
        (
            policy_text,
            {**POLICY, "version": "STSv1"},
            "policy_text: the key 'version' is not one of mode, mx and max_age",
        ),
        (policy_text, {**POLICY, 1: 2}, "policy_text: the key 1 is not one of mode, mx and max_age"),
        (policy_text, {"mode": "none"}, "policy_text: the key 'max_age' is missing"),
        (policy_text, {"max_age": 1}, "policy_text: the key 'mode' is missing"),
        (
            policy_text,
            {"mode": "enforce", "max_age": 1},
            "policy_text: mx: there is none, but mode 'enforce' needs at least one",
        ),
        (policy_text, {**POLICY, "mode": False}, f"policy_text: mode: False {MODE}"),
        (policy_text, {**POLICY, "mode": ["none"]}, f"policy_text: mode: ['none'] {MODE}"),
        (
            policy_text,
            {**POLICY, "max_age": "86400"},
            "policy_text: max_age: '86400' is not a whole number of seconds",
        ),
        (
            policy_text,
            {**POLICY, "mx": "mx1.example.net"},
            "policy_text: mx: 'mx1.example.net' is not a list of patterns",
        ),
        (policy_id, None, "policy_id: None is not a text"),
        (policy_id, TEXT.encode(), f"policy_id: {TEXT.encode()!r} is not a text"),
        (policy_id, "", "policy_id: the policy is empty"),
        (policy_id, TEXT.replace("testing", "Testing"), f"policy_id: line 2: mode: 'Testing' {MODE}"),
        (sts_record, "a-b", "sts_record: id: 'a-b' is not 1 to 32 letters and digits"),
        (sts_record, 5, "sts_record: id: 5 is not 1 to 32 letters and digits"),
        (tlsrpt_record, "mailto:a@example.com", "tlsrpt_record: rua: 'mailto:a@example.com' is not a list of URIs"),
        (tlsrpt_record, [], "tlsrpt_record: rua: has no URI, but needs at least one"),
    ],
)
def test_errors_name_the_filter(function: t.Callable[[t.Any], str], value: t.Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        function(value)
    assert caught.value.message == f"postmaster.mta_sts.{message}"


def test_a_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match=r"^postmaster\.mta_sts\.policy_id: .*surrogates not allowed"):
        policy_id(TEXT + "note: \udcff")


def test_every_filter_is_tried_here() -> None:
    assert sorted(path.stem for path in (ROOT / "plugins/filter").glob("*.py")) == list(FILTERS)


@pytest.mark.parametrize("name", FILTERS)
def test_documentation(name: str) -> None:
    plugin = importlib.import_module(f"{PLUGINS}.{name}")
    documentation = yaml.safe_load(plugin.DOCUMENTATION)
    assert documentation["name"] == name
    assert documentation["version_added"] == "0.1.0"
    assert list(plugin.FilterModule().filters()) == [name]
