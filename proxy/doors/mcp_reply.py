"""How one HTTP request of an agent is answered: as JSON while nothing was written, as events once something was.

Rules of this module:
* The stream is committed late: only when something must be told before the answer (a relayed message, a keep-alive of a
  held call), because a committed 200 hides every later status (traps T20).
* Writers take turns under one lock; whoever keeps the stream alive skips its turn rather than wait for it. An answer
  that is the first and the last thing written needs no turn: nobody writes after it.
* Every message given to this module has been inspected or is of our own making.
* `left` is the listener's word that the agent's connection has gone, also while nothing is being written. A stream that
  we ended ourselves (SEP-1699 polling) has not been left.
* An answer counts as delivered only if the agent was there when its last byte was written; of a long one the last chunk
  is written only after the reader has taken the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from policies.model import JsonObject
from proxy.doors.ticker import Place, Ticker
from proxy.tasks import spawn
from proxy.wire import mcp_results, sse, strict_json

type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type Header = tuple[bytes, bytes]

PROOF_BYTES_MIN = 64 * 1024  # longer answers wait for the reader before their last chunk

EVENT_STREAM_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
JSON_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


def encoded(message: JsonObject | None, event_id: str | None = None, retry_ms: int | None = None) -> bytes:
    """One event. Without a message: a priming event, whose empty data line is what makes clients take its id."""
    if message is None:
        return sse.encode(sse.Event("" if event_id is not None else None, id=event_id, retry_ms=retry_ms))
    data = strict_json.write(message)  # one line: JSON writes no raw line ends
    if event_id is None and retry_ms is None:
        return b"data: " + data + b"\n\n"
    return sse.encode(sse.Event(data.decode(), id=event_id, retry_ms=retry_ms))


class ProgressScale:
    """One progress token's numbers: ours while we hold, then the tool's, moved up so that they never go back."""

    __slots__ = ("token", "told")

    def __init__(self, token: str | int) -> None:
        self.token = token
        self.told = 0

    def own(self, message: str) -> JsonObject:
        """The next progress notification of our own."""
        self.told += 1
        return mcp_results.progress(self.token, self.told, message)

    def moved(self, notification: JsonObject) -> JsonObject:
        """The tool's progress notification, with its numbers above ours."""
        if not self.told:
            return notification
        params = dict(notification["params"])
        for name in ("progress", "total"):
            if isinstance(params.get(name), int | float) and not isinstance(params[name], bool):
                params[name] += self.told
        return {**notification, "params": params}


class Telling:
    """What a stream says while nothing else is said: comments always, progress while parked and with a token."""

    __slots__ = ("keepalive_sec", "message", "next_progress", "progress_sec", "scale")

    def __init__(self, keepalive_sec: float, progress_sec: float, scale: ProgressScale | None) -> None:
        self.keepalive_sec = keepalive_sec
        self.progress_sec = progress_sec
        self.scale = scale
        self.message: str | None = None  # what we wait for, while parked
        self.next_progress = 0.0


