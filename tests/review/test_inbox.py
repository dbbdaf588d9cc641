from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from audit.entry import EntryDraft, EntryKind
from audit.masks import commit
from policies.model import Approval, OnTimeout
from proxy.keys import Keys
from proxy.store.sqlite import SqliteStore
from review import decisions
from review.desk import Desk, Seen
from review.inbox import Inbox
from review.model import CallRecord, CallState, Reviewer, ReviewState
from review.ports import Change, ChangeLost, InsertCall, InsertReview, MoveReview
from review.refusals import Conflict, NotFound
from tests.review.builders import (
    KEY,
    NOW,
    PEOPLE,
    Clock,
    RefundPolicy,
    Rung,
    World,
    held_output,
    person,
    question,
    refund,
    refund_decision,
)
from tests.review.memory_records import MemoryRecords


async def test_the_queue_sorts_what_waits_by_deadline_then_risk(world: World) -> None:
    for number, (amount, wait) in enumerate([(250, 900), (6_000, 900), (250, 60)]):
        call = refund(
            amount,
            id=f"c-{number}",
            review_id=f"r-{number}",
            decision=decisions.to_json(refund_decision(amount)),
        )
        world.park(call, Approval(timeout_sec=wait))
    queue = await world.inbox.queue()
    assert [item.call.id for item in queue.waiting] == ["c-2", "c-1", "c-0"]


async def test_the_queue_tells_apart_what_waits_what_is_held_and_what_is_in_doubt(world: World) -> None:
    world.park(refund(id="c-1", review_id="r-1"))
    world.park(held_output(id="c-2", review_id="r-2"))
    world.park(refund(id="c-3", review_id="r-3"), state=ReviewState.SPENDABLE)
    world.park(refund(id="c-4", review_id="r-4"), state=ReviewState.REJECTED, settled_at=NOW)
    world.records.calls["c-5"] = refund(id="c-5", review_id=None, state=CallState.IN_DOUBT)
    queue = await world.inbox.queue()
    assert [item.call.id for item in queue.waiting] == ["c-1"]
    assert [item.call.id for item in queue.held] == ["c-2"]
    assert [item.call.id for item in queue.undoable] == ["c-3"]
    assert [call.id for call in queue.in_doubt] == ["c-5"]
    assert [item.call.id for item in queue.settled] == ["c-4"]


async def test_a_call_is_shown_by_its_id_or_its_reviews(world: World) -> None:
    review = world.park()
    by_call = await world.inbox.show("c-1", person("anna"))
    by_review = await world.inbox.show("r-1", person("anna"))
    assert by_call == by_review
    assert (by_call.review, by_call.digest, by_call.cannot_decide) == (review, review.binding, None)


async def test_what_is_shown_says_why_one_can_not_decide(world: World) -> None:
    world.park(approval=Approval(teams=("finance",), quorum={"finance": 2}))
    await world.inbox.approve("r-1", person("anna"), world.seen())
    assert (await world.inbox.show("c-1", person("anna"))).cannot_decide == "You have agreed already."
    assert "finance" in str((await world.inbox.show("c-1", person("carol"))).cannot_decide)
    assert (await world.inbox.show("c-1", person("carol"))).cannot_object is not None
    shown = await world.inbox.show("c-1", person("bob"))
    assert (shown.cannot_decide, shown.cannot_object) == (None, None)
    assert shown.tally is not None
    assert (shown.tally.given, shown.tally.wanted) == (1, 2)


async def test_an_editor_who_must_wait_for_another_is_told(world: World) -> None:
    world.park()
    await world.inbox.edit("r-1", person("anna"), world.seen(), {"amount": 6_000})
    assert "another person" in str((await world.inbox.show("c-1", person("anna"))).cannot_decide)


async def test_a_call_without_a_question_is_shown_too(world: World) -> None:
    world.records.calls["c-1"] = refund(review_id=None, state=CallState.IN_DOUBT)
    shown = await world.inbox.show("c-1", person("anna"))
    assert (shown.review, shown.tally, shown.digest) == (None, None, None)
    assert shown.cannot_decide == shown.cannot_object == "There is no question about this call."


async def test_there_is_no_such_call(world: World) -> None:
    with pytest.raises(NotFound, match="call c-9"):
        await world.inbox.show("c-9", person("anna"))


# --- the same over the real store: what races in memory must race on disk with the same outcome ---


class People:
    async def reviewer(self, name: str) -> Reviewer | None:
        return person(name) if name in PEOPLE else Reviewer(name)


