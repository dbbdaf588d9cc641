"""Sessions of the handshake era: the gate's own ids, each bound to one agent and one server, over the tool server's.

Rules of this module:
* A session id of ours is a random token with a MAC over agent and server: another agent's is as good as none (404).
* The tool server's session id never reaches the agent, and may change under a living session: the server restarted and
  the gate went through the handshake again with the kept `initialize` params.
* A request id is in use once at a time in a session. Numbers and strings that read the same are the same id: servers
  keep them in one table, and an answer must find one call only.
* An event id is good in the session on whose streams it came, and a progress token in the session that gave it: a
  server that keeps one table for all agents is not asked for another's stream, nor is another's progress passed on.
* Bounded: so many sessions in all and for one agent, so many calls remembered in each, and an end when idle.
"""

from __future__ import annotations

import asyncio
import hmac
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.keyed import keyed_digest
from policies.model import Agent, JsonObject, ToolCall
from proxy.wire.mcp_methods import Revision

if TYPE_CHECKING:
    from proxy.doors.mcp_exchange import McpExchange
    from proxy.doors.mcp_questions import Question

SESSIONS_MAX = 10_000
SESSIONS_PER_AGENT_MAX = 2_000
IDLE_SEC_MAX = 24 * 3600.0
ANSWERED_KEPT_MAX = 256
QUESTIONS_MAX = 64
SEEN_KEPT_MAX = 1_000

type RequestId = str | int


class TooManySessions(Exception):
    """The limit of open sessions is reached; try later."""


class NoSession(Exception):
    """No such session for this agent at this server. `is_foreign`: the id was never ours to give to this agent."""

    def __init__(self, *, is_foreign: bool) -> None:
        super().__init__("Session not found")
        self.is_foreign = is_foreign


class Seen:
    """The last so many opaque values of a session, by their hash: they may be long, and are only looked for."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes: OrderedDict[int, None] = OrderedDict()

    def add(self, value: str | int) -> None:
        known = hash((type(value), value))
        self._hashes[known] = None
        self._hashes.move_to_end(known)
        if len(self._hashes) > SEEN_KEPT_MAX:
            self._hashes.popitem(last=False)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str | int) and hash((type(value), value)) in self._hashes


@dataclass(frozen=True, slots=True)
class Answered:
    """A judged call, as it was sent, that has been answered: its response may come again on a resumed stream."""

    call: ToolCall
    request_id: RequestId
    is_held: bool = False  # the agent was told that people look at its output first


@dataclass(slots=True, eq=False)
class Session:
    """One agent's session with one server."""

    id: str
    agent: Agent
    server: str
    params: JsonObject  # of the agent's initialize, to go through the handshake again
    revision: Revision
    client_name: str
    client_version: str
    upstream_id: str | None
    used_at: float
    awaited: dict[str, McpExchange] = field(default_factory=dict)
    answered: OrderedDict[str, Answered] = field(default_factory=OrderedDict)
    questions: dict[str, Question] = field(default_factory=dict)
    event_ids: Seen = field(default_factory=Seen)  # of its streams
    tokens: Seen = field(default_factory=Seen)  # for progress, given with its requests
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def remember(self, answered: Answered) -> None:
        """Keep in mind which call an id was, for a resumed stream that brings its response again."""
        self.answered[str(answered.request_id)] = answered
        while len(self.answered) > ANSWERED_KEPT_MAX:
            self.answered.popitem(last=False)

    def awaited_by_event(self, event_id: str) -> McpExchange | None:
        """The call on whose stream this event stood."""
        return next((one for one in self.awaited.values() if event_id in one.event_ids), None)


class Sessions:
    """The open sessions of all agents."""

    def __init__(
        self,
        key: bytes,
        token: Callable[[], str],
        now: Callable[[], float],
        *,
        sessions_max: int = SESSIONS_MAX,
        per_agent_max: int = SESSIONS_PER_AGENT_MAX,
        idle_sec_max: float = IDLE_SEC_MAX,
    ) -> None:
        self._key, self._token, self._now = key, token, now
        self._sessions_max, self._per_agent_max, self._idle_sec_max = sessions_max, per_agent_max, idle_sec_max
        self._open: OrderedDict[str, Session] = OrderedDict()  # least recently used first
        self._count: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, agent: Agent) -> None:
        """Whether one more may be opened. Raises: TooManySessions."""
        if len(self._open) >= self._sessions_max or self._count.get(agent.id, 0) >= self._per_agent_max:
            raise TooManySessions("Too many open sessions; end one with DELETE or try again later.")

    def open(
        self, agent: Agent, server: str, params: JsonObject, revision: Revision, upstream_id: str | None
    ) -> Session:
        """A new session. Raises: TooManySessions."""
        self.admit(agent)
        token = self._token()
        info = params.get("clientInfo")
        info = info if isinstance(info, dict) else {}
        session = Session(
            id=f"{token}.{self._mac(token, agent.id, server)}",
            agent=agent,
            server=server,
            params=params,
            revision=revision,
            client_name=str(info.get("name", ""))[:200],
            client_version=str(info.get("version", ""))[:100],
            upstream_id=upstream_id,
            used_at=self._now(),
        )
        self._open[session.id] = session
        self._count[agent.id] = self._count.get(agent.id, 0) + 1
        return session

    def find(self, session_id: str, agent: Agent, server: str) -> Session:
        """The session of this agent at this server, marked as used. Raises: NoSession."""
        session = self._open.get(session_id)
        if session is None or session.agent.id != agent.id or session.server != server:
            token, _, mac = session_id.rpartition(".")
            is_ours = hmac.compare_digest(mac.encode(), self._mac(token, agent.id, server).encode())
            raise NoSession(is_foreign=not is_ours)
        session.used_at = self._now()
        self._open.move_to_end(session_id)
        return session

    def end(self, session: Session) -> None:
        """Forget a session: whoever waits in it has left."""
        if self._open.pop(session.id, None) is None:
            return
        left = self._count[session.agent.id] - 1
        if left:
            self._count[session.agent.id] = left
        else:
            del self._count[session.agent.id]
        session.ended.set()
        for exchange in list(session.awaited.values()):
            exchange.end()

    def idle(self) -> list[Session]:
        """Sessions nobody has used for too long and nobody waits in; the caller ends them."""
        limit = self._now() - self._idle_sec_max
        found = []
        for session in self._open.values():
            if session.used_at > limit:
                break
            if not session.awaited:
                found.append(session)
        return found

    def all(self) -> list[Session]:
        return list(self._open.values())

    def _mac(self, token: str, agent: str, server: str) -> str:
        message = f"interlock session v1\x00{token}\x00{agent}\x00{server}".encode()
        return urlsafe_b64encode(keyed_digest(self._key, message)[:16]).decode().rstrip("=")
