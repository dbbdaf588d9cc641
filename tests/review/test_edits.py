from __future__ import annotations

from dataclasses import replace

import pytest

from audit.entry import EntryKind
from policies.model import Approval
from review.binding import binding
from review.model import CallState, ReviewState, Verdict
from review.refusals import Conflict, NotAllowed, Refusal, RefusalCode, Unacceptable
from tests.review.builders import World, held_output, person, refund

ORIGINAL = {"amount": 250, "customer": "c_81"}


def _amount(amount: int) -> dict[str, object]:
    return {**ORIGINAL, "amount": amount}


async def test_p07_an_edit_that_asks_no_more_settles_with_the_editors_approval(world: World) -> None:
    before = world.park()
    acted = await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(150), "the invoice says 150")
    assert (acted.state, acted.given) == (ReviewState.SPENDABLE, 1)
    assert world.call.proposed == {"arguments": ORIGINAL, "input_responses": None}
    assert world.call.approved == {"arguments": _amount(150), "input_responses": None}
    assert world.call.state is CallState.WAITING
    assert world.review.binding != before.binding
    assert world.review.binding == binding(
        world.call, expires_at=before.expires_at, nonce=world.review.nonce, rules=before.answered_rules
    )
    assert world.review.expires_at == before.expires_at


async def test_p07_what_policy_denies_can_not_be_made_by_editing(world: World) -> None:
    before = world.park()
    with pytest.raises(Unacceptable, match=r"denies the changed call: refunds over 10,000") as refused:
        await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(20_000))
    assert refused.value.code is RefusalCode.DENIED_BY_POLICY
    assert (world.review, world.call.approved, world.records.entries) == (before, None, [])


async def test_p07_arguments_that_do_not_fit_the_tool_are_refused_with_the_place(world: World) -> None:
    world.park()
    with pytest.raises(Unacceptable, match=r"\$\.amount: expected an integer") as refused:
        await world.inbox.edit("r-1", person("anna"), world.seen(), {"amount": "lots"})
    assert refused.value.code is RefusalCode.ARGUMENTS_INVALID


async def test_p07_what_policy_would_let_go_by_itself_the_editor_settles_alone(world: World) -> None:
    world.park(approval=Approval(teams=("finance",), quorum={"finance": 2}))
    acted = await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(80))
    assert acted.state is ReviewState.SPENDABLE
    assert world.review.answered_rules == ()


@pytest.mark.parametrize("amount", [257, 6_000], ids=["another rule asks", "the tier rises"])
async def test_p07_an_edit_that_asks_more_needs_another_person(world: World, amount: int) -> None:
    world.park()
    acted = await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(amount))
    assert (acted.state, acted.given, acted.wanted) == (ReviewState.PARKED, 0, 1)
    with pytest.raises(NotAllowed) as refused:
        await world.inbox.approve("r-1", person("anna"), world.seen())
    assert refused.value.code is RefusalCode.OWN_EDIT
    assert (await world.inbox.approve("r-1", person("bob"), world.seen())).state is ReviewState.SPENDABLE


async def test_p07_an_editor_can_not_wash_a_raised_tier_away_with_a_second_edit(world: World) -> None:
    world.park()
    await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(6_000))
    again = await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(6_001))
    assert again.state is ReviewState.PARKED
    with pytest.raises(NotAllowed):
        await world.inbox.approve("r-1", person("anna"), world.seen())


async def test_p07_nor_by_taking_an_approval_back(world: World) -> None:
    world.park()
    await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(6_000))
    await world.inbox.approve("r-1", person("bob"), world.seen())
    await world.inbox.undo("r-1", person("anna"), world.seen())
    with pytest.raises(NotAllowed, match="another person"):
        await world.inbox.approve("r-1", person("anna"), world.seen())


async def test_an_editor_who_counted_may_take_it_back_and_decide_anew(world: World) -> None:
    world.park()
    await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(150))
    await world.inbox.undo("r-1", person("anna"), world.seen())
    assert (await world.inbox.approve("r-1", person("anna"), world.seen())).state is ReviewState.SPENDABLE
    assert world.call.to_send == {"arguments": _amount(150), "input_responses": None}


async def test_an_edit_clears_earlier_votes(world: World) -> None:
    world.park(approval=Approval(teams=("finance",), quorum={"finance": 2}))
    await world.inbox.approve("r-1", person("bob"), world.seen())
    # the judge's Approval() asks for one reviewer: the edited call is held to what is asked of it, not of the old one
    acted = await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(257))
    assert acted.state is ReviewState.PARKED
    assert [(vote.reviewer, vote.verdict) for vote in world.records.votes_of["r-1"]] == [("anna", Verdict.EDIT)]


