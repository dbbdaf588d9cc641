"""The GET stream and DELETE: what is said unasked, what is said again, and the end of a session."""

from __future__ import annotations

import pytest

from policies.model import OutputRules
from proxy.upstreams.base import Reply, UpstreamFailed
from redaction.model import Inspection, Outcome
from review.model import ReviewState
from tests.proxy.doors.door_world import (
    OTHER_KEY,
    Answered,
    Caller,
    DoorWorld,
    Stream,
    call,
    notification,
    request,
    result,
    streams,
)

UPDATED = notification("notifications/resources/updated", uri="file:///a")


async def listening(world: DoorWorld, **headers: str) -> tuple[Answered, Stream]:
    await world.agent.initialize()
    stream = Stream()
    world.server.gets.append(stream.reply())
    return world.agent.start(verb="GET", headers=headers), stream


async def test_what_the_server_says_unasked_is_inspected_and_passed_on(world: DoorWorld) -> None:
    answered, stream = await listening(world)
    stream.say(None, "e0", 500).say(UPDATED, "e1").say(notification("notifications/message", data="POISON"), "e2")
    stream.say(notification("notifications/message", data="a SECRET")).end()
    await answered.done()
    assert (answered.status, answered.headers["content-type"]) == (200, "text/event-stream")
    assert [(event.data, event.id, event.retry) for event in answered.events] == [
        (None, "e0", 500),
        (UPDATED, "e1", None),
        (None, "e2", None),
        (notification("notifications/message", data="a [REDACTED]"), None, None),
    ]


async def test_a_changed_list_of_tools_is_told_to_the_inventory(world: DoorWorld) -> None:
    answered, stream = await listening(world)
    stream.say(notification("notifications/tools/list_changed")).end()
    await answered.done()
    assert world.definitions.changes == ["payments"]
    assert answered.messages == [notification("notifications/tools/list_changed")]


async def heard(world: DoorWorld, event_id: str) -> None:
    """The agent has got this event on a stream of its session."""
    answered, stream = await listening(world)
    stream.say(None, event_id).end()
    await answered.done()


async def test_last_event_id_is_passed_to_the_server_and_the_session_is_its_own(world: DoorWorld) -> None:
    await heard(world, "e7")
    stream = Stream()
    world.server.gets.append(stream.end().reply())
    await world.agent.send(verb="GET", headers={"last-event-id": "e7"})
    headers = world.server.got[-1]
    assert (headers["last-event-id"], headers["mcp-protocol-version"]) == ("e7", "2025-11-25")


async def test_s7_a_stream_is_resumed_only_in_the_session_it_was_of(world: DoorWorld) -> None:
    """Some servers replay whatever stream an event id is of, to whoever names it."""
    await heard(world, "e7")
    first, count = world.agent.session, len(world.server.got)
    await world.agent.initialize()
    for session in (world.agent.session, None):
        headers = {"last-event-id": "e7", "mcp-session-id": session}
        assert (await world.agent.send(verb="GET", headers=headers)).status == 400
    assert len(world.server.got) == count
    world.agent.session = first
    assert (await world.agent.send(verb="GET", headers={"last-event-id": "e8"})).status == 400
    assert len(world.server.got) == count
    await world.world.quiet()
    assert len(world.entries("call_refused")) == 3


async def test_s7_progress_for_another_session_is_not_passed_on(world: DoorWorld) -> None:
    await world.agent.initialize()
    await world.agent.send(call("allow", 3, meta={"progressToken": "mine"}))
    stream = Stream()
    world.server.gets.append(stream.reply())
    for token in ("mine", "another's"):
        stream.say(notification("notifications/progress", progressToken=token, progress=1))
    stream.end()
    answered = await world.agent.send(verb="GET")
    assert [message["params"]["progressToken"] for message in answered.messages] == ["mine"]


async def test_a_stream_is_kept_alive_while_nothing_is_said() -> None:
    world = DoorWorld(parking={"keepalive_sec": 0.01})
    answered, stream = await listening(world)
    await answered.until(lambda one: one.comments >= 2)
    stream.end()
    await answered.done()
    assert answered.events == []


