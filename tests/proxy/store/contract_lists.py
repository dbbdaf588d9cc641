"""What every store must do, second part: lists, votes, and reading the record."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from audit.entry import EntryDraft, EntryKind
from proxy.store.base import Store
from review.model import CallState, Precedent, ReviewKind, ReviewState, Verdict
from review.ports import Change, ChangeLost, InsertPrecedent, InsertReview, InsertVote, MoveReview
from tests.proxy.store.builders import (
    T0,
    a_review,
    a_vote,
    a_waiting_call,
    an_entry,
    answered,
    approved,
    decided,
    opened,
)
from tests.proxy.store.contract import PARKED, Opened, all_entries, kinds


class ListsContract(Opened):
    """What can be asked of a store."""

    # --- lists

    async def test_open_reviews_come_oldest_first_with_their_calls(self, store: Store) -> None:
        for number, at in enumerate([30, 10, 20]):
            await store.apply(opened(f"call_{number}", opened_at=T0 + at))
        await store.apply(
            Change(rows=(MoveReview("rev of call_2", PARKED, ReviewState.REJECTED),), entries=(an_entry(),))
        )
        listed = await store.open_reviews()
        assert [one.review.id for one in listed] == ["rev of call_1", "rev of call_0"]
        assert [one.call for one in listed] == [a_waiting_call("call_1"), a_waiting_call("call_0")]

    async def test_open_reviews_can_be_of_one_kind_and_limited(self, store: Store) -> None:
        for number in range(6):
            kind = ReviewKind.RELEASE if number % 2 else ReviewKind.APPROVAL
            state = ReviewState.QUARANTINED if number % 2 else ReviewState.PARKED
            await store.apply(opened(f"call_{number}", opened_at=T0 + number, kind=kind, state=state))
        assert [one.call.id for one in await store.open_reviews(kinds=["release"])] == ["call_1", "call_3", "call_5"]
        assert [one.call.id for one in await store.open_reviews(kinds=["release"], limit=2)] == ["call_1", "call_3"]
        assert len(await store.open_reviews(kinds=["release", "approval"])) == 6
        assert await store.open_reviews(limit=0) == []
        with pytest.raises(ValueError):
            await store.open_reviews(kinds=["nonsense"])

    async def test_a_long_list_of_open_reviews_is_whole(self, store: Store) -> None:
        await asyncio.gather(*(store.apply(opened(f"call_{number:04}")) for number in range(1_203)))
        listed = await store.open_reviews(limit=5_000)
        assert sorted(one.call.id for one in listed) == [f"call_{number:04}" for number in range(1_203)]
        assert len(await store.open_reviews()) == 500
        assert len(await store.open_reviews(limit=1_203)) == 1_203

    async def test_all_calls_that_wait_are_found_however_many(self, store: Store) -> None:
        await asyncio.gather(*(store.apply(opened(f"call_{number:04}")) for number in range(503)))
        await store.apply(approved("call_0007"))
        await store.apply(decided("call_sent"))
        waiting = await store.waiting_calls()
        assert sorted(waiting) == [(f"call_{number:04}", "demo", "payments") for number in range(503)]

    async def test_live_reviews_are_all_that_can_be_decided_or_taken_back(self, store: Store) -> None:
        for number in range(3):
            await store.apply(opened(f"call_{number}"))
        rejected = MoveReview("rev of call_0", PARKED, ReviewState.REJECTED)
        grant = MoveReview("rev of call_1", PARKED, ReviewState.SPENDABLE, {"grant_expires_at": T0 + 3_600})
        await store.apply(Change(rows=(rejected, grant), entries=(an_entry(),)))
        assert sorted(await store.live_reviews()) == ["rev of call_1", "rev of call_2"]

    async def test_calls_to_be_judged_are_listed_by_themselves_the_oldest_first_and_no_time_ends_them(
        self, store: Store
    ) -> None:
        for number in range(3):
            call_id = f"call_{number}"
            await store.apply(opened(call_id))
            sample = a_review(
                call_id,
                id=f"sample {number}",
                kind=ReviewKind.AFTERWARDS,
                state=ReviewState.UNJUDGED,
                opened_at=T0 + number,
            )
            await store.apply(Change(rows=(InsertReview(sample),), entries=(an_entry(),)))
        assert [one.review.id for one in await store.unjudged(limit=2)] == ["sample 0", "sample 1"]
        assert [one.review.id for one in await store.unjudged(limit=2, after=(T0 + 1, "sample 1"))] == ["sample 2"]
        assert await store.count_unjudged() == (3, T0)
        assert {one.review.kind for one in await store.open_reviews()} == {ReviewKind.APPROVAL}
        assert await store.recent_reviews() == []
        assert all(one.kind is not ReviewKind.AFTERWARDS for one in await store.due_reviews(T0 + 10**9))
        judged = MoveReview("sample 0", frozenset({ReviewState.UNJUDGED}), ReviewState.JUDGED_WRONG)
        await store.apply(Change(rows=(judged,), entries=(an_entry(),)))
        assert await store.count_unjudged() == (2, T0 + 1)
        found = await store.afterwards("call_0")
        assert found is not None
        assert found.state is ReviewState.JUDGED_WRONG
        assert await store.afterwards("call_9") is None

    async def test_recent_reviews_are_those_no_longer_open_the_last_changed_first(self, store: Store) -> None:
        for number in range(4):
            await store.apply(opened(f"call_{number}"))
        for number in (2, 0, 3):
            await store.apply(approved(f"call_{number}"))
        assert [one.call.id for one in await store.recent_reviews()] == ["call_3", "call_0", "call_2"]
        assert [one.call.id for one in await store.recent_reviews(limit=1)] == ["call_3"]

    @pytest.mark.parametrize(
        ("state", "fields", "due"),
        [
            (ReviewState.PARKED, {}, T0 + 14_400),
            (ReviewState.APPROVING, {}, T0 + 14_400),
            (ReviewState.QUARANTINED, {}, T0 + 14_400),
            (ReviewState.APPROVED, {"undo_until": T0 + 70}, T0 + 70),
            (ReviewState.APPROVED, {}, T0 + 14_400),
            (ReviewState.SPENDABLE, {"grant_expires_at": T0 + 3_600}, T0 + 3_600),
            (ReviewState.SPENDABLE, {}, None),
            (ReviewState.SPENT, {"grant_expires_at": T0 + 3_600, "undo_until": T0}, None),
            (ReviewState.REJECTED, {"undo_until": T0}, None),
            (ReviewState.LAPSED, {}, None),
        ],
    )
    async def test_a_review_is_due_when_time_moves_it_on(
        self, store: Store, state: ReviewState, fields: dict[str, Any], due: float | None
    ) -> None:
        await store.apply(opened())
        await store.apply(Change(rows=(MoveReview("rev of call_1", PARKED, state, fields),), entries=(an_entry(),)))
        latest = T0 + 10**9 if due is None else due
        assert await store.due_reviews(latest - 1) == []
        assert [review.id for review in await store.due_reviews(latest)] == ([] if due is None else ["rev of call_1"])

    async def test_due_reviews_come_the_longest_overdue_first(self, store: Store) -> None:
        for number, at in enumerate([30, 10, 20]):
            await store.apply(opened(f"call_{number}", expires_at=T0 + at))
        due = await store.due_reviews(T0 + 100)
        assert [review.call_id for review in due] == ["call_1", "call_2", "call_0"]
        assert [review.call_id for review in await store.due_reviews(T0 + 15)] == ["call_1"]
        assert len(await store.due_reviews(T0 + 100, limit=2)) == 2

    async def test_it_knows_when_something_is_due_next(self, store: Store) -> None:
        assert await store.next_due(T0) is None
        for number, at in enumerate([30, 10, 20]):
            await store.apply(opened(f"call_{number}", expires_at=T0 + at))
        assert await store.next_due(T0) == T0 + 10
        assert await store.next_due(T0 + 10) == T0 + 20
        assert await store.next_due(T0 + 30) is None

    async def test_calls_can_be_found_by_state(self, store: Store) -> None:
        for number, state in enumerate([CallState.DISPATCHING, CallState.DENIED, CallState.WAITING] * 2):
            await store.apply(decided(f"call_{number}", state=state, created_at=T0 - number))
        found = await store.calls_in([CallState.DISPATCHING])
        assert [call.id for call in found] == ["call_3", "call_0"]  # the oldest first
        assert len(await store.calls_in([CallState.DISPATCHING, CallState.WAITING])) == 4
        assert [call.id for call in await store.calls_in([CallState.DENIED])] == ["call_4", "call_1"]
        assert len(await store.calls_in([CallState.DENIED, CallState.WAITING], limit=3)) == 3
        assert await store.calls_in([]) == []

    async def test_calls_of_a_repeat_key_come_newest_first(self, store: Store) -> None:
        for number in range(5):
            state = CallState.DENIED if number else CallState.DISPATCHING
            at = T0 + number
            await store.apply(decided(f"call_{number}", repeat_key="k", state=state, created_at=at, updated_at=at))
        await store.apply(decided("other", repeat_key="another"))
        await store.apply(answered("call_0", updated_at=T0 + 50))
        found = await store.latest_by_key("k", since=T0 + 3)
        assert [call.id for call in found] == ["call_4", "call_3", "call_0"]

    async def test_p05_a_call_that_is_not_over_is_found_by_its_repeat_key_however_old_it_is(self, store: Store) -> None:
        old: dict[str, Any] = {"repeat_key": "k", "created_at": T0 - 10**7, "updated_at": T0 - 10**6}
        for state in (CallState.WAITING, CallState.DISPATCHING, CallState.IN_DOUBT, CallState.QUARANTINED):
            await store.apply(decided(state.value, state=state, **old))
        await store.apply(decided("over", state=CallState.CLOSED, **old))
        found = await store.latest_by_key("k", since=T0)
        assert {call.id for call in found} == {"waiting", "dispatching", "in_doubt", "quarantined"}

    async def test_unsettled_calls_are_those_an_identical_one_must_answer_to(self, store: Store) -> None:
        undelivered = {"delivered_at": None}
        cases: list[tuple[str, CallState, dict[str, Any], bool]] = [
            ("waiting", CallState.WAITING, {}, True),
            ("dispatching", CallState.DISPATCHING, {}, True),
            ("in doubt, old", CallState.IN_DOUBT, {"updated_at": T0 - 10**6}, True),
            ("quarantined", CallState.QUARANTINED, {}, True),
            ("answered", CallState.ANSWERED, {"delivered_at": T0}, False),
            ("undelivered", CallState.ANSWERED, undelivered, True),
            ("undelivered, old", CallState.ANSWERED, {**undelivered, "updated_at": T0 - 1}, False),
            ("released", CallState.RELEASED, undelivered, True),
            ("closed", CallState.CLOSED, {}, True),
            ("closed, old", CallState.CLOSED, {"updated_at": T0 - 1}, False),
            ("denied", CallState.DENIED, {}, False),
            ("failed", CallState.FAILED_BEFORE_SEND, {}, False),
            ("resolved", CallState.RESOLVED, undelivered, True),
            ("resolved, told", CallState.RESOLVED, {"delivered_at": T0}, False),
        ]
        for number, (name, state, changes, _) in enumerate(cases):
            await store.apply(decided(name, **{"state": state, "created_at": T0 - number, **changes}))
        expected = [(f"key of {name}", name) for name, _, _, is_unsettled in reversed(cases) if is_unsettled]
        assert await store.unsettled(since=T0) == expected

    async def test_many_unsettled_calls_are_all_found(self, store: Store) -> None:
        for number in range(1_100):
            store.submit(decided(f"call_{number:04}", created_at=T0 + number % 7))
        await store.apply(Change(entries=(an_entry(None),)))
        assert len(set(await store.unsettled(since=T0))) == 1_100

    async def test_reviews_are_listed_by_id_with_their_calls(self, store: Store) -> None:
        for number in range(3):
            await store.apply(opened(f"call_{number}"))
        found = await store.listed(["rev of call_2", "nobody", "rev of call_0"])
        assert {(item.review.id, item.call.id) for item in found} == {
            ("rev of call_0", "call_0"),
            ("rev of call_2", "call_2"),
        }
        assert await store.listed([]) == []

    async def test_whoever_listens_hears_what_was_committed_in_its_order_and_nothing_else(self, store: Store) -> None:
        heard: list[Change | None] = []
        store.listen(heard.append)
        first, lost, second = opened("call_1"), approved("nobody"), approved("call_1")
        with pytest.raises(ChangeLost):
            await asyncio.gather(*(store.apply(change) for change in (first, lost, second)))
        await store.apply(Change(entries=(an_entry(None),)))
        assert heard[:2] == [first, second]

    async def test_a_change_is_heard_though_whoever_made_it_has_gone(self, store: Store) -> None:
        heard: list[Change | None] = []
        store.listen(heard.append)
        gone = asyncio.ensure_future(store.apply(opened("call_1")))
        await asyncio.sleep(0)
        gone.cancel()
        await store.apply(Change(entries=(an_entry(None),)))
        assert await store.review("rev of call_1") is not None
        assert len(heard) == 2

    # --- like cases and sessions

    async def test_precedents_lead_to_their_reviews_as_they_are_now_the_last_settled_first(self, store: Store) -> None:
        for number in range(3):
            await store.apply(opened(f"call_{number}"))
        await store.apply(opened("call_of another shape"))
        for review, shape, at in (("call_0", "s", 30), ("call_1", "s", 10), ("call_of another shape", "t", 20)):
            row = InsertPrecedent(Precedent(f"rev of {review}", shape, T0 + at))
            await store.apply(Change(rows=(row,), entries=(an_entry(),)))
        assert [found.call_id for found in await store.precedents("s", limit=9)] == ["call_0", "call_1"]
        again = InsertPrecedent(Precedent("rev of call_1", "s", T0 + 40))
        await store.apply(Change(rows=(again,), entries=(an_entry(),)))
        await store.apply(approved("call_1"))
        (latest,) = await store.precedents("s", limit=1)
        assert (latest.call_id, latest.state) == ("call_1", ReviewState.SPENDABLE)
        assert await store.precedents("u", limit=9) == []

    async def test_the_last_calls_of_a_session_come_newest_first(self, store: Store) -> None:
        for number in range(5):
            await store.apply(decided(f"call_{number}", session="s-1", created_at=T0 - number))
        await store.apply(decided("of another session", session="s-2"))
        await store.apply(decided("of another agent", session="s-1", agent="stranger"))
        await store.apply(decided("of none", session=None))
        found = await store.session_calls("demo", "s-1", limit=3)
        assert [call.id for call in found] == ["call_4", "call_3"]  # one place went to a stranger
        assert await store.session_calls("demo", "s-3", limit=3) == []

    # --- votes

    async def test_votes_come_in_order_and_an_edit_clears_them(self, store: Store) -> None:
        await store.apply(opened())
        votes = [a_vote(reviewer=name, team="finance") for name in ("maria", "jo", "maria")]
        for vote in votes:
            await store.apply(Change(rows=(InsertVote(vote),), entries=(an_entry(),)))
        assert await store.votes("rev of call_1") == votes
        edit = a_vote(reviewer="eve", comment="changed")
        await store.apply(Change(rows=(InsertVote(edit, clear_earlier=True),), entries=(an_entry(),)))
        await store.apply(Change(rows=(InsertVote(votes[0]),), entries=(an_entry(),)))
        assert await store.votes("rev of call_1") == [edit, votes[0]]

    async def test_comments_are_not_cleared_with_votes(self, store: Store) -> None:
        await store.apply(opened())
        said = a_vote(reviewer="jo", verdict=Verdict.COMMENT, comment="I rang the customer")
        for row in (InsertVote(said), InsertVote(a_vote()), InsertVote(a_vote(reviewer="lee"), clear_earlier=True)):
            await store.apply(Change(rows=(row,), entries=(an_entry(),)))
        assert await store.votes("rev of call_1") == [said, a_vote(reviewer="lee")]

    async def test_a_lost_change_keeps_its_votes_to_itself(self, store: Store) -> None:
        await store.apply(opened())
        lost = MoveReview("rev of call_1", frozenset({ReviewState.SPENDABLE}), ReviewState.SPENT)
        rows = (InsertVote(a_vote(), clear_earlier=True), lost)
        with pytest.raises(ChangeLost):
            await store.apply(Change(rows=rows, entries=(an_entry(),)))
        assert await store.votes("rev of call_1") == []
        assert len(await kinds(store)) == 2

    # --- the record

    async def test_entries_can_be_read_from_anywhere(self, store: Store) -> None:
        for number in range(12):
            await store.apply(Change(entries=(an_entry(f"call_{number % 3}", n=number),)))
        assert [entry["seq"] async for entry in store.entries(since_seq=9)] == [10, 11, 12]
        assert [entry["seq"] async for entry in store.entries(since_seq=3, limit=2)] == [4, 5]
        assert [entry["seq"] async for entry in store.entries(limit=0)] == []
        assert [entry["body"]["n"] for entry in await store.entries_for("call_1")] == [1, 4, 7, 10]
        assert [entry["body"]["n"] for entry in await store.entries_for("call_1", limit=2)] == [1, 4]

    async def test_an_entry_says_who_what_when_and_where(self, store: Store) -> None:
        await store.apply(
            Change(entries=(EntryDraft(EntryKind.LOGIN_FAILED, T0 + 0.25, "reviewer:eve", None, {"a": 1}),))
        )
        (entry,) = await all_entries(store)
        assert entry == {
            "v": "v1",
            "seq": 1,
            "prev": "0" * 64,
            "hash": entry["hash"],
            "node": "node-1",
            "boot": entry["boot"],
            "kind": "login_failed",
            "at": T0 + 0.25,
            "at_us": 1_800_000_000_250_000,
            "actor": "reviewer:eve",
            "call_id": None,
            "body": {"a": 1},
        }
