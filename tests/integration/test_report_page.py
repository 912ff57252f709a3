# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page in Chromium: what a person does with it works, and nothing that it holds does anything."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import documents
import pytest
from ansible_collections.postmaster.mta_sts.plugins.module_utils._page import Assets, make_page
from browser import DESK, PHONE, View, chromium
from playwright.sync_api import Browser

FILES = Path(__file__).parents[2] / "playbooks/files/report"
ASSETS = Assets(*((FILES / f"page.{kind}").read_text() for kind in ("html", "css", "js")))
DOCUMENTS: dict[str, t.Callable[[], str]] = {
    "verification": lambda: make_page(documents.verification(), ASSETS),
    "rollout": lambda: make_page(documents.rollout(), ASSETS, documents.verification()),
    "hostile verification": lambda: make_page(documents.hostile(), ASSETS),
    "hostile rollout": lambda: make_page(documents.hostile_rollout(), ASSETS, documents.hostile()),
    "nothing": lambda: make_page(documents.verified([], {}, 0), ASSETS),
    "many": lambda: make_page(documents.many(10_000), ASSETS),
}
SIZES = {"desk": DESK, "phone": PHONE}

Open = t.Callable[..., View]


@pytest.fixture(scope="module")
def browser() -> t.Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("pages")
    paths = {name: directory / f"{name.replace(' ', '-')}.html" for name in DOCUMENTS}
    for name, path in paths.items():
        path.write_text(DOCUMENTS[name](), encoding="utf-8")
    return paths


@pytest.fixture
def open_page(browser: Browser, files: dict[str, Path]) -> t.Iterator[Open]:
    """Opens a page; whatever a test does, the browser has nothing to complain about, and asks for nothing more."""
    views = []

    def opened(name: str, size: tuple[int, int] = DESK, **options: t.Any) -> View:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", **options
        )
        view = View(context.new_page())
        views.append(view)
        view.open(files[name])
        return view

    yield opened
    for view in views:
        if not view.provoked:
            assert view.complaints == []
            assert len(view.requests) == 1
        view.page.context.close()
    assert views


# --- finding what one looks for ---------------------------------------------------------------------------


def test_search_and_filters_show_what_fits_and_say_how_many(open_page: Open) -> None:
    view = open_page("verification")
    page = view.page
    assert view.names()[:2] == ["library.example", documents.LONG]
    assert view.status() == "8 of 8 domains shown"
    search = page.get_by_role("searchbox", name="Search")
    search.fill("MX9.elsewhere")
    assert (view.names(), view.status()) == ([documents.LONG], "1 of 8 domains shown")
    search.fill("example pattern")
    assert documents.LONG in view.names()
    search.fill("no such text")
    assert (view.names(), view.status()) == ([], "0 of 8 domains shown")
    assert page.get_by_text("No domain is like that.").is_visible()
    page.get_by_role("button", name="Clear filters").click()
    assert view.status() == "8 of 8 domains shown"
    assert page.evaluate("document.activeElement.name") == "text"
    page.get_by_label("Verdict").select_option("enforce")
    assert view.names() == ["example.com", "example.org", "xn--bcher-kva.example"]
    page.get_by_label("Worst finding").select_option("warning")
    assert view.names() == ["example.com"]
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Code").select_option("mx-certificate-expiring")
    assert view.names() == ["library.example", "example.com"]
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Order").select_option("name")
    assert view.names() == sorted(view.names())


def test_a_number_of_the_overview_chooses_the_domains_that_it_counts(open_page: Open) -> None:
    view = open_page("rollout")
    held = view.page.get_by_role("button", name=re.compile("an MX host is not ready for 'enforce'", re.IGNORECASE))
    for name in (re.compile("^4 enforcing"), re.compile("^1 pending")):
        button = view.page.get_by_role("button", name=name)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert view.status() == f"{button.inner_text().split()[0]} of 9 domains shown"
        assert view.page.evaluate("document.activeElement.id") == "domains"
    held.click()
    assert view.names() == ["bakery.example"]
    assert view.page.locator("[aria-pressed=true]").count() == 1
    assert view.page.get_by_label("Code").input_value() == "mx-unready"
    held.click()
    assert view.status() == "9 of 9 domains shown"


def test_details_tell_what_was_seen_with_cause_cure_and_section(open_page: Open) -> None:
    view = open_page("verification")
    assert view.page.locator(".rows .body").count() == 0
    view.rows.nth(0).locator("summary").click()
    text = view.rows.nth(0).locator(".body").inner_text()
    for part in (
        "The policy host's certificate is not valid now",
        "https://mta-sts.library.example at 192.0.2.1: certificate has expired",
        "Renew it, and see why it was not renewed by itself",
        "policy-certificate-date",
        "RFC 8461 3.3",
        f"v=STSv1; id={documents.ID}",
        "record: validated",
    ):
        assert part in text
    assert view.rows.nth(0).locator("a").count() == 0


