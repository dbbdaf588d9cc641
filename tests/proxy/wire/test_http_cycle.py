"""One answer of an app, on a transport that keeps each write apart."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from proxy.wire.http_cycle import Cycle

OK = ("content-length", "2")


class Transport(asyncio.Transport):
    """Keeps what was written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.done: list[str] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return "closed" in self.done

    def close(self) -> None:
        self.done.append("closed")

    def pause_reading(self) -> None:
        self.done.append("paused")

    def resume_reading(self) -> None:
        self.done.append("resumed")


class One:
    """A cycle under test."""

    def __init__(self, *, is_to_head: bool = False, keep_alive: bool = True, awaits_continue: bool = False) -> None:
        self.transport = Transport()
        self.flow = FlowControl(self.transport)
        self.cycle = Cycle(
            self.transport,
            self.flow,
            lambda: self.transport.done.append("complete"),
            is_to_head=is_to_head,
            keep_alive=keep_alive,
            awaits_continue=awaits_continue,
        )

    async def start(self, *headers: tuple[str, str], status: int = 200) -> None:
        lines = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await self.cycle.send({"type": "http.response.start", "status": status, "headers": lines})

    async def body(self, body: bytes = b"", *, more: bool = False) -> None:
        await self.cycle.send({"type": "http.response.body", "body": body, "more_body": more})

    async def run(self, app: Coroutine[Any, Any, None]) -> list[str]:
        """Let an app end as the connection does; the events it logs."""
        task = asyncio.ensure_future(app)
        await asyncio.wait({task})
        with capture_logs() as logs:
            self.cycle.ended(task)
        return [line["event"] for line in logs]


# ---- answers ----------------------------------------------------------------------------------------------------


async def test_a_head_with_a_length_and_its_body_leave_in_one_write() -> None:
    one = One()
    await one.start(OK, ("X-A", "b"))
    assert one.transport.writes == []
    await one.body(b"ok")
    assert one.transport.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n\r\nok"]
    assert one.transport.done == ["complete"]


async def test_a_head_without_a_length_leaves_at_once_and_its_body_in_chunks() -> None:
    one = One()
    await one.start()
    await one.body(b"ab", more=True)
    await one.body(b"", more=True)
    await one.body(b"c")
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert one.transport.writes == [head, b"2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n"]


async def test_a_body_in_pieces_is_held_to_its_length() -> None:
    one = One()
    await one.start(OK)
    await one.body(b"o", more=True)
    await one.body(b"k", more=True)
    await one.body()
    assert one.transport.writes[1:] == [b"k"]
    for body in (b"abc", b"a"):
        other = One()
        await other.start(OK)
        with pytest.raises(RuntimeError, match="as long as its head says"):
            await other.body(body)
        assert other.transport.writes == []


@pytest.mark.parametrize(("status", "is_to_head"), [(200, True), (204, False), (304, False)])
async def test_an_answer_without_a_body_has_none_whatever_its_head_says(status: int, is_to_head: bool) -> None:
    one = One(is_to_head=is_to_head)
    await one.start(*([OK] if is_to_head else []), status=status)
    await one.body(b"ok" if is_to_head else b"")
    (written,) = one.transport.writes
    assert written.endswith(b"\r\n\r\n")
    assert b"chunked" not in written


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_connection_ends_where_its_request_or_its_answer_says_so(is_kept: bool) -> None:
    one = One(keep_alive=is_kept)
    await one.start(OK, *([("connection", "Close")] if is_kept else []))
    await one.body(b"ok")
    assert one.transport.writes[0].lower().count(b"connection: close\r\n") == 1
    assert one.transport.done == ["closed", "complete"]


@pytest.mark.parametrize(
    "header", [("x", "a\r\nb: c"), ("x\r\ny", "a"), ("x", "a\nb"), ("x y", "a"), ("", "a"), ("x", "\0")]
)
async def test_a_header_that_could_end_its_line_goes_to_nobody(header: tuple[str, str]) -> None:
    one = One()
    with pytest.raises(RuntimeError, match="cannot be sent"):
        await one.start(OK, header)
    assert one.transport.writes == []


