from __future__ import annotations

import re

from tests.review.console.builders import House


def test_only_admins_see_the_accounts(house: House) -> None:
    assert house.logged_in().get("/people").status_code == 403
    assert house.logged_in().get("/people.json").status_code == 403
    html = house.logged_in("root").get("/people").text
    assert "anna" in html
    assert "$argon2id" not in html


def test_an_admin_makes_an_account_and_a_link_for_it(house: House) -> None:
    root = house.logged_in("root")
    csrf = root.fields("/people")["csrf"]
    form = {"csrf": csrf, "name": "nina", "role_reviewer": "1", "teams": "finance, on call", "owns_agents": ""}
    assert root.post("/people/put", form).headers["location"] == "/people?did=saved"
    account = house.world.records.accounts_by_name["nina"]
    assert (account.roles, account.teams) == (("reviewer",), ("finance", "on call"))
    shown = root.post("/people/link", {"csrf": csrf, "name": "nina"})
    found = re.search(r'value="http://127\.0\.0\.1:8611(/login/link/[^"]+)"', shown.text)
    assert found is not None
    assert found[1] not in root.get("/people").text
    assert house.browser().get(found[1]).status_code == 200


def test_somebody_who_is_no_admin_changes_nothing(house: House) -> None:
    anna = house.logged_in()
    csrf = anna.fields("/account")["csrf"]
    form = {"csrf": csrf, "name": "anna", "role_admin": "1", "teams": ""}
    assert anna.post("/people/put", form).status_code in (403, 404)
    assert anna.post("/people/link", {"csrf": csrf, "name": "root"}).status_code in (403, 404)
    assert house.world.records.accounts_by_name["anna"].roles == ("reviewer",)
    assert house.world.records.links == {}


def test_what_does_not_fit_is_refused_with_the_reason(house: House) -> None:
    root = house.logged_in("root")
    csrf = root.fields("/people")["csrf"]
    for form, words in (
        ({"name": "Nina!", "role_reviewer": "1"}, "a-z"),
        ({"name": "nina"}, "at least one role"),
        ({"name": "root", "role_reviewer": "1"}, "only admin left"),
    ):
        response = root.post("/people/put", {"csrf": csrf, "teams": "", **form})
        assert response.status_code == 422
        assert words in response.text


def test_making_an_account_changes_no_other_of_the_same_name(house: House) -> None:
    root = house.logged_in("root")
    form = {**root.fields("/people"), "name": "bob", "role_auditor": "1", "teams": ""}
    refused = root.post("/people/put", form)
    assert refused.status_code == 422
    assert "There is an account" in refused.text
    assert house.world.records.accounts_by_name["bob"].roles == ("reviewer",)


def test_disabling_somebody_ends_their_sessions(house: House) -> None:
    anna, root = house.logged_in(), house.logged_in("root")
    csrf = root.fields("/people")["csrf"]
    root.post("/people/put", {"csrf": csrf, "name": "anna", "role_reviewer": "1", "disabled": "1"})
    assert anna.get("/").status_code == 303


def test_there_is_no_link_for_nobody(house: House) -> None:
    root = house.logged_in("root")
    response = root.post("/people/link", {"csrf": root.fields("/people")["csrf"], "name": "nobody"})
    assert response.status_code == 422
    assert "no account" in response.text
