"""An agent that leaves while its call is being executed: the outcome is kept for it, and nothing runs twice (P4)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.blackbox.gate_process import REVISIONS, House, call, call_bytes, parked, result, text, told
from tests.blackbox.raw_client import connection, request_bytes
from tests.blackbox.servers.counting import Recorded, Wire


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


async def test_p04_an_outcome_that_could_not_be_delivered_is_kept_though_another_asked_meanwhile(house: House) -> None:
    """It is stuck in a connection nobody reads, one who asks beside it is sent away, then the connection ends."""
    url = house.url("shop")
    ticket = told(await call(url, "pay", how={"client": "impatient"}, amount=3_000))["ticket"]
    row = await house.reviewer.waiting("pay", amount=3_000)
    await house.reviewer.approve(row)

    async def at_length(request: Recorded, wire: Wire) -> None:
        await wire.json(result(request.message["id"], "word " * 700_000))

    house.tools.servers["shop"].then(at_length, method="tools/call")
    body, lines = call_bytes("interlock_collect", {"ticket": ticket})
    with reading_nothing(url) as stuck:
        stuck.sendall(request_bytes(url, body, lines))
        async with asyncio.timeout(10):
            while not house.dispatched("shop", "pay", amount=3_000):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        beside = await call(url, "interlock_collect", ticket=ticket)
        assert "is being waited for already" in text(beside)
    async with asyncio.timeout(10):
        while "being waited for" in text(kept := await call(url, "interlock_collect", ticket=ticket)):
            await asyncio.sleep(0.02)
    assert text(kept).startswith("word word")
    assert told(kept)["replayed"] is True
    assert house.dispatched("shop", "pay", amount=3_000) == 1


@contextmanager
def reading_nothing(url: str) -> Iterator[socket.socket]:
    """A connection that takes next to nothing, and ends with a reset."""
    parts = urlsplit(url)
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stuck.connect((str(parts.hostname), parts.port))
        yield stuck


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
