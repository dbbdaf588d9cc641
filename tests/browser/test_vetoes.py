"""Calls that go by themselves, in the console: seen with the time that is left, and vetoed with a thumb or a key."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from review.model import ReviewState
from tests.browser.conftest import log_in
from tests.browser.served import Served
from tests.browser.test_phone import TOO_SMALL
from tests.review.builders import refund

pytestmark = pytest.mark.browser


def going(served: Served, number: int = 1) -> None:
    decision = {"effect": "allow_unless_vetoed", "rules": ["reports#loop"], "reason": "Goes unless somebody objects"}
    served.park(number, refund(decision=decision), state=ReviewState.VETOABLE, expires_at=time.time() + 300)


def test_it_is_vetoed_on_a_phone_from_a_queue_of_its_own_and_only_with_a_reason(phone: Page, served: Served) -> None:
    log_in(phone, served)
    phone.goto("/?queue=vetoable")
    expect(phone.get_by_text("Nothing is about to go by itself.")).to_be_visible()
    going(served)
    phone.locator("a.row").click()  # told by the live feed
    expect(phone.locator("#bar")).to_contain_text("Goes by itself in 4 min, unless somebody vetoes it.")
    expect(phone.get_by_role("button", name="Approve")).to_have_count(0)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.evaluate(TOO_SMALL) == []
    phone.get_by_role("button", name="Veto").click()
    assert served.review().state is ReviewState.VETOABLE
    phone.get_by_label("Reason").fill("not this customer")
    phone.get_by_role("button", name="Veto").click()
    expect(phone.get_by_text("Vetoed. The agent is told, and your reason is recorded.")).to_be_visible()
    assert (served.review().state, served.review().comment) == (ReviewState.VETOED, "not this customer")


def test_it_is_vetoed_with_keys_on_a_desktop(desktop: Page, served: Served) -> None:
    going(served)
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.keyboard.press("v")
    expect(desktop.get_by_label("Reason")).to_be_focused()
    desktop.keyboard.type("stop that")
    desktop.keyboard.press("Escape")
    desktop.keyboard.press("v")
    expect(desktop.locator("#head")).to_contain_text("Vetoed")
    assert served.review().state is ReviewState.VETOED
