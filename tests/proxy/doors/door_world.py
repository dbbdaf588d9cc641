"""A door without sockets: the real door and the real runner, a scripted tool server on one side, an agent on the other.

Rules of this module:
* Policy is a name: `allow*` tools pass, `ask*` park, everything else is denied; so are requests of the tool server.
* Inspection is a word: what holds SECRET is redacted, what holds POISON is withheld, the rest is clean.
* The tool server answers what its script says and counts what it was sent; the agent is a raw ASGI client.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.model import Agent, Decision, JsonObject, ToolCall, ToolDefinition
from proxy.agents import Agents, key_digest
from proxy.config import Config
from proxy.doors.mcp_http import McpDoor
from proxy.doors.mcp_sessions import Sessions
from proxy.doors.mcp_shared import Shared
from proxy.doors.ticker import Ticker
from proxy.keys import Keys
from proxy.tasks import spawn
from proxy.upstreams.base import Incoming, Reply, Sent, UpstreamFailed
from proxy.upstreams.inventory import InventoryUnavailable
from proxy.wire.http_protocol import ENDED_EXTENSION, LEFT_EXTENSION, UNREAD_EXTENSION
from redaction.model import Inspection, Outcome, Redaction
from tests.proxy.builders import CountedIds, allow, ask, definition, deny
from tests.proxy.world import World

SERVER = "payments"
AGENT_KEY = "ilk_" + "a" * 43
OTHER_KEY = "ilk_" + "b" * 43
VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
MODERN = "2026-07-28"
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
BOTH = "application/json, text/event-stream"


# ---- messages ----------------------------------------------------------------------------------------------------


def call(
    tool: str = "allow", request_id: Any = 1, /, *, meta: JsonObject | None = None, **arguments: Any
) -> JsonObject:
    """A tools/call of the handshake era."""
    params: JsonObject = {"name": tool, "arguments": arguments}
    if meta is not None:
        params["_meta"] = meta
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


def request(method: str, request_id: Any = 1, /, **params: Any) -> JsonObject:
    message: JsonObject = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return message | {"params": params} if params else message


def notification(method: str, **params: Any) -> JsonObject:
    message: JsonObject = {"jsonrpc": "2.0", "method": method}
    return message | {"params": params} if params else message


def result(request_id: Any = 1, text: str = "done", **more: Any) -> JsonObject:
    return {"jsonrpc": "2.0", "id": request_id, "result": {"content": [{"type": "text", "text": text}], **more}}


def modern(message: JsonObject) -> JsonObject:
    """The same message with the envelope of 2026-07-28."""
    params = dict(message.get("params", {}))
    envelope = {VERSION: MODERN, CAPABILITIES: {}, CLIENT_INFO: {"name": "tester", "version": "1"}}
    params["_meta"] = envelope | params.get("_meta", {})
    return message | {"params": params}


def modern_headers(message: JsonObject) -> dict[str, str]:
    headers = {"mcp-protocol-version": MODERN, "mcp-method": message["method"]}
    params = message.get("params", {})
    name = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}.get(message["method"])
    return headers | {"mcp-name": params[name]} if name else headers


# ---- the tool server ---------------------------------------------------------------------------------------------


@dataclass
class Posted:
    """One message the tool server was sent."""

    message: JsonObject
    headers: dict[str, str]
    session: str | None
    agent: str
    reuse_connection: bool


class Stream:
    """A stream of the tool server, written by the test as it goes."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Incoming | Exception | None] = asyncio.Queue()
        self.is_closed = asyncio.Event()

    def say(self, message: JsonObject | None, event_id: str | None = None, retry_ms: int | None = None) -> Stream:
        self._queue.put_nowait(Incoming(message, event_id, retry_ms))
        return self

    def end(self) -> Stream:
        self._queue.put_nowait(None)
        return self

    def break_off(self) -> Stream:
        self._queue.put_nowait(UpstreamFailed("it broke off", sent=True))
        return self

    def reply(self, **headers: str) -> Reply:
        return Reply(
            200, {k.replace("_", "-"): v for k, v in headers.items()}, True, None, self._incoming(), self._close
        )

    async def _incoming(self) -> AsyncIterator[Incoming]:
        while (item := await self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    async def _close(self) -> None:
        self.is_closed.set()
        self.break_off()


type Script = Callable[[Posted], Reply | Awaitable[Reply]]


def answers(message: JsonObject, status: int = 200, **headers: str) -> Script:
    """Answer with this body, under the request's own id."""

    def script(posted: Posted) -> Reply:
        body = message | {"id": posted.message.get("id")} if "id" in message else message
        return Reply(status, {k.replace("_", "-"): v for k, v in headers.items()}, body=body)

    return script


def streams(stream: Stream) -> Script:
    return lambda posted: stream.reply()


@dataclass
class ScriptedServer:
    """`proxy.upstreams.base.Upstream`. A script per method, once (`then`) or always; without one it just works."""

    name: str = SERVER
    sessions: bool = True
    posted: list[Posted] = field(default_factory=list)
    got: list[dict[str, str]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    gets: list[Reply | UpstreamFailed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._once: list[tuple[str, Script]] = []
        self._opened = 0
        self.arrived = asyncio.Event()

    def then(self, method: str, script: Script) -> None:
        self._once.append((method, script))

    def sent(self, method: str) -> list[Posted]:
        return [one for one in self.posted if one.message.get("method") == method]

    @property
    def executed(self) -> list[str]:
        return [one.message["params"]["name"] for one in self.sent("tools/call")]

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.posted) < count:
                self.arrived.clear()
                await self.arrived.wait()

    async def post(
        self,
        message: JsonObject,
        *,
        headers: Mapping[str, str],
        session: str | None,
        agent: str,
        sent: Sent,
        reuse_connection: bool,
    ) -> Reply:
        json.dumps(message)
        sent.happened = True
        posted = Posted(message, dict(headers), session, agent, reuse_connection)
        self.posted.append(posted)
        self.arrived.set()
        if session is not None and session not in self.known:
            return Reply(404, body={"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no session"}})
        method = message.get("method", "(response)")
        for number, (wanted, script) in enumerate(self._once):
            if wanted == method:
                del self._once[number]
                answered = script(posted)
                return answered if isinstance(answered, Reply) else await answered
        return self._properly(message)

    def _properly(self, message: JsonObject) -> Reply:
        if "method" not in message or "id" not in message:
            return Reply(202)
        request_id = message["id"]
        if message["method"] == "initialize":
            headers = {}
            if self.sessions:
                self._opened += 1
                headers["mcp-session-id"] = f"upstream-{self._opened}"
                self.known.add(headers["mcp-session-id"])
            opened = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            }
            return Reply(200, headers, body={"jsonrpc": "2.0", "id": request_id, "result": opened})
        if message["method"] == "tools/list":
            tools = [{"name": "allow", "inputSchema": {"type": "object"}}]
            return Reply(200, body={"jsonrpc": "2.0", "id": request_id, "result": {"tools": tools}})
        if message["method"] == "ping":
            return Reply(200, body={"jsonrpc": "2.0", "id": request_id, "result": {}})
        return Reply(200, body=result(request_id))

    async def get(self, *, headers: Mapping[str, str], session: str | None, agent: str) -> Reply:
        self.got.append(dict(headers))
        if session is not None and session not in self.known:
            return Reply(404)
        if not self.gets:
            return Reply(405, {"allow": "POST"})
        reply = self.gets.pop(0)
        if isinstance(reply, UpstreamFailed):
            raise reply
        return reply

    async def delete(self, *, headers: Mapping[str, str], session: str, agent: str) -> Reply:
        self.deleted.append(session)
        self.known.discard(session)
        return Reply(200)

    async def close(self) -> None: ...

    def restart(self) -> None:
        """It forgets every session."""
        self.known.clear()