def test_a_hold_tells_until_when(open_page: Open) -> None:
    view = open_page("rollout")
    view.page.get_by_role("searchbox").fill("example.org")
    assert "until 2026-11-30 09:12 UTC: testing period of 7 days" in view.rows.first.inner_text()
    view.rows.first.locator("summary").click()
    assert "2026-11-30 09:12 UTC, in 3 days" in view.rows.first.locator(".body").inner_text()
    for text in ("web2.example.net failed: No space left on device", "left-behind.example", "a damaged policy lies at"):
        assert text in view.page.locator("main").inner_text()


def test_certificates_stand_on_a_time_line_the_first_to_end_at_the_top(open_page: Open) -> None:
    view = open_page("verification")
    rows = view.page.locator("#certificates .cert")
    assert rows.count() == 7
    view.page.get_by_role("button", name="Show the other 4").click()
    assert rows.count() == 11
    # The keyboard goes on where the new ones begin.
    assert view.page.evaluate("document.activeElement === document.querySelectorAll('.cert')[7]")
    assert "4 days ago 2026-11-22" in rows.first.inner_text()
    assert "bad" in (rows.first.get_attribute("class") or "")
    left = "all => all.map(one => parseFloat(one.querySelector('.dot').style.left))"
    ends = rows.evaluate_all(left)
    assert ends == sorted(ends)
    assert (ends[0], ends[-1]) == (0, 100)
    assert [text.split()[0] for text in view.page.locator(".sums li").all_inner_texts()] == ["1", "2", "8"]


def test_the_details_tell_what_senders_reported_day_by_day(open_page: Open) -> None:
    """In words; the bars are for the eye alone."""
    for name in ("verification", "rollout"):
        view = open_page(name)
        view.page.get_by_role("searchbox", name="Search").fill("bakery")
        view.open_all()
        days = view.page.locator(".reported ol > li")
        texts = [" ".join(text.split()) for text in days.all_inner_texts()]
        assert texts == [
            "2026-11-25 1,619 succeeded none failed "
            "Reported by Google Inc. (1,210), Microsoft Corporation (402), Mail.ru (7)",
            "2026-11-24 1,485 succeeded 5 failed "
            "Reported by Google Inc. (3 of 1,111 failed), Microsoft Corporation (2 of 379 failed) "
            "3 \u00d7 certificate-expired at mail.bakery.example, by Google Inc. "
            "2 \u00d7 starttls-not-supported, by Microsoft Corporation",
            "2026-11-23 0 succeeded 41 failed Reported by Google Inc. (41 of 41 failed) "
            "41 \u00d7 certificate-expired at mail.bakery.example, by Google Inc.",
            "2026-11-21 1,009 succeeded none failed Reported by Google Inc. (1,009)",
        ]
        assert days.locator(".track").count() == days.locator(".track[aria-hidden=true]").count() == 4
        # Of those of whom nothing was reported there is none.
        view.page.get_by_role("searchbox", name="Search").fill("library")
        view.open_all()
        assert days.count() == 0


# --- how it is used ---------------------------------------------------------------------------------------


def test_the_keyboard_alone_is_enough(open_page: Open) -> None:
    view = open_page("verification")
    page, press = view.page, view.page.keyboard.press
    press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
    press("Enter")
    press("Tab")
    page.keyboard.type("bakery")
    assert view.names() == ["bakery.example"]
    for _select in range(4):
        press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "SELECT"
    press("Tab")
    press("Tab")
    press("Enter")
    assert view.rows.first.get_attribute("open") is not None
    assert "self-signed certificate" in view.rows.first.locator(".body").inner_text()
    # Back to the button that clears the filters.
    press("Shift+Tab")
    press("Space")
    assert view.status() == "8 of 8 domains shown"
    # Whatever has the focus shows it.
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    seen = set()
    for _step in range(60):
        press("Tab")
        element = page.evaluate(
            """() => {
                const one = document.activeElement;
                const ring = one.name === "theme" ? one.nextElementSibling : one;
                return [one.tagName, one === document.body || getComputedStyle(ring).outlineStyle !== "none"];
            }"""
        )
        assert element[1], element
        seen.add(element[0])
    assert {"A", "INPUT", "BUTTON", "SELECT", "SUMMARY"} <= seen