class AgentReply:
    """The answer to one HTTP request, from the agent's side of the door."""

    __slots__ = (
        "_lock",
        "_place",
        "_send",
        "_telling",
        "_ticker",
        "accepts_events",
        "as_events",
        "committed",
        "done",
        "headers",
        "left",
        "may_have_left",
    )

    def __init__(
        self,
        send: Send,
        left: asyncio.Event,
        ticker: Ticker,
        *,
        accepts_events: bool,
        may_have_left: Callable[[], bool] = lambda: True,
    ) -> None:
        self._send, self._ticker = send, ticker
        self._lock = asyncio.Lock()
        self._place: Place | None = None
        self._telling: Telling | None = None
        self.left = left
        self.may_have_left = may_have_left  # `left` may have yet to learn of it
        self.accepts_events = accepts_events
        self.as_events = False  # the tool streamed, or the call was held: answer in kind where the agent accepts it
        self.committed = False
        self.done = False
        self.headers: tuple[Header, ...] = ()

    # -- keeping alive ---------------------------------------------------------------------------------------------

    def keep_alive(self, telling: Telling, *, at_once: bool = False) -> None:
        """Write something now and then until the answer is there. Without events accepted: hold in silence."""
        if not self.accepts_events or self.done:
            return
        self.as_events = True
        self._telling = telling
        now = asyncio.get_running_loop().time()
        self._leave_ticker()
        self._place = self._ticker.join(self, now if at_once else now + telling.keepalive_sec)

    def tick(self, now: float) -> float | None:
        """The ticker's call: hand one write to a task, unless a write is under way."""
        telling = self._telling
        if telling is None or self.done or self.left.is_set():
            return None
        due = now + telling.keepalive_sec
        if telling.message is None or telling.scale is None:
            if not self._lock.locked():
                spawn(self._write(sse.KEEPALIVE), name="keep-alive")
            return due
        if not self._lock.locked():
            chunk = sse.KEEPALIVE
            if now >= telling.next_progress:
                telling.next_progress = now + telling.progress_sec
                chunk = encoded(telling.scale.own(telling.message))
            spawn(self._write(chunk), name="keep-alive")
        return min(due, max(telling.next_progress, now))

    def _leave_ticker(self) -> None:
        if self._place is not None:
            self._place.leave()
            self._place = None

    # -- writing ---------------------------------------------------------------------------------------------------

    async def event(self, message: JsonObject | None, event_id: str | None = None, retry_ms: int | None = None) -> bool:
        """Write one event, committing the stream; False if this agent takes no events or is not there any more."""
        if not self.accepts_events or self.done or self.left.is_set():
            return False
        return await self._write(encoded(message, event_id, retry_ms))

    async def open_stream(self) -> None:
        """Commit the stream with nothing in it yet (GET, subscriptions/listen)."""
        async with self._lock:
            if not self.done:
                await self._commit()

    async def answer(
        self, status: int, message: JsonObject | None, *, event_id: str | None = None, headers: tuple[Header, ...] = ()
    ) -> bool:
        """Write the answer and end. True if the agent was there when the last byte was written."""
        if not 200 <= status <= 599:
            status = 502  # a server's number for which HTTP has no meaning (RFC 9110 §15)
        in_kind = self.as_events and self.accepts_events and status == 200 and message is not None
        if not (self.committed or in_kind or self.done or self._lock.locked()):
            return await self._answer_whole(status, message, headers)
        async with self._lock:
            if self.done:
                return False
            if self.committed or in_kind:
                await self._commit()
                return await self._finish(encoded(message, event_id) if message is not None else b"")
            return await self._answer_whole(status, message, headers)

    async def _answer_whole(self, status: int, message: JsonObject | None, headers: tuple[Header, ...]) -> bool:
        """Nothing is written yet, nor about to be. Done from here on: whoever else would write finds that."""
        body = b"" if message is None else strict_json.write(message)
        self.committed = self.done = True
        start = [*self.headers, *headers]
        if status != 204:  # which has no body, nor a length of one (RFC 9110 §8.6)
            start.insert(0, (b"content-length", b"%d" % len(body)))
        if body:
            start += JSON_HEADERS
        await self._send({"type": "http.response.start", "status": status, "headers": start})
        return await self._finish(body)

    async def end(self) -> bool:
        """End a stream without an answer in it; False if the agent had gone."""
        async with self._lock:
            if self.done:
                return False
            await self._commit()
            return await self._finish(b"")

    async def _write(self, chunk: bytes) -> bool:
        async with self._lock:
            if self.done or self.left.is_set():
                return False
            await self._commit()
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            return not self.left.is_set()

    async def _commit(self) -> None:
        if not self.committed:
            self.committed = True
            await self._start(200, [*EVENT_STREAM_HEADERS, *self.headers])

    async def _start(self, status: int, headers: list[Header]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _finish(self, body: bytes) -> bool:
        if len(body) > PROOF_BYTES_MIN:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            body = b""
        self.done = True
        self._leave_ticker()
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
        return not self.left.is_set()

    def close(self) -> None:
        """The request is over, answered or not."""
        self.done = True
        self._leave_ticker()