class Definitions:
    """The inventory: one definition per tool, which a test may change or make unavailable."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.listings: list[tuple[str, Any]] = []
        self.by_name: dict[str, ToolDefinition | None] = {}
        self.is_unavailable = False
        self.after_change: ToolDefinition | None = None

    def at_hand(self, server: str, tool: str) -> ToolDefinition | None:
        return None if self.is_unavailable else self.by_name.get(tool)

    async def definition(self, server: str, tool: str) -> ToolDefinition | None:
        if self.is_unavailable:
            raise InventoryUnavailable("its tools could not be listed")
        return self.by_name.get(tool, definition(tool))

    def overheard(self, server: str, tools: Any) -> None:
        self.listings.append((server, tools))

    def changed(self, server: str) -> None:
        self.changes.append(server)
        if self.after_change is not None:
            self.by_name[self.after_change.name] = self.after_change


# ---- policy and inspection ---------------------------------------------------------------------------------------


def by_name(call: ToolCall) -> Decision:
    tool = call.tool.removeprefix("mcp.")
    if tool.startswith(("allow", "resources/", "prompts/", "completion/", "roots/", "sampling/createMessage")):
        return allow()
    return ask() if tool.startswith("ask") else deny()


def by_word(message: Any) -> Inspection:
    text = json.dumps(message)
    if "POISON" in text:
        return Inspection(Outcome.QUARANTINE, why="it holds POISON")
    if "SECRET" in text:
        redactions = (Redaction("$", "SECRET", "replaced with [REDACTED]", "a secret"),)
        return Inspection(Outcome.REDACT, json.loads(text.replace("SECRET", "[REDACTED]")), (), redactions)
    return Inspection(Outcome.ALLOW, message)


# ---- the agent ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SseEvent:
    data: Any
    id: str | None = None
    retry: int | None = None


class Answered:
    """What one HTTP request got, so far or in the end."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.is_complete = False
        self.is_read = False  # the request's body was asked for
        self.left = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def send(self, event: Any) -> None:
        await asyncio.sleep(0)
        if self.left.is_set() and not self.is_complete and getattr(self, "is_gone", False):
            return
        if event["type"] == "http.response.start":
            assert self.status == 0, "a second head"
            self.status = event["status"]
            self.headers = {name.decode(): value.decode() for name, value in event["headers"]}
        else:
            assert self.status, "a body before the head"
            assert not self.is_complete, "bytes after the end"
            self.chunks.append(event.get("body", b""))
            self.is_complete = not event.get("more_body", False)
        self._changed.set()

    def leave(self) -> None:
        """The connection is lost."""
        self.is_gone = True
        self.left.set()

    async def done(self) -> Answered:
        assert self.task is not None
        async with asyncio.timeout(5):
            await self.task
        return self

    async def until(self, holds: Callable[[Answered], bool]) -> Answered:
        async with asyncio.timeout(5):
            while not holds(self):
                self._changed.clear()
                await self._changed.wait()
        return self

    async def events_until(self, count: int) -> list[SseEvent]:
        await self.until(lambda answered: len(answered.events) >= count)
        return self.events

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type") == "text/event-stream"

    @property
    def events(self) -> list[SseEvent]:
        """Every whole event; comments are left out."""
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            fields: dict[str, str] = {}
            for line in block.split("\n"):
                name, _, value = line.partition(": ")
                if name != ":" and not line.startswith(":"):
                    fields[name] = value
            if fields:
                data = json.loads(fields["data"]) if fields.get("data") else None
                found.append(SseEvent(data, fields.get("id"), int(fields["retry"]) if "retry" in fields else None))
        return found

    @property
    def messages(self) -> list[Any]:
        return [event.data for event in self.events if event.data is not None]

    @property
    def comments(self) -> int:
        return self.body.count(b": keep-alive\n\n")

    @property
    def message(self) -> Any:
        """The answer itself, in whichever form it came."""
        return self.messages[-1] if self.is_stream else self.json

    @property
    def text(self) -> str:
        text: str = self.message["result"]["content"][0]["text"]
        return text