async def test_when_the_agent_leaves_the_servers_stream_is_closed(world: DoorWorld) -> None:
    answered, stream = await listening(world)
    await answered.until(lambda one: one.status == 200)
    answered.leave()
    await answered.done()
    assert stream.is_closed.is_set()


async def test_a_stream_that_breaks_ends_the_agents(world: DoorWorld) -> None:
    answered, stream = await listening(world)
    stream.say(UPDATED).break_off()
    await answered.done()
    assert answered.messages == [UPDATED]


@pytest.mark.parametrize("status", [400, 404, 405, 406, 409])
async def test_a_server_without_a_stream_has_its_status_passed_on(world: DoorWorld, status: int) -> None:
    await world.agent.initialize()
    world.server.gets.append(Reply(status, {"allow": "POST"}, body={"error": "a SECRET"}))
    answered = await world.agent.send(verb="GET")
    assert (answered.status, answered.headers["allow"]) == (status, "POST")
    assert answered.json == {"error": "a [REDACTED]"}


async def test_a_server_that_is_away_is_said_to_be(world: DoorWorld) -> None:
    await world.agent.initialize()
    world.server.gets.append(UpstreamFailed("no connection", sent=False))
    assert (await world.agent.send(verb="GET")).status == 502


async def test_another_agents_session_is_not_found(world: DoorWorld) -> None:
    await world.agent.initialize()
    other = Caller(world.door, OTHER_KEY)
    other.session = world.agent.session
    for verb in ("GET", "DELETE", "POST"):
        assert (await other.send(request("ping"), verb=verb)).status == 404
    assert world.server.got == []
    assert world.server.deleted == []
    await world.world.quiet()
    assert [entry.actor for entry in world.entries("call_refused")] == ["agent:other"] * 3


async def test_a_stream_of_a_server_that_lost_its_sessions_is_opened_in_a_new_one(world: DoorWorld) -> None:
    await heard(world, "e9")
    count = len(world.server.got)
    world.server.restart()
    stream = Stream()
    world.server.gets.append(stream.reply())
    answered = world.agent.start(verb="GET", headers={"last-event-id": "e9"})
    stream.say(UPDATED).end()
    assert (await answered.done()).messages == [UPDATED]
    assert ["last-event-id" in headers for headers in world.server.got[count:]] == [True, False]


# ---- responses on it -----------------------------------------------------------------------------------------------


async def test_a_response_to_a_call_of_this_session_is_answered_here(world: DoorWorld) -> None:
    world.agent.revision = "2025-11-25"
    push, stream = await listening(world)
    posted = Stream()
    world.server.then("tools/call", streams(posted))
    waiting = world.agent.start(call("allow", 3))
    posted.say(None, "p1").end()
    await waiting.until(lambda one: one.is_complete)
    assert [event.id for event in waiting.events] == ["p1"]
    stream.say(result(3, "a SECRET"), "p2")
    (event,) = await push.events_until(1)
    assert event.id == "p2"
    assert event.data["result"]["content"][0]["text"] == "a [REDACTED]"
    stream.end()
    await push.done()
    await world.world.quiet()
    (kept,) = world.records.calls.values()
    assert kept.delivered_at is not None


@pytest.mark.parametrize("stray", [result(99), result("3"), result(None)])
async def test_a_response_to_nothing_of_this_session_is_refused(world: DoorWorld, stray: dict[str, object]) -> None:
    answered, stream = await listening(world)
    stream.say(stray, "e1").say(UPDATED).end()
    await answered.done()
    assert answered.messages == [UPDATED]
    await world.world.quiet()
    assert len(world.entries("call_refused")) == 1


async def test_a_response_to_a_call_not_yet_sent_is_refused(world: DoorWorld) -> None:
    push, stream = await listening(world)
    held = world.agent.start(call("ask", 3))
    await world.only_parked()
    stream.say(result(3, "forged")).say(UPDATED)
    await push.events_until(1)
    assert push.messages == [UPDATED]
    held.leave()
    await held.done()
    stream.end()
    await push.done()


