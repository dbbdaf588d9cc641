"""The MCP door: `/mcp/<server>` over Streamable HTTP, all five revisions. Raw ASGI; it translates and decides nothing.

Rules of this module:
* Order: whether anybody is let in, path, peer, Host and Origin, who calls, which server, whether this agent is let in.
  Only then is a body read, and only one that could be.
* Who is not let in (`admission.py`) is answered 503 at once, with the same few bytes, before anything is parsed. Held
  calls and open streams give their place back; they are bounded elsewhere (held responses, streams, connections).
* The agent's Authorization is read by `proxy.agents` and never passed on; no header is, but by the wire's own rules.
* Every refusal is recorded, whoever asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import structlog
from mcp.types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST

from policies.model import Agent, ToolCall
from proxy.agents import Agents, NotAuthenticated
from proxy.config import Config
from proxy.doors.admission import Admission, Busy, busy_answer
from proxy.doors.door_head import TrustedPeers, head_of, hosts_of
from proxy.doors.mcp_link import Link, close, version_headers
from proxy.doors.mcp_places import TooManyStreams
from proxy.doors.mcp_post import RETRY_AFTER_SEC, Inbound, Posts
from proxy.doors.mcp_push import Push, end_session
from proxy.doors.mcp_reply import AgentReply, Header, Receive, Send
from proxy.doors.mcp_sessions import NoSession, Session, Sessions
from proxy.doors.mcp_shared import Inspects, Inventory, Names, Runs, Shared
from proxy.doors.ticker import Ticker
from proxy.keys import Keys
from proxy.tasks import spawn
from proxy.upstreams.base import Upstream, UpstreamFailed
from proxy.wire import body, mcp, mcp_headers, mcp_results, opaque
from proxy.wire.hosts import FixedHosts
from proxy.wire.http_protocol import ENDED_EXTENSION, is_unread, left
from proxy.wire.http_server import ClientLeft, read_body
from proxy.wire.mcp_headers import SESSION_HEADER
from proxy.wire.mcp_methods import Revision
from proxy.wire.refusals import WireRefusal
from review.ports import StoreDown

log = structlog.get_logger("interlock.mcp")

PREFIX = "/mcp/"
METHODS = b"GET, POST, DELETE"
SWEEP_SEC = 60.0

type Scope = MutableMapping[str, Any]


class McpDoor:
    """An ASGI app."""

    def __init__(
        self,
        *,
        runner: Runs,
        upstreams: Mapping[str, Upstream],
        inventory: Inventory,
        inspectors: Inspects,
        agents: Agents,
        config: Config,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        ids: Names,
        keys: Keys,
    ) -> None:
        sessions = Sessions(keys.session, ids.token, clock)
        self._shared = Shared(runner, inspectors, inventory, upstreams, config, ids, clock, sessions, Ticker())
        self._agents = agents
        self._posts = Posts(self._shared)
        self._peers = TrustedPeers(config.agents_listener)
        self._hosts: dict[int, FixedHosts] = {}
        limits = config.limits
        self.admission = Admission(
            working_max=limits.working_max,
            in_flight_max=limits.in_flight_max,
            bodies_bytes_max=limits.bodies_bytes_max,
            monotonic=monotonic,
        )
        self._swept_at = clock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if self.admission.is_full:
            await self._turn_away(self.admission.refusal(), None, scope, send)
            return
        accepts = mcp_headers.accepts(scope["headers"])
        reply = AgentReply(
            send,
            left(scope),
            self._shared.ticker,
            accepts_events=accepts.event_stream,
            may_have_left=scope["extensions"][ENDED_EXTENSION],
        )
        try:
            await self._serve(scope, receive, reply, send)
        except ClientLeft:
            pass  # it left while it was still sending: there is nobody to answer, and nothing was forwarded
        finally:
            reply.close()

    async def _turn_away(self, busy: Busy, agent: Agent | None, scope: Scope, send: Send) -> None:
        self._refused(agent, "", str(busy), 503)
        for event in busy_answer(busy, is_unread=is_unread(scope)):
            await send(event)

    async def end_streams(self) -> None:
        """The gate is stopping: end what would last for ever, so that agents resume elsewhere or later."""
        for stream in list(self._shared.streams):
            await stream.end()

    async def close(self) -> None:
        """Let go of every session, at the servers too; called when nothing is served any more."""
        self._shared.ticker.close()
        for session in self._shared.sessions.all():
            await self._end(session)

    # -- the head --------------------------------------------------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive, reply: AgentReply, send: Send) -> None:
        server = _server_of(scope["path"])
        if server is None:
            self._refused(None, "", "no such path", 404)
            await _error(reply, 404, "There is nothing here; MCP servers are at /mcp/<server>.")
            return
        agent: Agent | None = None
        try:
            head = head_of(scope["headers"])
            peer = scope["client"][0] if scope.get("client") else None
            self._check_way(scope, peer)
            agent = self._agents.authenticate(head, peer)
        except WireRefusal as refusal:
            self._refused(agent, server, refusal.message, refusal.http_status)
            await reply.answer(refusal.http_status, refusal.body())
            return
        except NotAuthenticated as unknown:
            self._refused(None, server, str(unknown), 401)
            await _error(reply, 401, str(unknown), ((b"www-authenticate", b"Bearer"),))
            return
        if server not in self._shared.upstreams:
            self._refused(agent, server, "no such server", 404)
            await _error(reply, 404, "No tool server of this name is configured.")
            return
        self._sweep()
        try:
            place = self.admission.enter(agent.id)
        except Busy as busy:
            await self._turn_away(busy, agent, scope, send)
            return
        inbound = Inbound(
            agent=agent,
            server=server,
            lines=scope["headers"],
            session_id=_text(head.get(_SESSION)),
            client=_text(head.get(b"user-agent")) or "",
            accept=_accept(head.get(b"accept", b"")),
            place=place,
            declared_bytes=int(head.get(b"content-length", b"0")),  # digits, the listener has seen to that
        )
        try:
            if scope["method"] == "POST":
                await self._post(scope, receive, inbound, reply)
            else:
                await self._stream_or_end(inbound, scope["method"], reply)
        except Busy as busy:  # its body was one too many: no answer has begun
            await self._turn_away(busy, agent, scope, send)
        finally:
            place.leave()

    async def _post(self, scope: Scope, receive: Receive, inbound: Inbound, reply: AgentReply) -> None:
        """Raises: ClientLeft, Busy."""
        try:
            body.check_request(inbound.lines)
        except WireRefusal as refusal:  # nobody reads what nobody could take for a message
            self._refused(inbound.agent, inbound.server, refusal.message, refusal.http_status)
            await reply.answer(refusal.http_status, refusal.body())
            return
        place = inbound.place
        place.expect(inbound.declared_bytes)
        if is_unread(scope):
            place.step_aside()
            data = await read_body(receive, place.grow)
            place.ask_again()
        else:  # it came with its head
            data = await read_body(receive, place.grow)
        await self._posts.serve(inbound, data, reply)

    def _check_way(self, scope: Scope, peer: str | None) -> None:
        """Peer, Host and Origin. Raises: WireRefusal, NotAuthenticated."""
        if not self._peers.takes(peer):
            raise NotAuthenticated("This listener takes connections from its configured proxies only.")
        port = scope["server"][1]
        hosts = self._hosts.get(port)
        if hosts is None:
            hosts = self._hosts[port] = hosts_of(self._shared.config.agents_listener, port)
        hosts.check(scope["headers"])

    # -- GET and DELETE --------------------------------------------------------------------------------------------

    async def _stream_or_end(self, inbound: Inbound, method: str, reply: AgentReply) -> None:
        shared = self._shared
        if method not in ("GET", "DELETE"):
            self._refused(inbound.agent, inbound.server, "no such HTTP method", 405)
            await _error(reply, 405, "Use GET, POST or DELETE.", ((b"allow", METHODS),))
            return
        try:
            session = None
            if inbound.session_id is not None:
                session = shared.sessions.find(inbound.session_id, inbound.agent, inbound.server)
            found = mcp.classify_stream(
                inbound.lines, method, assumed=session.revision if session is not None else None
            )
            opaque.check_opaque_headers(found.headers, bytes_max=shared.config.limits.opaque_bytes_max)
            if method == "DELETE":
                inbound.place.step_aside()
                await self._delete(inbound, session, found, reply)
                return
            inbound.place.hold()
            call = ToolCall(
                server=inbound.server,
                tool="mcp.GET",
                arguments={},
                agent=inbound.agent,
                session=session.id if session is not None else None,
                method="GET",
            )
            with shared.places.place(inbound.server, inbound.agent.id):
                await Push(shared, call, found.revision, found.headers, inbound.accept, session, reply).serve()
        except WireRefusal as refusal:
            self._refused(inbound.agent, inbound.server, refusal.message, refusal.http_status)
            allow = ((b"allow", b"POST"),) if refusal.http_status == 405 else ()
            await reply.answer(refusal.http_status, refusal.body(), headers=allow)
        except NoSession as unknown:
            if unknown.is_foreign:
                self._refused(inbound.agent, inbound.server, "a session id that was never this agent's", 404)
            await _error(reply, 404, "Session not found")
        except TooManyStreams as many:
            self._refused(inbound.agent, inbound.server, str(many), 503)
            await _error(reply, 503, str(many), _RETRY_AFTER)
        except StoreDown as down:
            log.error("store_down", why=str(down))
            await _error(reply, 503, "The gate cannot write its record at the moment.", _RETRY_AFTER)

    async def _delete(self, inbound: Inbound, session: Session | None, found: mcp.Inbound, reply: AgentReply) -> None:
        if session is None:
            self._refused(inbound.agent, inbound.server, "DELETE without a session", 400)
            await _error(reply, 400, "Bad Request: missing session id")
            return
        await end_session(self._shared, session, found.revision, reply)

    # -- housekeeping ----------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Now and then, end the sessions nobody has used for very long."""
        now = self._shared.clock()
        if now - self._swept_at < SWEEP_SEC:
            return
        self._swept_at = now
        for session in self._shared.sessions.idle():
            spawn(self._end(session), name="idle-session")

    async def _end(self, session: Session) -> None:
        self._shared.sessions.end(session)
        link = Link(self._shared.upstreams[session.server], session.agent.id, session)
        try:
            upstream = await link.delete(headers=version_headers(session.revision))
        except UpstreamFailed as failed:
            log.info("session_not_ended", server=session.server, why=failed.why)
            return
        if upstream is not None:
            await close(upstream)

    def _refused(self, agent: Agent | None, server: str, why: str, status: int) -> None:
        self._shared.runner.refused(
            agent=agent.id if agent is not None else None, server=server, method=None, why=why, status=status
        )


_RETRY_AFTER: tuple[Header, ...] = ((b"retry-after", b"%d" % RETRY_AFTER_SEC),)
_ACCEPT_BOTH = "application/json, text/event-stream"
_SESSION = SESSION_HEADER.encode()


async def _error(reply: AgentReply, status: int, message: str, headers: tuple[Header, ...] = ()) -> None:
    code = INTERNAL_ERROR if status >= 500 else INVALID_REQUEST
    await reply.answer(status, mcp_results.error(Revision.R2025_11_25, None, code, message), headers=headers)


def _server_of(path: str) -> str | None:
    if not path.startswith(PREFIX):
        return None
    name = path[len(PREFIX) :]
    return name if name and "/" not in name else None


def _text(value: bytes | None) -> str | None:
    return value.decode("latin-1").strip() if value is not None else None


def _accept(said: bytes) -> str:
    """The agent's Accept, so that a server's 406 is what it would be without us; never anything unprintable."""
    value = said.decode("latin-1")
    return value if value and len(value) <= 1_000 and value.isascii() and value.isprintable() else _ACCEPT_BOTH
