"""An agent's way to one tool server: within a session or without, surviving a server that lost its sessions.

Rules of this module:
* The tool server's session id stays here. When the server answers 404 for it (it restarted, or forgot), the gate goes
  through the handshake again with the agent's own `initialize` params and repeats that one message, which it cannot
  have taken. Never more than once, and never for another reason.
* Whether a 404 means the session is asked with a ping: a tool that has run may answer 404 about what it looked for, and
  is never sent the call again (P4).
* A server that comes back speaking another revision, or not at all, gets its 404 passed on: the agent then begins anew.
* What the new handshake answers reaches nobody, so it needs no inspection; it is only looked at for the revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from policies.model import JsonObject
from proxy.doors.mcp_sessions import Session
from proxy.upstreams.base import Reply, Sent, Upstream, UpstreamFailed
from proxy.wire import mcp_headers
from proxy.wire.mcp_headers import McpHeaders
from proxy.wire.mcp_methods import Revision

SESSION_HEADER = "mcp-session-id"
NOT_FOUND = 404
_RENEWAL_ID = "interlock-renewal"
_PING_ID = "interlock-ping"
_NOTHING_SENT = McpHeaders({})


async def close(reply: Reply) -> None:
    """Let go of an upstream's answer; every reply must come here."""
    if reply.close is not None:
        await reply.close()


class Link:
    """One agent's way to one server."""

    __slots__ = ("_agent", "_upstream", "session")

    def __init__(self, upstream: Upstream, agent: str, session: Session | None) -> None:
        self._upstream, self._agent, self.session = upstream, agent, session

    async def post(
        self,
        message: JsonObject,
        *,
        headers: Mapping[str, str],
        sent: Sent,
        reuse_connection: bool,
        before_repeat: Callable[[], Awaitable[None]] | None = None,
    ) -> Reply:
        """Send one message. `before_repeat` looks again at what the server is now; it may raise to stop the repeat.

        Raises: UpstreamFailed.
        """
        session = self.session
        upstream_id = session.upstream_id if session is not None else None
        reply = await self._post(message, headers, upstream_id, sent, reuse_connection)
        if reply.status != NOT_FOUND or session is None or upstream_id is None or "method" not in message:
            return reply  # an answer belongs to the session in which it was asked for
        if not await self._is_lost_for(session, upstream_id) or not await self._renewed(session, upstream_id):
            return reply
        await close(reply)
        sent.happened = False  # it knew no such session, and took nothing (2025-11-25 transports, Session Management)
        if before_repeat is not None:
            await before_repeat()
        return await self._post(message, headers, session.upstream_id, sent, reuse_connection)

    async def get(self, *, headers: Mapping[str, str], renew: bool) -> Reply:
        """Open the push stream. `renew` False: a lost session is not gone through again. Raises: UpstreamFailed."""
        session = self.session
        upstream_id = session.upstream_id if session is not None else None
        reply = await self._upstream.get(headers=headers, session=upstream_id, agent=self._agent)
        if reply.status != NOT_FOUND or session is None or upstream_id is None or not renew:
            return reply
        if not await self._is_lost(session, upstream_id) or not await self._renewed(session, upstream_id):
            return reply
        await close(reply)
        # What the new session has to replay, the old one's event ids do not name.
        fresh = {name: value for name, value in headers.items() if name != "last-event-id"}
        return await self._upstream.get(headers=fresh, session=session.upstream_id, agent=self._agent)

    async def delete(self, *, headers: Mapping[str, str]) -> Reply | None:
        """End the server's session; None if it never had one. Raises: UpstreamFailed."""
        if self.session is None or self.session.upstream_id is None:
            return None
        return await self._upstream.delete(headers=headers, session=self.session.upstream_id, agent=self._agent)

    def _post(
        self, message: JsonObject, headers: Mapping[str, str], session_id: str | None, sent: Sent, reuse: bool
    ) -> Awaitable[Reply]:
        return self._upstream.post(
            message, headers=headers, session=session_id, agent=self._agent, sent=sent, reuse_connection=reuse
        )

    async def _is_lost_for(self, session: Session, upstream_id: str) -> bool:
        """As `_is_lost`, of a server that may go away meanwhile: then its 404 stands."""
        try:
            return await self._is_lost(session, upstream_id)
        except UpstreamFailed:
            return False

    async def _is_lost(self, session: Session, upstream_id: str) -> bool:
        """Whether a 404 means the session, and not what was asked for: a ping tells them apart."""
        ping = {"jsonrpc": "2.0", "id": _PING_ID, "method": "ping"}
        reply = await self._post(ping, version_headers(session.revision), upstream_id, Sent(), True)
        await close(reply)
        return reply.status == NOT_FOUND

    async def _renewed(self, session: Session, stale: str) -> bool:
        """Whether the session has a living counterpart again; one renewal at a time."""
        async with session.renewing:
            if session.upstream_id != stale:
                return session.upstream_id is not None
            try:
                return await self._renew(session)
            except UpstreamFailed:
                return False  # the server is not up yet: its 404 is passed on

    async def _renew(self, session: Session) -> bool:
        initialize = {"jsonrpc": "2.0", "id": _RENEWAL_ID, "method": "initialize", "params": session.params}
        reply = await self._post(initialize, {}, None, Sent(), False)
        try:
            response = await first_response(reply, _RENEWAL_ID)
        finally:
            await close(reply)
        result = response.get("result") if response is not None else None
        if not isinstance(result, dict) or result.get("protocolVersion") != session.revision:
            return False
        new_id = reply.headers.get(SESSION_HEADER)
        headers = version_headers(session.revision)
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        done = await self._post(ready, headers, new_id, Sent(), False)
        await close(done)
        if done.status >= 400:
            return False
        session.upstream_id = new_id
        return True


def version_headers(revision: Revision) -> dict[str, str]:
    """What says the revision beside a message or a stream of a session."""
    return mcp_headers.outgoing(revision, None, sent=_NOTHING_SENT)


async def first_response(reply: Reply, request_id: str | int) -> JsonObject | None:
    """The response to `request_id` in a reply, whatever stands before it; None if there is none.

    Raises: UpstreamFailed.
    """
    if not reply.is_stream:
        return reply.body if reply.status < 400 else None
    if reply.incoming is not None:
        async for incoming in reply.incoming:
            message = incoming.message
            if message is not None and "method" not in message and message.get("id") == request_id:
                return message
    return None
