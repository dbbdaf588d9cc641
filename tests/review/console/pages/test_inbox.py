from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from time import process_time

import pytest

from policies.loader import PolicyLoader
from policies.model import Approval
from review.console.pages.inbox import ROWS_MAX, Asked
from review.model import CallState
from tests.review.builders import held_output, refund
from tests.review.console.builders import House

ROOT = Path(__file__).resolve().parents[4]


def _rows(html: str) -> list[str]:
    return re.findall(r'<a class="row [^"]*" href="([^"]+)"', html)


def _parked(house: House, **queues: Approval) -> None:
    for number, (agent, approval) in enumerate(queues.items(), 1):
        house.world.park(refund(id=f"c-{number}", review_id=f"r-{number}", agent=agent), approval)


def test_each_queue_is_an_address_and_the_rail_counts_them_all(house: House) -> None:
    _parked(house, one=Approval(teams=("finance",)), two=Approval(teams=("legal",)))
    house.world.park(held_output(id="c-3", review_id="r-3"))
    house.world.records.calls["c-4"] = refund(id="c-4", review_id=None, state=CallState.IN_DOUBT)
    browser = house.logged_in()
    assert _rows(browser.get("/").text) == ["/c/c-1"]
    assert _rows(browser.get("/?queue=waiting").text) == ["/c/c-1", "/c/c-2"]
    assert _rows(browser.get("/?queue=quarantine").text) == ["/q/c-3"]
    assert _rows(browser.get("/?queue=in_doubt").text) == ["/c/c-4"]
    html = browser.get("/").text
    for words, count in (("For you", 1), ("Everything", 2), ("Held outputs", 1), ("In doubt", 1), ("Claimed", 0)):
        assert f'{words} <span class="n">{count}</span>' in html
    assert "<title>(3) For you" in html


def test_what_was_decided_lately_is_a_queue_too(house: House) -> None:
    house.world.park()
    browser = house.logged_in()
    browser.decide("reject", comment="wrong customer")
    html = browser.get("/?queue=decided").text
    assert _rows(html) == ["/c/c-1"]
    assert "Rejected by" in html


def test_a_row_says_what_who_how_risky_until_when_and_by_which_rule(house: House) -> None:
    review = house.world.park(approval=Approval(teams=("finance",), timeout_sec=1800))
    house.world.records.reviews["r-1"] = type(review)(
        **{**{name: getattr(review, name) for name in review.__slots__}, "claimed_by": "anna", "claimed_until": 2e9}
    )
    html = house.logged_in().get("/").text
    words = "Medium risk, refund.create, payments, refund-bot, 250, c_81, finance, 30 min left, refunds#ask-over-100"
    for word in (*words.split(", "), "agent has gone", "claimed by anna"):
        assert word in html, word


def test_filters_and_search_stand_in_the_address(house: House) -> None:
    _parked(house, one=Approval(), two=Approval(), three=Approval())
    browser = house.logged_in()
    assert _rows(browser.get("/?agent=two").text) == ["/c/c-2"]
    assert _rows(browser.get("/?tool=payments/refund.create&risk=medium&q=REFUND&agent=three").text) == ["/c/c-3"]
    assert _rows(browser.get("/?risk=high").text) == []
    assert "Nothing here fits that." in browser.get("/?q=nowhere").text
    found = browser.get("/index.json?agent=two").json()
    assert (found["total"], found["filters"]["agent"], found["items"][0]["call"]["id"]) == (1, "two", "c-2")
    assert found["counts"]["mine"]["count"] == 3


@pytest.mark.parametrize(
    "address", ["/?queue=x&risk=y", "/?after=x", "/?after=1~2~3~r-1", "/?agent=%E2%80%AE&tool=x", "/?q=%00%ff"]
)
def test_an_address_that_means_nothing_is_no_error(house: House, address: str) -> None:
    house.world.park()
    assert house.logged_in().get(address).status_code == 200


def test_an_address_of_the_same_with_something_changed_begins_at_the_most_urgent() -> None:
    asked = Asked(agent="a b&c", after="1~2~3~r-1")
    assert asked.address(after="x") == "/?agent=a+b%26c&after=x"
    assert asked.address(queue="quarantine", agent="") == "/?queue=quarantine"
    assert Asked().address() == "/"


def test_p14_a_page_has_so_many_rows_and_leads_to_the_next(house: House) -> None:
    for number in range(2 * ROWS_MAX + 3):
        house.world.park(refund(id=f"c-{number}", review_id=f"r-{number}"), Approval(timeout_sec=1000 + 60 * number))
    browser, address, pages = house.logged_in(), "/", []
    while address:
        html = browser.get(address).text
        pages.append(_rows(html))
        more = re.search(r'href="([^"]*)">More<', html)
        address = unescape(more[1]) if more else ""
        assert f"{len(pages[-1])} of 53" in html
    assert [len(page) for page in pages] == [25, 25, 3]
    assert [row for page in pages for row in page] == [f"/c/c-{number}" for number in range(53)]


def test_p14_a_page_costs_nearly_the_same_however_much_waits(house: House) -> None:
    def cost_sec() -> float:
        return min(_cpu_sec(lambda: browser.get("/")) for _ in range(5))

    browser = house.logged_in()
    for number in range(ROWS_MAX + 5):
        house.world.park(refund(id=f"c-{number}", review_id=f"r-{number}"), Approval(timeout_sec=1000 + number))
    few = cost_sec()
    for number in range(ROWS_MAX + 5, 1_000):
        house.world.park(refund(id=f"c-{number}", review_id=f"r-{number}"), Approval(timeout_sec=1000 + number))
    many = cost_sec()
    assert many < 3 * few, (few, many)


def _cpu_sec(work: Callable[[], object]) -> float:
    begun = process_time()
    work()
    return process_time() - begun


def test_nothing_to_do_is_said_calmly_with_what_goes_by_itself(house: House) -> None:
    house.policies = PolicyLoader(["proxy/demo/policies/*.yaml"], ROOT).load()
    html = house.logged_in().get("/").text
    assert "Nothing waits for you." in html
    assert "What goes without a person now" in html


def test_tools_that_nobody_has_looked_at_are_named(house: House) -> None:
    house.tool(digest="sha256:new")
    assert "1 tool is new or changed" in house.logged_in().get("/").text
