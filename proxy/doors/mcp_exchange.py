"""One judged request of an agent, as the runner sees it: its call, its way to the tool, what comes before the answer.

Rules of this module:
* `dispatch` sends what it is given (a person may have edited it), never what was received: the message is built anew
  from the validated request, and so are its headers.
* The final response is returned uninspected: the runner inspects it. What comes before it is inspected here, under
  the rules of the call that was sent.
* Exactly the response to this request counts. One to another id is refused and said in the record; a second is dropped.
* Where the server ends its stream before answering (SEP-1699), so does the agent's, and the response is awaited from
  wherever it comes: the agent's own resumption, or ours.
* Requests that a result carries (`inputRequests`) are judged before the result may go back to the agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import structlog
from mcp.types.jsonrpc import INTERNAL_ERROR

from policies.model import JsonObject, ToolCall
from proxy.doors.mcp_carried import asks_something, forbidden
from proxy.doors.mcp_link import Link, close, version_headers
from proxy.doors.mcp_outgoing import AgentRequest, headers_for, message_for
from proxy.doors.mcp_questions import asks
from proxy.doors.mcp_relay import Relay
from proxy.doors.mcp_reply import AgentReply, Telling
from proxy.doors.mcp_resume import Resumption
from proxy.doors.mcp_shared import Shared
from proxy.doors.mcp_status import credentials_refused, passed_status
from proxy.doors.mcp_tasks import NOT_PASSED_ON, OUT_OF_BOUNDS, is_past_rules, is_task
from proxy.exchange import Dispatched
from proxy.tasks import spawn
from proxy.upstreams.base import Incoming, Reply, ResponseTooLarge, Sent, UpstreamFailed
from proxy.upstreams.inventory import InventoryUnavailable
from proxy.wire import mcp_results
from proxy.wire.jsonrpc import Request, is_same_id
from proxy.wire.strict_json import write

log = structlog.get_logger("interlock.mcp")

WITHHELD = "it is larger than this call is allowed to bring back"
NO_RESPONSE = "The tool server answered with an error that is no JSON-RPC message."


class McpExchange:
    """An `Exchange` over the MCP door."""

    def __init__(self, shared: Shared, request: AgentRequest, call: ToolCall, link: Link, reply: AgentReply) -> None:
        self.call = call
        self.sent_call = call  # an edit, or a ticket, makes what is sent another call than what was asked for
        self.client = request.client
        self.ticket = request.ticket
        self.size_bytes = request.place.size_bytes
        self.left = reply.left
        self.request, self.reply = request, reply
        self.is_dispatched = False
        self.final_event_id: str | None = None
        self.bare_status: int | None = None  # the server answered this status with no message in it
        self.over = asyncio.Event()  # nothing of this call is awaited any more
        self.finished = asyncio.Event()  # its answer has been written, or never will be
        self.collector: tuple[AgentReply, str | None] | None = None  # a resumed stream that waits for the answer
        self._resumption: Resumption | None = None  # made when it is needed: the two know each other
        self._shared, self._link = shared, link
        self._telling: Telling | None = None
        self._response: asyncio.Future[JsonObject] | None = None
        self._upstream_reply: Reply | None = None

    # -- for the runner --------------------------------------------------------------------------------------------

    async def dispatch(self, call: ToolCall, sent: Sent) -> Dispatched:
        """Send `call` and return the response. Raises: UpstreamFailed."""
        if call.server != self.call.server:
            raise UpstreamFailed(
                f"this request came in at {self.call.server}, the call is for {call.server}", sent=False
            )
        self.is_dispatched = True
        self.sent_call = call
        self._response = asyncio.get_running_loop().create_future()
        if self._telling is not None:
            self._telling.message = None  # from now on progress is the tool's
        message = message_for(self.request, self.call, call, may_be_task=not sent.is_bounded)
        self.request.place.step_aside()
        try:
            dispatched = await self._sent(message, call, sent)
        except ResponseTooLarge as large:
            self.request.place.work()
            return replace(self._replaced(WITHHELD), held=large.why)
        except asyncio.CancelledError:
            if sent.happened and not self.request.is_modern:
                spawn(self._say_cancelled(), name=f"cancel:{call.server}")
            raise
        self.request.place.work()
        result = dispatched.response.get("result")
        if is_task(result) and sent.is_bounded:
            return self._replaced(OUT_OF_BOUNDS)
        if is_task(result) or asks_something(result):
            return await self._without_what_is_forbidden(call, dispatched)
        return dispatched

    async def _sent(self, message: Request, call: ToolCall, sent: Sent) -> Dispatched:
        """Send it, and read its answer. Raises: UpstreamFailed."""
        reply = await self._link.post(
            message.raw,
            headers=headers_for(self.request, message, call),
            sent=sent,
            reuse_connection=sent.is_read,  # a connection gone stale would put anything else in doubt (traps T3)
            before_repeat=lambda: self._same_definition(call),
        )
        try:
            dispatched = await self._from_stream(reply) if reply.is_stream else self._from_body(reply)
        finally:
            self._upstream_reply = None
            self.over.set()
            await close(reply)
        # However it came (a process's line, another stream of the session), this is what it comes to.
        if sent.response_bytes_max is not None and len(write(dispatched.response)) > sent.response_bytes_max:
            raise ResponseTooLarge("its answer is larger than max_response_bytes allows", sent=True)
        return dispatched

    async def _say_cancelled(self) -> None:
        """It was cut off: the server may stop working on it (2025-11-25 basic/utilities/cancellation)."""
        params = {"requestId": self.request.id, "reason": "it may not take longer"}
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        headers = version_headers(self.request.revision)
        try:
            await close(await self._link.post(cancelled, headers=headers, sent=Sent(), reuse_connection=True))
        except UpstreamFailed as failed:
            log.info("cancellation_not_said", server=self.call.server, why=failed.why)

    def parked(self, call_id: str, message: str) -> None:  # noqa: ARG002 - the message names the call
        """Hold: commit the stream and keep it alive, with progress where the agent gave a token."""
        self.request.place.hold()
        if self._telling is None:
            parking = self._shared.config.parking
            self._telling = Telling(parking.keepalive_sec, parking.progress_sec, self.request.scale)
        self._telling.message = message
        self.reply.keep_alive(self._telling, at_once=True)

    # -- for other streams of the session --------------------------------------------------------------------------

    async def take_response(self, message: JsonObject) -> bool:
        """A response that came on another stream; False if this call has its response already, or was never sent."""
        response = self._response
        if response is None or response.done() or not self._is_answer(message):
            return False
        response.set_result(message)
        if self._upstream_reply is not None:
            await close(self._upstream_reply)  # ends the reading of the stream on which it did not come
        return True

    def end(self) -> None:
        """The session was ended: nobody waits any more."""
        self.left.set()
        self.over.set()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _is_answer(self, message: JsonObject) -> bool:
        return is_same_id(self.request.id, message.get("id"))

    def _from_body(self, reply: Reply) -> Dispatched:
        message = reply.body
        if (refused := credentials_refused(reply.status)) is not None:
            return Dispatched(self._error(refused), passed_status(reply.status))
        if message is None:
            if reply.status < 400:
                raise UpstreamFailed(f"the server answered HTTP {reply.status} without a message", sent=True)
            self.bare_status = reply.status
            why = f"The tool server answered HTTP {reply.status} without a message."
            return Dispatched(self._error(why), reply.status)
        if message.get("jsonrpc") != "2.0" or "method" in message:
            if reply.status < 400:
                raise UpstreamFailed("the server answered with something that is no response", sent=True)
            return Dispatched(self._error(NO_RESPONSE, message), reply.status)
        if "error" in message and (reply.status >= 400 or message.get("id") is None):
            message = {**message, "id": self.request.id}  # about this request, whose id it did not read or repeat
        if not self._is_answer(message):
            self._refuse_stray("an answer to another id in place of this one's")
            raise UpstreamFailed("the server answered another id", sent=True)
        return Dispatched(message, reply.status)

    async def _from_stream(self, reply: Reply) -> Dispatched:
        self.reply.as_events = True
        self._upstream_reply = reply
        session = self._link.session
        relay = Relay(
            self._shared,
            self.sent_call,
            self.reply,
            revision=self.request.revision,
            ask=asks(self._shared, session, self._link, self.request.revision, self.over),
            scale=self.request.scale,
            session=session,
        )
        if self.reply.accepts_events and self._telling is None:
            parking = self._shared.config.parking
            self.reply.keep_alive(Telling(parking.keepalive_sec, parking.progress_sec, None))
        was_broken = await self._read(reply, relay)
        assert self._response is not None
        if not self._response.done():
            return Dispatched(await self.resumption.wait(relay, was_broken=was_broken))
        return Dispatched(self._response.result())

    async def _read(self, reply: Reply, relay: Relay) -> bool:
        """Read a stream of the server until the response or its end; True if it broke but may be resumed."""
        assert reply.incoming is not None
        assert self._response is not None
        try:
            async for incoming in reply.incoming:
                if await self.take_in(incoming, relay):
                    return False
        except ResponseTooLarge:
            raise
        except UpstreamFailed:
            if not self._response.done() and not self.resumption.is_possible:
                raise
            return not self._response.done()
        return False

    async def take_in(self, incoming: Incoming, relay: Relay) -> bool:
        """Deal with one thing from a stream of this call; True once the response is there."""
        assert self._response is not None
        self.resumption.note(incoming, relay.event_id(incoming))
        message = await relay.pass_on(incoming)
        if message is not None and self._is_answer(message):
            if not self._response.done():
                self.final_event_id = relay.event_id(incoming)
                self._response.set_result(message)
        elif message is not None:
            self._refuse_stray("a response to an id that this stream does not answer")
        return self._response.done()

    async def response_or(self, other: asyncio.Future[Any], seconds: float) -> JsonObject | None:
        """The response, if it comes before `other` and within that time."""
        assert self._response is not None
        await asyncio.wait({self._response, other}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return self.response

    @property
    def response(self) -> JsonObject | None:
        """The response, once it is there."""
        return self._response.result() if self._response is not None and self._response.done() else None

    @property
    def resumption(self) -> Resumption:
        """How the answer may still come when the stream it was to come on has ended."""
        if self._resumption is None:
            self._resumption = Resumption(self)
        return self._resumption

    @property
    def event_ids(self) -> Collection[str]:
        """The events of this call by which it may be resumed."""
        return self._resumption.event_ids if self._resumption is not None else ()

    @property
    def link(self) -> Link:
        return self._link

    @property
    def timeout_sec(self) -> float:
        return self._shared.timeout_sec(self.call.server)

    def _error(self, message: str, data: Any = None) -> JsonObject:
        return mcp_results.error(self.request.revision, self.request.id, INTERNAL_ERROR, message, data)

    def _refuse_stray(self, why: str) -> None:
        log.warning("stray_response", server=self.call.server, method=self.call.method, why=why)
        self._shared.runner.refused(
            agent=self.call.agent.id, server=self.call.server, method=self.call.method, why=why, status=0
        )

    async def _same_definition(self, call: ToolCall) -> None:
        """After the server has been away: the tool must still be the one that was judged."""
        self._shared.inventory.changed(call.server)
        if call.method != "tools/call" or call.definition is None:
            return
        try:
            now = await self._shared.inventory.definition(call.server, call.tool)
        except InventoryUnavailable as unavailable:
            raise UpstreamFailed(str(unavailable), sent=False) from unavailable
        if now is None or now.digest != call.definition.digest:
            raise UpstreamFailed("the server came back with another definition of this tool", sent=False)

    async def _without_what_is_forbidden(self, call: ToolCall, dispatched: Dispatched) -> Dispatched:
        """What may not go to the agent with a result, or by way of it, replaces the whole result.

        A task that would be fetched past the tool's output rules, and a question that policy denies: whatever revision
        it was dispatched in, a repeat of 2026-07-28 may be given the outcome.
        """
        runner, result = self._shared.runner, dispatched.response.get("result")
        if is_task(result) and is_past_rules(runner, call, is_modern=self.request.is_modern):
            return self._replaced(NOT_PASSED_ON)
        why = await forbidden(runner, call, result)
        return dispatched if why is None else self._replaced(why)

    def _replaced(self, why: str) -> Dispatched:
        """A refusal of ours in place of what the tool answered; it has been executed all the same."""
        text = f"EXECUTED as far as it could be, but its answer was not passed on: {why}."
        return Dispatched(mcp_results.refusal(self.request.revision, self.call.method, self.request.id, text), 200)
