"""The console on a phone at night: everything in view, everything in reach, nothing sideways."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from policies.model import Approval
from review.model import CallState, ReviewState
from review.ports import ToolSeen
from tests.browser.conftest import armed, log_in
from tests.browser.served import Served
from tests.review.builders import held_output, refund
from tests.review.memory_records import MemoryRecords

pytestmark = pytest.mark.browser

PAGES = ("/", "/c/c-1", "/q/c-2", "/c/c-3", "/c/c-4", "/tools", "/people", "/account")
TOO_SMALL = """() =>
  [...document.querySelectorAll("button, a.button, a.row, .top a, summary, input:not([type=hidden])")]
    .filter((node) => node.checkVisibility({visibilityProperty: true}) && !node.closest(".sr"))
    .map((node) => ({node, box: (node.closest("label") ?? node).getBoundingClientRect()}))
    .filter(({box}) => box.height > 0 && box.height < 44)
    .map(({node, box}) => `${location.pathname} ${node.outerHTML.slice(0, 80)} ${box.height}`)
"""


def test_nothing_scrolls_sideways_and_every_target_is_big_enough(phone: Page, served: Served) -> None:
    _everything(served)
    log_in(phone, served)
    for path in PAGES:
        phone.goto(path)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert phone.evaluate(TOO_SMALL) == []


def test_the_decision_is_always_in_reach_of_a_thumb(phone: Page, served: Served) -> None:
    _everything(served)
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


def test_a_decision_takes_three_taps(phone: Page, served: Served) -> None:
    served.park()
    log_in(phone, served)
    phone.tap("a.row")
    phone.wait_for_url("**/c/c-1")
    armed(phone)
    phone.tap("text=Approve")
    expect(phone.get_by_text("Your decision is recorded.")).to_be_visible()
    assert served.review().state is ReviewState.SPENDABLE


def _everything(served: Served) -> None:
    """One of each page, with text as long and as odd as it comes."""
    odd = "x" * 5_000 + "\u202e" + "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 20
    arguments = {"text": odd, "k" * 60: odd[:200], "nested": {"a": [{"b": "c" * 300}]}}
    served.park(1, refund(tool="a_very_long_tool_name" * 8, proposed={"arguments": arguments, "input_responses": None}))
    served.park(2, held_output(), Approval())
    served.keep(3, refund(state=CallState.IN_DOUBT))
    served.park(4, refund(), Approval(teams=("legal",), quorum={"legal": 2}))
    assert isinstance(served.inventory, MemoryRecords)
    tool = {"name": "t" * 120, "description": odd}
    served.inventory.tools["crm", "t" * 120] = ToolSeen("crm", "t" * 120, "b", tool, "a", {**tool, "description": "?"})
