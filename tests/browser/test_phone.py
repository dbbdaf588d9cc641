"""The console on a phone at night: everything in view, everything in reach, nothing sideways."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from review.model import ReviewState
from tests.browser.conftest import armed, log_in
from tests.browser.screens import SCREENS, everything
from tests.browser.served import Served

pytestmark = pytest.mark.browser

TOO_SMALL = """() =>
  [...document.querySelectorAll("button, a.button, a.row, .top a, summary, input:not([type=hidden])")]
    .filter((node) => node.checkVisibility({visibilityProperty: true}) && !node.closest(".sr"))
    .map((node) => ({node, box: (node.closest("label") ?? node).getBoundingClientRect()}))
    .filter(({box}) => box.height > 0 && box.height < 48)
    .map(({node, box}) => `${location.pathname} ${node.outerHTML.slice(0, 80)} ${box.height}`)
"""


def test_nothing_scrolls_sideways_and_every_target_is_big_enough(phone: Page, served: Served) -> None:
    everything(served)
    log_in(phone, served)
    for path in SCREENS:
        phone.goto(path)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert phone.evaluate(TOO_SMALL) == []


def test_the_decision_is_always_in_reach_of_a_thumb(phone: Page, served: Served) -> None:
    everything(served)
    log_in(phone, served)
    for path in ("/c/c-1", "/q/c-2"):
        phone.goto(path)
        _check_bar(phone)


def _check_bar(phone: Page) -> None:
    for _ in range(3):
        bar = phone.locator("#bar").bounding_box()
        assert bar is not None
        assert bar["y"] + bar["height"] <= 845
        assert bar["y"] > 844 / 2
        phone.mouse.wheel(0, 600)
        phone.wait_for_timeout(50)
    boxes = [phone.locator(f"#bar [data-act={act}]").bounding_box() for act in ("reject", "approve")]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert min(box["height"] for box in boxes if box) >= 48
    assert boxes[1]["x"] - (boxes[0]["x"] + boxes[0]["width"]) >= 16


def test_what_is_said_is_in_view_and_nothing_jumps_wherever_one_has_scrolled(phone: Page, served: Served) -> None:
    everything(served)
    log_in(phone, served)
    phone.goto("/c/c-1")
    phone.evaluate("window.scrollTo(0, 500)")
    box = phone.get_by_role("button", name="Reject").bounding_box()
    assert box is not None
    phone.touchscreen.tap(box["x"] + 20, box["y"] + 20)  # a finger, which does not scroll to what it taps
    said = phone.get_by_text("Say why: a reason is needed here.")
    expect(said).to_be_in_viewport()
    expect(phone.locator("#comment")).to_be_focused()
    assert phone.evaluate("Math.abs(window.scrollY - 500)") < 100  # what is said takes a line of its own


@pytest.mark.parametrize("width", [320, 360])
def test_on_the_smallest_phones_every_button_has_its_word_on_one_line(phone: Page, served: Served, width: int) -> None:
    everything(served)
    log_in(phone, served)
    phone.set_viewport_size({"width": width, "height": 640})
    phone.goto("/c/c-1")
    _check_one_line(phone, width)
    phone.get_by_text("Change the arguments").click()
    phone.fill("#draft", '{"amount": 6000}')
    phone.get_by_role("button", name="Show what would change").click()
    expect(phone.get_by_role("button", name="Propose changes")).to_be_visible()
    _check_one_line(phone, width)
    phone.goto("/q/c-2")
    _check_one_line(phone, width)


def _check_one_line(phone: Page, width: int) -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") <= width
    nodes = phone.locator("#bar button:visible, #bar a.button:visible, #bar summary:visible").all()
    boxes = [box for node in nodes if (box := node.bounding_box()) is not None]
    assert len(boxes) >= 2
    assert max(box["height"] for box in boxes) < 60
    assert max(box["x"] + box["width"] for box in boxes) <= width


def test_a_decision_takes_three_taps(phone: Page, served: Served) -> None:
    served.park()
    log_in(phone, served)
    phone.tap("a.row")
    phone.wait_for_url("**/c/c-1")
    armed(phone)
    phone.get_by_role("button", name="Approve", exact=True).tap()
    expect(phone.get_by_text("Your decision is recorded.")).to_be_visible()
    assert served.review().state is ReviewState.SPENDABLE
