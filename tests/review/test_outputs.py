from __future__ import annotations

import pytest

from audit.entry import EntryKind
from policies.model import Approval
from review.model import CallState, ReviewState
from review.refusals import Conflict, NotAllowed, RefusalCode, Unacceptable
from tests.review.builders import NOW, World, held_output, person, refund


async def test_releasing_lets_the_output_go(world: World) -> None:
    world.park(held_output())
    acted = await world.inbox.release("r-1", person("sam"), world.seen(), "a test key")
    assert acted.state is ReviewState.RELEASED
    assert (world.call.state, world.call.outcome) == (CallState.RELEASED, held_output().outcome)
    assert [entry.kind for entry in world.records.entries] == [EntryKind.REVIEW_VOTED, EntryKind.OUTPUT_RELEASED]
    assert "AKIA" not in repr(world.records.entries)
    assert world.bell.calls == ["c-1"]


async def test_destroying_erases_the_output_and_keeps_a_commitment(world: World) -> None:
    world.park(held_output())
    acted = await world.inbox.destroy("r-1", person("sam"), world.seen(), "a real key")
    assert acted.state is ReviewState.DESTROYED
    assert (world.call.state, world.call.outcome) == (CallState.DESTROYED, None)
    assert world.records.entries[-1].body["output"].startswith("hmac-sha256:")


@pytest.mark.parametrize("act", ["release", "release_redacted", "destroy", "reveal"])
async def test_every_act_on_a_held_output_needs_a_reason_and_the_role(world: World, act: str) -> None:
    world.park(held_output())
    with pytest.raises(Unacceptable) as refused:
        await getattr(world.inbox, act)("r-1", person("sam"), world.seen(), " ")
    assert refused.value.code is RefusalCode.COMMENT_NEEDED
    with pytest.raises(NotAllowed):
        await getattr(world.inbox, act)("r-1", person("anna"), world.seen(), "please")
    assert (world.review.state, world.records.entries) == (ReviewState.QUARANTINED, [])


async def test_a_release_may_need_several_people(world: World) -> None:
    world.park(held_output(), Approval(quorum={"": 2}))
    first = await world.inbox.release("r-1", person("sam"), world.seen(), "ok")
    again = await world.inbox.release("r-1", person("sam"), world.seen(), "ok")
    assert (first.state, first.given, again.given) == (ReviewState.QUARANTINED, 1, 1)
    assert world.call.state is CallState.QUARANTINED
    assert (await world.inbox.release("r-1", person("root"), world.seen(), "ok")).state is ReviewState.RELEASED


async def test_p11_looking_in_clear_is_recorded_before_it_is_shown(world: World) -> None:
    world.park(held_output())
    revealed = await world.inbox.reveal("r-1", person("sam"), world.seen(), "to judge the key")
    assert (revealed.outcome, revealed.until) == (held_output().outcome, NOW + 300)
    (entry,) = world.records.entries
    assert (entry.body["form"], entry.body["until"]) == ("whole", int(NOW) + 300)
    assert (entry.kind, entry.actor, entry.body["comment"]) == (
        EntryKind.OUTPUT_REVEALED,
        "reviewer:sam",
        "to judge the key",
    )
    assert world.review.state is ReviewState.QUARANTINED


async def test_p06_an_output_altered_behind_the_question_can_not_be_released(world: World) -> None:
    world.park(held_output())
    world.records.calls["c-1"] = held_output(outcome={"result": {"content": []}})
    with pytest.raises(Conflict, match="not what this question was asked about"):
        await world.inbox.release("r-1", person("sam"), world.seen(), "ok")


async def test_an_erased_output_can_not_be_released(world: World) -> None:
    world.park(held_output())
    world.records.calls["c-1"] = held_output(outcome=None)
    with pytest.raises(Conflict, match="has been erased"):
        await world.inbox.release("r-1", person("sam"), world.seen(), "ok")


async def test_a_waiting_call_is_not_released(world: World) -> None:
    world.park(refund())
    with pytest.raises(Unacceptable, match="approve or reject"):
        await world.inbox.release("r-1", person("sam"), world.seen(), "ok")


CLEAN = {"result": {"content": [{"type": "text", "text": "key [REDACTED]"}]}}


async def test_p08_what_was_found_is_taken_out_and_only_that_form_is_released(world: World) -> None:
    world.park(held_output())
    acted = await world.inbox.release_redacted("r-1", person("sam"), world.seen(), "the rest is fine")
    assert acted.state is ReviewState.RELEASED
    assert (world.call.state, world.call.outcome, world.call.outcome_kind) == (CallState.RELEASED, CLEAN, "redact")
    voted, released = world.records.entries
    assert (voted.kind, released.kind) == (EntryKind.REVIEW_VOTED, EntryKind.OUTPUT_RELEASED)
    assert (released.body["form"], released.body["let_through"]) == ("redacted", [])
    assert released.body["output"] != released.body["released"]
    assert "AKIA" not in repr(world.records.entries)


async def test_a_kind_that_a_person_found_to_be_none_is_let_through_and_named(world: World) -> None:
    world.park(held_output())
    passed = frozenset({"aws_access_key"})
    await world.inbox.release_redacted("r-1", person("sam"), world.seen(), "it is the example key", passed)
    assert world.call.outcome == held_output().outcome
    assert world.records.entries[-1].body["let_through"] == ["aws_access_key"]


@pytest.mark.parametrize("kind", ["US_SSN", "field", ""])
async def test_what_no_detector_found_cannot_be_let_through(world: World, kind: str) -> None:
    field = {"path": "$.x", "kind": "field", "detector": "field_rule"}
    world.park(held_output(inspection={"findings": [field]}))
    with pytest.raises(Unacceptable, match="No detector found this"):
        await world.inbox.release_redacted("r-1", person("sam"), world.seen(), "ok", frozenset({kind}))
    assert world.call.state is CallState.QUARANTINED


async def test_p08_what_cannot_be_redacted_stays_held(world: World) -> None:
    world.park(held_output())
    world.redactor.why_not = "aws_access_key found in a name"
    with pytest.raises(Unacceptable, match="It cannot be redacted: aws_access_key found in a name"):
        await world.inbox.release_redacted("r-1", person("sam"), world.seen(), "ok")
    assert (world.call.state, world.records.entries) == (CallState.QUARANTINED, [])


async def test_where_several_must_agree_one_form_is_not_another(world: World) -> None:
    world.park(held_output(), Approval(quorum={"": 2}))
    await world.inbox.release("r-1", person("root"), world.seen(), "ok")
    with pytest.raises(Unacceptable, match="Several people"):
        await world.inbox.release_redacted("r-1", person("sam"), world.seen(), "ok")


async def test_an_output_that_was_settled_while_it_was_redacted_is_not_released(world: World) -> None:
    world.park(held_output())
    world.redactor.meanwhile = lambda: world.inbox.destroy("r-1", person("root"), world.seen(), "no")
    with pytest.raises(Conflict, match="Somebody was faster"):
        await world.inbox.release_redacted("r-1", person("sam"), world.seen(), "ok")
    assert world.call.outcome is None


async def test_p11_looking_at_the_redacted_form_is_recorded_as_that(world: World) -> None:
    world.park(held_output())
    nothing: frozenset[str] = frozenset()
    revealed = await world.inbox.reveal("r-1", person("sam"), world.seen(), "to see", redacted_but=nothing)
    assert revealed.outcome == CLEAN
    assert world.records.entries[-1].body["form"] == "redacted"
    assert world.call.state is CallState.QUARANTINED