class Caller:
    """An agent's HTTP client."""

    def __init__(self, door: McpDoor, key: str | None = AGENT_KEY) -> None:
        self.door, self.key = door, key
        self.session: str | None = None
        self.revision: str | None = None

    def start(
        self,
        message: Any = None,
        *,
        verb: str = "POST",
        path: str = f"/mcp/{SERVER}",
        headers: Mapping[str, str | None] | None = None,
        lines: list[tuple[str, str]] | None = None,
        body: bytes | None = None,
        peer: str = "127.0.0.1",
    ) -> Answered:
        """Send a request; its answer comes in while the test goes on. A header given as None is left out."""
        head: dict[str, str | None] = {
            "host": "127.0.0.1:8610",
            "accept": BOTH,
            "content-type": "application/json",
            "authorization": f"Bearer {self.key}" if self.key else None,
            "mcp-session-id": self.session,
            "mcp-protocol-version": self.revision,
        }
        head |= headers or {}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in head.items() if value is not None]
        raw += [(name.encode(), value.encode("latin-1")) for name, value in lines or []]
        data = body if body is not None else (b"" if message is None else json.dumps(message).encode())
        answered = Answered()
        scope = {
            "type": "http",
            "method": verb,
            "path": path,
            "headers": tuple(raw),
            "client": (peer, 50_000),
            "server": ("127.0.0.1", 8610),
            "extensions": {
                LEFT_EXTENSION: answered.left,
                UNREAD_EXTENSION: lambda: False,
                ENDED_EXTENSION: lambda: True,
            },
        }

        async def receive() -> dict[str, Any]:
            if not answered.is_read:
                answered.is_read = True
                return {"type": "http.request", "body": data, "more_body": False}
            await answered.left.wait()
            return {"type": "http.disconnect"}

        answered.task = spawn(self.door(scope, receive, answered.send), name="agent")
        return answered

    async def send(self, message: Any = None, **how: Any) -> Answered:
        """Send a request and wait for the whole answer."""
        return await self.start(message, **how).done()

    async def initialize(self, revision: str = "2025-11-25") -> Answered:
        """The handshake; from then on this agent speaks in its session."""
        params = {
            "protocolVersion": revision,
            "capabilities": {},
            "clientInfo": {"name": "tester", "version": "1"},
        }
        self.session = self.revision = None
        answered = await self.send(request("initialize", "init", **params))
        self.session = answered.headers.get("mcp-session-id")
        self.revision = revision if revision >= "2025-06-18" else None
        if answered.status == 200 and self.session is not None:
            await self.send(notification("notifications/initialized"))
        return answered

    async def modern(self, message: JsonObject, **how: Any) -> Answered:
        message = modern(message)
        headers = {"mcp-session-id": None} | modern_headers(message) | how.pop("headers", {})
        return await self.send(message, headers=headers, **how)


