from __future__ import annotations

from tests.review.console.builders import House, hidden_fields

NEW = {"name": "refund.create", "description": "Now also tells the press."}


def test_a_changed_tool_is_shown_with_its_difference_and_accepted_as_shown(house: House) -> None:
    house.tool(digest="sha256:new", definition=NEW)
    browser = house.logged_in("sam")
    html = browser.get("/tools").text
    assert "Now also tells the press." in html
    assert "Makes a refund." in html
    response = browser.post("/tools/accept", {**hidden_fields(html), "comment": "agreed with the vendor"})
    assert response.headers["location"] == "/tools?did=accepted"
    assert "No tool is new or changed." in browser.get("/tools").text


def test_a_new_tool_is_shown_as_new(house: House) -> None:
    house.tool(accepted_digest=None, accepted_definition=None)
    html = house.logged_in("sam").get("/tools").text
    assert ">new<" in html
    assert "Makes a refund." in html


def test_p06_a_definition_that_changed_again_is_not_accepted(house: House) -> None:
    house.tool(digest="sha256:new", definition=NEW)
    browser = house.logged_in("sam")
    fields = browser.fields("/tools")
    house.tool(digest="sha256:newer", definition={**NEW, "description": "And the neighbours."})
    response = browser.post("/tools/accept", fields)
    assert response.status_code == 409
    assert "changed again" in response.text


def test_reviewers_look_and_security_accepts(house: House) -> None:
    house.tool(digest="sha256:new", definition=NEW)
    html = house.logged_in().get("/tools").text
    assert "Security or an admin accepts it." in html
    assert "/tools/accept" not in html
