"""The demo's steps fail when what came is not what must come; whole demos run in tests/blackbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.demo import steps
from proxy.demo.agent import Told
from proxy.demo.steps import Failed, Scene, auto_steps, must, show_steps, wait_for_you

SCENE = Scene("http://gate", "http://review", "link", Path("store.db"), ["git", "payments", "time"])


class Agent:
    """Answers with what a test gives it, in turn."""

    def __init__(self, *told: Told) -> None:
        self.told = list(told)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def call(self, server: str, tool: str, **arguments: Any) -> Told:
        self.calls.append((tool, arguments))
        return self.told.pop(0)


def told(text: str = "", *, is_error: bool = False, structured: Any = None, **meta: Any) -> Told:
    return Told(text, is_error, meta, structured)


def step(name: str, agent: Agent) -> Any:
    return next(run for claim, run in auto_steps(SCENE, agent) if claim.startswith(name))  # type: ignore[arg-type]


def test_what_does_not_hold_fails_with_what_came_instead() -> None:
    must(True, "fine")
    with pytest.raises(Failed, match="got 'other'"):
        must(False, "other")


def test_the_whole_story_contains_what_is_shown_first_and_every_kind_of_decision() -> None:
    shown = [claim for claim, _ in show_steps(SCENE, Agent())]  # type: ignore[arg-type]
    whole = [claim for claim, _ in auto_steps(SCENE, Agent())]  # type: ignore[arg-type]
    assert whole[: len(shown)] == shown
    kinds = ("Allowed", "Denied", "Redacted", "Quarantined", "Approved", "Edited", "Rejected", "Released", "Destroyed")
    for kind in kinds:
        assert any(claim.startswith(kind) for claim in whole)


def test_a_server_that_is_not_there_has_no_steps() -> None:
    alone = Scene("http://gate", "http://review", "link", Path("store.db"), ["payments"])
    left = {claim for claim, _ in show_steps(SCENE, Agent())} - {claim for claim, _ in show_steps(alone, Agent())}  # type: ignore[arg-type]
    assert left == {"Allowed: looking at the clock", "Allowed: reading a git history"}


async def test_a_deletion_that_went_through_fails_the_demo() -> None:
    with pytest.raises(Failed):
        await step("Denied", Agent(told("deleted")))()
    await step("Denied", Agent(told("no", is_error=True, decision="deny", executed=False)))()


@pytest.mark.parametrize("leak", ["536-90-4399", "anna.weber@example.com", "Threatened"])
async def test_a_value_that_slipped_through_fails_the_demo(leak: str) -> None:
    redacted = {"output_safety_decision": "REDACT", "original_fields_redacted": 3}
    await step("Redacted", Agent(told("Anna Weber [REDACTED]", **redacted)))()
    with pytest.raises(Failed):
        await step("Redacted", Agent(told(f"Anna Weber {leak}", **redacted)))()
    with pytest.raises(Failed):
        await step("Redacted", Agent(told("Anna Weber", structured={"x": leak}, **redacted)))()


async def test_a_refund_made_twice_fails_the_demo() -> None:
    books = {"result": [{"amount": amount} for amount in (40, 250, 90, 300)]}
    await step("The tool's own books", Agent(told(structured=books)))()
    books["result"].append({"amount": 250})
    with pytest.raises(Failed):
        await step("The tool's own books", Agent(told(structured=books)))()


async def test_a_record_that_does_not_verify_fails_the_demo() -> None:
    with pytest.raises(Failed):
        await step("The record verifies", Agent())()


async def test_the_agent_asks_again_with_the_very_same_call_until_somebody_decided(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "ASK_AGAIN_SEC", 0)
    agent = Agent(told("wait", is_error=True, decision="require_approval"), told("refunded 250"))
    assert "once" in await wait_for_you(agent)  # type: ignore[arg-type]
    assert agent.calls[0] == agent.calls[1]
    assert "asks again" in capsys.readouterr().out


async def test_a_rejection_is_told_as_the_agent_got_it() -> None:
    rejected = told("NOT executed: a person rejected this call", is_error=True, decision="rejected")
    assert "rejected" in await wait_for_you(Agent(rejected))  # type: ignore[arg-type]
