"""A call whose outcome is fetched later as a task escapes no output rule of its tool (P8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.model import Do, FieldRule, JsonObject, OutputRules, SameRule, ToolCall
from proxy.doors.mcp_tasks import is_past_rules, is_task
from tests.proxy.builders import refund
from tests.proxy.doors.door_world import DoorWorld, answers, call

TASK = {"taskId": "t-1", "status": "working"}
OF_THE_TOOL = OutputRules(fields=(FieldRule("$..ssn", Do.REMOVE),))


class Rules:
    """A runner that has only output rules: those of the tool, and those of whatever fetches a task."""

    def __init__(self, own: OutputRules, fetching: OutputRules | None = None) -> None:
        self.own, self.fetching = own, fetching or OutputRules()

    def output_rules(self, one: ToolCall, kept: object = None) -> OutputRules:
        return self.own if one.method == "tools/call" else self.fetching


def past(own: OutputRules, fetching: OutputRules | None = None, *, is_modern: bool = False) -> bool:
    runner: Any = Rules(own, fetching)
    return is_past_rules(runner, refund(), is_modern=is_modern)


def test_a_tool_without_rules_of_its_own_may_answer_as_a_task() -> None:
    assert not past(OutputRules())
    assert not past(OutputRules(), OF_THE_TOOL)
    assert not past(OutputRules(), is_modern=True)


@pytest.mark.parametrize(
    "own",
    [
        OF_THE_TOOL,
        OutputRules(always_review=True),
        OutputRules(default_do=Do.QUARANTINE),
        OutputRules(detect={"US_SSN": Do.REMOVE}),
        OutputRules(same=(SameRule("$..tenant", "t1"),)),
    ],
    ids=["field", "review", "default", "kind", "same"],
)
def test_p08_no_rule_of_a_tool_is_escaped_by_fetching_its_outcome_as_a_tasks(own: OutputRules) -> None:
    assert past(own)
    assert not past(own, own)


def test_p08_where_the_outcome_stands_inside_the_task_no_field_rule_reaches_it() -> None:
    assert past(OF_THE_TOOL, OF_THE_TOOL, is_modern=True)


def test_only_a_tools_own_outcome_is_fetched() -> None:
    runner: Any = Rules(OF_THE_TOOL)
    assert not is_past_rules(runner, replace(refund(), method="prompts/get"), is_modern=False)


@pytest.mark.parametrize("result", [{"task": TASK}, {"resultType": "task", **TASK}, {"taskId": "t-1"}], ids=repr)
def test_a_task_is_known_in_every_revision(result: JsonObject) -> None:
    assert is_task(result)


@pytest.mark.parametrize("result", [None, [], {"task": "wash up"}, {"content": [], "task": {"title": "x"}}], ids=repr)
def test_what_only_speaks_of_tasks_is_none(result: Any) -> None:
    assert not is_task(result)


def world_with_rules() -> DoorWorld:
    world = DoorWorld()
    judging: Any = world.world.judging
    judging.output_rules = Rules(OF_THE_TOOL).output_rules
    return world


async def test_p08_the_wish_for_a_task_is_refused_where_it_would_escape_rules_and_nothing_is_sent() -> None:
    world = world_with_rules()
    message = call("allow", 3)
    message["params"]["task"] = {"ttl": 60_000}
    answered = await world.agent.send(message)
    assert "NOT executed" in answered.text
    assert "without `task`" in answered.text
    assert world.server.executed == []
    await world.world.quiet()
    assert len(world.entries("call_refused")) == 1
    assert (await world.agent.send(call("allow", 4))).text == "done"


async def test_p08_a_task_that_a_server_makes_unasked_is_not_passed_on() -> None:
    world = world_with_rules()
    made = {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "task", **TASK}}
    world.server.then("tools/call", answers(made))
    answered = await world.agent.modern(call("allow", 3))
    assert "t-1" not in answered.body.decode()
    assert "EXECUTED" in answered.text


async def test_a_task_of_a_tool_without_rules_is_passed_on(world: DoorWorld) -> None:
    made = {"jsonrpc": "2.0", "id": 1, "result": {"task": TASK}}
    world.server.then("tools/call", answers(made))
    message = call("allow", 3)
    message["params"]["task"] = {}
    assert (await world.agent.send(message)).json["result"]["task"] == TASK
