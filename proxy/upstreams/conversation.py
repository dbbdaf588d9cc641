"""All that is said with one child process: requests and their streams, notifications, what the tool says unasked.

Rules of this module:
* A request's stream carries what belongs to it and ends with its response. Giving a stream up tells the child so with
  `notifications/cancelled`, and a late answer reaches nobody.
* When the child ends, or breaks the protocol, every request in flight fails as sent (traps T2): whether the tool
  acted is unknown.
* Nothing waits without bound: an answer or the next message of a stream `silence_sec_max`, a reader that takes nothing
  `stall_sec_max`; of unread unasked messages the oldest go (mailbox.py), requests among them answered with an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import structlog

from policies.model import Json, JsonObject
from proxy.tasks import spawn
from proxy.upstreams.base import Incoming, Reply, Sent, UpstreamFailed
from proxy.upstreams.child import Child, ChildIsGone, ChildLimits, Command
from proxy.upstreams.correlation import Asked, Correlation, Routed, To
from proxy.upstreams.mailbox import Mailbox, MailboxFull
from proxy.upstreams.push import PushStream
from proxy.wire import jsonrpc

log = structlog.get_logger("interlock.stdio")

LISTEN = "subscriptions/listen"
UNWRITTEN_MAX = 100  # things of our own that the child has yet to read
TOOLS_CHANGED = "notifications/tools/list_changed"

# basic/transports/streamable-http of 2026-07-28: which HTTP status an error has where it is a request's only answer.
_STATUS_OF_ERROR = {-32700: 400, -32600: 400, -32602: 400, -32020: 400, -32021: 400, -32022: 400, -32601: 404}


@dataclass(frozen=True, slots=True)
class ConversationLimits:
    silence_sec_max: float = 300
    stall_sec_max: float = 30
    child: ChildLimits = field(default_factory=ChildLimits)


class Conversation:
    """One child and what is said with it. Make one with `begin`."""

    def __init__(
        self,
        name: str,
        *,
        is_shared: bool,
        is_modern: bool,
        limits: ConversationLimits,
        clock: Callable[[], float],
        on_end: Callable[[Conversation, str], None],
        on_tools_changed: Callable[[], None],
    ) -> None:
        self.name, self.is_modern = name, is_modern
        self._limits, self._clock = limits, clock
        self._on_end, self._on_tools_changed = on_end, on_tools_changed
        self._correlation = Correlation(is_shared=is_shared, is_modern=is_modern)
        self._streams: dict[int, Mailbox] = {}
        self._pushes: dict[str, PushStream] = {}
        self._child: Child | None = None
        self._unwritten = 0
        self._has_lost = False
        self.began_at = self.last_used_at = clock()
        self.has_answered = False
        self.is_over = False
        self.was_let_go = False
        self.why_over = ""

    async def begin(self, command: Command) -> None:
        """Start the child. Raises: ChildCannotStart."""
        self._child = await Child.start(self.name, command, self, self._limits.child, clock=self._clock)

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.is_alive

    @property
    def is_busy(self) -> bool:
        return bool(self._streams) or any(push.is_open for push in self._pushes.values())

    async def ask(self, message: JsonObject, *, owner: str, sent: Sent) -> Reply:
        """Send a request; returns at its first message, which may be its last. Raises: UpstreamFailed."""
        asked, inward = self._correlation.ask(message, owner)
        mailbox = self._streams[asked.minted] = Mailbox()
        is_given_up = True
        try:
            await self._write(inward, sent)
            first = await self._next(asked, mailbox)
            if first is None:
                raise UpstreamFailed(f"{self.name}: its session was ended", sent=True)
            is_given_up = False
        finally:
            if is_given_up:
                self._give_up(asked)
        if "method" not in first:
            return self._whole(first)

        async def close() -> None:
            self._give_up(asked)

        return Reply(200, is_stream=True, incoming=self._rest(asked, mailbox, first), close=close)

    async def tell(self, message: JsonObject, *, owner: str, sent: Sent) -> None:
        """Send a notification or an answer. Raises: UpstreamFailed."""
        if message.get("method") == "notifications/cancelled":
            inward = self._correlation.cancel(message, owner)
            if inward is None:
                return  # of nothing in flight: it has been answered, or never came here
            message = inward
        await self._write(message, sent)

    def join(self, owner: str) -> None:
        """A session begins: what the tool says unasked is kept for it from now on."""
        self._push(owner)

    def listen(self, owner: str) -> Reply:
        """The session's stream of unasked messages."""
        self.last_used_at = self._clock()
        reply = self._push(owner).open()
        if self.is_over:
            self._push(owner).finish()
        return reply

    def leave(self, owner: str) -> None:
        """A session has ended: nothing of it goes on."""
        push = self._pushes.pop(owner, None)
        if push is not None:
            push.finish()
        for asked in self._correlation.in_flight:
            if asked.owner == owner:
                self._streams[asked.minted].fail(UpstreamFailed("its session was ended", sent=True))
                self._give_up(asked)

    @property
    def is_ending(self) -> bool:
        return self._child is not None and not self._child.is_alive

    def let_go(self, why: str) -> None:
        """Begin the child's end."""
        self.was_let_go = True
        if self._child is not None:
            self._child.let_go(why)

    async def end(self, why: str) -> None:
        """End the child and wait until it is over."""
        self.let_go(why)
        if self._child is not None:
            await self._child.end(why)

    async def gone(self) -> None:
        """Wait until a child that is ending is over."""
        if self._child is not None:
            await self._child.gone()

    # What the child says (child.Listener).

    async def heard(self, value: Json, size: int) -> None:
        for message in value if isinstance(value, list) else [value]:  # 2025-03-26 allows batches
            try:
                jsonrpc.parse(message)
            except jsonrpc.Invalid as invalid:
                self.broke(f"it wrote what is no JSON-RPC message: {invalid}")
                continue
            assert isinstance(message, dict)
            if message.get("method") == TOOLS_CHANGED:
                self._on_tools_changed()
            push_is_open = any(push.is_open for push in self._pushes.values())
            await self._deliver(self._correlation.route(message, push_is_open=push_is_open), size)

    def broke(self, why: str) -> None:
        log.warning("child_broke_protocol", server=self.name, why=why)
        for asked in self._correlation.in_flight:
            self._fail(asked, UpstreamFailed(f"{self.name}: {why}", sent=True))

    def ended(self, why: str) -> None:
        self.is_over, self.why_over = True, why
        for asked in self._correlation.in_flight:
            self._fail(asked, UpstreamFailed(f"{self.name}: the process has ended: {why}", sent=True))
        for push in self._pushes.values():
            push.finish()
        self._on_end(self, why)

    async def _deliver(self, routed: Routed, size: int) -> None:
        message = routed.message
        match routed.to:
            case To.ASKER | To.ASKER_LAST:
                assert routed.asked is not None
                await self._to_asker(routed.asked, message, size, is_last=routed.to is To.ASKER_LAST)
            case To.PUSH | To.EVERY_PUSH:
                pushes = list(self._pushes.values())  # not shared: there is one session, so one at most
                dropped = [old for push in pushes for old in push.offer(message, size)]
                for old in dropped if pushes else [message]:
                    self._not_delivered(old, "nobody reads what this server says unasked")
            case To.PONG:
                self._answer({"jsonrpc": "2.0", "id": message["id"], "result": {}})
            case To.REFUSED | To.NOBODY:
                self._not_delivered(message, routed.why)

    async def _to_asker(self, asked: Asked, message: JsonObject, size: int, *, is_last: bool) -> None:
        stream = self._streams[asked.minted]
        try:
            await stream.put(message, size, stall_sec_max=self._limits.stall_sec_max)
        except MailboxFull:
            why = f"{self.name}: its messages were not read for {self._limits.stall_sec_max:g} s"
            self._fail(asked, UpstreamFailed(why, sent=True))
            return
        if is_last:
            self.has_answered = True
            self.last_used_at = self._clock()
            stream.finish()
            self._forget(asked)

    def _not_delivered(self, message: JsonObject, why: str) -> None:
        """A request is answered with an error, so that the tool does not hang (traps T22); the rest is only logged."""
        log.info("child_message_dropped", server=self.name, method=str(message.get("method"))[:100], why=why)
        if "method" in message and "id" in message:
            self._answer({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": why}})

    def _answer(self, answer: JsonObject) -> None:
        """Say something of our own to the child, without waiting: it may not read before we have heard it out."""
        if self._unwritten >= UNWRITTEN_MAX:
            if not self._has_lost:  # said once: a tool that floods us shall not flood the log too
                log.warning("child_answer_lost", server=self.name, why="it asks faster than it reads")
            self._has_lost = True
            return
        self._unwritten += 1
        spawn(self._write_answer(answer), name=f"answer:{self.name}")

    async def _write_answer(self, answer: JsonObject) -> None:
        try:
            await self._require_child().write(answer)
        except ChildIsGone as gone:
            log.info("child_answer_lost", server=self.name, why=gone.why)
        finally:
            self._unwritten -= 1

    # Streams.

    async def _write(self, message: JsonObject, sent: Sent) -> None:
        self.last_used_at = self._clock()
        try:
            await self._require_child().write(message, about_to=sent.mark)
        except ChildIsGone as gone:
            raise UpstreamFailed(f"{self.name}: {gone.why}", sent=gone.wrote) from gone

    async def _next(self, asked: Asked, stream: Mailbox) -> JsonObject | None:
        # What a subscription tells may be hours apart; every other request has to say something in time.
        limit = None if asked.method == LISTEN else self._limits.silence_sec_max
        try:
            async with asyncio.timeout(limit):
                return await stream.next()
        except TimeoutError:
            why = f"{self.name}: it said nothing for {limit:g} s about {asked.method}"
            raise UpstreamFailed(why, sent=True) from None

    async def _rest(self, asked: Asked, stream: Mailbox, first: JsonObject) -> AsyncIterator[Incoming]:
        message: JsonObject | None = first
        while message is not None:
            yield Incoming(message)
            message = await self._next(asked, stream)

    def _whole(self, answer: JsonObject) -> Reply:
        error = answer.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        status = _STATUS_OF_ERROR.get(code, 200) if self.is_modern and isinstance(code, int) else 200
        return Reply(status, body=answer)

    def _fail(self, asked: Asked, failure: UpstreamFailed) -> None:
        self._streams[asked.minted].fail(failure)
        self._forget(asked)

    def _forget(self, asked: Asked) -> bool:
        self._streams.pop(asked.minted, None)
        return self._correlation.forget(asked)

    def _give_up(self, asked: Asked) -> None:
        """Nobody waits for this request any more: the child may stop working on it."""
        stream = self._streams.get(asked.minted)
        if not self._forget(asked):
            return
        if stream is not None:
            stream.finish()  # whoever waits for room in it goes on
        if asked.method != "initialize" and self.is_alive:
            params = {"requestId": asked.minted, "reason": "nobody waits for it any more"}
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
            self._answer(cancel)

    def _push(self, owner: str) -> PushStream:
        return self._pushes.setdefault(owner, PushStream())

    def _require_child(self) -> Child:
        assert self._child is not None, "begin() comes first"
        return self._child
