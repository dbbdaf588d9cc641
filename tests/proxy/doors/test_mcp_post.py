"""One POST: read, classified, judged or noted or refused; held, answered, cancelled; delivered or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.upstreams.base import Reply, UpstreamFailed
from review.model import CallState, ReviewState
from tests.proxy.doors.door_world import (
    HANDSHAKE,
    OTHER_KEY,
    Caller,
    DoorWorld,
    Stream,
    call,
    modern,
    modern_headers,
    notification,
    request,
    result,
    streams,
)

DENIED = json.dumps(call("delete_all")).encode()
SMUGGLED = {
    "a duplicate key": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"x"}}',
    "a case variant": b'{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"x"}}',
    "a batch": b"[" + DENIED + b"]",
    "a call without an id": b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"allow","arguments":{}}}',
    "a null id": DENIED.replace(b'"id": 1', b'"id": null'),
    "two documents": DENIED + DENIED,
    "a byte order mark": b"\xef\xbb\xbf" + DENIED,
    "NaN": DENIED.replace(b'"arguments": {}', b'"arguments": {"a": NaN}'),
    "nothing": b"",
}


@pytest.mark.parametrize("body", SMUGGLED.values(), ids=SMUGGLED)
async def test_what_two_readers_might_read_differently_is_refused(world: DoorWorld, body: bytes) -> None:
    answered = await world.agent.send(body=body)
    assert answered.status == 400
    assert answered.json["error"]["code"] in (-32700, -32600)
    assert world.server.posted == []
    await world.world.quiet()
    assert [entry.body["status"] for entry in world.entries("call_refused")] == [400]


@pytest.mark.parametrize(
    "media_type", ["text/json", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
)
async def test_another_content_type_is_refused(world: DoorWorld, media_type: str) -> None:
    answered = await world.agent.send(call(), headers={"content-type": media_type})
    assert answered.status == 415
    assert world.server.posted == []


async def test_a_method_that_is_not_in_the_table_is_refused(world: DoorWorld) -> None:
    answered = await world.agent.send(request("tools/destroy"))
    assert answered.json["error"]["code"] == -32601
    assert world.server.posted == []


async def test_a_long_message_is_read_off_the_loop_and_sent_whole(world: DoorWorld) -> None:
    long = "x" * 300_000
    answered = await world.agent.send(call("allow", text=long))
    assert answered.status == 200
    assert world.server.posted[0].message["params"]["arguments"] == {"text": long}


# ---- what is judged ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", HANDSHAKE)
async def test_the_handshake_opens_a_session_of_ours_over_the_servers(world: DoorWorld, revision: str) -> None:
    answered = await world.agent.initialize(revision)
    assert answered.status == 200
    assert world.agent.session is not None
    assert "upstream" not in repr(answered.headers)
    assert (await world.agent.send(call())).json == result()
    assert world.server.posted[-1].session == "upstream-1"


async def test_a_call_without_a_session_is_judged_all_the_same(world: DoorWorld) -> None:
    assert (await world.agent.send(call("allow"))).json == result()
    assert "NOT executed" in (await world.agent.send(call("delete_all"))).text
    assert world.server.executed == ["allow"]


async def test_a_modern_call_is_judged_and_its_headers_are_computed(world: DoorWorld) -> None:
    answered = await world.agent.modern(call("allow", "q", amount=1), headers={"mcp-param-region": "eu"})
    assert answered.message["id"] == "q"
    (posted,) = world.server.posted
    assert posted.session is None
    assert posted.headers == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "allow",
        "mcp-param-region": "eu",
        "accept": "application/json, text/event-stream",
    }


async def test_a_modern_denial_has_its_result_type(world: DoorWorld) -> None:
    answered = await world.agent.modern(call("delete_all"))
    assert answered.message["result"]["resultType"] == "complete"
    assert answered.message["result"]["isError"] is True
    assert world.server.posted == []


async def test_methods_that_read_are_judged_as_tools_of_their_own(world: DoorWorld) -> None:
    await world.agent.send(request("resources/read", uri="file:///a"))
    await world.world.quiet()
    (kept,) = world.records.calls.values()
    assert (kept.tool, kept.method, kept.proposed["arguments"]) == (
        "mcp.resources/read",
        "resources/read",
        {"uri": "file:///a"},
    )


async def test_a_refused_method_is_a_json_rpc_error() -> None:
    world = DoorWorld(lambda call: __import__("tests.proxy.builders", fromlist=["deny"]).deny())
    answered = await world.agent.send(request("resources/read", uri="file:///a"))
    assert answered.json["error"]["code"] == -32010
    assert world.server.posted == []


async def test_a_request_id_is_under_way_once_at_a_time_in_its_session(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    first = world.agent.start(call("allow", 5))
    await world.server.wait_for(3)
    assert (await world.agent.send(call("allow", 5))).status == 400
    assert (await world.agent.send(call("allow", "5"))).status == 400
    stream.say(result(5))
    await first.done()
    assert (await world.agent.send(call("allow", 5))).json == result(5)


async def test_arguments_that_look_like_others_to_some_readers_are_refused(world: DoorWorld) -> None:
    from dataclasses import replace

    from tests.proxy.builders import definition

    schema = {"type": "object", "properties": {"amount": {"type": "integer"}}}
    world.definitions.by_name["allow"] = replace(definition("allow"), input_schema=schema)
    answered = await world.agent.send(call("allow", Amount=3))
    assert answered.status == 400
    assert world.server.posted == []


async def test_param_headers_are_held_to_the_arguments(world: DoorWorld) -> None:
    from dataclasses import replace

    from tests.proxy.builders import definition

    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    world.definitions.by_name["allow"] = replace(definition("allow"), input_schema=schema)
    wrong = await world.agent.modern(call("allow", region="us"), headers={"mcp-param-region": "eu"})
    assert (wrong.status, wrong.json["error"]["code"]) == (400, -32020)
    assert world.server.posted == []
    right = await world.agent.modern(call("allow", region="eu"), headers={"mcp-param-region": "eu"})
    assert right.status == 200
    assert world.server.posted[0].headers["mcp-param-region"] == "eu"


async def test_a_server_whose_tools_cannot_be_listed_is_sent_nothing(world: DoorWorld) -> None:
    world.definitions.is_unavailable = True
    answered = await world.agent.send(call("allow"))
    assert "NOT executed" in answered.text
    assert world.server.posted == []


async def test_a_store_that_is_down_refuses(world: DoorWorld) -> None:
    world.records.is_down = True
    judged = await world.agent.send(call("allow"))
    noted = await world.agent.send(request("tools/list"))
    assert judged.json["result"]["isError"] is True
    assert noted.status == 503
    assert world.server.posted == []


# ---- held --------------------------------------------------------------------------------------------------------


async def test_a_parked_call_is_kept_alive_and_answered_on_its_stream() -> None:
    world = DoorWorld(parking={"keepalive_sec": 0.02, "progress_sec": 0.02})
    held = world.agent.start(call("ask", 9, meta={"progressToken": "t"}))
    kept = await world.only_parked()
    await held.events_until(2)
    await world.world.settle(kept.id, ReviewState.SPENDABLE)
    answered = await held.done()
    assert answered.is_stream
    assert (answered.headers["cache-control"], answered.headers["x-accel-buffering"]) == ("no-store", "no")
    *progress, last = answered.messages
    assert last == result(9)
    numbers = [one["params"]["progress"] for one in progress]
    assert numbers == sorted(set(numbers))
    assert {one["params"]["progressToken"] for one in progress} == {"t"}
    assert world.server.executed == ["ask"]


async def test_without_a_progress_token_there_are_comments_only() -> None:
    world = DoorWorld(parking={"keepalive_sec": 0.01})
    held = world.agent.start(call("ask", 9))
    kept = await world.only_parked()
    await held.until(lambda answered: answered.comments >= 2)
    await world.world.settle(kept.id, ReviewState.REJECTED)
    answered = await held.done()
    assert answered.events == answered.events[-1:]
    assert "rejected" in answered.text
    assert world.server.posted == []


async def test_progress_of_the_tool_goes_on_above_ours() -> None:
    world = DoorWorld(parking={"keepalive_sec": 0.01, "progress_sec": 0.01})
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    held = world.agent.start(call("ask", 9, meta={"progressToken": 4}))
    kept = await world.only_parked()
    await held.events_until(2)
    await world.world.settle(kept.id, ReviewState.SPENDABLE)
    stream.say(notification("notifications/progress", progressToken=4, progress=1, total=2))
    stream.say(result(9))
    numbers = [one["params"]["progress"] for one in (await held.done()).messages[:-1]]
    assert numbers == sorted(set(numbers))


async def test_an_agent_that_takes_no_events_is_held_in_silence(world: DoorWorld) -> None:
    held = world.agent.start(call("ask"), headers={"accept": "application/json"})
    kept = await world.only_parked()
    await world.world.settle(kept.id, ReviewState.SPENDABLE)
    answered = await held.done()
    assert (answered.status, answered.json) == (200, result())


async def test_a_hold_that_outlasts_patience_ends_in_a_ticket_that_collects() -> None:
    world = DoorWorld(parking={"hold_sec": 0.02})
    answered = await world.agent.send(call("ask", 2))
    meta = answered.message["result"]["_meta"]["interlock/call"]
    assert (meta["executed"], answered.message["result"]["isError"]) == (False, True)
    await world.world.settle(meta["call_id"], ReviewState.SPENDABLE)
    collected = await world.agent.send(call("interlock_collect", 3, ticket=meta["ticket"]))
    assert collected.message == result(3)
    (posted,) = world.server.posted
    assert posted.message["params"] == {"name": "ask", "arguments": {}}


@pytest.mark.parametrize("by", ["meta", "header"])
async def test_a_ticket_is_taken_from_meta_or_header_and_never_passed_on(by: str) -> None:
    world = DoorWorld(parking={"hold_sec": 0.02})
    first = await world.agent.send(call("ask", 2))
    meta = first.message["result"]["_meta"]["interlock/call"]
    await world.world.settle(meta["call_id"], ReviewState.SPENDABLE)
    if by == "meta":
        again = await world.agent.send(call("ask", 3, meta={"interlock/ticket": meta["ticket"], "vendor": 1}))
    else:
        again = await world.agent.send(call("ask", 3), headers={"interlock-ticket": meta["ticket"]})
    assert again.message == result(3)
    assert meta["ticket"] not in repr(world.server.posted)


async def test_two_tickets_in_one_request_are_refused(world: DoorWorld) -> None:
    message = call("allow", meta={"interlock/ticket": "ilt_a"})
    answered = await world.agent.send(message, headers={"interlock-ticket": "ilt_b"})
    assert answered.json["error"]["code"] == -32602
    assert world.server.posted == []


async def test_an_agent_that_leaves_executes_nothing_by_approval_alone(world: DoorWorld) -> None:
    held = world.agent.start(call("ask"))
    kept = await world.only_parked()
    held.leave()
    await held.done()
    await world.world.settle(kept.id, ReviewState.SPENDABLE)
    await world.world.quiet()
    assert world.server.posted == []
    again = await world.agent.send(call("ask", 8))
    assert again.message == result(8)
    assert world.server.executed == ["ask"]


# ---- cancelled ---------------------------------------------------------------------------------------------------


async def test_cancelling_a_parked_call_ends_the_wait_and_is_not_passed_on(world: DoorWorld) -> None:
    await world.agent.initialize()
    held = world.agent.start(call("ask", 11))
    await world.only_parked()
    cancelled = await world.agent.send(notification("notifications/cancelled", requestId=11, reason="bored"))
    assert (cancelled.status, cancelled.body) == (202, b"")
    answered = await held.done()
    assert answered.is_complete
    assert world.server.sent("notifications/cancelled") == []
    assert world.server.executed == []
    (review,) = world.records.reviews.values()
    assert review.state.is_open


async def test_cancelling_a_dispatched_call_is_passed_on(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    held = world.agent.start(call("allow", 11))
    await world.server.wait_for(3)
    await world.agent.send(notification("notifications/cancelled", requestId=11))
    assert len(world.server.sent("notifications/cancelled")) == 1
    stream.say(result(11))
    await held.done()
    await world.world.quiet()
    (kept,) = world.records.calls.values()
    assert (kept.state, kept.delivered_at) == (CallState.ANSWERED, None)


async def test_another_session_cancels_nothing_of_this_one(world: DoorWorld) -> None:
    await world.agent.initialize()
    other = Caller(world.door, OTHER_KEY)
    await other.initialize()
    held = world.agent.start(call("ask", 11))
    kept = await world.only_parked()
    await other.send(notification("notifications/cancelled", requestId=11))
    assert not held.left.is_set()
    await world.world.settle(kept.id, ReviewState.SPENDABLE)
    assert (await held.done()).message == result(11)


async def test_a_string_and_a_number_are_not_the_same_id_to_cancel(world: DoorWorld) -> None:
    await world.agent.initialize()
    held = world.agent.start(call("ask", 11))
    await world.only_parked()
    await world.agent.send(notification("notifications/cancelled", requestId="11"))
    assert not held.left.is_set()
    held.leave()
    await held.done()


# ---- notifications and responses ---------------------------------------------------------------------------------


async def test_a_notification_passes_with_the_servers_status(world: DoorWorld) -> None:
    await world.agent.initialize()
    answered = await world.agent.send(notification("notifications/roots/list_changed"))
    assert (answered.status, answered.body) == (202, b"")
    assert len(world.server.sent("notifications/roots/list_changed")) == 1


async def test_modern_notifications_are_acknowledged_and_dropped(world: DoorWorld) -> None:
    message = modern(notification("notifications/cancelled", requestId=1))
    answered = await world.agent.send(message, headers=modern_headers(message))
    assert answered.status == 202
    assert world.server.posted == []


async def test_an_unknown_notification_is_refused(world: DoorWorld) -> None:
    assert (await world.agent.send(notification("notifications/evil", text="x"))).status == 400
    assert world.server.posted == []


@pytest.mark.parametrize("answer", [{"result": {"roots": []}}, {"error": {"code": 1, "message": "no"}}])
async def test_an_answer_nobody_asked_for_is_refused(world: DoorWorld, answer: dict[str, Any]) -> None:
    await world.agent.initialize()
    count = len(world.server.posted)
    answered = await world.agent.send({"jsonrpc": "2.0", "id": "ilq_guess", **answer})
    assert answered.status == 400
    assert len(world.server.posted) == count


# ---- delivery ----------------------------------------------------------------------------------------------------


async def test_an_answer_counts_as_delivered_when_the_agent_was_there(world: DoorWorld) -> None:
    await world.agent.send(call("allow"))
    await world.world.quiet()
    (kept,) = world.records.calls.values()
    assert kept.delivered_at is not None


async def test_an_answer_the_agent_did_not_wait_for_is_kept_for_the_identical_call(world: DoorWorld) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    held = world.agent.start(call("allow", 1, to="a"))
    await world.server.wait_for(1)
    held.leave()
    stream.say(result(1, "once"))
    await held.done()
    await world.world.quiet()
    again = await world.agent.send(call("allow", 2, to="a"))
    assert again.text == "once"
    assert again.message["id"] == 2
    assert again.message["result"]["_meta"]["interlock/call"]["replayed"] is True
    assert world.server.executed == ["allow"]


async def test_a_second_call_of_another_agent_knows_nothing_of_the_first(world: DoorWorld) -> None:
    first, second = world.agent.start(call("ask", 1)), Caller(world.door, OTHER_KEY).start(call("ask", 1))
    await world.parked(2)
    assert len(world.records.reviews) == 2
    for held in (first, second):
        held.leave()
        await held.done()


async def test_a_notification_to_a_server_that_is_away_is_said_to_be_lost(world: DoorWorld) -> None:
    await world.agent.initialize()

    def away(posted: object) -> Reply:
        raise UpstreamFailed("no connection", sent=False)

    world.server.then("notifications/roots/list_changed", away)
    assert (await world.agent.send(notification("notifications/roots/list_changed"))).status == 502
