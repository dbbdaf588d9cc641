from __future__ import annotations

import pytest

from review.console.pages.login import own_path
from review.console.settings import ConsoleSettings
from tests.review.console.builders import PASSWORD, SAME, House, hidden_fields


async def _link(house: House, name: str = "anna") -> str:
    return f"/login/link/{await house.accounts.link(name, by='root')}"


def test_the_cookie_is_for_this_host_and_for_no_script(house: House) -> None:
    cookie = house.browser().log_in("anna").headers["set-cookie"]
    assert cookie.startswith("interlock-8611=token-")
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
        assert part in cookie
    assert "Domain" not in cookie


def test_over_tls_the_cookie_is_secure() -> None:
    house = House(settings=ConsoleSettings(public_url="https://gate.example"))
    client = house.browser().client
    response = client.post("https://gate.example/login", data={"name": "anna", "password": PASSWORD}, headers=SAME)
    assert response.headers["set-cookie"].startswith("__Host-interlock=")
    assert "Secure" in response.headers["set-cookie"]


def test_a_wrong_password_says_no_more_than_that(house: House) -> None:
    browser = house.browser()
    wrong, nobody = browser.log_in("anna", "wrong password"), browser.log_in("nobody", "wrong password")
    assert wrong.status_code == nobody.status_code == 403
    assert wrong.text.replace("anna", "") == nobody.text.replace("nobody", "")
    assert "set-cookie" not in wrong.headers


def test_guessing_is_slowed(house: House) -> None:
    browser = house.browser()
    for _ in range(5):
        browser.log_in("anna", "wrong password")
    response = browser.log_in("anna")
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")


async def test_a04_looking_at_a_link_does_not_use_it(house: House) -> None:
    path = await _link(house)
    browser = house.browser()
    for _ in range(3):
        assert browser.get(path).status_code == 200
        assert browser.client.head(path).status_code == 200
    form = {"password": "a brand new password", "again": "a brand new password"}
    assert browser.client.post(path, data=form, headers=SAME).headers["location"] == "/"
    assert browser.get("/").status_code == 200


async def test_a_link_works_once(house: House) -> None:
    path = await _link(house)
    form = {"password": "a brand new password", "again": "a brand new password"}
    first = house.browser().client.post(path, data=form, headers=SAME)
    second = house.browser().client.post(path, data=form, headers=SAME)
    assert (first.status_code, second.status_code) == (303, 403)
    assert "has been used" in second.text


@pytest.mark.parametrize(
    ("password", "again", "words"),
    [("short", "short", "at least 12"), ("a brand new password", "another new password", "not the same")],
)
async def test_a_password_that_does_not_fit_leaves_the_link_unused(
    house: House, password: str, again: str, words: str
) -> None:
    path = await _link(house)
    client = house.browser().client
    response = client.post(path, data={"password": password, "again": again}, headers=SAME)
    assert response.status_code == 422
    assert words in response.text
    form = {"password": "a brand new password", "again": "a brand new password"}
    assert client.post(path, data=form, headers=SAME).status_code == 303


def test_who_is_logged_in_goes_straight_on(house: House) -> None:
    assert house.logged_in().get("/login?next=/tools").headers["location"] == "/tools"


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "http://evil.example",
        "evil",
        "",
        "/a\\b",
        "/a\nb",
        "javascript:alert(1)",
        "\\/x",
    ],
)
def test_a04_after_login_one_goes_only_to_our_own_paths(house: House, path: str) -> None:
    assert own_path(path) == "/"
    form = {"name": "anna", "password": PASSWORD, "next": path}
    assert house.browser().client.post("/login", data=form, headers=SAME).headers["location"] == "/"


@pytest.mark.parametrize("link", ["/c/c-1", "/?queue=mine&text=refund+of+%C3%BC&after=1~2"])
def test_a_link_from_outside_leads_where_it_points_also_after_logging_in(house: House, link: str) -> None:
    house.world.park()
    browser = house.browser()
    asked = browser.get(link)
    assert asked.status_code == 303
    page = browser.get(asked.headers["location"])
    next_path = hidden_fields(page.text)["next"]
    form = {"name": "anna", "password": PASSWORD, "next": next_path}
    came_in = browser.client.post("/login", data=form, headers=SAME)
    assert (came_in.status_code, came_in.headers["location"]) == (303, link)
    assert browser.get(came_in.headers["location"]).status_code == 200


def test_a_link_from_another_site_is_bounced_with_its_filter(house: House) -> None:
    page = house.browser().get("/?queue=mine&risk=high", **{"sec-fetch-site": "cross-site"})
    assert "/?queue=mine&amp;risk=high" in page.text


def test_logging_out_ends_the_session_and_the_cookie(house: House) -> None:
    browser = house.logged_in()
    response = browser.post("/logout", {"csrf": browser.fields("/account")["csrf"]})
    assert response.headers["location"] == "/login"
    assert 'interlock-8611=""' in response.headers["set-cookie"]
    assert browser.get("/").status_code == 303


def test_p01_when_the_store_is_down_nobody_comes_in(house: House) -> None:
    house.world.records.is_down = True
    assert house.browser().log_in("anna").status_code == 503


async def test_p01_when_the_store_is_down_a_link_lets_nobody_in(house: House) -> None:
    path = await _link(house)
    house.world.records.is_down = True
    form = {"password": "a brand new password", "again": "a brand new password"}
    assert house.browser().client.post(path, data=form, headers=SAME).status_code == 503
