"""Builders for the store's tests: keys, a store in a directory, calls, reviews, votes and entries with fixed times."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from audit.entry import EntryDraft, EntryKind
from policies.model import Approval, OnTimeout
from proxy.keys import Keys
from proxy.store.changes import Preparing
from proxy.store.engine import StoreLimits
from proxy.store.macs import RowMacs
from proxy.store.schema import Opening, migrations
from proxy.store.sealing import Sealer
from proxy.store.sqlite import SqliteStore
from proxy.store.tables import Rows
from review.model import CallRecord, CallState, ReviewKind, ReviewRecord, ReviewState, Verdict, Vote
from review.ports import Change, InsertCall, InsertReview, MoveCall, MoveReview

T0 = 1_800_000_000.0
KEYS = Keys(*(bytes([number]) * 32 for number in range(1, 7)))
QUIET = StoreLimits(recover_every_sec=0)


class Clock:
    """A clock that goes on by a millisecond whenever somebody looks."""

    def __init__(self, now: float = T0) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def counted_bytes() -> Callable[[int], bytes]:
    """'Random' bytes that are different each time, and the same in each run."""
    count = 0

    def some(number: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(str(count).encode()).digest(number)

    return some


def sqlite_store(directory: Path, **changes: Any) -> SqliteStore:
    options: dict[str, Any] = {"clock": Clock(), "node": "node-1", "limits": QUIET, **changes}
    return SqliteStore(directory / "data" / "interlock.db", options.pop("keys", KEYS), **options)


def rows(keys: Keys = KEYS) -> Rows:
    return Rows(Sealer(keys.seal, counted_bytes()), RowMacs(keys.mac))


def a_call(call_id: str = "call_1", **changes: Any) -> CallRecord:
    call = CallRecord(
        id=call_id,
        agent="demo",
        server="payments",
        tool="refund",
        method="tools/call",
        state=CallState.DISPATCHING,
        created_at=T0,
        updated_at=T0,
        repeat_key=f"key of {call_id}",
        proposed_digest="d" * 64,
        snapshot="v1:b4e2c1b4e2c1",
        session="s1",
        proposed={"arguments": {"customer_id": "c1", "amount": 250}},
        decision={"effect": "allow", "reason": "small refunds pass", "rules": ["refunds#allow-small"]},
        labels={"client": "claude-code"},
    )
    return replace(call, **changes)


def a_waiting_call(call_id: str = "call_1", **changes: Any) -> CallRecord:
    return a_call(call_id, **{"state": CallState.WAITING, "review_id": f"rev of {call_id}", **changes})


APPROVAL = Approval(teams=("finance",), quorum={"finance": 2}, on_timeout=OnTimeout.ESCALATE, escalate_to="leads")


def a_review(call_id: str = "call_1", **changes: Any) -> ReviewRecord:
    review = ReviewRecord(
        id=f"rev of {call_id}",
        call_id=call_id,
        kind=ReviewKind.APPROVAL,
        state=ReviewState.PARKED,
        opened_at=T0,
        expires_at=T0 + 14_400,
        approval=APPROVAL,
        binding="b" * 64,
        nonce="nonce",
        answered_rules=("refunds#require-approval-over-100",),
    )
    return replace(review, **changes)


def a_vote(review_id: str = "rev of call_1", reviewer: str = "maria", **changes: Any) -> Vote:
    return replace(Vote(review_id, reviewer, Verdict.APPROVE, T0 + 60, "fine", "s" * 64, 4_200), **changes)


def an_entry(
    call_id: str | None = "call_1", kind: EntryKind = EntryKind.CALL_DECIDED, at: float = T0, **body: Any
) -> EntryDraft:
    return EntryDraft(kind, at, "agent:demo", call_id, body)


def opened(call_id: str = "call_1", **changes: Any) -> Change:
    """A call that is parked, with its review."""
    return Change(
        rows=(InsertCall(a_waiting_call(call_id)), InsertReview(a_review(call_id, **changes))),
        entries=(an_entry(call_id), an_entry(call_id, EntryKind.REVIEW_OPENED)),
    )


def decided(call_id: str = "call_1", **changes: Any) -> Change:
    return Change(rows=(InsertCall(a_call(call_id, **changes)),), entries=(an_entry(call_id),))


def approved(call_id: str = "call_1") -> Change:
    move = MoveReview(
        f"rev of {call_id}",
        frozenset({ReviewState.PARKED, ReviewState.APPROVING}),
        ReviewState.SPENDABLE,
        {"settled_at": T0 + 60, "settled_by": "maria", "grant_expires_at": T0 + 3_660},
    )
    return Change(rows=(move,), entries=(an_entry(call_id, EntryKind.REVIEW_SETTLED),))


def spent(call_id: str = "call_1", by: str = "") -> Change:
    """P4 in two rows: the grant and the dispatch mark."""
    return Change(
        rows=(
            MoveReview(f"rev of {call_id}", frozenset({ReviewState.SPENDABLE}), ReviewState.SPENT),
            MoveCall(call_id, frozenset({CallState.WAITING}), CallState.DISPATCHING, {"dispatched_at": T0 + 61}),
        ),
        entries=(an_entry(call_id, EntryKind.GRANT_SPENT, by=by),),
    )


def answered(call_id: str = "call_1", **fields: Any) -> Change:
    """The outcome, delivered."""
    kept = {"answered_at": T0 + 2, "delivered_at": T0 + 2, "updated_at": T0 + 2, "outcome_kind": "allow", **fields}
    move = MoveCall(call_id, frozenset({CallState.DISPATCHING}), CallState.ANSWERED, kept)
    return Change(rows=(move,), entries=(an_entry(call_id, EntryKind.CALL_ANSWERED),))


def opening(keys: Keys = KEYS, **changes: Any) -> Opening:
    """What opening a database takes, with a clock that goes on and counted randomness."""
    options: dict[str, Any] = {
        "macs": RowMacs(keys.mac),
        "random_bytes": counted_bytes(),
        "clock": Clock(),
        "monotonic": time.monotonic,
        "check_sec_max": 60.0,
        "keys_lie_in": "the keys' place",
        "migrations": migrations(),
        **changes,
    }
    return Opening(**options)


def connection_to(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def fresh(path: Path | str = ":memory:") -> sqlite3.Connection:
    """A database with its schema, and no engine round it."""
    connection = connection_to(path)
    opening()(connection)
    return connection


def preparing(built: Rows | None = None) -> Preparing:
    return Preparing(built or rows(), "node-1", "boot-1", Clock())