@pytest.fixture(params=["memory", "sqlite"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    numbers, clock = count(1), Clock()
    store: Any = MemoryRecords()
    if request.param == "sqlite":
        (tmp_path / "data").mkdir()
        keys = Keys.load_or_create(tmp_path / "keys")
        store = SqliteStore(tmp_path / "data" / "interlock.db", keys, clock=clock, node="test")
        await store.open()
    yield Desk(
        records=store,
        judge=RefundPolicy(),
        bell=Rung(),
        people=People(),
        clock=clock,
        nonce=lambda: f"n-{next(numbers)}",
        commit=partial(commit, KEY),
    )
    if request.param == "sqlite":
        await store.close()


async def _parked(desk: Desk, call: CallRecord | None = None, approval: Approval | None = None) -> None:
    call = call or refund()
    entry = EntryDraft(EntryKind.REVIEW_OPENED, NOW, "agent:refund-bot", call.id, {"review": "r-1"})
    rows = (InsertCall(call), InsertReview(question(call, approval or Approval(teams=("finance",)))))
    await desk.records.apply(Change(rows, (entry,)))


async def _seen(desk: Desk) -> Seen:
    review = await desk.records.review("r-1")
    assert review is not None
    return Seen(review.version, review.binding, 900)


async def _state(desk: Desk) -> tuple[ReviewState, CallState]:
    review, call = await desk.records.review("r-1"), await desk.records.call("c-1")
    assert review is not None
    assert call is not None
    return review.state, call.state


async def test_p04_on_every_store_a_hundred_racing_approvals_give_one_grant(desk: Desk) -> None:
    await _parked(desk, approval=Approval())
    inbox, seen = Inbox(desk), await _seen(desk)
    people = [Reviewer(f"p{number}") for number in range(100)]
    results = await asyncio.gather(*(inbox.approve("r-1", who, seen) for who in people), return_exceptions=True)
    assert [isinstance(result, Conflict) for result in results].count(False) == 1
    assert len(await desk.records.votes("r-1")) == 1
    assert await _state(desk) == (ReviewState.SPENDABLE, CallState.WAITING)
    kinds = [entry["kind"] for entry in await desk.records.entries_for("c-1")]
    assert kinds == ["review_opened", "review_voted", "review_settled"]


async def test_p04_on_every_store_undo_and_spend_have_one_winner(desk: Desk) -> None:
    await _parked(desk)
    inbox = Inbox(desk)
    await inbox.approve("r-1", person("anna"), await _seen(desk))
    spend = Change(
        (MoveReview("r-1", frozenset({ReviewState.SPENDABLE}), ReviewState.SPENT),),
        (EntryDraft(EntryKind.GRANT_SPENT, NOW, "gate", "c-1"),),
    )
    seen = await _seen(desk)
    results = await asyncio.gather(
        inbox.undo("r-1", person("bob"), seen), desk.records.apply(spend), return_exceptions=True
    )
    assert sum(isinstance(result, Conflict | ChangeLost) for result in results) == 1
    assert (await _state(desk))[0] in (ReviewState.PARKED, ReviewState.SPENT)


async def test_p07_on_every_store_an_edit_keeps_both_forms_and_its_terms(desk: Desk) -> None:
    await _parked(desk)
    inbox = Inbox(desk)
    await inbox.edit("r-1", person("anna"), await _seen(desk), {"customer": "c_81", "amount": 6_000}, "more")
    shown = await inbox.show("c-1", person("bob"))
    assert shown.call.proposed == {"arguments": {"amount": 250, "customer": "c_81"}, "input_responses": None}
    assert shown.call.approved == {"arguments": {"customer": "c_81", "amount": 6_000}, "input_responses": None}
    assert shown.review is not None
    assert (shown.digest, shown.review.approval) == (shown.review.binding, Approval())
    assert (await inbox.approve("r-1", person("bob"), await _seen(desk))).state is ReviewState.SPENDABLE


async def test_on_every_store_a_quorum_a_stage_and_an_expiry_go_their_way(desk: Desk) -> None:
    approval = Approval(
        teams=("finance",),
        quorum={"finance": 2},
        timeout_sec=60,
        on_timeout=OnTimeout.ESCALATE,
        escalate_to="leads",
    )
    await _parked(desk, approval=approval)
    inbox = Inbox(desk)
    assert (await inbox.approve("r-1", person("anna"), await _seen(desk))).state is ReviewState.APPROVING
    assert await inbox.expire_due(NOW + 60) == 1
    assert await _state(desk) == (ReviewState.PARKED, CallState.WAITING)
    assert (await inbox.approve("r-1", person("lea"), await _seen(desk))).given == 1
    assert await inbox.expire_due(NOW + 120) == 1
    assert await inbox.expire_due(NOW + 180) == 1
    assert await _state(desk) == (ReviewState.EXPIRED, CallState.CLOSED)


async def test_on_every_store_a_held_output_is_released_or_gone(desk: Desk) -> None:
    await _parked(desk, held_output(), Approval(timeout_sec=60))
    inbox = Inbox(desk)
    assert (await inbox.release("r-1", person("sam"), await _seen(desk), "a test key")).state is ReviewState.RELEASED
    assert await _state(desk) == (ReviewState.RELEASED, CallState.RELEASED)
    assert await inbox.expire_due(NOW + 60) == 0


async def test_on_every_store_the_queue_says_the_same(desk: Desk) -> None:
    await _parked(desk)
    queue = await Inbox(desk).queue()
    assert [item.call.id for item in queue.waiting] == ["c-1"]
    assert (queue.held, queue.undoable, queue.in_doubt, queue.settled) == ((), (), (), ())
