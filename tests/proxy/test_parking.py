"""Who waits, for how long, and what wakes them."""

from __future__ import annotations

import asyncio

import pytest

from proxy.config import Parking as ParkingConfig
from proxy.exchange import Client
from proxy.parking import Parking, TooManyHeld, Woken

T0 = 1_800_000_000.0
UNKNOWN = Client(name="something", version="1")


def parking(**config: object) -> Parking:
    return Parking(ParkingConfig.model_validate(config), clock=lambda: T0)


async def test_a_waiter_looks_once_at_the_start_and_then_at_every_bell() -> None:
    lot = parking()
    waiter = lot.sit_down("c1", client=UNKNOWN, left=None)
    assert await waiter.woken(T0) is Woken.BELL
    lot.ring("c1")
    assert await waiter.woken(T0) is Woken.BELL
    lot.stand_up(waiter)


async def test_a_bell_of_another_call_wakes_nobody() -> None:
    lot = parking()
    waiter = lot.sit_down("c1", client=UNKNOWN, left=None, patience_sec=0.05)
    await waiter.woken(T0)
    lot.ring("c2")
    assert await waiter.woken(T0) is Woken.PATIENCE
    lot.stand_up(waiter)


async def test_an_agent_that_leaves_ends_its_wait() -> None:
    lot = parking()
    left = asyncio.Event()
    waiter = lot.sit_down("c1", client=UNKNOWN, left=left)
    await waiter.woken(T0)
    asyncio.get_running_loop().call_soon(left.set)
    assert await waiter.woken(T0) is Woken.LEFT
    assert not lot.is_awaited("c1")
    lot.stand_up(waiter)


async def test_closing_wakes_everybody_who_waits_and_whoever_comes_later() -> None:
    lot = parking()
    waiters = [lot.sit_down(f"c{n}", client=UNKNOWN, left=None) for n in range(50)]
    for waiter in waiters:
        await waiter.woken(T0)
    lot.close()
    assert [await waiter.woken(T0) for waiter in waiters] == [Woken.CLOSING] * 50
    late = lot.sit_down("late", client=UNKNOWN, left=None)
    assert await late.woken(T0) is Woken.CLOSING
    for waiter in [*waiters, late]:
        lot.stand_up(waiter)
    assert lot.held == 0


@pytest.mark.parametrize(("held", "fits"), [(1, True), (2, True), (3, False)])
async def test_p14_held_responses_are_capped_at_limit(held: int, fits: bool) -> None:
    lot = parking(held_responses_max=2)
    waiters = [lot.sit_down(f"c{n}", client=UNKNOWN, left=None) for n in range(min(held, 2))]
    if not fits:
        with pytest.raises(TooManyHeld):
            lot.sit_down("one more", client=UNKNOWN, left=None)
    assert lot.held == min(held, 2)
    for waiter in waiters:
        lot.stand_up(waiter)
        lot.stand_up(waiter)
    assert lot.held == 0


async def test_reviewers_see_since_when_and_until_when_an_agent_waits() -> None:
    lot = parking(hold_sec=50)
    assert lot.since("c1") is None
    waiter = lot.sit_down("c1", client=UNKNOWN, left=None)
    assert (lot.since("c1"), lot.until("c1")) == (T0, T0 + 50)
    lot.stand_up(waiter)
    assert lot.until("c1") is None


def test_patience_is_the_clients_by_profile() -> None:
    lot = parking(hold_sec=50, hold_with_progress_sec=900, clients={"claude-desktop": 45})
    assert lot.patience_sec(Client("Claude-Desktop", "1")) == 45
    assert lot.patience_sec(UNKNOWN) == 50
    assert lot.patience_sec(Client("something", "1", has_progress_token=True)) == 50
    assert lot.patience_sec(Client("claude-code", "1", has_progress_token=True)) == 900


def test_a_client_seen_to_leave_earlier_is_believed_but_not_below_five_seconds() -> None:
    lot = parking(hold_sec=50)
    lot.learn_departure(UNKNOWN, 30)
    assert lot.patience_sec(UNKNOWN) == 24
    lot.learn_departure(UNKNOWN, 5.5)
    assert lot.patience_sec(UNKNOWN) == 5
    lot.learn_departure(UNKNOWN, 1)
    assert lot.patience_sec(UNKNOWN) == 5
    lot.learn_departure(Client(), 30)
    assert lot.patience_sec(Client()) == 50


def test_p14_what_one_agents_client_does_shortens_nobody_elses_holds() -> None:
    lot = parking(hold_sec=50)
    hasty, patient = Client("editor", "1", agent="hasty"), Client("editor", "1", agent="patient")
    lot.learn_departure(hasty, 10)
    assert (lot.patience_sec(hasty), lot.patience_sec(patient)) == (8, 50)


def test_listeners_hear_every_bell() -> None:
    lot = parking()
    heard: list[str] = []
    lot.listen(heard.append)
    lot.ring("c1")
    assert heard == ["c1"]


@pytest.mark.parametrize(("held", "fits"), [(1, True), (2, True), (3, False)])
async def test_p14_one_agent_is_held_so_often_and_the_others_all_the_same(held: int, fits: bool) -> None:
    lot = parking(open_reviews_per_agent_max=1)  # and twice as many held responses
    waiters = [lot.sit_down(f"c{n}", client=UNKNOWN, left=None, agent="ada") for n in range(held - 1)]
    if fits:
        waiters.append(lot.sit_down("last", client=UNKNOWN, left=None, agent="ada"))
    else:
        with pytest.raises(TooManyHeld):
            lot.sit_down("one more", client=UNKNOWN, left=None, agent="ada")
    waiters.append(lot.sit_down("another's", client=UNKNOWN, left=None, agent="bob"))
    for waiter in waiters:
        lot.stand_up(waiter)
    assert lot.held == 0
    lot.stand_up(lot.sit_down("again", client=UNKNOWN, left=None, agent="ada"))


@pytest.mark.parametrize(("size", "fits"), [(59, True), (60, True), (61, False)])
async def test_p14_the_bytes_of_held_requests_are_bounded(size: int, fits: bool) -> None:
    lot = parking(held_bytes_max=100)
    first = lot.sit_down("c1", client=UNKNOWN, left=None, size_bytes=40)
    if fits:
        lot.stand_up(lot.sit_down("c2", client=UNKNOWN, left=None, size_bytes=size))
    else:
        with pytest.raises(TooManyHeld):
            lot.sit_down("c2", client=UNKNOWN, left=None, size_bytes=size)
    lot.stand_up(first)
    lot.stand_up(lot.sit_down("c3", client=UNKNOWN, left=None, size_bytes=100))
