"""Comments: for whoever decides next; they decide nothing."""

from __future__ import annotations

import pytest

from audit.entry import EntryKind
from policies.model import Approval
from review.comments import COMMENTS_MAX
from review.model import ReviewState
from review.refusals import NotAllowed, NotFound, RefusalCode, Unacceptable
from tests.review.builders import NOW, World, person
from tests.review.hostile import MARKUP, SHOWN


async def test_a_comment_is_shown_and_recorded_and_moves_nothing(world: World) -> None:
    before = world.park(approval=Approval(teams=("finance",)))
    acted = await world.inbox.comment("r-1", person("carol"), "  I rang the customer.  ")
    assert (acted.state, world.review) == (ReviewState.PARKED, before)
    shown = await world.inbox.show("c-1", person("anna"))
    (comment,) = shown.comments
    assert (comment.reviewer, comment.comment, comment.at) == ("carol", "I rang the customer.", NOW)
    assert (shown.votes, shown.cannot_decide) == ((), None)
    (entry,) = world.records.entries
    assert (entry.kind, entry.actor, entry.call_id) == (EntryKind.REVIEW_COMMENTED, "reviewer:carol", "c-1")
    assert entry.body == {
        "review": "r-1",
        "login": "password",
        "comment": "I rang the customer.",
        "state": "parked",
    }
    assert world.bell.calls == ["c-1"]


async def test_whoever_commented_can_still_decide_with_the_page_they_have(world: World) -> None:
    world.park()
    seen = world.seen()
    await world.inbox.comment("r-1", person("anna"), "looking")
    acted = await world.inbox.approve("r-1", person("anna"), seen)
    assert (acted.state, acted.given) == (ReviewState.SPENDABLE, 1)


async def test_comments_outlive_votes_that_are_cleared_and_the_question(world: World) -> None:
    world.park(approval=Approval(undo_sec=5))
    await world.inbox.comment("r-1", person("anna"), "before")
    await world.inbox.edit("r-1", person("anna"), world.seen(), {"amount": 200, "customer": "c_81"})
    await world.inbox.undo("r-1", person("anna"), world.seen())
    await world.inbox.reject("r-1", person("anna"), world.seen(), "no")
    await world.inbox.comment("r-1", person("anna"), "after")
    shown = await world.inbox.show("c-1", person("anna"))
    assert [comment.comment for comment in shown.comments] == ["before", "after"]


async def test_an_auditor_changes_nothing_and_says_nothing(world: World) -> None:
    world.park()
    with pytest.raises(NotAllowed):
        await world.inbox.comment("r-1", person("aud"), "hm")
    with pytest.raises(NotFound):
        await world.inbox.comment("r-9", person("anna"), "hm")
    assert world.records.entries == []


@pytest.mark.parametrize("said", ["", " \n ", "x" * 4001])
async def test_p14_a_comment_says_something_and_has_an_end(world: World, said: str) -> None:
    world.park()
    with pytest.raises(Unacceptable) as refused:
        await world.inbox.comment("r-1", person("anna"), said)
    assert refused.value.code is RefusalCode.COMMENT_NEEDED


async def test_p14_there_are_so_many_comments_and_no_more(world: World) -> None:
    world.park()
    for number in range(COMMENTS_MAX):
        await world.inbox.comment("r-1", person("anna"), f"{number}")
    with pytest.raises(Unacceptable, match="already"):
        await world.inbox.comment("r-1", person("anna"), "one more")


async def test_text_that_would_deceive_is_kept_as_it_was_said(world: World) -> None:
    """Whoever shows it makes it inert, as with everything people or agents wrote."""
    world.park()
    texts = [text.strip() for text in (*SHOWN.values(), *MARKUP.values()) if text.strip()][:COMMENTS_MAX]
    for text in texts:
        await world.inbox.comment("r-1", person("anna"), text)
    shown = await world.inbox.show("c-1", person("anna"))
    assert [one.comment for one in shown.comments] == texts
