"""Passing on one message at a time: what is told, what is withheld, what is handed back."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from policies.model import ToolCall
from proxy.doors.mcp_relay import Relay
from proxy.doors.mcp_reply import AgentReply, ProgressScale
from proxy.doors.mcp_sessions import Seen
from proxy.doors.mcp_shared import Shared
from proxy.doors.ticker import Ticker
from proxy.upstreams.base import Incoming
from proxy.wire.mcp_methods import Revision
from redaction.model import Surface
from tests.proxy.doors.door_world import DoorWorld, an_agent, notification, request, result


class Bench:
    """A relay between a test and a wire."""

    def __init__(self, world: DoorWorld, **how: Any) -> None:
        self.sent: list[bytes] = []
        self.asked: list[Any] = []
        self.left = asyncio.Event()
        self.shared: Shared = world.shared()
        self.reply = AgentReply(self._send, self.left, Ticker(), accepts_events=how.pop("accepts_events", True))
        ask = self if how.pop("asks", True) else None
        call = ToolCall("payments", "allow", {}, an_agent())
        how.setdefault("revision", Revision.R2025_11_25)
        self.relay = Relay(self.shared, call, self.reply, ask=ask, **how)

    async def _send(self, event: MutableMapping[str, Any]) -> None:
        if event.get("body"):
            self.sent.append(event["body"])

    def __call__(self, request: Any, reply: AgentReply, event_id: str | None) -> None:
        self.asked.append((request, event_id))

    def cancelled(self, notification: Any) -> Any:
        return notification if notification["params"]["requestId"] == "known" else None


MESSAGE = notification("notifications/message", level="info", data="x")


async def test_a_response_is_handed_back_and_not_written(world: DoorWorld) -> None:
    bench = Bench(world)
    assert await bench.relay.pass_on(Incoming(result(1), "e1")) == result(1)
    assert bench.sent == []
    assert bench.shared.inspectors.seen == []  # type: ignore[attr-defined]


async def test_a_notification_is_inspected_and_written_with_its_id(world: DoorWorld) -> None:
    bench = Bench(world)
    assert await bench.relay.pass_on(Incoming(MESSAGE, "e1", 7)) is None
    assert [message for message, _ in bench.shared.inspectors.seen] == [MESSAGE]  # type: ignore[attr-defined]
    assert bench.sent[0].startswith(b"id: e1\nretry: 7\ndata: {")


async def test_nothing_is_inspected_for_an_agent_that_takes_or_hears_nothing(world: DoorWorld) -> None:
    deaf = Bench(world, accepts_events=False)
    gone = Bench(world)
    gone.left.set()
    for bench in (deaf, gone):
        await bench.relay.pass_on(Incoming(MESSAGE))
        assert bench.sent == []
    assert deaf.shared.inspectors.seen == []  # type: ignore[attr-defined]


async def test_a_request_is_handed_to_whoever_asks_agents(world: DoorWorld) -> None:
    bench = Bench(world)
    await bench.relay.pass_on(Incoming(request("sampling/createMessage", 5), "e1"))
    assert bench.asked == [(request("sampling/createMessage", 5), "e1")]
    assert bench.sent == []


async def test_a_request_where_there_are_none_is_noted_and_dropped(world: DoorWorld) -> None:
    bench = Bench(world, asks=False, revision=Revision.R2026_07_28)
    await bench.relay.pass_on(Incoming(request("sampling/createMessage", 5)))
    assert (bench.asked, bench.sent) == ([], [])
    await world.world.quiet()
    assert [entry.body["outcome"].split(":")[0] for entry in world.entries("call_noted")] == ["refused"]


async def test_progress_needs_the_token_of_this_request(world: DoorWorld) -> None:
    for scale, token, passes in ((None, 1, False), (ProgressScale(1), 1, True), (ProgressScale(1), "1", False)):
        bench = Bench(world, scale=scale)
        await bench.relay.pass_on(Incoming(notification("notifications/progress", progressToken=token, progress=1)))
        assert bool(bench.sent) is passes


@pytest.mark.parametrize(("token", "passes"), [(1, True), ("1", False), (2, False), (None, False), ([1], False)])
async def test_progress_on_a_push_stream_is_of_any_request_of_the_session(
    world: DoorWorld, token: object, passes: bool
) -> None:
    given = Seen()
    given.add(1)
    bench = Bench(world, tokens=given)
    await bench.relay.pass_on(Incoming(notification("notifications/progress", progressToken=token, progress=1)))
    assert bool(bench.sent) is passes


async def test_a_server_does_not_tell_what_only_the_gate_tells(world: DoorWorld) -> None:
    bench = Bench(world)
    await bench.relay.pass_on(Incoming(MESSAGE | {"params": MESSAGE["params"] | {"_meta": {"interlock/call": 1}}}))
    assert b"interlock" not in bench.sent[0]


async def test_an_event_without_message_or_id_is_nothing(world: DoorWorld) -> None:
    bench = Bench(world)
    assert await bench.relay.pass_on(Incoming(None)) is None
    assert bench.sent == []


async def test_every_message_may_be_inspected_on_its_surface(world: DoorWorld) -> None:
    bench = Bench(world)
    inspection = await bench.relay.inspect({"text": "a SECRET"}, Surface.ERROR)
    assert inspection.message == {"text": "a [REDACTED]"}


async def test_what_the_server_takes_back_is_told_only_if_it_was_asked(world: DoorWorld) -> None:
    for request_id, told in (("known", 1), ("unknown", 0)):
        bench = Bench(world)
        await bench.relay.pass_on(Incoming(notification("notifications/cancelled", requestId=request_id)))
        assert len(bench.sent) == told
