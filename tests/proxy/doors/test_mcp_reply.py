"""Answering one HTTP request: JSON while nothing was written, events after; kept alive; delivered or not."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from proxy.doors.mcp_reply import PROOF_BYTES_MIN, AgentReply, ProgressScale, Telling, encoded
from proxy.doors.ticker import Ticker

DONE = {"jsonrpc": "2.0", "id": 1, "result": {}}


class Wire:
    """An ASGI `send` that can be stalled, as a reader who does not read stalls it."""

    def __init__(self, *, stalls_after_bytes: int = 0) -> None:
        self.sent: list[MutableMapping[str, Any]] = []
        self.stalls_after_bytes = stalls_after_bytes
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.left = asyncio.Event()
        self.was_sent = asyncio.Event()

    async def send(self, event: MutableMapping[str, Any]) -> None:
        await self.may_go_on.wait()
        self.sent.append(event)
        self.was_sent.set()
        if self.stalls_after_bytes and len(event.get("body", b"")) > self.stalls_after_bytes:
            self.may_go_on.clear()

    @property
    def body(self) -> bytes:
        return b"".join(event.get("body", b"") for event in self.sent)

    @property
    def starts(self) -> list[int]:
        return [event["status"] for event in self.sent if event["type"] == "http.response.start"]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                self.was_sent.clear()
                await self.was_sent.wait()


def reply_on(wire: Wire, *, accepts_events: bool = True) -> AgentReply:
    return AgentReply(wire.send, wire.left, Ticker(), accepts_events=accepts_events)


async def test_an_answer_with_nothing_before_it_is_json_in_two_writes() -> None:
    wire = Wire()
    assert await reply_on(wire).answer(400, DONE, headers=((b"retry-after", b"1"),))
    start, body = wire.sent
    assert start["status"] == 400
    assert dict(start["headers"])[b"content-length"] == b"36"
    assert dict(start["headers"])[b"retry-after"] == b"1"
    assert (body["body"], body["more_body"]) == (b'{"jsonrpc":"2.0","id":1,"result":{}}', False)


async def test_an_empty_answer_has_no_type() -> None:
    wire = Wire()
    await reply_on(wire).answer(202, None)
    assert dict(wire.sent[0]["headers"]) == {b"content-length": b"0"}


async def test_an_answer_that_has_no_body_has_no_length_of_one() -> None:
    wire = Wire()
    await reply_on(wire).answer(204, None)
    assert wire.sent[0]["headers"] == []


@pytest.mark.parametrize("status", [99, 101, 600, 999])
async def test_a_status_that_http_does_not_have_is_a_502(status: int) -> None:
    wire = Wire()
    assert await reply_on(wire).answer(status, DONE)
    assert wire.starts == [502]


async def test_after_an_event_the_answer_is_one_too_whatever_its_status() -> None:
    wire = Wire()
    reply = reply_on(wire)
    assert await reply.event(DONE, "e1", 5)
    assert await reply.answer(404, DONE, event_id="e2")
    assert wire.starts == [200]
    assert wire.body == (
        b'id: e1\nretry: 5\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'
        b'id: e2\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'
    )


async def test_what_the_tool_streamed_is_answered_in_kind_where_events_are_taken() -> None:
    for accepts_events, expected in ((True, b"text/event-stream"), (False, b"application/json")):
        wire = Wire()
        reply = reply_on(wire, accepts_events=accepts_events)
        reply.as_events = True
        await reply.answer(200, DONE)
        assert dict(wire.sent[0]["headers"])[b"content-type"] == expected


async def test_an_error_status_is_said_as_long_as_it_can_be() -> None:
    wire = Wire()
    reply = reply_on(wire)
    reply.as_events = True
    await reply.answer(404, DONE)
    assert wire.starts == [404]


async def test_an_agent_that_takes_no_events_gets_none() -> None:
    wire = Wire()
    assert not await reply_on(wire, accepts_events=False).event(DONE)
    assert wire.sent == []


async def test_nothing_is_written_after_the_end() -> None:
    wire = Wire()
    reply = reply_on(wire)
    await reply.answer(200, DONE)
    count = len(wire.sent)
    assert not await reply.answer(200, DONE)
    assert not await reply.event(DONE)
    assert not await reply.end()
    await reply.open_stream()
    assert len(wire.sent) == count


async def test_an_answer_to_an_agent_that_left_is_not_delivered() -> None:
    wire = Wire()
    wire.left.set()
    reply = reply_on(wire)
    assert not await reply.event(DONE)
    assert not await reply.answer(200, DONE)


async def test_a_long_answer_is_delivered_only_once_its_reader_has_taken_it() -> None:
    wire = Wire()
    long = {"text": "x" * PROOF_BYTES_MIN}
    assert await reply_on(wire).answer(200, long)
    assert [len(event.get("body", b"")) > 0 for event in wire.sent] == [False, True, False]

    stalled = Wire(stalls_after_bytes=PROOF_BYTES_MIN)
    answering = asyncio.ensure_future(reply_on(stalled).answer(200, long))
    await stalled.until(2)
    stalled.left.set()  # the listener cut it off: it did not read
    stalled.may_go_on.set()
    assert await answering is False


async def test_a_stream_ended_by_us_is_not_one_the_agent_left() -> None:
    wire = Wire()
    reply = reply_on(wire)
    await reply.event(None, "e1")
    assert await reply.end()
    assert not wire.left.is_set()
    assert wire.body == b"id: e1\ndata: \n\n"


# ---- kept alive ----------------------------------------------------------------------------------------------------


async def test_a_held_stream_is_committed_at_once_and_told_of_now_and_then() -> None:
    wire = Wire()
    reply = reply_on(wire)
    telling = Telling(0.005, 60, None)
    telling.message = "waiting"
    reply.keep_alive(telling, at_once=True)
    await wire.until(4)
    assert wire.starts == [200]
    assert set(wire.body.split(b"\n\n")) == {b": keep-alive", b""}
    assert await reply.answer(200, DONE)
    count = len(wire.sent)
    await asyncio.sleep(0.02)
    assert len(wire.sent) == count


async def test_progress_is_told_at_its_own_pace_between_comments() -> None:
    wire = Wire()
    reply = reply_on(wire)
    telling = Telling(0.004, 0.01, ProgressScale("t"))
    telling.message = "waiting"
    reply.keep_alive(telling, at_once=True)
    count = 0
    while wire.body.count(b'"progress":') < 3:
        count += 1
        await wire.until(count)
    reply.close()
    for number in (1, 2, 3):
        assert b'"progress":%d,' % number in wire.body
    assert b": keep-alive\n\n" in wire.body


async def test_a_reader_that_is_stalled_is_written_to_once_and_never_waited_for() -> None:
    wire = Wire()
    ticker = Ticker()
    stalled = AgentReply(wire.send, wire.left, ticker, accepts_events=True)
    other_wire = Wire()
    other = AgentReply(other_wire.send, other_wire.left, ticker, accepts_events=True)
    wire.may_go_on.clear()
    stalled.keep_alive(Telling(0.002, 60, None), at_once=True)
    other.keep_alive(Telling(0.002, 60, None), at_once=True)
    await other_wire.until(6)
    wire.may_go_on.set()
    await wire.until(2)
    stalled.close()
    other.close()


async def test_an_agent_that_left_is_told_nothing_more() -> None:
    wire = Wire()
    reply = reply_on(wire)
    wire.left.set()
    assert reply.tick(0.0) is None
    reply.keep_alive(Telling(0.001, 60, None), at_once=True)
    await asyncio.sleep(0.01)
    assert wire.sent == []


# ---- small things --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ((DONE, None, None), b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'),
        (({"t": "a\nb\r\u2028"}, None, None), 'data: {"t":"a\\nb\\r\u2028"}\n\n'.encode()),
        ((None, "e1", 500), b"id: e1\nretry: 500\ndata: \n\n"),
        ((None, None, 500), b"retry: 500\n\n"),
    ],
)
def test_an_event_is_encoded_so_that_it_stays_one(event: tuple[Any, Any, Any], expected: bytes) -> None:
    assert encoded(*event) == expected


def test_the_tools_progress_is_moved_only_above_ours() -> None:
    scale = ProgressScale("t")
    told = {"method": "notifications/progress", "params": {"progressToken": "t", "progress": 0.5, "total": 1}}
    assert scale.moved(told) is told
    scale.own("waiting")
    assert scale.own("waiting")["params"] == {"progressToken": "t", "progress": 2, "message": "waiting"}
    assert scale.moved(told)["params"] == {"progressToken": "t", "progress": 2.5, "total": 3}
    odd = {"method": "x", "params": {"progress": True, "total": "many"}}
    assert scale.moved(odd) == odd
