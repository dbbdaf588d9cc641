"""A tool server as fast as Python can be: Streamable HTTP over a raw asyncio protocol, a varied 1 KB result per call.

Rules of this module:
* It answers `initialize`, `ping`, `tools/list` and `tools/call`; anything else is a method not found. No sessions.
* No two results are the same, so that no cache of anybody's answers for the inspector.
* The result of call `SECRET_ID` holds a key: whoever inspects results does not hand it on.

Run: python -m bench.fast_upstream --port N
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from typing import Any

TOOL = {
    "name": "lookup",
    "description": "Look a record up.",
    "inputSchema": {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "amount": {"type": "number"}},
        "required": ["id"],
    },
}
SECRET_ID = 0  # the call whose answer must not pass an inspector
SECRET = "the key is AKIAQ3EGRZ5XK7PLM2WT"
WORDS = ("order parcel invoice shipped pending warehouse north south river stone lamp table copper silver").split()


def varied_text(size: int, rng: random.Random) -> str:
    """About `size` bytes of prose that never repeats, without personal data."""
    words: list[str] = []
    length = 0
    while length < size:
        word = f"{rng.choice(WORDS)}{rng.randrange(10_000)}"
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:size]


def answer(message: dict[str, Any], rng: random.Random) -> dict[str, Any] | None:
    """The JSON-RPC response, or None for a notification."""
    method, message_id = message.get("method"), message.get("id")
    if message_id is None:
        return None
    if method == "initialize":
        result: dict[str, Any] = {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "fast", "version": "1"},
        }
    elif method == "ping":
        result = {}
    elif method == "tools/list":
        result = {"tools": [TOOL]}
    elif method == "tools/call":
        text = SECRET if message["params"]["arguments"].get("id") == SECRET_ID else varied_text(1000, rng)
        result = {"content": [{"type": "text", "text": text}]}
    else:
        return {"jsonrpc": "2.0", "id": message_id, "error": {"code": -32601, "message": "Method not found"}}
    return {"jsonrpc": "2.0", "id": message_id, "result": result}


class FastUpstream(asyncio.Protocol):
    """HTTP/1.1 with Content-Length only: what the gate sends."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport by construction

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, length = self._buffer[:end].lower(), 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name == b"content-length":
                    length = int(value)
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            self._respond(head, body)

    def _respond(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        if not head.startswith(b"post"):
            self._transport.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        told = answer(json.loads(body), self._rng)  # noqa: TID251 - not the product
        if told is None:
            self._transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            return
        text = json.dumps(told).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
        )


async def serve(port: int) -> None:
    rng = random.Random(7)
    server = await asyncio.get_running_loop().create_server(lambda: FastUpstream(rng), "127.0.0.1", port)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))
