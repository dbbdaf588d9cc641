"""Every screen before axe-core, light and dark, at desktop and phone size: no violation at all."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import DESKTOP, PHONE, leave, log_in, watch
from tests.browser.screens import SCREENS, everything
from tests.browser.served import Served

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_screen_breaks_a_rule_of_accessibility_in_either_scheme(
    chromium: Browser, served: Served, size: dict[str, Any]
) -> None:
    everything(served)
    context = chromium.new_context(base_url=served.url, reduced_motion="reduce", **size)
    page = context.new_page()
    wrong = watch(page)
    found: list[str] = []
    page.goto("/login")
    found += _in_both_schemes(page, "/login")
    log_in(page, served)
    for path in SCREENS:
        page.goto(path)
        found += _in_both_schemes(page, path)
    assert found == []
    assert wrong == []
    leave(context)


def test_nor_does_what_opens_on_them(desktop: Page, served: Served) -> None:
    everything(served)
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.keyboard.press("?")
    expect(desktop.get_by_role("dialog")).to_be_visible()
    assert violations(desktop) == []
    desktop.keyboard.press("Escape")
    desktop.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    desktop.keyboard.press("r")
    assert violations(desktop) == []
    desktop.goto("/q/c-2")
    desktop.get_by_text("Look at it in clear").click()
    desktop.fill("#why", "to judge it")
    desktop.get_by_role("button", name="Show it to me").click()
    expect(desktop.locator(".revealed").first).to_be_visible()
    assert violations(desktop) == []


def _in_both_schemes(page: Page, path: str) -> list[str]:
    """All rules in the light; in the dark those that colours can break."""
    page.emulate_media(color_scheme="light")
    found = [f"{path} light: {one}" for one in violations(page)]
    page.emulate_media(color_scheme="dark")
    return found + [f"{path} dark: {one}" for one in violations(page, rules=["color-contrast"])]
