"""The page of agents' autonomy: where they stand, and what its buttons do."""

from __future__ import annotations

import pytest

from tests.review.builders import World
from tests.review.console.builders import House
from tests.review.memory_ladder import MemoryLadder


@pytest.fixture
def house() -> House:
    return House(world=World(ladder=MemoryLadder()))


def post(house: House, act: str, name: str = "root", **form: str) -> str:
    browser = house.logged_in(name)
    answer = browser.post(f"/agents/{act}", {**browser.fields("/agents"), "agent": "demo", "why": "so", **form})
    return answer.headers.get("location", answer.text)


def test_everybody_sees_where_agents_stand_and_on_what_evidence(house: House) -> None:
    html = house.logged_in("aud").get("/agents").text
    for words in ("demo", "crm", "1 of 3", "assisted", "12 of 50 successes", "2 of 14 calls", "waits for a sign-off"):
        assert words in html
    assert "Report a safety incident" not in html
    assert "One level up" not in house.logged_in("anna").get("/agents").text
    twin = house.logged_in("aud").get("/agents.json").json()["agents"]
    assert [(one["domain"], one["level"], one["review"]) for one in twin] == [("crm", 1, None), ("mail", 1, "rev_1")]


def test_its_buttons_promote_demote_and_report(house: House) -> None:
    assert post(house, "promote", domain="crm") == "/agents?did=promoted"
    assert post(house, "demote", domain="crm") == "/agents?did=demoted"
    assert post(house, "incident", "anna") == "/agents?did=reported"
    assert "needs one of the roles admin" in post(house, "promote", "anna", domain="crm")
    assert "No policy has a topic" in post(house, "promote", domain="hr")
