"""A gate under slow-loris, compression bombs and endless heads goes on serving, in less than 1 GB (P14; threats D12).

One gate of its own, with its limits at their defaults but for shorter patience; its memory is measured at the end, as
the most that its processes ever had, so that the tests need not watch it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.processes import family
from tests.blackbox.gate_process import GateProcess, House, ToolHouse, call, call_bytes, text, told, tool
from tests.blackbox.raw_client import RawAnswer, RawConnection, connection, json_lines, request_bytes
from tests.blackbox.servers import counting

pytestmark = pytest.mark.long

POLICY = """
version: v1
rules:
  - {id: all, match: {tools: ["shop/*"]}, decision: allow, reason: Everything passes}
"""
SLOW = 100  # of each of three kinds
BOMBS = 100
HEAD_BYTES = 60_000_000
PATIENCE_SEC = 4
MEMORY_BYTES_MAX = 2**30


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tools = ToolHouse()
    tools.add("shop", [tool("echo", text="string"), tool("bomb", n="integer")])
    limits = {"head_sec_max": PATIENCE_SEC, "body_sec_max": PATIENCE_SEC}
    gate = GateProcess(tmp_path_factory.mktemp("attacked"), POLICY, tools.config(), limits=limits)
    try:
        gate.start()
        yield House(gate, tools)
    finally:
        gate.stop()
        tools.close()


@pytest.fixture(autouse=True)
def fixture_stays_small(house: House) -> Iterator[None]:
    """Whatever a test has done, the gate's processes together never had more than this."""
    yield
    most = {pid: _most_bytes(pid) for pid in family(house.gate.process_id)}
    assert 50_000_000 < sum(most.values()) < MEMORY_BYTES_MAX, most


