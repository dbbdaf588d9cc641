"""The HTTP upstream against traps T1 to T4: one dispatch, doubt told truly, no stale connection, nothing followed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from proxy.tasks import spawn
from proxy.upstreams.base import Sent, UpstreamFailed
from proxy.upstreams.http import HttpLimits, HttpUpstream
from tests.blackbox.servers import counting
from tests.blackbox.servers.counting import CountingServer, Recorded, Wire, text_result
from tests.blackbox.upstream_over_http import (  # noqa: F401 - fixtures
    Connect,
    call,
    everything,
    failure,
    fixture_certificate,
    fixture_connect,
    fixture_server,
    post,
)

# ---- T1: one dispatch ------------------------------------------------------------------------------------------------


async def warm(upstream: HttpUpstream, server: CountingServer) -> None:
    """Leave one connection in the pool."""
    await post(upstream, {"jsonrpc": "2.0", "id": 0, "method": "ping"})
    assert server.connections == 1


@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize("dies", [counting.close_after_reading, counting.reset_after_reading])
async def test_t01_one_dispatch_when_a_reused_connection_dies(
    server: CountingServer, connect: Connect, verb: str, dies: counting.Instruction
) -> None:
    upstream = connect(server)
    await warm(upstream, server)
    server.then(dies)
    requests: dict[str, Any] = {
        "POST": lambda: post(upstream),
        "GET": lambda: upstream.get(headers={}, session="s", agent="ada"),
        "DELETE": lambda: upstream.delete(headers={}, session="s", agent="ada"),
    }
    with pytest.raises(UpstreamFailed) as failed:
        await requests[verb]()
    assert failed.value.sent
    await asyncio.sleep(0.05)
    assert server.verbs() == ["POST", verb]
    assert server.connections == (2 if verb == "GET" else 1)  # a stream's connection is its own


async def test_t01_one_dispatch_when_a_fresh_connection_dies(server: CountingServer, connect: Connect) -> None:
    server.then(counting.close_after_reading)
    failed = await failure(connect(server), reuse=False)
    assert failed.sent
    await asyncio.sleep(0.05)
    assert server.count("tools/call") == 1


# ---- T2: whether it was sent -----------------------------------------------------------------------------------------


async def test_t02_a_refused_connection_was_not_sent(connect: Connect) -> None:
    async with CountingServer() as gone:
        pass
    failed = await failure(connect(gone))
    assert not failed.sent
    assert failed.why.startswith("tool: no connection: ")


@pytest.mark.parametrize("dies", [counting.close_after_reading, counting.reset_after_reading])
async def test_t02_a_request_that_was_read_was_sent_however_the_connection_ended(
    server: CountingServer, connect: Connect, dies: counting.Instruction
) -> None:
    server.then(dies)
    failed = await failure(connect(server))
    assert failed.sent
    assert server.count("tools/call") == 1


async def test_t02_a_connection_reset_before_reading_counts_as_sent(server: CountingServer, connect: Connect) -> None:
    """Nobody on this side can know that nothing was read: the doubt is real."""
    server.resets_on_connect = 1
    failed = await failure(connect(server))
    assert failed.sent


async def test_t02_the_mark_stands_before_the_server_has_the_first_byte(
    server: CountingServer, connect: Connect
) -> None:
    marks: list[bool] = []
    sent = Sent()

    async def look(request: Recorded, wire: Wire) -> None:
        marks.append(sent.happened)
        await wire.json(text_result(1))

    server.then(look)
    await post(connect(server), sent=sent)
    assert marks == [True]


async def test_t02_a_name_that_cannot_be_resolved_was_not_sent(server: CountingServer, connect: Connect) -> None:
    failed = await failure(connect(server, url="http://no-such-host.invalid/mcp"))
    assert not failed.sent
    assert "could not be resolved" in failed.why


async def test_t02_a_caller_that_is_cancelled_knows_whether_it_was_sent(
    server: CountingServer, connect: Connect
) -> None:
    server.then(counting.never_answer)
    sent = Sent()
    waiting = spawn(post(connect(server), sent=sent), name="waiting")
    await server.arrived()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert sent.happened


async def test_a_server_that_stays_silent_fails_as_sent_after_the_limit(
    server: CountingServer, connect: Connect
) -> None:
    server.always(counting.never_answer)
    failed = await failure(connect(server, limits={"silence_sec_max": 0.1, "connect_sec_max": 0.1}))
    assert failed.sent


@pytest.mark.parametrize(("interim", "is_answered"), [(31, True), (32, True), (33, False)])
async def test_p14_interim_answers_are_counted_and_past_the_limit_the_answer_is_broken(
    server: CountingServer, connect: Connect, interim: int, is_answered: bool
) -> None:
    async def dawdle(request: Recorded, wire: Wire) -> None:
        await wire.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * interim)
        await wire.json(text_result(request.message["id"]))

    server.then(dawdle)
    if is_answered:
        assert (await post(connect(server))).status == 200
    else:
        failed = await failure(connect(server))
        assert (failed.sent, failed.why) == (True, "tool: no answer: it sent more than 32 interim answers")


async def test_p14_streams_that_only_listen_keep_no_call_waiting(server: CountingServer, connect: Connect) -> None:
    upstream = connect(server, limits={"connections_max": 1, "connect_sec_max": 1})
    server.then(counting.events(end=False), method="GET")
    stream = await upstream.get(headers={}, session=None, agent="ada")
    assert (await post(upstream)).status == 200
    assert (await post(upstream, reuse=False)).status == 200
    assert stream.close is not None
    await stream.close()


# ---- T3: stale connections -------------------------------------------------------------------------------------------


async def test_t03_a_connection_is_reused_while_it_is_young_and_not_when_it_is_old(
    server: CountingServer, connect: Connect
) -> None:
    assert HttpLimits().pool_idle_sec <= 2
    upstream = connect(server, limits={"pool_idle_sec": 0.1})
    for _ in range(3):
        await post(upstream)
    assert server.connections == 1
    await asyncio.sleep(0.15)
    await post(upstream)
    assert server.connections == 2


async def test_t03_a_call_that_must_not_be_doubted_takes_a_fresh_connection_that_closes(
    server: CountingServer, connect: Connect
) -> None:
    upstream = connect(server)
    await warm(upstream, server)
    for _ in range(2):
        await post(upstream, reuse=False)
    await post(upstream)
    assert [request.connection for request in server.requests] == [1, 2, 3, 1]
    assert server.requests[1].header("connection") == "close"


async def test_t03_a_connection_the_server_closed_while_idle_is_not_used(
    server: CountingServer, connect: Connect
) -> None:
    async def answer_and_close(request: Recorded, wire: Wire) -> None:
        await wire.json(text_result(request.message["id"]))
        wire.close()

    upstream = connect(server)
    server.then(answer_and_close)
    await post(upstream)
    await asyncio.sleep(0.05)
    assert (await post(upstream)).status == 200
    assert server.count("tools/call") == 2


# ---- T4: nothing followed, nothing taken from around us --------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_t04_a_redirect_is_not_followed(server: CountingServer, connect: Connect, status: int) -> None:
    async with CountingServer() as elsewhere:
        server.then(counting.redirect_to(elsewhere.url, status))
        failed = await failure(connect(server))
        assert failed.sent
        assert failed.why == (
            f"tool: it answered {status}, a redirect; redirects are not followed: write the final address in the url"
        )
        assert (elsewhere.requests, len(server.requests)) == ([], 1)


async def test_t04_proxies_and_credentials_of_the_environment_are_ignored(
    server: CountingServer, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with CountingServer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password secret")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert (await post(connect(server))).status == 200
        assert proxy.requests == []
        assert server.requests[0].header("authorization") is None


async def test_t04_cookies_are_not_kept(server: CountingServer, connect: Connect) -> None:
    upstream = connect(server)
    server.then(counting.json_bytes(json.dumps(text_result(1)).encode(), headers={"set-cookie": "who=ada; Path=/"}))
    reply = await post(upstream)
    assert "set-cookie" not in reply.headers
    await post(upstream)
    assert [request.header("cookie") for request in server.requests] == [None, None]
