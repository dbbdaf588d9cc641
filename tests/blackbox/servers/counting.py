"""An HTTP tool server over raw sockets which writes down every request and misbehaves on demand.

Rules of this module:
* Every request is recorded with the number of its connection, so "how often did the tool see it" is a plain count.
* Without instructions it is a lenient tool server (lenient.py). An instruction is an async function `(request, wire)`
  that does to the wire what it likes; `server.then(…)` queues one for the next matching request, `server.always(…)`
  sets one for all.
* It runs in the event loop of its user, on a free port of loopback, and ends with its `async with`.

    async with CountingServer() as server:
        server.then(reset_after_reading, method="tools/call")
        …
        assert server.count("tools/call") == 1
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from tests.blackbox.servers.lenient import LenientTools, read_leniently


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived. `message` is its body read leniently, None if it is no JSON."""

    connection: int
    verb: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def message(self) -> Any:
        try:
            return read_leniently(self.body, self.header("content-encoding") or "")
        except (ValueError, OSError):
            return None

    @property
    def methods(self) -> list[str]:
        """The JSON-RPC methods in the body, of a batch all."""
        value = self.message
        messages = value if isinstance(value, list) else [value]
        return [str(item.get("method")) for item in messages if isinstance(item, dict)]


class Wire:
    """What an instruction can do to the connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.is_over = False

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(
        self, status: int, headers: dict[str, str] | list[tuple[str, str]] | None = None, body: bytes = b""
    ) -> None:
        lines = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        head = f"HTTP/1.1 {status} Whatever\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines)
        await self.raw(f"{head}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body)

    async def json(self, message: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        await self.answer(status, {"content-type": "application/json"} | (headers or {}), body)

    async def events(self, *messages: Any, headers: dict[str, str] | None = None, end: bool = True) -> None:
        """A whole SSE answer; `bytes` are written as they are."""
        lines = {"content-type": "text/event-stream", "transfer-encoding": "chunked"} | (headers or {})
        await self.raw(b"HTTP/1.1 200 OK\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode() + b"\r\n")
        for message in messages:
            await self.event(message)
        if end:
            await self.raw(b"0\r\n\r\n")

    async def event(self, message: Any) -> None:
        data = message if isinstance(message, bytes) else b"data: " + json.dumps(message).encode() + b"\n\n"
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def close(self) -> None:
        """End the connection properly."""
        self.is_over = True
        self._writer.close()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        reset(self._writer)
        self.is_over = True


type Instruction = Callable[[Recorded, Wire], Awaitable[None]]


@dataclass
class CountingServer:
    """See the module. `sessions`: hand out a session id at `initialize` and answer 404 to others."""

    tools: LenientTools = field(default_factory=LenientTools)
    sessions: bool = False
    as_events: bool = False
    tls: ssl.SSLContext | None = None
    port: int = 0
    requests: list[Recorded] = field(default_factory=list)
    connections: int = 0
    resets_on_connect: int = 0

    def __post_init__(self) -> None:
        self._next: deque[tuple[str | None, Instruction]] = deque()
        self._always: Instruction | None = None
        self._known_sessions: set[str] = set()
        self._sessions_made = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/mcp"

    def then(self, instruction: Instruction, *, method: str | None = None) -> None:
        """Do this with the next request (of this JSON-RPC method or HTTP verb, if one is named), once."""
        self._next.append((method, instruction))

    def always(self, instruction: Instruction | None) -> None:
        self._always = instruction

    def count(self, method: str) -> int:
        """How many times a request of this JSON-RPC method arrived whole."""
        return sum(request.methods.count(method) for request in self.requests)

    def verbs(self) -> list[str]:
        return [request.verb for request in self.requests]

    def forget_sessions(self) -> None:
        """As after a restart."""
        self._known_sessions.clear()

    async def arrived(self, count: int = 1, *, timeout_sec: float = 5) -> None:
        """Wait until so many requests have arrived whole."""
        async with asyncio.timeout(timeout_sec):
            while len(self.requests) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        if self.resets_on_connect:
            self.resets_on_connect -= 1
            reset(writer)
            return
        self._writers.add(writer)
        wire = Wire(writer)
        try:
            while not wire.is_over and (request := await _read_request(reader, connection)) is not None:
                self.requests.append(request)
                self._arrived.set()
                await self._take_instruction(request)(request, wire)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone: that is its right
        finally:
            self._writers.discard(writer)
            writer.close()

    def _take_instruction(self, request: Recorded) -> Instruction:
        for number, (method, instruction) in enumerate(self._next):
            if method is None or method in request.methods or method == request.verb:
                del self._next[number]
                return instruction
        return self._always or self._properly

    async def _properly(self, request: Recorded, wire: Wire) -> None:
        """Answer as a lenient server does."""
        if request.verb == "DELETE":
            self._known_sessions.discard(request.header("mcp-session-id") or "")
            return await wire.answer(200)
        if request.verb != "POST":
            return await wire.answer(405, {"allow": "POST"})
        value, headers = request.message, {}
        is_opening = isinstance(value, dict) and value.get("method") == "initialize"
        session = request.header("mcp-session-id")
        if self.sessions and session is not None and session not in self._known_sessions:
            return await wire.answer(404)
        if self.sessions and is_opening:
            self._sessions_made += 1
            headers["mcp-session-id"] = f"session-{self._sessions_made}"
            self._known_sessions.add(headers["mcp-session-id"])
        answer = self.tools.answer(value)
        if answer is None:
            return await wire.answer(202)
        if self.as_events:
            return await wire.events(answer, headers=headers)
        return await wire.json(answer, headers=headers)


def reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN: the peer sees a reset connection."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Recorded | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    verb, path, _ = first.split(" ", 2)
    headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    by_name = dict(headers)
    body = b""
    if by_name.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(by_name.get("content-length", "0")))
    return Recorded(connection, verb, path, headers, body)


# ---- instructions ------------------------------------------------------------------------------------------------


async def reset_after_reading(_request: Recorded, wire: Wire) -> None:
    """The tool has it, and nobody will ever hear what came of it."""
    wire.reset()


async def close_after_reading(_request: Recorded, wire: Wire) -> None:
    wire.close()


async def never_answer(_request: Recorded, _wire: Wire) -> None:
    await asyncio.Event().wait()


def answer_after(seconds: float, message: Callable[[Any], Any]) -> Instruction:
    async def instruction(request: Recorded, wire: Wire) -> None:
        await asyncio.sleep(seconds)
        await wire.json(message(request.message))

    return instruction


def redirect_to(location: str, status: int = 307) -> Instruction:
    async def instruction(_request: Recorded, wire: Wire) -> None:
        await wire.answer(status, {"location": location})

    return instruction


def json_bytes(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Instruction:
    """Answer with exactly these bytes as JSON: duplicate keys, wrong ids, two documents, a bad encoding …"""

    async def instruction(_request: Recorded, wire: Wire) -> None:
        await wire.json(body, status=status, headers=headers)

    return instruction


def status_only(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Instruction:
    async def instruction(_request: Recorded, wire: Wire) -> None:
        await wire.answer(status, headers, body)

    return instruction


def events(*parts: Any, end: bool = True) -> Instruction:
    """Answer with these events: messages, or `bytes` as they are; `end=False` leaves the stream open."""

    async def instruction(_request: Recorded, wire: Wire) -> None:
        await wire.events(*parts, end=end)

    return instruction


def text_result(request_id: Any, text: str = "done") -> dict[str, Any]:
    """A plain tool result."""
    return {"jsonrpc": "2.0", "id": request_id, "result": {"content": [{"type": "text", "text": text}]}}
