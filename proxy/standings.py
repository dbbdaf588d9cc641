"""Where every agent stands in every domain: levels and track records, in memory, kept in the store and the record.

Rules of this module:
* What a change means for an agent stands in the change itself (`Change.learned`); the store asks here before it writes.
  A fall counts from that moment on, before anything is written, and is written in the same transaction. So the very
  next call is judged at the new level, and a fall survives whatever the event that brought it survives.
* What only adds to a track record is written within a moment, and by itself. What cannot be written is tried again.
* A promotion that people must agree to is a review (`proxy/promotions.py`); of an agent in a domain one at a time. Its
  end without a yes starts the counting anew.
* Bounded: a row for each configured agent and each domain of the policies, with a bounded track record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from audit.entry import EntryDraft, EntryKind
from policies.autonomy import LEVEL_FACT, Autonomy, domains_of, frees, lowest
from policies.model import Direction, Json, ToolCall
from policies.snapshot import PolicySnapshot
from policies.track_record import Event, Outcome, Tally, TrackRecord
from proxy import promotions
from proxy.promotions import Commits, Naming
from proxy.tasks import spawn
from review.lifecycle import ReviewEvent, is_final, states_allowing
from review.model import AgentStanding, CallRecord, ReviewRecord, ReviewState
from review.ports import Change, ChangeLost, Learned, Lesson, MoveReview, Progress, PutStanding, StoreDown

log = structlog.get_logger("interlock.autonomy")

type Place = tuple[str, str]
"""Agent and domain."""

_FALLS = {Lesson.VIOLATION: Event.POLICY_VIOLATION, Lesson.INCIDENT: Event.SAFETY_INCIDENT}
_WHY = {
    Event.POLICY_VIOLATION: "policy_violation",
    Event.SAFETY_INCIDENT: "safety_incident",
    Event.ERROR_RATE: "error_rate_above",
}
_VOIDABLE = states_allowing(ReviewEvent.SUPERSEDED)


class StandingRecords(Protocol):
    """The store, as far as it is needed here."""

    async def apply(self, change: Change) -> None: ...
    async def review(self, review_id: str) -> ReviewRecord | None: ...
    async def standings(self) -> Sequence[AgentStanding]: ...


class Standings:
    """One per process. Implements `review.ports.Ladder`."""

    def __init__(
        self,
        records: StandingRecords,
        *,
        snapshot: Callable[[], PolicySnapshot],
        agents: Iterable[str],
        clock: Callable[[], float],
        ids: Naming,
        commits: Commits,
    ) -> None:
        self._records, self._snapshot, self._clock = records, snapshot, clock
        self._agents, self._ids, self._commits = frozenset(agents), ids, commits
        self._known: dict[Place, TrackRecord] = {}
        self._asked: dict[Place, str] = {}  # the open question about it
        self._void: set[str] = set()  # questions that a change of level has overtaken
        self._unwritten: dict[Place, list[EntryDraft]] = {}
        self._settling = asyncio.Lock()

    async def load(self) -> None:
        """At start. Raises: StoreDown."""
        for kept in await self._records.standings():
            place = (kept.agent, kept.domain)
            self._known[place] = TrackRecord.of_json(kept.level, kept.since, kept.outcomes)
            if kept.review_id is not None:
                self._asked[place] = kept.review_id

    # -- what policies may know ------------------------------------------------------------------------------------

    def facts(self, call: ToolCall) -> dict[str, Json]:
        """The fact `autonomy_level` of a call."""
        snapshot = self._snapshot()
        if snapshot.autonomy is None:
            return {LEVEL_FACT: 0}
        topics = snapshot.profile(call.server, call.tool, call.method, call.direction).labels.topics
        return {LEVEL_FACT: lowest(topics, lambda domain: self.level(call.agent.id, domain))}

    def level(self, agent: str, domain: str) -> int:
        """The level as the policies now have it; 0 where there are none."""
        ladder, known = self._snapshot().autonomy, self._known.get((agent, domain))
        return ladder.held(known.level) if ladder is not None and known is not None else 0

    # -- what happened ---------------------------------------------------------------------------------------------

    def learn(self, change: Change) -> Change:
        """Take up what a change means, and give it back with the rows and entries of whoever fell by it."""
        ladder = self._snapshot().autonomy
        if not change.learned or ladder is None:
            return change
        moved = [place for one in change.learned for place in self._take(one, ladder)]
        if not moved:
            return change
        if not change.durable:
            self._soon()
            return change
        entries = [entry for place in moved for entry in self._unwritten.pop(place, ())]
        rows = tuple(PutStanding(self._row(place)) for place in dict.fromkeys(moved))
        if self._void:
            self._soon()
        # Whether the call is a sample is drawn from the hash of the change's last entry: ours go before it.
        told = (*change.entries, *entries) if change.drawn is None else (*entries, *change.entries)
        return replace(change, rows=(*change.rows, *rows), entries=told)

    def not_written(self, change: Change) -> None:
        """The store did not take a change that `learn` gave back: what it says of levels stands all the same."""
        for row in change.rows:
            if isinstance(row, PutStanding):
                place = (row.standing.agent, row.standing.domain)
                own = [entry for entry in change.entries if entry.kind is EntryKind.AGENT_DEMOTED]
                kept = [one for one in own if (one.body["agent"], one.body["domain"]) == place]
                self._unwritten.setdefault(place, []).extend(kept)

    def heard(self, change: Change | None) -> None:
        """A change was committed: perhaps it settles a question of ours. None: it is not known what was."""
        ours = self._asked.values()
        if self._asked and (
            change is None or any(isinstance(row, MoveReview) and row.review_id in ours for row in change.rows)
        ):
            self._soon()

    def _take(self, one: Learned, ladder: Autonomy) -> list[Place]:
        """The places whose level changed at once."""
        call, now = one.call, self._clock()
        domains = domains_of(call.decision.get("topics") or ())
        event = _FALLS.get(one.lesson)
        if event is None:
            return [
                place for domain in domains for place in self._count((call.agent, domain), call, one.lesson, ladder)
            ]
        triggers = {
            Event.POLICY_VIOLATION: ladder.demotion.policy_violation,
            Event.SAFETY_INCIDENT: ladder.demotion.safety_incident,
        }
        if not triggers[event]:
            return []
        places = [(call.agent, domain) for domain in domains] or self._places(call.agent)
        for place in places:
            self._fall(place, event, ladder, now, call_id=call.id)
        return places

    def _count(self, place: Place, call: CallRecord, lesson: Lesson, ladder: Autonomy) -> list[Place]:
        known, now = self._known.setdefault(place, TrackRecord()), self._clock()
        match lesson:
            case Lesson.WENT_WELL:
                counts = self._is_freed_above(call, known.level, ladder)
                known.note(Outcome.COUNTS if counts else Outcome.WENT_WELL, call.repeat_key, now)
            case Lesson.JUDGED_WRONG:
                known.judge_wrong(call.repeat_key, now)
            case _:
                known.note(Outcome.WENT_WRONG, call.repeat_key, now)
        self._unwritten.setdefault(place, [])
        tally = known.errs_too_often(ladder, now) if lesson is not Lesson.WENT_WELL else None
        if tally is not None:
            self._fall(place, Event.ERROR_RATE, ladder, now, call_id=call.id, **_counted(tally))
            return [place]
        return []  # whether it may rise is looked at when this is written

    def _is_freed_above(self, call: CallRecord, level: int, ladder: Autonomy) -> bool:
        above = ladder.held(level) + 1
        if above > ladder.last:
            return False
        profile = self._snapshot().profile(call.server, call.tool, call.method, Direction(call.direction))
        return frees(ladder.levels[above], profile.levels[above])

    def _fall(self, place: Place, event: Event, ladder: Autonomy, now: float, **more: object) -> None:
        known = self._known.setdefault(place, TrackRecord())
        was = ladder.held(known.level)
        self._moved(place, EntryKind.AGENT_DEMOTED, was, known.fall(ladder, event, now), {"why": _WHY[event], **more})

    def _moved(
        self, place: Place, kind: EntryKind, was: int, level: int, more: dict[str, object], *, by: str = "gate"
    ) -> None:
        """Note that a level was changed; a question about the old one is void."""
        overtaken = self._asked.pop(place, None)
        if overtaken is not None:
            self._void.add(overtaken)
        entry = promotions.moved(kind, self._row(place), was, self._clock(), by=by, **more)
        self._unwritten.setdefault(place, []).append(entry)
        log.warning(kind.value, agent=place[0], domain=place[1], was=was, level=level)

    def _row(self, place: Place) -> AgentStanding:
        known = self._known[place]
        agent, domain = place
        return AgentStanding(agent, domain, known.level, known.since, known.to_json(), self._asked.get(place))

    def _places(self, agent: str) -> list[Place]:
        return [place for place in self._known if place[0] == agent]

    # -- writing, asking and concluding ----------------------------------------------------------------------------

    def _soon(self) -> None:
        spawn(self.settle(), name="standings")

    async def settle(self) -> None:
        """Write what is not written, ask what is to be asked, conclude what was answered. For the ticker too."""
        async with self._settling:
            try:
                for place in [*self._asked]:
                    await self._conclude(place)
                for review_id in [*self._void]:
                    await self._supersede(review_id)
                await self._promote_due([*self._unwritten])
                await self._write()
            except StoreDown as down:
                log.error("standings_not_written", why=str(down))

    async def _promote_due(self, places: Iterable[Place]) -> None:
        ladder = self._snapshot().autonomy
        if ladder is None or ladder.promotion is None:
            return
        for place in places:
            known = self._known[place]
            tally = known.may_rise(ladder, self._clock()) if place not in self._asked else None
            if tally is None:
                continue
            if ladder.promotion.requires_human_sign_off:
                await self._ask(place, ladder, tally)
                continue
            was = ladder.held(known.level)
            level = known.rise(ladder, self._clock())
            self._moved(place, EntryKind.AGENT_PROMOTED, was, level, _counted(tally), by=self._by_policy())

    def _by_policy(self) -> str:
        return f"policy:promotion_criteria@{self._snapshot().id}"

    async def _ask(self, place: Place, ladder: Autonomy, tally: Tally) -> None:
        standing = self._row(place)
        change = promotions.asked(
            standing,
            promotions.evidence(standing, ladder, tally),
            self._snapshot().id,
            self._clock(),
            ids=self._ids,
            commits=self._commits,
        )
        review_id = next(row.standing.review_id for row in change.rows if isinstance(row, PutStanding))
        assert review_id is not None
        self._asked[place] = review_id
        try:
            await self._records.apply(change)
        except StoreDown:
            if self._asked.get(place) == review_id:
                del self._asked[place]
            raise

    async def _conclude(self, place: Place) -> None:
        """Promote by an approval that can be spent; begin anew where the question is over."""
        review_id = self._asked.get(place)
        review = await self._records.review(review_id) if review_id is not None else None
        ladder, known = self._snapshot().autonomy, self._known[place]
        if review_id is None or ladder is None or self._asked.get(place) != review_id:
            return
        if review is not None and review.state is ReviewState.SPENDABLE:
            was = ladder.held(known.level)
            raised = replace(self._row(place), level=min(was + 1, ladder.last), since=self._clock(), outcomes=[])
            by = f"reviewer:{review.settled_by}"
            entry = promotions.moved(
                EntryKind.AGENT_PROMOTED, replace(raised, review_id=None), was, self._clock(), by=by, review=review_id
            )
            granted = promotions.agreed(replace(raised, review_id=None), review, entry, self._clock())
            try:
                await self._records.apply(granted)
            except ChangeLost:
                return  # taken back, or lapsed, in the same moment
            if self._asked.pop(place, None) is not None:
                known.set(raised.level, raised.since)
            else:  # it fell while this was being written: the fall stands
                self._unwritten.setdefault(place, [])
        elif review is None or is_final(review.state):
            del self._asked[place]
            known.restart()
            self._unwritten.setdefault(place, []).append(
                promotions.moved(
                    EntryKind.PROMOTION_REFUSED,
                    self._row(place),
                    ladder.held(known.level),
                    self._clock(),
                    by="gate" if review is None else review.settled_by or "gate",
                    review=review_id,
                )
            )

    async def _supersede(self, review_id: str) -> None:
        review = await self._records.review(review_id)
        if review is not None and review.state in _VOIDABLE:
            try:
                await self._records.apply(promotions.superseded(review, self._clock()))
            except ChangeLost:
                return  # it was decided in the same moment: looked at again at the next tick
        elif review is not None and not is_final(review.state) and review.state is not ReviewState.SPENT:
            return  # its time to take back must pass first
        self._void.discard(review_id)

    async def _write(self) -> None:
        for place in [*self._unwritten]:
            entries = self._unwritten.pop(place)
            try:
                await self._records.apply(Change(rows=(PutStanding(self._row(place)),), entries=tuple(entries)))
            except StoreDown:
                self._unwritten.setdefault(place, [])[:0] = entries
                raise

    # -- review.ports.Ladder: for people ---------------------------------------------------------------------------

    def progress(self) -> Sequence[Progress]:
        """Every agent's level and evidence, in every domain of the policies."""
        snapshot = self._snapshot()
        ladder = snapshot.autonomy
        if ladder is None:
            return ()
        domains = {domain for entry in snapshot.classify for domain in domains_of(entry.topics)}
        places = {*self._known, *((agent, domain) for agent in self._agents for domain in domains)}
        return [self._progress(place, ladder) for place in sorted(places)]

    def _progress(self, place: Place, ladder: Autonomy) -> Progress:
        known = self._known.get(place) or TrackRecord()
        criteria = ladder.promotion
        tally = known.tally(self._clock(), criteria.review_period_days if criteria is not None else 7)
        return Progress(
            agent=place[0],
            domain=place[1],
            level=ladder.held(known.level),
            name=ladder.name(known.level),
            last=ladder.last,
            since=known.since,
            successes=tally.successes,
            wanted=criteria.min_successful_actions if criteria is not None else None,
            calls=tally.calls,
            errors=tally.errors,
            review_id=self._asked.get(place),
        )

    def is_known(self, agent: str) -> bool:
        return agent in self._agents or any(place[0] == agent for place in self._known)

    async def put(self, agent: str, domain: str, level: int, *, by: str, why: str) -> Progress:
        """Set a level by hand. Raises: ValueError for a level there is not, StoreDown."""
        ladder = self._snapshot().autonomy
        if ladder is None or not 0 <= level <= ladder.last:
            raise ValueError("there is no such level")
        place, now = (agent, domain), self._clock()
        known = self._known.setdefault(place, TrackRecord())
        was = ladder.held(known.level)
        kind = EntryKind.AGENT_PROMOTED if level > was else EntryKind.AGENT_DEMOTED
        if level <= was:  # tightening: in force at once
            known.set(level, now)
            self._moved(place, kind, was, level, {"why": why}, by=by)
        async with self._settling:
            if level > was:  # loosening: recorded first
                standing = replace(self._row(place), level=level, since=now, outcomes=[], review_id=None)
                entry = promotions.moved(kind, standing, was, now, by=by, why=why)
                await self._records.apply(Change(rows=(PutStanding(standing),), entries=(entry,)))
                known.set(level, now)
                overtaken = self._asked.pop(place, None)
                if overtaken is not None:
                    self._void.add(overtaken)
            else:
                await self._write()
        if self._void:
            self._soon()
        return self._progress(place, ladder)

    async def incident(self, agent: str, domain: str | None, *, by: str, why: str) -> Sequence[Progress]:
        """A safety incident that a person reports: to level 0. Raises: StoreDown (and it is in force all the same)."""
        ladder, now = self._snapshot().autonomy, self._clock()
        if ladder is None:
            raise ValueError("there are no autonomy levels")
        body = {"agent": agent, "domain": domain, "why": why}
        opened = EntryDraft(EntryKind.INCIDENT_OPENED, now, by, None, body)
        places = [(agent, domain)] if domain is not None else self._places(agent)
        for number, place in enumerate(places):
            if number == 0:
                self._unwritten.setdefault(place, []).append(opened)
            self._fall(place, Event.SAFETY_INCIDENT, ladder, now)
        async with self._settling:
            if not places:
                await self._records.apply(Change(entries=(opened,)))
            await self._write()
        if self._void:
            self._soon()
        return [self._progress(place, ladder) for place in places]


def _counted(tally: Tally) -> dict[str, object]:
    return {"successes": tally.successes, "calls": tally.calls, "errors": tally.errors}
