# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as a file: one, whole, with every text in it escaped. A browser is asked elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import html.parser
import json
import re
import time
import typing as t
from pathlib import Path

import documents
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._hold import HOLD_KINDS
from ansible_collections.postmaster.mta_sts.plugins.module_utils._page import Assets, embedded, make_page
from ansible_collections.postmaster.mta_sts.plugins.module_utils._page_data import make_page_data

FILES = Path(__file__).parents[4] / "playbooks/files/report"
STYLE, SCRIPT = (FILES / "page.css").read_text(), (FILES / "page.js").read_text()
ASSETS = Assets((FILES / "page.html").read_text(), STYLE, SCRIPT)

Document = dict[str, t.Any]


class Reader(html.parser.HTMLParser):
    """The elements of a page with their attributes, and its texts by the element that they stand in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.elements[-1][0] if self.elements else "", data))


def data_of(page: str) -> Document:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*)</script>', page)
    found: Document = json.loads(text)
    return found


PAGES = {
    "verification": make_page(documents.verification(), ASSETS),
    "rollout": make_page(documents.rollout(), ASSETS, documents.verification()),
    "hostile verification": make_page(documents.hostile(), ASSETS),
    "hostile rollout": make_page(documents.hostile_rollout(), ASSETS, documents.hostile()),
    "nothing": make_page(documents.verified([], {}, 0), ASSETS),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_the_page_is_one_file_that_may_load_nothing(page: str) -> None:
    reader = Reader(page)
    names = [name for name, _attributes in reader.elements]
    assert names.count("script") == 2
    assert names.count("style") == names.count("h1") == names.count("main") == 1
    assert not {"img", "iframe", "object", "embed", "base", "form action"} & set(names)
    for _name, attributes in reader.elements:
        assert not [key for key in attributes if key in ("src", "style", "action") or key.startswith("on")]
        assert (attributes.get("href") or "#").startswith(("#", "data:image/svg+xml,"))
    assert not re.findall(r"url\(|@import|https?:(?!//www\.w3\.org)", STYLE)
    (policy,) = (
        attributes["content"] or ""
        for name, attributes in reader.elements
        if name == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives.pop("default-src") == directives.pop("base-uri") == directives.pop("form-action") == "'none'"
    assert directives.pop("img-src") == "data:"
    assert directives.pop("require-trusted-types-for") == "'script'"
    assert directives.pop("trusted-types") == "'none'"
    for name, element in (("script-src", "script"), ("style-src", "style")):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert directives.pop(name) == f"'sha256-{digest}'"
    assert directives == {}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_no_place_is_left_open(page: str) -> None:
    # The one place that may be seen is what a hostile text says.
    assert {*re.findall(r"@@\w+@@", page)} <= {"@@script@@"}
    assert ("@@script@@" in page) == ("mark5" in page)


def test_the_script_makes_nothing_but_texts() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|createContextual|DOMParser|\beval\b|Function\("
    assert re.findall(forbidden, SCRIPT) == []
    assert "</" not in SCRIPT
    assert "</" not in STYLE


@pytest.mark.parametrize("kind", ["hostile verification", "hostile rollout"])
def test_hostile_texts_are_only_texts(kind: str) -> None:
    page = PAGES[kind]
    # Neither control characters nor what reverses the direction of writing or breaks lines in scripts.
    assert [char for char in page if not char.isprintable() and char != "\n"] == []
    reader = Reader(page)
    plain = " ".join(text for _element, text in reader.texts)
    shown = json.dumps(data_of(page), ensure_ascii=False)
    for number, text in enumerate(documents.HOSTILE.values(), 1):
        assert text.startswith(f"mark{number}")
        seen = "".join(char if char.isprintable() else "?" for char in text)
        assert seen in plain
        assert json.dumps(seen, ensure_ascii=False)[1:-1] in shown
    assert "{{ 7 * 7 }}{% raw %}" in plain


@pytest.mark.parametrize("value", [*documents.HOSTILE.values(), "<!--", "]]>", "&amp;", "\u2029", "\x7f", "ü"])
def test_embedded_json_is_ascii_and_ends_no_element(value: str) -> None:
    text = embedded({value: [value]})
    assert text.isascii()
    assert text.isprintable()
    assert not set("<>&") & set(text)
    assert json.loads(text) == {value: [value]}


def test_a_very_long_text_is_cut() -> None:
    found = documents.finding("mx-unused", "x" * 10_000_000, "y" * 10_000_000)
    page = make_page(documents.verified([documents.seen_domain("a.example", "enforce", found)], {}, 0), ASSETS)
    assert len(page) < 100_000


# --- what is told -----------------------------------------------------------------------------------------

ENFORCE = documents.seen_domain("a.example", "enforce")[1]
WARNING = documents.seen_domain("a.example", "enforce", documents.finding("policy-max-age", "a.example", "60"))[1]
BROKEN = documents.seen_domain("a.example", "broken", documents.finding("mx-unmatched", "mx", "no"))[1]
ERROR = documents.seen_domain("a.example", "testing", documents.finding("mx-unmatched", "mx", "no"))[1]
HEADLINES: list[tuple[list[Document], str]] = [
    ([], "All is well with 0 domains"),
    ([ENFORCE], "All is well with 1 domain"),
    ([ENFORCE, WARNING], "There are no errors, but 1 of 2 domains has warnings"),
    ([ENFORCE, ERROR], "None is broken, but 1 of 2 domains has errors"),
    ([ENFORCE, ERROR, ERROR], "None is broken, but 2 of 3 domains have errors"),
    ([ENFORCE, ERROR, BROKEN], "1 of 3 domains is broken"),
    ([BROKEN, BROKEN], "2 of 2 domains are broken"),
]


@pytest.mark.parametrize(("domains", "text"), HEADLINES, ids=[text for _domains, text in HEADLINES])
def test_the_headline_says_the_one_thing_to_know(domains: list[Document], text: str) -> None:
    document = documents.verified(((f"d{n}.example", seen) for n, seen in enumerate(domains)), {}, 0)
    assert f"</i>{text}</h1>" in make_page(document, ASSETS)


ROLLOUT_HEADLINES = {
    "mx-early": "Mail is at risk for 1 of 1 domain",
    "proof-failed": "1 of 1 domain needs somebody",
    "testing-period": "All is well, and 1 of 1 domain waits",
    "renewal": "All is well with 1 domain",
}


@pytest.mark.parametrize(("code", "text"), ROLLOUT_HEADLINES.items(), ids=ROLLOUT_HEADLINES)
def test_the_headline_of_a_rollout(code: str, text: str) -> None:
    report = documents.held_by_everything()
    report["domains"] = [domain for domain in report["domains"] if domain["holds"][0]["code"] == code]
    assert f"</i>{text}</h1>" in make_page(report, ASSETS)
    failed = make_page({**report, "failed_hosts": {"web2": "No space left on device"}}, ASSETS)
    wins = code in ("testing-period", "renewal")
    assert f"</i>{'1 host failed' if wins else text}</h1>" in failed
    assert "<strong>web2</strong> failed: No space left on device" in failed
    without_dns = make_page({**report, "dns_trouble": "<BADKEY>"}, ASSETS)
    assert f"</i>{'1 host failed' if wins else text}</h1>" in without_dns
    assert "<strong>DNS</strong> failed: &lt;BADKEY&gt;" in without_dns


def test_check_mode_and_what_goes_beyond_domains_are_told() -> None:
    page = make_page(documents.rollout(check_mode=True), ASSETS)
    for text in ("check mode: nothing was changed", "2 orphans", "forgotten.example", "2 policy hosts"):
        assert text in page
    assert "check mode" not in PAGES["rollout"]


def test_every_hold_is_shown_with_cause_and_cure() -> None:
    data = make_page_data(documents.held_by_everything())
    assert set(data["codes"]) == set(HOLD_KINDS)
    for code, kind in HOLD_KINDS.items():
        known = data["codes"][code]
        assert (known["title"].lower(), known["remedy"].lower()) == (kind.cause.lower(), kind.remedy.lower())
    words = [known["word"] for known in data["codes"].values()]
    assert list(dict.fromkeys(words)) == ["MAIL AT RISK", "held", "waits", "told"]


def test_without_a_script_there_are_the_numbers_and_a_table() -> None:
    page = PAGES["verification"]
    table = page.partition("<noscript>")[2].partition("</noscript>")[0]
    assert re.findall(r"<th scope='row'>(.*?)</th>", table)[:3] == ["library.example", documents.LONG, "old.example"]
    assert table.count("<tr>") == 9
    assert "self-signed certificate" in table
    many = make_page(documents.many(300), ASSETS).partition("<noscript>")[2].partition("</noscript>")[0]
    assert many.count("<tr>") == 201
    assert "and 100 more domains" in many


def test_all_data_are_there_and_each_text_once() -> None:
    data = data_of(PAGES["verification"])
    assert [domain[0] for domain in data["domains"]] == list(documents.verification()["domains"])
    states = {"enforce": ("good", 3), "testing": ("note", 1), "none": ("plain", 1), "absent": ("plain", 1)}
    states["broken"] = ("bad", 2)
    assert data["states"] == [[state, *rest] for state, rest in states.items()]
    assert [row[0] for row in data["levels"]] == ["error", "warning", "ok"]
    found = data["codes"]["mx-certificate-expiring"]
    assert (found["count"], found["tone"], found["reference"]) == (2, "warn", "RFC 8461 4.2")
    # Shared by two domains, and there once.
    assert sum(one[0] == "mx-certificate-expiring" for one in data["findings"]) == 1
    ends = [one["until"] for one in data["certificates"]]
    assert ends == sorted(ends)
    # One certificate at two addresses is one.
    assert [len(one["subjects"]) for one in data["certificates"] if one["service"] == "policy"] == [2] * 7
    assert data_of(PAGES["rollout"])["certificates"] == data["certificates"]
    assert data_of(make_page(documents.rollout(), ASSETS))["certificates"] == []


def test_a_document_without_what_may_be_missing() -> None:
    name, seen = documents.seen_domain("a.example", "enforce")
    for key in ("dnssec", "certificates"):
        del seen[key]
    document = {**documents.verified([(name, seen)], {}, 0)}
    del document["mx_hosts"]
    assert data_of(make_page(document, ASSETS))["certificates"] == []


def test_what_is_not_known_is_said() -> None:
    unknown: Document = dict.fromkeys(("records", "foreign_records", "addresses", "mx", "policy", "record_id"))
    name, seen = documents.seen_domain("a.example", "broken", **unknown, dnssec={"record": None, "mx": None})
    (domain,) = make_page_data(documents.verified([(name, seen)], {}, 0))["domains"]
    assert domain[6][:2] == [["DNS did not answer"]] * 2
    assert domain[3] == "no policy"


def test_very_many_domains_are_a_file_of_reasonable_size() -> None:
    document = documents.many(2000)
    began = time.process_time()
    page = make_page(document, ASSETS)
    assert time.process_time() - began < 2
    assert len(page) < 1_700_000
    assert len(data_of(page)["domains"]) == 2000
    assert "20 of 2,000 domains are broken" in html.unescape(page)
