"""Policies that change while calls wait: judged anew at spend; a broken file changes nothing (P6, SEMANTICS §2.3)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from audit.verify import verify_file
from tests.blackbox.gate_process import House, ToolHouse, call, parked, text, told, tool
from tests.blackbox.raw_client import RawAnswer
from tests.faults.forked_gate import Launcher, warm_house

HASTE = {"client": "impatient"}
POLICY = """
version: v1
name: changing
facts:
  amount: {path: $.args.amount, tools: [bank/pay], min: 0}
rules:
  - id: ask-to-pay
    match: {tools: [bank/pay]}
    decision: require_approval
    reason: Payments need a person
  - id: the-rest
    match: {tools: [bank/echo]}
    decision: allow
"""
CHANGED = """
version: v1
name: changing
facts:
  amount: {path: $.args.amount, tools: [bank/pay], min: 0}
rules:
  - {id: not-so-much, match: {tools: [bank/pay]}, condition: "amount < 70", decision: deny, agent_message: Not so much.}
  - id: somebody-else-asks
    match: {tools: [bank/pay], amount_below: 80}
    decision: require_approval
    approval: {team: auditors}
  - {id: nothing-asks, match: {tools: [bank/pay, bank/echo]}, decision: allow}
"""
BROKEN = """
version: v1
name: changing
rules:
  - {id: all-of-it, match: {toolz: [bank/pay]}, decision: allow}
"""


@dataclass
class Changed:
    """A gate whose policy changed while calls waited, some of them approved."""

    house: House
    rows: dict[int, dict[str, Any]]
    held: RawAnswer
    loaded: dict[str, Any]

    @property
    def url(self) -> str:
        return self.house.url("bank")


@pytest.fixture(scope="module")
def changed(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changed]:
    tools = ToolHouse()
    tools.add("bank", [tool("echo", text="string"), tool("pay", amount="number")])
    parking = {"hold_sec": 30, "keepalive_sec": 0.1, "clients": {"impatient": 0.1}}
    base = tmp_path_factory.mktemp("policies")
    with warm_house(launcher, base, POLICY, tools, parking=parking, watch_policies=True) as house:
        yield asyncio.run(_change(house))


async def _change(house: House) -> Changed:
    rows: dict[int, dict[str, Any]] = {}
    async with parked(house.url("bank"), "pay", amount=60) as wire:
        rows[60] = await house.reviewer.waiting("pay", amount=60)
        for amount in (50, 70, 80):
            await call(house.url("bank"), "pay", how=HASTE, amount=amount)
            rows[amount] = await house.reviewer.waiting("pay", amount=amount)
            await house.reviewer.approve(rows[amount])
        loaded = await put(house, CHANGED)
        await house.reviewer.approve(rows[60])
        return Changed(house, rows, await wire.rest(), loaded)


def entries(house: House, *kinds: str) -> list[dict[str, Any]]:
    """The record, of these kinds if any are named."""
    with closing(sqlite3.connect(f"file:{house.gate.store}?mode=ro", uri=True)) as store:
        found = [json.loads(data) for (data,) in store.execute("SELECT data FROM entries ORDER BY seq")]
    return [entry for entry in found if not kinds or entry["kind"] in kinds]


async def put(house: House, policy: str) -> dict[str, Any]:
    """Write the file and wait until the gate has said in its record what it made of it."""
    kinds = ("policy_loaded", "policy_refused")
    before = len(entries(house, *kinds))
    house.gate.policy_file.write_text(policy, encoding="utf-8")
    async with asyncio.timeout(10):
        while len(entries(house, *kinds)) == before:
            await asyncio.sleep(0.02)
    return entries(house, *kinds)[-1]


async def test_p06_an_approved_call_that_policy_denies_by_now_is_denied_and_its_approval_void(changed: Changed) -> None:
    answered = await call(changed.url, "pay", amount=50)
    assert (told(answered)["decision"], told(answered)["executed"]) == ("deny", False)
    assert "Not so much." in text(answered)
    assert (await changed.house.reviewer.show(changed.rows[50]))["review"]["state"] == "superseded"
    assert changed.house.dispatched("bank", "pay", amount=50) == 0


async def test_p06_a_held_call_that_is_approved_after_policy_denied_it_is_not_sent(changed: Changed) -> None:
    assert (told(changed.held)["decision"], told(changed.held)["executed"]) == ("deny", False)
    assert changed.house.dispatched("bank", "pay", amount=60) == 0


async def test_p06_an_approval_that_did_not_answer_a_rule_that_asks_now_is_asked_for_anew(changed: Changed) -> None:
    answered = await call(changed.url, "pay", how=HASTE, amount=70)
    assert told(answered)["decision"] == "require_approval"
    asked = await changed.house.reviewer.waiting("pay", amount=70)
    assert asked["review"]["id"] != changed.rows[70]["review"]["id"]
    assert asked["call"]["previous_id"] == changed.rows[70]["call"]["id"]
    assert asked["review"]["approval"]["teams"] == ["auditors"]
    assert changed.house.dispatched("bank", "pay", amount=70) == 0


async def test_an_approval_stands_where_policy_asks_less_by_now(changed: Changed) -> None:
    row, loaded = changed.rows[80], changed.loaded["body"]["snapshot"]
    assert "pay ran" in text(await call(changed.url, "pay", amount=80))
    assert changed.house.dispatched("bank", "pay", amount=80) == 1
    (spent,) = [one for one in entries(changed.house, "grant_spent") if one["body"]["review"] == row["review"]["id"]]
    assert (spent["body"]["snapshot"], spent["body"]["asked_under"]) == (loaded, row["call"]["snapshot"])
    assert loaded != row["call"]["snapshot"]


async def test_a_broken_file_keeps_the_last_good_policy_and_is_recorded(changed: Changed) -> None:
    refused = await put(changed.house, BROKEN)
    kept = changed.loaded["body"]["snapshot"]
    assert (refused["kind"], refused["body"]) == ("policy_refused", {"errors": 1, "kept": kept})
    assert any("policy_refused" in line and "toolz" in line for line in changed.house.gate.said)
    assert told(await call(changed.url, "pay", amount=61))["decision"] == "deny"
    assert "echo ran" in text(await call(changed.url, "echo", text="as before"))


async def test_p13_the_record_verifies_while_the_gate_writes_on(changed: Changed) -> None:
    before = len(entries(changed.house))
    assert verify_file(changed.house.gate.store, deep=True).entries >= before
