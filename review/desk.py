"""What every use case of the inbox works with: the ports, and the four steps all acts share.

Rules of this module:
* The steps are: load the rows, take the person as they are now, check that they decide on what is really there, commit.
* A form brings `Seen`: the row's version and the binding digest of exactly what was shown. If either differs: Conflict.
* Every act is one `Change`: rows and entries together (P13). A lost compare-and-set comes back as a Conflict.
* Entries carry digests and names, never a value an agent or a tool sent. Comments are reviewers' own words and stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from audit.entry import EntryDraft, EntryKind
from policies.model import Approval, JsonObject
from review import agreement, decisions, exact
from review.binding import binding_of
from review.feed import Feed
from review.model import CallRecord, Reviewer, ReviewRecord, ReviewState, Verdict, Vote
from review.ports import (
    Bell,
    Change,
    ChangeLost,
    Commit,
    Inventory,
    Judge,
    Ladder,
    Learned,
    People,
    Records,
    Redactor,
    RowChange,
    Switch,
)
from review.refusals import Conflict, NotAllowed, NotFound, RefusalCode, Unacceptable

UNRATED = "unrated"
"""The tier of a call that nothing rates."""


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """`escalation_default` is asked when a rule that escalates names no team; after it, the admins.

    `reveal_sec` is for how long a page may show a held output in clear. `undo_sec` is how long an approved call is held
    where its rules do not say: by tier (`low`, `medium`, `high`, `unrated`), 0 for a tier that is not named.
    """

    claim_sec: int = 300
    reveal_sec: int = 300
    undo_sec: Mapping[str, int] = field(default_factory=dict)
    comment_chars_max: int = 4_000
    escalation_default: str | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """The ports of the inbox. `nonce` gives fresh unguessable text; `commit` a keyed commitment for the record."""

    records: Records
    judge: Judge
    bell: Bell
    people: People
    clock: Callable[[], float]
    nonce: Callable[[], str]
    commit: Commit
    inventory: Inventory | None = None
    redactor: Redactor | None = None
    switch: Switch | None = None
    feed: Feed | None = None
    ladder: Ladder | None = None
    settings: InboxSettings = field(default_factory=InboxSettings)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the person had before them: the review's version, the binding digest shown, how long they looked."""

    version: int
    shown: str
    looked_ms: int = 0


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of an act: the review's state now, and how many of how many agree."""

    call_id: str
    review_id: str
    state: ReviewState
    given: int = 0
    wanted: int = 0
    undo_until: float | None = None  # until then an approved call is held, and the approval can surely be taken back


async def load(desk: Desk, review_id: str) -> tuple[ReviewRecord, CallRecord]:
    """The review and its call. Raises: NotFound, StoreDown."""
    review = await desk.records.review(review_id)
    call = await desk.records.call(review.call_id) if review is not None else None
    if review is None or call is None:
        raise NotFound(f"review {review_id}")
    return review, call


async def as_now(desk: Desk, reviewer: Reviewer) -> Reviewer:
    """The person with the roles and teams they have at this moment. Raises: NotAllowed."""
    now = await desk.people.reviewer(reviewer.name)
    if now is None:
        raise NotAllowed(RefusalCode.ROLE, "This account no longer exists or is disabled.")
    return replace(now, login=reviewer.login)


def undo_sec(desk: Desk, approval: Approval, decision: JsonObject) -> int:
    """How long a call is held once it is approved: what its rules say, else the default for its tier."""
    if approval.undo_sec is not None:
        return approval.undo_sec
    risk = decisions.risk_of(decision)
    return desk.settings.undo_sec.get(risk.value if risk is not None else UNRATED, 0)


def check_seen(review: ReviewRecord, seen: Seen) -> None:
    """Raises: Conflict when the review is not the one that was shown."""
    if seen.version != review.version or seen.shown != review.binding:
        raise Conflict(RefusalCode.CHANGED, "This changed since you looked. Look again before you decide.")


def check_bound(review: ReviewRecord, call: CallRecord) -> None:
    """Raises: Conflict when the stored call is not the one this question was opened for (P6)."""
    if binding_of(review, call) != review.binding:
        raise Conflict(
            RefusalCode.CHANGED, "What is stored is not what this question was asked about: it cannot be let go."
        )


def check_open(review: ReviewRecord, states: frozenset[ReviewState], now: float) -> None:
    """Raises: Conflict when the question is over, or its time is."""
    if review.state not in states:
        raise Conflict(RefusalCode.OVER, f"This is already {review.state}.")
    if now >= review.expires_at:
        raise Conflict(RefusalCode.OVER, "The time for this question has run out.")


