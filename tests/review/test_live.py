from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from review.live import EVERYTHING, Pages


async def _taken(changes: AsyncIterator[str], count: int) -> list[str]:
    async with asyncio.timeout(5):
        return [await anext(changes) for _ in range(count)]


async def test_every_listener_hears_of_every_change_once() -> None:
    pages = Pages()
    async with pages.subscribe() as one, pages.subscribe() as two:
        for call_id in ("a", "b", "a"):
            pages.tell(call_id)
        assert await _taken(one, 2) == ["a", "b"]
        assert await _taken(two, 2) == ["a", "b"]
        pages.tell("c")
        assert await _taken(one, 1) == ["c"]


async def test_p14_a_slow_listener_keeps_a_bounded_backlog_and_is_told_to_look_at_everything() -> None:
    pages = Pages(pending_max=3)
    async with pages.subscribe() as changes:
        for number in range(10_000):
            pages.tell(str(number))
        assert await _taken(changes, 1) == [EVERYTHING]


async def test_closing_ends_every_subscription() -> None:
    pages = Pages()
    async with pages.subscribe() as open_before:
        pages.tell("a")
        pages.close()
        assert [change async for change in open_before] == ["a"]
    async with pages.subscribe() as opened_after:
        assert [change async for change in opened_after] == []


async def test_who_has_left_is_forgotten() -> None:
    pages = Pages()
    async with pages.subscribe():
        pass
    pages.tell("a")
    assert not pages._listeners


async def test_giving_up_waiting_loses_nothing() -> None:
    pages = Pages()
    async with pages.subscribe() as changes:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await anext(changes)
        pages.tell("a")
        assert await _taken(changes, 1) == ["a"]
