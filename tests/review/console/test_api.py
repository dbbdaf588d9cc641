from __future__ import annotations

from typing import Any

import httpx
import pytest

from policies.model import Approval
from review.model import CallState, ReviewState
from tests.review.builders import held_output, refund
from tests.review.console.builders import PASSWORD, House


class Program:
    """What a command line does: log in, send JSON with a bearer token."""

    def __init__(self, house: House, name: str = "anna") -> None:
        self.client = house.browser().client
        answer = self.client.post("/api/v1/login", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200
        self.headers = {"authorization": f"Bearer {answer.json()['token']}"}

    def get(self, path: str) -> httpx.Response:
        return self.client.get(f"/api/v1{path}", headers=self.headers)

    def post(self, path: str, body: Any = None, method: str = "POST") -> httpx.Response:
        return self.client.request(method, f"/api/v1{path}", headers=self.headers, json=body or {})

    def shown(self, call_id: str = "c-1") -> dict[str, Any]:
        """What `show` gives to decide with."""
        data = self.get(f"/approvals/{call_id}").json()
        return {"version": data["review"]["version"], "shown": data["shown"]}


def test_logging_in_gives_a_token_and_says_who_one_is(house: House) -> None:
    answer = house.browser().client.post("/api/v1/login", json={"name": "anna", "password": PASSWORD}).json()
    assert answer["reviewer"] == {"name": "anna", "roles": ["reviewer"], "teams": ["finance"], "owns_agents": []}
    assert Program(house).get("/me").json()["reviewer"]["name"] == "anna"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "anna", "password": "wrong password"}, 403, "login_refused"),
        ({"name": "anna"}, 422, "not_possible"),
        ({"name": 1, "password": "x"}, 422, "not_possible"),
        ([], 400, "bad_request"),
    ],
)
def test_a_login_that_fails_says_why_in_a_code(house: House, body: Any, status: int, code: str) -> None:
    answer = house.browser().client.post("/api/v1/login", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_guessing_is_slowed_and_told_how_long(house: House) -> None:
    client = house.browser().client
    for _ in range(5):
        client.post("/api/v1/login", json={"name": "anna", "password": "wrong password"})
    answer = client.post("/api/v1/login", json={"name": "anna", "password": PASSWORD})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_a_cookie_opens_nothing_here_and_a_token_no_page(house: House) -> None:
    assert house.logged_in().get("/api/v1/me").status_code == 401
    program = Program(house)
    assert program.client.get("/", headers=program.headers).status_code == 303
    browser = house.browser()
    browser.client.cookies.set("interlock-8611", program.headers["authorization"].removeprefix("Bearer "))
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", "bearer x y"])
def test_anything_but_a_living_token_is_401(house: House, header: str) -> None:
    assert house.browser().get("/api/v1/approvals", authorization=header).status_code == 401


def test_list_show_approve(house: House) -> None:
    house.world.park(approval=Approval(teams=("finance",)))
    program = Program(house)
    listed = program.get("/approvals").json()
    assert [item["call"]["id"] for item in listed["waiting"]] == ["c-1"]
    answer = program.post("/approvals/c-1/approve", {**program.shown(), "comment": "ok", "looked_ms": 900})
    told = {"call_id": "c-1", "review_id": "r-1", "state": "spendable", "agree": 1, "needed": 1, "undo_until": None}
    assert answer.json() == told
    voted = house.world.records.entries[-2].body
    assert (voted["login"], voted["looked_ms"]) == ("cli", 900)


def test_a_review_is_found_by_its_own_id_too(house: House) -> None:
    house.world.park()
    assert Program(house).get("/approvals/r-1").json()["call"]["id"] == "c-1"


def test_p06_deciding_without_having_shown_is_a_conflict(house: House) -> None:
    house.world.park()
    program = Program(house)
    for body in ({"version": 1, "shown": "sha256:x"}, {"version": 2, "shown": program.shown()["shown"]}):
        answer = program.post("/approvals/c-1/approve", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "changed_since_you_looked")
    assert program.post("/approvals/c-1/approve", {}).status_code == 422
    assert program.post("/approvals/c-1/approve", {"version": True, "shown": ""}).status_code == 422


def test_rejecting_needs_a_reason(house: House) -> None:
    house.world.park()
    program = Program(house)
    answer = program.post("/approvals/c-1/reject", program.shown())
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "comment_needed")
    done = program.post("/approvals/c-1/reject", {**program.shown(), "comment": "no"})
    assert done.json()["state"] == "rejected"


def test_p07_editing_judges_anew(house: House) -> None:
    house.world.park()
    program = Program(house)
    denied = program.post("/approvals/c-1/edit", {**program.shown(), "arguments": {"amount": 20_000}})
    assert (denied.status_code, denied.json()["error"]["code"]) == (422, "denied_by_policy")
    assert program.post("/approvals/c-1/edit", {**program.shown(), "arguments": [1]}).status_code == 422
    done = program.post("/approvals/c-1/edit", {**program.shown(), "arguments": {"amount": 150}})
    assert done.json()["state"] == "spendable"


def test_claim_escalate_and_undo(house: House) -> None:
    house.world.park()
    program = Program(house)
    for act, state in (("claim", "parked"), ("unclaim", "parked"), ("escalate", "parked"), ("approve", "spendable")):
        assert program.post(f"/approvals/c-1/{act}", program.shown()).json()["state"] == state
    assert program.post("/approvals/c-1/undo", program.shown()).json()["state"] == "parked"


