"""Everything that can happen to calls, in any order: agents, people, the tool, time, crashes, policy, the kill switch.

A hypothesis state machine over runner, gate, lifecycle, inbox and store (in memory, and the embedded one's own SQL),
without sockets or threads. What must hold is in `life_model.check`, and, where a byte leaves, in `bytes_leave`.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from review.doubts import Found
from review.model import CallState, ReviewRecord, ReviewState
from review.ports import StoreDown
from tests.proxy.life_model import HOLD_SEC, UNDO_SEC, LifeModel, check

AGENTS, AMOUNTS = ("ada", "bob"), (50, 250, 250, 260, 20_000)
PLACES = st.integers(0, 3)


class Lives(RuleBasedStateMachine):
    """`is_sql` is set by the subclasses."""

    is_sql = False

    def __init__(self) -> None:
        super().__init__()
        self.model = LifeModel(is_sql=self.is_sql)

    def teardown(self) -> None:
        self.model.close()

    def _one(self, found: list[Any], place: int) -> Any:
        return found[place % len(found)] if found else None

    def _review(self, place: int, *states: ReviewState) -> ReviewRecord | None:
        found = [one for one in self.model.reviews().values() if one.state in states]
        return self._one(sorted(found, key=lambda one: one.id), place)

    # -- agents ----------------------------------------------------------------------------------------------------

    @rule(agent=st.sampled_from(AGENTS), amount=st.sampled_from(AMOUNTS))
    def an_agent_calls_for_the_first_time_or_again(self, agent: str, amount: int) -> None:
        self.model.ask(agent, amount)

    @precondition(lambda self: self.model.answered())
    @rule(place=PLACES)
    def an_agent_presents_its_ticket(self, place: int) -> None:
        request = self._one(self.model.answered(), place)
        ticket = request.task.result().meta.get("ticket")
        self.model.give(request, is_delivered=True)
        if ticket is not None:
            self.model.ask(request.call.agent.id, request.call.arguments["amount"], ticket=ticket)

    @precondition(lambda self: self.model.waiting())
    @rule(place=PLACES)
    def an_agent_leaves(self, place: int) -> None:
        self._one(self.model.waiting(), place).left.set()
        self.model.turn()

    @precondition(lambda self: self.model.answered())
    @rule(place=PLACES, is_delivered=st.booleans())
    def an_answer_is_written_or_cannot_be(self, place: int, is_delivered: bool) -> None:
        self.model.give(self._one(self.model.answered(), place), is_delivered=is_delivered)

    # -- the tool --------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.flights)
    @rule(place=PLACES)
    def bytes_leave(self, place: int) -> None:
        flight = self._one(self.model.flights, place)
        if not flight.sent.happened:
            self.model.bytes_leave(flight)

    @precondition(lambda self: any(flight.sent.happened for flight in self.model.flights))
    @rule(place=PLACES, text=st.sampled_from(("clean", "redacted", "held")))
    def the_tool_answers(self, place: int, text: str) -> None:
        sent = [flight for flight in self.model.flights if flight.sent.happened]
        self.model.tool_answers(self._one(sent, place), text)

    @precondition(lambda self: self.model.flights)
    @rule(place=PLACES, text=st.sampled_from(("clean", "redacted", "held")), is_delivered=st.booleans())
    def a_call_is_answered_at_once(self, place: int, text: str, is_delivered: bool) -> None:
        before = self.model.answered()
        self.bytes_leave(place)
        self.model.tool_answers(self._one(self.model.flights, place), text)
        for request in self.model.answered():
            if request not in before:
                self.model.give(request, is_delivered=is_delivered)

    @precondition(lambda self: self.model.flights)
    @rule(place=PLACES)
    def the_connection_breaks(self, place: int) -> None:
        self.model.tool_breaks(self._one(self.model.flights, place))

    # -- people ----------------------------------------------------------------------------------------------------

    @rule(place=PLACES, act=st.sampled_from(("approve", "approve", "reject", "escalate")))
    def a_reviewer_decides(self, place: int, act: str) -> None:
        review = self._review(place, ReviewState.PARKED, ReviewState.APPROVING)
        if review is not None:
            self.model.act(act, review, "as I saw it")

    @rule(place=PLACES)
    def a_reviewer_approves_and_nobody_takes_it_back(self, place: int) -> None:
        review = self._review(place, ReviewState.PARKED)
        if review is not None and self.model.act("approve", review, "as I saw it"):
            self.time_passes_and_what_is_due_expires(UNDO_SEC + 1)

    @rule(place=PLACES, amount=st.sampled_from((40, 300, 50_000)))
    def a_reviewer_edits(self, place: int, amount: int) -> None:
        review = self._review(place, ReviewState.PARKED)
        if review is not None:
            self.model.act("edit", review, {"customer_id": "c1", "amount": amount}, "as I saw it")

    @rule(place=PLACES)
    def a_reviewer_takes_it_back(self, place: int) -> None:
        review = self._review(place, ReviewState.APPROVED, ReviewState.SPENDABLE)
        if review is not None:
            self.model.act("undo", review, "I misread it")

    @rule(place=PLACES, act=st.sampled_from(("release", "destroy")))
    def a_reviewer_decides_about_an_output(self, place: int, act: str) -> None:
        review = self._review(place, ReviewState.QUARANTINED)
        if review is not None and self.model.act(act, review, "as I saw it") and act == "release":
            self.model.released.add(review.call_id)

    @rule(place=PLACES, found=st.sampled_from(list(Found)))
    def a_reviewer_resolves_a_doubt(self, place: int, found: Found) -> None:
        doubts = [call for call in self.model.calls() if call.state is CallState.IN_DOUBT]
        if doubts:
            self.model.resolve(self._one(doubts, place), found)

    # -- the world -------------------------------------------------------------------------------------------------

    @rule(sec=st.sampled_from((1, 1, 6, 6, HOLD_SEC, 3_700, 15_000, 90_000)))
    def time_passes_and_what_is_due_expires(self, sec: int) -> None:
        self.model.time_passes(sec)
        self._tick()

    @rule(sec=st.sampled_from((-4_000, -60, 60, 4_000)))
    def the_clock_jumps(self, sec: int) -> None:
        self.model.wall += sec
        self.model.turn()

    @rule()
    def patience_ends(self) -> None:
        self.model.time_passes(HOLD_SEC)

    @rule(mode=st.sampled_from(("as written", "as written", "one more rule", "everything", "nothing")))
    def the_policy_changes(self, mode: str) -> None:
        self.model.policy.mode = mode

    @rule()
    def the_gate_crashes_and_starts_again(self) -> None:
        self.model.crash_and_start_again()

    @rule()
    def the_store_goes_down_or_comes_back(self) -> None:
        self.model.process.why_not = "" if self.model.process.why_not else "the disk is full"
        self.model.turn()
        self._tick()

    @rule(agent=st.sampled_from(AGENTS))
    def an_agent_is_stopped_or_let_go_again(self, agent: str) -> None:
        stop = next((one for one in self.model.stopped.all() if one.target == agent), None)
        if stop is not None:
            self.model.stopped.drop(stop.id)
        else:
            self.model.throw_the_switch(agent)

    def _tick(self) -> None:
        """What the gate's own ticker does."""
        try:
            self.model.run(self.model.inbox.expire_due(self.model.wall))
            self.model.run(self.model.runner.name_doubts(sent_before=self.model.wall - 30))
        except StoreDown:
            pass
        self.model.turn()

    @invariant()
    def every_promise_holds(self) -> None:
        check(self.model)


class LivesInSql(Lives):
    is_sql = True


def profile(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


@pytest.mark.parametrize("machine", [Lives, LivesInSql])
def test_p03_p04_p05_p08_whatever_happens_to_calls_in_whatever_order(machine: type[Lives]) -> None:
    run_state_machine_as_test(machine, settings=profile(10, 30))


@pytest.mark.long
@pytest.mark.parametrize("machine", [Lives, LivesInSql])
def test_p03_p04_p05_p08_whatever_happens_to_calls_in_whatever_order_at_length(machine: type[Lives]) -> None:
    run_state_machine_as_test(machine, settings=profile(200, 60))
