from __future__ import annotations

import pytest

from tests.review.builders import World
from tests.review.console.builders import House, hidden_fields
from tests.review.memory_switch import MemorySwitch

OVERRIDE = "\u202e"


@pytest.fixture
def house() -> House:
    return House(world=World(switch=MemorySwitch()))


def stop(house: House, name: str = "anna", **form: str) -> str:
    browser = house.logged_in(name)
    answer = browser.post("/stops/order", {**browser.fields("/stops"), "scope": "agent", **form})
    return answer.headers.get("location", answer.text)


def test_a_stop_is_ordered_with_two_fields_and_told_on_every_page(house: House) -> None:
    assert "Stopped:" not in house.logged_in().get("/").text
    assert stop(house, target_agent="support-bot", target_server="x", why="it leaks") == "/stops?did=stopped"
    for path in ("/", "/tools", "/account", "/stops"):
        assert "Stopped:" in house.logged_in("aud").get(path).text
    html = house.logged_in("aud").get("/stops?did=stopped").text
    assert "agent support-bot" in html
    assert "reviewer:anna" in html
    assert "it leaks" in html
    assert "Let it go on" not in html
    assert "Stop it now" not in html
    twin = house.logged_in("aud").get("/stops.json").json()["stops"]
    assert [(one["scope"], one["target"], one["ordered_by"]) for one in twin] == [
        ("agent", "support-bot", "reviewer:anna")
    ]


def test_who_is_not_logged_in_is_told_nothing_of_it(house: House) -> None:
    stop(house, scope="all")
    assert "Stopped:" not in house.browser().get("/login").text
    assert house.browser().get("/stops").headers["location"].startswith("/login")


def test_many_stops_are_told_in_a_few_words(house: House) -> None:
    for _ in range(7):
        stop(house, scope="all")
    assert "and 2 more" in house.logged_in().get("/").text


def test_a_name_that_nothing_has_stops_nothing_and_keeps_what_was_typed(house: House) -> None:
    html = stop(house, target_agent="suport-bot", why="it leaks")
    assert "the nearest is" in html
    assert 'value="suport-bot"' in html
    assert "Nothing is stopped." in html
    assert "Say what to stop" in stop(house, scope="tool")


def test_an_admin_lets_go_again_and_says_why(house: House) -> None:
    stop(house, scope="all")
    browser = house.logged_in("root")
    fields = hidden_fields(browser.get("/stops").text)
    assert "Say why" in browser.post("/stops/stop_1/lift", fields).text
    answer = browser.post("/stops/stop_1/lift", {**fields, "why": "mended"})
    assert answer.headers["location"] == "/stops?did=lifted"
    assert "Stopped:" not in browser.get("/stops").text
    assert browser.post("/stops/stop_1/lift", {**fields, "why": "again"}).status_code == 404


def test_nobody_but_an_admin_lets_go_again(house: House) -> None:
    stop(house, scope="all")
    browser = house.logged_in("sam")
    answer = browser.post("/stops/stop_1/lift", {**browser.fields("/account"), "why": "mended"})
    assert answer.status_code == 403
    assert "Stopped:" in browser.get("/").text


def test_the_reason_is_shown_inert(house: House) -> None:
    stop(house, scope="all", why=f"<script>alert(1)</script> {OVERRIDE}")
    html = house.logged_in().get("/stops").text
    assert "<script>alert" not in html
    assert OVERRIDE not in html


def test_a_program_stops_and_lets_go_through_the_api(house: House) -> None:
    api = house.browser().client
    token = api.post("/api/v1/login", json={"name": "root", "password": "correct horse battery"}).json()["token"]
    head = {"authorization": f"Bearer {token}"}
    order = {"scope": "server", "target": "pay*", "why": "broken"}
    stopped = api.post("/api/v1/stops", json=order, headers=head).json()
    assert (stopped["target"], stopped["login"], stopped["is_recorded"]) == ("pay*", "cli", True)
    assert api.get("/api/v1/stops", headers=head).json()["stops"] == [stopped]
    refused = api.post("/api/v1/stops", json={"scope": "server", "target": "x"}, headers=head)
    assert (refused.status_code, "nearest" in refused.json()["error"]["message"]) == (422, True)
    lifted = api.post(f"/api/v1/stops/{stopped['id']}/lift", json={"why": "mended"}, headers=head)
    assert lifted.json()["id"] == stopped["id"]
    assert api.get("/api/v1/stops", headers=head).json()["stops"] == []
    assert api.get("/api/v1/stops").status_code == 401