def test_release_and_destroy(house: House) -> None:
    house.world.park(held_output())
    house.world.park(held_output(id="c-2", review_id="r-2"))
    program = Program(house, "sam")
    done = program.post("/approvals/c-1/release", {**program.shown(), "comment": "a test key"})
    gone = program.post("/approvals/c-2/destroy", {**program.shown("c-2"), "comment": "a real key"})
    assert (done.json()["state"], gone.json()["state"]) == ("released", "destroyed")


def test_calls_in_doubt_are_told_without_what_they_sent(house: House) -> None:
    house.world.records.calls["c-1"] = refund(state=CallState.IN_DOUBT, review_id=None)
    told = Program(house).get("/doubts").json()
    (item,) = told["items"]
    assert (told["total"], item["id"], item["tool"], item["version"]) == (1, "c-1", "refund.create", 1)
    assert "proposed" not in item


def test_p05_a_call_in_doubt_is_resolved(house: House) -> None:
    house.world.records.calls["c-1"] = refund(state=CallState.IN_DOUBT, review_id=None)
    program = Program(house)
    assert program.post("/calls/c-1/resolve", {"found": "maybe", "note": "x", "version": 1}).status_code == 422
    answer = program.post("/calls/c-1/resolve", {"found": "happened", "note": "it is in the ledger", "version": 1})
    assert answer.json() == {"call_id": "c-1", "state": "resolved"}
    assert house.world.call.state is CallState.RESOLVED


def test_tools_are_listed_and_accepted(house: House) -> None:
    house.tool(digest="sha256:new")
    program = Program(house, "sam")
    assert [tool["tool"] for tool in program.get("/tools").json()["drifted"]] == ["refund.create"]
    body = {"server": "payments", "tool": "refund.create", "digest": "sha256:new"}
    assert program.post("/tools/accept", body).json()["accepted"] == "sha256:new"
    assert program.get("/tools").json()["drifted"] == []


@pytest.mark.parametrize(("path", "status"), [("/approvals/c-9", 404), ("/approvals/c-2", 200), ("/nothing", 404)])
def test_what_is_not_there_is_404(house: House, path: str, status: int) -> None:
    house.world.records.calls["c-2"] = refund(id="c-2", review_id=None)
    assert Program(house).get(path).status_code == status


def test_acts_that_are_not_and_calls_without_a_question_are_404(house: House) -> None:
    house.world.park()
    house.world.records.calls["c-2"] = refund(id="c-2", review_id=None)
    program = Program(house)
    assert "there are approve" in program.post("/approvals/c-1/launch").json()["error"]["message"]
    assert program.post("/approvals/c-2/approve", {"version": 1, "shown": ""}).status_code == 404


def test_admins_make_accounts_and_links_and_others_do_not(house: House) -> None:
    anna, root = Program(house), Program(house, "root")
    body = {"roles": ["reviewer"], "teams": ["finance"]}
    assert anna.post("/accounts/new", body, "PUT").status_code == 403
    assert anna.get("/accounts").status_code == 403
    assert root.post("/accounts/new", body, "PUT").json()["has_password"] is False
    link = root.post("/accounts/new/link").json()
    assert link["link"] == f"http://127.0.0.1:8611/login/link/{link['token']}"
    used = anna.client.post("/api/v1/login/link", json={"token": link["token"], "password": "a brand new password"})
    assert used.json()["reviewer"]["name"] == "new"
    assert "password_hash" not in root.get("/accounts").text
    assert root.post("/accounts/new", {"roles": ["boss"]}, "PUT").status_code == 422
    assert root.post("/accounts/new", {"roles": "boss"}, "PUT").status_code == 422


@pytest.mark.parametrize("disabled", [None, 0, 1, "no", []])
def test_an_account_is_disabled_by_true_and_by_nothing_else(house: House, disabled: Any) -> None:
    root = Program(house, "root")
    answer = root.post("/accounts/bob", {"roles": ["reviewer"], "disabled": disabled}, "PUT")
    assert answer.status_code == 422
    assert not house.world.records.accounts_by_name["bob"].disabled


def test_what_is_not_there_is_said_in_json_also_to_programs_that_do_not_ask_for_it(house: House) -> None:
    answer = Program(house).get("/nothing")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["message"] == "There is no such page."


def test_a_link_sets_a_password_that_fits(house: House) -> None:
    program = Program(house)
    for token, password, status in (("x", "short", 422), ("x", "long enough for it", 403)):
        answer = program.client.post("/api/v1/login/link", json={"token": token, "password": password})
        assert answer.status_code == status


def test_logging_out_ends_the_token(house: House) -> None:
    program = Program(house)
    assert program.post("/logout").json() == {"logged_out": True}
    assert program.get("/me").status_code == 401


def test_p01_when_the_store_is_down_nothing_is_decided(house: House) -> None:
    house.world.park()
    program = Program(house)
    body = program.shown()
    house.world.records.is_down = True
    answer = program.post("/approvals/c-1/approve", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_down")
    assert house.world.review.state is ReviewState.PARKED


def test_bodies_are_json_and_bounded(house: House) -> None:
    program = Program(house)
    text = program.client.post("/api/v1/logout", headers={**program.headers, "content-type": "text/plain"}, content="x")
    huge = program.post("/approvals/c-1/edit", {"arguments": {"a": "x" * 1_100_000}})
    assert (text.status_code, huge.status_code) == (415, 413)
