"""Telling open pages that something changed, within one process.

Rules of this module:
* Whoever tells says only which call changed; pages ask for the rest. So a slow listener loses nothing: what it has not
  fetched yet is a set of ids, and past `pending_max` the single word `*`.
* Closing ends every subscription, so that streams do not keep a shutdown waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

EVERYTHING = "*"


class Pages:
    """The open pages (`review.ports.Live`), and the way to tell them."""

    def __init__(self, *, pending_max: int = 1_000) -> None:
        self._pending_max = pending_max
        self._listeners: set[_Listener] = set()
        self._is_closed = False

    def tell(self, call_id: str) -> None:
        for listener in self._listeners:
            listener.add(call_id)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[str]]:
        listener = _Listener(self._pending_max)
        self._listeners.add(listener)
        if self._is_closed:
            listener.close()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        self._is_closed = True
        for listener in self._listeners:
            listener.close()


class _Listener:
    """An iterator, not a generator: whoever waits for it with a deadline may give up and ask again."""

    def __init__(self, pending_max: int) -> None:
        self._pending_max = pending_max
        self._pending: dict[str, None] = {}
        self._is_closed = False
        self._woken = asyncio.Event()

    def add(self, call_id: str) -> None:
        if len(self._pending) >= self._pending_max:
            self._pending = {EVERYTHING: None}
        if EVERYTHING not in self._pending:
            self._pending[call_id] = None
        self._woken.set()

    def close(self) -> None:
        self._is_closed = True
        self._woken.set()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not self._pending:
            if self._is_closed:
                raise StopAsyncIteration
            self._woken.clear()
            await self._woken.wait()
        call_id = next(iter(self._pending))
        del self._pending[call_id]
        return call_id