async def test_a_response_said_again_is_inspected_again_under_its_own_rules(world: DoorWorld) -> None:
    await world.agent.initialize()
    posted = Stream()
    world.server.then("tools/call", streams(posted))
    waiting = world.agent.start(call("allow", 3))
    posted.say(None, "p1").say(result(3), "p2")
    await waiting.done()
    for text, expected in (("a SECRET", "a [REDACTED]"), ("POISON", "EXECUTED, but its output is withheld")):
        stream = Stream()
        world.server.gets.append(stream.reply())
        again = world.agent.start(verb="GET", headers={"last-event-id": "p1"})
        stream.say(result(3, text), "p2").end()
        await again.done()
        (event,) = again.events
        assert event.id == "p2"
        assert event.data["result"]["content"][0]["text"].startswith(expected)


async def test_p08_an_output_that_people_hold_is_not_had_by_resuming_its_stream(world: DoorWorld) -> None:
    await world.agent.initialize()
    posted = Stream()
    world.server.then("tools/call", streams(posted))
    waiting = world.agent.start(call("allow", 3))
    posted.say(None, "p1").say(result(3, "POISON"), "p2")
    await waiting.done()
    world.world.inspector.inspect_with = lambda message: Inspection(Outcome.ALLOW, message)  # it passes by now
    stream = Stream()
    world.server.gets.append(stream.reply())
    again = world.agent.start(verb="GET", headers={"last-event-id": "p1"})
    stream.say(result(3, "POISON"), "p2").end()
    await again.done()
    assert again.events[0].data["result"]["content"][0]["text"].startswith("EXECUTED, but its output is withheld")


async def test_p08_what_a_ticket_brought_is_inspected_under_the_rules_of_the_call_that_was_sent() -> None:
    world = DoorWorld(parking={"hold_sec": 0.02})
    await world.agent.initialize()
    ticket = (await world.agent.send(call("ask", 2))).message["result"]["_meta"]["interlock/call"]
    await world.world.settle(ticket["call_id"], ReviewState.SPENDABLE)
    posted, seen = Stream(), []
    world.server.then("tools/call", streams(posted))
    world.world.judging.output_rules = lambda call, _kept=None: seen.append(call.tool) or OutputRules()
    collecting = world.agent.start(call("interlock_collect", 3, ticket=ticket["ticket"]))
    posted.say(notification("notifications/message", level="info", data="on the way"), "p1").say(result(3), "p2")
    await collecting.done()
    assert seen == ["ask", "ask"]  # what came before, and the answer
    stream = Stream()
    world.server.gets.append(stream.reply())
    again = world.agent.start(verb="GET", headers={"last-event-id": "p1"})
    stream.say(result(3), "p2").end()
    await again.done()
    assert seen == ["ask", "ask", "ask"]


# ---- DELETE --------------------------------------------------------------------------------------------------------


async def test_delete_ends_the_session_here_and_at_the_server(world: DoorWorld) -> None:
    await world.agent.initialize()
    assert (await world.agent.send(verb="DELETE")).status == 200
    assert world.server.deleted == ["upstream-1"]
    assert (await world.agent.send(call())).status == 404
    assert world.server.executed == []


async def test_delete_ends_the_waits_of_the_session_but_not_their_reviews(world: DoorWorld) -> None:
    await world.agent.initialize()
    held = world.agent.start(call("ask", 3))
    await world.only_parked()
    await world.agent.send(verb="DELETE")
    await held.done()
    assert world.server.executed == []
    (review,) = world.records.reviews.values()
    assert review.state.is_open


async def test_a_server_that_keeps_its_sessions_keeps_ours(world: DoorWorld) -> None:
    await world.agent.initialize()

    async def refuse(**how: object) -> Reply:
        return Reply(405, {"allow": "GET, POST"})

    world.server.delete = refuse  # type: ignore[method-assign, assignment]
    assert (await world.agent.send(verb="DELETE")).status == 405
    assert (await world.agent.send(request("ping"))).status == 200


async def test_a_session_without_one_at_the_server_ends_here(world: DoorWorld) -> None:
    world.server.sessions = False
    await world.agent.initialize()
    assert world.agent.session is not None
    assert (await world.agent.send(verb="DELETE")).status == 200
    assert world.server.deleted == []
    assert (await world.agent.send(call())).status == 404
