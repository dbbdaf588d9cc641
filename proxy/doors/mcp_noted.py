"""Requests that pass by the built-in rule: handshake, discovery, lists, ping, subscriptions. Noted, relayed, inspected.

Rules of this module:
* Noted before it is sent: a store that is down refuses even a ping (P3 in its mild form, traps T28).
* Statuses, JSON-RPC codes and protocol fields go back as the server gave them, so that clients find out which era it
  speaks; every free string in them is inspected. A status without a body stays without one.
* `initialize` opens a session of ours over the server's; what it says (instructions, serverInfo) is a listing and is
  inspected like one (traps T23).
* What is withheld is replaced by a JSON-RPC error that says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from mcp.types.jsonrpc import INTERNAL_ERROR

from policies.model import Agent, Direction, JsonObject
from proxy.doors.mcp_carried import forbidden
from proxy.doors.mcp_link import SESSION_HEADER, Link, close, version_headers
from proxy.doors.mcp_listing import listed_tools, names_of, with_collect_tool, without_tools
from proxy.doors.mcp_outgoing import AgentRequest, call_of, headers_for
from proxy.doors.mcp_questions import asks
from proxy.doors.mcp_relay import WITHHELD, Relay
from proxy.doors.mcp_reply import AgentReply, Telling
from proxy.doors.mcp_self_report import with_properties
from proxy.doors.mcp_sessions import Session, TooManySessions
from proxy.doors.mcp_shared import OpenStream, Shared
from proxy.doors.mcp_status import beside_error, credentials_refused, passed_headers, passed_status
from proxy.tasks import spawn
from proxy.upstreams.base import Reply, Sent, UpstreamFailed, UpstreamStopped
from proxy.wire import mcp_headers, mcp_results
from proxy.wire.jsonrpc import is_same_id
from proxy.wire.mcp_methods import Era, Revision
from redaction.model import Surface

log = structlog.get_logger("interlock.mcp")

LISTEN = "subscriptions/listen"
WITHHELD_TEXT = "The gate withheld the answer of the tool server after inspecting it."
UNREACHABLE = "The tool server could not be reached, or did not answer."
STOPPED = "Stopped by the people who run this gate. Wait until you are told that work goes on."


def why_failed(failed: UpstreamFailed) -> str:
    """What an agent is told of an exchange that came to nothing."""
    return STOPPED if isinstance(failed, UpstreamStopped) else UNREACHABLE


@asynccontextmanager
async def closing_when_left(shared: Shared, agent: AgentReply, upstream: Reply) -> AsyncIterator[None]:
    """Stop reading a stream that may last for ever as soon as the agent has gone, or the gate is stopping."""
    stream = OpenStream(upstream)
    shared.streams.add(stream)

    async def wait() -> None:
        await agent.left.wait()
        await stream.end()

    watch = spawn(wait(), name="stream-watch")
    try:
        yield
    finally:
        watch.cancel()
        shared.streams.discard(stream)


class Noted:
    """One noted request on its way."""

    def __init__(
        self,
        shared: Shared,
        asked: AgentRequest,
        agent: Agent,
        server: str,
        session: Session | None,
        reply: AgentReply,
    ) -> None:
        self._shared, self._asked, self._agent, self._server = shared, asked, agent, server
        self._session, self._reply = session, reply
        self._opened: Session | None = None
        self._link = Link(shared.upstreams[server], agent.id, session)
        self._call = call_of(asked, server, agent, session.id if session is not None else None, None)
        ended = session.ended if session is not None else reply.left
        ask = asks(shared, session, self._link, asked.revision, ended)
        self._relay = Relay(
            shared, self._call, reply, revision=asked.revision, ask=ask, scale=asked.scale, session=session
        )

    async def serve(self) -> None:
        """Send it and answer it. Raises: StoreDown, TooManySessions."""
        if self._asked.method == "initialize":
            self._shared.sessions.admit(self._agent)
        self._note("passed")
        self._asked.place.step_aside()
        try:
            upstream = await self._link.post(
                self._asked.request.raw, headers=self._headers(), sent=Sent(), reuse_connection=True
            )
        except UpstreamFailed as failed:
            await self._unreachable(failed)
            return
        try:
            if upstream.is_stream:
                await self._stream(upstream)
            else:
                await self._answer(upstream, upstream.status, self._said(upstream))
        except UpstreamFailed as failed:
            await self._end_orphan(upstream)
            if not self._reply.left.is_set():
                await self._unreachable(failed)
        except TooManySessions:
            await self._end_orphan(upstream)
            raise
        finally:
            await close(upstream)

    def _said(self, upstream: Reply) -> JsonObject | None:
        """The body of an answer, if it answers this request. Raises: UpstreamFailed."""
        message, own = upstream.body, self._asked.id
        if upstream.status >= 400:
            return beside_error(message, own)
        given = message.get("id") if message is not None else None
        if given is None or is_same_id(own, given):
            return message
        self._shared.runner.refused(
            agent=self._agent.id,
            server=self._server,
            method=self._asked.method,
            why="an answer to another id in place of this one's",
            status=0,
        )
        raise UpstreamFailed("the server answered another id", sent=True)

    async def _stream(self, upstream: Reply) -> None:
        reply, parking = self._reply, self._shared.config.parking
        reply.as_events = True
        if self._asked.method == "initialize":  # the head goes out with the first event: the session's id stands in it
            self._opened = self._open_session(upstream, self._asked.revision)
        if self._asked.method == LISTEN:
            self._asked.place.hold()
            await reply.open_stream()
        reply.keep_alive(Telling(parking.keepalive_sec, parking.progress_sec, None))
        assert upstream.incoming is not None
        async with closing_when_left(self._shared, reply, upstream):
            async for incoming in upstream.incoming:
                message = await self._relay.pass_on(incoming)
                if message is None:
                    continue
                if is_same_id(self._asked.id, message.get("id")):
                    await self._answer(upstream, 200, message, self._relay.event_id(incoming))
                    return
                log.warning("stray_response", server=self._server, method=self._asked.method)
        raise UpstreamFailed("the server ended its stream without an answer", sent=True)

    async def _answer(
        self, upstream: Reply, status: int, message: JsonObject | None, event_id: str | None = None
    ) -> None:
        headers, place = passed_headers(upstream), self._asked.place
        if (why := credentials_refused(status)) is not None:
            await self._reply.answer(passed_status(status), self._error(INTERNAL_ERROR, why))
            return
        if message is None:
            await self._reply.answer(status, None, headers=headers)
            return
        surface = self._asked.row.surface if "result" in message else Surface.ERROR
        place.work()
        inspection = await self._relay.inspect(message, surface)
        place.step_aside()  # from here on its reader may be slow
        if inspection.message is None or (
            self._asked.is_modern and await forbidden(self._shared.runner, self._call, message.get("result"))
        ):
            self._note(WITHHELD)
            await self._end_orphan(upstream)
            withheld = self._error(mcp_results.REFUSED_BY_GATE, WITHHELD_TEXT)
            await self._reply.answer(200, withheld, event_id=event_id)
            return
        answer: JsonObject = inspection.message
        if self._asked.method == "initialize" and not await self._shaken(upstream, message):
            why = "The tool server chose a protocol revision this gate does not know."
            answer = self._error(mcp_results.REFUSED_BY_GATE, why)
        if self._asked.method == "tools/list":
            self._shared.inventory.overheard(self._server, listed_tools(message))
            names = names_of(listed_tools(answer))
            answer = without_tools(answer, self._shared.runner.hidden_tools(self._agent, self._server, names))
        if self._asked.method == "tools/list" and self._shared.config.servers[self._server].self_report == "argument":
            answer = with_properties(answer)
        if self._asked.method == "tools/list" and self._shared.config.servers[self._server].collect_tool:
            answer = with_collect_tool(answer)
        await self._reply.answer(status, answer, event_id=event_id, headers=headers)

    async def _shaken(self, upstream: Reply, response: JsonObject) -> bool:
        """The handshake has been answered: a success is a session of ours. False if it chose an unknown revision."""
        if "result" not in response:
            await self._end_orphan(upstream)
            return True
        revision = _negotiated(response)
        if revision is None:
            await self._end_orphan(upstream)
            return False
        if self._opened is None:
            self._opened = self._open_session(upstream, revision)
        self._opened.revision = revision
        return True

    def _open_session(self, upstream: Reply, revision: Revision) -> Session:
        """From now on the agent has a session of ours. Raises: TooManySessions."""
        upstream_id = upstream.headers.get(SESSION_HEADER)
        params = self._asked.request.params
        session = self._shared.sessions.open(self._agent, self._server, params, revision, upstream_id)
        self._reply.headers = ((SESSION_HEADER.encode(), session.id.encode()),)
        return session

    async def _end_orphan(self, upstream: Reply) -> None:
        """A session the server opened and the agent is not to have: end it again."""
        if self._opened is not None:
            self._shared.sessions.end(self._opened)
        self._reply.headers = ()
        upstream_id = upstream.headers.get(SESSION_HEADER)
        if self._asked.method == "initialize" and upstream_id is not None:
            server = self._shared.upstreams[self._server]
            try:
                headers = version_headers(self._asked.revision)
                await close(await server.delete(headers=headers, session=upstream_id, agent=self._agent.id))
            except UpstreamFailed as failed:
                log.info("session_not_ended", server=self._server, why=failed.why)

    async def _unreachable(self, failed: UpstreamFailed) -> None:
        log.info("upstream_failed", server=self._server, method=self._asked.method, why=failed.why)
        await self._reply.answer(502, self._error(INTERNAL_ERROR, why_failed(failed)))

    def _headers(self) -> dict[str, str]:
        if not self._asked.upstream_decides:
            return headers_for(self._asked, self._asked.request, None)
        # The version named may be none we know: the server is to see what the agent said, and to answer it itself.
        return mcp_headers.as_sent(self._asked.headers, self._asked.request) | {"accept": self._asked.accept}

    def _error(self, code: int, message: str) -> JsonObject:
        return mcp_results.error(self._asked.revision, self._asked.id, code, message)

    def _note(self, outcome: str) -> None:
        self._shared.runner.note(
            agent=self._agent.id,
            server=self._server,
            method=self._asked.method,
            direction=Direction.AGENT_TO_TOOL,
            outcome=outcome,
        )


def _negotiated(response: JsonObject) -> Revision | None:
    version = response["result"].get("protocolVersion") if isinstance(response["result"], dict) else None
    known = {revision.value: revision for revision in Revision if revision.era is Era.HANDSHAKE}
    return known.get(version) if isinstance(version, str) else None
