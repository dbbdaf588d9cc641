"""A tool server of the SDK on stdio: echoes, dies, asks, reports progress. Run as `python sdk_stdio.py`."""

from __future__ import annotations

import os
from typing import Any

from mcp.server.mcpserver import Context, MCPServer

server: MCPServer[Any] = MCPServer("child")


@server.tool()
async def echo(text: str) -> str:
    """Says what it was told, and which process it is."""
    return f"{text} from {os.getpid()}"


@server.tool()
async def die() -> str:
    """Ends without answering."""
    os._exit(3)


@server.tool()
async def whose_roots(ctx: Context[Any, Any]) -> str:
    """Asks the client for its roots."""
    listed = await ctx.session.list_roots()
    return ", ".join(str(root.uri) for root in listed.roots)


@server.tool()
async def count(ctx: Context[Any, Any], to: int) -> str:
    """Counts, reporting progress."""
    for number in range(1, to + 1):
        await ctx.report_progress(number, to)
    return f"counted to {to}"


if __name__ == "__main__":
    server.run()
