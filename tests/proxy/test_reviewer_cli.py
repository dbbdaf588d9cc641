"""Deciding from the terminal: what is printed is inert, what is approved is what was shown."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from policies.model import JsonObject
from proxy import reviewer_cli
from proxy.reviewer_client import Refused, Unreachable

ROW: JsonObject = {
    "review": {
        "id": "rev_01ABCDEF",
        "kind": "approval",
        "state": "parked",
        "version": 1,
        "expires_at": 4_000_000_000.0,
        "answered_rules": ["refunds#over-100"],
    },
    "call": {
        "id": "call_01GHJKMN",
        "agent": "demo",
        "server": "payments",
        "tool": "refund",
        "state": "waiting",
        "proposed": {"arguments": {"amount": 250, "note": "\x1b[31mred\u202e"}},
        "approved": None,
        "decision": {"reason": "Refunds over 100 need a person", "rules": ["refunds#over-100"]},
    },
}


class Gate:
    """The API as a client sees it."""

    url = "http://gate"

    def __init__(self, *rows: JsonObject) -> None:
        self.rows = list(rows)
        self.acts: list[tuple[str, JsonObject, dict[str, Any]]] = []
        self.fails: Exception | None = None

    def queue(self) -> JsonObject:
        if self.fails is not None:
            raise self.fails
        return {"waiting": self.rows, "held": [], "in_doubt": []}

    def show(self, one: str) -> JsonObject:
        for row in self.rows:
            if one in (row["review"]["id"], row["call"]["id"]):
                return {**deepcopy(row), "shown": "digest-1", "cannot_decide": None}
        raise Refused("not_found", f"There is no {one}.")

    def act(self, act: str, shown: JsonObject, **more: Any) -> JsonObject:
        self.acts.append((act, shown, more))
        return {"state": "spendable", "call_id": shown["call"]["id"], "agree": 1, "needed": 1}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    one = Gate(ROW)
    monkeypatch.setattr(reviewer_cli, "ReviewerClient", lambda url, token: one)
    monkeypatch.setattr(reviewer_cli, "load_sessions", lambda file: {})
    return one


def test_a_list_says_who_wants_what_and_until_when_and_nothing_in_it_can_touch_the_terminal(
    gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reviewer_cli.run("list", "http://gate", json=False) == 0
    out = capsys.readouterr().out
    assert "ABCDEF" in out
    assert "demo → payments/refund" in out
    assert "250" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_an_empty_inbox_says_so(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.rows = []
    reviewer_cli.run("list", "http://gate", json=False)
    assert capsys.readouterr().out == "Nothing waits for people.\n"


def test_approving_sends_exactly_what_was_shown(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert reviewer_cli.run("approve", "http://gate", review="ABCDEF", comment="fine") == 0
    ((act, shown, more),) = gate.acts
    assert (act, shown["shown"], more) == ("approve", "digest-1", {"comment": "fine"})
    out = capsys.readouterr().out
    assert out.index("250") < out.index("spendable")
    assert "\x1b" not in out


def test_rejecting_carries_the_reason(gate: Gate) -> None:
    assert reviewer_cli.run("reject", "http://gate", review="call_01GHJKMN", comment="no receipt") == 0
    assert gate.acts[0][0] == "reject"
    assert gate.acts[0][2] == {"comment": "no receipt"}


@pytest.mark.parametrize("spoken", ["ZZZZZZ", "rev_nothing"])
def test_an_id_that_names_nothing_is_refused(gate: Gate, spoken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert reviewer_cli.run("show", "http://gate", review=spoken, json=False) == 1
    assert capsys.readouterr().err.startswith("interlock:")


def test_a_short_id_that_names_two_questions_is_refused(gate: Gate) -> None:
    other = deepcopy(ROW)
    other["review"]["id"] = "rev_99ABCDEF"
    gate.rows.append(other)
    assert reviewer_cli.run("approve", "http://gate", review="ABCDEF", comment="") == 1
    assert gate.acts == []


def test_without_a_login_the_way_to_one_is_said(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.fails = Refused("not_logged_in", "A session is needed.")
    assert reviewer_cli.run("list", "http://gate", json=False) == 1
    assert "interlock login NAME" in capsys.readouterr().err


def test_a_gate_that_does_not_answer_is_exit_code_three(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    gate.fails = Unreachable("no reviewers' listener answers at http://gate")
    assert reviewer_cli.run("list", "http://gate", json=False) == 3
