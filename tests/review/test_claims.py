from __future__ import annotations

import pytest

from audit.entry import EntryKind
from policies.model import Approval
from review.model import ReviewState
from review.refusals import Conflict, RefusalCode, Unacceptable
from tests.review.builders import NOW, World, person


async def test_a_claim_is_a_lease_that_ends_by_itself(world: World) -> None:
    world.park()
    await world.inbox.claim("r-1", person("anna"), world.seen())
    assert (world.review.claimed_by, world.review.claimed_until) == ("anna", NOW + 300)
    with pytest.raises(Conflict) as refused:
        await world.inbox.approve("r-1", person("bob"), world.seen())
    assert refused.value.code is RefusalCode.CLAIMED
    world.clock.pass_sec(300)
    assert (await world.inbox.approve("r-1", person("bob"), world.seen())).state is ReviewState.SPENDABLE


async def test_nobody_takes_a_live_claim_and_its_holder_renews_it(world: World) -> None:
    world.park()
    await world.inbox.claim("r-1", person("anna"), world.seen())
    with pytest.raises(Conflict, match="anna has claimed this"):
        await world.inbox.claim("r-1", person("bob"), world.seen())
    world.clock.pass_sec(100)
    await world.inbox.claim("r-1", person("anna"), world.seen())
    assert world.review.claimed_until == NOW + 400


async def test_a_claim_never_keeps_anybody_from_rejecting(world: World) -> None:
    world.park()
    await world.inbox.claim("r-1", person("anna"), world.seen())
    assert (await world.inbox.reject("r-1", person("bob"), world.seen(), "no")).state is ReviewState.REJECTED
    assert world.review.claimed_by is None


async def test_the_holder_gives_a_claim_up_and_nobody_else_can(world: World) -> None:
    world.park()
    await world.inbox.claim("r-1", person("anna"), world.seen())
    with pytest.raises(Conflict, match="not claimed by you"):
        await world.inbox.unclaim("r-1", person("bob"), world.seen())
    await world.inbox.unclaim("r-1", person("anna"), world.seen())
    assert (world.review.claimed_by, world.review.claimed_until) == (None, None)
    assert [entry.kind for entry in world.records.entries] == [EntryKind.REVIEW_CLAIMED] * 2


async def test_a_question_several_must_look_at_can_not_be_claimed(world: World) -> None:
    world.park(approval=Approval(quorum={"": 2}))
    with pytest.raises(Unacceptable, match="Several people"):
        await world.inbox.claim("r-1", person("anna"), world.seen())
