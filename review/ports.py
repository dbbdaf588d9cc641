"""What the reviewers' side needs of the rest: atomic changes, reads, judgement of an edit, and a bell.

Rules of this module:
* Protocols and values only. `proxy` implements them; nothing of `proxy` is imported here.
* A `Change` is one atomic step (P13): its rows and its entries commit together or not at all.
* Every move is a compare-and-set: `ChangeLost` names the row that was not as expected, and nothing was written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from audit.entry import EntryDraft
from policies.model import Decision, Json, JsonObject
from review.model import (
    Account,
    AgentStanding,
    CallRecord,
    CallState,
    LoginLink,
    LoginSession,
    Precedent,
    Reviewer,
    ReviewRecord,
    ReviewState,
    Standing,
    Stop,
    StopScope,
    Vote,
)

type ReadJson = Callable[[bytes], Json]
"""The strict JSON reader (P2). Raises: ValueError, with a message that says where."""


class ChangeLost(Exception):
    """A compare-and-set did not find the row as expected; nothing of the change was written."""

    def __init__(self, table: str, row_id: str, found: str | None) -> None:
        super().__init__(f"{table} {row_id} is {found or 'absent'}")
        self.table, self.row_id, self.found = table, row_id, found


class StoreDown(Exception):
    """The change may not be durable: refuse whatever depended on it (P1, P3)."""


@dataclass(frozen=True, slots=True)
class InsertCall:
    call: CallRecord


@dataclass(frozen=True, slots=True)
class MoveCall:
    """Move a call from one of `expect` to `to`, setting `fields` (names of CallRecord). `version` None: any version."""

    call_id: str
    expect: frozenset[CallState]
    to: CallState
    fields: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None


@dataclass(frozen=True, slots=True)
class InsertReview:
    review: ReviewRecord


@dataclass(frozen=True, slots=True)
class MoveReview:
    """Move a review from one of `expect` to `to`, setting `fields` (names of ReviewRecord)."""

    review_id: str
    expect: frozenset[ReviewState]
    to: ReviewState
    fields: Mapping[str, Any] = field(default_factory=dict)
    version: int | None = None


@dataclass(frozen=True, slots=True)
class InsertVote:
    """One vote; `clear_earlier` first removes the review's earlier votes (an edit clears them, SEMANTICS §2.4), but no
    comments."""

    vote: Vote
    clear_earlier: bool = False


@dataclass(frozen=True, slots=True)
class InsertPrecedent:
    """A settled review as a precedent of its call's shape; the same review's earlier row is replaced."""

    precedent: Precedent


@dataclass(frozen=True, slots=True)
class PutStanding:
    """An agent's standing in a domain, whatever was kept of it before: there is one writer of these."""

    standing: AgentStanding


type RowChange = InsertCall | MoveCall | InsertReview | MoveReview | InsertVote | InsertPrecedent | PutStanding


class Lesson(StrEnum):
    """What a change can mean for an agent's track record (SEMANTICS §1.12)."""

    WENT_WELL = "went_well"
    WENT_WRONG = "went_wrong"
    JUDGED_WRONG = "judged_wrong"  # by a person, afterwards: it had gone well
    VIOLATION = "violation"
    INCIDENT = "incident"


@dataclass(frozen=True, slots=True)
class Learned:
    """One such meaning, and the call it is about."""

    lesson: Lesson
    call: CallRecord


