"""A tool server the gate starts itself: sessions and statuses of a Streamable HTTP server over child processes.

Rules of this module:
* One child per agent session (revisions with `initialize`), one per agent where there are none (2026-07-28), one per
  protocol version for all where the server is configured `shared` (traps T21).
* A session belongs to the agent that opened it; anybody else, and everybody after its child has ended, gets 404, so
  that the door opens another (2025-11-25 basic/transports §Session Management).
* Never more than `children_max` children of agents (and one for the gate's own listing): an idle one makes room, else
  the start is refused before anything is sent.
* A command that keeps ending by itself is left alone for a while (backoff.py), and says why it is.
* Which era a command speaks is asked once with `server/discover`; a command of the other era answers 400 without a
  modern error code, which is what makes a client fall back (basic/versioning).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from policies.model import JsonObject
from proxy.tasks import spawn
from proxy.upstreams.backoff import Backoff
from proxy.upstreams.base import INVENTORY_AGENT, Reply, Sent, UpstreamFailed
from proxy.upstreams.child import ChildCannotStart, Command
from proxy.upstreams.conversation import Conversation, ConversationLimits
from proxy.upstreams.era import (
    HANDSHAKE_REVISION,
    HANDSHAKE_REVISIONS,
    INITIALIZED,
    Era,
    era_of_answer,
    initialize_request,
    is_modern_message,
    probe_request,
)

log = structlog.get_logger("interlock.stdio")

_EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class StdioLimits:
    children_max: int = 16
    sessions_max: int = 1_000
    session_idle_sec_max: float = 1_800
    modern_idle_sec_max: float = 300
    evict_idle_sec_min: float = 60
    probe_sec_max: float = 10
    era_held_sec: float = 300
    sweep_sec: float = 15
    conversation: ConversationLimits = field(default_factory=ConversationLimits)


@dataclass(slots=True)
class _Session:
    id: str
    agent: str
    conversation: Conversation
    last_used_at: float


@dataclass(frozen=True, slots=True)
class _Shared:
    """A shared child that has shaken hands, and what it answered."""

    conversation: Conversation
    answer: JsonObject


class StdioUpstream:
    """`proxy.upstreams.base.Upstream` over child processes. `clock` is monotonic; `ids` mints unguessable tokens."""

    def __init__(
        self,
        name: str,
        command: Command,
        *,
        ids: Callable[[], str],
        clock: Callable[[], float],
        shared: bool = False,
        limits: StdioLimits | None = None,
        on_change: Callable[[str], None] = lambda _server: None,
    ) -> None:
        self.name = name
        self._command, self._ids, self._clock = command, ids, clock
        self._is_shared, self._limits, self._on_change = shared, limits or StdioLimits(), on_change
        self._agents: dict[Conversation, str] = {}  # every child that runs, and the agent it runs for
        self._sessions: dict[str, _Session] = {}
        self._modern: dict[str, Conversation] = {}
        self._shared: dict[str, _Shared] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._making_room = asyncio.Lock()
        self._backoff = Backoff()
        self._era: Era | None = None
        self._era_asked_at = 0.0
        self._sweeper: asyncio.Task[None] | None = None
        self._is_closed = False

    async def post(
        self,
        message: JsonObject,
        *,
        headers: Mapping[str, str],
        session: str | None,
        agent: str,
        sent: Sent,
        reuse_connection: bool,  # noqa: ARG002 - the port's word; a pipe is always the same one
    ) -> Reply:
        """Say one message to the right child. Raises: UpstreamFailed."""
        if message.get("method") == "initialize" and "id" in message:
            return await (self._join_shared if self._is_shared else self._open_session)(message, agent, sent)
        if session is not None:
            found = self._find(session, agent)
            if found is None:
                return _refusal(404, message, "Session not found: initialize again")
            if self._is_shared and message.get("method") == INITIALIZED["method"]:
                return Reply(202)  # the child has had ours
            return await _say(found.conversation, message, session, sent)
        if not is_modern_message(message, headers):
            return _refusal(400, message, "Bad Request: missing session id")
        conversation = await self._modern_child(agent)
        if conversation is None:
            return _refusal(400, message, "Bad Request: this server speaks only revisions that begin with initialize")
        return await _say(conversation, message, agent, sent)

    async def get(self, *, headers: Mapping[str, str], session: str | None, agent: str) -> Reply:  # noqa: ARG002 - port
        """The session's stream of what the tool says unasked."""
        if session is None:
            return Reply(405, {"allow": "POST"})
        found = self._find(session, agent)
        return Reply(404) if found is None else found.conversation.listen(session)

    async def delete(self, *, headers: Mapping[str, str], session: str, agent: str) -> Reply:  # noqa: ARG002 - port
        """End the session, and its child where it has its own."""
        found = self._find(session, agent)
        if found is None:
            return Reply(404)
        if self._is_shared:
            del self._sessions[session]
            found.conversation.leave(session)
        else:
            self._retire(found.conversation, "its session was ended")
        return Reply(200)

    async def close(self) -> None:
        """End every child and wait until they are gone."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*(conversation.end("the gate is stopping") for conversation in list(self._agents)))

    def end_processes(self, is_for: Callable[[str], bool]) -> int:
        """Begin the end of the children that run for such agents; how many. Shared ones run for everybody, `*`."""
        going = [
            conversation
            for conversation, agent in self._agents.items()
            if not conversation.was_let_go and is_for(agent)
        ]
        for conversation in going:
            self._retire(conversation, "it was stopped")
        return len(going)

    # Sessions.

    async def _open_session(self, message: JsonObject, agent: str, sent: Sent) -> Reply:
        conversation = await self._start(agent, is_modern=False)
        session = self._ids()
        conversation.join(session)
        answer: JsonObject = {}
        try:
            answer = await _answer_of(await conversation.ask(message, owner=session, sent=sent))
        finally:
            if "result" not in answer:
                self._retire(conversation, "it did not shake hands")
        if "result" not in answer:
            return Reply(200, body=answer)
        self._sessions[session] = _Session(session, agent, conversation, self._clock())
        return Reply(200, {"mcp-session-id": session}, body=answer)

    async def _join_shared(self, message: JsonObject, agent: str, sent: Sent) -> Reply:
        params = message.get("params")
        asked = params.get("protocolVersion") if isinstance(params, dict) else None
        version = asked if asked in HANDSHAKE_REVISIONS else HANDSHAKE_REVISION
        async with self._lock(f"shared:{version}"):
            shared = self._shared.get(version)
            if shared is None or not shared.conversation.is_alive:
                shared = await self._shake_hands(version, sent)
        answer = shared.answer | {"id": message["id"]}
        if "result" not in answer:
            return Reply(200, body=answer)
        self._forget_oldest_session()
        session = self._ids()
        shared.conversation.join(session)
        self._sessions[session] = _Session(session, agent, shared.conversation, self._clock())
        return Reply(200, {"mcp-session-id": session}, body=answer)

    async def _shake_hands(self, version: str, sent: Sent) -> _Shared:
        """Start a shared child as its one client: with no capabilities, for it may ask nothing of anybody."""
        conversation = await self._start(_EVERYBODY, is_modern=False)
        answer: JsonObject = {}
        try:
            answer = await _answer_of(await conversation.ask(initialize_request(version), owner=_EVERYBODY, sent=sent))
            if "result" in answer:
                await conversation.tell(INITIALIZED, owner=_EVERYBODY, sent=sent)
        finally:
            if "result" not in answer:
                self._retire(conversation, "it did not shake hands")
        shared = _Shared(conversation, answer)
        if "result" in answer:
            self._shared[version] = shared
        return shared

    def _find(self, session: str, agent: str) -> _Session | None:
        found = self._sessions.get(session)
        if found is None or found.agent != agent or not found.conversation.is_alive:
            return None
        found.last_used_at = self._clock()
        return found

    def _forget_oldest_session(self) -> None:
        while len(self._sessions) >= self._limits.sessions_max:
            oldest = min(self._sessions.values(), key=lambda session: session.last_used_at)
            del self._sessions[oldest.id]
            oldest.conversation.leave(oldest.id)

    async def _modern_child(self, agent: str) -> Conversation | None:
        """The agent's child for sessionless revisions; None if the command does not speak them."""
        key = _EVERYBODY if self._is_shared else agent
        async with self._lock(f"modern:{key}"):
            conversation = self._modern.get(key)
            if conversation is not None and conversation.is_alive:
                return conversation
            if self._era is Era.LEGACY and self._clock() - self._era_asked_at < self._limits.era_held_sec:
                return None
            conversation = await self._start(key, is_modern=True)
            try:
                if self._era is not Era.MODERN:
                    self._era, self._era_asked_at = await self._probe(conversation), self._clock()
            finally:
                if self._era is not Era.MODERN:
                    self._retire(conversation, "it does not speak the revision asked for")
            if self._era is not Era.MODERN:
                return None
            self._modern[key] = conversation
            return conversation

    async def _probe(self, conversation: Conversation) -> Era:
        try:
            async with asyncio.timeout(self._limits.probe_sec_max):
                answer = await _answer_of(await conversation.ask(probe_request(), owner=_EVERYBODY, sent=Sent()))
        except TimeoutError:
            return Era.LEGACY  # a server that waits for `initialize` may stay silent
        except UpstreamFailed as failed:
            raise UpstreamFailed(failed.why, sent=False) from failed  # the probe is ours; the agent's request waits
        return era_of_answer(answer)

    # Children.

    async def _start(self, agent: str, *, is_modern: bool) -> Conversation:
        """Start a child. Raises: UpstreamFailed, never as sent."""
        async with self._making_room:
            refusal = "the gate is stopping" if self._is_closed else self._backoff.refusal(self._clock())
            if refusal is not None:
                raise UpstreamFailed(f"{self.name} was not started: {refusal}", sent=False)
            if agent != INVENTORY_AGENT:
                await self._make_room()
            conversation = Conversation(
                self.name,
                is_shared=self._is_shared,
                is_modern=is_modern,
                limits=self._limits.conversation,
                clock=self._clock,
                on_end=self._ended,
                on_tools_changed=lambda: self._on_change(self.name),
            )
            self._agents[conversation] = agent
        try:
            await conversation.begin(self._command)
        except ChildCannotStart as error:
            self._ended(conversation, str(error))
            raise UpstreamFailed(f"{self.name}: {error}", sent=False) from error
        except asyncio.CancelledError:
            self._agents.pop(conversation, None)
            raise
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = spawn(self._sweep(), name=f"sweep:{self.name}")
        return conversation

    async def _make_room(self) -> None:
        """Room for one more child: an idle one goes if need be, sessionless and of the agent with the most first."""
        while True:
            children = [child for child, agent in self._agents.items() if agent != INVENTORY_AGENT]
            if len(children) < self._limits.children_max:
                return
            ending = next((child for child in children if child.is_ending), None)
            if ending is None:
                break
            await ending.gone()
        now, of_agent = self._clock(), Counter(self._agents.values())
        idle = [
            conversation
            for conversation in children
            if not conversation.is_busy and now - conversation.last_used_at >= self._limits.evict_idle_sec_min
        ]
        if not idle:
            why = f"children_max ({self._limits.children_max}) processes run and none is idle"
            raise UpstreamFailed(f"{self.name} was not started: {why}", sent=False)
        goes = min(idle, key=lambda c: (not c.is_modern, -of_agent[self._agents[c]], c.last_used_at))
        self._let_go_of(goes)
        await goes.end("it made room for another agent's")

    async def _sweep(self) -> None:
        """End what nobody has used for long, for as long as there are children."""
        while self._agents:
            await asyncio.sleep(self._limits.sweep_sec)
            now = self._clock()
            for conversation in list(self._agents):
                limit = (
                    self._limits.modern_idle_sec_max if conversation.is_modern else self._limits.session_idle_sec_max
                )
                is_idle = not (conversation.is_busy or conversation.was_let_go)
                if is_idle and now - conversation.last_used_at >= limit:
                    self._retire(conversation, f"nobody used it for {limit:g} s")

    def _retire(self, conversation: Conversation, why: str) -> None:
        """End a child in the background; its sessions are gone at once."""
        self._let_go_of(conversation)
        conversation.let_go(why)
        spawn(conversation.end(why), name=f"end:{self.name}")

    def _ended(self, conversation: Conversation, why: str) -> None:
        """A child is over. If nobody asked it to end, the backoff counts it and the inventory is to look again."""
        self._let_go_of(conversation)
        if self._agents.pop(conversation, None) is None or conversation.was_let_go:
            return
        lived_sec = self._clock() - conversation.began_at
        self._backoff.ended(self._clock(), lived_sec=lived_sec, answered=conversation.has_answered, why=why)
        log.warning("child_ended_by_itself", server=self.name, why=why, next_start_in_sec=self._backoff.delay_sec)
        self._on_change(self.name)

    def _let_go_of(self, conversation: Conversation) -> None:
        for session in [s for s in self._sessions.values() if s.conversation is conversation]:
            del self._sessions[session.id]
        for key in [key for key, modern in self._modern.items() if modern is conversation]:
            del self._modern[key]
        for version in [version for version, shared in self._shared.items() if shared.conversation is conversation]:
            del self._shared[version]

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())


async def _say(conversation: Conversation, message: JsonObject, owner: str, sent: Sent) -> Reply:
    if "method" in message and "id" in message:
        return await conversation.ask(message, owner=owner, sent=sent)
    await conversation.tell(message, owner=owner, sent=sent)
    return Reply(202)


async def _answer_of(reply: Reply) -> JsonObject:
    """The response itself; what a server says before it has shaken hands is for nobody. Raises: UpstreamFailed."""
    if reply.body is not None:
        return reply.body
    last: JsonObject = {}
    assert reply.incoming is not None
    assert reply.close is not None
    try:
        async for incoming in reply.incoming:
            last = incoming.message or last
    finally:
        await reply.close()
    return last


def _refusal(status: int, message: JsonObject, text: str) -> Reply:
    return Reply(status, body={"jsonrpc": "2.0", "id": message.get("id"), "error": {"code": -32600, "message": text}})
