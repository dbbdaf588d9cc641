"""Retries and what an agent says of itself, from the agent's bytes to the question that people are asked (§6, 002)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.blackbox.gate_process import House, ToolHouse, call, parked, text, told, tool
from tests.blackbox.servers.counting import events
from tests.faults.forked_gate import Launcher, warm_house

HASTE = {"client": "impatient"}
POLICY = """
classify:
  - {tools: ["desk/*"], topics: [job.support.reply], risk_tags: [write]}
default: allow
rules:
  - id: unsure
    match: {confidence_below: 0.7, tools: ["desk/reply"]}
    decision: require_approval
    reason: Agent confidence below threshold
  - id: stuck
    match: {retry_count_above: 2}
    decision: require_approval
    reason: Multiple retries suggest human judgment needed
"""
FAILED = {"jsonrpc": "2.0", "id": 1, "result": {"isError": True, "content": [{"type": "text", "text": "no"}]}}


@pytest.fixture(scope="module")
def desk(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tools = ToolHouse()
    tools.add("desk", [tool("reply", text="string"), tool("send", text="string")])
    servers = {name: {**server, "self_report": "argument"} for name, server in tools.config().items()}
    parking = {"hold_sec": 30, "keepalive_sec": 0.1, "clients": {"impatient": 0.1}}
    with warm_house(
        launcher, tmp_path_factory.mktemp("facts"), POLICY, tools, servers=servers, parking=parking
    ) as house:
        yield house


async def test_the_third_retry_after_errors_asks_also_over_a_restart_and_waiting_on_is_no_retry(desk: House) -> None:
    for tries in range(3):
        desk.tools.servers["desk"].then(events(FAILED), method="tools/call")
        assert "no" in text(await call(desk.url("desk"), "send", text="again"))
        if tries == 1:
            desk.gate.stop()
            desk.gate.start()
    reviews: set[Any] = set()
    for _ in range(3):
        waiting = await call(desk.url("desk"), "send", how=HASTE, text="again")
        assert told(waiting)["executed"] is False
        row = await desk.reviewer.waiting("send", text="again")
        reviews.add(row["review"]["id"])
        assert row["review"]["answered_rules"] == ["policies/test.yaml#stuck"]
    assert len(reviews) == 1
    assert desk.dispatched("desk", "send", text="again") == 3
    assert "send ran" in text(await call(desk.url("desk"), "send", text="another"))


@pytest.mark.parametrize(
    ("how", "more"),
    [
        ({"meta": {"interlock/confidence": 0.95}}, {}),
        ({"Interlock_Confidence": "0.95"}, {}),
        ({}, {"interlock_confidence": 0.95}),
    ],
    ids=["in _meta", "in a header", "in an argument of the gate's"],
)
async def test_an_agent_that_is_sure_is_not_asked_about_and_the_tool_hears_nothing_of_it(
    desk: House, how: dict[str, Any], more: dict[str, Any]
) -> None:
    words = f"sure {how}"
    assert "reply ran" in text(await call(desk.url("desk"), "reply", how=how, text=words, **more))
    assert desk.dispatched("desk", "reply", text=words) == 1


@pytest.mark.parametrize("meta", [{"interlock/confidence": 0.3, "interlock/reasoning": "<b>trust me</b>"}, {}])
async def test_p09_an_agent_that_is_unsure_or_silent_is_asked_about(desk: House, meta: dict[str, Any]) -> None:
    words = f"unsure {len(meta)}"
    async with asyncio.timeout(20), parked(desk.url("desk"), "reply", how={"meta": meta}, text=words) as wire:
        row = await desk.reviewer.waiting("reply", text=words)
        assert row["review"]["answered_rules"] == ["policies/test.yaml#unsure"]
        await desk.reviewer.approve(row)
        assert "reply ran" in text(await wire.rest())
    assert desk.dispatched("desk", "reply", text=words) == 1