def _most_bytes(pid: int) -> int:
    """The most memory a process ever had resident. What processes share is counted for each."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


async def _is_served(house: House, word: str) -> None:
    """An honest call on a new connection is answered."""
    answered = await call(house.url("shop"), "echo", timeout_sec=30, text=word)
    assert answered.status == 200
    assert told(answered).get("executed") is not False, text(answered)
    assert house.dispatched("shop", "echo", text=word) == 1


@asynccontextmanager
async def _open(house: House, count: int) -> AsyncIterator[list[RawConnection]]:
    async with contextlib.AsyncExitStack() as stack:
        url = house.url("shop")
        yield [await stack.enter_async_context(connection(url)) for _ in range(count)]


async def _dribble(wires: list[RawConnection], pieces: bytes) -> None:
    """A byte at a time on each connection, until all have been closed by the other side."""
    while open_ones := [wire for wire in wires if not wire.reader.at_eof()]:
        for number, wire in enumerate(open_ones):
            with contextlib.suppress(OSError):
                wire.writer.write(pieces[number % len(pieces) :][:1])
        await asyncio.sleep(0.25)


async def _ended(wire: RawConnection) -> bytes:
    """What the gate said before it closed the connection."""
    with contextlib.suppress(ConnectionResetError):
        return await wire.reader.read()
    return b""


async def test_p14_300_slow_connections_are_ended_and_nobody_waits_for_them(house: House) -> None:
    async with asyncio.timeout(60), _open(house, 3 * SLOW) as wires, asyncio.TaskGroup() as group:
        silent, heads, bodies = wires[:SLOW], wires[SLOW : 2 * SLOW], wires[2 * SLOW :]
        body, lines = call_bytes("echo", {"text": "never sent"})
        request = request_bytes(house.url("shop"), body, lines)
        for wire in heads:
            await wire.write(b"POST /mcp/shop HTTP/1.1\r\nHost: " + urlsplit(house.url("shop")).netloc.encode())
        for wire in bodies:
            await wire.write(request[: -len(body)] + body[:1])
        said = [group.create_task(_ended(wire)) for wire in wires]
        dribbling = group.create_task(_dribble([*heads, *bodies], b"x"))
        for number in range(5):
            await _is_served(house, f"beside the slow {number}")
        ended = await asyncio.gather(*said)
        await dribbling
    assert not any(ended[:SLOW])
    assert sum(one.startswith(b"HTTP/1.1 408 ") for one in ended[SLOW:]) >= 1.9 * SLOW  # the rest: reset while we wrote
    assert len(silent) == SLOW
    assert house.dispatched("shop", "echo", text="never sent") == 0


async def test_p14_100_compressed_requests_are_refused_unread(house: House) -> None:
    bomb = gzip.compress(b" " * 50_000_000, 9)

    async def throw() -> RawAnswer:
        async with connection(house.url("shop")) as wire:
            lines = [*json_lines(), ("Content-Encoding", "gzip")]
            await wire.write(request_bytes(house.url("shop"), bomb, lines))
            return await wire.rest()

    async with asyncio.timeout(60):
        answers, _ = await asyncio.gather(
            asyncio.gather(*(throw() for _ in range(BOMBS))), _is_served(house, "beside the bombs")
        )
    assert {answer.status for answer in answers} == {415}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
async def test_p14_100_results_that_are_bombs_are_broken_answers_and_no_more(house: House, encoding: str) -> None:
    flat = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"' + b"A" * 50_000_000
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": lambda data: data[:20_000_000]}[encoding](
        flat
    )
    thrown = counting.json_bytes(packed, headers={} if encoding == "identity" else {"content-encoding": encoding})
    for _ in range(BOMBS):
        house.tools.servers["shop"].then(thrown, method="tools/call")
    answers: list[RawAnswer] = []

    async def one_after_the_other(first: int) -> None:
        for number in range(first, BOMBS, 5):
            arguments: dict[str, Any] = {"n": number + 1_000 * len(encoding)}
            answers.append(await call(house.url("shop"), "bomb", timeout_sec=60, **arguments))

    async with asyncio.timeout(240):
        await asyncio.gather(*(one_after_the_other(first) for first in range(5)))
    assert {answer.status for answer in answers} == {200}
    assert {told(answer)["decision"] for answer in answers} == {"in_doubt"}
    await _is_served(house, f"after the {encoding}")


@pytest.mark.parametrize("kind", ["one line", "many lines", "a target"])
async def test_p14_heads_of_60_mb_are_refused_after_64_kib(house: House, kind: str) -> None:
    start, piece = {
        "one line": (b"POST /mcp/shop HTTP/1.1\r\nX: ", b"a" * 60_000),
        "many lines": (b"POST /mcp/shop HTTP/1.1\r\n", b"".join(b"X-%d: y\r\n" % n for n in range(6_000))),
        "a target": (b"GET /", b"a" * 60_000),
    }[kind]
    taken = 0

    async def throw() -> bytes:
        nonlocal taken
        async with connection(house.url("shop")) as wire:
            answer = asyncio.ensure_future(_ended(wire))
            with contextlib.suppress(OSError):
                await wire.write(start)
                for _ in range(HEAD_BYTES // len(piece)):
                    await wire.write(piece)
                    taken += len(piece)
            return await answer

    async with asyncio.timeout(60):
        said, _ = await asyncio.gather(
            asyncio.gather(*(throw() for _ in range(10))), _is_served(house, f"beside {kind} without end")
        )
    assert sum(one.startswith(b"HTTP/1.1 431 ") for one in said) >= 1  # the others: reset while we wrote
    assert all(one.startswith(b"HTTP/1.1 431 ") or not one for one in said)
    assert taken < HEAD_BYTES  # of ten


async def test_p14_bodies_of_the_largest_size_from_everywhere_at_once_find_room_or_a_quick_refusal(
    house: House,
) -> None:
    body, lines = call_bytes("echo", {"text": "x" * 4_000_000})

    async def throw() -> RawAnswer:
        async with connection(house.url("shop")) as wire:
            with contextlib.suppress(OSError):  # refused, and closed, while we wrote
                await wire.write(request_bytes(house.url("shop"), body, lines))
            return await wire.rest()

    async with asyncio.timeout(240):
        answers, _ = await asyncio.gather(
            asyncio.gather(*(throw() for _ in range(100)), return_exceptions=True),
            _is_served(house, "beside the large"),
        )
    statuses = [answer.status if isinstance(answer, RawAnswer) else 0 for answer in answers]
    assert set(statuses) <= {200, 503, 0}, statuses
    assert 503 in statuses
    await _is_served(house, "after the large")
