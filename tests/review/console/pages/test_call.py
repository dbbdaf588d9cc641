from __future__ import annotations

import json
import re
from html import unescape

import pytest

from policies.model import Approval
from review.model import CallState, ReviewState
from tests.review.builders import NOW, refund
from tests.review.console.builders import House, hidden_fields
from tests.review.console.test_render import Tags
from tests.review.hostile import ALL

TEAM = Approval(teams=("finance",))


def test_the_page_says_what_will_happen_where_and_why(house: House) -> None:
    house.world.park(approval=TEAM)
    house.tool()
    text = " ".join("".join(Tags(house.logged_in().get("/c/c-1").text).text).split())
    for words in (
        "refund-bot wants to run refund.create on payments",
        "Medium risk",
        "Cannot be undone afterwards",
        "The agent has gone",
        "Asked: finance",
        "amount",
        "number",
        "250",
        "c_81",
        "refunds over 100 need a person",
        "refunds#ask-over-100",
        "Makes a refund.",
        "What has happened",
    ):
        assert words in text, words


def test_the_form_carries_exactly_what_was_shown(house: House) -> None:
    review = house.world.park()
    fields = house.logged_in().fields("/c/c-1")
    assert (fields["version"], fields["shown"]) == ("1", review.binding)
    assert int(fields["seen_at"]) == int(NOW * 1000)


def test_approving_is_recorded_and_leads_back_to_the_page(house: House) -> None:
    house.world.park(approval=TEAM)
    browser = house.logged_in()
    response = browser.decide("approve", comment="checked", looked="800")
    assert (response.status_code, response.headers["location"]) == (303, "/c/c-1?did=approved")
    assert "Your decision is recorded" in browser.get("/c/c-1?did=approved").text
    body = house.world.records.entries[-2].body
    assert (body["login"], body["comment"], body["looked_ms"]) == ("password", "checked", 800)


@pytest.mark.parametrize(
    ("looked", "recorded"), [("", 1000), ("300", 300), ("999999", 1000), ("-5", 1000), ("x", 1000)]
)
def test_nobody_looked_longer_than_the_page_is_old(house: House, looked: str, recorded: int) -> None:
    house.world.park()
    house.logged_in().decide("approve", looked=looked)
    assert house.world.records.entries[-2].body["looked_ms"] == recorded


def test_a06_approving_faster_than_anybody_reads_is_refused(house: House) -> None:
    house.world.park()
    browser = house.logged_in()
    form = browser.fields("/c/c-1")
    assert browser.post("/c/c-1/approve", form, wait_sec=0.5).status_code == 409
    assert house.world.review.state is ReviewState.PARKED
    assert browser.post("/c/c-1/approve", form, wait_sec=0.1).status_code == 303


def test_rejecting_needs_a_reason_and_keeps_it(house: House) -> None:
    house.world.park()
    browser = house.logged_in()
    response = browser.decide("reject")
    assert response.status_code == 422
    assert "Say why" in response.text
    assert browser.decide("reject", comment="wrong customer").status_code == 303
    assert house.world.review.comment == "wrong customer"


def test_p07_an_edit_is_previewed_with_its_difference_and_what_policy_says(house: House) -> None:
    house.world.park()
    browser = house.logged_in()
    response = browser.decide("preview", arguments='{"amount": 6000, "customer": "c_81"}')
    assert response.status_code == 200
    assert "another person must agree" in response.text
    assert re.search(r"<del>.*250.*</del>", response.text)
    assert re.search(r"<ins>.*6000.*</ins>", response.text)
    assert [entry for entry in house.world.records.entries if entry.call_id] == []


def test_p07_the_page_keeps_proposed_and_edited_apart(house: House) -> None:
    house.world.park()
    browser = house.logged_in()
    assert (
        browser.decide("edit", arguments='{"amount": 6000, "customer": "c_81"}').headers["location"].endswith("edited")
    )
    html = house.logged_in("bob").get("/c/c-1").text
    assert "Changed by a reviewer" in html
    assert re.search(r"<del>.*250.*</del>", html)
    assert "You changed this call" in browser.get("/c/c-1").text
    assert house.logged_in("bob").decide("approve").headers["location"].endswith("approved")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("{", "not JSON as it must be"),
        ("[1]", "Arguments are a JSON object"),
        ('{"amount": 1, "amount": 2}', "not JSON as it must be"),
        ('{"amount": "x"}', "do not fit the tool"),
        ('{"amount": 20000}', "policy denies"),
        ('{"amount": 250, "customer": "c_81"}', "as they were"),
    ],
)
@pytest.mark.parametrize("act", ["edit", "preview"])
def test_p07_an_edit_that_can_not_be_is_refused_and_what_was_typed_stays(
    house: House, act: str, typed: str, words: str
) -> None:
    house.world.park()
    response = house.logged_in().decide(act, arguments=typed)
    assert response.status_code == 422
    assert words in response.text
    assert typed.replace('"', "&#34;") + "</textarea>" in response.text
    assert house.world.call.approved is None


