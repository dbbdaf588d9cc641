"""The head of a request at the MCP door: admission, peer, Host, Origin, who calls, which server, which HTTP method."""

from __future__ import annotations

import asyncio
import json

import pytest

from proxy.doors.admission import FULL
from proxy.upstreams.base import Reply, UpstreamFailed
from tests.proxy.doors.door_world import AGENT_KEY, OTHER_KEY, Caller, DoorWorld, Stream, call, request, result, streams


async def test_an_allowed_call_is_answered_with_what_the_tool_said(world: DoorWorld) -> None:
    answered = await world.agent.send(call("allow", 7, amount=3))
    assert (answered.status, answered.json) == (200, result(7))
    assert answered.headers["content-type"] == "application/json"
    (posted,) = world.server.posted
    assert posted.message == call("allow", 7, amount=3)


async def test_a_denied_call_never_reaches_the_tool(world: DoorWorld) -> None:
    answered = await world.agent.send(call("delete_all"))
    assert answered.status == 200
    assert answered.json["result"]["isError"] is True
    assert "NOT executed" in answered.text
    assert world.server.posted == []


@pytest.mark.parametrize("key", [None, "", "ilk_" + "c" * 43, "wrong"])
async def test_a_request_without_a_known_key_is_refused_with_a_challenge(world: DoorWorld, key: str | None) -> None:
    answered = await Caller(world.door, key).send(call())
    assert answered.status == 401
    assert answered.headers["www-authenticate"] == "Bearer"
    assert world.server.posted == []
    await world.world.quiet()
    assert [entry.body["status"] for entry in world.entries("call_refused")] == [401]


async def test_the_agents_key_is_never_passed_on(world: DoorWorld) -> None:
    await world.agent.send(call(), headers={"x-secret": "1", "cookie": "a=b", "forwarded": "for=1"})
    (posted,) = world.server.posted
    assert AGENT_KEY not in repr(posted)
    assert set(posted.headers) <= {"accept", "mcp-protocol-version"}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "127.0.0.1", "localhost:8611", ""])
async def test_another_host_than_the_listeners_is_refused(world: DoorWorld, host: str) -> None:
    answered = await world.agent.send(call(), headers={"host": host})
    assert answered.status == 421
    assert world.server.posted == []


@pytest.mark.parametrize("host", ["localhost:8610", "127.0.0.1:8610", "[::1]:8610", "LOCALHOST:8610"])
async def test_the_listeners_own_names_are_answered_to(world: DoorWorld, host: str) -> None:
    assert (await world.agent.send(call(), headers={"host": host})).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8611"])
async def test_a_page_of_another_origin_is_refused(world: DoorWorld, origin: str) -> None:
    answered = await world.agent.send(call(), headers={"origin": origin})
    assert answered.status == 403
    assert world.server.posted == []


async def test_the_listeners_own_origin_is_taken(world: DoorWorld) -> None:
    assert (await world.agent.send(call(), headers={"origin": "http://localhost:8610"})).status == 200


@pytest.mark.parametrize("name", ["host", "authorization", "origin", "mcp-session-id"])
async def test_a_header_that_says_who_or_where_stands_once(world: DoorWorld, name: str) -> None:
    first = {"host": "127.0.0.1:8610", "origin": "http://127.0.0.1:8610", "mcp-session-id": "x"}
    lines = [(name, first.get(name, f"Bearer {OTHER_KEY}"))]
    answered = await world.agent.send(call(), headers={name: first.get(name, f"Bearer {AGENT_KEY}")}, lines=lines)
    assert answered.status == 400
    assert world.server.posted == []


@pytest.mark.parametrize("path", ["/", "/mcp", "/mcp/", "/mcp/payments/", "/mcp/a/b", "/sse/payments", "/MCP/payments"])
async def test_there_is_nothing_but_mcp_and_a_server(world: DoorWorld, path: str) -> None:
    assert (await world.agent.send(call(), path=path)).status == 404
    await world.world.quiet()
    assert [entry.body["status"] for entry in world.entries("call_refused")] == [404]


