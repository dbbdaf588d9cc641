"""Asking a server for all its tools."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.upstreams.base import INVENTORY_AGENT, Reply, UpstreamFailed
from proxy.upstreams.definitions import ListingRefused
from proxy.upstreams.listing import ListingLimits, list_tools
from tests.blackbox.servers.lenient import LenientTools
from tests.proxy.upstreams.fake import FakeToolServer, breaks


def tools(count: int, **options: Any) -> LenientTools:
    listed = [{"name": f"tool-{number}", "inputSchema": {"type": "object"}} for number in range(count)]
    return LenientTools(tools=listed, **options)


async def names(server: FakeToolServer, limits: ListingLimits | None = None) -> list[str]:
    return [tool["name"] for tool in await list_tools(server, limits or ListingLimits())]  # type: ignore[index,call-overload]


@pytest.mark.parametrize("as_events", [False, True])
async def test_a_modern_server_is_asked_without_a_handshake(as_events: bool) -> None:
    server = FakeToolServer(tools=tools(5, page_size=2), as_events=as_events)
    assert await names(server) == [f"tool-{number}" for number in range(5)]
    assert server.methods() == ["server/discover", "tools/list", "tools/list", "tools/list"]
    for message, (headers, session, agent) in zip(server.posted, server.seen, strict=True):
        assert message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        assert headers == {"mcp-protocol-version": "2026-07-28", "mcp-method": message["method"]}
        assert (session, agent) == (None, INVENTORY_AGENT)
    assert server.closes == (4 if as_events else 0)


async def test_a_server_of_the_other_era_is_asked_in_a_session_which_is_then_ended() -> None:
    server = FakeToolServer(tools=tools(3, page_size=2, modern=False))
    assert await names(server) == ["tool-0", "tool-1", "tool-2"]
    assert server.methods() == [
        "server/discover",
        "initialize",
        "notifications/initialized",
        "tools/list",
        "tools/list",
    ]
    assert [seen[:2] for seen in server.seen[2:]] == [({"mcp-protocol-version": "2025-11-25"}, "s0")] * 3
    assert server.deleted == ["s0"]


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_refused_probe_means_the_handshake(status: int) -> None:
    def before(message: dict[str, Any]) -> Reply | None:
        return Reply(status) if message["method"] == "server/discover" else None

    assert await names(FakeToolServer(tools=tools(1), before=before)) == ["tool-0"]


async def test_a_server_that_breaks_at_the_probe_is_asked_by_handshake() -> None:
    assert await names(FakeToolServer(tools=tools(1), before=breaks(method="server/discover"))) == ["tool-0"]


async def test_a_server_that_cannot_be_reached_is_not_asked_twice() -> None:
    server = FakeToolServer(before=breaks("no connection", sent=False))
    with pytest.raises(UpstreamFailed, match="no connection"):
        await names(server)
    assert server.methods() == ["server/discover"]


async def test_a_server_without_tools_has_none() -> None:
    def before(message: dict[str, Any]) -> Reply | None:
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {"prompts": {}}}
        return Reply(200, body={"jsonrpc": "2.0", "id": message["id"], "result": result})

    assert await names(FakeToolServer(before=before)) == []


async def test_requests_of_the_server_are_refused_on_the_way() -> None:
    server = FakeToolServer(tools=tools(1), as_events=True)
    server.extra = [
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {}},
        {"jsonrpc": "2.0", "id": "theirs", "method": "sampling/createMessage", "params": {}},
        {"jsonrpc": "2.0", "id": "not ours", "result": {"tools": []}},
    ]
    assert await names(server) == ["tool-0"]
    refusals = [message for message in server.posted if "method" not in message]
    assert [(refusal["id"], refusal["error"]["code"]) for refusal in refusals] == [("theirs", -32601)] * 2


@pytest.mark.parametrize(("pages_max", "fits"), [(2, False), (3, True)])
async def test_pages_are_capped(pages_max: int, fits: bool) -> None:
    server = FakeToolServer(tools=tools(5, page_size=2))
    if fits:
        assert len(await names(server, ListingLimits(pages_max=pages_max))) == 5
    else:
        with pytest.raises(ListingRefused, match="fill more than 2 pages"):
            await names(server, ListingLimits(pages_max=pages_max))


@pytest.mark.parametrize(("tools_max", "fits"), [(4, False), (5, True)])
async def test_tools_are_capped(tools_max: int, fits: bool) -> None:
    server = FakeToolServer(tools=tools(5))
    if fits:
        assert len(await names(server, ListingLimits(tools_max=tools_max))) == 5
    else:
        with pytest.raises(ListingRefused, match="lists more than 4 tools"):
            await names(server, ListingLimits(tools_max=tools_max))


@pytest.mark.parametrize("cursor", ["same", 7, "x" * 5_000, {"a": 1}])
async def test_a_cursor_that_leads_nowhere_is_refused(cursor: Any) -> None:
    def before(message: dict[str, Any]) -> Reply | None:
        if message["method"] != "tools/list":
            return None
        return Reply(200, body={"id": message["id"], "result": {"tools": [], "nextCursor": cursor}})

    with pytest.raises(ListingRefused, match="nextCursor"):
        await names(FakeToolServer(before=before))


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32603, "message": "broken"}},
        {"result": {}},
        {"result": {"tools": {}}},
        {"result": []},
        {"id": "another", "result": {"tools": []}},
    ],
)
async def test_an_answer_that_is_no_listing_is_refused(answer: dict[str, Any]) -> None:
    def before(message: dict[str, Any]) -> Reply | None:
        return Reply(200, body={"id": message["id"]} | answer) if message["method"] == "tools/list" else None

    with pytest.raises(ListingRefused, match="did not answer tools/list"):
        await names(FakeToolServer(before=before))


async def test_a_server_that_refuses_to_initialize_says_why() -> None:
    with pytest.raises(ListingRefused, match="refused to initialize: error -32601"):
        await names(FakeToolServer(tools=tools(1, modern=False, legacy=False)))


async def test_listing_takes_no_longer_than_its_limit() -> None:
    class Slow(FakeToolServer):
        async def post(self, message: dict[str, Any], **rest: Any) -> Reply:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(ListingRefused, match=r"within 0\.01 s"):
        await names(Slow(), ListingLimits(listing_sec_max=0.01))