async def test_an_app_does_not_frame_its_answer_itself_nor_send_out_of_turn() -> None:
    with pytest.raises(RuntimeError, match="not the app's"):
        await One().start(("transfer-encoding", "chunked"))
    one = One()
    with pytest.raises(RuntimeError, match="out of turn"):
        await one.body(b"ok")
    await one.start(OK)
    with pytest.raises(RuntimeError, match="out of turn"):
        await one.start(OK)
    await one.body(b"ok")
    with pytest.raises(RuntimeError, match="out of turn"):
        await one.body(b"ok")


async def test_a_slow_reader_is_waited_for_and_one_that_has_gone_is_sent_nothing() -> None:
    one = One()
    one.flow.pause_writing()
    sending = asyncio.ensure_future(one.start(OK))
    await asyncio.sleep(0)
    assert not sending.done()
    one.cycle.disconnect()
    one.flow.resume_writing()
    await sending
    await one.body(b"ok")
    assert (one.transport.writes, one.transport.done) == ([], [])


# ---- what an app receives ---------------------------------------------------------------------------------------


async def test_what_is_there_is_received_at_once_and_after_the_end_only_that_the_client_left() -> None:
    one = One()
    one.cycle.add(b"a")
    assert await one.cycle.receive() == {"type": "http.request", "body": b"a", "more_body": True}
    waiting = asyncio.ensure_future(one.cycle.receive())
    await asyncio.sleep(0)
    one.cycle.add(b"b")
    one.cycle.add(b"c")
    one.cycle.end_body()
    assert await waiting == {"type": "http.request", "body": b"bc", "more_body": False}
    waiting = asyncio.ensure_future(one.cycle.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    one.cycle.disconnect()
    assert await waiting == {"type": "http.disconnect"}


async def test_a_request_without_a_body_has_an_empty_one() -> None:
    one = One()
    one.cycle.end_body()
    assert await one.cycle.receive() == {"type": "http.request", "body": b"", "more_body": False}


async def test_after_the_answer_nothing_is_received() -> None:
    one = One()
    await one.start(OK)
    waiting = asyncio.ensure_future(one.cycle.receive())
    await asyncio.sleep(0)
    await one.body(b"ok")
    one.cycle.add(b"late")
    assert await waiting == await one.cycle.receive() == {"type": "http.disconnect"}


async def test_p14_more_of_a_body_than_is_received_stops_the_reading() -> None:
    one = One()
    one.cycle.add(b"x" * HIGH_WATER_LIMIT)
    assert one.transport.done == []
    one.cycle.add(b"x")
    assert one.transport.done == ["paused"]
    await one.cycle.receive()
    assert one.transport.done == ["paused", "resumed"]


async def test_who_waits_to_be_told_to_go_on_is_told_when_the_app_wants_the_body_and_not_after_its_answer() -> None:
    one = One(awaits_continue=True)
    one.cycle.end_body()
    await one.cycle.receive()
    assert one.transport.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    other = One(awaits_continue=True)
    other.cycle.end_body()
    await other.start()
    await other.cycle.receive()
    assert b"100 Continue" not in b"".join(other.transport.writes)


# ---- apps that fail ---------------------------------------------------------------------------------------------


async def test_an_app_that_fails_before_its_answer_is_logged_and_answered_for() -> None:
    async def app() -> None:
        await one.start(OK)  # whose body never comes
        raise ValueError

    one = One()
    assert await one.run(app()) == ["app_failed"]
    (written,) = one.transport.writes
    assert written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert one.transport.done == ["closed", "complete"]


async def test_an_app_that_fails_in_its_answer_is_cut_short() -> None:
    async def app() -> None:
        await one.start()
        raise ValueError

    one = One()
    assert await one.run(app()) == ["app_failed"]
    assert one.transport.done == ["closed"]


async def test_an_app_that_does_not_answer_is_answered_for_unless_its_client_has_gone() -> None:
    async def app() -> None: ...

    one, gone = One(), One()
    assert await one.run(app()) == ["app_did_not_answer"]
    assert one.transport.writes[0].startswith(b"HTTP/1.1 500 ")
    gone.cycle.disconnect()
    assert await gone.run(app()) == []
    assert gone.transport.writes == []


async def test_a_cancelled_app_is_logged() -> None:
    async def app() -> None:
        raise asyncio.CancelledError

    assert await One().run(app()) == ["app_failed"]
