from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from audit.entry import EntryKind
from policies.model import Approval
from review.desk import Acted, InboxSettings, Seen
from review.inbox import Inbox
from review.lifecycle import ReviewEvent, states_allowing
from review.model import Account, CallState, ReviewState, Verdict, Vote
from review.ports import Change, ChangeLost, MoveReview, StoreDown
from review.refusals import Conflict, NotAllowed, NotFound, Refusal, RefusalCode, Unacceptable
from review.votes import next_stage
from tests.review.builders import NOW, World, held_output, person, question, refund

FINANCE = Approval(teams=("finance",))
TWO = Approval(teams=("finance",), quorum={"finance": 2})


async def test_one_approval_makes_the_grant_spendable_for_its_time(world: World) -> None:
    world.park(approval=replace(FINANCE, grant_expires_sec=600))
    acted = await world.inbox.approve("r-1", person("anna"), world.seen(), "checked the invoice")
    assert acted == Acted("c-1", "r-1", ReviewState.SPENDABLE, 1, 1)
    review = world.review
    assert (review.settled_by, review.settled_at, review.comment) == ("anna", NOW, "checked the invoice")
    assert (review.undo_until, review.grant_expires_at) == (None, NOW + 600)
    assert world.call.state is CallState.WAITING
    assert world.bell.calls == ["c-1"]


async def test_with_an_undo_window_the_grant_is_not_yet_spendable(world: World) -> None:
    world.park(approval=replace(FINANCE, undo_sec=5, grant_expires_sec=600))
    acted = await world.inbox.approve("r-1", person("anna"), world.seen())
    assert acted.state is ReviewState.APPROVED
    assert (world.review.undo_until, world.review.grant_expires_at) == (NOW + 5, NOW + 605)


@pytest.mark.parametrize(
    ("amount", "stated", "held_sec"), [(6_000, None, 5), (250, None, 2), (250, 0, 0), (6_000, 30, 30), (50, None, 0)]
)
async def test_how_long_an_approved_call_is_held_is_what_its_rules_say_else_the_default_of_its_tier(
    world: World, amount: int, stated: int | None, held_sec: int
) -> None:
    desk = replace(world.desk, settings=InboxSettings(undo_sec={"high": 5, "medium": 2}))
    world.park(refund(amount), approval=Approval(undo_sec=stated))
    acted = await Inbox(desk).approve("r-1", person("anna"), world.seen())
    assert acted.state is (ReviewState.APPROVED if held_sec else ReviewState.SPENDABLE)
    assert acted.undo_until == world.review.undo_until == (NOW + held_sec if held_sec else None)


async def test_a_call_that_nothing_rates_has_a_default_of_its_own(world: World) -> None:
    desk = replace(world.desk, settings=InboxSettings(undo_sec={"unrated": 7}))
    world.park(refund(decision={}))
    assert (await Inbox(desk).approve("r-1", person("anna"), world.seen())).undo_until == NOW + 7


async def test_p11_taking_back_is_recorded_with_who_did_it(world: World) -> None:
    world.park(approval=replace(FINANCE, undo_sec=5))
    await world.inbox.approve("r-1", person("anna"), world.seen(), "ok")
    await world.inbox.undo("r-1", person("bob"), world.seen(), "that is the wrong customer")
    entry = world.records.entries[-1]
    assert (entry.kind, entry.actor) == (EntryKind.REVIEW_VOTED, "reviewer:bob")
    told = {name: entry.body[name] for name in ("verdict", "comment", "from_state", "to_state")}
    assert told == {
        "verdict": "undo",
        "comment": "that is the wrong customer",
        "from_state": "approved",
        "to_state": "parked",
    }


async def test_p11_the_record_says_who_how_logged_in_what_was_shown_and_for_how_long(world: World) -> None:
    review = world.park(approval=FINANCE)
    await world.inbox.approve("r-1", person("anna", "cli"), world.seen(looked_ms=7300), "fine")
    voted, settled = world.records.entries
    assert (voted.kind, settled.kind) == (EntryKind.REVIEW_VOTED, EntryKind.REVIEW_SETTLED)
    assert (voted.actor, voted.call_id, voted.at) == ("reviewer:anna", "c-1", NOW)
    assert voted.body == {
        "review": "r-1",
        "review_kind": "approval",
        "verdict": "approve",
        "login": "cli",
        "shown": review.binding,
        "looked_ms": 7300,
        "comment": "fine",
        "from_state": "parked",
        "to_state": "spendable",
        "given": 1,
        "wanted": 1,
    }
    assert settled.body["binding"] == review.binding
    assert settled.body["grant_expires_at"] == NOW + 3600


async def test_no_entry_holds_a_value_the_agent_sent(world: World) -> None:
    world.park()
    await world.inbox.edit("r-1", person("anna"), world.seen(), {"amount": 150, "customer": "c_81"})
    assert "c_81" not in repr(world.records.entries)


