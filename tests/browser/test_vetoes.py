"""Calls that go by themselves, in the console: seen with the time that is left, and vetoed with a thumb or a key."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from review.binding import afterwards_binding
from review.model import CallState, ReviewKind, ReviewState
from review.ports import Change, InsertReview
from tests.browser.conftest import log_in
from tests.browser.served import Served
from tests.browser.test_phone import TOO_SMALL
from tests.review.builders import question, refund

pytestmark = pytest.mark.browser


def going(served: Served, number: int = 1) -> None:
    decision = {"effect": "allow_unless_vetoed", "rules": ["reports#loop"], "reason": "Goes unless somebody objects"}
    served.park(number, refund(decision=decision), state=ReviewState.VETOABLE, expires_at=time.time() + 300)


def over(served: Served) -> None:
    """A call that has been answered, and waits for people to look at it."""
    call = served.keep(5, refund(state=CallState.ANSWERED, outcome={"result": "it is done"}))
    sample = question(refund(), id="s-5", call_id=call.id, kind=ReviewKind.AFTERWARDS, state=ReviewState.UNJUDGED)
    sample = replace(sample, binding=afterwards_binding(call, nonce=sample.nonce), opened_at=time.time())
    served.run(served.store.apply(Change((InsertReview(sample),))))


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


def test_a_call_that_is_over_is_judged_on_a_phone_with_a_note_where_it_is_not_right(
    phone: Page, served: Served
) -> None:
    over(served)
    log_in(phone, served)
    phone.goto("/?queue=afterwards")
    phone.locator("a.row").click()
    expect(phone.locator("#outcome")).to_contain_text("it is done")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.evaluate(TOO_SMALL) == []
    phone.get_by_role("button", name="Harmful").click()
    assert served.run(served.store.count_unjudged())[0] == 1
    phone.get_by_label("Note").fill("to the wrong list")
    phone.get_by_role("button", name="Harmful").click()
    expect(phone.get_by_text("Judged, and recorded.")).to_be_visible()
    expect(phone.locator("#head")).to_contain_text("Over; found to be harmful by")
    assert served.run(served.store.count_unjudged())[0] == 0
