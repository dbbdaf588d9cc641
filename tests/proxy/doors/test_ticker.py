"""One timer for all: each member is called when it is due, as often as it asks, and never after it left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from proxy.doors.ticker import Ticker


class Member:
    def __init__(self, interval_sec: float | None, ticks_max: int = 10**6) -> None:
        self.interval_sec, self.ticks_max = interval_sec, ticks_max
        self.ticks = 0
        self.ticked = asyncio.Event()

    def tick(self, now: float) -> float | None:
        self.ticks += 1
        self.ticked.set()
        if self.interval_sec is None or self.ticks >= self.ticks_max:
            return None
        return now + self.interval_sec

    async def until(self, ticks: int) -> None:
        async with asyncio.timeout(5):
            while self.ticks < ticks:
                self.ticked.clear()
                await self.ticked.wait()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_member_is_called_when_due_and_again_as_it_asks() -> None:
    ticker, member = Ticker(), Member(0.001)
    ticker.join(member, now())
    await member.until(3)
    ticker.close()


async def test_a_member_that_says_none_is_not_called_again() -> None:
    ticker, once, other = Ticker(), Member(None), Member(0.001)
    ticker.join(once, now())
    ticker.join(other, now())
    await other.until(5)
    assert once.ticks == 1
    ticker.close()


async def test_a_member_that_left_is_not_called() -> None:
    ticker, gone, other = Ticker(), Member(0.001), Member(0.001)
    ticker.join(gone, now() + 0.002).leave()
    ticker.join(other, now())
    await other.until(5)
    assert gone.ticks == 0
    ticker.close()


async def test_an_earlier_member_is_called_before_a_later_one() -> None:
    ticker, late, early = Ticker(), Member(None), Member(None)
    ticker.join(late, now() + 60)
    ticker.join(early, now() + 0.001)
    await early.until(1)
    assert late.ticks == 0
    ticker.close()


async def test_many_members_cost_one_timer() -> None:
    ticker = Ticker()
    members = [Member(0.005, ticks_max=3) for _ in range(2_000)]
    for member in members:
        ticker.join(member, now())
    await asyncio.gather(*(member.until(3) for member in members))
    ticker.close()


async def test_after_closing_nobody_is_called() -> None:
    ticker, member, witness = Ticker(), Member(0.001), Ticker()
    ticker.join(member, now() + 0.001)
    ticker.close()
    other = Member(0.001)
    witness.join(other, now())
    await other.until(5)
    assert member.ticks == 0
    witness.close()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_members_that_are_due_at_once_join_one_after_another_on_either_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def several() -> list[int]:
        ticker = Ticker()
        members = [Member(0.001) for _ in range(5)]
        for member in members:
            ticker.join(member, now())
        await asyncio.gather(*(member.until(2) for member in members))
        ticker.close()
        return [member.ticks for member in members]

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert min(runner.run(several())) >= 2
