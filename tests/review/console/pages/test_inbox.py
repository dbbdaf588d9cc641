from __future__ import annotations

import re

from policies.model import Approval
from review.model import CallState
from tests.review.builders import held_output, refund
from tests.review.console.builders import House


def _section(html: str, title: str) -> str:
    found = re.search(rf"<h2[^>]*>{title}</h2>(.*?)</section>", html, re.DOTALL)
    return found[1] if found else ""


def test_what_one_may_decide_stands_apart_from_what_is_for_others(house: House) -> None:
    house.world.park(refund(id="c-1", review_id="r-1"), Approval(teams=("finance",)))
    house.world.park(refund(id="c-2", review_id="r-2", tool="contract.sign"), Approval(teams=("legal",)))
    html = house.logged_in().get("/").text
    assert 'href="/c/c-1"' in _section(html, "For you")
    assert 'href="/c/c-2"' in _section(html, "For others")


def test_everything_that_waits_for_people_is_on_it(house: House) -> None:
    house.world.park(refund(id="c-1", review_id="r-1"))
    house.world.park(held_output(id="c-2", review_id="r-2"))
    house.world.records.calls["c-3"] = refund(id="c-3", review_id=None, state=CallState.IN_DOUBT)
    house.tool(digest="sha256:new")
    html = house.logged_in().get("/").text
    assert 'href="/q/c-2"' in _section(html, "Held outputs")
    assert 'href="/c/c-3"' in _section(html, "In doubt")
    assert "1 tool is" in html
    assert "<title>(3) Inbox" in html


def test_a_row_says_what_who_how_risky_and_until_when(house: House) -> None:
    house.world.park(approval=Approval(teams=("finance",), timeout_sec=1800))
    row = _section(house.logged_in().get("/").text, "For you")
    for words in ("Medium risk", "refund.create", "payments", "refund-bot", "250", "c_81", "finance", "30 min left"):
        assert words in row, words
    assert "agent has gone" in row


def test_nothing_to_do_is_said_calmly(house: House) -> None:
    assert "Nothing waits for you." in house.logged_in().get("/").text


def test_p14_a_long_list_is_cut_after_its_most_urgent_and_says_so(house: House) -> None:
    for number in range(103):
        house.world.park(refund(id=f"c-{number}", review_id=f"r-{number}"), Approval(timeout_sec=1000 + 60 * number))
    html = house.logged_in().get("/").text
    assert html.count('<a class="row"') == 100
    assert "and 3 more" in html
    assert 'href="/c/c-0"' in html
    assert 'href="/c/c-102"' not in html
