"""Queues by address: what can be asked for, what is refused, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from policies.model import Approval
from review.board import QueueName, Sought
from review.console.queues import sought
from review.refusals import Unacceptable
from tests.review.builders import NOW, refund
from tests.review.console.builders import BASE, PASSWORD, House


def test_an_address_says_all_of_it_or_nothing() -> None:
    assert sought({}) == Sought()
    query = {"queue": "mine", "risk": "unrated", "agent": "a", "server": "s", "tool": "t", "text": "x", "after": "p"}
    asked = sought({**query, "limit": "7"})
    assert asked == Sought(QueueName.MINE, "unrated", "a", "s", "t", "x", "p", 7)
    assert sought({"risk": "", "agent": "", "after": ""}) == Sought()  # as a form sends what was left empty


@pytest.mark.parametrize(
    "query",
    [
        {"queue": "theirs"},
        {"risk": "none"},
        *({"limit": limit} for limit in ("", "0", "-1", "201", "x", "١", "9" * 99)),
    ],
)
def test_what_there_is_not_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(Unacceptable):
        sought(query)


def _program(house: House, name: str) -> Any:
    browser = house.browser()
    token = browser.client.post("/api/v1/login", json={"name": name, "password": PASSWORD}).json()["token"]

    def ask(path: str) -> Any:
        return browser.client.get(f"{BASE}/api/v1{path}", headers={"authorization": f"Bearer {token}"})

    return ask


def test_a_program_goes_through_a_queue_page_by_page(house: House) -> None:
    for number in range(5):
        call = refund(id=f"c-{number}", review_id=f"r-{number}")
        house.world.park(call, Approval(teams=("finance",)), expires_at=NOW + 600 + 60 * number)
    ask = _program(house, "anna")
    counts = ask("/counts").json()
    assert (counts["mine"], counts["in_doubt"]) == ({"count": 5, "oldest_at": NOW}, {"count": 0, "oldest_at": None})
    ids, after = [], ""
    while True:
        found = ask(f"/queue?queue=mine&limit=2&after={after}").json()
        ids += [item["call"]["id"] for item in found["items"]]
        assert found["total"] == 5
        if found["next"] is None:
            break
        after = found["next"]
    assert ids == [f"c-{number}" for number in range(5)]
    assert ask("/queue?queue=all").json()["error"]["code"] == "not_possible"
    assert _program(house, "carol")("/queue?queue=mine").json()["total"] == 0
