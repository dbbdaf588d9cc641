"""The HTTP upstream against a server that counts: what is sent and read, addresses, TLS, servers that come and go."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from proxy.tasks import spawn
from proxy.upstreams.base import Sent, UpstreamFailed
from proxy.wire import strict_json
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

# ---- one message -----------------------------------------------------------------------------------------------------


async def test_p02_what_is_sent_is_the_message_written_anew(server: CountingServer, connect: Connect) -> None:
    text = b'{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"echo","arguments":{"n":1.0,"b":1e5}}}'
    message = strict_json.read(text)
    reply = await post(connect(server), message)  # type: ignore[arg-type]
    assert (reply.status, reply.body["id"]) == (200, "a")  # type: ignore[index]
    (request,) = server.requests
    assert request.body == text
    assert dict(request.headers) == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "interlock",
        "content-type": "application/json",
        "content-length": str(len(text)),
    }


async def test_credentials_are_the_gates_own_never_the_agents(server: CountingServer, connect: Connect) -> None:
    upstream = connect(server, headers={"Authorization": "Bearer ours"})
    theirs = {"authorization": "Bearer ilk_theirs", "cookie": "a=b", "x-forwarded-for": "1.2.3.4", "host": "evil"}
    await post(upstream, headers=theirs, session="s1")
    (request,) = server.requests
    assert request.header("authorization") == "Bearer ours"
    assert request.header("mcp-session-id") == "s1"
    assert request.header("host") == f"127.0.0.1:{server.port}"
    assert [name for name, _ in request.headers if name in ("cookie", "x-forwarded-for")] == []


async def test_a_stream_is_read_message_by_message_and_its_connection_used_again(
    server: CountingServer, connect: Connect
) -> None:
    upstream = connect(server)
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
    for _ in range(3):
        server.then(counting.events(progress, text_result(1)))
        reply = await post(upstream)
        assert (reply.status, reply.is_stream) == (200, True)
        assert await everything(reply) == [progress, text_result(1)]
    assert server.connections == 1


async def test_a_stream_left_at_its_answer_keeps_its_connection(server: CountingServer, connect: Connect) -> None:
    upstream = connect(server)
    for _ in range(3):
        server.then(counting.events(text_result(1)))
        reply = await post(upstream)
        assert (await anext(aiter(reply.incoming))).message == text_result(1)  # type: ignore[arg-type]
        await reply.close()  # type: ignore[misc]
        await asyncio.sleep(0.02)
    assert server.connections == 1


async def test_a_stream_given_up_before_its_answer_closes_its_connection(
    server: CountingServer, connect: Connect
) -> None:
    upstream = connect(server)
    server.then(counting.events({"jsonrpc": "2.0", "method": "notifications/x"}, end=False))
    reply = await post(upstream)
    reading = spawn(everything(reply), name="reading")
    await asyncio.sleep(0.05)
    await reply.close()  # type: ignore[misc]
    with pytest.raises(UpstreamFailed):
        await reading
    await post(upstream)
    assert server.connections == 2


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_a_notification_is_answered_by_a_status_alone(
    server: CountingServer, connect: Connect, status: int
) -> None:
    server.then(counting.status_only(status))
    reply = await post(connect(server), {"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (reply.status, reply.body, reply.is_stream) == (status, None, False)


async def test_an_answer_to_the_server_is_posted_like_a_notification(server: CountingServer, connect: Connect) -> None:
    reply = await post(connect(server), {"jsonrpc": "2.0", "id": "theirs", "result": {}})
    assert (reply.status, reply.body) == (202, None)
    assert server.requests[0].message == {"jsonrpc": "2.0", "id": "theirs", "result": {}}


async def test_the_push_stream_and_the_end_of_a_session(server: CountingServer, connect: Connect) -> None:
    upstream = connect(server)
    told = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a:b"}}
    server.then(counting.events(b"id: 7\nretry: 200\ndata:\n\n", told), method="GET")
    reply = await upstream.get(headers={"last-event-id": "6"}, session="s1", agent="ada")
    incoming = [incoming async for incoming in reply.incoming]  # type: ignore[union-attr]
    assert [(one.message, one.event_id, one.retry_ms) for one in incoming] == [(None, "7", 200), (told, None, None)]
    assert (await upstream.get(headers={}, session=None, agent="ada")).status == 405
    assert (await upstream.delete(headers={}, session="s1", agent="ada")).status == 200
    names = ("last-event-id", "mcp-session-id", "accept")
    assert [(request.verb, *map(request.header, names)) for request in server.requests] == [
        ("GET", "6", "s1", "text/event-stream"),
        ("GET", None, None, "text/event-stream"),
        ("DELETE", None, "s1", "application/json, text/event-stream"),
    ]


async def test_a_stream_that_only_listens_may_be_silent(server: CountingServer, connect: Connect) -> None:
    async def late(_request: Recorded, wire: Wire) -> None:
        await wire.events({"jsonrpc": "2.0", "method": "notifications/a"}, end=False)
        await asyncio.sleep(0.4)
        await wire.event({"jsonrpc": "2.0", "method": "notifications/b"})
        await wire.raw(b"0\r\n\r\n")

    upstream = connect(server, limits={"silence_sec_max": 0.1})
    server.then(late)
    server.then(late)
    replies = [
        await upstream.get(headers={}, session="s1", agent="ada"),
        await post(upstream, {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {}}),
    ]
    for reply in replies:
        assert [message["method"] for message in await everything(reply)] == ["notifications/a", "notifications/b"]


# ---- addresses and TLS -----------------------------------------------------------------------------------------------


async def test_p12_a_name_that_means_loopback_is_not_connected_to(
    server: CountingServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def everything_is_here(_host: str, port: int, **_: Any) -> Any:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", everything_is_here)
    failed = await failure(connect(server, url=f"http://tools.example.com:{server.port}/mcp"))
    assert not failed.sent
    assert "resolves to 127.0.0.1, this machine itself" in failed.why
    assert server.connections == 0


async def test_localhost_is_loopback_by_name(server: CountingServer, connect: Connect) -> None:
    reply = await post(connect(server, url=f"http://localhost:{server.port}/mcp"))
    assert reply.status == 200
    assert server.requests[0].header("host") == f"localhost:{server.port}"


async def test_a_certificate_nobody_trusts_is_not_sent_to_and_one_of_the_ca_file_is(
    connect: Connect, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    async with CountingServer(tls=tls) as secure:
        failed = await failure(connect(secure))
        assert not failed.sent
        assert "certificate" in failed.why.lower()
        assert secure.requests == []
        assert (await post(connect(secure, ca_file=cert))).status == 200
        assert (await post(connect(secure, ca_file=cert), reuse=False)).status == 200


async def test_a_certificate_for_another_name_is_not_sent_to(connect: Connect, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    async with CountingServer(tls=tls) as secure:
        failed = await failure(connect(secure, ca_file=cert, url=f"https://localhost:{secure.port}/mcp"))
        assert (failed.sent, secure.requests) == (False, [])


# ---- servers that come and go ----------------------------------------------------------------------------------------


async def test_a_server_that_restarts_is_found_again_and_said_to_have_been_away(connect: Connect) -> None:
    changed: list[str] = []
    async with CountingServer() as first:
        upstream = connect(first, on_change=changed.append)
        assert (await post(upstream)).status == 200
        port = first.port
    assert not (await failure(upstream)).sent or changed == []
    async with CountingServer(port=port) as second:
        assert (await post(upstream)).status == 200
        assert second.count("tools/call") == 1
    assert changed == ["tool"]


async def test_t20_a_forgotten_session_is_a_404_and_a_change(server: CountingServer, connect: Connect) -> None:
    changed: list[str] = []
    server.sessions = True
    upstream = connect(server, on_change=changed.append)
    assert (await post(upstream, session="of-before-the-restart")).status == 404
    assert changed == ["tool"]


@pytest.mark.parametrize("as_push", [False, True])
async def test_a_changed_list_of_tools_is_noticed_in_any_stream(
    server: CountingServer, connect: Connect, as_push: bool
) -> None:
    changed: list[str] = []
    upstream = connect(server, on_change=changed.append)
    server.then(counting.events({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}, text_result(1)))
    if as_push:
        await everything(await upstream.get(headers={}, session="s", agent="ada"))
    else:
        await everything(await post(upstream))
    assert changed == ["tool"]


async def test_p01_what_may_not_leave_right_before_its_first_byte_leaves_nothing(
    server: CountingServer, connect: Connect
) -> None:
    def stopped() -> None:
        raise UpstreamFailed("stopped", sent=False)

    upstream, sent = connect(server), Sent()
    await everything(await post(upstream))
    sent.may_leave = stopped
    with pytest.raises(UpstreamFailed, match="stopped"):
        await post(upstream, sent=sent)
    assert not sent.happened
    await everything(await post(upstream))
    assert len(server.requests) == 2
