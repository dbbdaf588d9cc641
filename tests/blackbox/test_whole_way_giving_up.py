"""Agents that give up while people decide, and come back: one dispatch, none without them (P4, SEMANTICS §2.1-2.2)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from proxy.reviewer_client import Refused
from tests.blackbox.gate_process import (
    LEGACY,
    MODERN,
    REVISIONS,
    House,
    call,
    call_bytes,
    is_dispatch,
    parked,
    session_of,
    text,
    told,
)
from tests.blackbox.raw_client import RawAnswer, json_lines, post, send


async def nothing_more_happens(house: House) -> None:
    """Long enough for a dispatch that should not be, and a whole call of another kind besides."""
    await asyncio.sleep(0.2)
    assert "echo ran" in text(await call(house.url("shop"), "echo", text="meanwhile"))


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("server", ["shop", "stream"])
async def test_p04_an_agent_that_hangs_up_and_comes_back_after_approval_gets_the_result_of_one_dispatch(
    house: House, server: str, revision: str
) -> None:
    amount = 1_000 + REVISIONS.index(revision)
    how = {"revision": revision}
    async with parked(house.url(server), "pay", how=how, amount=amount):
        row = await house.reviewer.waiting("pay", amount=amount)
    await house.reviewer.gone(row)
    assert (await house.reviewer.approve(row))["state"] == "spendable"
    await nothing_more_happens(house)
    assert house.dispatched(server, "pay", amount=amount) == 0
    answered = await call(house.url(server), "pay", how=how | {"request_id": "again"}, amount=amount)
    assert answered.message["id"] == "again"
    assert text(answered) == f'pay ran with {{"amount": {amount}}}'
    assert house.dispatched(server, "pay", amount=amount) == 1


async def test_an_agent_that_comes_back_before_approval_waits_with_its_first_question(house: House) -> None:
    async with parked(house.url("shop"), "pay", amount=1_010):
        row = await house.reviewer.waiting("pay", amount=1_010)
    await house.reviewer.gone(row)
    async with parked(house.url("shop"), "pay", amount=1_010) as wire:
        assert (await house.reviewer.waiting("pay", amount=1_010))["review"]["id"] == row["review"]["id"]
        await house.reviewer.approve(row)
        assert "pay ran" in text(await wire.rest())
    assert house.dispatched("shop", "pay", amount=1_010) == 1


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_p04_an_unmodified_client_that_times_out_collects_by_calling_again(house: House, mode: Any) -> None:
    amount = 1_020 + (mode == MODERN)
    async with Client(house.url("shop"), mode=mode) as client:
        with pytest.raises(MCPError):
            await client.call_tool("pay", {"amount": amount}, read_timeout_seconds=0.3)
        row = await house.reviewer.waiting("pay", amount=amount)
        await house.reviewer.gone(row)
        await house.reviewer.approve(row)
        await nothing_more_happens(house)
        assert house.dispatched("shop", "pay", amount=amount) == 0
        answered = await client.call_tool("pay", {"amount": amount})
    assert answered.content[0].text == f'pay ran with {{"amount": {amount}}}'  # type: ignore[union-attr]
    assert house.dispatched("shop", "pay", amount=amount) == 1


async def test_a_cancelled_wait_ends_the_wait_and_not_the_question(house: House) -> None:
    url = house.url("sessions")
    session = await session_of(url)
    how = {"request_id": 7, "Mcp_Session_Id": session}
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7, "reason": "tired"}}
    async with parked(url, "pay", how=how, amount=1_030):
        row = await house.reviewer.waiting("pay", amount=1_030)
        assert (await post(url, cancel, session=session, version=LEGACY)).status == 202
        await house.reviewer.gone(row)
    assert (await house.reviewer.waiting("pay", amount=1_030))["review"]["state"] == "parked"
    assert house.tools.servers["sessions"].count("notifications/cancelled") == 0
    await house.reviewer.approve(row)
    await nothing_more_happens(house)
    assert house.dispatched("sessions", "pay", amount=1_030) == 0
    assert "pay ran" in text(await call(url, "pay", how=how | {"request_id": 8}, amount=1_030))
    assert house.dispatched("sessions", "pay", amount=1_030) == 1


async def test_a_cancel_message_of_the_newest_revision_ends_nobodys_wait(house: House) -> None:
    """2026-07-28 cancels by closing the stream; the message is for stdio. Anybody could send it: nobody is believed."""
    url = house.url("shop")
    cancel = {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": 9, "_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}},
    }
    lines = json_lines(version=MODERN, Mcp_Method="notifications/cancelled")
    async with parked(url, "pay", how={"revision": MODERN, "request_id": 9}, amount=1_040) as wire:
        row = await house.reviewer.waiting("pay", amount=1_040)
        assert (await send(url, json.dumps(cancel).encode(), lines)).status in (202, 400, 404)
        await house.reviewer.approve(row)
        assert "pay ran" in text(await wire.rest())
    assert house.dispatched("shop", "pay", amount=1_040) == 1


@pytest.mark.parametrize("way", ["meta", "header", "tool"])
@pytest.mark.parametrize("revision", REVISIONS)
async def test_p04_a_ticket_collects_what_was_approved_once(house: House, revision: str, way: str) -> None:
    amount = 1_050 + 10 * REVISIONS.index(revision) + ["meta", "header", "tool"].index(way)
    url, how = house.url("shop"), {"revision": revision, "client": "impatient"}
    answered = await call(url, "pay", how=how, amount=amount)
    ticket = told(answered)["ticket"]
    assert answered.message["result"]["isError"] is True
    assert told(answered)["executed"] is False
    row = await house.reviewer.waiting("pay", amount=amount)
    await house.reviewer.approve(row)
    if way == "tool":
        collected = await call(url, "interlock_collect", how=how, ticket=ticket)
    elif way == "meta":
        collected = await call(url, "pay", how=how | {"meta": {"interlock/ticket": ticket}}, amount=amount)
    else:
        collected = await call(url, "pay", how=how | {"Interlock_Ticket": ticket}, amount=amount)
    assert text(collected) == f'pay ran with {{"amount": {amount}}}'
    assert house.dispatched("shop", "pay", amount=amount) == 1
    await house.reviewer.delivered(row)
    spent = await call(url, "interlock_collect", how=how, ticket=ticket)
    assert "delivered already" in text(spent)
    assert house.dispatched("shop", "pay", amount=amount) == 1


async def test_p04_a_ticket_presented_by_many_at_once_is_one_dispatch_and_nobody_is_told_otherwise(
    house: House,
) -> None:
    for amount in (1_130, 1_131, 1_132):
        ticket = told(await call(house.url("shop"), "pay", how={"client": "impatient"}, amount=amount))["ticket"]
        await house.reviewer.approve(await house.reviewer.waiting("pay", amount=amount))
        answers = await asyncio.gather(*(presented(house, ticket, after_sec=n * 0.001) for n in range(20)))
        assert house.dispatched("shop", "pay", amount=amount) == 1
        said = {text(answered).partition(" (call ")[0] for answered in answers}
        assert said <= {
            f'pay ran with {{"amount": {amount}}}',
            "WAITING: this call is being waited for already",
            "EXECUTED: the outcome of this call has been delivered already",
        }


async def presented(house: House, ticket: str, *, after_sec: float) -> RawAnswer:
    await asyncio.sleep(after_sec)
    return await call(house.url("shop"), "interlock_collect", timeout_sec=10, ticket=ticket)


async def test_p04_many_who_come_back_at_once_share_one_dispatch(house: House) -> None:
    how = {"client": "impatient"}
    await call(house.url("shop"), "pay", how=how, amount=1_080)
    await house.reviewer.approve(await house.reviewer.waiting("pay", amount=1_080))
    answers = await asyncio.gather(*(call(house.url("shop"), "pay", how=how, amount=1_080) for _ in range(20)))
    assert sum("pay ran" in text(answered) for answered in answers) >= 1
    assert house.dispatched("shop", "pay", amount=1_080) == 1
    for row in await house.reviewer.questions("pay", amount=1_080):  # twins of the one that still waited
        await house.reviewer.act("reject", row, comment="one is enough")


async def test_p04_an_approval_given_twice_at_once_counts_once(house: House) -> None:
    async with parked(house.url("shop"), "pay", amount=1_090) as wire:
        row = await house.reviewer.waiting("pay", amount=1_090)
        acts = await asyncio.gather(*(house.reviewer.approve(row) for _ in range(5)), return_exceptions=True)
        assert "pay ran" in text(await wire.rest())
    assert all(isinstance(act, dict | Refused) for act in acts)
    assert [vote["reviewer"] for vote in (await house.reviewer.show(row))["votes"]] == ["admin"]
    assert house.dispatched("shop", "pay", amount=1_090) == 1


async def test_a_rejected_call_never_reaches_the_tool_though_it_is_repeated(house: House) -> None:
    async with parked(house.url("shop"), "pay", amount=1_100) as wire:
        row = await house.reviewer.waiting("pay", amount=1_100)
        await house.reviewer.act("reject", row, comment="not this one")
        assert told(await wire.rest())["decision"] == "rejected"
    again = await call(house.url("shop"), "pay", amount=1_100)
    assert told(again)["decision"] == "rejected"
    assert "not this one" not in again.body.decode()
    assert house.dispatched("shop", "pay", amount=1_100) == 0


async def test_an_edited_call_is_collected_in_the_form_that_was_approved(house: House) -> None:
    async with parked(house.url("shop"), "pay", amount=1_110):
        row = await house.reviewer.waiting("pay", amount=1_110)
    await house.reviewer.gone(row)
    await house.reviewer.act("edit", row, arguments={"amount": 11})
    answered = await call(house.url("shop"), "pay", amount=1_110)
    assert text(answered) == 'pay ran with {"amount": 11}'
    assert told(answered)["arguments_changed_by_reviewer"] == ["amount"]
    assert house.dispatched("shop", "pay", amount=1_110) == 0
    assert house.dispatched("shop", "pay", amount=11) == 1


@pytest.mark.parametrize("way", ["repeat", "meta", "tool"])
async def test_p06_an_approval_is_for_the_state_that_the_call_handed_back_too(house: House, way: str) -> None:
    amount = 8_130 + ["repeat", "meta", "tool"].index(way)
    url, how = house.url("shop"), {"revision": MODERN, "client": "impatient"}
    ticket = told(await with_state(url, "of this order", how, amount=amount))["ticket"]
    row = await house.reviewer.waiting("pay", amount=amount)
    assert (await house.reviewer.show(row))["call"]["proposed"]["request_state"] == "of this order"
    await house.reviewer.approve(row)
    if way == "repeat":
        other = await with_state(url, "of another order", how, amount=amount)
        assert told(other)["executed"] is False
        collected = await with_state(url, "of this order", how, amount=amount)
    elif way == "meta":
        presenting = how | {"meta": {"interlock/ticket": ticket}}
        collected = await with_state(url, "of another order", presenting, amount=amount)
    else:
        collected = await call(url, "interlock_collect", how=how, ticket=ticket)
    assert "pay ran" in text(collected)
    sent = [
        one.message["params"]
        for one in house.tools.servers["shop"].requests
        if is_dispatch(one, "pay", {"amount": amount})
    ]
    assert [params.get("requestState") for params in sent] == ["of this order"]


async def with_state(url: str, state: str, how: dict[str, Any], **arguments: Any) -> RawAnswer:
    """The second round of a call that the tool had a question about."""
    body, lines = call_bytes("pay", arguments, **how)
    message = json.loads(body)
    message["params"]["requestState"] = state
    return await send(url, json.dumps(message).encode(), lines, timeout_sec=20)


async def test_two_who_ask_the_same_at_once_are_two_questions(house: House) -> None:
    body, lines = call_bytes("pay", {"amount": 1_120})
    async with parked(house.url("shop"), "pay", amount=1_120) as first:
        second = asyncio.ensure_future(send(house.url("shop"), body, lines, timeout_sec=20))
        async with asyncio.timeout(10):
            while len(rows := await house.reviewer.questions("pay", amount=1_120)) < 2:
                await asyncio.sleep(0.01)
        for row in rows:
            await house.reviewer.approve(row)
        assert "pay ran" in text(await first.rest())
        assert "pay ran" in text(await second)
    assert house.dispatched("shop", "pay", amount=1_120) == 2
