"""The record as it is written, streamed to a program: `GET /api/v1/tail`, server-sent events with a bearer token.

Rules of this module:
* What is streamed are entries of the record, which hold commitments and labels in place of values (audit/masks.py), and
  beside each the names of the call it is about. Entries about accounts and logins go to admins, auditors and security.
* An event's id is the entry's number: whoever comes back with `Last-Event-ID` misses nothing and gets nothing twice.
* Streams are counted, in all and per session (P14). Entries are read some at a time, only as fast as they are taken.
* Whose stream follows the record watches the live feed, as an open page of the console does.
* A stream ends when its session does, when its reader may not see anything any more, and when the gate stops.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from audit.entry import EntryKind
from policies.model import JsonObject
from review import exact
from review.console.api import CLI, bearer, token_of
from review.console.events import next_change
from review.console.visits import Console, error_data, json_answer
from review.identity import LoggedIn
from review.ports import Ledger, StoreDown

# Between looks at the record's end. Most changes wake a stream at once, but not every entry is told of: outcomes that
# passed clean, refusals and notes are queued without anybody waiting for them. The look is at a number in memory.
TICK_SEC = 0.25
BATCH_ENTRIES = 200
CALLS_KNOWN_MAX = 1_000
NUMBER_DIGITS_MAX = 15
KEEPALIVE = ": keep-alive\n\n"

_FOR_SOME = frozenset({EntryKind.ACCOUNT_CHANGED, EntryKind.LOGIN_SUCCEEDED, EntryKind.LOGIN_FAILED})
_WHO_SEE_LOGINS = frozenset({"admin", "auditor", "security"})


class Unreadable(Exception):
    """A question that cannot be read; the text says which part."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins, in the order in which it counts: after an entry, at a time, or so many before the end."""

    after_seq: int | None = None
    since: int | None = None  # seconds since the epoch
    last: int = 0
    follows: bool = True


def routes(console: Console) -> list[BaseRoute]:
    streams: Counter[str] = Counter()

    async def tail(request: Request) -> Response:
        try:
            who, start = await bearer(console, request), _start(request)
        except Unreadable as error:
            return json_answer(error_data("not_possible", str(error)), HTTPStatus.UNPROCESSABLE_ENTITY)
        except StoreDown:
            data = error_data("store_down", "The record cannot be read just now.")
            return json_answer(data, HTTPStatus.SERVICE_UNAVAILABLE)
        if who is None:
            data = error_data("not_logged_in", "A bearer token of a session begun at /api/v1/login is needed.")
            return json_answer(data, HTTPStatus.UNAUTHORIZED)
        if not who.reviewer.roles:
            return json_answer(error_data("role", "An account without a role sees no calls."), HTTPStatus.FORBIDDEN)
        session, settings = who.session.token_hash, console.settings
        if streams.total() >= settings.tails_max or streams[session] >= settings.tails_per_session_max:
            data = error_data("too_many_streams", "Too many programs watch the record; end one of them.")
            return json_answer(data, HTTPStatus.SERVICE_UNAVAILABLE)
        watching = console.inbox.watching(who.reviewer) if start.follows else nullcontext()
        return _Stream(_Tail(console, who, token_of(request)).events(start), streams, session, watching)

    return [Route("/api/v1/tail", tail, methods=["GET"])]


class _Stream(StreamingResponse):
    """A stream that has its place from when it is made until it is over, also if nobody ever read of it."""

    def __init__(
        self,
        events: AsyncGenerator[str],
        streams: Counter[str],
        session: str,
        watching: AbstractContextManager[None],
    ) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._events, self._streams, self._session, self._watching = events, streams, session, watching
        streams[session] += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._watching:
                await super().__call__(scope, receive, send)
        finally:
            self._streams[self._session] -= 1
            if self._streams[self._session] <= 0:
                del self._streams[self._session]
            await self._events.aclose()


