"""Open-loop load: calls begin when they are due, however slow the answers are, each on a connection that is free.

Rules of this module:
* A latency runs from the moment a call was due, not from when it could be sent: a gate that stalls is not spared the
  calls that would have come meanwhile.
* What was answered is told apart: admitted (a tool's result), refused (503), and anything else, which is a failure.
* A connection that the gate closes is replaced; one that breaks under a call makes that call a failure.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.load import Target

CONNECTIONS_MAX = 1_000


@dataclass(slots=True)
class Answers:
    """What one stream of calls got. Latencies in milliseconds; ids of calls by what became of them."""

    offered: int = 0
    unsent: int = 0  # due while every connection was taken
    admitted_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    admitted: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)


def percentile(latencies_ms: list[float], share: float) -> float:
    ordered = sorted(latencies_ms)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2) if ordered else 0.0


class OpenLoad:
    """One stream of calls of one agent."""

    def __init__(self, target: Target, headers: dict[str, str]) -> None:
        self.answers = Answers()
        parts = urlsplit(target.url)
        self._port, self._path = parts.port or 80, parts.path
        self._extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self._under_way = 0
        self._quiet = asyncio.Event()

    async def run(self, *, per_sec: float, seconds: float, first_id: int) -> Answers:
        """Offer so many calls a second, evenly; returns when all that were sent are answered."""
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        while (due := number / per_sec) < seconds:
            now = loop.time() - began
            if due > now:
                await asyncio.sleep(due - now)
                continue
            await self._begin(first_id + number, began + due)
            number += 1
        async with asyncio.timeout(60):
            while self._under_way:
                self._quiet.clear()
                await self._quiet.wait()
        for connection in list(self._open):
            connection.close()
        return self.answers

    async def _begin(self, call_id: int, due: float) -> None:
        self.answers.offered += 1
        while self._idle and self._idle[-1].is_closed:
            self._idle.pop()
        if self._idle:
            connection = self._idle.pop()
        elif len(self._open) < CONNECTIONS_MAX:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: _Connection(self._open), "127.0.0.1", self._port)
        else:
            self.answers.unsent += 1
            return
        self._under_way += 1
        connection.send(
            self._request(call_id), lambda status, body: self._answered(connection, call_id, due, status, body)
        )

    def _answered(self, connection: _Connection, call_id: int, due: float, status: int, body: bytes) -> None:
        taken_ms = (asyncio.get_running_loop().time() - due) * 1000
        answers = self.answers
        if status == 200 and b'"content"' in body and b'"isError":true' not in body.replace(b" ", b""):
            answers.admitted_ms.append(taken_ms)
            answers.admitted.add(call_id)
        elif status == 503:
            answers.refused_ms.append(taken_ms)
            answers.refused.add(call_id)
        else:
            answers.failures.append(f"{status} {body[:300]!r}")
        self._under_way -= 1
        self._quiet.set()
        if not connection.is_closed:
            self._idle.append(connection)

    def _request(self, call_id: int) -> bytes:
        params = {"name": "lookup", "arguments": {"id": call_id, "amount": 12.5}}
        body = json.dumps({"jsonrpc": "2.0", "id": call_id, "method": "tools/call", "params": params})
        return (
            f"POST {self._path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\n{self._extra}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


class _Connection(asyncio.Protocol):
    """Keep-alive HTTP/1.1, one request at a time; answers with Content-Length only: the gate holds nothing here."""

    def __init__(self, among: set[_Connection]) -> None:
        self._among, self._received = among, b""
        self._transport: asyncio.Transport | None = None
        self._tell: Callable[[int, bytes], None] | None = None
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport by construction
        self._among.add(self)

    def send(self, request: bytes, tell: Callable[[int, bytes], None]) -> None:
        assert self._transport is not None
        self._tell = tell
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self._received) < end + 4 + length:
            return
        body, self._received = self._received[end + 4 : end + 4 + length], b""
        if b"connection: close" in head:
            self.close()
        self._told(int(head.split(b" ", 2)[1]), body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's word
        self.is_closed = True
        self._among.discard(self)
        self._told(0, b"the connection ended")

    def close(self) -> None:
        self.is_closed = True
        if self._transport is not None:
            self._transport.close()

    def _told(self, status: int, body: bytes) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(status, body)
