"""The GET stream: what a tool server says unasked, and what it says again to an agent that resumes a stream.

Rules of this module:
* Every message on it is inspected. Its event ids and `retry` pass; `Last-Event-ID` goes to the server if it came on a
  stream of this session, else it is refused: some servers replay whatever stream an id is of (S7).
* A response on it must be to a judged call of this session: one that still waits gets it and its answer is written
  here; one already answered is inspected again under its own rules, unless its output is held: that is for people to
  release; any other is refused and said in the record (S7).
* One stream lasts as long as both sides hold it; comments of ours keep it warm.
* DELETE ends the session here and at the server; whoever waited in it has left.
"""

from __future__ import annotations

import structlog
from mcp.types.jsonrpc import INTERNAL_ERROR

from policies.model import Direction, JsonObject, ToolCall
from proxy.doors.mcp_exchange import McpExchange
from proxy.doors.mcp_link import Link, close, version_headers
from proxy.doors.mcp_noted import UNREACHABLE, closing_when_left, why_failed
from proxy.doors.mcp_questions import asks
from proxy.doors.mcp_relay import WITHHELD, Relay
from proxy.doors.mcp_reply import AgentReply, Telling
from proxy.doors.mcp_sessions import Session
from proxy.doors.mcp_shared import Shared
from proxy.doors.mcp_status import beside_error, passed_headers, passed_status
from proxy.upstreams.base import Incoming, Reply, UpstreamFailed
from proxy.wire import mcp_results
from proxy.wire.mcp_headers import LAST_EVENT_ID_HEADER, McpHeaders
from proxy.wire.mcp_methods import Revision
from proxy.wire.refusals import Why, WireRefusal
from redaction.model import Surface

log = structlog.get_logger("interlock.mcp")

WITHHELD_TEXT = "EXECUTED, but its output is withheld after inspection."