async def test_p06_who_looked_at_the_form_before_the_edit_gets_a_conflict(world: World) -> None:
    world.park()
    stale = world.seen()
    await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(257))
    with pytest.raises(Conflict):
        await world.inbox.approve("r-1", person("bob"), stale)


async def test_the_record_keeps_both_forms_as_commitments_and_both_snapshots(world: World) -> None:
    world.park()
    await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(257))
    (entry,) = world.records.entries
    assert entry.kind is EntryKind.REVIEW_EDITED
    assert entry.body["before"].startswith("hmac-sha256:")
    assert entry.body["before"] != entry.body["after"]
    assert (entry.body["snapshot_before"], entry.body["snapshot"]) == ("v1:aaaa", "v1:aaaa")
    assert entry.body["rules"] == ["refunds#ask-over-100", "refunds#legal"]
    assert entry.body["another_person_must_agree"] is True


async def test_an_edit_that_changes_nothing_is_refused(world: World) -> None:
    world.park()
    with pytest.raises(Unacceptable) as refused:
        await world.inbox.edit("r-1", person("anna"), world.seen(), dict(reversed(ORIGINAL.items())))
    assert refused.value.code is RefusalCode.NOTHING_CHANGED


async def test_numbers_that_can_not_be_kept_exactly_are_refused(world: World) -> None:
    world.park()
    with pytest.raises(Unacceptable, match="kept exactly"):
        await world.inbox.edit("r-1", person("anna"), world.seen(), {"amount": 2**60})


async def test_input_responses_stay_as_they_were(world: World) -> None:
    world.park(refund(proposed={"arguments": ORIGINAL, "input_responses": {"confirm": True}}))
    await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(150))
    assert world.call.approved == {"arguments": _amount(150), "input_responses": {"confirm": True}}


async def test_p06_the_request_state_stays_as_it_was(world: World) -> None:
    world.park(refund(proposed={"arguments": ORIGINAL, "request_state": "of this order"}))
    await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(150))
    assert world.call.approved == {
        "arguments": _amount(150),
        "request_state": "of this order",
    }  # and nothing it had not


async def test_the_edited_form_keeps_the_key_order_it_was_typed_in(world: World) -> None:
    world.park()
    await world.inbox.edit("r-1", person("anna"), world.seen(), {"customer": "c_81", "amount": 150})
    assert list((world.call.approved or {})["arguments"]) == ["customer", "amount"]


@pytest.mark.parametrize("name", ["carol", "aud", "omar"])
async def test_who_may_not_approve_may_not_edit(world: World, name: str) -> None:
    world.park(approval=Approval(teams=("finance",), four_eyes=True))
    with pytest.raises(Refusal):
        await world.inbox.edit("r-1", person(name), world.seen(), _amount(150))


async def test_an_editor_the_new_demands_exclude_does_not_count(world: World) -> None:
    world.park()

    class NowFourEyes:
        async def judge_edit(self, call: object, arguments: object) -> object:
            decision = await world.desk.judge.judge_edit(refund(), {"amount": 150})
            return replace(decision, approval=Approval(four_eyes=True))

    desk = replace(world.desk, judge=NowFourEyes())  # type: ignore[arg-type]
    inbox = type(world.inbox)(desk)
    acted = await inbox.edit("r-1", person("omar"), world.seen(), _amount(150))
    assert (acted.state, acted.given) == (ReviewState.PARKED, 0)


async def test_erased_arguments_can_not_be_edited(world: World) -> None:
    world.park()
    world.records.calls["c-1"] = refund(proposed=None)
    with pytest.raises(Conflict):
        await world.inbox.edit("r-1", person("anna"), world.seen(), _amount(150))


async def test_a_held_output_is_not_edited(world: World) -> None:
    world.park(held_output())
    with pytest.raises(Unacceptable, match="cannot be edited"):
        await world.inbox.edit("r-1", person("sam"), world.seen(), {})


async def test_a_preview_says_what_an_edit_would_come_to_and_writes_nothing(world: World) -> None:
    before = world.park()
    harmless = await world.inbox.preview("r-1", person("anna"), _amount(80))
    more = await world.inbox.preview("r-1", person("anna"), _amount(6_000))
    assert (harmless.is_allowed, harmless.editor_counts) == (True, True)
    assert (more.is_allowed, more.editor_counts) == (False, False)
    with pytest.raises(Unacceptable):
        await world.inbox.preview("r-1", person("anna"), _amount(20_000))
    assert (world.review, world.call.approved, world.records.entries) == (before, None, [])


async def test_erased_arguments_can_not_be_previewed(world: World) -> None:
    world.park()
    world.records.calls["c-1"] = refund(proposed=None)
    with pytest.raises(Conflict, match="have been erased"):
        await world.inbox.preview("r-1", person("anna"), _amount(150))
