"""The board: every open question in memory, so that queues can be counted, sorted, searched and paged at any length.

Rules of this module:
* It is a view. What a page shows is read from the store by id, and every act reads and compares for itself.
* It is kept true by the changes the store has committed, in their order. A change that does not say enough marks its
  review, which is read again before the next answer; after a failure of the store everything is read anew.
* Order: whole minutes to the deadline, then risk, then age. A page begins after a place in that order, not at a number:
  what comes and goes meanwhile moves no row to another page.
* It reads no clock. Bounded by the cap on open questions; a page is bounded by `PAGE_ROWS_MAX` (P14).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest

from policies.model import Risk
from review import agreement, decisions
from review.model import CallRecord, CallState, Reviewer, ReviewKind, ReviewRecord, ReviewState
from review.ports import Change, InsertCall, InsertReview, Listed, MoveCall, MoveReview, Records
from review.refusals import NotAllowed, RefusalCode, Unacceptable

PAGE_ROWS_MAX = 200
SEARCH_CHARS_MAX = 200
_READ_AT_ONCE = 500
_ALL_MAX = 20_000

_RISK_ORDER = {Risk.HIGH: 0, None: 1, Risk.MEDIUM: 2, Risk.LOW: 3}

type Urgency = tuple[int, int, float, str]
"""Minute of the deadline, risk, time of opening, id: the place of a review in every list."""


class QueueName(StrEnum):
    """What can be asked for. `calls in doubt` are a list of calls, not of reviews, and only counted here."""

    WAITING = "waiting"  # every question about a call
    MINE = "mine"  # of them, those this person may decide and nobody else has claimed
    TEAM = "team"  # those that name a team this person is in, or were escalated to it
    CLAIMED = "claimed"  # those this person has claimed
    ESCALATED = "escalated"
    QUARANTINE = "quarantine"  # held outputs
    VETOABLE = "vetoable"  # goes by itself when its window has passed
    UNDOABLE = "undoable"  # approved and not yet sent: held, or waiting for the agent to come back


@dataclass(frozen=True, slots=True)
class Sought:
    """Which rows, and from where on. `text` is looked for in agent, server, tool, rules and ids, whatever its case."""

    queue: QueueName = QueueName.WAITING
    risk: str | None = None  # low · medium · high · unrated
    agent: str | None = None
    server: str | None = None
    tool: str | None = None
    text: str = ""
    after: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Rows as the store has them now; how many there are in all; where the next page begins, or None."""

    items: tuple[Listed, ...]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many, and since when the one that waits longest."""

    count: int = 0
    oldest_at: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Every queue of one person, and the calls in doubt."""

    queues: Mapping[QueueName, Count]
    in_doubt: Count


@dataclass(frozen=True, slots=True)
class Beside:
    """The calls before and after one in a queue, and its place (0: it is not there, and `next` is the first)."""

    total: int
    place: int = 0
    before: str | None = None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """Agents, and tools with their servers, with how many rows each has."""

    agents: Counter[str]
    tools: Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Row:
    """One open review and what lists need of its call."""

    review: ReviewRecord
    agent: str
    on_behalf_of: str | None
    server: str
    tool: str
    rules: tuple[str, ...]
    risk: Risk | None
    urgency: Urgency

    @property
    def is_waiting(self) -> bool:
        return self.review.state in (ReviewState.PARKED, ReviewState.APPROVING)


