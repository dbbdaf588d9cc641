"""A bounded queue of messages from one reader to one waiting stream, which may end or break.

Rules of this module:
* Bounded in messages and in bytes (P14). `put` waits for room, so that a slow reader slows the tool down; `offer`
  makes room by dropping the oldest, for streams that nobody may be reading.
* After `finish` or `fail` whatever is inside is still read, then the end or the failure is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from policies.model import JsonObject
from proxy.upstreams.base import Incoming, UpstreamFailed

MESSAGES_MAX = 256
BYTES_MAX = 8 * 1024 * 1024


class MailboxFull(Exception):
    """Nobody made room in time."""


class Mailbox:
    """Messages on their way to one stream."""

    def __init__(self, *, messages_max: int = MESSAGES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._messages: deque[tuple[JsonObject, int]] = deque()
        self._bytes = 0
        self._messages_max, self._bytes_max = messages_max, bytes_max
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False
        self._failure: UpstreamFailed | None = None

    def __len__(self) -> int:
        return len(self._messages)

    async def put(self, message: JsonObject, size: int, *, stall_sec_max: float) -> None:
        """Add a message, waiting for room. Raises: MailboxFull after `stall_sec_max`."""
        if not self._has_room(size) and not self._ended:
            try:
                async with asyncio.timeout(stall_sec_max):
                    while not self._has_room(size) and not self._ended:
                        self._room.clear()
                        await self._room.wait()
            except TimeoutError:
                raise MailboxFull from None
        self._add(message, size)

    def offer(self, message: JsonObject, size: int) -> list[JsonObject]:
        """Add a message at once; returns what was dropped for it, oldest first (the message itself if too big)."""
        if size > self._bytes_max:
            return [message]
        dropped = []
        while not self._has_room(size):
            dropped.append(self._take()[0])
        self._add(message, size)
        return dropped

    def move_to(self, other: Mailbox) -> None:
        """Hand everything unread over; `other` is empty."""
        while self._messages:
            other._add(*self._take())

    def finish(self) -> None:
        """No more will come."""
        self._end(None)

    def fail(self, failure: UpstreamFailed) -> None:
        """No more will come, because the exchange broke."""
        self._end(failure)

    async def next(self) -> JsonObject | None:
        """The next message; None at the end. Raises: UpstreamFailed."""
        while not self._messages:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._take()[0]

    async def drain(self) -> AsyncIterator[Incoming]:
        """Everything until the end. Raises: UpstreamFailed."""
        while (message := await self.next()) is not None:
            yield Incoming(message)

    def _has_room(self, size: int) -> bool:
        if not self._messages:
            return True
        return len(self._messages) < self._messages_max and self._bytes + size <= self._bytes_max

    def _add(self, message: JsonObject, size: int) -> None:
        if self._ended:
            return
        self._messages.append((message, size))
        self._bytes += size
        self._changed.set()

    def _take(self) -> tuple[JsonObject, int]:
        message, size = self._messages.popleft()
        self._bytes -= size
        self._room.set()
        return message, size

    def _end(self, failure: UpstreamFailed | None) -> None:
        if self._ended:
            return
        self._ended, self._failure = True, failure
        self._changed.set()
        self._room.set()
