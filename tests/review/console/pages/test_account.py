from __future__ import annotations

import pytest

from tests.review.console.builders import PASSWORD, House

NEW = "a brand new password"


def test_it_says_who_one_is(house: House) -> None:
    data = house.logged_in("bob").get("/account.json").json()
    assert (data["name"], data["roles"], data["teams"]) == ("bob", ["reviewer"], ["finance", "legal"])
    assert "finance, legal" in house.logged_in("bob").get("/account").text


def test_a_new_password_ends_every_other_session(house: House) -> None:
    here, elsewhere = house.logged_in(), house.logged_in()
    form = {**here.fields("/account"), "present": PASSWORD, "password": NEW, "again": NEW}
    assert here.post("/account/password", form).headers["location"] == "/account?did=password"
    assert here.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 303
    assert house.browser().log_in("anna").status_code == 403
    assert house.browser().log_in("anna", NEW).status_code == 303


@pytest.mark.parametrize(
    ("present", "password", "again", "words"),
    [
        ("wrong", NEW, NEW, "present password is wrong"),
        (PASSWORD, NEW, NEW + "x", "not the same"),
        (PASSWORD, "short", "short", "at least 12"),
    ],
)
def test_a_change_that_can_not_be_is_refused_with_the_reason(
    house: House, present: str, password: str, again: str, words: str
) -> None:
    browser = house.logged_in()
    form = {**browser.fields("/account"), "present": present, "password": password, "again": again}
    response = browser.post("/account/password", form)
    assert response.status_code == 422
    assert words in response.text
    assert password not in response.text
