"""The inbox: the only way in which people see and change reviews.

Rules of this module:
* Every act goes through here, whatever the door: console, command line, later chat. No door writes records itself.
* Reading never changes anything. Everybody who is logged in may read; acting is decided per act, at commit.
* Lists are bounded and sorted by what is most urgent: deadline first, then risk.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from policies.model import Direction, JsonObject, Risk
from review import (
    agreement,
    autonomy,
    claims,
    comments,
    decisions,
    doubts,
    edits,
    expiry,
    outputs,
    samples,
    stops,
    vetoes,
    votes,
)
from review.binding import binding_of
from review.board import Beside, Board, Choices, Count, Counts, QueueName, QueuePage, Sought
from review.desk import Acted, Desk, Seen, recount
from review.doubts import Found
from review.lifecycle import ReviewEvent, states_allowing
from review.model import (
    CallRecord,
    CallState,
    Reviewer,
    ReviewKind,
    ReviewRecord,
    ReviewState,
    Standing,
    Stop,
    StopScope,
    Vote,
)
from review.ports import Listed, Progress, ToolSeen
from review.precedents import Precedents, precedents_of
from review.refusals import NotAllowed, NotFound

SESSION_CALLS = 10
DOUBTFUL_MAX = 200  # of the calls in doubt that a list shows: the oldest; they move up as they are resolved


@dataclass(frozen=True, slots=True)
class Queue:
    """What there is to do. `undoable` are approvals that can still be taken back; `settled` what was decided lately."""

    waiting: tuple[Listed, ...]
    held: tuple[Listed, ...]
    undoable: tuple[Listed, ...]
    in_doubt: tuple[CallRecord, ...]
    settled: tuple[Listed, ...]
    drifted: tuple[ToolSeen, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything about one call that a page shows. `cannot_decide` and `cannot_object` are None, or say why not.

    `digest` is computed from exactly what is shown here; a form sends it back, and an act compares it with the binding.
    """

    call: CallRecord
    review: ReviewRecord | None
    votes: tuple[Vote, ...]
    comments: tuple[Vote, ...]
    tally: agreement.Tally | None
    entries: tuple[JsonObject, ...]
    definition: ToolSeen | None
    digest: str | None
    cannot_decide: str | None
    cannot_object: str | None
    can_be_vetoed: bool  # it goes, or would have gone, without anybody's yes, and has not been sent
    escalates_to: str | None  # whom escalating would ask now; None where there is nobody further, or nothing to ask


@dataclass(frozen=True, slots=True)
class Background:
    """What helps to decide and is not the call itself: the like cases, and what the agent's session did last.

    `session` is newest first and holds the call itself; it is empty where the agent has no session. `question` is what
    the tool asked, where the call is the agent's answer to it and no other question of the kind is open in the session.
    """

    precedents: Precedents
    session: tuple[CallRecord, ...]
    question: CallRecord | None = None


