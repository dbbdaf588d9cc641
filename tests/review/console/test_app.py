from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route

from policies.model import Approval
from review.console import assets
from review.model import CallState
from tests.review.builders import held_output, refund
from tests.review.console.builders import SAME, Browser, House, hidden_fields

# What may be asked without being logged in, and nothing else.
OPEN = {
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/login/link/{token}"),
    ("POST", "/login/link/{token}"),
    ("GET", "/static/{digest}/{name}"),
    ("GET", "/-/health"),
    ("GET", "/-/ready"),
    ("POST", "/api/v1/login"),
    ("POST", "/api/v1/login/link"),
}


def _routes(house: House) -> Iterator[tuple[str, str]]:
    for route in house.app.routes:
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, route.path


def _filled(path: str) -> str:
    for name, value in (("{id}", "c-1"), ("{act}", "approve"), ("{name}", "anna"), ("{token}", "t")):
        path = path.replace(name, value)
    return path


def _world(house: House) -> House:
    house.world.park(refund(id="c-1", review_id="r-1"), Approval(teams=("finance",)))
    house.world.park(held_output(id="c-2", review_id="r-2"))
    house.world.records.calls["c-3"] = refund(id="c-3", review_id=None, state=CallState.IN_DOUBT)
    house.tool(digest="sha256:new")
    return house


def _kept(house: House) -> tuple[Any, ...]:
    records = house.world.records
    return (
        records.calls,
        records.reviews,
        records.votes_of,
        list(records.entries),
        records.accounts_by_name,
        records.links,
        records.tools,
    )


def test_a04_every_address_but_the_doors_needs_a_login(house: House) -> None:
    _world(house)
    before, seen = _kept(house), set()
    for method, path in _routes(house):
        seen.add((method, path))
        if (method, path) in OPEN:
            continue
        body: dict[str, Any] = {} if method == "GET" else {"json": {}} if path.startswith("/api/") else {"data": {}}
        response = house.browser().client.request(method, _filled(path), headers=SAME, **body)
        is_asked = response.status_code == 303 and response.headers["location"].startswith("/login?next=")
        assert is_asked or response.status_code == 401, (method, path, response.status_code)
    assert seen >= OPEN
    assert _kept(house) == before


def test_a04_no_get_changes_anything(house: House) -> None:
    _world(house)
    browsers: list[Browser] = [house.logged_in("sam"), house.logged_in("root"), house.logged_in("anna")]
    token = browsers[0].client.post("/api/v1/login", json={"name": "root", "password": "correct horse battery"}).json()
    before = _kept(house)
    for method, path in _routes(house):
        if method != "GET" or path == "/events":
            continue
        for browser in browsers:
            for call_id in ("c-1", "c-2", "c-3", "c-9"):
                headers = {"authorization": f"Bearer {token['token']}"} if path.startswith("/api/") else {}
                address = _filled(path.replace("{id}", call_id))
                address += "?follow=0" if path == "/api/v1/tail" else ""  # else it has no end
                response = browser.client.get(address, headers=headers)
                assert response.status_code in (200, 303, 403, 404), (path, response.status_code)
    assert _kept(house) == before


def test_a04_every_form_needs_the_token_of_its_own_session(house: House) -> None:
    _world(house)
    browser, other = house.logged_in("root"), house.logged_in("root")
    foreign = hidden_fields(other.get("/account").text)["csrf"]
    before, tried = _kept(house), 0
    for method, path in _routes(house):
        if method != "POST" or (method, path) in OPEN or path.startswith("/api/"):
            continue
        for csrf in ({"other": "x"}, {"csrf": ""}, {"csrf": foreign}, {"csrf": "\udcff"}):
            data = {key: value.encode("utf-8", "surrogateescape") for key, value in csrf.items()}
            response = browser.client.post(_filled(path), data=data, headers=SAME)
            assert response.status_code in (400, 403), (path, csrf, response.status_code)
            tried += 1
    assert tried > 60
    assert _kept(house) == before


def test_a_logged_out_cookie_is_worth_nothing(house: House) -> None:
    browser = house.logged_in()
    cookie = browser.client.cookies["interlock-8611"]
    csrf = hidden_fields(browser.get("/account").text)["csrf"]
    assert browser.post("/logout", {"csrf": csrf}).headers["location"] == "/login"
    again = house.browser()
    again.client.cookies.set("interlock-8611", cookie)
    assert again.get("/").headers["location"] == "/login?next=/"


def test_the_first_load_is_under_60_kilobytes(house: House) -> None:
    """A phone on a slow line: all of our files packed, and an inbox full of questions as it is."""
    for number in range(30):
        house.world.park(refund(id=f"c-{number}", review_id=f"r-{number}"))
    page = len(house.logged_in().get("/").content)
    files = sum(len(asset.packed) for asset in assets.load().values())
    assert page + files < 60_000, (page, files)


@pytest.mark.parametrize("path", ["/nowhere", "/c/c-9", "/q/c-9", "/q/c-1", "/static/other.css"])
def test_what_is_not_there_is_404_in_words(house: House, path: str) -> None:
    house.world.park()
    response = house.logged_in().get(path)
    assert response.status_code == 404
    assert "There is no" in response.text


def test_a_page_loads_nothing_but_our_own_files(house: House) -> None:
    _world(house)
    browser = house.logged_in("sam")
    for path in ("/", "/c/c-1", "/q/c-2", "/tools", "/account"):
        html = browser.get(path).text
        loaded = re.findall(r'(?:src|href)="([^"]*)"', html)
        assert all(address.startswith(("/", "#")) and not address.startswith("//") for address in loaded)
        assert not re.search(r'\sstyle=|\son[a-z]+="', html)
