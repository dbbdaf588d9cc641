"""The reviewers' console in a real browser: what a person does, and what must not happen to them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from policies.model import Approval
from review.desk import Seen
from review.model import CallState, ReviewState
from tests.browser.conftest import ARMED_MS, DESKTOP, log_in, settled, watch
from tests.browser.served import PASSWORD, Served
from tests.review.builders import held_output, refund

pytestmark = pytest.mark.browser


def test_one_comes_in_by_the_first_link_and_again_by_password(desktop: Page, served: Served) -> None:
    wrong = watch(desktop)
    link = served.first_link()
    desktop.goto(link)
    desktop.reload()
    desktop.fill("#password", PASSWORD)
    desktop.fill("#again", PASSWORD)
    desktop.click("text=Set it and come in")
    expect(desktop.get_by_role("heading", name="Inbox")).to_be_visible()
    desktop.goto("/account")
    desktop.click("text=Log out")
    expect(desktop.get_by_role("heading", name="Log in to decide")).to_be_visible()
    desktop.fill("#name", "admin")
    desktop.fill("#password", PASSWORD)
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("heading", name="Inbox")).to_be_visible()
    assert wrong == []


def test_a_call_that_is_parked_appears_in_the_open_inbox_by_itself(desktop: Page, served: Served) -> None:
    log_in(desktop, served)
    expect(desktop.get_by_text("Nothing waits for you.")).to_be_visible()
    served.park()
    expect(desktop.get_by_role("link", name=re.compile("refund.create"))).to_be_visible()
    expect(desktop).to_have_title(re.compile(r"^\(1\) Inbox"))


def test_approving_takes_two_presses_of_a_mouse(desktop: Page, served: Served) -> None:
    wrong = watch(desktop)
    served.park()
    log_in(desktop, served)
    desktop.click("a.row")
    desktop.wait_for_timeout(ARMED_MS)
    desktop.get_by_role("button", name="Approve").click()
    expect(desktop.get_by_text("Your decision is recorded.")).to_be_visible()
    settled(served, ReviewState.SPENDABLE)
    votes = served.run(served.store.votes("r-1"))
    assert [(vote.reviewer, vote.login) for vote in votes] == [("anna", "password")]
    assert ARMED_MS <= votes[0].looked_ms < 60_000
    desktop.get_by_role("button", name="Take it back").click()
    settled(served, ReviewState.PARKED)
    assert wrong == []


def test_a06_a_fresh_button_can_not_be_hit(desktop: Page, served: Served) -> None:
    served.park()
    log_in(desktop, served)
    desktop.goto("/c/c-1", wait_until="domcontentloaded")
    desktop.evaluate("document.querySelector('[data-act=approve]').click()")
    desktop.keyboard.press("a")
    desktop.wait_for_timeout(200)
    assert served.review().state is ReviewState.PARKED


def test_rejecting_needs_a_reason(desktop: Page, served: Served) -> None:
    served.park()
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.get_by_role("button", name="Reject").click()
    expect(desktop.get_by_text("Say why")).to_be_visible()
    expect(desktop.locator("#comment")).to_be_focused()
    assert served.review().state is ReviewState.PARKED
    desktop.fill("#comment", "wrong customer")
    desktop.get_by_role("button", name="Reject").click()
    expect(desktop.get_by_text("your reason is recorded")).to_be_visible()
    assert (served.review().state, served.review().comment) == (ReviewState.REJECTED, "wrong customer")
    assert served.call().state is CallState.CLOSED


def test_an_edit_shows_its_difference_before_it_is_made_and_after(desktop: Page, served: Served) -> None:
    served.park()
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.get_by_text("Change the arguments").click()
    desktop.fill("#draft", desktop.input_value("#draft").replace("250", "150"))
    desktop.get_by_role("button", name="Show what would change").click()
    preview = desktop.locator(".preview")
    expect(preview.locator("del")).to_have_text("250")
    expect(preview.locator("ins")).to_have_text("150")
    expect(preview).to_contain_text("your approval counts")
    assert served.call().approved is None
    desktop.wait_for_timeout(ARMED_MS)
    desktop.get_by_role("button", name="Approve changes").click()
    expect(desktop.locator("#edited ins")).to_have_text("150")
    assert served.call().approved == {"arguments": {"amount": 150, "customer": "c_81"}, "input_responses": None}
    assert served.call().proposed == {"arguments": {"amount": 250, "customer": "c_81"}, "input_responses": None}
    assert served.review().state is ReviewState.SPENDABLE


def test_what_policy_denies_can_not_be_made_by_editing(desktop: Page, served: Served) -> None:
    served.park()
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.get_by_text("Change the arguments").click()
    desktop.fill("#draft", '{"amount": 20000, "customer": "c_81"}')
    desktop.get_by_role("button", name="Show what would change").click()
    expect(desktop.get_by_role("alert")).to_contain_text("The policy denies the changed call")
    expect(desktop.locator("#draft")).to_have_value('{"amount": 20000, "customer": "c_81"}')


def test_a_held_output_is_looked_at_masked_and_released_with_a_reason(desktop: Page, served: Served) -> None:
    served.park(call=held_output(), approval=Approval())
    log_in(desktop, served)
    desktop.get_by_role("link", name=re.compile("Output of")).click()
    expect(desktop.get_by_text("24 characters").first).to_be_visible()
    assert "AKIA" not in desktop.content()
    desktop.get_by_text("Look at it in clear").click()
    desktop.fill("#why", "to judge the key")
    desktop.get_by_role("button", name="Show it to me").click()
    expect(desktop.get_by_text("AKIAABCDEFGHIJKLMNOP")).to_be_visible()
    desktop.wait_for_timeout(ARMED_MS)
    desktop.fill("#comment", "a test key")
    desktop.get_by_role("button", name="Release").click()
    settled(served, ReviewState.RELEASED)
    assert served.call().state is CallState.RELEASED


def test_somebody_elses_decision_reaches_the_open_page(desktop: Page, served: Served) -> None:
    served.park()
    served.account("bob")
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    expect(desktop.get_by_role("button", name="Approve")).to_be_visible()
    review, bob = served.review(), served.run(served.accounts.reviewer("bob"))
    assert bob is not None
    served.run(served.inbox.reject("r-1", bob, Seen(review.version, review.binding), "no"))
    expect(desktop.locator("#bar")).to_contain_text("Rejected")
    expect(desktop.get_by_role("button", name="Approve")).to_have_count(0)


def test_p06_a_change_under_ones_eyes_is_shown_and_what_was_typed_stays(desktop: Page, served: Served) -> None:
    served.park()
    served.account("bob")
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.fill("#comment", "looks right to")
    review, bob = served.review(), served.run(served.accounts.reviewer("bob"))
    assert bob is not None
    arguments = {"amount": 6_000, "customer": "c_81"}
    served.run(served.inbox.edit("r-1", bob, Seen(review.version, review.binding), arguments))
    expect(desktop.locator("#arguments-live")).to_contain_text("6000")
    expect(desktop.get_by_text("This changed while you were looking")).to_be_visible()
    expect(desktop.locator("#comment")).to_have_value("looks right to")
    expect(desktop.locator("[name=shown]").first).to_have_value(served.review().binding)


def test_keys_alone_are_enough(desktop: Page, served: Served) -> None:
    served.park(1)
    served.park(2, refund(180))
    log_in(desktop, served)
    desktop.keyboard.press("?")
    expect(desktop.get_by_role("dialog")).to_be_visible()
    desktop.keyboard.press("Escape")
    desktop.keyboard.press("j")
    desktop.keyboard.press("j")
    desktop.keyboard.press("k")
    desktop.keyboard.press("Enter")
    desktop.wait_for_url("**/c/c-*")
    first = int(desktop.url.rsplit("-", 1)[1])
    desktop.wait_for_timeout(ARMED_MS)
    desktop.keyboard.press("a")
    settled(served, ReviewState.SPENDABLE, first)
    expect(desktop.get_by_role("button", name="Take it back")).to_be_visible()
    desktop.keyboard.press("u")
    settled(served, ReviewState.PARKED, first)
    expect(desktop.get_by_role("button", name="Reject")).to_be_visible()
    desktop.keyboard.press("r")
    desktop.keyboard.type("not a refund case")
    desktop.keyboard.press("Escape")
    desktop.keyboard.press("r")
    settled(served, ReviewState.REJECTED, first)


def test_keys_are_letters_while_one_types(desktop: Page, served: Served) -> None:
    served.park()
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.wait_for_timeout(ARMED_MS)
    desktop.locator("#comment").focus()
    desktop.keyboard.type("a great refund, ja?")
    expect(desktop.locator("#comment")).to_have_value("a great refund, ja?")
    assert served.review().state is ReviewState.PARKED


def test_a08_the_first_a_shows_the_arguments_one_has_not_seen(desktop: Page, served: Served) -> None:
    arguments = {f"field_{number:02}": f"value {number}" for number in range(60)}
    served.park(call=refund(proposed={"arguments": arguments, "input_responses": None}))
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.wait_for_timeout(ARMED_MS)
    desktop.keyboard.press("a")
    expect(desktop.get_by_text("Look at the arguments to their end")).to_be_visible()
    assert desktop.evaluate("window.scrollY") > 0
    assert served.review().state is ReviewState.PARKED
    for _ in range(8):
        desktop.keyboard.press("a")
        desktop.wait_for_timeout(60)
    settled(served, ReviewState.SPENDABLE)


def test_it_works_without_a_script(chromium: Browser, served: Served) -> None:
    served.park()
    context = chromium.new_context(base_url=served.url, java_script_enabled=False, **DESKTOP)
    page = context.new_page()
    log_in(page, served)
    page.click("a.row")
    page.click("text=Reject")
    expect(page.get_by_text("Say why").first).to_be_visible()
    page.fill("#comment", "wrong customer")
    page.click("button:text('Reject')")
    expect(page.get_by_text("your reason is recorded")).to_be_visible()
    assert served.review().state is ReviewState.REJECTED
    context.close()
