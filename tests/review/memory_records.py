"""The store's port in memory: real compare-and-sets over real rows, for tests that need no disk.

Rules of this module:
* It behaves as `review.ports` says, not as a test would like: a change is written whole or not at all.
* Every `apply` gives way to other tasks first, so that races in tests are races.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from audit.entry import EntryDraft
from policies.model import JsonObject
from review.brief import brief
from review.model import (
    Account,
    CallRecord,
    CallState,
    LoginLink,
    LoginSession,
    Precedent,
    ReviewKind,
    ReviewRecord,
    ReviewState,
    Verdict,
    Vote,
)
from review.ports import (
    Change,
    ChangeLost,
    InsertCall,
    InsertPrecedent,
    InsertReview,
    InsertVote,
    Listed,
    MoveCall,
    MoveReview,
    StoreDown,
    ToolSeen,
)


class MemoryRecords:
    """Implements review.ports.Records, Logins and Inventory."""

    def __init__(self) -> None:
        self.calls: dict[str, CallRecord] = {}
        self.reviews: dict[str, ReviewRecord] = {}
        self.votes_of: dict[str, list[Vote]] = {}
        self.precedents_by_review: dict[str, Precedent] = {}
        self.entries: list[EntryDraft] = []
        self.accounts_by_name: dict[str, Account] = {}
        self.sessions: dict[str, LoginSession] = {}
        self.links: dict[str, LoginLink] = {}
        self.tools: dict[tuple[str, str], ToolSeen] = {}
        self.listeners: list[Callable[[Change | None], None]] = []
        self.is_down = False  # nothing can be written
        self.is_unreadable = False  # nor read

    # review.ports.Records

    async def apply(self, change: Change) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise StoreDown("the store is down")
        if change.drawn is not None:
            drawn = change.drawn
            entry_hash = sha256(repr((len(self.entries), change.entries)).encode()).digest()
            if drawn.falls_on(entry_hash):
                rows, entries = (*change.rows, *drawn.rows), (*change.entries, *drawn.entries)
                change = replace(change, rows=rows, entries=entries)
            change = replace(change, drawn=None)
        calls, reviews = dict(self.calls), dict(self.reviews)
        votes = {key: list(value) for key, value in self.votes_of.items()}
        precedents = dict(self.precedents_by_review)
        for row in change.rows:
            match row:
                case InsertCall(call):
                    if call.id in calls:
                        raise ChangeLost("calls", call.id, calls[call.id].state)
                    calls[call.id] = call
                case InsertReview(review):
                    if review.id in reviews:
                        raise ChangeLost("reviews", review.id, reviews[review.id].state)
                    reviews[review.id] = review
                case MoveCall(call_id, expect, to, fields, version):
                    found = calls.get(call_id)
                    if found is None or found.state not in expect or version not in (None, found.version):
                        raise ChangeLost("calls", call_id, found.state if found else None)
                    calls[call_id] = replace(found, state=to, version=found.version + 1, **fields)
                case MoveReview(review_id, expect, to, fields, version):
                    asked = reviews.get(review_id)
                    if asked is None or asked.state not in expect or version not in (None, asked.version):
                        raise ChangeLost("reviews", review_id, asked.state if asked else None)
                    reviews[review_id] = replace(asked, state=to, version=asked.version + 1, **fields)
                case InsertPrecedent(precedent):
                    precedents[precedent.review_id] = precedent
                case InsertVote(vote, clear_earlier):
                    if clear_earlier:
                        earlier = votes.get(vote.review_id, [])
                        votes[vote.review_id] = [one for one in earlier if one.verdict is Verdict.COMMENT]
                    votes.setdefault(vote.review_id, []).append(vote)
        self.calls, self.reviews, self.votes_of, self.precedents_by_review = calls, reviews, votes, precedents
        self.entries.extend(change.entries)
        self.told(change)

    def listen(self, listener: Callable[[Change | None], None]) -> None:
        self.listeners.append(listener)

    def told(self, change: Change | None) -> None:
        for listener in self.listeners:
            listener(change)

    async def call(self, call_id: str) -> CallRecord | None:
        return self.calls.get(call_id)

    async def review(self, review_id: str) -> ReviewRecord | None:
        return self.reviews.get(review_id)

    async def votes(self, review_id: str) -> Sequence[Vote]:
        return tuple(self.votes_of.get(review_id, ()))

    async def open_reviews(self, *, limit: int = 500, kinds: Sequence[str] = ()) -> Sequence[Listed]:
        self._check_readable()
        chosen = [r for r in self.reviews.values() if r.state.is_open and (not kinds or r.kind in kinds)]
        return [Listed(r, brief(self.calls[r.call_id])) for r in sorted(chosen, key=lambda r: r.opened_at)[:limit]]

    async def listed(self, review_ids: Sequence[str]) -> Sequence[Listed]:
        self._check_readable()
        await asyncio.sleep(0)
        found = [self.reviews[one] for one in review_ids if one in self.reviews]
        return [Listed(r, brief(self.calls[r.call_id])) for r in found]

    async def live_reviews(self) -> Sequence[str]:
        self._check_readable()
        return [r.id for r in self.reviews.values() if r.state.is_open or r.state is ReviewState.SPENDABLE]

    async def recent_reviews(self, *, limit: int = 100) -> Sequence[Listed]:
        newest = sorted(self.reviews.values(), key=lambda r: r.settled_at or r.opened_at, reverse=True)
        return [Listed(r, brief(self.calls[r.call_id])) for r in newest[:limit]]

    async def due_reviews(self, now: float, *, limit: int = 500) -> Sequence[ReviewRecord]:
        return [r for r in self.reviews.values() if _is_due(r, now)][:limit]

    async def next_due(self, after: float) -> float | None:
        return min((at for r in self.reviews.values() if (at := _due_at(r)) is not None and at > after), default=None)

    async def calls_in(self, states: Sequence[CallState], *, limit: int = 500) -> Sequence[CallRecord]:
        return [brief(c) for c in self.calls.values() if c.state in states][:limit]

    async def latest_by_key(self, repeat_key: str, *, since: float) -> Sequence[CallRecord]:
        same = [c for c in self.calls.values() if c.repeat_key == repeat_key and _is_looked_at(c, since)]
        return sorted(same, key=lambda c: c.created_at, reverse=True)

    async def precedents(self, shape: str, *, limit: int) -> Sequence[ReviewRecord]:
        like = sorted((p for p in self.precedents_by_review.values() if p.shape == shape), key=lambda p: -p.at)
        return [self.reviews[p.review_id] for p in like[:limit]]

    async def unjudged(self, *, limit: int, after: tuple[float, str] = (0.0, "")) -> Sequence[Listed]:
        wanted = [r for r in self.reviews.values() if r.state is ReviewState.UNJUDGED and (r.opened_at, r.id) > after]
        chosen = sorted(wanted, key=lambda r: (r.opened_at, r.id))[:limit]
        return [Listed(r, self.calls[r.call_id]) for r in chosen]

    async def count_unjudged(self) -> tuple[int, float | None]:
        times = [r.opened_at for r in self.reviews.values() if r.state is ReviewState.UNJUDGED]
        return len(times), min(times, default=None)

    async def afterwards(self, call_id: str) -> ReviewRecord | None:
        found = [r for r in self.reviews.values() if r.call_id == call_id and r.kind is ReviewKind.AFTERWARDS]
        return found[-1] if found else None

    async def session_calls(self, agent: str, session: str, *, limit: int) -> Sequence[CallRecord]:
        same = [brief(c) for c in self.calls.values() if (c.agent, c.session) == (agent, session)]
        return same[::-1][:limit]

    async def entries_for(self, call_id: str, *, limit: int = 200) -> Sequence[JsonObject]:
        mine = [(seq, e) for seq, e in enumerate(self.entries, 1) if e.call_id == call_id]
        return [
            {"seq": seq, "kind": e.kind.value, "at": e.at, "actor": e.actor, "call_id": e.call_id, "body": e.body}
            for seq, e in mine[-limit:]
        ]

    # review.ports.Logins

    async def account(self, name: str) -> Account | None:
        await asyncio.sleep(0)
        return self.accounts_by_name.get(name)

    async def accounts(self) -> Sequence[Account]:
        await asyncio.sleep(0)
        return tuple(self.accounts_by_name[name] for name in sorted(self.accounts_by_name))

    async def put_account(self, account: Account, entry: EntryDraft) -> None:
        await asyncio.sleep(0)
        self.accounts_by_name[account.name] = account
        self.entries.append(entry)

    async def put_session(self, session: LoginSession) -> None:
        self.sessions[session.token_hash] = session

    async def session(self, token_hash: str) -> LoginSession | None:
        self._check_readable()
        await asyncio.sleep(0)
        return self.sessions.get(token_hash)

    async def drop_session(self, token_hash: str) -> None:
        await asyncio.sleep(0)
        self.sessions.pop(token_hash, None)

    async def put_link(self, link: LoginLink) -> None:
        self.links[link.token_hash] = link

    async def take_link(self, token_hash: str, now: float) -> LoginLink | None:
        link = self.links.pop(token_hash, None)
        return link if link is not None and now < link.expires_at else None

    def _check_readable(self) -> None:
        if self.is_unreadable:
            raise StoreDown("the store cannot be read")

    # review.ports.Inventory

    async def tool(self, server: str, tool: str) -> ToolSeen | None:
        return self.tools.get((server, tool))

    async def drifted(self, *, limit: int = 200) -> Sequence[ToolSeen]:
        return [seen for seen in self.tools.values() if seen.has_drifted][:limit]

    async def accept(self, server: str, tool: str, *, digest: str, by: str, at: float, entry: EntryDraft) -> None:
        await asyncio.sleep(0)
        seen = self.tools[server, tool]
        if seen.digest != digest:
            raise ChangeLost("pins", f"{server}/{tool}", seen.digest)
        self.tools[server, tool] = replace(
            seen, accepted_digest=digest, accepted_definition=seen.definition, accepted_by=by, accepted_at=at
        )
        self.entries.append(entry)


_ALIVE = (CallState.WAITING, CallState.DISPATCHING, CallState.IN_DOUBT, CallState.QUARANTINED)


def _is_looked_at(call: CallRecord, since: float) -> bool:
    return call.updated_at >= since or call.state in _ALIVE


def _is_due(review: ReviewRecord, now: float) -> bool:
    at = _due_at(review)
    return at is not None and now >= at


def _due_at(review: ReviewRecord) -> float | None:
    match review.state:
        case ReviewState.VETOABLE | ReviewState.PARKED | ReviewState.APPROVING | ReviewState.QUARANTINED:
            return review.expires_at
        case ReviewState.APPROVED:
            return review.undo_until or 0
        case ReviewState.SPENDABLE:
            return review.grant_expires_at
        case _:
            return None