# ---- all of it ---------------------------------------------------------------------------------------------------


class DoorWorld:
    """Everything behind one door."""

    def __init__(self, decide: Callable[[ToolCall], Decision] = by_name, **config: Any) -> None:
        self.world = World(decide, **config.pop("parking", {}))
        self.world.inspector.inspect_with = by_word
        self.server = ScriptedServer()
        self.definitions = Definitions()
        agents = {
            "demo": {"key_sha256": key_digest(AGENT_KEY)},
            "other": {"key_sha256": key_digest(OTHER_KEY)},
        }
        servers = config.pop("servers", {SERVER: {"url": "http://127.0.0.1:9/mcp"}})
        self.config = Config.model_validate(
            {"agents": agents, "servers": servers, "parking": self.world.config.model_dump()} | config
        )
        self.ids = CountedIds()
        keys = Keys(*[bytes([number]) * 32 for number in range(6)])
        self.door = McpDoor(
            runner=self.runner,
            upstreams={SERVER: self.server},
            inventory=self.definitions,
            inspectors=self.world.inspector,
            agents=Agents(self.config),
            config=self.config,
            clock=lambda: self.world.now,
            monotonic=lambda: self.world.now,
            ids=self.ids,
            keys=keys,
        )
        self.agent = Caller(self.door)

    @property
    def runner(self) -> Any:
        return self.world.runner

    @property
    def records(self) -> Any:
        return self.world.records

    def shared(self) -> Shared:
        """The door's parts, for tests of one of them alone."""
        sessions = Sessions(b"s" * 32, self.ids.token, lambda: self.world.now)
        return Shared(
            self.runner,
            self.world.inspector,
            self.definitions,
            {SERVER: self.server},
            self.config,
            self.ids,
            lambda: self.world.now,
            sessions,
            Ticker(),
        )

    def entries(self, kind: str) -> list[Any]:
        return [entry for entry in self.records.entries if entry.kind.value == kind]

    async def parked(self, count: int) -> None:
        """Until so many calls wait for people."""
        async with asyncio.timeout(5):
            while self.world.parking.held < count:
                await asyncio.sleep(0)

    async def only_parked(self) -> Any:
        """The one call that waits for people, once it does."""
        await self.parked(1)
        return next(one for one in self.records.calls.values() if one.state.value == "waiting")


def an_agent(name: str = "demo") -> Agent:
    return Agent(name)
