"""A tool server as its author would write one: the MCP SDK's own, served by uvicorn, a varied 1 KB result per call.

Run: python -m bench.sdk_upstream --port N
"""

from __future__ import annotations

import argparse
import random
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer

from bench.fast_upstream import TOOL, varied_text

RESULT_BYTES = 1000


def server() -> MCPServer[Any]:
    rng = random.Random(7)
    shop: MCPServer[Any] = MCPServer("sdk")

    @shop.tool(name=str(TOOL["name"]), description=str(TOOL["description"]), structured_output=False)
    def lookup(id: int, amount: float = 0.0) -> str:  # noqa: A002, ARG001 - the tool's own words
        return varied_text(RESULT_BYTES, rng)

    return shop


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    app = server().streamable_http_app(json_response=True)
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, log_level="warning")
