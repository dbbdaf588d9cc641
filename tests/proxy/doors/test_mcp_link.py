"""An agent's way to a server: its own session there, renewed once when it is lost, and never for another reason."""

from __future__ import annotations

import asyncio

import pytest

from policies.model import Agent
from proxy.doors.mcp_link import Link, close, first_response, version_headers
from proxy.doors.mcp_sessions import Session, Sessions
from proxy.upstreams.base import Reply, Sent, UpstreamFailed
from proxy.wire.mcp_methods import Revision
from tests.proxy.doors.door_world import Posted, ScriptedServer, Stream, call, notification, request, result

DEMO = Agent("demo")


def a_session(server: ScriptedServer) -> Session:
    server.known.add("upstream-0")
    known = Sessions(b"k" * 32, lambda: "token", lambda: 0.0)
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    return known.open(DEMO, "payments", params, Revision.R2025_11_25, "upstream-0")


async def post(link: Link, *, sent: Sent | None = None) -> Reply:
    return await link.post(call(), headers={}, sent=sent or Sent(), reuse_connection=False)


def broke(posted: Posted) -> Reply:
    raise UpstreamFailed("it broke off", sent=True)


async def test_without_a_session_there_is_nothing_to_renew() -> None:
    server = ScriptedServer()
    server.then("tools/call", lambda posted: Reply(404))
    assert (await post(Link(server, "demo", None))).status == 404
    assert len(server.posted) == 1


async def test_a_lost_session_is_renewed_and_the_message_sent_once_more() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.restart()
    sent = Sent()
    assert (await post(Link(server, "demo", session), sent=sent)).status == 200
    assert (session.upstream_id, sent.happened) == ("upstream-1", True)
    methods = [one.message["method"] for one in server.posted]
    assert methods == ["tools/call", "ping", "initialize", "notifications/initialized", "tools/call"]


async def test_p04_a_404_of_a_living_session_is_about_the_call_which_is_not_sent_again() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.then("tools/call", lambda posted: Reply(404))
    sent = Sent()
    assert (await post(Link(server, "demo", session), sent=sent)).status == 404
    assert sent.happened
    assert [one.message["method"] for one in server.posted] == ["tools/call", "ping"]


async def test_p04_a_server_that_goes_away_after_a_404_is_not_sent_the_call_again() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.then("tools/call", lambda posted: Reply(404))
    server.then("ping", broke)
    assert (await post(Link(server, "demo", session))).status == 404
    assert len(server.sent("tools/call")) == 1


async def test_only_one_renewal_for_all_who_find_it_lost() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.restart()
    replies = await asyncio.gather(*(post(Link(server, "demo", session)) for _ in range(5)))
    assert [reply.status for reply in replies] == [200] * 5
    assert len(server.sent("initialize")) == 1


async def test_a_second_404_is_passed_on() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.restart()
    server.then("notifications/initialized", lambda posted: server.restart() or Reply(202))  # type: ignore[func-returns-value]
    assert (await post(Link(server, "demo", session))).status == 404
    assert len(server.sent("tools/call")) == 2


@pytest.mark.parametrize("status", [400, 401, 405, 500, 503])
async def test_no_other_status_is_a_reason(status: int) -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.then("tools/call", lambda posted: Reply(status))
    assert (await post(Link(server, "demo", session))).status == status
    assert len(server.posted) == 1


async def test_a_broken_connection_is_never_mended() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.then("tools/call", broke)
    with pytest.raises(UpstreamFailed):
        await post(Link(server, "demo", session))
    assert len(server.posted) == 1


@pytest.mark.parametrize("method", ["initialize", "notifications/initialized"])
async def test_a_renewal_that_fails_passes_the_404_on(method: str) -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.restart()
    server.then(method, lambda posted: Reply(400))
    assert (await post(Link(server, "demo", session))).status == 404


async def test_a_server_that_is_away_while_renewing_passes_the_404_on() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.restart()

    def away(posted: Posted) -> Reply:
        raise UpstreamFailed("no connection", sent=False)

    server.then("initialize", away)
    assert (await post(Link(server, "demo", session))).status == 404
    assert session.upstream_id == "upstream-0"


async def test_before_the_repeat_somebody_may_look_and_stop_it() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.restart()

    async def look() -> None:
        raise UpstreamFailed("it is another tool now", sent=False)

    sent = Sent()
    link = Link(server, "demo", session)
    with pytest.raises(UpstreamFailed):
        await link.post(call(), headers={}, sent=sent, reuse_connection=False, before_repeat=look)
    assert not sent.happened
    assert len(server.sent("tools/call")) == 1


async def test_a_404_to_a_get_of_a_living_session_renews_nothing() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.gets.append(Reply(404))
    assert (await Link(server, "demo", session).get(headers={}, renew=True)).status == 404
    assert [one.message["method"] for one in server.posted] == ["ping"]


async def test_an_answer_is_never_carried_into_another_session() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.restart()
    answer = {"jsonrpc": "2.0", "id": "s-1", "result": {}}
    link = Link(server, "demo", session)
    assert (await link.post(answer, headers={}, sent=Sent(), reuse_connection=True)).status == 404
    assert len(server.posted) == 1


async def test_a_resumption_never_renews() -> None:
    server = ScriptedServer()
    session = a_session(server)
    server.restart()
    assert (await Link(server, "demo", session).get(headers={}, renew=False)).status == 404
    assert server.posted == []


async def test_deleting_ends_the_servers_session_if_there_is_one() -> None:
    server = ScriptedServer()
    session = a_session(server)
    link = Link(server, "demo", session)
    deleted = await link.delete(headers={})
    assert deleted is not None
    assert server.deleted == ["upstream-0"]
    session.upstream_id = None
    assert await link.delete(headers={}) is None


async def test_the_first_response_is_the_one_to_the_request() -> None:
    stream = Stream().say(None, "e").say(notification("x")).say(request("ping", 1)).say(result(2)).say(result(1))
    assert await first_response(stream.reply(), 1) == result(1)
    assert await first_response(Stream().end().reply(), 1) is None
    assert await first_response(Reply(200, body=result(1)), 1) == result(1)
    assert await first_response(Reply(400, body=result(1)), 1) is None


async def test_closing_a_reply_that_needs_none_is_nothing() -> None:
    await close(Reply(200))


def test_only_revisions_with_a_version_header_are_named_in_one() -> None:
    assert version_headers(Revision.R2025_03_26) == {}
    assert version_headers(Revision.R2025_06_18) == {"mcp-protocol-version": "2025-06-18"}
