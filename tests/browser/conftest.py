from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from review.model import ReviewState
from tests.browser.served import PASSWORD, Served

CHROMIUM = Path(os.environ.get("INTERLOCK_CHROMIUM", "/usr/bin/chromium"))
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 3, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
JOURNEYS_MAX = 3  # one act, one redirect, and one to spare
PATIENCE_SEC = 20  # for two cores that others use too

expect.set_options(timeout=PATIENCE_SEC * 1000)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM} (set INTERLOCK_CHROMIUM)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    console = Served(tmp_path)
    console.start()
    yield console
    console.stop()


def _open(browser: Browser, served: Served, **options: object) -> BrowserContext:
    context = browser.new_context(base_url=served.url, **options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_SEC * 1000)
    return context


def leave(context: BrowserContext) -> None:
    """Close a context once its pages are at rest: closed in the midst of going somewhere, Chromium may never answer."""
    for page in context.pages:
        for _ in range(JOURNEYS_MAX):
            try:
                page.goto("about:blank")
                break
            except Error:  # the test's last act takes it somewhere else: let it arrive there first
                page.wait_for_load_state()
    context.close()


@pytest.fixture
def desktop(chromium: Browser, served: Served) -> Iterator[Page]:
    context = _open(chromium, served, **DESKTOP)
    yield context.new_page()
    leave(context)


@pytest.fixture
def phone(chromium: Browser, served: Served) -> Iterator[Page]:
    context = _open(chromium, served, **PHONE)
    yield context.new_page()
    leave(context)


def log_in(page: Page, served: Served, name: str = "anna") -> None:
    """As `name`, whose account is made if there is none."""
    if served.run(served.accounts.reviewer(name)) is None:
        served.account(name)
    here = served.run(served.accounts.login(name, PASSWORD, source="test"))
    page.context.add_cookies([{"name": served.cookie, "value": here.token, "url": served.url}])
    page.goto("/")


ARMED_MS = 700  # a little more than a button needs before it can be pressed


def armed(page: Page) -> None:
    """Wait until a button of the page that is there now can be pressed: counted from when its script has run."""
    page.wait_for_load_state()
    page.wait_for_timeout(ARMED_MS)


def settled(served: Served, state: ReviewState, number: int = 1) -> None:
    """Wait until the review is in `state`."""
    until = time.monotonic() + PATIENCE_SEC
    while served.review(number).state is not state:
        assert time.monotonic() < until, f"the review is still {served.review(number).state}"
        time.sleep(0.02)


def watch(page: Page) -> list[str]:
    """Everything a page must not do: log errors, throw, ask for anything that is not ours."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"threw {error}"))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: (wrong.append("dialog"), dialog.dismiss()))  # type: ignore[func-returns-value]
    page.on("request", lambda ask: wrong.append(ask.url) if "127.0.0.1" not in ask.url else None)
    return wrong
