"""Passing on what a tool server says before, beside and after an answer: every message inspected, none forwarded as is.

Rules of this module:
* One message at a time and in order; the next is read from the server only when this one is dealt with.
* Notifications and requests of the server are dealt with here; a response is handed back to the caller, who knows what
  was asked. A message with both or neither is not a message and never comes this far (the upstream reads strictly).
* A notification that inspection withholds leaves its event id behind, so that a resumed stream starts after it.
* Progress that names a token the agent did not give with this request (on a push stream: in this session) is dropped:
  it belongs to somebody else (S7).
* A request of the server becomes a judged call of its own (`mcp_questions`), and where the revision has no such thing
  it is refused (2026-07-28 basic/transports/streamable-http). Those that a notification carries are judged too.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

import structlog

from policies.model import Direction, JsonObject, OutputRules, ToolCall
from proxy.doors.mcp_answers import without_our_meta
from proxy.doors.mcp_carried import forbidden
from proxy.doors.mcp_reply import AgentReply, ProgressScale
from proxy.doors.mcp_sessions import Session
from proxy.doors.mcp_shared import Shared, shown_method
from proxy.upstreams.base import Incoming
from proxy.wire import mcp_methods
from proxy.wire.jsonrpc import is_same_id
from proxy.wire.mcp_methods import Era, Kind, Revision
from redaction.model import Inspection, Surface

log = structlog.get_logger("interlock.mcp")

LIST_CHANGED = "notifications/tools/list_changed"
PROGRESS = "notifications/progress"
CANCELLED = "notifications/cancelled"
WITHHELD = "withheld"


class Asks(Protocol):
    """Whoever deals with requests of the server."""

    def __call__(self, request: JsonObject, reply: AgentReply, event_id: str | None) -> None:
        """Take up a request without waiting for its answer."""

    def cancelled(self, notification: JsonObject) -> JsonObject | None:
        """The server takes a request back: the notification as the agent is to see it, or None if it is not to."""


class Relay:
    """From one stream of a tool server to one stream of an agent, under the output rules of one call."""

    __slots__ = ("_ask", "_call", "_reply", "_revision", "_rules", "_scale", "_session", "_shared", "_tokens")

    def __init__(
        self,
        shared: Shared,
        call: ToolCall,
        reply: AgentReply,
        *,
        revision: Revision,
        ask: Asks | None,
        scale: ProgressScale | None = None,
        session: Session | None = None,
        tokens: Container[object] = (),
    ) -> None:
        self._shared, self._call, self._reply = shared, call, reply
        self._revision = revision
        self._ask, self._scale, self._session, self._tokens = ask, scale, session, tokens
        self._rules: OutputRules | None = None

    async def pass_on(self, incoming: Incoming) -> JsonObject | None:
        """Deal with one thing read from the server; returns it only if it is a response."""
        message = incoming.message
        event_id = self.event_id(incoming)
        if message is None:
            if event_id is not None or incoming.retry_ms is not None:
                await self._reply.event(None, event_id, incoming.retry_ms)
            return None
        method = message.get("method")
        if method is None:
            return message
        if "id" not in message:
            await self._notification(message, method, event_id, incoming.retry_ms)
        elif self._ask is None:
            self._note(method, "refused: this revision has no requests from servers")
        else:
            self._ask(message, self._reply, event_id)
        return None

    def event_id(self, incoming: Incoming) -> str | None:
        """The event's id if it may be passed on: opaque, but never longer than any opaque value."""
        event_id = incoming.event_id
        if event_id is None or len(event_id.encode()) > self._shared.config.limits.opaque_bytes_max:
            return None
        if self._session is not None:
            self._session.event_ids.add(event_id)
        return event_id

    async def inspect(self, message: JsonObject, surface: Surface) -> Inspection:
        """Inspect one message of this call, less what only the gate may say."""
        if self._rules is None:
            self._rules = self._shared.runner.output_rules(self._call)
        definition = self._call.definition if surface is Surface.RESULT else None
        output_schema = definition.output_schema if definition is not None else None
        return await self._shared.inspectors.inspect(
            without_our_meta(message), rules=self._rules, surface=surface, output_schema=output_schema
        )

    async def _notification(self, message: JsonObject, method: str, event_id: str | None, retry_ms: int | None) -> None:
        if mcp_methods.method(self._revision, Direction.TOOL_TO_AGENT, Kind.NOTIFICATION, method) is None:
            self._note(method, "refused: not a notification of this revision")
            return
        if method == LIST_CHANGED:
            self._shared.inventory.changed(self._call.server)
        if method == PROGRESS:
            token = _token(message)
            if self._scale is not None and is_same_id(self._scale.token, token):
                message = self._scale.moved(message)
            elif token not in self._tokens:
                log.info("progress_dropped", server=self._call.server, why="its token is nobody's here")
                return
        if self._revision.era is Era.MODERN and await forbidden(self._shared.runner, self._call, message.get("params")):
            self._note(method, WITHHELD)
            return
        if method == CANCELLED and self._ask is not None:
            own = self._ask.cancelled(message)
            if own is None:
                return
            message = own
        if not self._reply.accepts_events or self._reply.left.is_set():
            return
        inspection = await self.inspect(message, Surface.NOTIFICATION)
        if inspection.message is None:
            self._note(method, WITHHELD)
        if inspection.message is not None or event_id is not None:
            await self._reply.event(inspection.message, event_id, retry_ms)

    def _note(self, method: str, outcome: str) -> None:
        self._shared.runner.note(
            agent=self._call.agent.id,
            server=self._call.server,
            method=shown_method(method),
            direction=Direction.TOOL_TO_AGENT,
            outcome=outcome,
        )


def _token(message: JsonObject) -> object:
    params = message.get("params")
    return params.get("progressToken") if isinstance(params, dict) else None