@dataclass(frozen=True, slots=True)
class Drawn:
    """What belongs to a change only where a draw says so: `falls_on` is asked with the hash of its last entry, which
    nobody knows before the entry has its place in the record (SEMANTICS §1.13)."""

    falls_on: Callable[[bytes], bool]
    rows: tuple[RowChange, ...] = ()
    entries: tuple[EntryDraft, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One atomic step. `durable` False lets the writer return before the commit (clean outcomes only, traps T28).

    `learned` is what the step means for agents' autonomy; whoever keeps that adds its rows before this is written.
    """

    rows: tuple[RowChange, ...] = ()
    entries: tuple[EntryDraft, ...] = ()
    durable: bool = True
    drawn: Drawn | None = None
    learned: tuple[Learned, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A review with its call, as lists show it: the call in brief (`review/brief.py`)."""

    review: ReviewRecord
    call: CallRecord


class Learner(Protocol):
    """Keeps agents' standing true to what happens."""

    def learn(self, change: Change) -> Change:
        """The change with the rows and entries of whoever falls by it. A fall counts from now on."""

    def not_written(self, change: Change) -> None:
        """A change that `learn` gave back was not written."""


class Records(Protocol):
    """The store as the reviewers' side and the gate see it."""

    async def apply(self, change: Change) -> None:
        """Write one change. Returns when it is durable (or queued, if not `durable`).

        Raises: ChangeLost, StoreDown.
        """

    def listen(self, listener: Callable[[Change | None], None]) -> None:
        """Tell `listener` of every change that was applied, in the order of commits, whoever made it; of None when the
        store failed and it is not known what was committed. Changes that nobody waits for may be left out."""

    def submit(self, change: Change) -> None:
        """Queue a change that nobody waits for, in order with all others. A lost compare-and-set is logged.

        Raises: StoreDown when it could not be queued.
        """

    async def call(self, call_id: str) -> CallRecord | None: ...

    async def review(self, review_id: str) -> ReviewRecord | None:
        """Raises: StoreDown if the row's MAC does not hold (traps T12)."""

    async def votes(self, review_id: str) -> Sequence[Vote]: ...

    async def open_reviews(self, *, limit: int = 500, kinds: Sequence[str] = ()) -> Sequence[Listed]: ...

    async def listed(self, review_ids: Sequence[str]) -> Sequence[Listed]:
        """These reviews with their calls; those that are not there are left out."""

    async def live_reviews(self) -> Sequence[str]:
        """Ids of all reviews that people can still decide or take back."""

    async def recent_reviews(self, *, limit: int = 100) -> Sequence[Listed]: ...

    async def due_reviews(self, now: float, *, limit: int = 500) -> Sequence[ReviewRecord]:
        """Open reviews past `expires_at`, approved ones past `undo_until`, spendable ones past `grant_expires_at`."""

    async def next_due(self, after: float) -> float | None:
        """The first time later than `after` at which a review is due."""

    async def calls_in(self, states: Sequence[CallState], *, limit: int = 500) -> Sequence[CallRecord]:
        """Calls in any of these states, each in brief."""

    async def latest_by_key(self, repeat_key: str, *, since: float) -> Sequence[CallRecord]:
        """Calls with this repeat key created or changed since, and those not over, however old; newest first."""

    async def precedents(self, shape: str, *, limit: int) -> Sequence[ReviewRecord]:
        """The reviews under this shape as they are now, the last settled first."""

    async def unjudged(self, *, limit: int, after: tuple[float, str] = (0.0, "")) -> Sequence[Listed]:
        """Calls that are over and wait for people's judgement, the oldest first, after (time of opening, id)."""

    async def count_unjudged(self) -> tuple[int, float | None]:
        """How many those are, and since when the oldest waits."""

    async def afterwards(self, call_id: str) -> ReviewRecord | None:
        """The judgement of this call, or the question for it."""

    async def session_calls(self, agent: str, session: str, *, limit: int) -> Sequence[CallRecord]:
        """The last calls of this agent's session, newest first, each in brief."""

    async def unsettled(self, *, since: float) -> Sequence[tuple[str, str]]:
        """(repeat key, call id), oldest first, of calls an identical one may have to answer to.

        Waiting, dispatching, in doubt, quarantined; answered or released but not delivered, and closed, since `since`.
        """

    async def entries_for(self, call_id: str, *, limit: int = 200) -> Sequence[JsonObject]: ...


class Commit(Protocol):
    """A keyed commitment to a value, for the record: it can be proven later and not be guessed (traps T27).

    `functools.partial(audit.masks.commit, key)` is one.
    """

    def __call__(self, value: Any, *, context: str = "") -> str:
        """Raises: ValueError for a value without canonical form; bytes always have a commitment."""


class Judge(Protocol):
    """Judges arguments a reviewer changed, under the current snapshot (P7)."""

    async def judge_edit(self, call: CallRecord, arguments: JsonObject) -> Decision:
        """Raises: ValueError when the arguments do not fit the tool's inputSchema; the message says where."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A held output with what was found taken out of it, and what was seen and done; or why that cannot be."""

    message: Any
    inspection: JsonObject
    why_not: str = ""


class Redactor(Protocol):
    """Takes out of a held output what was found in it, and looks again at what is left (P8)."""

    async def redact(self, call: CallRecord, let_through: frozenset[str]) -> Redacted:
        """`let_through` are kinds that a person has found to be none. Raises: ValueError when the call was erased."""


class Bell(Protocol):
    """Tells whoever waits that a call's review or outcome changed."""

    def ring(self, call_id: str) -> None: ...


class Waiting(Protocol):
    """Who of the agents is still waiting, for reviewers to see."""

    def since(self, call_id: str) -> float | None:
        """When the present waiter attached, or None if the agent has gone."""

    def until(self, call_id: str) -> float | None:
        """When the present waiter's patience ends."""


class Ledger(Protocol):
    """The record as it is written, for whoever watches it (`proxy/ledger.py` has one over the store)."""

    async def last(self) -> int:
        """The number of the last entry. Cheap: it is asked several times a second. Raises: StoreDown."""

    def entries(self, *, since_seq: int, limit: int) -> AsyncIterator[JsonObject]:
        """Entries after `since_seq`, in order. Raises: StoreDown."""

    async def entries_for(self, call_id: str, *, limit: int) -> Sequence[JsonObject]:
        """The first entries about one call, in order. Raises: StoreDown."""


class Live(Protocol):
    """Tells open pages that something changed. `review/live.py` has one for a single process."""

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Ids of calls that changed, as they change; `*` when some were left out. Ends when the gate shuts down."""


class People(Protocol):
    """Who the reviewers are now: asked again at every commit, so a stale role decides nothing."""

    async def reviewer(self, name: str) -> Reviewer | None:
        """None when there is no such account or it is disabled."""


class Logins(Protocol):
    """The store's rows of accounts, sessions and login links."""

    async def account(self, name: str) -> Account | None: ...

    async def accounts(self) -> Sequence[Account]: ...

    async def put_account(self, account: Account, entry: EntryDraft) -> None:
        """Insert or replace, with its audit entry, in one transaction."""

    async def put_session(self, session: LoginSession) -> None: ...

    async def session(self, token_hash: str) -> LoginSession | None: ...

    async def drop_session(self, token_hash: str) -> None: ...

    async def put_link(self, link: LoginLink) -> None: ...

    async def take_link(self, token_hash: str, now: float) -> LoginLink | None:
        """Use a link up, atomically: a second taker gets None."""


@dataclass(frozen=True, slots=True)
class ToolSeen:
    """A tool definition as the server lists it now, beside the one a person last accepted (SEMANTICS §1.17)."""

    server: str
    tool: str
    digest: str
    definition: JsonObject
    accepted_digest: str | None = None
    accepted_definition: JsonObject | None = None
    accepted_by: str | None = None
    accepted_at: float | None = None

    @property
    def has_drifted(self) -> bool:
        return self.digest != self.accepted_digest


class Inventory(Protocol):
    """The pinned tool definitions, for people to look at and accept."""

    async def tool(self, server: str, tool: str) -> ToolSeen | None: ...

    async def drifted(self, *, limit: int = 200) -> Sequence[ToolSeen]: ...

    async def accept(self, server: str, tool: str, *, digest: str, by: str, at: float, entry: EntryDraft) -> None:
        """Accept exactly `digest`, with its entry, in one step. Raises: ChangeLost if it changed again, StoreDown."""


class Switch(Protocol):
    """The kill switch itself, as `proxy/kill_switch.py` has it."""

    def standing(self) -> Sequence[Standing]:
        """What is stopped now, oldest first."""

    def names(self, scope: StopScope) -> Sequence[str]:
        """The configured agents or servers."""

    async def order(self, scope: StopScope, target: str, *, by: str, login: str, why: str) -> Standing:
        """Stop now. In force when this is called; returns once it is kept and recorded, or says that it is not yet."""

    async def lift(self, stop_id: str, *, by: str, login: str, why: str) -> Stop | None:
        """Let go again, recorded first. None if no such stop stands. Raises: StoreDown (then it goes on standing)."""


@dataclass(frozen=True, slots=True)
class Progress:
    """An agent's level in a domain, and the evidence for the next one. `wanted` None: nobody rises by evidence."""

    agent: str
    domain: str
    level: int
    name: str
    last: int
    since: float
    successes: int
    wanted: int | None
    calls: int
    errors: int
    review_id: str | None = None


class Ladder(Protocol):
    """Agents' autonomy, as `proxy/standings.py` keeps it."""

    def progress(self) -> Sequence[Progress]:
        """Every agent in every domain, sorted; empty where the policies have no levels."""

    def is_known(self, agent: str) -> bool: ...

    async def put(self, agent: str, domain: str, level: int, *, by: str, why: str) -> Progress:
        """Set a level by hand. Raises: ValueError if there is no such level, StoreDown."""

    async def incident(self, agent: str, domain: str | None, *, by: str, why: str) -> Sequence[Progress]:
        """A safety incident: to level 0, in one domain or in all. Raises: ValueError without levels, StoreDown."""
