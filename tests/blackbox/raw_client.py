"""An agent that writes its own bytes: requests exactly as given, answers read to their end or left open.

Rules of this module:
* Nothing is added to a request but what the test gives; no library's idea of HTTP stands in between.
* It reads no more leniently than it must: status, headers, body by length or chunks, events.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

type Lines = Sequence[tuple[str, str]]

ACCEPT = "application/json, text/event-stream"


@dataclass
class RawAnswer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    is_whole: bool = True

    @property
    def events(self) -> list[dict[str, str]]:
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(
                line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":")
            )
            if fields:
                found.append(fields)
        return found

    @property
    def message(self) -> Any:
        """The last JSON-RPC message in it, in whichever form."""
        if self.headers.get("content-type") == "text/event-stream":
            return json.loads([event["data"] for event in self.events if event.get("data")][-1])
        return json.loads(self.body)


@dataclass
class RawConnection:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answer: RawAnswer | None = field(default=None)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> RawAnswer:
        """Status and headers."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.answer = RawAnswer(int(first.split()[1]), headers)
        return self.answer

    async def chunk(self) -> bytes:
        """The next chunk of a chunked answer; empty at its end."""
        assert self.answer is not None
        size = int((await self.reader.readline()).split(b";")[0], 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        self.answer.body += data
        return data

    async def rest(self) -> RawAnswer:
        """Everything to the end of the answer."""
        answer = self.answer or await self.head()
        if answer.headers.get("transfer-encoding") == "chunked":
            while await self.chunk():
                pass
        elif "content-length" in answer.headers:
            answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
        elif answer.status not in (202, 204, 304):
            answer.body = await self.reader.read()
        return answer

    async def until(self, text: bytes) -> RawAnswer:
        """Read chunks until this stands in the body."""
        if self.answer is None:
            await self.head()
        assert self.answer is not None
        while text not in self.answer.body:
            if not await self.chunk():
                raise AssertionError(f"the answer ended without {text!r}: {self.answer.body!r}")
        return self.answer


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[RawConnection]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):  # whoever was reset has left just as well
            await writer.wait_closed()  # only now is the end of it on the wire


def request_bytes(url: str, body: bytes, lines: Lines, *, verb: str = "POST", framing: bool = True) -> bytes:
    """A request with exactly these header lines beside Host (and Content-Length, unless `framing` is False)."""
    parts = urlsplit(url)
    head = [f"{verb} {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in lines)]
    if framing:
        head.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body


async def send(url: str, body: bytes, lines: Lines, *, verb: str = "POST", timeout_sec: float = 10) -> RawAnswer:
    """One request on a connection of its own, and its whole answer."""
    async with asyncio.timeout(timeout_sec), connection(url) as wire:
        await wire.write(request_bytes(url, body, lines, verb=verb))
        return await wire.rest()


def json_lines(session: str | None = None, version: str | None = None, **more: str) -> list[tuple[str, str]]:
    """The header lines of an honest client."""
    lines = [("Content-Type", "application/json"), ("Accept", ACCEPT)]
    if session is not None:
        lines.append(("Mcp-Session-Id", session))
    if version is not None:
        lines.append(("MCP-Protocol-Version", version))
    return lines + [(name.replace("_", "-"), value) for name, value in more.items()]


async def post(url: str, message: Any, **how: Any) -> RawAnswer:
    """One honest message."""
    return await send(url, json.dumps(message).encode(), json_lines(**how))
