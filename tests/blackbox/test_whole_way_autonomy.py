"""Graduated autonomy as it is lived: earned by calls, signed off by a person, lost at once, kept over a restart."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from audit.verify import verify_file
from proxy.reviewer_client import Refused
from tests.blackbox.gate_process import House, ToolHouse, call, text, told, tool
from tests.faults.forked_gate import Launcher, warm_house

HASTE = {"client": "impatient"}
POLICY = """
version: v1
name: ladder
autonomy_levels:
  level_0:
    name: supervised
    rules:
      - {match: {risk_tags: [read]}, decision: allow}
      - {match: {topics: ["*"]}, decision: require_approval}
  level_1:
    name: autonomous
    rules:
      - {match: {risk_tags: [delete]}, decision: require_approval}
      - {match: {topics: ["*"]}, decision: allow}
promotion_criteria:
  {min_successful_actions: 50, max_error_rate: 0.02, review_period_days: 7, requires_human_sign_off: true}
demotion_triggers: [policy_violation, safety_incident]
classify:
  - {tools: [crm/get], topics: [job.crm.read], risk_tags: [read]}
  - {tools: [crm/set, crm/ruin], topics: [job.crm.write], risk_tags: [write]}
rules:
  - {id: never, match: {tools: [crm/ruin]}, decision: deny}
"""


@pytest.fixture(scope="module")
def house(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tools = ToolHouse()
    tools.add("crm", [tool("get", n="integer"), tool("set", n="integer"), tool("ruin")])
    parking = {"hold_sec": 30, "keepalive_sec": 0.1, "clients": {"impatient": 0.1}}
    with warm_house(launcher, tmp_path_factory.mktemp("autonomy"), POLICY, tools, parking=parking) as house:
        yield house


async def progress(house: House) -> dict[str, Any]:
    (one,) = (await house.reviewer.api("GET", "/agents/tester"))["agents"]
    return dict(one)


async def until_asked(house: House) -> dict[str, Any]:
    """The question whether to promote it, once there is one."""
    async with asyncio.timeout(20):
        while True:
            queue = await house.reviewer.api("GET", "/queue?queue=waiting")
            found = [row for row in queue["items"] if row["review"]["kind"] == "promotion"]
            if found:
                assert len(found) == 1
                return dict(found[0])
            await asyncio.sleep(0.05)


async def until_level(house: House, level: int) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (now := await progress(house))["level"] != level or now["review"] is not None:
            await asyncio.sleep(0.02)
    return now


async def write(house: House, n: int) -> Any:
    return await call(house.url("crm"), "set", how=HASTE, n=n)


def entries(house: House, *kinds: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{house.gate.store}?mode=ro", uri=True)) as store:
        found = [json.loads(data) for (data,) in store.execute("SELECT data FROM entries ORDER BY seq")]
    return [entry for entry in found if entry["kind"] in kinds]


async def test_autonomy_is_earned_signed_off_lost_at_once_and_kept_over_a_restart(house: House) -> None:
    assert told(await write(house, 1))["decision"] == "require_approval"

    for _ in range(3):  # identical calls count once
        await call(house.url("crm"), "get", n=0)
    for n in range(1, 50):
        assert "get ran" in text(await call(house.url("crm"), "get", n=n))
    asked = await until_asked(house)
    shown = (await house.reviewer.show(asked))["call"]["proposed"]["arguments"]
    assert (shown["agent"], shown["domain"], shown["to_level"]) == ("tester", "crm", 1)
    assert (shown["successes"], shown["errors"]) == (50, 0)
    assert told(await write(house, 2))["decision"] == "require_approval"  # asked is not promoted

    await house.reviewer.approve(asked)
    now = await until_level(house, 1)
    assert (now["successes"], now["calls"]) == (0, 0)  # counting begins anew
    assert "set ran" in text(await write(house, 3))

    assert told(await call(house.url("crm"), "ruin"))["decision"] == "deny"
    assert told(await write(house, 4))["decision"] == "require_approval"  # the very next call
    (fell,) = entries(house, "agent_demoted")
    body = fell["body"]
    assert (body["from_level"], body["to_level"], body["why"]) == (1, 0, "policy_violation")
    (rose,) = entries(house, "agent_promoted")
    assert rose["actor"].startswith("reviewer:")

    await house.reviewer.api("POST", "/agents/tester/promote", {"domain": "crm", "why": "a test of ours"})
    house.gate.kill()
    house.gate.start()
    assert (await progress(house))["level"] == 1
    assert "set ran" in text(await write(house, 5))

    await house.reviewer.api("POST", "/incidents", {"agent": "tester", "why": "it wrote to the wrong customer"})
    assert told(await write(house, 6))["decision"] == "require_approval"
    assert verify_file(house.gate.store, deep=True).entries > 50


async def test_a_level_is_not_set_without_a_reason_nor_beyond_the_last(house: House) -> None:
    for body in ({"domain": "crm", "why": ""}, {"domain": "crm", "why": "x", "level": 7}, {"domain": "hr", "why": "x"}):
        with pytest.raises(Refused):
            await house.reviewer.api("POST", "/agents/tester/promote", body)
    with pytest.raises(Refused):
        await house.reviewer.api("POST", "/agents/nobody/promote", {"domain": "crm", "why": "x"})


async def test_the_page_of_agents_says_where_they_stand(house: House) -> None:
    answered = await house.reviewer.api("GET", "/agents")
    assert [(one["agent"], one["domain"], one["last_level"]) for one in answered["agents"]] == [("tester", "crm", 1)]