def test_undo_claim_and_escalate_from_the_page(house: House) -> None:
    house.world.park()
    browser = house.logged_in()
    for act, did in (
        ("claim", "claimed"),
        ("unclaim", "unclaimed"),
        ("escalate", "escalated"),
        ("approve", "approved"),
        ("undo", "undone"),
    ):
        assert browser.decide(act).headers["location"] == f"/c/c-1?did={did}"
    assert house.world.review.state is ReviewState.PARKED


def test_p05_a_call_in_doubt_has_a_form_to_resolve_it(house: House) -> None:
    house.world.records.calls["c-1"] = refund(state=CallState.IN_DOUBT, review_id=None)
    browser = house.logged_in()
    assert "Did it happen?" in browser.get("/c/c-1").text
    assert browser.decide("resolve", comment="x").status_code == 422
    assert browser.decide("resolve", found="did_not_happen", comment="not in the ledger").status_code == 303
    assert house.world.call.resolution == "did_not_happen: not in the ledger"


def test_a_yes_that_does_not_settle_the_question_is_not_called_an_approval(house: House) -> None:
    house.world.park(approval=Approval(teams=("finance", "legal")))
    browser = house.logged_in()
    response = browser.decide("approve")
    assert response.headers["location"] == "/c/c-1?did=agreed"
    assert "Others must still agree" in browser.get(response.headers["location"]).text
    assert house.logged_in("carol").decide("approve").headers["location"] == "/c/c-1?did=approved"


def sent_by_the_decision_form(html: str) -> dict[str, str]:
    """What a browser sends with the bar's buttons: fields inside the form, and fields elsewhere that name it."""
    inside = re.search(r'<form id="decide".*?</form>', html, re.DOTALL)
    assert inside is not None
    named = re.findall(r'<textarea[^>]* name="(\w+)" form="decide"[^>]*>(.*?)</textarea>', html, re.DOTALL)
    return {**hidden_fields(inside[0]), **{name: unescape(text) for name, text in named}}


@pytest.mark.parametrize(("act", "state"), [("approve", ReviewState.SPENDABLE), ("reject", ReviewState.REJECTED)])
def test_a_call_with_long_arguments_can_be_decided(house: House, act: str, state: ReviewState) -> None:
    arguments = {"amount": 250, "text": "z" * 200_000}
    house.world.park(refund(proposed={"arguments": arguments, "input_responses": None}))
    browser = house.logged_in()
    form = {**sent_by_the_decision_form(browser.get("/c/c-1").text), "comment": "read to its end"}
    assert browser.post(f"/c/c-1/{act}", form).status_code == 303
    assert house.world.review.state is state


def test_p07_long_arguments_can_be_changed_as_long_as_a_form_can_carry_them(house: House) -> None:
    arguments = {"amount": 250, "text": "z" * 200_000}
    house.world.park(refund(proposed={"arguments": arguments, "input_responses": None}))
    browser = house.logged_in()
    shown = browser.decide("preview", arguments=json.dumps({**arguments, "amount": 150}), comment="half of it")
    form = sent_by_the_decision_form(shown.text)
    assert json.loads(form["arguments"])["amount"] == 150
    assert "half of it" in shown.text
    assert browser.post("/c/c-1/edit", {**form, "comment": "half of it"}).status_code == 303
    assert house.world.review.state is ReviewState.SPENDABLE


def test_arguments_too_long_for_a_form_are_not_offered_for_changing(house: House) -> None:
    house.world.park(refund(proposed={"arguments": {"text": "%" * 400_000}, "input_responses": None}))
    html = house.logged_in().get("/c/c-1").text
    assert "Too long to be changed on this page" in html
    assert 'id="draft"' not in html
    assert "/approve" in html


