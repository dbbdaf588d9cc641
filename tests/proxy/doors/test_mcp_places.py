"""Streams that last are counted, for one agent and for all."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from proxy.doors import mcp_places
from proxy.doors.mcp_http import RETRY_AFTER_SEC
from proxy.doors.mcp_places import STREAMS_PER_SERVER_MAX, StreamPlaces, TooManyStreams
from proxy.upstreams.http import HttpLimits
from tests.proxy.doors.door_world import DoorWorld, Stream, call, modern, modern_headers, request


def test_p14_streams_never_take_every_connection_to_a_server() -> None:
    assert HttpLimits().connections_max > STREAMS_PER_SERVER_MAX


def test_there_are_so_many_for_one_agent_and_for_all_at_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_places, "STREAMS_PER_AGENT_MAX", 2)
    monkeypatch.setattr(mcp_places, "STREAMS_PER_SERVER_MAX", 3)
    places = StreamPlaces()
    with ExitStack() as held:
        for agent in ("ada", "ada", "bob"):
            held.enter_context(places.place("payments", agent))
        held.enter_context(places.place("files", "ada"))
        for agent in ("ada", "bob", "eve"):
            with pytest.raises(TooManyStreams), places.place("payments", agent):
                pass
    with places.place("payments", "ada"), places.place("payments", "ada"):
        pass


async def test_p14_one_stream_too_many_is_refused_at_once_and_calls_go_on(
    world: DoorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_places, "STREAMS_PER_AGENT_MAX", 1)
    await world.agent.initialize()
    stream = Stream()
    world.server.gets.append(stream.reply())
    open_one = world.agent.start(verb="GET")
    await open_one.until(lambda one: one.status == 200)
    listen = modern(request("subscriptions/listen", 4))
    refused = [
        await world.agent.send(verb="GET"),
        await world.agent.send(listen, headers={"mcp-session-id": None} | modern_headers(listen)),
    ]
    assert [one.status for one in refused] == [503, 503]
    assert {one.headers["retry-after"] for one in refused} == {str(RETRY_AFTER_SEC)}
    assert len(world.server.got) == 1
    assert world.server.sent("subscriptions/listen") == []
    assert (await world.agent.send(call("allow", 3))).text == "done"
    stream.end()
    await open_one.done()
    world.server.gets.append(Stream().end().reply())
    assert (await world.agent.send(verb="GET")).status == 200
    await world.world.quiet()
    assert len(world.entries("call_refused")) == 2
