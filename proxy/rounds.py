"""What a gate does by the clock, beside serving: expiry, doubts, stops that are not settled yet, retention, policies.

Rules of this module:
* Each is a task of its own: one that waits for the store keeps no other waiting.
* A store that is down ends none of them. It is said in the log, and tried again at the next turn: nothing expires, is
  named in doubt or is erased while that cannot be recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from proxy.kill_switch import KillSwitch
from proxy.policy_desk import PolicyDesk
from proxy.sampling import Sampling
from proxy.standings import Standings
from proxy.tasks import spawn
from review.inbox import Inbox
from review.ports import StoreDown

log = structlog.get_logger("interlock.rounds")

EXPIRY_TICK_SEC = 1.0
POLICY_TICK_SEC = 1.0
STANDINGS_TICK_SEC = 1.0
STOP_TICK_SEC = 1.0
DOUBT_TICK_SEC = 10.0
DOUBT_AFTER_SEC = 30.0  # by then what became of a call is written, or it never will be
RETENTION_TICK_SEC = 3600.0
SAMPLING_TICK_SEC = 1.0


class NamesDoubts(Protocol):
    """The runner, as far as it is needed here."""

    async def name_doubts(self, *, sent_before: float) -> int: ...


class Erases(Protocol):
    """The store, as far as it is needed here."""

    async def erase_before(self, before: float) -> int: ...


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told, and what the configuration says of it."""

    inbox: Inbox
    runner: NamesDoubts
    kill_switch: KillSwitch
    store: Erases
    policies: PolicyDesk
    sampling: Sampling
    standings: Standings
    clock: Callable[[], float]
    retain_sec: float
    watches_policies: bool
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Rounds:
    """Begins with `start`, in the running loop; ends with `stop`."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        told = self._told
        self._begin(self.load_inbox(), "inbox")
        self._begin(self.expire(), "expiry")
        self._begin(self.name_doubts(), "doubt")
        self._begin(self.settle_stops(), "stops")
        self._begin(self.settle_standings(), "standings")
        self._begin(self.erase(), "retention")
        self._begin(self.sample(), "sampling")
        if told.watches_policies:
            self._begin(told.policies.watch(POLICY_TICK_SEC), "policy watch")

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(spawn(work, name=name))

    async def load_inbox(self) -> None:
        """Beside serving: agents need not wait for it, and the first reviewer seldom has to."""
        try:
            await self._told.inbox.load()
        except StoreDown as down:
            log.error("inbox_not_loaded", why=str(down))  # it is read when somebody looks

    async def expire(self) -> None:
        """A held call goes when its undo window passes, not at the next tick: the rest ends at what is due first."""
        inbox, clock = self._told.inbox, self._told.clock
        rest_sec = 0.0
        while True:
            await self._told.sleep(rest_sec)
            rest_sec = EXPIRY_TICK_SEC
            try:
                await inbox.expire_due(clock())
                rest_sec = await inbox.rest_sec(clock(), at_most=EXPIRY_TICK_SEC)
            except StoreDown as down:
                log.error("expiry_waits", why=str(down))

    async def name_doubts(self) -> None:
        """What ended while the store was down is named as it would be after a restart (P5)."""
        while True:
            await self._told.sleep(DOUBT_TICK_SEC)
            try:
                doubtful = await self._told.runner.name_doubts(sent_before=self._told.clock() - DOUBT_AFTER_SEC)
            except StoreDown as down:
                log.error("doubt_waits", why=str(down))
            else:
                if doubtful:
                    log.warning("calls_in_doubt", count=doubtful)

    async def settle_stops(self) -> None:
        """What the store or the disk did not take of a stop when it was ordered."""
        while True:
            await self._told.sleep(STOP_TICK_SEC)
            await self._told.kill_switch.settle()

    async def sample(self) -> None:
        """Periods of sampled audit: opened once policy samples, ended and published day by day."""
        while True:
            await self._told.sleep(SAMPLING_TICK_SEC)
            if not self._told.policies.current.sampling and not self._told.sampling.is_open:
                continue
            try:
                await self._told.sampling.turn()
            except StoreDown as down:
                log.error("sampling_waits", why=str(down))

    async def settle_standings(self) -> None:
        """Track records that have grown, and what of a rise or a fall the store did not take."""
        while True:
            await self._told.sleep(STANDINGS_TICK_SEC)
            await self._told.standings.settle()

    async def erase(self) -> None:
        """Sealed values whose time is up; at the start too."""
        while True:
            try:
                erased = await self._told.store.erase_before(self._told.clock() - self._told.retain_sec)
            except StoreDown as down:
                log.error("retention_waits", why=str(down))
            else:
                log.info("sealed_values_erased", calls=erased)
            await self._told.sleep(RETENTION_TICK_SEC)
