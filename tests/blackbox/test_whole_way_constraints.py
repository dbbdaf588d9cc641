"""Constraints from end to end: a host that is not listed, a call that takes too long, an answer that is too large."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from audit.verify import verify_file
from tests.blackbox.gate_process import AGENT_KEYS, House, ToolHouse, call, parked, text, told, tool
from tests.faults.forked_gate import Launcher, warm_house

POLICY = """
version: v1
name: held
rules:
  - id: post
    match: {tools: ["web/post"]}
    decision: allow_with_constraints
    constraints: {network_allowlist: [api.example.com]}
  - id: slow
    match: {tools: ["web/slow"]}
    decision: allow
    constraints: {max_runtime_sec: 1}
  - id: large
    match: {tools: ["web/large", "stream/large"]}
    decision: allow
    constraints: {max_response_bytes: 2000}
  - id: deploy
    match: {tools: ["web/deploy"]}
    decision: require_approval
    constraints: {max_runtime_sec: 1}
"""
HOW = {"Authorization": f"Bearer {AGENT_KEYS['anna']}"}


@pytest.fixture(scope="module")
def house(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tools = ToolHouse()
    names = [tool("post", url="string"), tool("slow"), tool("large", text="string"), tool("deploy")]
    tools.add("web", names)
    tools.add("stream", names, as_events=True)
    agents = {name: {"key_sha256": sha256(key.encode()).hexdigest()} for name, key in AGENT_KEYS.items()}
    with warm_house(launcher, tmp_path_factory.mktemp("held"), POLICY, tools, agents=agents) as house:
        yield house


async def test_p01_a_host_that_is_not_listed_is_refused_and_never_sent_to_the_tool(house: House) -> None:
    listed, other = "https://api.example.com/x", "https://evil.example.com/x"
    assert "post ran" in text(await call(house.url("web"), "post", how=HOW, url=listed))
    denied = await call(house.url("web"), "post", how=HOW, url=other)
    assert told(denied)["decision"] == "deny"
    assert "api.example.com" not in text(denied)
    assert house.dispatched("web", "post", url=other) == 0


async def test_p05_a_call_that_takes_longer_than_it_may_is_cut_off_and_in_doubt(house: House) -> None:
    held = house.tools.held()
    house.tools.servers["web"].then(held, method="tools/call")
    answer = await call(house.url("web"), "slow", how=HOW, timeout_sec=30)
    held.let_go()
    assert told(answer)["decision"] == "in_doubt"
    assert len(await house.reviewer.in_doubt("slow")) == 1


@pytest.mark.parametrize("server", ["web", "stream"])
async def test_p08_an_answer_that_is_too_large_is_held_and_the_agent_gets_none_of_it(house: House, server: str) -> None:
    small = await call(house.url(server), "large", how=HOW, text="a")
    assert "large ran" in text(small)
    answer = await call(house.url(server), "large", how=HOW, text="secret " * 1_000)
    assert told(answer)["decision"] == "quarantined"
    assert "secret" not in text(answer)
    verify_file(house.gate.store, deep=True)


async def test_what_an_approved_call_is_held_to_is_shown_and_holds(house: House) -> None:
    held = house.tools.held()
    async with parked(house.url("web"), "deploy", how=HOW) as waiting:
        row = await house.reviewer.waiting("deploy")
        house.tools.servers["web"].then(held, method="tools/call")
        await house.reviewer.approve(row)
        assert told(await waiting.rest())["decision"] == "in_doubt"
    held.let_go()
