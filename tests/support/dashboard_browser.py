"""A browser that looks at the dashboard, and notices what a person would not forgive."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
#: Of a page's first look: it comes from the same machine, but machines get busy.
TIMEOUT_MS = 30_000
WIDTH, HEIGHT = 1440, 900
expect.set_options(timeout=TIMEOUT_MS)
#: What barriers are looked for: the levels of WCAG 2.2, and what axe's authors advise.
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def find_chromium() -> str:
    """Return Debian's browser, or skip the test."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium: apt-get install chromium")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser, headless."""
    path = find_chromium()
    # Chromium's own sandbox does not work for root.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        try:
            page = browser.new_page()  # the browser's own processes are there from now on
            page.goto("data:text/html,<title>ready</title>")
            page.screenshot()
            page.close()
            yield browser
        finally:
            browser.close()


class Visit:
    """One tab, at the dashboard of one server, and everything that went wrong in it.

    Args:
        page: of the browser.
        address: ``host:port`` of the REST server.

    Attributes:
        allowed: statuses (404) that this test expects; of its requests, no others may fail.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.origin = f"http://{address}"
        self.allowed: set[int] = set()
        self._wrong: list[str] = []
        self._refused: list[Response] = []
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._wrong.append(f"page error: {error}"))
        page.on("request", self._on_request)
        page.on("requestfailed", self._on_failure)
        page.on("response", self._on_response)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        refused = re.search(r"responded with a status of (\d+)", message.text)
        if refused is None or int(refused.group(1)) not in self.allowed:
            self._wrong.append(f"console {message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"data", "blob"}:
            return
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            self._wrong.append(f"a request leaves the origin: {request.url}")

    def _on_failure(self, request: Request) -> None:
        # A page that is left gives up what it still asked for.
        if request.failure != "net::ERR_ABORTED":
            self._wrong.append(f"request failed: {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.allowed:
            self._wrong.append(f"{response.status} {response.request.method} {response.url}")
            self._refused.append(response)

    # -------------------------------------------------------------------------------- going places

    def go(self, path: str, *, heading: str | None = None) -> Page:
        """Open a page of the dashboard; return once its heading is there.

        Args:
            path: behind the hash: ``jobs``.
            heading: text of the h1; None: any.
        """
        target = f"{self.origin}/#/{path}"
        if self.page.url.startswith(self.origin):
            self.page.evaluate("address => { location.href = address; }", target)
        else:
            self.page.goto(target)
        where = self.page.locator("h1")
        (where.filter(has_text=heading) if heading else where).first.wait_for()
        return self.page

    def settle(self) -> None:
        """Wait until nothing is being loaded."""
        self.page.wait_for_function("() => document.querySelectorAll('.spinner').length === 0")

    def theme(self, name: str) -> None:
        """Prefer dark or light."""
        self.page.emulate_media(color_scheme=name)  # type: ignore[arg-type]

    # -------------------------------------------------------------------------------- looking at it

    def check(self, name: str) -> None:
        """Take the page's picture, look for barriers, and fail on anything that went wrong.

        Args:
            name: of the picture, in build/screenshots.
        """
        self.settle()
        self.picture(name)
        self.barriers()
        self.errors()

    def picture(self, name: str) -> None:
        """Keep a picture of what is seen."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        # Written here: Playwright would do it in a thread that stays.
        content = self.page.screenshot(animations="disabled")
        (SCREENSHOTS / f"{name}.png").write_bytes(content)

    def barriers(self) -> None:
        """Fail on what keeps people out: contrast, names, roles, order."""
        options = {
            "runOnly": {"type": "tag", "values": AXE_TAGS},
            "resultTypes": ["violations"],
        }
        # Of long tables and logs the first rows speak for all.
        context = {"exclude": ["tbody tr:nth-child(n + 6)", ".log-line:nth-child(n + 6)"]}
        found = Axe().run(self.page, context=context, options=options).response["violations"]
        told = [
            f"{violation['id']}: {violation['help']}\n    "
            + "\n    ".join(
                f"{node['target']}: {node['html'][:160]}" for node in violation["nodes"][:3]
            )
            for violation in found
        ]
        assert not told, "barriers:\n" + "\n".join(told)

    def forgive(self, *texts: str) -> None:
        """Leave out what went wrong on purpose."""
        self._wrong = [one for one in self._wrong if not any(text in one for text in texts)]

    def errors(self) -> None:
        """Fail on anything that went wrong since the last call."""
        wrong, self._wrong = self._wrong, []
        refused, self._refused = self._refused, []
        wrong += [response.text()[:1000] for response in refused if wrong]
        assert not wrong, "\n".join(wrong)


@contextmanager
def visiting(browser: Browser, address: str, theme: str = "dark") -> Iterator[Visit]:
    """Visit a dashboard in a tab of its own, without anything kept from before."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        color_scheme=theme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    try:
        visit = Visit(context.new_page(), address)
        yield visit
        visit.errors()
    finally:
        context.close()