def test_who_may_not_decide_is_told_why_and_has_no_button(house: House) -> None:
    house.world.park(approval=TEAM)
    html = house.logged_in("carol").get("/c/c-1").text
    assert "This question is for finance" in html
    assert "/approve" not in html
    assert "/reject" not in html


def test_p06_what_is_stored_but_was_not_asked_about_has_no_approve_button(house: House) -> None:
    house.world.park()
    house.world.records.calls["c-1"] = refund(9_999)
    html = house.logged_in().get("/c/c-1").text
    assert "It cannot be approved" in html
    assert "/approve" not in html
    assert "/reject" in html


@pytest.mark.parametrize("change", [{"version": ""}, {"version": "x"}, {"version": "9" * 20}, {"seen_at": ""}], ids=str)
def test_a_form_that_is_not_ours_is_refused(house: House, change: dict[str, str]) -> None:
    house.world.park()
    assert house.logged_in().decide("approve", **change).status_code == 409


def test_a_call_without_a_question_has_nothing_to_press(house: House) -> None:
    house.world.records.calls["c-1"] = refund(review_id=None, state=CallState.ANSWERED)
    browser = house.logged_in()
    assert 'method="post"' not in browser.get("/c/c-1").text
    csrf = browser.fields("/account")["csrf"]
    for act in ("approve", "preview"):
        assert browser.post(f"/c/c-1/{act}", {"csrf": csrf, "arguments": "{}"}).status_code == 404


def test_drift_is_shown_beside_the_call(house: House) -> None:
    house.world.park()
    house.tool(digest="sha256:new", definition={"name": "refund.create", "description": "Now also tells the press."})
    html = house.logged_in().get("/c/c-1").text
    assert "Changed since a person last accepted it." in html
    assert "Now also tells the press." in html


# --- hostile text, in every place where an agent or a tool can put some ---

TAGS_OF_OURS = {
    *(
        "html head meta title link script body a header svg path nav span p main article h1 h2 h3 ul ol li div section"
    ).split(),
    *(
        "b bdi table caption thead tbody tr th td details summary code pre form input label textarea button dl dt dd"
    ).split(),
    *("blockquote time dialog kbd del ins fieldset legend circle select option").split(),
}


def test_what_the_call_will_be_held_to_is_on_the_page(house: House) -> None:
    kept = [{"kind": "max_runtime_sec", "value": 900, "rule": "safety#deploys"}]
    house.world.park(refund(decision={"reason": "deploys ask", "constraints": kept}), answered_rules=())
    browser = house.logged_in()
    page = browser.get("/c/c-1").text
    assert "What it will be held to" in page
    assert re.search(r"max_runtime_sec.*900.*safety#deploys", page)


@pytest.mark.parametrize("name", ALL)
def test_a07_a08_hostile_text_is_inert_everywhere_on_the_page(house: House, name: str) -> None:
    text = ALL[name]
    call = refund(
        agent=text,
        server=text,
        tool=text,
        on_behalf_of=text,
        failure=text,
        proposed={
            "arguments": {"amount": 250, "text": text, text: [text]},
            "input_responses": {text: text},
            "request_state": text,
        },
        decision={
            "reason": text,
            "rules": [text],
            "risk": text,
            "facts": {text: text},
            "errors": [text],
            "constraints": [{"kind": text, "value": {text: [text]}, "rule": text}],
            "topics": [text],
            "trace": [{"policy": text, "rule": text, "matched": True, "effect": text, "why": text, "error": text}],
        },
    )
    try:
        house.world.park(call, answered_rules=())
    except ValueError:  # a lone surrogate has no canonical form: such a call is never asked about
        return
    definition = {"name": text, "description": text, "inputSchema": {text: text}}
    house.tool(server=text, tool=text, definition=definition, digest=text)
    response = house.logged_in().get("/c/c-1")
    assert response.status_code == 200
    seen = Tags(response.text)
    assert seen.tags <= TAGS_OF_OURS, seen.tags - TAGS_OF_OURS
    assert not any(attribute.startswith("on") or attribute in ("style", "srcdoc") for attribute in seen.attributes)
    assert response.text.count("<script") == 1
    assert not re.search(
        "[\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff\u00ad\x00-\x08\x0b-\x1f\x7f-\x9f]", response.text
    )
    inbox = house.logged_in().get("/").text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff\u00ad\x00-\x08\x0b-\x1f\x7f-\x9f]", inbox)
    assert inbox.count("<script") == 1
