# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Chromium, without a window, as a person who reads a report has it. Every test gets a profile of its own."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Wide and high enough to see the whole of most pages.
DESK, PHONE = (1400, 900), (360, 740)


@contextlib.contextmanager
def chromium() -> t.Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class View:
    """A report in a browser, with all that the browser complained about and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    # Somebody made it complain.
    provoked: bool = False

    def __post_init__(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)
        # What the policy of the page keeps from being done.
        self.page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) => "
            "console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"
        )

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)

    def open(self, path: Path) -> None:
        self.page.goto(path.as_uri())
        assert self.requests == [path.as_uri()]

    @property
    def rows(self) -> Locator:
        return self.page.locator(".rows > li > details")

    def open_all(self) -> None:
        """Opens the details of all domains that are shown."""
        self.page.evaluate("for (const one of document.querySelectorAll('.rows details')) one.open = true")
        self.page.wait_for_function("[...document.querySelectorAll('.rows details')].every((one) => one.children[1])")

    def names(self) -> list[str]:
        """The domains that are shown."""
        return self.page.locator(".rows .name").all_text_contents()

    def status(self) -> str:
        return self.page.get_by_role("status").inner_text()

    def too_wide(self) -> list[str]:
        """What reaches beyond the window to the right."""
        found: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll("body *")]
                .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5
                    && !one.closest(".unseen"))
                .map((one) => `${one.tagName}.${one.className}: ${one.textContent.slice(0, 60)}`)"""
        )
        wider = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return found if wider <= 0 else [*found, f"{wider} pixels to scroll"]

    def barriers(self) -> list[str]:
        """What keeps people out who cannot see or point well, as axe-core finds it."""
        results = Axe().run(self.page, options={"resultTypes": ["violations"]}).response
        assert len(results["passes"]) > 10
        return [
            f"{found['id']}: {node['target']}: {node['failureSummary']}"
            for found in results["violations"]
            if found["impact"] in ("serious", "critical")
            for node in found["nodes"]
        ]
