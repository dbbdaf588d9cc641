"""`interlock agents show|promote|demote` and `interlock incident open`, up to the reviewers' listener."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from proxy.autonomy_cli import line
from proxy.cli import cli
from proxy.reviewer_client import ReviewerClient

ROW: dict[str, Any] = {
    "agent": "demo\x1b[2J",
    "domain": "crm",
    "level": 1,
    "name": "assisted",
    "last_level": 3,
    "since": 0,
    "successes": 12,
    "successes_wanted": 50,
    "calls": 14,
    "errors": 2,
    "review": None,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the listener was asked; it answers with one row."""
    found: list[Any] = []

    def ask(_: ReviewerClient, method: str, path: str, body: Any = None) -> Any:
        found.append((method, path, body))
        return {"agents": [ROW]} if path != "/agents/demo/promote" and path != "/agents/demo/demote" else ROW

    monkeypatch.setattr(ReviewerClient, "_ask", ask)
    return found


def run(*words: str) -> Any:
    return CliRunner().invoke(cli, list(words))


def test_a_line_says_level_and_evidence_and_is_inert() -> None:
    assert line(ROW) == "demo⟨U+001B⟩[2J  crm  level 1 of 3 (assisted): 12 of 50 successes, 2 of 14 calls went wrong"
    assert line({**ROW, "successes_wanted": None, "review": "r"}).endswith("; a promotion waits for sign-off")


def test_each_verb_asks_the_listener_for_just_that(asked: list[Any]) -> None:
    assert "level 1 of 3" in run("agents", "show").output
    assert json.loads(run("agents", "show", "demo", "--json").output)["agents"][0]["level"] == 1
    run("agents", "promote", "demo", "--domain", "crm", "-m", "so", "--level", "2")
    run("agents", "demote", "demo", "--domain", "crm", "-m", "so")
    run("incident", "open", "--agent", "demo", "-m", "leak")
    assert asked == [
        ("GET", "/agents", None),
        ("GET", "/agents/demo", None),
        ("POST", "/agents/demo/promote", {"domain": "crm", "why": "so", "level": 2}),
        ("POST", "/agents/demo/demote", {"domain": "crm", "why": "so"}),
        ("POST", "/incidents", {"agent": "demo", "domain": "", "why": "leak"}),
    ]


def test_without_levels_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReviewerClient, "_ask", lambda *_: {"agents": []})
    assert "no autonomy levels" in run("agents", "show").output


def test_a_gate_that_is_not_there_is_exit_3() -> None:
    assert run("agents", "show", "--url", "http://127.0.0.1:1").exit_code == 3
