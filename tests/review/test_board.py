"""Queues: counted, sorted, searched and paged over every open question, and true after every change."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from policies.model import Approval
from review.board import PAGE_ROWS_MAX, Counts, QueueName, QueuePage, Sought
from review.model import CallState, ReviewState
from review.ports import Change, Listed, MoveCall, StoreDown
from review.refusals import Unacceptable
from tests.review.builders import NOW, World, held_output, person, refund

FINANCE = Approval(teams=("finance",))


def park(world: World, number: int, approval: Approval | None = None, amount: int = 250, **changes: Any) -> None:
    world.park(refund(amount, id=f"c-{number}", review_id=f"r-{number}"), approval, **changes)


async def page(world: World, who: str = "anna", **sought: Any) -> QueuePage:
    return await world.inbox.page(person(who), Sought(**sought))


async def calls(world: World, who: str = "anna", **sought: Any) -> list[str]:
    return [item.call.id for item in (await page(world, who, **sought)).items]


async def counts(world: World, who: str = "anna") -> dict[str, int]:
    found = await world.inbox.counts(person(who))
    return {name.value: count.count for name, count in found.queues.items()} | {"in_doubt": found.in_doubt.count}


async def test_the_most_urgent_come_first_by_deadline_then_risk_then_age(world: World) -> None:
    park(world, 1, expires_at=NOW + 7200)
    park(world, 2, expires_at=NOW + 65, opened_at=NOW - 5)
    park(world, 3, expires_at=NOW + 65, opened_at=NOW - 9)
    park(world, 4, amount=6_000, expires_at=NOW + 80)  # high risk, in the same minute
    assert await calls(world) == ["c-4", "c-3", "c-2", "c-1"]


async def test_pages_hold_every_row_once_though_rows_come_and_go_between_them(world: World) -> None:
    for number in range(25):
        park(world, number, expires_at=NOW + 1000 + number * 7)
    first = await page(world, limit=10)
    assert (len(first.items), first.total) == (10, 25)
    await world.inbox.reject("r-3", person("anna"), world.seen("r-3"), "no")
    park(world, 99, expires_at=NOW + 1)
    second = await page(world, limit=10, after=first.next)
    third = await page(world, limit=10, after=second.next)
    seen = [item.call.id for one in (first, second, third) for item in one.items]
    assert sorted(seen) == sorted(f"c-{number}" for number in range(25))
    assert third.next is None


async def test_each_has_their_own_queues(world: World) -> None:
    park(world, 1, FINANCE)
    park(world, 2, Approval(teams=("legal",)))
    park(world, 3, Approval(teams=("legal",), escalate_to="finance"), escalated_to="finance")
    park(world, 4)
    world.park(held_output(id="c-5", review_id="r-5"))
    park(world, 6, FINANCE, claimed_by="bob", claimed_until=NOW + 60)
    park(world, 7, FINANCE, claimed_by="bob", claimed_until=NOW)  # it has ended
    park(world, 8, FINANCE, state=ReviewState.APPROVED, undo_until=NOW + 5)
    assert await counts(world) == {
        "waiting": 6,
        "mine": 4,
        "team": 4,
        "claimed": 0,
        "escalated": 1,
        "quarantine": 1,
        "vetoable": 0,
        "undoable": 1,
        "in_doubt": 0,
    }
    assert set(await calls(world, queue=QueueName.MINE)) == {"c-1", "c-3", "c-4", "c-7"}
    assert set(await calls(world, queue=QueueName.TEAM)) == {"c-1", "c-3", "c-6", "c-7"}
    assert await calls(world, "bob", queue=QueueName.CLAIMED) == ["c-6"]
    assert await calls(world, queue=QueueName.ESCALATED) == ["c-3"]
    assert await calls(world, queue=QueueName.QUARANTINE) == ["c-5"]
    assert await calls(world, queue=QueueName.UNDOABLE) == ["c-8"]


async def test_what_four_eyes_forbids_is_not_mine(world: World) -> None:
    park(world, 1, Approval(teams=("finance",), four_eyes=True))
    park(world, 2, FINANCE)
    assert await calls(world, "omar", queue=QueueName.MINE) == ["c-2"]


async def test_what_is_approved_and_not_sent_is_read_again_after_a_restart(world: World) -> None:
    park(world, 1, state=ReviewState.SPENDABLE, grant_expires_at=NOW + 60)
    world.records.told(None)
    assert await calls(world, queue=QueueName.UNDOABLE) == ["c-1"]


async def test_what_comes_before_and_after_one_is_by_urgency(world: World) -> None:
    for number in (1, 2, 3):
        park(world, number, expires_at=NOW + 100 * number)
    found = {n: await world.inbox.beside(person("anna"), QueueName.MINE, f"r-{n}") for n in (1, 2, 3, 9)}
    assert {n: (one.before, one.next, one.place) for n, one in found.items()} == {
        1: (None, "c-2", 1),
        2: ("c-1", "c-3", 2),
        3: ("c-2", None, 3),
        9: (None, "c-1", 0),
    }


async def test_one_can_filter_a_queue_by_what_stands_in_it(world: World) -> None:
    park(world, 1, FINANCE)
    park(world, 2, Approval(teams=("legal",)))
    found = await world.inbox.choices(person("anna"), QueueName.MINE)
    assert (dict(found.agents), dict(found.tools)) == ({"refund-bot": 1}, {("payments", "refund.create"): 1})


async def test_rows_are_found_by_what_they_are(world: World) -> None:
    park(world, 1, amount=6_000)
    park(world, 2)
    world.park(refund(id="c-3", review_id="r-3", tool="invoice.Send", agent="mail-bot", decision={}))
    assert await calls(world, risk="high") == ["c-1"]
    assert await calls(world, risk="unrated") == ["c-3"]
    assert await calls(world, agent="mail-bot") == ["c-3"]
    assert await calls(world, tool="refund.create", server="payments", risk="medium") == ["c-2"]
    assert await calls(world, text=" INVOICE.send ") == await calls(world, text="mail-") == ["c-3"]
    assert await calls(world, text="refunds#ASK", risk="high") == ["c-1"]
    assert await calls(world, text="c-2") == await calls(world, text="r-2") == ["c-2"]
    assert (await page(world, text="nothing of the kind")).total == 0


async def test_the_oldest_of_each_queue_is_told(world: World) -> None:
    park(world, 1, opened_at=NOW - 50)
    park(world, 2, opened_at=NOW - 500)
    found: Counts = await world.inbox.counts(person("anna"))
    assert found.queues[QueueName.WAITING].oldest_at == NOW - 500
    assert found.queues[QueueName.QUARANTINE].oldest_at is None


async def test_every_act_is_in_the_next_answer(world: World) -> None:
    park(world, 1, Approval(undo_sec=5))
    assert (await counts(world))["mine"] == 1
    await world.inbox.claim("r-1", person("bob"), world.seen())
    assert (await counts(world))["mine"] == 0
    assert (await counts(world, "bob"))["claimed"] == 1
    await world.inbox.approve("r-1", person("bob"), world.seen())
    assert (await counts(world))["waiting"] == 0
    assert (await counts(world))["undoable"] == 1
    await world.inbox.expire_due(NOW + 5)
    assert (await counts(world))["undoable"] == 1  # the agent has not come back for it
    await world.inbox.undo("r-1", person("bob"), world.seen())
    assert (await counts(world))["waiting"] == 1
    await world.inbox.reject("r-1", person("bob"), world.seen(), "no")
    assert (await counts(world))["waiting"] == 0


async def test_an_edit_that_raises_the_risk_moves_the_row_up(world: World) -> None:
    park(world, 1)
    park(world, 2)
    assert await calls(world) == ["c-1", "c-2"]
    await world.inbox.edit("r-2", person("anna"), world.seen("r-2"), {"amount": 6_000, "customer": "c"})
    assert await calls(world) == ["c-2", "c-1"]


async def test_calls_in_doubt_are_counted_until_somebody_resolves_them(world: World) -> None:
    call = refund(id="c-1", review_id=None, state=CallState.DISPATCHING)
    world.records.calls["c-1"] = call
    assert (await counts(world))["in_doubt"] == 0
    sent = frozenset({CallState.DISPATCHING})
    await world.records.apply(Change(rows=(MoveCall("c-1", sent, CallState.IN_DOUBT, {"updated_at": NOW}),)))
    assert (await counts(world))["in_doubt"] == 1
    doubt = frozenset({CallState.IN_DOUBT})
    await world.records.apply(Change(rows=(MoveCall("c-1", doubt, CallState.RESOLVED, {"updated_at": NOW}),)))
    assert (await counts(world))["in_doubt"] == 0


async def test_after_a_failure_of_the_store_everything_is_read_anew(world: World) -> None:
    park(world, 1)
    assert (await counts(world))["waiting"] == 1
    world.records.reviews.clear()  # what was committed meanwhile is not known
    world.records.told(None)
    assert (await counts(world))["waiting"] == 0


async def test_what_cannot_be_read_is_no_empty_queue_and_is_read_when_it_can_be(world: World) -> None:
    park(world, 1)
    assert await calls(world) == ["c-1"]
    await world.inbox.claim("r-1", person("bob"), world.seen())
    world.records.is_unreadable = True
    with pytest.raises(StoreDown):
        await counts(world)
    world.records.is_unreadable = False
    assert (await counts(world, "bob"))["claimed"] == 1


async def test_changes_while_everything_is_read_are_not_lost(world: World) -> None:
    for number in range(3):
        park(world, number)
    reading, may_go_on = asyncio.Event(), asyncio.Event()
    read = world.records.live_reviews

    async def slowly() -> Any:
        found = await read()
        reading.set()
        await may_go_on.wait()
        return found

    world.records.live_reviews = slowly  # type: ignore[method-assign]
    asked = asyncio.ensure_future(counts(world))
    await reading.wait()
    await world.inbox.reject("r-0", person("anna"), world.seen("r-0"), "no")
    park(world, 7)
    may_go_on.set()
    assert (await asked)["waiting"] == 3
    assert set(await calls(world)) == {"c-1", "c-2", "c-7"}


async def test_what_is_settled_while_it_is_read_again_stays_settled(world: World) -> None:
    park(world, 1)
    assert await calls(world) == ["c-1"]
    await world.inbox.claim("r-1", person("anna"), world.seen())
    read = world.records.listed

    async def late(ids: Any) -> Any:
        found = await read(ids)
        if world.review.state.is_open:
            await world.inbox.reject("r-1", person("anna"), world.seen(), "no")
        return found

    world.records.listed = late  # type: ignore[method-assign]
    assert (await counts(world))["waiting"] == 0


async def test_a_doubt_resolved_while_everything_is_read_is_none(world: World) -> None:
    world.records.calls["c-1"] = refund(id="c-1", review_id=None, state=CallState.IN_DOUBT)
    read = world.records.calls_in

    async def late(states: Any, **how: Any) -> Any:
        found = await read(states, **how)
        doubt = frozenset({CallState.IN_DOUBT})
        await world.records.apply(Change(rows=(MoveCall("c-1", doubt, CallState.RESOLVED, {"updated_at": NOW}),)))
        return found

    world.records.calls_in = late  # type: ignore[method-assign]
    assert (await counts(world))["in_doubt"] == 0


async def test_p14_until_somebody_looks_nothing_is_gathered(world: World) -> None:
    for number in range(100):
        park(world, number)
        await world.inbox.reject(f"r-{number}", person("anna"), world.seen(f"r-{number}"), "no")
    board = world.inbox._board
    assert (board._rows, board._marked, board._late) == ({}, set(), None)


async def test_p14_a_page_of_ten_thousand_reads_the_rows_it_shows_and_no_more(world: World) -> None:
    for number in range(10_000):
        park(world, number, expires_at=NOW + number % 977)
    await world.inbox.load()
    read: list[int] = []
    by_id = world.records.listed

    async def counted(ids: Any) -> list[Listed]:
        read.append(len(ids))
        return list(await by_id(ids))

    async def never() -> list[str]:
        raise AssertionError("all open reviews were read for one page")

    world.records.listed, world.records.live_reviews = counted, never  # type: ignore[assignment, method-assign]
    found = await page(world, limit=50)
    assert (len(found.items), found.total, read) == (50, 10_000, [50])
    await world.inbox.claim("r-5", person("bob"), world.seen("r-5"))
    assert (await counts(world, "bob"))["claimed"] == 1
    assert read == [50, 1]
    assert len((await page(world, limit=10**6)).items) == PAGE_ROWS_MAX


@pytest.mark.parametrize("after", ["", "x", "1~2~3", "1~2~zz~r-1", f"{'9' * 5000}~1~0.0~r-1"])
async def test_a_place_that_is_none_is_refused(world: World, after: str) -> None:
    with pytest.raises(Unacceptable):
        await page(world, after=after)


async def test_p14_what_is_looked_for_has_an_end(world: World) -> None:
    with pytest.raises(Unacceptable):
        await page(world, text="x" * 201)