def check_claim(review: ReviewRecord, reviewer: Reviewer, now: float) -> None:
    """Raises: Conflict while somebody else holds the claim."""
    if review.claimed_by not in (None, reviewer.name) and (review.claimed_until or 0) > now:
        raise Conflict(RefusalCode.CLAIMED, f"{review.claimed_by} has claimed this; the claim ends by itself.")


def check_comment(desk: Desk, comment: str, *, needed: bool) -> str:
    """The comment without surrounding blanks. Raises: Unacceptable."""
    said = comment.strip()
    if needed and not said:
        raise Unacceptable(RefusalCode.COMMENT_NEEDED, "Say why: a reason is needed here.")
    if len(said) > desk.settings.comment_chars_max:
        raise Unacceptable(
            RefusalCode.COMMENT_NEEDED,
            f"The reason has {len(said)} characters; at most {desk.settings.comment_chars_max} are kept.",
        )
    return said


async def write(desk: Desk, change: Change, call_id: str) -> None:
    """Commit, then ring. Raises: Conflict when somebody was faster, StoreDown."""
    try:
        await desk.records.apply(change)
    except ChangeLost as lost:
        raise Conflict(
            RefusalCode.LOST_RACE, f"Somebody was faster: this is {lost.found or 'gone'} now. Look again."
        ) from lost
    desk.bell.ring(call_id)


@dataclass(frozen=True, slots=True)
class Act:
    """One person's act on one review, as its vote and its entries tell it."""

    review: ReviewRecord
    call: CallRecord
    reviewer: Reviewer
    verdict: Verdict
    seen: Seen
    comment: str
    at: float

    def vote(self, *, verdict: Verdict | None = None, team: str = "") -> Vote:
        return Vote(
            review_id=self.review.id,
            reviewer=self.reviewer.name,
            verdict=verdict or self.verdict,
            at=self.at,
            comment=self.comment,
            shown_digest=self.seen.shown,
            looked_ms=self.seen.looked_ms,
            login=self.reviewer.login,
            team=team,
        )

    def entry(self, kind: EntryKind, state: ReviewState, **more: Any) -> EntryDraft:
        """Who did what, how they had logged in, what they were shown and for how long they looked (P11)."""
        body: dict[str, Any] = {
            "review": self.review.id,
            "review_kind": self.review.kind.value,
            "verdict": self.verdict.value,
            "login": self.reviewer.login,
            "shown": self.seen.shown,
            "looked_ms": self.seen.looked_ms,
            "comment": self.comment,
            "from_state": self.review.state.value,
            "to_state": state.value,
            **more,
        }
        return EntryDraft(
            kind=kind, at=self.at, actor=f"reviewer:{self.reviewer.name}", call_id=self.call.id, body=body
        )

    async def commit(
        self,
        desk: Desk,
        state: ReviewState,
        rows: Sequence[RowChange],
        entries: Sequence[EntryDraft],
        tally: agreement.Tally | None = None,
        *,
        undo_until: float | None = None,
        learned: tuple[Learned, ...] = (),
    ) -> Acted:
        """Raises: Conflict, StoreDown."""
        await write(desk, Change(rows=tuple(rows), entries=tuple(entries), learned=learned), self.call.id)
        given, wanted = (tally.given, tally.wanted) if tally is not None else (0, 0)
        return Acted(self.call.id, self.review.id, state, given=given, wanted=wanted, undo_until=undo_until)


def commit_outcome(desk: Desk, call: CallRecord) -> str:
    """A held output as the record may name it: a commitment to its exact text (traps T17, T27)."""
    return desk.commit(exact.text(call.outcome).encode(), context=f"{call.id}/outcome")


async def people_now(desk: Desk, names: Sequence[str]) -> list[Reviewer]:
    """Those of the names that are still reviewers, as they are now."""
    found = [await desk.people.reviewer(name) for name in names]
    return [person for person in found if person is not None]


async def recount(
    desk: Desk, review: ReviewRecord, call: CallRecord, votes: Sequence[Vote], *, and_now: Reviewer | None = None
) -> agreement.Tally:
    """The tally of those who agree and still may (P11): whoever lost the role or team since no longer counts."""
    standing = []
    for person in await people_now(desk, agreement.agreeing(votes)):
        try:
            agreement.check_may_decide(person, review, call)
        except NotAllowed:
            continue
        standing.append(person)
    if and_now is not None:
        standing.append(and_now)
    return agreement.tally(review, standing)
