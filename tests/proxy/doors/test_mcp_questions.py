"""Requests of a tool server to the agent: judged, inspected, bound to one session; the tool always gets a response."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from policies.model import Decision, Direction, ToolCall
from proxy.upstreams.base import Reply, UpstreamFailed
from review.model import ReviewState
from tests.proxy.builders import ask, deny
from tests.proxy.doors.door_world import (
    OTHER_KEY,
    Answered,
    Caller,
    DoorWorld,
    Stream,
    by_name,
    call,
    modern,
    modern_headers,
    notification,
    request,
    result,
    streams,
)

SAMPLE = request("sampling/createMessage", "s-1", messages=[{"role": "user"}], maxTokens=5)
SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "hi"}, "model": "m"}


async def asked(world: DoorWorld, question: dict[str, Any] = SAMPLE) -> tuple[Answered, Stream, Any]:
    """A call under way whose tool has asked something, and what the agent sees of it."""
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(question)
    (event,) = await answered.events_until(1)
    return answered, stream, event.data


def responses(world: DoorWorld) -> list[Any]:
    return [one.message for one in world.server.posted if "method" not in one.message]


async def until_responded(world: DoorWorld, count: int = 1) -> list[Any]:

    async with asyncio.timeout(5):
        while len(responses(world)) < count:
            world.server.arrived.clear()
            await world.server.arrived.wait()
    return responses(world)


async def test_a_question_goes_to_the_agent_and_its_answer_back_to_the_tool(world: DoorWorld) -> None:
    answered, stream, question = await asked(world)
    assert question["id"] != "s-1"
    assert (question["method"], question["params"]) == ("sampling/createMessage", SAMPLE["params"])
    taken = await world.agent.send({"jsonrpc": "2.0", "id": question["id"], "result": SAMPLED})
    assert (taken.status, taken.body) == (202, b"")
    assert await until_responded(world) == [{"jsonrpc": "2.0", "id": "s-1", "result": SAMPLED}]
    stream.say(result(3))
    assert (await answered.done()).message == result(3)
    await world.world.quiet()
    directions = {kept.direction for kept in world.records.calls.values()}
    assert directions == {"agent_to_tool", "tool_to_agent", "agent_answer"}
    assert all(kept.delivered_at is not None for kept in world.records.calls.values())


async def test_the_agents_error_goes_back_as_an_error(world: DoorWorld) -> None:
    _, _, question = await asked(world)
    error = {"code": -1, "message": "the user said no"}
    await world.agent.send({"jsonrpc": "2.0", "id": question["id"], "error": error})
    assert await until_responded(world) == [{"jsonrpc": "2.0", "id": "s-1", "error": error}]


async def test_a_question_policy_denies_is_answered_with_an_error_and_never_told(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(request("elicitation/create", 7, message="your password?", requestedSchema={}))
    (refused,) = await until_responded(world)
    assert (refused["id"], refused["error"]["code"]) == (7, -32010)
    stream.say(result(3))
    assert (await answered.done()).messages == [result(3)]


async def test_a_question_that_is_withheld_is_answered_with_an_error(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(request("sampling/createMessage", 7, messages=["POISON"]))
    (refused,) = await until_responded(world)
    assert "error" in refused
    stream.say(result(3))
    assert "POISON" not in (await answered.done()).body.decode()


async def test_a_question_is_redacted_before_it_is_told(world: DoorWorld) -> None:
    _, _, question = await asked(world, request("sampling/createMessage", 7, messages=["a SECRET"]))
    assert question["params"] == {"messages": ["a [REDACTED]"]}


def answers_denied(call: ToolCall) -> Decision:
    return deny() if call.direction is Direction.AGENT_ANSWER else by_name(call)


async def test_an_answer_policy_denies_never_reaches_the_tool() -> None:
    world = DoorWorld(answers_denied)
    answered, stream, question = await asked(world)
    taken = await world.agent.send({"jsonrpc": "2.0", "id": question["id"], "result": SAMPLED})
    assert taken.status == 202
    (refused,) = await until_responded(world)
    assert (refused["id"], "assistant" in repr(refused)) == ("s-1", False)
    stream.say(result(3))
    await answered.done()
    assert len(responses(world)) == 1


def answers_asked_about(call: ToolCall) -> Decision:
    return ask() if call.direction is Direction.AGENT_ANSWER else by_name(call)


async def test_p06_an_approved_answer_is_for_the_question_it_answered_and_no_other() -> None:
    """Yes to one thing is no yes to another: most answers read the same."""
    world = DoorWorld(answers_asked_about)
    answered, stream, first = await asked(world)
    await world.agent.send({"jsonrpc": "2.0", "id": first["id"], "result": SAMPLED})
    kept = await world.only_parked()
    stream.say(result(3))
    await answered.done()  # its question is over
    async with asyncio.timeout(5):
        while world.world.parking.held:  # and nobody waits for the answer any more
            await asyncio.sleep(0)
    await world.world.settle(kept.id, ReviewState.SPENDABLE)
    again = Stream()
    world.server.then("tools/call", streams(again))
    calling = world.agent.start(call("allow", 4))
    again.say(SAMPLE | {"id": "s-2", "params": SAMPLE["params"] | {"maxTokens": 5_000}})
    (event,) = await calling.events_until(1)
    await world.agent.send({"jsonrpc": "2.0", "id": event.data["id"], "result": SAMPLED})
    async with asyncio.timeout(5):
        while not (world.world.parking.held or any(one["id"] == "s-2" for one in responses(world))):
            await asyncio.sleep(0)
    await world.world.quiet()
    assert [one for one in responses(world) if one["id"] == "s-2"] == []
    assert [one.direction for one in world.records.calls.values()].count("agent_answer") == 2
    again.say(result(4))
    await calling.done()


async def test_only_the_session_that_was_asked_may_answer(world: DoorWorld) -> None:
    answered, stream, question = await asked(world)
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": SAMPLED}
    other = Caller(world.door, OTHER_KEY)
    await other.initialize()
    assert (await other.send(answer)).status == 400
    own = world.agent.session
    await world.agent.initialize()
    assert (await world.agent.send(answer)).status == 400
    world.agent.session = None
    assert (await world.agent.send(answer)).status == 400
    assert responses(world) == []
    world.agent.session = own
    assert (await world.agent.send(answer)).status == 202
    await until_responded(world)
    stream.say(result(3))
    await answered.done()


async def test_a_question_is_answered_once(world: DoorWorld) -> None:
    answered, stream, question = await asked(world)
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": SAMPLED}
    first, second = world.agent.start(answer), world.agent.start(answer)
    assert sorted([(await first.done()).status, (await second.done()).status]) == [202, 400]
    await until_responded(world)
    stream.say(result(3))
    await answered.done()
    assert len(responses(world)) == 1


async def test_a_question_nobody_answers_in_time_is_answered_with_an_error() -> None:
    world = DoorWorld(servers={"payments": {"url": "http://127.0.0.1:9/mcp", "timeout_sec": 0.02}})
    answered, stream, question = await asked(world)
    (refused,) = await until_responded(world)
    assert refused["error"]["message"] == "The agent did not answer this request."
    late = await world.agent.send({"jsonrpc": "2.0", "id": question["id"], "result": SAMPLED})
    assert late.status == 400
    stream.say(result(3))
    await answered.done()


async def test_a_question_ends_with_the_call_that_asked_it(world: DoorWorld) -> None:
    answered, stream, _ = await asked(world)
    stream.say(result(3))
    await answered.done()
    (refused,) = await until_responded(world)
    assert "error" in refused


async def test_a_parked_question_gets_its_error_when_patience_ends() -> None:

    def asks(call: ToolCall) -> Decision:
        return ask() if call.direction is Direction.TOOL_TO_AGENT else by_name(call)

    world = DoorWorld(asks, parking={"hold_sec": 0.02})
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(SAMPLE)
    (refused,) = await until_responded(world)
    assert "error" in refused
    stream.say(result(3))
    assert (await answered.done()).messages == [result(3)]


async def test_an_agent_that_takes_no_events_cannot_be_asked(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3), headers={"accept": "application/json"})
    stream.say(SAMPLE)
    (refused,) = await until_responded(world)
    assert "error" in refused
    stream.say(result(3))
    await answered.done()


async def test_a_ping_of_the_server_is_answered_by_the_gate(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(request("ping", 7))
    assert await until_responded(world) == [{"jsonrpc": "2.0", "id": 7, "result": {}}]
    stream.say(result(3))
    assert (await answered.done()).messages == [result(3)]


async def test_a_request_the_revision_does_not_have_is_refused(world: DoorWorld) -> None:
    await world.agent.initialize("2024-11-05")
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(request("elicitation/create", 7, message="?"))
    (refused,) = await until_responded(world)
    assert refused["error"]["code"] == -32010
    stream.say(result(3))
    assert (await answered.done()).messages == [result(3)]


async def test_in_the_modern_revision_a_request_on_the_wire_is_refused(world: DoorWorld) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    message = modern(call("allow", 3))
    answered = world.agent.start(message, headers=modern_headers(message))
    stream.say(SAMPLE).say(result(3))
    await answered.done()
    assert [one["id"] for one in answered.messages] == [3]
    assert responses(world) == []


async def test_a_question_on_a_resumed_stream_is_put_again_not_anew(world: DoorWorld) -> None:
    answered, stream, question = await asked(world)
    push = Stream()
    world.server.gets.append(push.reply())
    resumed = world.agent.start(verb="GET")
    push.say(SAMPLE, "e5")
    (event,) = await resumed.events_until(1)
    assert (event.data, event.id) == (question, "e5")
    await world.agent.send({"jsonrpc": "2.0", "id": question["id"], "result": SAMPLED})
    await until_responded(world)
    stream.say(result(3))
    await answered.done()
    push.end()
    await resumed.done()
    assert len(responses(world)) == 1


async def test_two_questions_at_once_are_kept_apart(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(request("sampling/createMessage", 1, messages=["one"]))
    stream.say(request("sampling/createMessage", "1", messages=["two"]))
    told = {event.data["params"]["messages"][0]: event.data["id"] for event in await answered.events_until(2)}
    await world.agent.send({"jsonrpc": "2.0", "id": told["two"], "result": {"of": "two"}})
    await until_responded(world, 1)
    await world.agent.send({"jsonrpc": "2.0", "id": told["one"], "result": {"of": "one"}})
    assert await until_responded(world, 2) == [
        {"jsonrpc": "2.0", "id": "1", "result": {"of": "two"}},
        {"jsonrpc": "2.0", "id": 1, "result": {"of": "one"}},
    ]
    stream.say(result(3))
    await answered.done()


@pytest.mark.parametrize(
    "answer", [{"jsonrpc": "2.0", "id": 5, "result": {}}, {"jsonrpc": "2.0", "id": "ilq_no", "result": {}}]
)
async def test_an_unknown_id_is_refused(world: DoorWorld, answer: dict[str, Any]) -> None:
    await asked(world)
    assert (await world.agent.send(answer)).status == 400
    assert responses(world) == []


async def test_a_question_the_server_takes_back_is_taken_back_from_the_agent(world: DoorWorld) -> None:
    answered, stream, question = await asked(world)
    stream.say(notification("notifications/cancelled", requestId="s-1", reason="SECRET"))
    events = await answered.events_until(2)
    assert events[1].data == notification("notifications/cancelled", requestId=question["id"])
    late = await world.agent.send({"jsonrpc": "2.0", "id": question["id"], "result": SAMPLED})
    assert late.status == 400
    stream.say(result(3))
    await answered.done()
    assert responses(world) == []


async def test_taking_back_what_was_never_asked_tells_nobody_anything(world: DoorWorld) -> None:
    answered, stream, _ = await asked(world)
    stream.say(notification("notifications/cancelled", requestId="s-2")).say(result(3))
    await answered.done()
    assert [message.get("method") for message in answered.messages] == ["sampling/createMessage", None]


async def test_without_a_session_nobody_can_be_asked_and_the_tool_is_told_so(world: DoorWorld) -> None:
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(SAMPLE).say(notification("notifications/cancelled", requestId="s-1"))
    (refused,) = await until_responded(world)
    assert (refused["id"], refused["error"]["code"]) == ("s-1", -32010)
    stream.say(result(3))
    assert (await answered.done()).messages == [result(3)]


async def test_what_the_server_says_about_its_question_goes_with_it(world: DoorWorld) -> None:
    meta = {"progressToken": 5}
    _, _, question = await asked(world, request("roots/list", 7, _meta=meta))
    assert question["params"] == {"_meta": meta}
    bare = DoorWorld()
    _, _, plain = await asked(bare, request("roots/list", 7))
    assert "params" not in plain


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_tool_that_refuses_the_answer_is_not_given_another(world: DoorWorld, status: int) -> None:
    answered, stream, question = await asked(world)
    world.server.then("(response)", lambda posted: Reply(status))
    await world.agent.send({"jsonrpc": "2.0", "id": question["id"], "result": SAMPLED})
    await until_responded(world)
    stream.say(result(3))
    await answered.done()


async def test_an_answer_that_is_lost_on_its_way_is_in_doubt_and_not_doubled(world: DoorWorld) -> None:
    answered, stream, question = await asked(world)

    def lost(posted: object) -> Reply:
        raise UpstreamFailed("it broke off", sent=True)

    world.server.then("(response)", lost)
    await world.agent.send({"jsonrpc": "2.0", "id": question["id"], "result": SAMPLED})
    await until_responded(world)
    stream.say(result(3))
    await answered.done()
    await world.world.quiet()
    states = {kept.direction: kept.state.value for kept in world.records.calls.values()}
    assert states["agent_answer"] == "in_doubt"
    assert len(responses(world)) == 1
