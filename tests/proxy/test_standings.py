"""Where agents stand: in memory at once, in the change that brought it, and in the store (SEMANTICS §1.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from audit.entry import EntryDraft, EntryKind
from policies.model import Agent, ToolCall
from policies.snapshot import PolicySnapshot
from proxy.standings import Standings
from proxy.telling import Teller
from review.model import AgentStanding, CallRecord, CallState, ReviewRecord, ReviewState
from review.ports import Change, InsertReview, Learned, Lesson, MoveReview, PutStanding, StoreDown
from tests.policies.builders import snapshot

FILE = """
autonomy_levels:
  level_0:
    rules: [{match: {risk_tags: [read]}, decision: allow}, {match: {topics: ["*"]}, decision: require_approval}]
  level_1: {rules: [{match: {topics: ["*"]}, decision: allow}]}
  level_2: {rules: [{match: {topics: ["*"]}, decision: allow}]}
promotion_criteria: {min_successful_actions: 3, requires_human_sign_off: SIGNED}
demotion_triggers: [policy_violation, safety_incident, {error_rate_above: 0.5}]
classify:
  - {tools: [crm/get], topics: [job.crm.read], risk_tags: [read]}
  - {tools: [mail/send], topics: [job.mail.send], risk_tags: [write]}
"""
SIGNED = snapshot(FILE.replace("SIGNED", "true"))
ALONE = snapshot(FILE.replace("SIGNED", "false"))
NONE = snapshot("default: allow")


class Kept:
    """The store, in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], AgentStanding] = {}
        self.reviews: dict[str, ReviewRecord] = {}
        self.entries: list[EntryDraft] = []
        self.is_down = False

    async def apply(self, change: Change) -> None:
        if self.is_down:
            raise StoreDown("down")
        self.entries += change.entries
        for row in change.rows:
            if isinstance(row, PutStanding):
                self.rows[row.standing.agent, row.standing.domain] = row.standing
            elif isinstance(row, InsertReview):
                self.reviews[row.review.id] = row.review
            elif isinstance(row, MoveReview):
                self.reviews[row.review_id] = replace(self.reviews[row.review_id], state=row.to)

    async def review(self, review_id: str) -> ReviewRecord | None:
        return self.reviews.get(review_id)

    async def standings(self) -> Sequence[AgentStanding]:
        return list(self.rows.values())

    def told(self, kind: EntryKind) -> list[dict[str, Any]]:
        return [entry.body for entry in self.entries if entry.kind is kind]


class Ids:
    def __init__(self) -> None:
        self._numbers = count(1)

    def call(self) -> str:
        return f"call_{next(self._numbers)}"

    review = nonce = call


def made(kept: Kept, policies: PolicySnapshot = SIGNED) -> Standings:
    return Standings(
        kept, snapshot=lambda: policies, agents=["bot"], clock=lambda: 86_400.0, ids=Ids(), commits=Teller(b"k" * 32)
    )


def a_call(key: str = "k", topics: Sequence[str] = ("job.crm.read",)) -> CallRecord:
    return CallRecord(
        "call_9",
        "bot",
        "crm",
        "get",
        "tools/call",
        CallState.DISPATCHING,
        0,
        0,
        key,
        "",
        "",
        decision={"topics": topics},
    )


def change(lesson: Lesson, *calls: CallRecord, durable: bool = True) -> Change:
    return Change(learned=tuple(Learned(lesson, call) for call in calls or (a_call(),)), durable=durable)


def level(one: Standings, tool: str = "crm/get") -> Any:
    server, _, name = tool.partition("/")
    return one.facts(ToolCall(server, name, {}, Agent("bot")))["autonomy_level"]


async def risen(kept: Kept, one: Standings) -> None:
    await one.put("bot", "crm", 2, by="reviewer:root", why="x")
    await one.put("bot", "mail", 2, by="reviewer:root", why="x")


async def test_three_successes_ask_and_a_yes_promotes_and_a_no_begins_anew() -> None:
    kept = Kept()
    one = made(kept)
    one.learn(change(Lesson.WENT_WELL, *(a_call(f"k{n}") for n in range(3)), durable=False))
    await one.settle()
    await one.settle()
    (review_id,) = kept.reviews
    assert (level(one), kept.rows["bot", "crm"].review_id) == (0, review_id)
    kept.reviews[review_id] = replace(kept.reviews[review_id], state=ReviewState.REJECTED, settled_by="maria")
    await one.settle()
    assert (level(one), kept.rows["bot", "crm"].outcomes, kept.rows["bot", "crm"].review_id) == (0, [], None)
    assert len(kept.told(EntryKind.PROMOTION_REFUSED)) == 1

    one.learn(change(Lesson.WENT_WELL, *(a_call(f"j{n}") for n in range(3))))
    await one.settle()
    second = next(name for name in kept.reviews if name != review_id)
    kept.reviews[second] = replace(kept.reviews[second], state=ReviewState.SPENDABLE, settled_by="maria")
    await one.settle()
    assert (level(one), kept.reviews[second].state) == (1, ReviewState.SPENT)
    again = made(kept)
    await again.load()
    assert level(again) == 1