def _start(request: Request) -> Start:
    """Raises: Unreadable."""
    asked = request.query_params
    come_back = request.headers.get("last-event-id")
    return Start(
        after_seq=None if come_back is None else _number("last-event-id", come_back),
        since=_number("since", asked["since"]) if "since" in asked else None,
        last=_number("last", asked.get("last", "0")),
        follows=asked.get("follow", "1") != "0",
    )


def _number(name: str, text: str) -> int:
    """Raises: Unreadable."""
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX):
        raise Unreadable(f"'{name}' must be a whole number.")
    return int(text)


@dataclass(slots=True)
class _Tail:
    """One stream."""

    console: Console
    who: LoggedIn
    token: str
    known: OrderedDict[str, JsonObject] = field(default_factory=OrderedDict)  # call -> agent, server, tool

    async def events(self, start: Start) -> AsyncGenerator[str]:
        """Ends with an event `over` that says why, where it is not the gate that stops."""
        ledger, settings = self.console.ledger, self.console.settings
        yield KEEPALIVE  # at once, so that the reader knows it is heard
        try:
            after = await _first(ledger, start)
            checked = spoken = time.monotonic()
            async with self.console.live.subscribe() as changes:
                while True:
                    async for entry in ledger.entries(since_seq=after, limit=BATCH_ENTRIES):
                        after = entry["seq"]
                        if self._may_see(entry):
                            spoken = time.monotonic()
                            yield _event(await self._told(entry), after)
                    now = time.monotonic()
                    if now - checked >= settings.stream_check_sec:
                        checked = now
                        if not await self._is_welcome():
                            yield _over("logged out")
                            return
                    if now - spoken >= settings.stream_check_sec:
                        spoken = now
                        yield KEEPALIVE
                    if await ledger.last() > after:
                        continue
                    if not start.follows:
                        yield _over("end")
                        return
                    if await next_change(changes, TICK_SEC) is None:
                        return  # the gate stops
        except StoreDown:
            yield _over("the record cannot be read just now")

    def _may_see(self, entry: JsonObject) -> bool:
        return entry["kind"] not in _FOR_SOME or bool(self.who.reviewer.roles & _WHO_SEE_LOGINS)

    async def _is_welcome(self) -> bool:
        here = await self.console.accounts.session(self.token, of=CLI, is_use=False)
        if here is None or not here.reviewer.roles:
            return False
        self.who = here
        return True

    async def _told(self, entry: JsonObject) -> JsonObject:
        about = None if entry["call_id"] is None else await self._about(entry)
        return {name: entry[name] for name in ("seq", "at", "kind", "actor", "call_id", "body")} | {"about": about}

    async def _about(self, entry: JsonObject) -> JsonObject:
        """Whose call of what: its first entry says it."""
        call_id = entry["call_id"]
        if call_id not in self.known:
            is_first = entry["kind"] == EntryKind.CALL_DECIDED
            first = [entry] if is_first else await self.console.ledger.entries_for(call_id, limit=1)
            self.known[call_id] = _names(first[0]) if first else {}
            if len(self.known) > CALLS_KNOWN_MAX:
                self.known.popitem(last=False)
        return self.known[call_id]


def _names(entry: JsonObject) -> JsonObject:
    kind, _, agent = entry["actor"].partition(":")
    body = entry["body"]
    return {"agent": agent if kind == "agent" else "", "server": body.get("server", ""), "tool": body.get("tool", "")}


async def _first(ledger: Ledger, start: Start) -> int:
    """The entry after which a stream begins. Raises: StoreDown."""
    if start.after_seq is not None:
        return start.after_seq
    end = await ledger.last()
    if start.since is None:
        return max(0, end - start.last)
    low, high = 0, end  # entries up to `low` are older; those after `high` are not
    while low < high:
        middle = (low + high) // 2
        found = [entry async for entry in ledger.entries(since_seq=middle, limit=1)]
        if found and found[0]["at"] < start.since:
            low = middle + 1
        else:
            high = middle
    return low


def _event(data: JsonObject, seq: int) -> str:
    return f"id: {seq}\ndata: {exact.text(data)}\n\n"


def _over(why: str) -> str:
    return f"event: over\ndata: {why}\n\n"