async def test_p11_pressing_twice_at_once_tells_both_what_came_of_it(world: World) -> None:
    world.park(approval=FINANCE)
    votes, seen = world.records.votes, world.seen()

    async def votes_once_the_first_press_is_written(review_id: str) -> Sequence[Vote]:
        world.records.votes = votes  # type: ignore[method-assign]
        await world.inbox.approve("r-1", person("anna"), seen)
        return await votes(review_id)

    world.records.votes = votes_once_the_first_press_is_written  # type: ignore[method-assign]
    assert (await world.inbox.approve("r-1", person("anna"), seen)).state is ReviewState.SPENDABLE
    assert len(await votes("r-1")) == 1


async def test_a_quorum_is_reached_by_different_people_only(world: World) -> None:
    world.park(approval=TWO)
    first = await world.inbox.approve("r-1", person("anna"), world.seen())
    assert (first.state, first.given, first.wanted) == (ReviewState.APPROVING, 1, 2)
    again = await world.inbox.approve("r-1", person("anna"), world.seen())
    assert (again.state, again.given) == (ReviewState.APPROVING, 1)
    assert [vote.reviewer for vote in world.records.votes_of["r-1"]] == ["anna"]
    second = await world.inbox.approve("r-1", person("bob"), world.seen())
    assert (second.state, second.given) == (ReviewState.SPENDABLE, 2)


async def test_every_named_team_must_agree(world: World) -> None:
    world.park(approval=Approval(teams=("finance", "legal")))
    await world.inbox.approve("r-1", person("bob"), world.seen())
    done = await world.inbox.approve("r-1", person("anna"), world.seen())
    assert done.state is ReviewState.SPENDABLE


async def test_p11_a_vote_whose_giver_has_lost_the_team_since_no_longer_counts(world: World) -> None:
    world.park(approval=TWO)
    await world.inbox.approve("r-1", person("anna"), world.seen())
    world.records.accounts_by_name["anna"] = Account("anna", None, ("reviewer",), ("sales",))
    second = await world.inbox.approve("r-1", person("bob"), world.seen())
    assert (second.state, second.given) == (ReviewState.APPROVING, 1)


async def test_p11_roles_are_those_of_the_moment_not_of_the_login(world: World) -> None:
    world.park(approval=FINANCE)
    stale = person("anna")
    world.records.accounts_by_name["anna"] = Account("anna", None, ("auditor",), ("finance",))
    with pytest.raises(NotAllowed) as refused:
        await world.inbox.approve("r-1", stale, world.seen())
    assert refused.value.code is RefusalCode.ROLE
    world.records.accounts_by_name["anna"] = replace(world.records.accounts_by_name["bob"], name="anna", disabled=True)
    with pytest.raises(NotAllowed, match="disabled"):
        await world.inbox.approve("r-1", stale, world.seen())
    assert (world.review.state, world.records.entries) == (ReviewState.PARKED, [])


async def test_p11_the_owner_of_the_agent_can_not_approve_but_can_reject(world: World) -> None:
    world.park(approval=replace(FINANCE, four_eyes=True))
    with pytest.raises(NotAllowed) as refused:
        await world.inbox.approve("r-1", person("omar"), world.seen())
    assert refused.value.code is RefusalCode.OWN_AGENT
    assert (await world.inbox.reject("r-1", person("omar"), world.seen(), "mistake")).state is ReviewState.REJECTED


async def test_p04_a_hundred_racing_approvals_give_one_grant(world: World) -> None:
    world.park()
    names = [f"p{number}" for number in range(100)]
    world.records.accounts_by_name |= {name: Account(name, None) for name in names}
    seen = world.seen()
    results = await asyncio.gather(
        *(world.inbox.approve("r-1", replace(person("anna"), name=name), seen) for name in names),
        return_exceptions=True,
    )
    won = [result for result in results if isinstance(result, Acted)]
    lost = [result for result in results if isinstance(result, Conflict)]
    assert (len(won), len(lost)) == (1, 99)
    assert [entry.kind for entry in world.records.entries] == [EntryKind.REVIEW_VOTED, EntryKind.REVIEW_SETTLED]
    assert world.bell.calls == ["c-1"]


async def test_approve_reject_and_expiry_racing_have_one_winner(world: World) -> None:
    for round_ in range(20):
        world.records.votes_of.clear()
        world.park(approval=Approval(timeout_sec=100))
        seen = world.seen()
        world.clock.now = NOW + 99
        results = await asyncio.gather(
            world.inbox.approve("r-1", person("anna"), seen),
            world.inbox.reject("r-1", person("bob"), seen, "no"),
            world.inbox.expire_due(NOW + 100),
            return_exceptions=True,
        )
        won = [r for r in results if isinstance(r, Acted) or r == 1]
        assert len(won) == 1, (round_, results)


