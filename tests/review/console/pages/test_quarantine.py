from __future__ import annotations

from audit.entry import EntryKind
from policies.model import Approval
from review.model import CallState, ReviewState
from tests.review.builders import held_output, refund
from tests.review.console.builders import House


def test_the_page_shows_shape_and_findings_and_no_value(house: House) -> None:
    house.world.park(held_output())
    html = house.logged_in("sam").get("/q/c-1").text
    assert "aws_access_key" in html
    assert "result.content[0].text" in html
    assert "24 characters" in html
    assert "AKIA" not in html


def test_a_finding_under_an_odd_key_is_marked_where_it_is(house: House) -> None:
    outcome = {"result": {"gr\u00fc\u00dfe \U0001f511": "key AKIAABCDEFGHIJKLMNOP"}}
    path = '$.result["gr\\u00fc\\u00dfe \\ud83d\\udd11"]'
    inspection = {"findings": [{"path": path, "kind": "aws_access_key", "score": 1.0}], "why": "x"}
    house.world.park(held_output(outcome=outcome, inspection=inspection))
    html = house.logged_in("sam").get("/q/c-1").text
    assert '<span class="span"><bdi class="x" dir="ltr">aws_access_key</bdi> · 24 characters</span>' in html


def test_looking_in_clear_needs_a_reason_and_is_recorded(house: House) -> None:
    house.world.park(held_output())
    browser = house.logged_in("sam")
    refused = browser.decide("reveal", page="/q")
    assert refused.status_code == 422
    assert "AKIA" not in refused.text
    shown = browser.decide("reveal", page="/q", why="to judge whether it is real")
    assert "AKIAABCDEFGHIJKLMNOP" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert [entry.kind for entry in house.world.records.entries][-1] is EntryKind.OUTPUT_REVEALED
    assert "AKIA" not in browser.get("/q/c-1").text


def test_looking_shows_both_sides_what_is_withheld_and_what_a_redacted_release_would_give(house: House) -> None:
    house.world.park(held_output())
    browser = house.logged_in("sam")
    html = browser.decide("reveal", page="/q", why="to judge it").text
    gets, withheld = html.split('id="withheld-title"')
    assert "[REDACTED]" in gets
    assert "AKIA" not in gets
    assert "AKIAABCDEFGHIJKLMNOP" in withheld
    forms = [entry.body["form"] for entry in house.world.records.entries if entry.kind is EntryKind.OUTPUT_REVEALED]
    assert forms == ["whole", "redacted"]
    kept = browser.decide("reveal", page="/q", why="again", keep_1="aws_access_key").text
    assert "AKIAABCDEFGHIJKLMNOP" in kept.split('id="withheld-title"')[0]
    assert 'value="aws_access_key" checked' in kept


def test_why_it_cannot_be_redacted_is_said_beside_what_is_withheld(house: House) -> None:
    house.world.park(held_output())
    house.world.redactor.why_not = "its schema forbids it"
    html = house.logged_in("sam").decide("reveal", page="/q", why="to judge it").text
    assert "Not redacted: It cannot be redacted: its schema forbids it." in html
    assert "AKIAABCDEFGHIJKLMNOP" in html


def test_an_output_is_released_without_what_was_found_but_for_the_kinds_that_are_kept(house: House) -> None:
    house.world.park(held_output())
    browser = house.logged_in("sam")
    response = browser.decide("release_redacted", page="/q", comment="without the key")
    assert response.headers["location"] == "/q/c-1?did=redacted"
    assert house.world.call.state is CallState.RELEASED
    assert "[REDACTED]" in str(house.world.call.outcome)


def test_where_several_must_agree_nothing_is_offered_redacted(house: House) -> None:
    house.world.park(held_output(), Approval(quorum={"": 2}))
    assert "/release_redacted" not in house.logged_in("sam").get("/q/c-1").text


def test_release_and_destroy_need_a_reason(house: House) -> None:
    house.world.park(held_output())
    browser = house.logged_in("sam")
    for act in ("release", "destroy"):
        assert browser.decide(act, page="/q").status_code == 422
    assert browser.decide("release", page="/q", comment="a test key").headers["location"] == "/q/c-1?did=released"
    assert house.world.call.state is CallState.RELEASED


def test_a_yes_that_does_not_let_the_output_go_is_not_called_a_release(house: House) -> None:
    house.world.park(held_output(), Approval(quorum={"": 2}))
    browser = house.logged_in("sam")
    response = browser.decide("release", page="/q", comment="a test key")
    assert response.headers["location"] == "/q/c-1?did=agreed"
    assert "Others must still agree" in browser.get(response.headers["location"]).text
    assert house.world.call.state is CallState.QUARANTINED


def test_destroying_leaves_nothing_to_show(house: House) -> None:
    house.world.park(held_output())
    browser = house.logged_in("sam")
    assert browser.decide("destroy", page="/q", comment="a real key").status_code == 303
    assert "The output has been erased." in browser.get("/q/c-1").text


def test_who_may_not_release_sees_why_and_no_button(house: House) -> None:
    house.world.park(held_output())
    anna = house.logged_in("anna")
    html = anna.get("/q/c-1").text
    assert "This needs the role admin or security" in html
    assert "/release" not in html
    assert "/reveal" not in html
    form = {**house.logged_in("sam").fields("/q/c-1"), "csrf": anna.fields("/q/c-1")["csrf"], "comment": "please"}
    assert anna.post("/q/c-1/release", form).status_code == 403
    assert house.world.review.state is ReviewState.QUARANTINED


def test_releasing_faster_than_anybody_reads_is_refused(house: House) -> None:
    house.world.park(held_output())
    browser = house.logged_in("sam")
    form = browser.fields("/q/c-1")
    assert browser.post("/q/c-1/release", {**form, "comment": "x"}, wait_sec=0.1).status_code == 409


def test_a_waiting_call_has_no_such_page(house: House) -> None:
    house.world.park(refund())
    assert house.logged_in("sam").get("/q/c-1").status_code == 404
