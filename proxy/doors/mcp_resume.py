"""A response that did not come on the stream of its request: waiting for it, and fetching it by resuming that stream.

Rules of this module:
* Handshake revisions only, within a session, and only where the server gave an event id to resume from (SEP-1699).
* A server that ended its stream ends the agent's too; the agent gets a few seconds to resume it. Only when it does not
  come do we resume the stream ourselves, to learn the outcome of what may have been executed (P5).
* Resuming is a GET: it executes nothing, so it may be repeated. It ends with the server's patience, and at once when
  the server has forgotten the session.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from policies.model import JsonObject
from proxy.doors.mcp_link import close, version_headers
from proxy.doors.mcp_relay import Relay
from proxy.upstreams.base import Incoming, UpstreamFailed

if TYPE_CHECKING:
    from proxy.doors.mcp_exchange import McpExchange

AGENT_GRACE_SEC = 5.0  # beyond the server's own `retry:`
RETRY_SEC = 1.0
RETRY_SEC_MAX = 30.0
FAILURES_MAX = 3
EVENT_IDS_MAX = 1_000


class Resumption:
    """Of one dispatched call."""

    __slots__ = ("_attached", "_exchange", "_failures", "_last_event_id", "_moved", "_retry_ms", "event_ids")

    def __init__(self, exchange: McpExchange) -> None:
        self._exchange = exchange
        self.event_ids: dict[str, None] = {}  # of its stream, oldest first
        self._last_event_id: str | None = None
        self._retry_ms: int | None = None
        self._attached = 0
        self._failures = 0
        self._moved: asyncio.Event | None = None  # of the wait that goes on, if one does

    def note(self, incoming: Incoming, event_id: str | None) -> None:
        """Something was read from a stream of this call."""
        if incoming.retry_ms is not None:
            self._retry_ms = incoming.retry_ms
        if event_id is not None:
            self._last_event_id = event_id
            self.event_ids[event_id] = None
            if len(self.event_ids) > EVENT_IDS_MAX:
                del self.event_ids[next(iter(self.event_ids))]

    def attach(self) -> None:
        """The agent has resumed this call's stream."""
        self._attached += 1
        self._exchange.left = asyncio.Event()  # it is here again, whatever became of its first connection
        self._wake()

    def detach(self) -> None:
        """The agent's resumed stream has ended."""
        self._attached -= 1
        if not self._attached:
            self._exchange.left.set()
        self._wake()

    def _wake(self) -> None:
        if self._moved is not None:
            self._moved.set()

    @property
    def is_possible(self) -> bool:
        return (
            self._last_event_id is not None
            and self._exchange.link.session is not None
            and not self._exchange.request.is_modern
        )

    async def wait(self, relay: Relay, *, was_broken: bool) -> JsonObject:
        """The response, from wherever it comes. Raises: UpstreamFailed."""
        if not self.is_possible:
            raise UpstreamFailed("the server ended its stream without an answer", sent=True)
        reply = self._exchange.reply
        if not was_broken and reply.committed and not reply.done:
            await reply.end()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._exchange.timeout_sec
        while loop.time() < deadline:
            response = await self._left_to_others(agent_must_come=reply.done)
            if response is None and not self._attached:
                response = await self._resume(relay)
            if response is not None:
                return response
        raise UpstreamFailed("the server did not answer in time", sent=True)

    async def _left_to_others(self, *, agent_must_come: bool) -> JsonObject | None:
        """Wait as long as the agent may be expected to resume, or until something changes."""
        delay = min(self._retry_ms / 1000 if self._retry_ms is not None else RETRY_SEC, RETRY_SEC_MAX)
        if agent_must_come:
            delay += AGENT_GRACE_SEC
        self._moved = asyncio.Event()
        moved = asyncio.ensure_future(self._moved.wait())
        try:
            return await self._exchange.response_or(moved, delay)
        finally:
            moved.cancel()

    async def _resume(self, relay: Relay) -> JsonObject | None:
        """Read on where the stream stopped; None if it stopped again."""
        headers = version_headers(self._exchange.request.revision)
        headers |= {"last-event-id": self._last_event_id or "", "accept": "text/event-stream"}
        try:
            reply = await self._exchange.link.get(headers=headers, renew=False)
        except UpstreamFailed as failed:
            self._failed(failed.why)
            return None
        try:
            if not reply.is_stream or reply.incoming is None:
                raise UpstreamFailed(f"its stream cannot be resumed: HTTP {reply.status}", sent=True)
            async for incoming in reply.incoming:
                self._failures = 0
                if await self._exchange.take_in(incoming, relay):
                    break
        except UpstreamFailed as failed:
            if not reply.is_stream:
                raise
            self._failed(failed.why)
        finally:
            await close(reply)
        return self._exchange.response

    def _failed(self, why: str) -> None:
        self._failures += 1
        if self._failures >= FAILURES_MAX:
            raise UpstreamFailed(why, sent=True)