class Push:
    """One GET of one agent."""

    def __init__(
        self,
        shared: Shared,
        call: ToolCall,
        revision: Revision,
        headers: McpHeaders,
        accept: str,
        session: Session | None,
        reply: AgentReply,
    ) -> None:
        self._shared, self._call, self._revision, self._headers = shared, call, revision, headers
        self._accept, self._session, self._reply = accept, session, reply
        self._link = Link(shared.upstreams[call.server], call.agent.id, session)
        ended = session.ended if session is not None else reply.left
        self._ask = asks(shared, session, self._link, revision, ended)

    async def serve(self) -> None:
        """Open the server's stream and pass it on. Raises: StoreDown, WireRefusal."""
        last_event_id = self._headers.lines.get(LAST_EVENT_ID_HEADER)
        if last_event_id is not None and (self._session is None or last_event_id not in self._session.event_ids):
            raise WireRefusal(Why.UNKNOWN_EVENT, f"{LAST_EVENT_ID_HEADER} names no event of a stream of this session")
        self._note("passed")
        headers = version_headers(self._revision) | {"accept": self._accept}
        if last_event_id is not None:
            headers[LAST_EVENT_ID_HEADER] = last_event_id
        resumed = self._resumed(last_event_id)
        if resumed is not None:
            resumed.resumption.attach()
        try:
            upstream = await self._link.get(headers=headers, renew=True)
            try:
                await self._pass_on(upstream, resumed)
            finally:
                await close(upstream)
        except UpstreamFailed as failed:
            log.info("push_stream_ended", server=self._call.server, why=failed.why)
            await self._ended(why_failed(failed))
        finally:
            if resumed is not None:
                resumed.resumption.detach()

    def _resumed(self, last_event_id: str | None) -> McpExchange | None:
        if last_event_id is None or self._session is None:
            return None
        return self._session.awaited_by_event(last_event_id)

    async def _pass_on(self, upstream: Reply, resumed: McpExchange | None) -> None:
        if not upstream.is_stream or upstream.incoming is None:
            await self._answer_status(upstream)
            return
        parking = self._shared.config.parking
        await self._reply.open_stream()
        self._reply.keep_alive(Telling(parking.keepalive_sec, parking.progress_sec, None))
        relay = self._relay(resumed)
        async with closing_when_left(self._shared, self._reply, upstream):
            async for incoming in upstream.incoming:
                if resumed is not None:
                    resumed.resumption.note(incoming, relay.event_id(incoming))
                message = await relay.pass_on(incoming)
                if message is not None:
                    await self._response(message, incoming, relay)
        await self._ended()

    def _relay(self, resumed: McpExchange | None) -> Relay:
        return Relay(
            self._shared,
            resumed.sent_call if resumed is not None else self._call,
            self._reply,
            revision=self._revision,
            ask=self._ask,
            scale=resumed.request.scale if resumed is not None else None,
            session=self._session,
            tokens=self._session.tokens if self._session is not None else (),
        )

    async def _response(self, message: JsonObject, incoming: Incoming, relay: Relay) -> None:
        session, event_id = self._session, relay.event_id(incoming)
        key = str(message.get("id"))
        exchange = session.awaited.get(key) if session is not None else None
        if exchange is not None:
            exchange.collector = (self._reply, event_id)
            if await exchange.take_response(message) or exchange.response is not None:
                await exchange.finished.wait()
                return
            exchange.collector = None
        answered = session.answered.get(key) if session is not None else None
        if answered is None or type(message["id"]) is not type(answered.request_id):
            self._shared.runner.refused(
                agent=self._call.agent.id,
                server=self._call.server,
                method=None,
                why="a response on the push stream to no call of this session",
                status=0,
            )
            return
        told = None
        if not answered.is_held:
            own = Relay(self._shared, answered.call, self._reply, revision=self._revision, ask=None)
            inspection = await own.inspect(message, Surface.ERROR if "error" in message else Surface.RESULT)
            told = inspection.message
        if told is None:
            self._note(WITHHELD)
            told = mcp_results.refusal(self._revision, answered.call.method, answered.request_id, WITHHELD_TEXT)
        await self._reply.event(told, event_id)

    async def _answer_status(self, upstream: Reply) -> None:
        """No stream: the server's status, and what it says about it, inspected."""
        body = beside_error(upstream.body, None)
        if body is not None:
            inspection = await self._relay(None).inspect(body, Surface.ERROR)
            body = inspection.message
        status = passed_status(upstream.status)
        await self._reply.answer(status, body, headers=passed_headers(upstream))

    async def _ended(self, why: str = UNREACHABLE) -> None:
        if self._reply.committed:
            await self._reply.end()
        else:
            await self._reply.answer(502, mcp_results.error(self._revision, None, INTERNAL_ERROR, why))

    def _note(self, outcome: str) -> None:
        self._shared.runner.note(
            agent=self._call.agent.id,
            server=self._call.server,
            method=self._call.method,
            direction=Direction.AGENT_TO_TOOL,
            outcome=outcome,
        )


async def end_session(shared: Shared, session: Session, revision: Revision, reply: AgentReply) -> None:
    """DELETE: the server's session first, then ours; a server that refuses (405) keeps both. Raises: StoreDown."""
    shared.runner.note(
        agent=session.agent.id,
        server=session.server,
        method="DELETE",
        direction=Direction.AGENT_TO_TOOL,
        outcome="passed",
    )
    link = Link(shared.upstreams[session.server], session.agent.id, session)
    try:
        upstream = await link.delete(headers=version_headers(revision))
    except UpstreamFailed as failed:
        # The agent is done with it, whatever the server says: ours ends, the server forgets its own by itself.
        log.info("session_not_ended", server=session.server, why=failed.why)
        upstream = None
    status = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if upstream is not None:
        await close(upstream)
        status, headers = upstream.status, passed_headers(upstream)
    if status < 300 or status == 404:
        shared.sessions.end(session)
    await reply.answer(status, None, headers=headers)
