"""Upstreams in memory, for tests of what uses upstreams: they speak MCP as a server would, without a wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from proxy.upstreams.base import Incoming, Reply, Sent, UpstreamFailed
from tests.blackbox.servers.lenient import LenientTools


class FakeToolServer:
    """`Upstream` over LenientTools. `before` may answer, or break, a message before the tools see it."""

    def __init__(
        self,
        name: str = "tool",
        *,
        tools: LenientTools | None = None,
        as_events: bool = False,
        before: Callable[[dict[str, Any]], Reply | None] = lambda _message: None,
    ) -> None:
        self.name, self.tools, self.as_events, self.before = name, tools or LenientTools(), as_events, before
        self.posted: list[dict[str, Any]] = []
        self.seen: list[tuple[dict[str, str], str | None, str]] = []
        self.sessions: set[str] = set()
        self.deleted: list[str] = []
        self.extra: list[dict[str, Any]] = []  # messages a stream carries before each answer
        self.closes = 0

    def methods(self) -> list[str]:
        return [str(message.get("method")) for message in self.posted]

    async def post(
        self,
        message: dict[str, Any],
        *,
        headers: Mapping[str, str],
        session: str | None,
        agent: str,
        sent: Sent,
        reuse_connection: bool,
    ) -> Reply:
        sent.happened = True
        self.posted.append(message)
        self.seen.append((dict(headers), session, agent))
        reply = self.before(message)
        if reply is not None:
            return reply
        answer = self.tools.answer(message)
        if answer is None:
            return Reply(202)
        out = {}
        if message["method"] == "initialize":
            out["mcp-session-id"] = f"s{len(self.sessions)}"
            self.sessions.add(out["mcp-session-id"])
        if not self.as_events:
            return Reply(200, out, body=answer)

        async def incoming() -> AsyncIterator[Incoming]:
            for extra in (*self.extra, answer):
                yield Incoming(extra)

        async def close() -> None:
            self.closes += 1

        return Reply(200, out, is_stream=True, incoming=incoming(), close=close)

    async def get(self, *, headers: Mapping[str, str], session: str | None, agent: str) -> Reply:
        return Reply(405)

    async def delete(self, *, headers: Mapping[str, str], session: str, agent: str) -> Reply:
        self.deleted.append(session)
        return Reply(200)

    async def close(self) -> None: ...


def breaks(why: str = "it broke", *, sent: bool = True, method: str | None = None) -> Callable[[dict[str, Any]], None]:
    """A `before` that fails every message, or those of one method."""

    def before(message: dict[str, Any]) -> None:
        if method is None or message.get("method") == method:
            raise UpstreamFailed(why, sent=sent)

    return before
