"""Drawing samples: the periods with their keys, and the lot each answered call takes part in (SEMANTICS §1.13).

Rules of this module:
* A period is a day (UTC). Its key is made of the installation's key and its name, so nothing secret is kept for it.
* Its commitment is durable before the first draw. It is over once the next has begun; a minute later, when no answer
  of it is on its way any more, its key is published. After a restart that is made up for.
* While no period is open, every call with a chance is a sample: fewer are never drawn than policy says.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from audit.entry import EntryDraft, EntryKind
from audit.sampling import commitment, is_chosen, is_nth
from policies.sampling import Chance
from proxy.store.base import SamplingPeriod

PUBLISH_AFTER_SEC = 60.0
ALWAYS_PPM = 1_000_000
_KEY = b"interlock sampling period key v1\x00"


class KeepsPeriods(Protocol):
    """The store, as far as it is needed here."""

    async def put_sampling_period(self, period: SamplingPeriod, entry: EntryDraft) -> None: ...
    async def unpublished_periods(self) -> Sequence[SamplingPeriod]: ...


@dataclass(frozen=True, slots=True)
class Lot:
    """One call's part in the draw: what its entry says of it, whether it is drawn, and who is asked then."""

    told: dict[str, Any]
    falls_on: Callable[[bytes], bool]
    teams: tuple[str, ...] = ()


class Sampling:
    """One per gate. `turn` is called at the start and now and then; `lot` at every answer."""

    def __init__(self, *, key: bytes, store: KeepsPeriods, clock: Callable[[], float]) -> None:
        self._key = key
        self._store = store
        self._clock = clock
        self._open: SamplingPeriod | None = None
        self._period_key = b""
        self._numbers = 0
        self._is_settled = False  # every period but the open one is published

    @property
    def is_open(self) -> bool:
        """Whether a period is."""
        return self._open is not None

    async def turn(self) -> None:
        """Open today's period if it is not, and publish those that are over. Raises: StoreDown."""
        now = self._clock()
        name = datetime.fromtimestamp(now, tz=UTC).date().isoformat()
        if self._is_settled and self._open is not None and self._open.name == name:
            return
        waiting = {period.name: period for period in await self._store.unpublished_periods()}
        if self._open is None or self._open.name != name:
            period = waiting.get(name, SamplingPeriod(name, now))
            key = self.key_of(name)
            body = {"period": name, "commitment": commitment(key)}
            await self._store.put_sampling_period(
                period, EntryDraft(EntryKind.SAMPLING_OPENED, now, "gate", None, body)
            )
            self._open, self._period_key, self._numbers = replace(period, opened_at=now), key, 0
            self._is_settled = False
        if now - self._open.opened_at >= PUBLISH_AFTER_SEC:
            for period in waiting.values():
                if period.name != self._open.name:
                    await self._publish(period, now)
            self._is_settled = True

    def key_of(self, name: str) -> bytes:
        """The key of a period, by its name."""
        return hmac.digest(self._key, _KEY + name.encode(), hashlib.sha256)

    def lot(self, chance: Chance) -> Lot:
        """The lot of a call that has just been answered."""
        told: dict[str, Any] = {"by": list(chance.why)}
        if self._open is None:
            return Lot({**told, "chance_ppm": ALWAYS_PPM}, _always, chance.teams)
        told |= {"period": self._open.name}
        if chance.every is not None:
            number, self._numbers = self._numbers, self._numbers + 1
            told |= {"number": number, "every": chance.every}
            return Lot(told, partial(_counted, is_nth(self._period_key, number, chance.every)), chance.teams)
        chance_ppm = round(chance.share * ALWAYS_PPM)
        return Lot({**told, "chance_ppm": chance_ppm}, partial(_drawn, self._period_key, chance_ppm), chance.teams)

    async def _publish(self, period: SamplingPeriod, now: float) -> None:
        body = {"period": period.name, "key": self.key_of(period.name).hex()}
        entry = EntryDraft(EntryKind.SAMPLING_PUBLISHED, now, "gate", None, body)
        await self._store.put_sampling_period(replace(period, published_at=now), entry)


def _always(_entry_hash: bytes) -> bool:
    return True


def _counted(is_chosen_by_number: bool, _entry_hash: bytes) -> bool:
    return is_chosen_by_number


def _drawn(key: bytes, chance_ppm: int, entry_hash: bytes) -> bool:
    return is_chosen(key, entry_hash, chance_ppm)
