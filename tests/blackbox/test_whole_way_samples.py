"""Sampled audit, the whole way: finished calls are drawn, judged by people, and the draws stand in the record."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from audit.verify import Draws, verify_file
from proxy.reviewer_client import Refused
from tests.blackbox.gate_process import House, ToolHouse, call, text, tool
from tests.faults.forked_gate import Launcher, warm_house

POLICY = """
version: v1
name: sampled
facts:
  amount_usd: {path: $.args.amount, tools: [shop/pay]}
classify:
  - {tools: [shop/look], topics: [job.shop.read], risk_tags: [read]}
  - {tools: [shop/pay], topics: [job.shop.pay], risk_tags: [financial, write]}
rules:
  - {id: shop, match: {tools: [shop/look, shop/pay]}, decision: allow}
audit:
  sampling: {rate: 0.5, strategy: stratified, weights: {risk_tags: {read: 0.5}}}
  mandatory:
    - match: {amount_usd_above: 5000}
  routing: {financial_actions: finance, default: ops}
"""
LOOKS = 40


@pytest.fixture(scope="module")
def house(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    base: Path = tmp_path_factory.mktemp("samples")
    tools = ToolHouse()
    tools.add("shop", [tool("pay", amount="number"), tool("look", at="number")])
    with warm_house(launcher, base, POLICY, tools) as house:
        yield house


async def samples(house: House) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await house.reviewer.api("GET", "/afterwards"))["items"]
    return rows


def entries(house: House, kind: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{house.gate.store}?mode=ro", uri=True)) as connection:
        found = [json.loads(data) for (data,) in connection.execute("SELECT data FROM entries ORDER BY seq")]
    return [entry for entry in found if entry["kind"] == kind]


async def test_what_must_be_judged_is_a_sample_and_of_the_rest_as_many_as_the_chance_says(house: House) -> None:
    name = (await house.reviewer.api("GET", "/me"))["reviewer"]["name"]
    of_both = {"roles": ["admin", "reviewer"], "teams": ["finance", "ops"]}
    await house.reviewer.api("PUT", f"/accounts/{name}", of_both)
    (opened,) = entries(house, "sampling_opened")
    assert set(opened["body"]) == {"period", "commitment"}
    for number in range(LOOKS):
        assert "look ran" in text(await call(house.url("shop"), "look", at=number))
    assert "pay ran" in text(await call(house.url("shop"), "pay", amount=6_000))
    async with asyncio.timeout(10):
        while len(entries(house, "call_answered")) < LOOKS + 1:
            await asyncio.sleep(0.05)
    lots = [entry["body"]["sample"]["chance_ppm"] for entry in entries(house, "call_answered")]
    assert sorted(lots) == [250_000] * LOOKS + [1_000_000]
    rows = await samples(house)
    assert [row["review"]["approval"]["teams"] for row in rows if row["call"]["tool"] == "pay"] == [["finance"]]
    assert 0 < len(rows) - 1 < LOOKS


async def test_a_sample_is_judged_with_its_output_before_one_and_the_call_has_long_been_answered(house: House) -> None:
    row = next(row for row in await samples(house) if row["call"]["tool"] == "look")
    shown = await house.reviewer.api("GET", f"/approvals/{row['review']['id']}")
    assert "look ran" in json.dumps(shown["outcome"])
    body = {"version": shown["review"]["version"], "shown": shown["shown"], "verdict": "wrong"}
    path = f"/approvals/{row['review']['id']}/judge"
    with pytest.raises(Refused, match="a reason is needed"):
        await house.reviewer.api("POST", path, body)
    judged = await house.reviewer.api("POST", path, {**body, "comment": "nobody asked it to look"})
    assert judged["state"] == "judged_wrong"
    assert row["review"]["id"] not in {one["review"]["id"] for one in await samples(house)}
    (entry,) = entries(house, "review_settled")
    assert (entry["body"]["verdict"], entry["call_id"]) == ("wrong", row["call"]["id"])


async def test_p13_the_record_verifies_and_its_draws_wait_for_the_period_to_end(house: House) -> None:
    draws = Draws()
    await asyncio.to_thread(verify_file, house.gate.store, deep=True, draws=draws)
    assert (draws.repeated, draws.secret) == (0, LOOKS + 1)
