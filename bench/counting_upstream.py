"""The fast tool server, which also keeps which calls reached it: what was forwarded can be told from what was refused.

Rules of this module:
* `GET /seen` answers with the `id` argument of every `tools/call` that arrived whole, in their order, doubles too.

Run: python -m bench.counting_upstream --port N
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random

from bench.fast_upstream import FastUpstream


class CountingUpstream(FastUpstream):
    """One connection of it."""

    def __init__(self, rng: random.Random, seen: list[int]) -> None:
        super().__init__(rng)
        self._seen = seen

    def _respond(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        if head.startswith(b"get /seen "):
            text = json.dumps(self._seen).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
            return
        if b'"tools/call"' in body:
            self._seen.append(json.loads(body)["params"]["arguments"]["id"])  # noqa: TID251 - not the product
        super()._respond(head, body)


async def serve(port: int) -> None:
    rng, seen = random.Random(7), list[int]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: CountingUpstream(rng, seen), "127.0.0.1", port)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))
