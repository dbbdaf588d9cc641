from __future__ import annotations

import pytest

from proxy.wire.strict_json import read
from review.ports import StoreDown
from tests.review.builders import held_output, refund
from tests.review.console.builders import SAME, House


def test_who_is_not_logged_in_is_asked_to_and_comes_back_to_where_they_were_going(house: House) -> None:
    house.world.park()
    browser = house.browser()
    asked = browser.get("/c/c-1")
    assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=/c/c-1")
    page = browser.get(asked.headers["location"])
    assert '<input type="hidden" name="next" value="/c/c-1">' in page.text
    form = {"name": "anna", "password": "correct horse battery", "next": "/c/c-1"}
    assert browser.client.post("/login", data=form, headers=SAME).headers["location"] == "/c/c-1"


@pytest.mark.parametrize(
    ("act", "page"),
    [("/c/c-1/approve", "/c/c-1"), ("/q/c-1/release", "/q/c-1"), ("/people/put", "/people"), ("/logout", "/")],
)
def test_whose_session_ended_while_a_page_was_open_comes_back_to_that_page(house: House, act: str, page: str) -> None:
    house.world.park()
    asked = house.browser().post(act, {"comment": "x"})
    assert (asked.status_code, asked.headers["location"]) == (303, f"/login?next={page}")


def test_a_visit_from_a_foreign_page_is_bounced_once_so_that_the_strict_cookie_comes_along(house: House) -> None:
    response = house.browser().get("/c/c-1", **{"sec-fetch-site": "cross-site"})
    assert response.status_code == 200
    assert '<meta http-equiv="refresh" content="0;url=/c/c-1">' in response.text


@pytest.mark.parametrize("path", ["/index.json", "/c/c-1.json", "/account.json", "/tools.json"])
def test_every_page_has_a_json_twin(house: House, path: str) -> None:
    house.world.park()
    browser = house.logged_in()
    twin = browser.get(path)
    assert twin.headers["content-type"] == "application/json"
    page = path.removesuffix(".json").replace("/index", "/")
    assert browser.get(page, accept="application/json").json() == twin.json()
    assert browser.get(page, accept="text/html,application/json").headers["content-type"].startswith("text/html")


def test_a_twin_says_401_to_strangers(house: House) -> None:
    response = house.browser().get("/index.json")
    assert (response.status_code, response.json()["error"]["code"]) == (401, "not_logged_in")


def test_a_twin_holds_no_nonce_and_no_held_output(house: House) -> None:
    house.world.park(held_output())
    text = house.logged_in("sam").get("/q/c-1.json").text
    assert "n-0" not in text
    assert "AKIA" not in text


def test_numbers_in_a_twin_stand_as_they_were_sent(house: House) -> None:
    house.world.park(refund(proposed={"arguments": read(b'{"amount": 1.10}'), "input_responses": None}))
    assert '"amount":1.10' in house.logged_in().get("/c/c-1.json").text


def test_a_refusal_is_shown_where_one_was_with_what_one_had_typed(house: House) -> None:
    house.world.park()
    browser = house.logged_in()
    form = {**browser.fields("/c/c-1"), "version": "9", "comment": "a long reason <b>"}
    response = browser.post("/c/c-1/approve", form)
    assert response.status_code == 409
    assert "This changed since you looked" in response.text
    assert "a long reason &lt;b&gt;</textarea>" in response.text


def test_p01_when_the_store_is_down_it_says_that_nothing_was_done(house: House) -> None:
    house.world.park()
    browser = house.logged_in()
    form = browser.fields("/c/c-1")
    house.world.records.is_down = True
    response = browser.post("/c/c-1/approve", form)
    assert response.status_code == 503
    assert "nothing was decided" in response.text


def test_a_page_refreshing_itself_keeps_no_session_alive(house: House) -> None:
    browser = house.logged_in()
    for _ in range(4):
        house.world.clock.pass_sec(899)
        assert browser.get("/", **{"x-interlock-refresh": "1"}).status_code == 200
    house.world.clock.pass_sec(10)
    assert browser.get("/").status_code == 303


def test_p01_when_nothing_can_be_read_nothing_is_shown(house: House) -> None:
    browser = house.logged_in()
    house.world.records.is_unreadable = True
    assert browser.get("/").status_code == 503
    house.world.records.is_unreadable = False

    async def unreadable(*_: object, **__: object) -> None:
        raise StoreDown("gone")

    house.world.records.live_reviews = unreadable  # type: ignore[method-assign, assignment]
    assert browser.get("/").status_code == 503
