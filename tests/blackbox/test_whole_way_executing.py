"""An agent that leaves while its call is being executed: the outcome is kept for it, and nothing runs twice (P4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.blackbox.gate_process import REVISIONS, House, call, call_bytes, parked, text, told
from tests.blackbox.raw_client import connection, request_bytes


@pytest.mark.parametrize("revision", REVISIONS)
async def test_p04_whoever_comes_back_during_the_dispatch_waits_for_its_outcome(house: House, revision: str) -> None:
    said, url = f"slowly {revision}", house.url("shop")
    how: dict[str, Any] = {"revision": revision}
    held = house.tools.held()
    house.tools.servers["shop"].then(held, method="tools/call")
    body, lines = call_bytes("echo", {"text": said}, **how)
    async with connection(url) as wire:
        await wire.write(request_bytes(url, body, lines))
        await asyncio.to_thread(held.arrived.wait, 10)
    async with parked(url, "echo", how=how, text=said) as wire:
        held.let_go()
        answered = await wire.rest()
    assert text(answered) == "let go"
    assert told(answered)["replayed"] is True
    assert house.dispatched("shop", "echo", text=said) == 1


@pytest.mark.parametrize("revision", REVISIONS)
async def test_p04_whoever_comes_back_after_the_dispatch_gets_its_outcome_once(house: House, revision: str) -> None:
    said, url = f"too slowly {revision}", house.url("shop")
    how: dict[str, Any] = {"revision": revision}
    held = house.tools.held()
    house.tools.servers["shop"].then(held, method="tools/call")
    body, lines = call_bytes("echo", {"text": said}, **how)
    async with connection(url) as wire:
        await wire.write(request_bytes(url, body, lines))
        await asyncio.to_thread(held.arrived.wait, 10)
    held.let_go()
    answered = await call(url, "echo", how=how, text=said)
    assert (text(answered), told(answered)["replayed"]) == ("let go", True)
    assert house.dispatched("shop", "echo", text=said) == 1
    anew = await call(url, "echo", how=how, text=said)
    assert "echo ran" in text(anew)
    assert house.dispatched("shop", "echo", text=said) == 2