async def test_an_unknown_server_is_not_found_and_is_told_only_to_agents(world: DoorWorld) -> None:
    assert (await world.agent.send(call(), path="/mcp/files")).status == 404
    assert (await Caller(world.door, None).send(call(), path="/mcp/files")).status == 401


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "OPTIONS", "HEAD", "TRACE", "QUERY"])
async def test_other_http_methods_are_not_allowed(world: DoorWorld, verb: str) -> None:
    answered = await world.agent.send(call(), verb=verb)
    assert (answered.status, answered.headers["allow"]) == (405, "GET, POST, DELETE")
    assert world.server.posted == []


async def test_p14_past_the_cap_the_answer_is_quick_closed_and_understood() -> None:
    world = DoorWorld(limits={"in_flight_max": 2})
    first, second = Stream(), Stream()
    for stream in (first, second):
        world.server.then("tools/call", streams(stream))
    held = [world.agent.start(call("allow", number)) for number in (1, 2)]
    await world.server.wait_for(2)
    refused = await world.agent.send(call("allow", 3))
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.json == {"jsonrpc": "2.0", "id": None, "error": {"code": -32603, "message": FULL}}
    first.say(result(1))
    second.say(result(2))
    for answered in held:
        await answered.done()
    assert (await world.agent.send(call("allow", 4))).status == 200
    assert len(world.server.posted) == 3
    await world.world.quiet()
    assert [entry.body["why"] for entry in world.entries("call_refused")] == [FULL]


async def test_p14_a_slow_tool_keeps_nobody_from_being_worked_on() -> None:
    world = DoorWorld(limits={"working_max": 1})
    slow = Stream()
    world.server.then("tools/call", streams(slow))
    waiting = world.agent.start(call("allow", 1))
    await world.server.wait_for(1)
    assert (world.door.admission.working.taken, world.door.admission.in_flight.taken) == (0, 1)
    assert (await world.agent.send(call("allow", 2))).status == 200
    slow.say(result(1))
    assert (await waiting.done()).status == 200
    assert (world.door.admission.working.taken, world.door.admission.in_flight.taken) == (0, 0)


async def test_p14_an_agent_that_asks_for_everything_leaves_something_for_the_others() -> None:
    world = DoorWorld(limits={"in_flight_max": 4})
    slow = [Stream() for _ in range(3)]
    for stream in slow:
        world.server.then("tools/call", streams(stream))
    held = [world.agent.start(call("allow", number)) for number in range(3)]
    await world.server.wait_for(3)
    assert (await world.agent.send(call("allow", 4))).status == 503
    other = Caller(world.door, OTHER_KEY)
    assert (await other.send(call("allow", 5))).status == 200
    for number, stream in enumerate(slow):
        stream.say(result(number))
        await held[number].done()


async def test_p14_a_body_that_nobody_could_take_for_a_message_is_not_read(world: DoorWorld) -> None:
    for head in ({"content-encoding": "gzip"}, {"content-type": "application/x-bomb"}):
        answered = await world.agent.send(call(), headers=head)
        assert (answered.status, answered.is_read) == (415, False)


@pytest.mark.parametrize(("others_bytes", "status"), [(0, 200), (2_000, 503)])
async def test_p14_a_body_that_finds_no_room_is_not_read(others_bytes: int, status: int) -> None:
    world = DoorWorld(limits={"body_bytes_max": 1_000, "bodies_bytes_max": 2_000})
    world.door.admission.bodies.take("others", others_bytes)
    answered = await world.agent.send(call(), headers={"content-length": str(len(json.dumps(call())))})
    assert (answered.status, answered.is_read) == (status, status == 200)
    assert world.door.admission.bodies.taken == others_bytes


async def test_a_held_call_gives_its_place_back() -> None:
    world = DoorWorld(limits={"in_flight_max": 1})
    held = world.agent.start(call("ask", 1))
    await world.only_parked()
    assert world.door.admission.in_flight.taken == 0
    assert (await world.agent.send(call("allow", 2))).status == 200
    held.leave()
    await held.done()


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
async def test_the_modern_revision_has_neither_get_nor_delete(world: DoorWorld, verb: str) -> None:
    answered = await world.agent.send(verb=verb, headers={"mcp-protocol-version": "2026-07-28"})
    assert (answered.status, answered.headers["allow"]) == (405, "POST")
    assert world.server.got == []


