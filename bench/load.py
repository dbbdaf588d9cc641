"""A small load generator: keep-alive connections that each send one `tools/call` after the other, raw over asyncio.

Rules of this module:
* Closed loop: a connection sends its next call when the last was answered. Latencies are wall time per call.
* An answer that is not a tool result, or an HTTP status other than 200, is a failure and is counted, never dropped.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Measured:
    """What one run saw. Latencies in milliseconds."""

    calls: int = 0
    failures: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def run(
    host: str, port: int, path: str, *, connections: int, calls: int, headers: dict[str, str], start_id: int = 0
) -> Measured:
    """`calls` calls over `connections` connections."""
    measured = Measured()
    share = calls // connections
    began = time.perf_counter()
    await asyncio.gather(
        *(_connection(host, port, path, share, headers, start_id + n * share, measured) for n in range(connections))
    )
    measured.seconds = time.perf_counter() - began
    return measured


async def _connection(
    host: str, port: int, path: str, calls: int, headers: dict[str, str], first_id: int, measured: Measured
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    try:
        for number in range(first_id, first_id + calls):
            body = json.dumps(
                {
                    "jsonrpc": "2.0",
                    "id": number,
                    "method": "tools/call",
                    "params": {"name": "lookup", "arguments": {"id": number, "amount": 12.5}},
                }
            ).encode()
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
                f"Accept: application/json, text/event-stream\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
            )
            began = time.perf_counter()
            writer.write(head.encode() + body)
            good = await _read_answer(reader)
            measured.latencies_ms.append((time.perf_counter() - began) * 1000)
            measured.calls += 1
            measured.failures += not good
    finally:
        writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status_ok = head.startswith(b"http/1.1 200")
    if b"transfer-encoding: chunked" in head:
        body = b""
        while size := int((await reader.readline()).strip(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    else:
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
    return status_ok and b'"content"' in body and b'"isError":true' not in body.replace(b" ", b"")