class Inbox:
    """The use cases over one Desk of ports."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._board = Board(desk.records)
        desk.records.listen(self._board.heard)

    async def load(self) -> None:
        """Read what is open, so that the first who looks need not wait for it. Raises: StoreDown."""
        await self._board.refresh()

    async def page(self, reviewer: Reviewer, sought: Sought) -> QueuePage:
        """One page of a queue, the most urgent first. Raises: Unacceptable, StoreDown."""
        return await self._board.page(reviewer, sought, self._desk.clock())

    async def beside(self, reviewer: Reviewer, queue: QueueName, review_id: str) -> Beside:
        """What comes before and after a review in one of this person's queues. Raises: StoreDown."""
        return await self._board.beside(reviewer, queue, review_id, self._desk.clock())

    async def choices(self, reviewer: Reviewer, queue: QueueName) -> Choices:
        """What one can filter a queue by. Raises: StoreDown."""
        return await self._board.choices(reviewer, queue, self._desk.clock())

    async def agreed(self, item: Listed) -> tuple[str, ...]:
        """Who agrees so far, where several must. Raises: StoreDown."""
        if item.review.state is not ReviewState.APPROVING:
            return ()
        return agreement.agreeing(await self._desk.records.votes(item.review.id))

    async def doubtful(self) -> Sequence[CallRecord]:
        """Calls in doubt, the oldest first. Raises: StoreDown."""
        return await self._desk.records.calls_in([CallState.IN_DOUBT], limit=DOUBTFUL_MAX)

    async def decided(self, *, limit: int = 50) -> Sequence[Listed]:
        """What was settled lately, the latest first. Raises: StoreDown."""
        recent = await self._desk.records.recent_reviews(limit=limit)
        return tuple(one for one in recent if not one.review.state.is_open and one.review.state not in _UNDOABLE)

    async def drifted(self) -> Sequence[ToolSeen]:
        """Tools that are new or changed since a person accepted them. Raises: StoreDown."""
        return tuple(await self._desk.inventory.drifted()) if self._desk.inventory is not None else ()

    async def counts(self, reviewer: Reviewer) -> Counts:
        """How many stand in each of this person's queues, and for how long. Raises: StoreDown."""
        return await self._board.counts(reviewer, self._desk.clock())

    async def queue(self, *, limit: int = 500) -> Queue:
        """Raises: StoreDown."""
        records = self._desk.records
        open_now = sorted(await records.open_reviews(limit=limit), key=_urgency)
        recent = await records.recent_reviews(limit=50)
        return Queue(
            waiting=tuple(i for i in open_now if i.review.state in (ReviewState.PARKED, ReviewState.APPROVING)),
            held=tuple(i for i in open_now if i.review.state is ReviewState.QUARANTINED),
            undoable=_undoable(open_now, recent),
            in_doubt=tuple(await records.calls_in([CallState.IN_DOUBT], limit=limit)),
            settled=tuple(i for i in recent if not i.review.state.is_open and i.review.state not in _UNDOABLE),
            drifted=tuple(await self.drifted()),
        )

    async def show(self, call_id: str, reviewer: Reviewer) -> Shown:
        """One call, by its own id or by its review's. Raises: NotFound, StoreDown."""
        records = self._desk.records
        review = await records.review(call_id)
        call = await records.call(review.call_id if review is not None else call_id)
        if call is None:
            raise NotFound(f"call {call_id}")
        if review is None and call.review_id is not None:
            review = await records.review(call.review_id)
        if review is None:
            review = await records.afterwards(call.id)
        given = tuple(await records.votes(review.id)) if review is not None else ()
        tally = await recount(self._desk, review, call, given) if review is not None else None
        inventory = self._desk.inventory
        return Shown(
            call=call,
            review=review,
            votes=comments.without_comments(given),
            comments=comments.comments_of(given),
            tally=tally,
            entries=tuple(await records.entries_for(call.id)),
            definition=await inventory.tool(call.server, call.tool) if inventory is not None else None,
            digest=binding_of(review, call) if review is not None else None,
            cannot_decide=_why_not_decide(reviewer, review, call, given),
            cannot_object=_why_not_object(reviewer, review),
            can_be_vetoed=review is not None and vetoes.can_be_vetoed(review, call),
            escalates_to=self._escalates_to(review),
        )

    def _escalates_to(self, review: ReviewRecord | None) -> str | None:
        if review is None or review.state not in states_allowing(ReviewEvent.ESCALATED):
            return None
        return votes.next_stage(review, self._desk.settings.escalation_default)

    async def background(self, shown: Shown) -> Background:
        """For the call's page; acts do not need it. Raises: StoreDown."""
        call, records = shown.call, self._desk.records
        last = await records.session_calls(call.agent, call.session, limit=SESSION_CALLS) if call.session else ()
        asked = _question(call, last)
        question = await records.call(asked.id) if asked is not None else None  # whole: the list has it in brief
        return Background(await precedents_of(self._desk, call), tuple(last), question)

    async def claim(self, review_id: str, reviewer: Reviewer, seen: Seen) -> Acted:
        return await claims.claim(self._desk, review_id, reviewer, seen)

    async def unclaim(self, review_id: str, reviewer: Reviewer, seen: Seen) -> Acted:
        return await claims.unclaim(self._desk, review_id, reviewer, seen)

    async def approve(self, review_id: str, reviewer: Reviewer, seen: Seen, comment: str = "") -> Acted:
        return await votes.approve(self._desk, review_id, reviewer, seen, comment)

    async def reject(self, review_id: str, reviewer: Reviewer, seen: Seen, comment: str) -> Acted:
        return await votes.reject(self._desk, review_id, reviewer, seen, comment)

    async def edit(
        self, review_id: str, reviewer: Reviewer, seen: Seen, arguments: JsonObject, comment: str = ""
    ) -> Acted:
        return await edits.edit(self._desk, review_id, reviewer, seen, arguments, comment)

    async def preview(self, review_id: str, reviewer: Reviewer, arguments: JsonObject) -> edits.Rewritten:
        return await edits.preview(self._desk, review_id, reviewer, arguments)

    async def escalate(self, review_id: str, reviewer: Reviewer, seen: Seen, comment: str = "") -> Acted:
        return await votes.escalate(self._desk, review_id, reviewer, seen, comment)

    async def comment(self, review_id: str, reviewer: Reviewer, said: str) -> Acted:
        return await comments.comment(self._desk, review_id, reviewer, said)

    async def veto(self, review_id: str, reviewer: Reviewer, seen: Seen, comment: str) -> Acted:
        return await vetoes.veto(self._desk, review_id, reviewer, seen, comment)

    async def unjudged(self, *, limit: int, after: tuple[float, str] = (0.0, "")) -> Sequence[Listed]:
        """Calls that are over and wait for people's judgement, the oldest first. Raises: StoreDown."""
        return await self._desk.records.unjudged(limit=limit, after=after)

    async def count_unjudged(self) -> Count:
        """Raises: StoreDown."""
        return Count(*await self._desk.records.count_unjudged())

    async def judge(self, review_id: str, reviewer: Reviewer, seen: Seen, verdict: str, note: str) -> Acted:
        return await samples.judge(self._desk, review_id, reviewer, seen, verdict, note)

    def watching(self, reviewer: Reviewer) -> AbstractContextManager[None]:
        """While it lasts, this person receives the live feed."""
        feed = self._desk.feed
        return feed.watched_by(reviewer) if feed is not None else nullcontext()

    async def undo(self, review_id: str, reviewer: Reviewer, seen: Seen, comment: str = "") -> Acted:
        return await votes.undo(self._desk, review_id, reviewer, seen, comment)

    async def release(self, review_id: str, reviewer: Reviewer, seen: Seen, comment: str) -> Acted:
        return await outputs.release(self._desk, review_id, reviewer, seen, comment)

    async def destroy(self, review_id: str, reviewer: Reviewer, seen: Seen, comment: str) -> Acted:
        return await outputs.destroy(self._desk, review_id, reviewer, seen, comment)

    async def release_redacted(
        self,
        review_id: str,
        reviewer: Reviewer,
        seen: Seen,
        comment: str,
        let_through: frozenset[str] = frozenset(),
    ) -> Acted:
        return await outputs.release_redacted(self._desk, review_id, reviewer, seen, comment, let_through)

    async def reveal(
        self,
        review_id: str,
        reviewer: Reviewer,
        seen: Seen,
        comment: str,
        *,
        redacted_but: frozenset[str] | None = None,
    ) -> outputs.Revealed:
        return await outputs.reveal(self._desk, review_id, reviewer, seen, comment, redacted_but=redacted_but)

    async def resolve(self, call_id: str, reviewer: Reviewer, found: Found, note: str, *, version: int) -> None:
        await doubts.resolve(self._desk, call_id, reviewer, found, note, version=version)

    async def accept_definition(
        self, server: str, tool: str, reviewer: Reviewer, *, digest: str, comment: str = ""
    ) -> None:
        await doubts.accept_definition(self._desk, server, tool, reviewer, digest=digest, comment=comment)

    def stops(self) -> Sequence[Standing]:
        """What is stopped now, oldest first."""
        return self._desk.switch.standing() if self._desk.switch is not None else ()

    def stoppable(self, scope: StopScope) -> Sequence[str]:
        """The names that a stop of this kind may be for."""
        return self._desk.switch.names(scope) if self._desk.switch is not None else ()

    async def stop(self, scope: StopScope, target: str, reviewer: Reviewer, why: str = "") -> Standing:
        return await stops.order(self._desk, reviewer, scope, target, why)

    async def lift_stop(self, stop_id: str, reviewer: Reviewer, why: str) -> Stop:
        return await stops.lift(self._desk, reviewer, stop_id, why)

    def autonomy(self, agent: str | None = None) -> Sequence[Progress]:
        """Where agents stand, or one of them. Raises: NotFound for an agent nobody knows."""
        return autonomy.progress(self._desk, agent)

    async def move_agent(
        self, agent: str, domain: str, reviewer: Reviewer, why: str, *, up: bool, level: int | None = None
    ) -> Progress:
        return await autonomy.move(self._desk, reviewer, agent, domain, why, up=up, level=level)

    async def report_incident(self, agent: str, domain: str | None, reviewer: Reviewer, why: str) -> Sequence[Progress]:
        return await autonomy.report(self._desk, reviewer, agent, domain, why)

    async def expire_due(self, now: float) -> int:
        """For the gate's own ticker, not for people. Raises: StoreDown."""
        return await expiry.expire_due(self._desk, now)

    async def rest_sec(self, now: float, *, at_most: float) -> float:
        """How long the ticker may rest until something is due. Raises: StoreDown."""
        due_at = await self._desk.records.next_due(now)
        return at_most if due_at is None else min(at_most, due_at - now)


