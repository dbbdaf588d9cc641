"""Live updates: a stream that says which calls changed, and nothing more. The only importer of sse-starlette.

Rules of this module:
* A stream carries ids only; the page fetches what it shows, with its own login, so a stream leaks nothing.
* Streams are counted, in all and per session; past the limit the page falls back to asking now and then (P14). A place
  is taken in one step with looking whether there is one, and given back when the answer has ended, however it ends.
* Whose stream is open watches the live feed: calls that go unless somebody vetoes them go only in such sight.
* A stream ends when its session does: that is looked at with every change and every `stream_check_sec`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from http import HTTPStatus

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from review.console.visits import BROWSER, Console, error_data, json_answer, logged_in
from review.ports import StoreDown


def routes(console: Console) -> list[BaseRoute]:
    streams: Counter[str] = Counter()

    async def events(request: Request) -> Response:
        who = await logged_in(console, request)
        if who is None:
            return json_answer(error_data("not_logged_in", "Log in first."), HTTPStatus.UNAUTHORIZED)
        session, settings = who.session.token_hash, console.settings
        if streams.total() >= settings.streams_max or streams[session] >= settings.streams_per_session_max:
            data = error_data("too_many_streams", "Too many open pages: this one asks now and then instead.")
            return json_answer(data, HTTPStatus.SERVICE_UNAVAILABLE)
        token = request.cookies[settings.cookie]
        streams[session] += 1
        watching, ping = console.inbox.watching(who.reviewer), int(settings.stream_check_sec)
        return _Counted(_changes(console, token), streams, session, watching, ping=ping)

    return [Route("/events", events, methods=["GET"])]


class _Counted(EventSourceResponse):
    """A stream that holds a place, from before it is sent until it has ended."""

    def __init__(
        self,
        changes: AsyncIterator[ServerSentEvent],
        streams: Counter[str],
        session: str,
        watching: AbstractContextManager[None],
        *,
        ping: int,
    ) -> None:
        super().__init__(changes, ping=ping)
        self._streams, self._session, self._watching = streams, session, watching

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._watching:
                await super().__call__(scope, receive, send)
        finally:
            self._streams[self._session] -= 1
            if self._streams[self._session] <= 0:
                del self._streams[self._session]


async def _changes(console: Console, token: str) -> AsyncIterator[ServerSentEvent]:
    async with console.live.subscribe() as changes:
        # Said at once, so that a page that had lost its stream looks again.
        yield ServerSentEvent(event="changed", data="*", retry=2_000)
        while (change := await next_change(changes, console.settings.stream_check_sec)) is not None:
            if not await _is_logged_in(console, token):
                yield ServerSentEvent(event="over", data="logged out")
                return
            if change:
                yield ServerSentEvent(event="changed", data=change)


async def next_change(changes: AsyncIterator[str], wait_sec: float) -> str | None:
    """The next change; empty when none came in time; None when there will be no more."""
    try:
        async with asyncio.timeout(wait_sec):
            return await anext(changes)
    except TimeoutError:
        return ""
    except StopAsyncIteration:
        return None


async def _is_logged_in(console: Console, token: str) -> bool:
    try:
        return await console.accounts.session(token, of=BROWSER, is_use=False) is not None
    except StoreDown:
        return True  # it cannot be told just now; ids alone are no secret worth cutting pages off for