async def test_delete_without_a_session_is_refused(world: DoorWorld) -> None:
    assert (await world.agent.send(verb="DELETE")).status == 400


async def test_an_agent_that_leaves_while_sending_is_answered_by_nobody(world: DoorWorld) -> None:
    from proxy.wire.http_protocol import ENDED_EXTENSION, LEFT_EXTENSION, UNREAD_EXTENSION

    left = asyncio.Event()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp/payments",
        "headers": (
            (b"host", b"127.0.0.1:8610"),
            (b"authorization", f"Bearer {AGENT_KEY}".encode()),
            (b"content-type", b"application/json"),
        ),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8610),
        "extensions": {LEFT_EXTENSION: left, UNREAD_EXTENSION: lambda: True, ENDED_EXTENSION: lambda: True},
    }

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(event: object) -> None:
        raise AssertionError("nobody is there")

    await world.door(scope, receive, send)
    assert world.server.posted == []


async def test_closing_the_door_ends_the_sessions_at_the_servers(world: DoorWorld) -> None:
    await world.agent.initialize()
    await world.door.close()
    assert world.server.deleted == ["upstream-1"]


async def test_a_session_nobody_uses_for_a_day_is_ended(world: DoorWorld) -> None:
    await world.agent.initialize()
    world.world.now += 25 * 3600
    await Caller(world.door, OTHER_KEY).send(request("ping"))
    await world.world.quiet()
    assert world.server.deleted == ["upstream-1"]
    assert (await world.agent.send(request("ping"))).status == 404


async def test_streams_that_would_last_for_ever_end_when_the_gate_stops(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.gets.append(stream.reply())
    listening = world.agent.start(verb="GET")
    await listening.until(lambda answered: answered.status == 200)
    await world.door.end_streams()
    assert (await listening.done()).is_complete


async def test_with_trusted_proxies_nobody_else_may_connect() -> None:
    listener = {"port": 8610, "trusted_proxies": ["10.0.0.1"]}
    world = DoorWorld(agents_listener=listener)
    assert (await world.agent.send(call(), peer="10.0.0.2")).status == 401
    assert (await world.agent.send(call(), peer="10.0.0.1")).status == 200
    assert len(world.server.posted) == 1


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
async def test_streams_and_sessions_are_refused_while_the_record_cannot_be_written(world: DoorWorld, verb: str) -> None:
    await world.agent.initialize()
    world.records.is_down = True
    answered = await world.agent.send(verb=verb)
    assert (answered.status, answered.headers["retry-after"]) == (503, "5")
    assert (world.server.got, world.server.deleted) == ([], [])


async def test_a_session_that_had_ended_is_not_found_and_nobody_is_accused(world: DoorWorld) -> None:
    await world.agent.initialize()
    await world.agent.send(verb="DELETE")
    assert (await world.agent.send(verb="GET")).status == 404
    await world.world.quiet()
    assert world.entries("call_refused") == []


async def test_closing_the_door_does_not_wait_for_a_server_that_is_away(world: DoorWorld) -> None:
    await world.agent.initialize()

    async def away(**how: object) -> Reply:
        raise UpstreamFailed("no connection", sent=False)

    world.server.delete = away  # type: ignore[method-assign, assignment]
    await world.door.close()
    assert (await world.agent.send(request("ping"))).status == 404


async def test_ending_a_session_at_a_server_that_is_away_ends_it_here(world: DoorWorld) -> None:
    await world.agent.initialize()

    async def away(**how: object) -> Reply:
        raise UpstreamFailed("no connection", sent=False)

    world.server.delete = away  # type: ignore[method-assign, assignment]
    assert (await world.agent.send(verb="DELETE")).status == 200
    assert (await world.agent.send(request("ping"))).status == 404