@pytest.mark.parametrize("storage", [True, False], ids=["with storage", "without storage"])
def test_colours_follow_the_system_unless_chosen(open_page: Open, storage: bool) -> None:
    view = open_page("verification", color_scheme="dark")
    page = view.page
    if not storage:
        refuse = "{ get() { throw new DOMException('no', 'SecurityError'); } }"
        page.add_init_script(f"Object.defineProperty(window, 'localStorage', {refuse})")
        page.reload()
        view.requests.pop()
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(paper)
    assert light != dark
    page.get_by_role("radio", name="Dark").check()
    assert page.evaluate(paper) == dark
    page.reload()
    view.requests.pop()
    assert page.evaluate(paper) == (dark if storage else light)
    page.get_by_role("radio", name="Light").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("radio", name="Light").check()
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == light


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "many"])
def test_nothing_is_wider_than_the_window(open_page: Open, name: str, size: str) -> None:
    view = open_page(name, SIZES[size])
    view.open_all()
    assert view.too_wide() == []
    assert (view.rows.count() > 0) == (name != "nothing")


@pytest.mark.parametrize(("name", "size", "scheme"), [
    ("verification", "desk", "light"), ("verification", "phone", "dark"),
    ("rollout", "desk", "dark"), ("rollout", "phone", "light"),
])  # fmt: skip
def test_nobody_is_kept_out(open_page: Open, name: str, size: str, scheme: str) -> None:
    view = open_page(name, SIZES[size], color_scheme=scheme)
    view.open_all()
    view.page.locator(".states button").first.click()
    assert view.barriers() == []


def test_without_javascript_there_are_the_numbers_and_a_table(open_page: Open) -> None:
    view = open_page("verification", java_script_enabled=False)
    text = view.page.locator("body").inner_text()
    for part in ("2 of 8 domains are broken", "need JavaScript, which is turned off here", "mx-unmatched"):
        assert part in text
    assert view.page.locator("noscript tbody tr").count() == 8
    assert not view.page.locator("#list").is_visible()


# --- what it must withstand -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hostile verification", "hostile rollout"])
def test_what_servers_say_is_only_shown(open_page: Open, name: str) -> None:
    view = open_page(name)
    elements = view.page.locator("*").count()
    view.open_all()
    assert view.page.locator("*").count() > elements
    assert view.page.locator("script").count() == 2
    assert view.page.locator("img").count() == 0
    assert "owned" not in view.page.title()
    text = view.page.locator("main").inner_text()
    for hostile in documents.HOSTILE.values():
        shown = "".join(char if char.isprintable() else "?" for char in hostile)
        assert " ".join(shown.split()) in " ".join(text.split())


ATTEMPTS = {
    "markup": "document.body.innerHTML = '<p>x</p>'",
    "more markup": "document.body.insertAdjacentHTML('beforeend', '<p>x</p>')",
    "a script": "{ const one = document.createElement('script'); one.textContent = 'x()'; document.body.append(one); }",
    "a handler": "document.body.setAttribute('onclick', 'x()')",
    "a request": "fetch('https://127.0.0.1:9/').catch(() => {})",
    "an image": "document.body.append(Object.assign(new Image(), { src: 'https://127.0.0.1:9/x.png' }))",
    "a style": "document.body.setAttribute('style', 'color: red')",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_policy_of_the_page_forbids_everything_else(open_page: Open, attempt: str) -> None:
    """Were there a mistake in the script, this would still keep a hostile text from doing anything."""
    view = open_page("nothing")
    with view.page.expect_console_message(lambda message: message.text.startswith("policy: ")):
        view.page.evaluate(f"() => {{ try {{ {ATTEMPTS[attempt]} }} catch {{ /* as it should */ }} }}")
    view.provoked = True


def test_10_000_domains_stay_few_rows(open_page: Open) -> None:
    view = open_page("many")
    page = view.page
    assert view.status() == "10,000 of 10,000 domains shown"
    assert view.rows.count() == 100
    assert page.locator("*").count() < 2500
    pages = page.get_by_role("navigation", name="Pages of domains")
    assert pages.get_by_role("button", name="Previous").is_disabled()
    pages.get_by_role("button", name="Next").click()
    assert view.rows.count() == 100
    assert "101 to 200 of 10,000" in pages.inner_text()
    page.get_by_label("Order").select_option("name")
    assert view.names()[:3] == ["d0.example", "d1.example", "d2.example"]
    page.get_by_role("searchbox").fill("d99")
    assert view.status() == "111 of 10,000 domains shown"
    pages.get_by_role("button", name="Next").click()
    assert view.rows.count() == 11
    assert pages.get_by_role("button", name="Next").is_disabled()
    page.get_by_role("searchbox").fill("d9999.example")
    assert view.names() == ["d9999.example"]
    assert pages.is_hidden()
    assert page.locator(".cert").count() == 7
