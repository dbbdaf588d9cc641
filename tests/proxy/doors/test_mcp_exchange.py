"""What a dispatched call gets: its own response and no other, in JSON or events, whatever the server does."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from policies.model import Classification, Decision, ToolCall
from proxy.doors.mcp_exchange import McpExchange
from proxy.exchange import Answer, AnswerKind
from proxy.upstreams.base import Reply, Sent, UpstreamFailed
from review.model import CallState, ReviewState
from tests.proxy.builders import allow, definition
from tests.proxy.doors.door_world import (
    DoorWorld,
    Posted,
    Stream,
    answers,
    by_name,
    call,
    notification,
    request,
    result,
    streams,
)


async def state_of(world: DoorWorld) -> CallState:
    await world.world.quiet()
    (kept,) = world.records.calls.values()
    state: CallState = kept.state
    return state


async def test_a_streamed_answer_is_streamed_on_message_by_message(world: DoorWorld) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3, meta={"progressToken": "p"}))
    first = notification("notifications/progress", progressToken="p", progress=1)
    stream.say(first)
    assert (await answered.events_until(1))[0].data == first
    assert not answered.is_complete
    stream.say(notification("notifications/message", level="info", data="a SECRET")).say(result(3))
    assert (await answered.done()).messages == [
        first,
        notification("notifications/message", level="info", data="a [REDACTED]"),
        result(3),
    ]


async def test_a_withheld_notification_leaves_only_its_event_id(world: DoorWorld) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(notification("notifications/message", level="info", data="POISON"), "e1").say(result(3), "e2")
    await answered.done()
    assert [(event.data, event.id) for event in answered.events] == [(None, "e1"), (result(3), "e2")]


async def test_events_are_not_sent_to_an_agent_that_takes_none(world: DoorWorld) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3), headers={"accept": "application/json"})
    stream.say(notification("notifications/message", level="info", data="x")).say(result(3))
    await answered.done()
    assert (answered.headers["content-type"], answered.json) == ("application/json", result(3))


@pytest.mark.parametrize("stray", [2, "3", None])
async def test_a_response_to_another_id_is_refused_and_the_right_one_waited_for(
    world: DoorWorld, stray: object
) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(result(stray, "somebody else's")).say(result(3))
    await answered.done()
    assert answered.messages == [result(3)]
    await world.world.quiet()
    assert len(world.entries("call_refused")) == 1


async def test_a_second_response_reaches_nobody(world: DoorWorld) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(result(3, "first")).say(result(3, "second"))
    await answered.done()
    assert [message["result"]["content"][0]["text"] for message in answered.messages] == ["first"]
    assert stream.is_closed.is_set()


async def test_progress_of_another_token_is_dropped(world: DoorWorld) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3, meta={"progressToken": "mine"}))
    stream.say(notification("notifications/progress", progressToken="theirs", progress=1)).say(result(3))
    await answered.done()
    assert answered.messages == [result(3)]


async def test_a_notification_outside_the_table_is_dropped(world: DoorWorld) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(notification("notifications/evil", text="hello")).say(result(3))
    await answered.done()
    assert answered.messages == [result(3)]


@pytest.mark.parametrize("broken", [True, False])
async def test_a_stream_that_stops_without_an_answer_leaves_the_call_in_doubt(world: DoorWorld, broken: bool) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    await world.server.wait_for(1)
    (stream.break_off if broken else stream.end)()
    await answered.done()
    assert "IN DOUBT" in answered.text
    assert await state_of(world) is CallState.IN_DOUBT
    assert world.server.executed == ["allow"]


@pytest.mark.parametrize("is_read", [True, False])
async def test_t03_only_a_read_may_go_on_a_connection_that_was_kept(world: DoorWorld, is_read: bool) -> None:
    tags = frozenset({"read"}) if is_read else frozenset({"write"})
    world.world.judging.decide = lambda _call: allow(classification=Classification(True, risk_tags=tags))
    await world.agent.send(call("allow", 3))
    assert [posted.reuse_connection for posted in world.server.posted] == [is_read]


async def test_a_call_that_never_left_may_be_repeated(world: DoorWorld) -> None:
    def refuse(posted: Posted) -> Reply:
        raise UpstreamFailed("no connection", sent=False)

    async def unsent(*args: object, **how: object) -> Reply:
        raise UpstreamFailed("no connection", sent=False)

    world.server.post = unsent  # type: ignore[method-assign, assignment]
    answered = await world.agent.send(call("allow", 3))
    assert "NOT executed" in answered.text
    assert await state_of(world) is CallState.FAILED_BEFORE_SEND


# ---- statuses (traps T20) ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 405, 406, 415])
async def test_a_status_and_its_json_rpc_error_come_back_as_the_server_gave_them(world: DoorWorld, status: int) -> None:
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no", "data": {"why": 1}}}
    world.server.then("tools/call", lambda posted: Reply(status, body=error))
    answered = await world.agent.send(call("allow", 3))
    assert (answered.status, answered.json) == (status, {**error, "id": 3})


async def test_an_error_beside_a_status_is_this_requests_whatever_id_the_server_wrote(world: DoorWorld) -> None:
    error = {"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": "Missing session ID"}}
    world.server.then("tools/call", lambda posted: Reply(400, body=error))
    answered = await world.agent.send(call("allow", 3))
    assert (answered.status, answered.json) == (400, {**error, "id": 3})


async def test_a_status_that_http_does_not_have_is_a_502(world: DoorWorld) -> None:
    error = {"jsonrpc": "2.0", "id": 3, "error": {"code": 1, "message": "no"}}
    world.server.then("tools/call", lambda posted: Reply(600, body=error))
    answered = await world.agent.send(call("allow", 3))
    assert (answered.status, answered.json) == (502, error)


@pytest.mark.parametrize("status", [400, 404, 405, 406])
async def test_a_bare_status_stays_bare(world: DoorWorld, status: int) -> None:
    world.server.then("tools/call", lambda posted: Reply(status))
    answered = await world.agent.send(call("allow", 3))
    assert (answered.status, answered.body) == (status, b"")


@pytest.mark.parametrize("status", [401, 403, 407])
async def test_what_concerns_the_gates_own_credentials_is_not_put_to_the_agent(world: DoorWorld, status: int) -> None:
    world.server.then("tools/call", lambda posted: Reply(status, {"www-authenticate": "Bearer resource=x"}))
    answered = await world.agent.send(call("allow", 3))
    assert answered.status == 502
    assert "www-authenticate" not in answered.headers


async def test_free_text_in_an_error_is_inspected(world: DoorWorld) -> None:
    error = {"jsonrpc": "2.0", "id": 3, "error": {"code": 7, "message": "a SECRET"}}
    world.server.then("tools/call", lambda posted: Reply(400, body=error))
    answered = await world.agent.send(call("allow", 3))
    assert (answered.status, answered.json["error"]) == (400, {"code": 7, "message": "a [REDACTED]"})


@pytest.mark.parametrize(
    "body", [{"jsonrpc": "2.0", "id": 4, "result": {}}, {"hello": 1}, {"jsonrpc": "2.0", "method": "x"}]
)
async def test_a_body_that_is_no_answer_to_this_leaves_the_call_in_doubt(
    world: DoorWorld, body: dict[str, object]
) -> None:
    world.server.then("tools/call", lambda posted: Reply(200, body=body))
    answered = await world.agent.send(call("allow", 3))
    assert "IN DOUBT" in answered.text
    assert await state_of(world) is CallState.IN_DOUBT


async def test_a_202_to_a_call_leaves_it_in_doubt(world: DoorWorld) -> None:
    world.server.then("tools/call", lambda posted: Reply(202))
    assert "IN DOUBT" in (await world.agent.send(call("allow", 3))).text


async def test_a_late_status_becomes_an_error_on_the_stream() -> None:
    world = DoorWorld(parking={"keepalive_sec": 0.01})
    error = {"jsonrpc": "2.0", "id": 3, "error": {"code": -32602, "message": "Unknown tool"}}
    world.server.then("tools/call", lambda posted: Reply(400, body=error))
    held = world.agent.start(call("ask", 3))
    kept = await world.only_parked()
    await held.until(lambda answered: answered.status == 200)
    await world.world.settle(kept.id, ReviewState.SPENDABLE)
    answered = await held.done()
    assert (answered.status, answered.messages) == (200, [error])


# ---- inspection ----------------------------------------------------------------------------------------------------


async def test_a_redacted_result_says_what_was_taken_out(world: DoorWorld) -> None:
    world.server.then("tools/call", answers(result(1, "a SECRET")))
    answered = await world.agent.send(call("allow", 3))
    assert answered.text == "a [REDACTED]"
    assert answered.json["result"]["_meta"]["interlock/call"]["original_fields_redacted"] == 1


async def test_a_quarantined_result_never_reaches_the_agent(world: DoorWorld) -> None:
    world.server.then("tools/call", answers(result(1, "POISON")))
    answered = await world.agent.send(call("allow", 3))
    assert "POISON" not in answered.body.decode()
    assert "EXECUTED" in answered.text


# ---- a server that restarted ------------------------------------------------------------------------------------


async def test_a_server_that_lost_its_sessions_is_shaken_hands_with_again_and_the_call_is_sent_once_more(
    world: DoorWorld,
) -> None:
    await world.agent.initialize()
    world.server.restart()
    answered = await world.agent.send(call("allow", 3))
    assert answered.json == result(3)
    methods = [one.message["method"] for one in world.server.posted[2:]]
    assert methods == ["tools/call", "ping", "initialize", "notifications/initialized", "tools/call"]
    assert world.server.posted[4].message["params"]["clientInfo"] == {"name": "tester", "version": "1"}
    assert world.server.posted[-1].session == "upstream-2"


async def test_a_server_that_came_back_with_another_tool_of_that_name_is_not_sent_the_call(world: DoorWorld) -> None:
    await world.agent.initialize()
    world.definitions.after_change = replace(definition("allow"), digest="another")
    world.server.restart()
    answered = await world.agent.send(call("allow", 3))
    assert "NOT executed" in answered.text
    assert len(world.server.sent("tools/call")) == 1  # the one that got 404


async def test_a_server_that_came_back_with_another_revision_has_its_404_passed_on(world: DoorWorld) -> None:
    await world.agent.initialize()
    world.server.restart()
    older = {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}
    world.server.then("initialize", answers({"jsonrpc": "2.0", "id": 0, "result": older}))
    assert (await world.agent.send(call("allow", 3))).status == 404


# ---- what a result asks for (2026-07-28) ---------------------------------------------------------------------------


def asking(method: str) -> dict[str, object]:
    requests = {"q1": {"method": method, "params": {"message": "who?"}}}
    return {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "input_required", "inputRequests": requests}}


def elicitation_allowed(call: ToolCall) -> Decision:
    return allow() if call.tool == "mcp.elicitation/create" else by_name(call)


async def test_an_allowed_question_in_a_result_passes_with_it() -> None:
    world = DoorWorld(elicitation_allowed)
    world.server.then("tools/call", answers(asking("elicitation/create")))
    answered = await world.agent.modern(call("allow", 1))
    assert answered.json == asking("elicitation/create")
    await world.world.quiet()
    assert len(world.entries("call_decided")) == 2


async def test_a_denied_question_in_a_result_replaces_the_whole_result(world: DoorWorld) -> None:
    world.server.then("tools/call", answers(asking("elicitation/create")))
    answered = await world.agent.modern(call("allow", 1))
    assert "who?" not in answered.body.decode()
    assert answered.json["result"]["isError"] is True
    assert answered.json["result"]["resultType"] == "complete"


@pytest.mark.parametrize(
    "requests", [[], "x", {"q": 1}, {"q": {"method": 3}}, {"q": {"method": "roots/list", "params": 3}}]
)
async def test_questions_that_cannot_be_read_are_not_passed_on(world: DoorWorld, requests: object) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "input_required", "inputRequests": requests}}
    world.server.then("tools/call", answers(message))
    answered = await world.agent.modern(call("allow", 1))
    assert answered.json["result"]["isError"] is True


async def test_p08_a_denied_question_is_not_had_by_a_repeat_in_another_revision(world: DoorWorld) -> None:
    world.server.then("tools/call", answers(asking("elicitation/create")))
    answered = await world.agent.send(call("allow", 1))
    assert "who?" not in answered.body.decode()
    assert answered.json["result"]["isError"] is True


async def test_what_the_agent_answers_is_part_of_the_judged_call(world: DoorWorld) -> None:
    message = call("allow", 2)
    message["params"] |= {"inputResponses": {"q1": {"action": "accept"}}, "requestState": "opaque"}
    await world.agent.modern(message)
    await world.world.quiet()
    (kept,) = world.records.calls.values()
    responses = {"q1": {"action": "accept"}}
    assert kept.proposed == {"arguments": {}, "input_responses": responses, "request_state": "opaque"}
    sent = world.server.posted[0].message["params"]
    assert (sent["inputResponses"], sent["requestState"]) == ({"q1": {"action": "accept"}}, "opaque")


# ---- corners -------------------------------------------------------------------------------------------------------


async def test_an_error_that_is_no_json_rpc_keeps_its_status_and_is_inspected(world: DoorWorld) -> None:
    world.server.then("tools/call", lambda posted: Reply(400, body={"detail": "a SECRET"}))
    answered = await world.agent.send(call("allow", 3))
    assert (answered.status, answered.json["id"]) == (400, 3)
    assert answered.json["error"]["data"] == {"detail": "a [REDACTED]"}


async def test_a_server_that_came_back_without_telling_its_tools_is_not_sent_the_call(world: DoorWorld) -> None:
    await world.agent.initialize()
    world.server.restart()
    known = world.definitions.changed

    def away(server: str) -> None:
        known(server)
        world.definitions.is_unavailable = True

    world.definitions.changed = away  # type: ignore[method-assign]
    answered = await world.agent.send(call("allow", 3))
    assert "NOT executed" in answered.text
    assert len(world.server.sent("tools/call")) == 1


async def test_another_method_is_repeated_to_a_server_that_came_back(world: DoorWorld) -> None:
    await world.agent.initialize()
    world.server.restart()
    answered = await world.agent.send(request("resources/read", 4, uri="file:///a"))
    assert answered.json == result(4)


async def test_a_call_of_another_server_is_not_sent_from_here(world: DoorWorld) -> None:
    exchanges: list[McpExchange] = []

    async def keep(exchange: McpExchange) -> Answer:
        exchanges.append(exchange)
        return Answer(AnswerKind.DENIED, "call_1", "no")

    world.world.runner.call = keep  # type: ignore[method-assign, assignment]
    await world.agent.send(call("allow", 3))
    (exchange,) = exchanges
    with pytest.raises(UpstreamFailed) as failed:
        await exchange.dispatch(replace(exchange.call, server="files"), Sent())
    assert not failed.value.sent
    assert world.server.posted == []


async def test_p14_a_call_that_is_over_is_gone_without_the_collector(world: DoorWorld) -> None:
    """Arguments and answers may be megabytes: they are not to lie about until somebody looks for cycles."""
    gc.collect()
    gc.disable()
    try:
        await world.agent.send(call("allow", 3))
        await world.world.quiet()
        assert [one for one in gc.get_objects() if isinstance(one, McpExchange)] == []
    finally:
        gc.enable()
