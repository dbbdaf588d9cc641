"""A stream the server ended before answering (SEP-1699): the agent's resumption, or ours; one dispatch either way."""

from __future__ import annotations

import pytest

from proxy.doors import mcp_resume
from proxy.upstreams.base import Reply, UpstreamFailed
from review.model import CallState
from tests.proxy.doors.door_world import Answered, DoorWorld, Stream, call, notification, result, streams


async def polled(world: DoorWorld, *, retry_ms: int | None = 10) -> Answered:
    """A call whose server primed its stream and ended it."""
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(None, "e1", retry_ms).end()
    await answered.until(lambda one: one.is_complete)
    return answered


async def outcome(world: DoorWorld) -> CallState:
    await world.world.quiet()
    (kept,) = world.records.calls.values()
    state: CallState = kept.state
    return state


async def test_the_agents_stream_ends_with_the_servers_and_its_resumption_brings_the_answer(world: DoorWorld) -> None:
    answered = await polled(world)
    assert [(event.data, event.id, event.retry) for event in answered.events] == [(None, "e1", 10)]
    stream = Stream()
    world.server.gets.append(stream.reply())
    resumed = world.agent.start(verb="GET", headers={"last-event-id": "e1"})
    said = notification("notifications/message", level="info", data="half way")
    stream.say(said, "e2").say(result(3), "e3").end()
    await resumed.done()
    await answered.done()
    assert [(event.data, event.id) for event in resumed.events] == [(said, "e2"), (result(3), "e3")]
    assert world.server.executed == ["allow"]
    assert [headers["last-event-id"] for headers in world.server.got] == ["e1"]
    assert await outcome(world) is CallState.ANSWERED


async def test_an_agent_that_resumes_twice_gets_it_the_second_time(world: DoorWorld) -> None:
    answered = await polled(world)
    for number in (1, 2):
        stream = Stream()
        world.server.gets.append(stream.reply())
        resumed = world.agent.start(verb="GET", headers={"last-event-id": f"e{number}"})
        if number == 2:
            stream.say(result(3), "e3")
        else:
            stream.say(None, "e2", 10)
        stream.end()
        await resumed.done()
    await answered.done()
    assert resumed.messages == [result(3)]


async def test_if_the_agent_does_not_come_we_resume_to_learn_the_outcome(
    world: DoorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_resume, "AGENT_GRACE_SEC", 0.01)
    stream = Stream()
    world.server.gets.append(stream.reply())
    stream.say(notification("notifications/message", level="info", data="x"), "e2").say(result(3), "e3")
    answered = await polled(world)
    await answered.done()
    assert await outcome(world) is CallState.ANSWERED
    (kept,) = world.records.calls.values()
    assert kept.delivered_at is None
    assert world.server.executed == ["allow"]


async def test_an_outcome_learnt_so_is_what_the_agent_gets_when_it_resumes_later(
    world: DoorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_resume, "AGENT_GRACE_SEC", 0.01)
    first, second = Stream(), Stream()
    world.server.gets += [first.reply(), second.reply()]
    first.say(result(3), "e3")
    await (await polled(world)).done()
    resumed = world.agent.start(verb="GET", headers={"last-event-id": "e1"})
    second.say(result(3), "e3").end()
    assert (await resumed.done()).messages == [result(3)]


async def test_a_stream_that_breaks_is_resumed_by_us_on_the_agents_open_stream(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream, again = Stream(), Stream()
    world.server.then("tools/call", streams(stream))
    world.server.gets.append(again.reply())
    answered = world.agent.start(call("allow", 3))
    stream.say(None, "e1", 10).break_off()
    again.say(notification("notifications/message", level="info", data="x"), "e2").say(result(3), "e3")
    await answered.done()
    assert [event.id for event in answered.events] == ["e1", "e2", "e3"]
    assert answered.message == result(3)
    assert world.server.executed == ["allow"]


async def test_an_agent_that_takes_no_events_has_its_answer_fetched(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream, again = Stream(), Stream()
    world.server.then("tools/call", streams(stream))
    world.server.gets.append(again.reply())
    answered = world.agent.start(call("allow", 3), headers={"accept": "application/json"})
    stream.say(None, "e1", 10).end()
    again.say(result(3), "e2")
    assert (await answered.done()).json == result(3)


@pytest.mark.parametrize("gone", [Reply(404), Reply(405)])
async def test_a_server_that_forgot_the_stream_leaves_the_call_in_doubt(
    world: DoorWorld, gone: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_resume, "AGENT_GRACE_SEC", 0.01)
    world.server.gets.append(gone)
    await (await polled(world)).done()
    assert await outcome(world) is CallState.IN_DOUBT
    assert world.server.executed == ["allow"]


async def test_a_server_that_stays_away_leaves_the_call_in_doubt(
    world: DoorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_resume, "AGENT_GRACE_SEC", 0.01)
    world.server.gets += [UpstreamFailed("no connection", sent=False)] * mcp_resume.FAILURES_MAX
    await (await polled(world)).done()
    assert await outcome(world) is CallState.IN_DOUBT
    assert len(world.server.got) == mcp_resume.FAILURES_MAX


async def test_the_wait_ends_with_the_servers_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = DoorWorld(servers={"payments": {"url": "http://127.0.0.1:9/mcp", "timeout_sec": 0.05}})
    monkeypatch.setattr(mcp_resume, "AGENT_GRACE_SEC", 0.1)
    world.server.gets += [Stream().end().reply() for _ in range(20)]
    await (await polled(world)).done()
    assert await outcome(world) is CallState.IN_DOUBT


async def test_without_an_event_id_nothing_can_be_resumed(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(None, None, 10).end()
    assert "IN DOUBT" in (await answered.done()).text
    assert world.server.got == []


async def test_an_event_id_that_is_too_long_is_not_passed_on(world: DoorWorld) -> None:
    await world.agent.initialize()
    stream = Stream()
    world.server.then("tools/call", streams(stream))
    answered = world.agent.start(call("allow", 3))
    stream.say(result(3), "e" * 5_000)
    assert [(event.data, event.id) for event in (await answered.done()).events] == [(result(3), None)]
