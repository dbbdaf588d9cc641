"""What a gate does by the clock: running gates do it in tests/blackbox; here, what a store that is down does to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proxy.rounds import DOUBT_AFTER_SEC, EXPIRY_TICK_SEC, RETENTION_TICK_SEC, Rounds, Told
from review.ports import StoreDown

NOW = 1_000_000.0
RETAIN_SEC = 86_400.0


class Enough(Exception):
    """Ends a round that would go on for ever."""


class House:
    """Everything that is told, over a store that is down the first time it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        self.slept: list[float] = []
        self.rest = 0.25

    def _ask(self, what: str, value: float) -> int:
        self.asked.append((what, value))
        if len(self.asked) == 1:
            raise StoreDown("the disk is full")
        return 1

    async def load(self) -> None:
        self._ask("load", 0)

    async def expire_due(self, now: float) -> int:
        return self._ask("expire", now)

    async def rest_sec(self, now: float, *, at_most: float) -> float:
        return min(self.rest, at_most)

    async def name_doubts(self, *, sent_before: float) -> int:
        return self._ask("doubts", sent_before)

    async def erase_before(self, before: float) -> int:
        return self._ask("erase", before)

    async def sleep(self, sec: float) -> None:
        self.slept.append(sec)
        if len(self.asked) == 2:
            raise Enough


def rounds(house: Any) -> Rounds:
    return Rounds(Told(house, house, house, house, house, house, house, lambda: NOW, RETAIN_SEC, False, house.sleep))


@pytest.mark.parametrize(
    ("of", "asks"),
    [
        (lambda made: made.expire(), ("expire", NOW)),
        (lambda made: made.name_doubts(), ("doubts", NOW - DOUBT_AFTER_SEC)),
        (lambda made: made.erase(), ("erase", NOW - RETAIN_SEC)),
    ],
)
async def test_a_round_outlives_a_store_that_is_down(of: Callable[[Rounds], Any], asks: tuple[str, float]) -> None:
    house = House()
    with pytest.raises(Enough):
        await of(rounds(house))
    assert house.asked == [asks, asks]


async def test_expiry_rests_until_something_is_due_and_a_whole_tick_while_nothing_can_be_recorded() -> None:
    house = House()
    with pytest.raises(Enough):
        await rounds(house).expire()
    assert house.slept == [0.0, EXPIRY_TICK_SEC, 0.25]


async def test_erasing_begins_at_the_start_and_not_a_tick_later() -> None:
    house = House()
    with pytest.raises(Enough):
        await rounds(house).erase()
    assert house.slept == [RETENTION_TICK_SEC, RETENTION_TICK_SEC]


async def test_an_inbox_that_cannot_be_read_yet_keeps_nobody() -> None:
    house = House()
    await rounds(house).load_inbox()
    assert house.asked == [("load", 0)]
