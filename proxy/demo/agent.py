"""The demo's agent: the MCP SDK's own client, unmodified, pointed at the gate instead of at the servers.

Rules of this module:
* It knows nothing of Interlock but an address. What it reads of an answer is what any MCP client gets to see.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from mcp.client import Client
from mcp.shared.exceptions import MCPError

META = "interlock/call"


class NotReached(Exception):
    """A server did not open its door to the client; the text says which."""


@dataclass(frozen=True, slots=True)
class Told:
    """One tool result as the agent sees it."""

    text: str
    is_error: bool
    meta: dict[str, Any]
    structured: Any

    @property
    def decision(self) -> str:
        """What the gate says it decided, where it says so."""
        return str(self.meta.get("decision", ""))


class DemoAgent:
    """One client per server, all behind the gate."""

    def __init__(self, gate_url: str, servers: list[str]) -> None:
        self._gate_url = gate_url
        self._servers = servers
        self._clients: dict[str, Client] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises: NotReached."""
        try:
            for server in self._servers:
                self._clients[server] = await self._opened(server)
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def _opened(self, server: str) -> Client:
        try:
            return await self._open.enter_async_context(Client(f"{self._gate_url}/mcp/{server}"))
        except (MCPError, OSError, ExceptionGroup) as error:
            raise NotReached(f"the agent cannot reach the server '{server}' through the gate") from error

    async def __aexit__(self, *exc: object) -> None:
        await self._open.aclose()

    async def tools(self, server: str) -> list[str]:
        return [tool.name for tool in (await self._clients[server].list_tools()).tools]

    async def call(self, server: str, tool: str, **arguments: Any) -> Told:
        result = await self._clients[server].call_tool(tool, arguments)
        text = "\n".join(getattr(block, "text", "") for block in result.content)
        meta = (result.meta or {}).get(META, {})
        return Told(text, bool(result.is_error), dict(meta), result.structured_content)


def items(told: Told) -> list[Any]:
    """The list a tool returned: structured where the server gives it so, else from its text blocks."""
    structured = told.structured
    if isinstance(structured, dict) and isinstance(structured.get("result"), list):
        return list(structured["result"])
    return [json.loads(line) for line in told.text.splitlines() if line]  # noqa: TID251 - an agent, not the gate
