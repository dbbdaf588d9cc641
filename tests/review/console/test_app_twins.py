"""Every page of the console has the same data as JSON, under its address with `.json` or by the Accept header."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from starlette.routing import Route

from policies.model import Approval
from review.model import CallState
from tests.review.builders import held_output, refund
from tests.review.console.builders import House

PAGES: Mapping[str, frozenset[str]] = {
    "/": frozenset({"queue", "filters", "items", "total", "next", "counts", "in_doubt"}),
    "/c/{id}": frozenset(
        {
            "call",
            "review",
            "shown",
            "votes",
            "comments",
            "entries",
            "definition",
            "agent_waits_until",
            "question",
            "escalates_to",
            "precedents",
            "session",
        }
    ),
    "/q/{id}": frozenset({"call", "review", "shown", "votes", "comments", "entries"}),
    "/tools": frozenset({"drifted"}),
    "/stops": frozenset({"stops"}),
    "/agents": frozenset({"agents"}),
    "/people": frozenset({"accounts"}),
    "/account": frozenset({"name", "roles", "teams", "session_expires_at"}),
}
"""What a program finds of each page, at least. A page that is not here fails `test_every_page_has_a_twin`."""

OTHERS = ("/login", "/login/link/{token}", "/static/{digest}/{name}", "/events", "/metrics")
"""What is no page about reviews: doors, files, the stream of changes, figures for scrapers."""


def _house() -> House:
    house = House()
    house.world.park(refund(id="c-1", review_id="r-1"), Approval(teams=("finance",)))
    house.world.park(held_output(id="c-2", review_id="r-2"))
    house.world.records.calls["c-3"] = refund(id="c-3", review_id=None, state=CallState.IN_DOUBT)
    house.tool(digest="sha256:new")
    return house


def _gets(house: House) -> set[str]:
    routes = [route for route in house.app.routes if isinstance(route, Route)]
    return {route.path for route in routes if "GET" in (route.methods or ())}


def test_every_page_has_a_twin() -> None:
    gets = _gets(_house())
    pages = {path for path in gets if not path.startswith(("/api/", "/-/")) and not path.endswith(".json")}
    assert pages - set(OTHERS) == set(PAGES)
    assert {_twin(page) for page in PAGES} <= gets


@pytest.mark.parametrize("page", PAGES)
def test_a_twin_says_what_its_page_says_and_is_the_same_by_either_way(page: str) -> None:
    browser = _house().logged_in("root")
    call_id = "c-2" if page.startswith("/q") else "c-1"
    twin = browser.get(_twin(page).replace("{id}", call_id))
    assert (twin.status_code, twin.headers["content-type"]) == (200, "application/json")
    assert twin.json().keys() >= PAGES[page]
    accepted = browser.get(page.replace("{id}", call_id), accept="application/json")
    assert (accepted.headers["content-type"], accepted.json()) == ("application/json", twin.json())


@pytest.mark.parametrize("page", ["/c/{id}", "/q/{id}"])
def test_a_twin_of_what_is_not_there_says_so_as_data(page: str) -> None:
    answer = _house().logged_in().get(_twin(page).replace("{id}", "c-9"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def _twin(page: str) -> str:
    return "/index.json" if page == "/" else f"{page}.json"