async def test_p06_an_answer_to_what_was_not_shown_is_a_conflict(world: World) -> None:
    world.park()
    for seen in (Seen(2, world.review.binding), Seen(1, "sha256:other"), Seen(1, "")):
        with pytest.raises(Conflict, match="changed since you looked") as refused:
            await world.inbox.approve("r-1", person("anna"), seen)
        assert refused.value.code is RefusalCode.CHANGED
    assert world.review.state is ReviewState.PARKED


async def test_p06_a_call_altered_behind_the_question_can_not_be_approved_but_rejected(world: World) -> None:
    world.park()
    world.records.calls["c-1"] = refund(9_999)
    with pytest.raises(Conflict, match="not what this question was asked about"):
        await world.inbox.approve("r-1", person("anna"), world.seen())
    assert (await world.inbox.reject("r-1", person("anna"), world.seen(), "odd")).state is ReviewState.REJECTED


async def test_a_question_out_of_time_can_not_be_answered(world: World) -> None:
    world.park(approval=Approval(timeout_sec=60))
    world.clock.pass_sec(60)
    with pytest.raises(Conflict, match="time for this question"):
        await world.inbox.approve("r-1", person("anna"), world.seen())


@pytest.mark.parametrize("state", sorted(set(ReviewState) - states_allowing(ReviewEvent.VOTED)))
async def test_p04_no_other_state_takes_an_approval(world: World, state: ReviewState) -> None:
    world.park(state=state)
    with pytest.raises(Conflict, match=f"already {state}"):
        await world.inbox.approve("r-1", person("anna"), world.seen())


async def test_where_a_rule_wants_a_comment_approving_needs_one(world: World) -> None:
    world.park(approval=Approval(require_comment=True))
    with pytest.raises(Unacceptable) as refused:
        await world.inbox.approve("r-1", person("anna"), world.seen(), "  ")
    assert refused.value.code is RefusalCode.COMMENT_NEEDED
    await world.inbox.approve("r-1", person("anna"), world.seen(), " because ")
    assert world.review.comment == "because"


async def test_a_comment_has_a_limit(world: World) -> None:
    world.park()
    with pytest.raises(Unacceptable, match="4001 characters; at most 4000"):
        await world.inbox.approve("r-1", person("anna"), world.seen(), "x" * 4001)
    await world.inbox.approve("r-1", person("anna"), world.seen(), "x" * 4000)


async def test_rejecting_closes_the_call_with_the_reason(world: World) -> None:
    world.park(approval=FINANCE)
    acted = await world.inbox.reject("r-1", person("anna"), world.seen(), "wrong customer")
    assert acted.state is ReviewState.REJECTED
    assert (world.call.state, world.review.comment, world.review.settled_by) == (
        CallState.CLOSED,
        "wrong customer",
        "anna",
    )
    assert [entry.body["verdict"] for entry in world.records.entries] == ["reject", "reject"]


async def test_rejecting_needs_a_reason(world: World) -> None:
    world.park()
    with pytest.raises(Unacceptable, match="Say why"):
        await world.inbox.reject("r-1", person("anna"), world.seen(), "")
    assert world.review.state is ReviewState.PARKED


async def test_one_reject_ends_a_question_others_have_agreed_to(world: World) -> None:
    world.park(approval=TWO)
    await world.inbox.approve("r-1", person("anna"), world.seen())
    assert (await world.inbox.reject("r-1", person("bob"), world.seen(), "no")).state is ReviewState.REJECTED


@pytest.mark.parametrize("undo_sec", [5, 0])
async def test_an_approval_can_be_taken_back_until_it_is_spent(world: World, undo_sec: int) -> None:
    world.park(approval=replace(FINANCE, undo_sec=undo_sec))
    await world.inbox.approve("r-1", person("anna"), world.seen(), "ok")
    acted = await world.inbox.undo("r-1", person("anna"), world.seen())
    assert acted.state is ReviewState.PARKED
    review = world.review
    assert (review.settled_by, review.settled_at, review.undo_until, review.grant_expires_at, review.comment) == (
        None,
        None,
        None,
        None,
        "",
    )
    assert [vote.verdict for vote in world.records.votes_of["r-1"]] == [Verdict.UNDO]
    assert (await world.inbox.approve("r-1", person("anna"), world.seen())).given == 1


async def test_p04_taking_back_and_spending_are_one_compare_and_set(world: World) -> None:
    for undo_first in (True, False) * 10:
        world.records.votes_of.clear()
        world.park()
        await world.inbox.approve("r-1", person("anna"), world.seen())
        spend = Change(rows=(MoveReview("r-1", frozenset({ReviewState.SPENDABLE}), ReviewState.SPENT),))
        acts = [world.inbox.undo("r-1", person("anna"), world.seen()), world.records.apply(spend)]
        results = await asyncio.gather(*(acts if undo_first else reversed(acts)), return_exceptions=True)
        failed = [result for result in results if isinstance(result, Exception)]
        assert len(failed) == 1
        assert isinstance(failed[0], Conflict | ChangeLost)