class Board:
    """One per process; `heard` is for the store, the rest for the inbox."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._rows: dict[str, _Row] = {}
        self._doubts: dict[str, float] = {}
        self._marked: set[str] = set()
        self._is_whole = False
        self._late: list[Change | None] | None = None  # what was heard while something is being read
        self._reading = asyncio.Lock()

    # -- kept true -------------------------------------------------------------------------------------------------

    def heard(self, change: Change | None) -> None:
        """A change was committed; None: it is not known what was."""
        if self._late is not None:
            self._late.append(change)
        elif self._is_whole:
            self._take_up(change)
        # else: everything is read before the next answer

    def _take_up(self, change: Change | None) -> None:
        if change is None:
            self._is_whole = False
            return
        calls = {row.call.id: row.call for row in change.rows if isinstance(row, InsertCall)}
        for row in change.rows:
            match row:
                case InsertReview(review) if not _is_live(review.state):
                    pass  # a call to be judged afterwards: as many as there are, so they are read where they stand
                case InsertReview(review):
                    call = calls.get(review.call_id)
                    if call is not None:
                        self._put(review, call)
                    else:
                        self._marked.add(review.id)
                case MoveReview(review_id, _, to):
                    if _is_live(to):
                        self._marked.add(review_id)
                    else:
                        self._rows.pop(review_id, None)
                        self._marked.discard(review_id)
                case MoveCall(call_id, _, CallState.IN_DOUBT, fields):
                    self._doubts[call_id] = float(fields.get("updated_at", 0.0))
                case MoveCall(call_id, expect) if CallState.IN_DOUBT in expect:
                    self._doubts.pop(call_id, None)
                case _:
                    pass

    async def refresh(self) -> None:
        """Read what is marked, or everything. Raises: StoreDown."""
        async with self._reading:
            while self._marked or not self._is_whole:
                await self._read()

    async def _read(self) -> None:
        """What is heard meanwhile is taken up afterwards, in its order: what was read may be older than that."""
        self._late = []
        try:
            await (self._read_marked() if self._is_whole else self._read_all())
        except BaseException:
            self._is_whole = False  # what was marked is forgotten: next time everything is read
            raise
        finally:
            late, self._late = self._late, None
            for change in late:
                self.heard(change)

    async def _read_marked(self) -> None:
        ids = [self._marked.pop() for _ in range(min(len(self._marked), _READ_AT_ONCE))]
        found = {item.review.id: item for item in await self._records.listed(ids)}
        for review_id in ids:
            item = found.get(review_id)
            if item is not None and _is_live(item.review.state):
                self._put(item.review, item.call)
            else:
                self._rows.pop(review_id, None)

    async def _read_all(self) -> None:
        self._marked.clear()
        doubts = await self._records.calls_in([CallState.IN_DOUBT], limit=_ALL_MAX)
        found = await self._records.listed(await self._records.live_reviews())
        self._doubts = {call.id: call.updated_at for call in doubts}
        self._rows = {}
        for item in found:
            self._put(item.review, item.call)
        self._is_whole = True

    def _put(self, review: ReviewRecord, call: CallRecord) -> None:
        risk = decisions.risk_of(call.decision)
        urgency = (int(review.expires_at // 60), _RISK_ORDER[risk], review.opened_at, review.id)
        rules = decisions.determining(call.decision)
        self._rows[review.id] = _Row(
            review, call.agent, call.on_behalf_of, call.server, call.tool, rules, risk, urgency
        )

    # -- asked -------------------------------------------------------------------------------------------------------

    async def page(self, reviewer: Reviewer, sought: Sought, now: float) -> QueuePage:
        """Raises: Unacceptable, StoreDown."""
        after = _place(sought.after) if sought.after is not None else None
        limit = max(1, min(sought.limit, PAGE_ROWS_MAX))
        await self.refresh()
        belongs, matches = _belonging(reviewer, now)[sought.queue], _matching(sought)
        rows = [row for row in self._rows.values() if belongs(row) and matches(row)]
        beyond = rows if after is None else [row for row in rows if row.urgency > after]
        shown = nsmallest(limit, beyond, key=lambda row: row.urgency)
        found = {item.review.id: item for item in await self._records.listed([row.review.id for row in shown])}
        is_last = len(beyond) <= limit
        return QueuePage(
            items=tuple(found[row.review.id] for row in shown if row.review.id in found),
            total=len(rows),
            next=None if is_last else _written(shown[-1].urgency),
        )

    async def beside(self, reviewer: Reviewer, queue: QueueName, review_id: str, now: float) -> Beside:
        """Where a review stands in a queue. Raises: StoreDown."""
        await self.refresh()
        belongs = _belonging(reviewer, now)[queue]
        rows = sorted((row for row in self._rows.values() if belongs(row)), key=lambda row: row.urgency)
        at = next((at for at, row in enumerate(rows) if row.review.id == review_id), None)
        if at is None:
            return Beside(total=len(rows), next=rows[0].review.call_id if rows else None)
        before = rows[at - 1].review.call_id if at > 0 else None
        after = rows[at + 1].review.call_id if at + 1 < len(rows) else None
        return Beside(len(rows), at + 1, before, after)

    async def choices(self, reviewer: Reviewer, queue: QueueName, now: float) -> Choices:
        """What one can filter a queue by. Raises: StoreDown."""
        await self.refresh()
        belongs = _belonging(reviewer, now)[queue]
        rows = [row for row in self._rows.values() if belongs(row)]
        return Choices(Counter(row.agent for row in rows), Counter((row.server, row.tool) for row in rows))

    async def counts(self, reviewer: Reviewer, now: float) -> Counts:
        """Raises: StoreDown."""
        await self.refresh()
        belonging = _belonging(reviewer, now)
        queues = {
            name: _counted(row.review.opened_at for row in self._rows.values() if belongs(row))
            for name, belongs in belonging.items()
        }
        return Counts(queues, _counted(iter(self._doubts.values())))


def _is_live(state: ReviewState) -> bool:
    """Whether people can still decide it or take it back."""
    return state.is_open or state is ReviewState.SPENDABLE


def _counted(times: Iterator[float]) -> Count:
    all_times = list(times)
    return Count(len(all_times), min(all_times, default=None))


def _belonging(reviewer: Reviewer, now: float) -> Mapping[QueueName, Callable[[_Row], bool]]:
    """Which rows stand in which of this person's queues."""
    may = _Deciding(reviewer)

    def claimed_by(row: _Row) -> str | None:
        return row.review.claimed_by if (row.review.claimed_until or 0) > now else None

    def is_of_team(row: _Row) -> bool:
        review = row.review
        return row.is_waiting and not reviewer.teams.isdisjoint({*review.approval.teams, review.escalated_to})

    return {
        QueueName.WAITING: lambda row: row.is_waiting,
        QueueName.MINE: lambda row: row.is_waiting and claimed_by(row) in (None, reviewer.name) and may.decide(row),
        QueueName.TEAM: is_of_team,
        QueueName.CLAIMED: lambda row: row.is_waiting and claimed_by(row) == reviewer.name,
        QueueName.ESCALATED: lambda row: row.is_waiting and row.review.escalated_to is not None,
        QueueName.QUARANTINE: lambda row: row.review.kind is ReviewKind.RELEASE,
        QueueName.VETOABLE: lambda row: row.review.state is ReviewState.VETOABLE,
        QueueName.UNDOABLE: lambda row: row.review.state in (ReviewState.APPROVED, ReviewState.SPENDABLE),
    }