_UNDOABLE = states_allowing(ReviewEvent.UNDONE)
_RISK_ORDER = {Risk.HIGH: 0, None: 1, Risk.MEDIUM: 2, Risk.LOW: 3}


def _urgency(item: Listed) -> tuple[float, int, float]:
    """Whole minutes to the deadline first, so that risk orders what is due together."""
    return (item.review.expires_at // 60, _RISK_ORDER[decisions.risk_of(item.call.decision)], item.review.opened_at)


def _undoable(open_now: Sequence[Listed], recent: Sequence[Listed]) -> tuple[Listed, ...]:
    both = {item.review.id: item for item in (*open_now, *recent)}
    return tuple(item for item in both.values() if item.review.state in _UNDOABLE)


def _question(call: CallRecord, session: Sequence[CallRecord]) -> CallRecord | None:
    """Which of several open questions an answer is for is not known here: rather none is shown than a wrong one."""
    if call.direction != Direction.AGENT_ANSWER:
        return None
    asked = [
        one
        for one in session
        if (one.direction, one.method, one.state) == (Direction.TOOL_TO_AGENT, call.method, CallState.DISPATCHING)
    ]
    return asked[0] if len(asked) == 1 else None


def _why_not_decide(
    reviewer: Reviewer, review: ReviewRecord | None, call: CallRecord, given: Sequence[Vote]
) -> str | None:
    if review is None:
        return "There is no question about this call."
    if reviewer.name in agreement.agreeing(given):
        return "You have agreed already."
    if review.kind is ReviewKind.APPROVAL and reviewer.name in agreement.uncounted_editors(given):
        return "You changed this call: another person must agree to it."
    try:
        agreement.check_may_decide(reviewer, review, call)
    except NotAllowed as why:
        return why.message
    return None


def _why_not_object(reviewer: Reviewer, review: ReviewRecord | None) -> str | None:
    if review is None:
        return "There is no question about this call."
    try:
        agreement.check_may_object(reviewer, review)
    except NotAllowed as why:
        return why.message
    return None