async def test_without_sign_off_the_policy_promotes_and_says_so() -> None:
    kept = Kept()
    one = made(kept, ALONE)
    one.learn(change(Lesson.WENT_WELL, *(a_call(f"k{n}") for n in range(3)), durable=False))
    await one.settle()
    (entry,) = [entry for entry in kept.entries if entry.kind is EntryKind.AGENT_PROMOTED]
    assert (level(one), entry.actor) == (1, f"policy:promotion_criteria@{ALONE.id}")
    assert entry.body["successes"] == 3


async def test_a_violation_counts_at_once_and_is_written_with_the_denial() -> None:
    kept = Kept()
    one = made(kept)
    await risen(kept, one)
    joined = one.learn(change(Lesson.VIOLATION))
    assert level(one) == 1
    (row,) = [row for row in joined.rows if isinstance(row, PutStanding)]
    (entry,) = joined.entries
    assert (row.standing.level, entry.kind, entry.body["to_level"]) == (1, EntryKind.AGENT_DEMOTED, 1)
    assert level(one, "mail/send") == 2  # another domain


async def test_what_the_store_did_not_take_is_written_later_and_counts_meanwhile() -> None:
    kept = Kept()
    one = made(kept)
    await risen(kept, one)
    joined = one.learn(change(Lesson.INCIDENT))
    one.not_written(joined)
    kept.is_down = True
    await one.settle()
    assert (level(one), kept.rows["bot", "crm"].level) == (0, 2)
    kept.is_down = False
    await one.settle()
    assert kept.rows["bot", "crm"].level == 0
    assert [body["why"] for body in kept.told(EntryKind.AGENT_DEMOTED)] == ["safety_incident"]


async def test_a_call_without_a_domain_is_held_against_all_of_them() -> None:
    kept = Kept()
    one = made(kept)
    await risen(kept, one)
    one.learn(change(Lesson.VIOLATION, a_call(topics=())))
    assert (level(one), level(one, "mail/send")) == (1, 1)


async def test_too_many_errors_demote_by_one() -> None:
    kept = Kept()
    one = made(kept)
    await risen(kept, one)
    for _ in range(19):
        assert one.learn(change(Lesson.WENT_WRONG)).rows == ()
    assert len(one.learn(change(Lesson.WENT_WRONG)).rows) == 1
    assert level(one) == 1


async def test_a_call_judged_wrong_is_a_success_no_more() -> None:
    one = made(Kept())
    one.learn(change(Lesson.WENT_WELL, durable=False))
    one.learn(change(Lesson.JUDGED_WRONG))
    (crm, _) = one.progress()
    assert (crm.successes, crm.calls, crm.errors) == (0, 1, 1)


async def test_a_fall_makes_an_open_question_void() -> None:
    kept = Kept()
    one = made(kept)
    one.learn(change(Lesson.WENT_WELL, *(a_call(f"k{n}") for n in range(3)), durable=False))
    await one.settle()
    (review_id,) = kept.reviews
    one.learn(change(Lesson.VIOLATION))
    await one.settle()
    assert (kept.reviews[review_id].state, level(one)) == (ReviewState.SUPERSEDED, 0)


async def test_an_incident_that_people_report_is_recorded_with_the_fall() -> None:
    kept = Kept()
    one = made(kept)
    await risen(kept, one)
    found = await one.incident("bot", None, by="reviewer:anna", why="leak")
    assert [row.level for row in found] == [0, 0]
    assert kept.told(EntryKind.INCIDENT_OPENED) == [{"agent": "bot", "domain": None, "why": "leak"}]


async def test_a_tool_without_a_topic_and_policies_without_levels_are_at_level_0() -> None:
    kept = Kept()
    one = made(kept)
    await risen(kept, one)
    assert level(one, "crm/unknown") == 0
    none = made(kept, NONE)
    await none.load()
    assert (level(none), none.progress(), none.learn(change(Lesson.VIOLATION)).rows) == (0, (), ())
    with pytest.raises(ValueError, match="no such level"):
        await none.put("bot", "crm", 1, by="x", why="x")


async def test_progress_is_of_every_agent_in_every_domain() -> None:
    one = made(Kept())
    one.learn(change(Lesson.WENT_WELL, durable=False))
    assert [(row.domain, row.level, row.successes, row.wanted) for row in one.progress()] == [
        ("crm", 0, 1, 3),
        ("mail", 0, 0, 3),
    ]
    assert (one.is_known("bot"), one.is_known("nobody")) == (True, False)
