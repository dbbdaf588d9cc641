"""One session's stream of what a tool says unasked, for a reader who may come, go, and come again.

Rules of this module:
* Messages wait, bounded, while nobody reads; the oldest go first and are handed back to whoever offered the newer.
* There is one reader at a time: a later one takes the stream over, the earlier one's ends.
"""

from __future__ import annotations

from policies.model import JsonObject
from proxy.upstreams.base import Reply
from proxy.upstreams.mailbox import Mailbox


class PushStream:
    """Kept for as long as its session lasts."""

    def __init__(self) -> None:
        self._mailbox = Mailbox()
        self._is_open = False

    @property
    def is_open(self) -> bool:
        return self._is_open

    def offer(self, message: JsonObject, size: int) -> list[JsonObject]:
        """Add a message; returns what was dropped for it."""
        return self._mailbox.offer(message, size)

    def open(self) -> Reply:
        """Begin to read."""
        earlier, mailbox = self._mailbox, Mailbox()
        earlier.move_to(mailbox)
        earlier.finish()
        self._mailbox, self._is_open = mailbox, True

        async def close() -> None:
            if self._mailbox is mailbox:
                self._is_open = False

        return Reply(200, is_stream=True, incoming=mailbox.drain(), close=close)

    def finish(self) -> None:
        self._is_open = False
        self._mailbox.finish()
