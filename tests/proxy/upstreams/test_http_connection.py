"""One connection to a tool server, over a transport that only writes down what is done to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.tasks import spawn
from proxy.upstreams.http_connection import Broken, Connection
from proxy.wire.http_response import ResponseLimits

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Written(asyncio.Transport):
    """A transport that writes everything down."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.is_cut = False
        self.is_paused = False
        self.unsent_bytes = 0

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_cut

    def abort(self) -> None:
        self.is_cut = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes


class Held:
    """A connection with its transport, and what was said when it was given back."""

    def __init__(self, *, closes: bool = False) -> None:
        self.back: list[bool] = []
        self.transport = Written()
        self.connection = Connection(ResponseLimits(), lambda _one, reusable: self.back.append(reusable))
        self.connection.closes = closes
        self.connection.connection_made(self.transport)


async def test_a_request_is_written_once_and_its_response_read() -> None:
    held = Held()
    response = held.connection.write(b"request")
    waiting = spawn(response.head(5), name="head")
    await asyncio.sleep(0)
    held.connection.data_received(HEAD % 4)
    await waiting
    assert (response.status, response.header(b"content-length"), held.back) == (200, b"4", [])
    held.connection.data_received(b"ab")
    assert await response.some() == b"ab"
    held.connection.data_received(b"cd")
    assert (await response.some(), await response.some()) == (b"cd", b"")
    assert (held.transport.sent, held.back, held.transport.is_cut) == ([b"request"], [True], False)


@pytest.mark.parametrize("how", ["said to close", "more bytes", "unsent bytes", "one request only"])
async def test_a_connection_that_may_not_go_on_is_cut_with_its_response(how: str) -> None:
    held = Held(closes=how == "one request only")
    held.transport.unsent_bytes = int(how == "unsent bytes")
    response = held.connection.write(b"request")
    told = b"connection: close\r\n" if how == "said to close" else b""
    held.connection.data_received(
        b"HTTP/1.1 200 OK\r\n%bcontent-length: 2\r\n\r\nhi" % told + b"x" * (how == "more bytes")
    )
    await response.head(5)
    assert (response.take(), held.back, held.transport.is_cut) == (b"hi", [False], True)


async def test_what_comes_while_nobody_asked_cuts_the_connection() -> None:
    held = Held()
    held.connection.write(b"request")
    held.connection.data_received(HEAD % 0)
    held.connection.data_received(b"HTTP/1.1 408 Timeout\r\n\r\n")
    assert (held.back, held.transport.is_cut, held.connection.is_open) == ([True, False], True, False)


@pytest.mark.parametrize("lost", [None, ConnectionResetError("reset")])
async def test_a_response_cut_short_is_told_to_whoever_waits_and_to_whoever_comes_later(lost: Exception | None) -> None:
    held = Held()
    response = held.connection.write(b"request")
    waiting = spawn(response.head(5), name="head")
    await asyncio.sleep(0)
    held.connection.connection_lost(lost)
    for reading in (waiting, response.head(5), response.some()):
        with pytest.raises(Broken):
            await reading
    assert held.back == [False]


async def test_a_connection_lost_before_writing_writes_nothing() -> None:
    held = Held()
    held.connection.connection_lost(None)
    with pytest.raises(Broken):
        await held.connection.write(b"request").head(5)
    assert held.transport.sent == []


async def test_bytes_that_are_no_http_cut_the_connection() -> None:
    held = Held()
    response = held.connection.write(b"request")
    held.connection.data_received(b"SSH-2.0\r\n\r\n")
    with pytest.raises(Broken, match="not HTTP"):
        await response.head(5)
    assert (held.back, held.transport.is_cut) == ([False], True)


async def test_a_response_nobody_reads_stops_the_reading() -> None:
    held = Held()
    response = held.connection.write(b"request")
    held.connection.data_received(HEAD % 600_000)
    held.connection.data_received(b"x" * 262_144)
    assert not held.transport.is_paused
    held.connection.data_received(b"x")
    assert held.transport.is_paused
    assert len(await response.some()) == 262_145
    assert not held.transport.is_paused


async def test_a_response_given_up_takes_its_connection_with_it_and_a_complete_one_does_not() -> None:
    held = Held()
    response = held.connection.write(b"request")
    held.connection.data_received(HEAD % 2)
    response.close()
    with pytest.raises(Broken, match="closed"):
        await response.some()
    assert held.transport.is_cut
    other = Held()
    response = other.connection.write(b"request")
    other.connection.data_received(HEAD % 0)
    response.close()
    assert (other.transport.is_cut, other.back) == (False, [True])


async def test_a_response_that_does_not_begin_in_time_takes_its_connection_with_it() -> None:
    held = Held()
    with pytest.raises(Broken, match=r"nothing came for 0\.01 s"):
        await held.connection.write(b"request").head(0.01)
    assert held.transport.is_cut


async def test_whoever_gives_up_waiting_takes_the_connection_with_them() -> None:
    held = Held()
    waiting = spawn(held.connection.write(b"request").head(5), name="head")
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert held.transport.is_cut
