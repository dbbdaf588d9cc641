"""The MCP door between real clients and real servers: the SDK's on both sides, a child process on stdio, raw sockets.

The gate is the whole one: policy, durable record, inspection by workers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
import pytest_asyncio
from mcp.client import Client
from mcp.server.mcpserver import Context, MCPServer

from audit.entry import EntryDraft, EntryKind
from proxy.app import App
from review.desk import Seen
from review.model import Account, CallState, Reviewer, ReviewState
from tests.blackbox.raw_client import connection, json_lines, post, request_bytes, send
from tests.blackbox.servers.counting import CountingServer, reset_after_reading
from tests.blackbox.whole_gate import ToolServer, endpoint, tool_server, whole_gate
from tests.conformance.everything import build as build_everything

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = """
version: v1
name: door
rules:
  - id: never-delete
    match: {tools: ["*/delete_all"]}
    decision: deny
    reason: Nothing is deleted here
    agent_message: Deleting is for people.
  - id: ask-to-refund
    match: {tools: ["shop/refund", "lenient/pay"]}
    decision: require_approval
    reason: Refunds need a person
    approval: {team: finance, timeout_sec: 60}
  - id: the-rest
    match: {tools: ["everything/**", "shop/**", "json/**", "stateless/**", "lenient/**", "child/**"]}
    decision: allow
    reason: What these tests call
"""
STDIO_TOOL = Path(__file__).parent / "servers" / "sdk_stdio.py"
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
REVIEWER = Reviewer("maria", frozenset({"reviewer"}), frozenset({"finance"}))


class Shop:
    """A tool server of the SDK, and what it did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def server(self) -> MCPServer[Any]:
        shop: MCPServer[Any] = MCPServer("shop", instructions="Sell things.")

        @shop.tool()
        async def add(a: int, b: int) -> int:
            """Adds."""
            self.done.append("add")
            return a + b

        @shop.tool()
        async def delete_all() -> str:
            """Deletes everything."""
            self.done.append("delete_all")
            return "gone"

        @shop.tool()
        async def refund(amount: int) -> str:
            """Gives money back."""
            self.done.append(f"refund {amount}")
            return f"refunded {amount}"

        @shop.tool()
        async def slowly(ctx: Context[Any, Any]) -> str:
            """Takes three steps."""
            for step in (1, 2, 3):
                await ctx.report_progress(step, 3, f"step {step}")
            return "done slowly"

        @shop.tool()
        async def customer() -> str:
            """Says more than it should."""
            return "Jane, card 4111 1111 1111 1111, jane.doe@example.com"

        @shop.resource("shop://stock")
        async def stock() -> str:
            return "seven"

        @shop.prompt()
        async def pitch(what: str) -> str:
            return f"Sell {what}"

        return shop


@dataclass
class House:
    """Everything these tests share."""

    app: App
    shop: Shop
    shop_server: ToolServer
    lenient: CountingServer

    def url(self, server: str) -> str:
        return endpoint(self.app, server)

    async def call_of(self, tool: str, state: CallState) -> Any:
        """The newest call of a tool, once it is in this state."""
        async with asyncio.timeout(10):
            while True:
                calls = [one for one in await self.app.store.calls_in([state], limit=500) if one.tool == tool]
                if calls:
                    return max(calls, key=lambda one: one.created_at)
                await asyncio.sleep(0.01)

    async def approve(self, call: Any) -> None:
        """A reviewer looks at the call and approves it."""
        shown = await self.app.inbox.show(call.id, REVIEWER)
        assert shown.review is not None
        assert shown.digest is not None
        seen = Seen(version=shown.review.version, shown=shown.digest, looked_ms=5_000)
        await self.app.inbox.approve(shown.review.id, REVIEWER, seen, "fine")

    async def reviews_in(self, state: ReviewState) -> int:
        return sum(listed.review.state is state for listed in await self.app.store.recent_reviews())


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    shop = Shop()
    async with (
        tool_server(build_everything) as everything,
        tool_server(lambda: shop.server().streamable_http_app()) as sse,
        tool_server(lambda: shop.server().streamable_http_app(json_response=True)) as as_json,
        tool_server(lambda: shop.server().streamable_http_app(stateless_http=True)) as stateless,
        CountingServer() as lenient,
    ):
        servers = {
            "everything": {"url": everything.url},
            "shop": {"url": sse.url},
            "json": {"url": as_json.url},
            "stateless": {"url": stateless.url},
            "lenient": {"url": lenient.url, "timeout_sec": 5},
            "child": {"command": sys.executable, "args": [str(STDIO_TOOL)]},
        }
        parking = {"hold_sec": 20, "keepalive_sec": 0.05, "progress_sec": 0.05}
        base = tmp_path_factory.mktemp("door")
        async with whole_gate(base, POLICY, servers, parking=parking) as app:
            maria = Account("maria", None, roles=("reviewer",), teams=("finance",))
            await app.store.put_account(maria, EntryDraft(EntryKind.ACCOUNT_CHANGED, app.clock(), "gate"))
            yield House(app, shop, sse, lenient)