@pytest.mark.parametrize("state", sorted(set(ReviewState) - states_allowing(ReviewEvent.UNDONE)))
async def test_no_other_state_can_be_taken_back(world: World, state: ReviewState) -> None:
    world.park(state=state)
    with pytest.raises(Conflict, match="Too late"):
        await world.inbox.undo("r-1", person("anna"), world.seen())


async def test_it_is_told_whom_escalating_would_ask(world: World) -> None:
    async def told() -> str | None:
        return (await world.inbox.show("c-1", person("bob"))).escalates_to

    world.park(approval=replace(FINANCE, escalate_to="leads"))
    assert await told() == "leads"
    await world.inbox.escalate("r-1", person("bob"), world.seen())
    assert await told() == "admins"
    await world.inbox.escalate("r-1", person("bob"), world.seen())
    assert await told() is None
    world.park(state=ReviewState.REJECTED)
    assert await told() is None


async def test_where_no_rule_names_a_team_the_default_one_is_asked_first(world: World) -> None:
    desk = replace(world.desk, settings=InboxSettings(escalation_default="night-watch"))
    world.park()
    await Inbox(desk).escalate("r-1", person("bob"), world.seen())
    assert world.review.escalated_to == "night-watch"


async def test_escalating_lets_others_answer_and_changes_nothing_an_approval_binds(world: World) -> None:
    before = world.park(approval=replace(TWO, escalate_to="leads"))
    await world.inbox.approve("r-1", person("anna"), world.seen())
    acted = await world.inbox.escalate("r-1", person("bob"), world.seen(), "not sure")
    after = world.review
    assert (acted.state, after.escalated_to) == (ReviewState.APPROVING, "leads")
    assert (after.binding, after.expires_at) == (before.binding, before.expires_at)
    done = await world.inbox.approve("r-1", person("lea"), world.seen())
    assert (done.state, done.given) == (ReviewState.SPENDABLE, 2)
    assert EntryKind.REVIEW_ESCALATED in [entry.kind for entry in world.records.entries]


@pytest.mark.parametrize(
    ("target", "now_with", "default", "expected"),
    [
        ("leads", None, None, "leads"),
        ("leads", "leads", None, "admins"),
        ("leads", "admins", None, None),
        (None, None, "desk", "desk"),
        (None, None, None, "admins"),
        (None, "desk", "desk", "admins"),
    ],
)
def test_stages_are_the_rules_target_then_the_default_then_the_admins(
    target: str | None, now_with: str | None, default: str | None, expected: str | None
) -> None:
    review = question(refund(), Approval(escalate_to=target), escalated_to=now_with)
    assert next_stage(review, default) == expected


async def test_beyond_the_admins_nobody_is_asked(world: World) -> None:
    world.park(escalated_to="admins")
    with pytest.raises(Unacceptable, match="nobody further"):
        await world.inbox.escalate("r-1", person("anna"), world.seen())


async def test_a_held_output_is_not_approved_or_rejected(world: World) -> None:
    world.park(held_output())
    for act in (
        world.inbox.approve("r-1", person("sam"), world.seen(), "x"),
        world.inbox.reject("r-1", person("sam"), world.seen(), "x"),
    ):
        with pytest.raises(Unacceptable, match="release or destroy"):
            await act


async def test_there_is_no_such_review(world: World) -> None:
    with pytest.raises(NotFound, match="review r-9"):
        await world.inbox.approve("r-9", person("anna"), Seen(1, ""))


async def test_p01_when_the_store_is_down_nothing_is_decided(world: World) -> None:
    world.park()
    world.records.is_down = True
    with pytest.raises(StoreDown):
        await world.inbox.approve("r-1", person("anna"), world.seen())
    assert (world.review.state, world.bell.calls) == (ReviewState.PARKED, [])


async def test_a_refusal_writes_nothing(world: World) -> None:
    world.park(approval=FINANCE)
    acts = [
        world.inbox.approve("r-1", person("carol"), world.seen()),
        world.inbox.reject("r-1", person("carol"), world.seen(), "x"),
        world.inbox.escalate("r-1", person("aud"), world.seen()),
        world.inbox.edit("r-1", person("carol"), world.seen(), {"amount": 1}),
        world.inbox.claim("r-1", person("carol"), world.seen()),
    ]
    before = world.review
    for act in acts:
        with pytest.raises(Refusal):
            await act
    assert (world.review, world.records.entries, world.bell.calls) == (before, [], [])
