"""What policy hides from an agent, as an unmodified client of the SDK sees it through a whole gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer

from tests.blackbox.whole_gate import endpoint, tool_server, whole_gate

POLICY = """
classify:
  - {tools: [shop/look], risk_tags: [read]}
  - {tools: [shop/purge], risk_tags: [delete]}
rules:
  - {id: look, match: {tools: [shop/look]}, decision: allow}
  - {id: purge, match: {tools: [shop/purge]}, decision: allow}
visibility:
  hide: [{match: {risk_tags: [delete]}, reason: no model need be tempted}]
  hide_denied: true
"""


def shop() -> Any:
    server: MCPServer[Any] = MCPServer("shop")

    for name in ("look", "purge", "unknown"):

        async def act(name: str = name) -> str:
            return f"done: {name}"

        server.tool(name=name)(act)
    return server.streamable_http_app()


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_an_agent_is_shown_what_policy_leaves_and_a_hidden_tool_is_judged_as_ever(
    tmp_path: Path, mode: Any
) -> None:
    async with tool_server(shop) as server, whole_gate(tmp_path, POLICY, {"shop": {"url": server.url}}) as app:
        async with Client(endpoint(app, "shop"), mode=mode) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["look", "interlock_collect"]
            purged = await client.call_tool("purge", {})
            assert (purged.is_error, purged.content[0].text) == (False, "done: purge")  # type: ignore[union-attr]
            assert (await client.call_tool("unknown", {})).is_error