def text(result: Any) -> str:
    return str(result.content[0].text)


# ---- the SDK's client on one side, the SDK's server on the other ---------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "legacy", MODERN])
@pytest.mark.parametrize("server", ["shop", "json", "stateless"])
async def test_an_unmodified_client_calls_lists_and_reads_through_the_gate(
    house: House, server: str, mode: Any
) -> None:
    async with Client(house.url(server), mode=mode) as client:
        assert text(await client.call_tool("add", {"a": 2, "b": 3})) == "5"
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names[-1] == "interlock_collect"
        assert {"add", "delete_all", "refund"} < set(names)
        assert (await client.read_resource("shop://stock")).contents[0].text == "seven"  # type: ignore[union-attr]
        prompt = await client.get_prompt("pitch", {"what": "hats"})
        assert prompt.messages[0].content.text == "Sell hats"  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["legacy", MODERN])
@pytest.mark.parametrize("server", ["shop", "json", "stateless"])
async def test_a_denied_tool_never_runs(house: House, server: str, mode: Any) -> None:
    async with Client(house.url(server), mode=mode) as client:
        answered = await client.call_tool("delete_all", {})
    assert answered.is_error
    assert "Deleting is for people." in text(answered)
    assert "delete_all" not in house.shop.done


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_progress_is_seen_as_it_happens(house: House, mode: Any) -> None:
    seen: list[tuple[float, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append((done, message))

    async with Client(house.url("shop"), mode=mode) as client:
        answered = await client.call_tool("slowly", {}, progress_callback=progress)
    assert text(answered) == "done slowly"
    assert seen == [(1, "step 1"), (2, "step 2"), (3, "step 3")]


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_what_a_tool_should_not_say_is_taken_out(house: House, mode: Any) -> None:
    async with Client(house.url("shop"), mode=mode) as client:
        answered = await client.call_tool("customer", {})
    assert "4111" not in repr(answered)
    assert "jane.doe@example.com" not in repr(answered)
    assert answered.meta is not None
    assert answered.meta["interlock/call"]["output_safety_decision"] == "REDACT"


# ---- requests of the server --------------------------------------------------------------------------------------


async def sample(context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    return types.CreateMessageResult(role="assistant", content=types.TextContent(text="42"), model="test")


async def elicit(context: Any, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"username": "jane", "email": "j@x.example", "name": "jane"})


async def test_a_legacy_server_asks_the_clients_model_and_user_through_the_gate(house: House) -> None:
    url = house.url("everything")
    async with Client(url, mode="legacy", sampling_callback=sample, elicitation_callback=elicit) as client:
        sampled = await client.call_tool("test_sampling", {"prompt": "What is it?"})
        assert "42" in text(sampled)
        elicited = await client.call_tool("test_elicitation", {"message": "Who?"})
        assert "accept" in text(elicited)
        assert "jane" in text(elicited)


async def test_a_modern_server_asks_inside_its_result(house: House) -> None:
    url = house.url("everything")
    async with Client(url, mode=MODERN, sampling_callback=sample, elicitation_callback=elicit) as client:
        answered = await client.call_tool("test_input_required_result_elicitation", {})
        assert not answered.is_error
        assert "jane" in text(answered)


# ---- streams, sessions, restarts ---------------------------------------------------------------------------------


async def test_a_client_that_is_sent_away_and_comes_back_gets_its_answer(house: House) -> None:
    async with Client(house.url("everything"), mode="legacy") as client:
        answered = await client.call_tool("test_reconnection", {})
    assert not answered.is_error


async def handshake(url: str, revision: str) -> str:
    params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    opened = await post(url, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
    assert opened.status == 200
    assert opened.message["result"]["protocolVersion"] == revision
    session = opened.headers["mcp-session-id"]
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await post(url, ready, session=session, version=version_of(revision))).status == 202
    return session


def version_of(revision: str) -> str | None:
    return revision if revision >= "2025-06-18" else None


def call(tool: str, request_id: Any = 1, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


@pytest.mark.parametrize("revision", HANDSHAKE)
@pytest.mark.parametrize("server", ["shop", "json"])
async def test_every_handshake_revision_calls_and_ends_its_session(house: House, server: str, revision: str) -> None:
    url, version = house.url(server), version_of(revision)
    session = await handshake(url, revision)
    answered = await post(url, call("add", 5, a=1, b=1), session=session, version=version)
    is_stream = answered.headers["content-type"] == "text/event-stream"
    assert is_stream is (server == "shop")
    assert (answered.message["id"], answered.message["result"]["content"][0]["text"]) == (5, "2")
    ended = await send(url, b"", json_lines(session, version), verb="DELETE")
    assert ended.status == 200
    assert (await post(url, call("add", 6, a=1, b=1), session=session, version=version)).status == 404


async def test_a_server_that_restarts_needs_no_restart_of_gate_or_client(house: House) -> None:
    async with Client(house.url("shop"), mode="legacy") as client:
        assert text(await client.call_tool("add", {"a": 1, "b": 1})) == "2"
        await house.shop_server.restart()
        assert text(await client.call_tool("add", {"a": 2, "b": 2})) == "4"


async def test_a_server_that_is_away_is_said_to_be_and_is_there_again_later(house: House) -> None:
    url = house.url("shop")
    session = await handshake(url, "2025-11-25")
    await house.shop_server.stop()
    try:
        answered = await post(url, call("add", 1, a=1, b=1), session=session, version="2025-11-25")
        assert answered.message["result"]["isError"] is True
        assert "NOT executed" in answered.message["result"]["content"][0]["text"]
    finally:
        await house.shop_server.start()
    answered = await post(url, call("add", 2, a=1, b=1), session=session, version="2025-11-25")
    assert answered.message["result"]["content"][0]["text"] == "2"


async def test_another_agents_session_is_not_found(house: House) -> None:
    url = house.url("shop")
    session = await handshake(url, "2025-11-25")
    for guess in (session[:-1] + ("A" if session[-1] != "A" else "B"), "x", session.split(".")[0]):
        assert (await post(url, call("add", 1, a=1, b=1), session=guess)).status == 404
    other = house.url("json")
    assert (await post(other, call("add", 1, a=1, b=1), session=session)).status == 404


async def test_the_push_stream_tells_what_the_server_says_unasked(house: House) -> None:
    url = house.url("everything")
    session = await handshake(url, "2025-11-25")
    lines = json_lines(session, "2025-11-25")
    async with asyncio.timeout(10), connection(url) as wire:
        await wire.write(request_bytes(url, b"", lines, verb="GET"))
        head = await wire.head()
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
        await wire.until(b": keep-alive")


async def test_a_server_without_a_push_stream_says_so_itself(house: House) -> None:
    session = await handshake(house.url("child"), "2025-11-25")
    first = await send(house.url("lenient"), b"", json_lines(), verb="GET")
    assert (first.status, first.headers["allow"]) == (405, "POST")
    assert session


# ---- stdio -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "legacy", MODERN])
async def test_a_server_on_stdio_is_called_like_any_other(house: House, mode: Any) -> None:
    async with Client(house.url("child"), mode=mode) as client:
        assert text(await client.call_tool("echo", {"text": "hello"})).startswith("hello from ")
        assert "interlock_collect" in [tool.name for tool in (await client.list_tools()).tools]


async def test_each_session_has_its_own_child(house: House) -> None:
    pids = set()
    for _ in range(2):
        async with Client(house.url("child"), mode="legacy") as client:
            pids.add(text(await client.call_tool("echo", {"text": "I am"})))
    assert len(pids) == 2


async def test_a_child_that_died_is_started_again_for_the_same_client(house: House) -> None:
    async with Client(house.url("child"), mode="legacy") as client:
        first = text(await client.call_tool("echo", {"text": "I am"}))
        assert "IN DOUBT" in text(await client.call_tool("die", {}))
        assert text(await client.call_tool("echo", {"text": "I am"})) not in (first, "")


async def test_a_child_asks_the_agent_through_the_gate(house: House) -> None:
    async with Client(house.url("child"), mode="legacy", list_roots_callback=roots) as client:
        assert text(await client.call_tool("whose_roots", {})) == "file:///home"


async def roots(context: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root(uri="file:///home")])  # type: ignore[arg-type]


async def test_progress_of_a_child_has_the_clients_own_token(house: House) -> None:
    seen: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append(done)

    async with Client(house.url("child"), mode="legacy") as client:
        await client.call_tool("count", {"to": 3}, progress_callback=progress)
    assert seen == [1, 2, 3]


# ---- parked ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_a_held_call_is_kept_alive_and_executed_once_when_approved(house: House, mode: Any) -> None:
    amount = 100 + (mode == MODERN)
    told: list[str | None] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with Client(house.url("shop"), mode=mode) as client:
        waiting = asyncio.ensure_future(client.call_tool("refund", {"amount": amount}, progress_callback=progress))
        call = await house.call_of("refund", CallState.WAITING)
        async with asyncio.timeout(10):
            while len(told) < 2:
                await asyncio.sleep(0.01)
        await house.approve(call)
        assert text(await waiting) == f"refunded {amount}"
    assert house.shop.done.count(f"refund {amount}") == 1
    assert told[0] is not None
    assert call.id in told[0]


async def test_an_agent_that_hangs_up_while_held_is_noticed_and_nothing_runs(house: House) -> None:
    url = house.url("shop")
    session = await handshake(url, "2025-11-25")
    lines = json_lines(session, "2025-11-25")
    async with asyncio.timeout(10), connection(url) as wire:
        await wire.write(request_bytes(url, json.dumps(call("refund", amount=7)).encode(), lines))
        await wire.until(b": keep-alive")
    waiting = await house.call_of("refund", CallState.WAITING)
    async with asyncio.timeout(10):
        while house.app.parking.is_awaited(waiting.id):
            await asyncio.sleep(0.01)
    await house.approve(waiting)
    await asyncio.sleep(0.1)
    assert "refund 7" not in house.shop.done
    again = await post(url, call("refund", 2, amount=7), session=session, version="2025-11-25")
    assert again.message["result"]["content"][0]["text"] == "refunded 7"
    assert house.shop.done.count("refund 7") == 1


# ---- a server that breaks ----------------------------------------------------------------------------------------


async def test_a_server_that_dies_after_reading_leaves_doubt_and_one_dispatch(house: House) -> None:
    house.lenient.then(reset_after_reading, method="tools/call")
    answered = await post(house.url("lenient"), call("echo", text="once"))
    assert "IN DOUBT" in answered.message["result"]["content"][0]["text"]
    again = await post(house.url("lenient"), call("echo", 2, text="once"))
    assert "IN DOUBT" in again.message["result"]["content"][0]["text"]
    sent = [one for one in house.lenient.requests if b"once" in one.body]
    assert len(sent) == 1


async def test_the_agents_headers_stay_with_the_gate(house: House) -> None:
    extra = {"Cookie": "a=b", "X_Forwarded_For": "x", "X_Api_Key": "k"}
    lines = json_lines(**{k: v for k, v in extra.items() if k != "X_Forwarded_For"})
    await send(house.url("lenient"), json.dumps(call("echo", text="heads")).encode(), lines)
    names = {name for name, _ in house.lenient.requests[-1].headers}
    assert names <= {
        "host", "accept", "accept-encoding", "user-agent", "content-type", "content-length", "connection",
    }  # fmt: skip


async def test_a_modern_probe_of_a_server_that_only_shakes_hands_is_answered_by_it(house: House) -> None:
    house.lenient.tools.modern = False
    try:
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        discover = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}
        lines = {"Mcp_Method": "server/discover"}
        answered = await post(house.url("lenient"), discover, version=MODERN, **lines)
        assert answered.message["error"]["message"] == "Method not found"
    finally:
        house.lenient.tools.modern = True