class _Deciding:
    """Whether one person may decide, asked of thousands of rows that differ in few ways."""

    def __init__(self, reviewer: Reviewer) -> None:
        self._reviewer = reviewer
        self._known: dict[tuple[object, ...], bool] = {}

    def decide(self, row: _Row) -> bool:
        approval = row.review.approval
        is_own = approval.four_eyes and agreement.is_own(self._reviewer, row)
        key = (row.review.kind, approval.teams, row.review.escalated_to, is_own)
        if key not in self._known:
            self._known[key] = self._may(row)
        return self._known[key]

    def _may(self, row: _Row) -> bool:
        try:
            agreement.check_may_decide(self._reviewer, row.review, row)
        except NotAllowed:
            return False
        return True


def _matching(sought: Sought) -> Callable[[_Row], bool]:
    """Raises: Unacceptable."""
    if len(sought.text) > SEARCH_CHARS_MAX:
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, f"At most {SEARCH_CHARS_MAX} characters are looked for.")
    text = sought.text.strip().casefold()
    exact = [(name, wanted) for name in ("agent", "server", "tool") if (wanted := getattr(sought, name)) is not None]

    def matches(row: _Row) -> bool:
        if sought.risk is not None and sought.risk != (row.risk.value if row.risk is not None else "unrated"):
            return False
        if any(getattr(row, name) != wanted for name, wanted in exact):
            return False
        if not text:
            return True
        words = (row.agent, f"{row.server}/{row.tool}", row.review.id, row.review.call_id, *row.rules)
        return any(text in word.casefold() for word in words)

    return matches


def _written(urgency: Urgency) -> str:
    minute, risk, opened_at, review_id = urgency
    return f"{minute}~{risk}~{opened_at!r}~{review_id}"  # nothing in it changes its meaning in an address


def _place(text: str) -> Urgency:
    """Raises: Unacceptable."""
    try:
        minute, risk, opened_at, review_id = text.split("~", 3)
        return int(minute), int(risk), float(opened_at), review_id
    except (ValueError, OverflowError):
        raise Unacceptable(RefusalCode.NOT_POSSIBLE, "'after' is not a place in a queue.") from None
