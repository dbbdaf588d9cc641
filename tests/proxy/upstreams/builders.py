"""Builders for the tests of upstreams: commands of the scripted stdio tool, sessions over them, processes looked at."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from proxy.upstreams.base import Sent, Upstream
from proxy.upstreams.child import ChildLimits, Command
from proxy.upstreams.conversation import ConversationLimits
from proxy.upstreams.environment import child_environment
from proxy.upstreams.stdio import StdioLimits

SCRIPT = Path(__file__).parents[2] / "blackbox" / "servers" / "stdio_tool.py"


class Talk:
    """One agent's session with a stdio upstream, in as few words as tests need."""

    def __init__(self, upstream: Upstream, agent: str = "ada") -> None:
        self.upstream, self.agent = upstream, agent
        self.session: str | None = None
        self.sent = Sent()
        self._last_id = 0

    async def initialize(self, version: str = "2025-11-25") -> dict[str, Any]:
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        reply = await self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
        self.session = reply.headers.get("mcp-session-id")
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return reply.body

    async def post(self, message: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
        self.sent = Sent()
        return await self.upstream.post(
            message,
            headers=headers or {},
            session=self.session,
            agent=self.agent,
            sent=self.sent,
            reuse_connection=True,
        )

    async def ask(self, tool: str, /, request_id: Any = None, meta: Any = None, **arguments: Any) -> Any:
        self._last_id += 1
        params = {"name": tool, "arguments": arguments} | ({"_meta": meta} if meta else {})
        request_id = self._last_id if request_id is None else request_id
        return await self.post({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params})

    async def call(self, tool: str, /, **arguments: Any) -> Any:
        """The value the tool answered with, whatever came before."""
        return value_of((await everything(await self.ask(tool, **arguments)))[-1])


def value_of(response: dict[str, Any]) -> Any:
    return response["result"]["structuredContent"]["value"]


async def everything(reply: Any) -> list[dict[str, Any]]:
    """Every message of a reply, the response last."""
    if not reply.is_stream:
        return [reply.body]
    messages = [incoming.message async for incoming in reply.incoming]
    await reply.close()
    return messages


def tool_command(*options: str, **environment: str) -> Command:
    return Command((sys.executable, str(SCRIPT), *options), child_environment(os.environ, environment))


def quick(children_max: int = 16, silence_sec_max: float = 10, stall_sec_max: float = 10, **more: Any) -> StdioLimits:
    """Limits under which a child that must be ended by force is gone soon."""
    conversation = ConversationLimits(silence_sec_max, stall_sec_max, ChildLimits(grace_sec=0.3))
    return StdioLimits(children_max=children_max, conversation=conversation, **more)


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone_within(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_running(pid)
