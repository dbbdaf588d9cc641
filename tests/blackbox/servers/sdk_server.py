"""A tool server made with the Python SDK, over Streamable HTTP.

Run as `python sdk_server.py PORT` (0: a free one); says `ready PORT` when it accepts connections.
"""

from __future__ import annotations

import os
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("sdk-server")


@server.tool()
def whoami() -> int:
    """This process's id."""
    return os.getpid()


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Counts, and tells how far it is."""
    for number in range(to):
        await ctx.report_progress(number, to)
    return f"counted to {to}"


class Announcing(uvicorn.Server):
    """Says its port once connections are accepted."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print("ready", self.servers[0].sockets[0].getsockname()[1], flush=True)


if __name__ == "__main__":
    config = uvicorn.Config(server.streamable_http_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
    Announcing(config).run()
