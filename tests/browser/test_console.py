"""The reviewers' console in a real browser: what a person does, and what must not happen to them."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from policies.model import Approval
from review.desk import Seen
from review.model import CallState, ReviewState
from review.ports import Change, MoveReview
from tests.browser.conftest import ARMED_MS, DESKTOP, PATIENCE_SEC, armed, leave, log_in, settled, watch
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
    expect(desktop.get_by_role("heading", name="For you")).to_be_visible()
    desktop.goto("/account")
    desktop.click("text=Log out")
    expect(desktop.get_by_role("heading", name="Log in to decide")).to_be_visible()
    desktop.fill("#name", "admin")
    desktop.fill("#password", PASSWORD)
    desktop.keyboard.press("Enter")
    expect(desktop.get_by_role("heading", name="For you")).to_be_visible()
    assert wrong == []


def test_a_call_that_is_parked_appears_in_the_open_inbox_by_itself(desktop: Page, served: Served) -> None:
    log_in(desktop, served)
    expect(desktop.get_by_text("Nothing waits for you.")).to_be_visible()
    served.park()
    expect(desktop.get_by_role("link", name=re.compile("refund.create"))).to_be_visible()
    expect(desktop).to_have_title(re.compile(r"^\(1\) For you"))


def test_approving_takes_two_presses_of_a_mouse(desktop: Page, served: Served) -> None:
    wrong = watch(desktop)
    served.park()
    log_in(desktop, served)
    desktop.click("a.row")
    desktop.wait_for_url("**/c/c-1")
    armed(desktop)
    desktop.get_by_role("button", name="Approve").click()
    expect(desktop.get_by_text("Your decision is recorded.")).to_be_visible()
    settled(served, ReviewState.SPENDABLE)
    votes = served.run(served.store.votes("r-1"))
    assert [(vote.reviewer, vote.login) for vote in votes] == [("anna", "password")]
    assert ARMED_MS <= votes[0].looked_ms < 60_000
    desktop.get_by_role("button", name="Undo").click()
    settled(served, ReviewState.PARKED)
    assert wrong == []


def test_a06_a_fresh_button_can_not_be_hit(chromium: Browser, tmp_path: Path) -> None:
    served = Served(tmp_path, arming_ms=60_000)  # so that no machine is too slow to be too fast
    served.start()
    served.park()
    context = chromium.new_context(base_url=served.url, **DESKTOP)
    page = context.new_page()
    log_in(page, served)
    page.goto("/c/c-1")
    page.evaluate("document.querySelector('[data-act=approve]').click()")
    expect(page.get_by_text("look, then press again")).to_be_visible()
    page.keyboard.press("a")
    form = page.evaluate("Object.fromEntries(new FormData(document.getElementById('decide')))")
    answer = page.request.post("/c/c-1/approve", form=form, headers={"sec-fetch-site": "same-origin"})
    assert answer.status == 409
    assert served.review().state is ReviewState.PARKED
    leave(context)
    served.stop()


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
    armed(desktop)
    desktop.get_by_role("button", name="Approve changes").click()
    expect(desktop.locator("#edited ins")).to_have_text("150")
    assert served.call().approved == {"arguments": {"amount": 150, "customer": "c_81"}, "input_responses": None}
    assert served.call().proposed == {"arguments": {"amount": 250, "customer": "c_81"}, "input_responses": None}
    assert served.review().state is ReviewState.SPENDABLE


def test_p07_a_claim_by_somebody_else_does_not_turn_approving_changes_into_approving(
    desktop: Page, served: Served
) -> None:
    served.park()
    served.account("bob")
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.fill("#comment", "half is enough")
    desktop.get_by_text("Change the arguments").click()
    desktop.fill("#draft", desktop.input_value("#draft").replace("250", "150"))
    desktop.get_by_role("button", name="Show what would change").click()
    expect(desktop.get_by_role("button", name="Approve changes")).to_be_visible()
    expect(desktop.locator("#comment")).to_have_value("half is enough")
    review, bob = served.review(), served.run(served.accounts.reviewer("bob"))
    assert bob is not None
    served.run(served.inbox.claim("r-1", bob, Seen(review.version, review.binding)))
    expect(desktop.locator("#head")).to_contain_text("bob has claimed it")
    armed(desktop)
    desktop.get_by_role("button", name="Approve changes").click()
    expect(desktop.get_by_role("alert")).to_contain_text("This changed since you looked")
    expect(desktop.locator("#draft")).to_have_value(re.compile("150"))
    assert served.review().state is ReviewState.PARKED


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
    desktop.get_by_role("link", name=re.compile("Held outputs")).click()
    desktop.get_by_role("link", name=re.compile("Output of")).click()
    expect(desktop.get_by_text("24 characters").first).to_be_visible()
    assert "AKIA" not in desktop.content()
    desktop.get_by_text("Look at it in clear").click()
    desktop.fill("#why", "to judge the key")
    desktop.get_by_role("button", name="Show it to me").click()
    gets, withheld = desktop.locator(".sides > section").all()
    expect(withheld).to_contain_text("AKIAABCDEFGHIJKLMNOP")
    expect(gets).to_contain_text("[REDACTED]")
    armed(desktop)
    desktop.fill("#comment", "without the key")
    desktop.get_by_role("button", name="Release redacted").click()
    settled(served, ReviewState.RELEASED)
    assert "[REDACTED]" in str(served.call().outcome)


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


def test_what_happens_before_the_live_updates_begin_is_shown_too(desktop: Page, served: Served) -> None:
    log_in(desktop, served)
    held: list[Route] = []
    desktop.route("**/events", lambda route: held.append(route))
    desktop.goto("/")
    expect(desktop.get_by_text("Nothing waits for you.")).to_be_visible()
    served.park()
    until = time.monotonic() + PATIENCE_SEC
    while not held:
        assert time.monotonic() < until
        desktop.wait_for_timeout(20)
    held[0].continue_()
    expect(desktop.get_by_role("link", name=re.compile("refund.create"))).to_be_visible()


def test_what_was_done_stays_said_while_the_page_keeps_itself_fresh(desktop: Page, served: Served) -> None:
    served.park()
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    armed(desktop)
    desktop.get_by_role("button", name="Approve").click()
    expect(desktop.get_by_role("button", name="Undo")).to_be_visible()
    review = served.review()
    move = MoveReview("r-1", frozenset({review.state}), ReviewState.SPENT, {}, review.version)
    served.run(served.store.apply(Change((move,))))
    served.pages.tell("c-1")
    expect(desktop.get_by_role("button", name="Undo")).to_have_count(0)
    expect(desktop.get_by_text("Your decision is recorded.")).to_be_visible()


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
    expect(desktop.locator("#to-read")).to_contain_text("6000")
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
    armed(desktop)
    desktop.keyboard.press("a")
    desktop.wait_for_url("**?did=approved")
    settled(served, ReviewState.SPENDABLE, first)
    desktop.keyboard.press("u")
    desktop.wait_for_url("**?did=undone")
    settled(served, ReviewState.PARKED, first)
    desktop.keyboard.press("r")
    desktop.keyboard.type("not a refund case")
    desktop.keyboard.press("Escape")
    desktop.keyboard.press("r")
    settled(served, ReviewState.REJECTED, first)
    expect(desktop.get_by_text("your reason is recorded")).to_be_visible()


def test_keys_are_letters_while_one_types(desktop: Page, served: Served) -> None:
    served.park()
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    armed(desktop)
    desktop.locator("#comment").focus()
    desktop.keyboard.type("a great refund, ja?")
    expect(desktop.locator("#comment")).to_have_value("a great refund, ja?")
    assert served.review().state is ReviewState.PARKED


def test_a08_the_first_a_shows_the_arguments_one_has_not_seen(desktop: Page, served: Served) -> None:
    arguments = {f"field_{number:02}": f"value {number}" for number in range(60)}
    served.park(call=refund(proposed={"arguments": arguments, "input_responses": None}))
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    armed(desktop)
    desktop.keyboard.press("a")
    expect(desktop.get_by_text("Look at it to its end")).to_be_visible()
    assert desktop.evaluate("window.scrollY") > 0
    assert served.review().state is ReviewState.PARKED
    for _ in range(8):
        desktop.keyboard.press("a")
        desktop.wait_for_timeout(60)
    settled(served, ReviewState.SPENDABLE)


def test_a08_jumping_to_the_end_and_leaving_texts_folded_is_not_reading(desktop: Page, served: Served) -> None:
    arguments = {"first": "1", "text": "line\n" * 400, **{f"field_{number:02}": "x" for number in range(40)}}
    served.park(call=refund(proposed={"arguments": arguments, "input_responses": None}))
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    armed(desktop)
    approve = desktop.get_by_role("button", name="Approve")
    expect(approve).to_have_accessible_name(re.compile("not all of it has been in view"))
    desktop.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    approve.click()
    expect(desktop.get_by_text("Look at it to its end")).to_be_visible()
    expect(desktop.locator("details.whole")).not_to_have_attribute("open", "")
    for _ in range(60):
        if desktop.locator("#unread").is_hidden():
            break
        desktop.keyboard.press("a")
    expect(desktop.locator("details.whole")).to_have_attribute("open", "")
    expect(desktop.get_by_text("That was all of it.")).to_be_visible()
    assert served.review().state is ReviewState.PARKED
    desktop.keyboard.press("a")
    settled(served, ReviewState.SPENDABLE)


def test_an_approval_counts_down_can_be_undone_and_leads_to_the_next(desktop: Page, served: Served) -> None:
    served.park(1, approval=Approval(undo_sec=600))
    served.park(2)
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    armed(desktop)
    desktop.get_by_role("button", name="Approve").click()
    settled(served, ReviewState.APPROVED)
    expect(desktop.locator(".outcome")).to_contain_text(re.compile(r"Sent in 9 min"))
    before = desktop.locator("#bar .left").get_attribute("stroke-dasharray")
    expect(desktop.locator("#bar .left")).not_to_have_attribute("stroke-dasharray", str(before))
    desktop.keyboard.press("u")
    settled(served, ReviewState.PARKED)
    desktop.goto("/c/c-1")
    desktop.keyboard.press("n")
    desktop.wait_for_url("**/c/c-2")


def test_queues_filters_and_search_are_addresses_and_keys_find_them(desktop: Page, served: Served) -> None:
    served.park(1)
    served.park(2, refund(agent="mail-bot", tool="mail.send"))
    desktop.goto("/?queue=waiting&agent=mail-bot")
    served.account("anna")
    desktop.fill("#name", "anna")
    desktop.fill("#password", PASSWORD)
    desktop.keyboard.press("Enter")
    expect(desktop.locator("a.row")).to_have_count(1)
    assert desktop.url.endswith("/?queue=waiting&agent=mail-bot")
    desktop.goto("/")
    desktop.keyboard.press("/")
    desktop.keyboard.type("refund.create")
    desktop.keyboard.press("Enter")
    expect(desktop.locator("a.row")).to_have_count(1)
    served.park(3, refund(180))
    expect(desktop.locator("a.row")).to_have_count(2)
    expect(desktop.locator("#rail a[aria-current] .n")).to_have_text("3")
    expect(desktop.locator("#wanting")).to_contain_text("3")


def test_a_comment_reaches_whoever_has_the_page_open_and_decides_nothing(desktop: Page, served: Served) -> None:
    served.park()
    log_in(desktop, served)
    desktop.goto("/c/c-1")
    desktop.fill("#comment", "half-typed reason")
    bob = served.run(served.accounts.reviewer("anna"))
    assert bob is not None
    served.run(served.inbox.comment("r-1", bob, "<b>ask the customer first</b>"))
    expect(desktop.locator("#comments")).to_contain_text("<b>ask the customer first</b>")
    expect(desktop.locator("#comment")).to_have_value("half-typed reason")
    desktop.fill("#say", "done")
    desktop.get_by_role("button", name="Comment").click()
    expect(desktop.get_by_text("Your comment is recorded.")).to_be_visible()
    assert served.review().state is ReviewState.PARKED


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
    leave(context)
