"""Holding agents' requests while people decide: who waits, for how long, and what wakes them.

Rules of this module:
* One `Waiter` per held request. It is woken by its call's bell, its agent's leaving, its patience, or our closing;
  what that means is the gate's business.
* Patience is the client's, by profile: we answer before it gives up. A client seen to leave earlier is believed,
  for its own agent alone: nobody shortens the holds of others.
* The caps are ours (P14): so many held responses in all and of one agent, and so many bytes of requests that wait in
  them. Past one nobody is held: the ticket comes at once, and the question stands all the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from proxy.config import Parking as ParkingConfig
from proxy.exchange import Client
from proxy.tasks import spawn


class Woken(StrEnum):
    """Why a wait ended."""

    BELL = "bell"
    LEFT = "left"
    PATIENCE = "patience"
    CLOSING = "closing"


class TooManyHeld(Exception):
    """No more is held, of this agent or at all."""


class Waiter:
    """One agent's wait for one call. `until` is wall time; waiting itself runs on the loop's monotonic clock."""

    def __init__(
        self,
        call_id: str,
        *,
        since: float,
        until: float,
        left: asyncio.Event | None,
        agent: str = "",
        size_bytes: int = 0,
    ) -> None:
        self.call_id, self.agent, self.size_bytes = call_id, agent, size_bytes
        self.since = since
        self.until = until
        self.left = left
        self._wake = asyncio.Event()
        self._closing = False
        self._rung = True  # look once at the start: the review may have moved before we sat down
        self._watch = spawn(self._watch_left(left), name=f"left:{call_id}") if left is not None else None

    def ring(self) -> None:
        self._rung = True
        self._wake.set()

    def close(self) -> None:
        self._closing = True
        self._wake.set()

    async def woken(self, now: float) -> Woken:
        """Wait for the next reason to look. `now` is the wall time this wait begins at."""
        deadline = asyncio.get_running_loop().time() + max(0.0, self.until - now)
        while True:
            if self.left is not None and self.left.is_set():
                return Woken.LEFT
            if self._closing:
                return Woken.CLOSING
            if self._rung:
                self._rung = False
                return Woken.BELL
            self._wake.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                return Woken.PATIENCE

    async def _watch_left(self, left: asyncio.Event) -> None:
        await left.wait()
        self._wake.set()

    def done(self) -> None:
        """Stop watching; the request is answered or gone."""
        if self._watch is not None:
            self._watch.cancel()


class Parking:
    """All waiters of this node. Implements `review.ports.Bell` and `review.ports.Waiting`."""

    def __init__(self, config: ParkingConfig, *, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._waiters: dict[str, set[Waiter]] = {}
        self._count = 0
        self._bytes = 0
        self._of_agent: Counter[str] = Counter()
        self._learned: dict[tuple[str, str, str], float] = {}
        self._closing = False
        self._listeners: list[Callable[[str], None]] = []

    def patience_sec(self, client: Client) -> float:
        """How long this client's request may be held before it must be answered (reference: DESIGN §6)."""
        config = self._config
        known = config.clients.get(client.name.lower())
        patience = known if known is not None else config.hold_sec
        if known is None and client.has_progress_token:
            patience = config.hold_with_progress_sec if _resets_on_progress(client) else config.hold_sec
        learned = self._learned.get((client.agent, client.name, client.version))
        return min(patience, learned) if learned is not None else patience

    def sit_down(
        self,
        call_id: str,
        *,
        client: Client,
        left: asyncio.Event | None,
        patience_sec: float | None = None,
        agent: str = "",
        size_bytes: int = 0,
    ) -> Waiter:
        """A new waiter of this agent, with so many bytes of its request. Raises: TooManyHeld."""
        config = self._config
        if (
            self._count >= config.held_responses_max
            or self._of_agent[agent] >= config.held_of_agent_max
            or self._bytes + size_bytes > config.held_bytes_max
        ):
            raise TooManyHeld
        now = self._clock()
        patience = self.patience_sec(client) if patience_sec is None else patience_sec
        waiter = Waiter(call_id, since=now, until=now + patience, left=left, agent=agent, size_bytes=size_bytes)
        self._waiters.setdefault(call_id, set()).add(waiter)
        self._count += 1
        self._of_agent[agent] += 1
        self._bytes += size_bytes
        if self._closing:
            waiter.close()
        return waiter

    def stand_up(self, waiter: Waiter) -> None:
        waiters = self._waiters.get(waiter.call_id)
        if waiters is None or waiter not in waiters:
            return
        waiters.discard(waiter)
        self._count -= 1
        self._bytes -= waiter.size_bytes
        self._of_agent[waiter.agent] -= 1
        if not self._of_agent[waiter.agent]:
            del self._of_agent[waiter.agent]
        if not waiters:
            del self._waiters[waiter.call_id]
        waiter.done()

    def is_awaited(self, call_id: str) -> bool:
        """True while an agent of this node waits for the call."""
        return any(waiter.left is None or not waiter.left.is_set() for waiter in self._waiters.get(call_id, ()))

    def learn_departure(self, client: Client, waited_sec: float) -> None:
        """A client left while held: next time it is answered earlier, but never sooner than after five seconds."""
        if not client.name or waited_sec < 5:
            return
        key = (client.agent, client.name, client.version)
        if len(self._learned) >= 1_000 and key not in self._learned:
            return
        self._learned[key] = min(self._learned.get(key, waited_sec), max(5.0, waited_sec * 0.8))

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call `listener(call_id)` on every bell, waiters or none (the console's live view, the runner's counts)."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Orderly shutdown: everybody who waits is woken and gets a ticket."""
        self._closing = True
        for waiters in list(self._waiters.values()):
            for waiter in list(waiters):
                waiter.close()

    @property
    def held(self) -> int:
        return self._count

    # review.ports.Bell
    def ring(self, call_id: str) -> None:
        for waiter in self._waiters.get(call_id, ()):
            waiter.ring()
        for listener in self._listeners:
            listener(call_id)

    # review.ports.Waiting
    def since(self, call_id: str) -> float | None:
        return min((waiter.since for waiter in self._waiters.get(call_id, ())), default=None)

    def until(self, call_id: str) -> float | None:
        return max((waiter.until for waiter in self._waiters.get(call_id, ())), default=None)


def _resets_on_progress(client: Client) -> bool:
    """Clients known to restart their clock on progress (reference: mcp.md §2.2)."""
    return client.name.lower() in {"claude-code", "opencode", "mcp", "python-sdk"}
