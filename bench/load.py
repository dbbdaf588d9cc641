"""A small load generator: keep-alive connections that each send one `tools/call` after the other, raw over asyncio.

Rules of this module:
* Closed loop: a connection sends its next call when the last was answered. Latencies are wall time per call.
* Every connection is an MCP client of its own: `initialize`, `notifications/initialized`, then calls in that session.
* A call that is turned away (503 with Retry-After) is counted apart, and its client waits for as long as it was told.
* Any other answer that is not a tool result, or an HTTP status other than 200, is a failure and counted, never dropped.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

REVISION = "2025-06-18"
ANSWER_SEC_MAX = 60.0
ACCEPT = "application/json, text/event-stream"


def lookup_arguments(number: int) -> dict[str, Any]:
    """Arguments of call `number`: no two calls are the same."""
    return {"id": number, "amount": 12.5}


@dataclass(frozen=True, slots=True)
class Target:
    """Where calls go, and in which form."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tool: str = "lookup"
    arguments: Callable[[int], dict[str, Any]] = lookup_arguments


@dataclass(slots=True)
class Measured:
    """What one run saw. Latencies in milliseconds."""

    calls: int = 0
    failures: int = 0
    turned_away: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    first_failure: str = ""

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def failed(self, why: str) -> None:
        self.failures += 1
        self.first_failure = self.first_failure or why[:300]


class TurnedAway(Exception):
    """The gate has no room just now; `retry_after_sec` is when to come again."""

    def __init__(self, retry_after_sec: float) -> None:
        super().__init__(f"turned away for {retry_after_sec:g} s")
        self.retry_after_sec = retry_after_sec


class Unanswered(Exception):
    """The other side closed the connection, or sent what is no HTTP answer."""


class Client:
    """One MCP client on one keep-alive connection, opened again when the other side has closed it."""

    def __init__(self, target: Target, *, answer_sec_max: float = ANSWER_SEC_MAX) -> None:
        self._target, self._answer_sec_max = target, answer_sec_max
        parts = urlsplit(target.url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._path = parts.path or "/"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._session: dict[str, str] = {}

    async def open(self) -> None:
        """The MCP handshake. Raises: Unanswered."""
        client = {"name": "interlock-bench", "version": "1"}
        params = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": client}
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        status, headers, body = await self.post(hello)
        if status != 200:
            raise Unanswered(f"initialize was answered with {status}: {body[:300]!r}")
        self._session = {"mcp-protocol-version": REVISION}
        if "mcp-session-id" in headers:
            self._session["mcp-session-id"] = headers["mcp-session-id"]
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def call(self, number: int) -> str | None:
        """One `tools/call`; what was wrong with its answer, or None. Raises: TurnedAway, Unanswered."""
        params = {"name": self._target.tool, "arguments": self._target.arguments(number)}
        message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
        status, headers, body = await self.post(message)
        if status == 503 and "retry-after" in headers:
            raise TurnedAway(float(headers["retry-after"]))
        compact = body.replace(b" ", b"")
        if status == 200 and b'"content"' in body and b'"isError":true' not in compact and b'"error":{' not in compact:
            return None
        return f"{status}: {body[:300].decode(errors='replace')}"

    async def post(self, message: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        """Send one message: status, headers (lower case) and body of the answer. Raises: Unanswered."""
        body = json.dumps(message).encode()
        lines = {"host": f"{self._host}:{self._port}", "content-type": "application/json", "accept": ACCEPT}
        lines |= {**self._target.headers, **self._session, "content-length": str(len(body))}
        head = f"POST {self._path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(head.encode() + b"\r\n" + body)
        try:
            async with asyncio.timeout(self._answer_sec_max):
                return await self._answer(reader)
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:  # TimeoutError is an OSError
            self.close()
            raise Unanswered(repr(error)) from error

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await reader.readline()).strip(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        elif "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(first.split(" ")[1]), headers, body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def run(target: Target, *, connections: int, calls: int, seconds_max: float = 1e9, start_id: int = 1) -> Measured:
    """Up to `calls` calls over `connections` connections, at most for `seconds_max`. Raises: Unanswered, OSError."""
    clients = [Client(target) for _ in range(connections)]
    measured = Measured()
    numbers = iter(range(start_id, start_id + calls))
    try:
        for client in clients:
            await client.open()
        began = time.perf_counter()
        until = began + seconds_max
        numbers_in_time = itertools.takewhile(lambda _: time.perf_counter() < until, numbers)
        await asyncio.gather(*(_work(client, numbers_in_time, measured) for client in clients))
        measured.seconds = time.perf_counter() - began
    finally:
        for client in clients:
            client.close()
    return measured


async def _work(client: Client, numbers: Iterator[int], measured: Measured) -> None:
    for number in numbers:
        began = time.perf_counter()
        try:
            wrong = await client.call(number)
        except TurnedAway as away:
            measured.turned_away += 1
            await asyncio.sleep(away.retry_after_sec)
            continue
        except Unanswered as error:
            wrong = str(error)
        measured.latencies_ms.append((time.perf_counter() - began) * 1000)
        measured.calls += 1
        if wrong is not None:
            measured.failed(wrong)
