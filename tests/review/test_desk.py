from __future__ import annotations

import pytest

from review.desk import check_claim, check_comment, check_seen, load, people_now, write
from review.model import ReviewState
from review.ports import Change, MoveReview
from review.refusals import Conflict, NotFound, RefusalCode
from tests.review.builders import NOW, World, person


async def test_a_lost_compare_and_set_is_a_conflict_that_says_what_is_there(world: World) -> None:
    world.park(state=ReviewState.REJECTED)
    move = MoveReview("r-1", frozenset({ReviewState.PARKED}), ReviewState.APPROVED)
    with pytest.raises(Conflict, match="rejected") as refused:
        await write(world.desk, Change(rows=(move,)), "c-1")
    assert refused.value.code is RefusalCode.LOST_RACE
    assert world.bell.calls == []


async def test_a_review_without_its_call_is_not_found(world: World) -> None:
    world.park()
    world.records.calls.clear()
    with pytest.raises(NotFound):
        await load(world.desk, "r-1")


async def test_who_is_no_reviewer_any_more_is_left_out(world: World) -> None:
    assert [p.name for p in await people_now(world.desk, ["anna", "nobody"])] == ["anna"]


def test_a_claim_of_ones_own_or_one_that_ended_is_no_obstacle(world: World) -> None:
    mine = world.park(claimed_by="anna", claimed_until=NOW + 10)
    check_claim(mine, person("anna"), NOW)
    check_claim(mine, person("bob"), NOW + 10)
    with pytest.raises(Conflict):
        check_claim(mine, person("bob"), NOW + 9)


def test_what_was_seen_must_be_what_is_there(world: World) -> None:
    review = world.park()
    check_seen(review, world.seen())


def test_blank_comments_count_as_none(world: World) -> None:
    assert check_comment(world.desk, " \n ", needed=False) == ""
