"""What can be asked of earlier calls when the gate starts: who did what, how often, and what ended badly.

Rules of this module:
* Every answer is bounded, by rows as well as by time. Values are taken only from rows whose MAC was checked; numbers of
  calls are counted from the index alone, which no MAC could protect (a row that is gone leaves no trace in a count).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from audit.entry import EntryKind
from policies.model import JsonObject
from proxy.store import reads
from proxy.store.rows import CALLS, call_of
from proxy.store.tables import Rows, in_pieces
from review.model import CallRecord, CallState

_COUNTED_MAX = 200_000  # calls of one agent and tool in a day that are counted again at start
_LOOKED_AT_MAX = 2_000  # calls of one agent and tool that are looked at for dispatched ones
STEP_SEC = 5

_OF_ACTION = "FROM calls WHERE agent = ? AND server = ? AND tool = ?"
_BAD = (
    "(state IN ('denied', 'closed', 'failed_before_send', 'failed_after_send', 'in_doubt', 'resolved') "
    "OR failure IS NOT NULL)"
)

type Action = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Past:
    """One agent's earlier calls of one tool. Times are seconds since the epoch; `dispatched` is oldest first."""

    counts: tuple[tuple[int, int], ...]  # time of a step of `STEP_SEC`, and how many calls in it; oldest first
    hours: tuple[int, ...]  # hours since the epoch with calls
    dispatched: tuple[tuple[str, JsonObject | None], ...]  # id, what was proposed; None once it is erased


@dataclass(frozen=True, slots=True)
class BadEnd:
    """A call that ended in an error or was refused. `again`: when the same rejection was given once more."""

    call: CallRecord
    fate: str | None  # of its review, if it had one
    again: tuple[float, ...] = ()


def actions(connection: sqlite3.Connection, _rows: Rows, after: Action, limit: int) -> list[Action]:
    """Who has called what, in order; each found by one look into the index, however many calls there are."""
    found: list[Action] = []
    while len(found) < limit:
        row = connection.execute(
            "SELECT agent, server, tool FROM calls WHERE (agent, server, tool) > (?, ?, ?) "
            "ORDER BY agent, server, tool LIMIT 1",
            after,
        ).fetchone()
        if row is None:
            break
        after = (row[0], row[1], row[2])
        found.append(after)
    return found


def past(
    connection: sqlite3.Connection, rows: Rows, action: Action, since_day: float, since_hours: float, limit: int
) -> Past:
    counts = connection.execute(
        f"SELECT CAST(created_at / {STEP_SEC} AS INTEGER) * {STEP_SEC} AS step, count(*) FROM (SELECT created_at "  # noqa: S608 - constants of ours
        f"{_OF_ACTION} AND created_at >= ? ORDER BY created_at DESC LIMIT {_COUNTED_MAX}) GROUP BY step ORDER BY step",
        (*action, since_day),
    ).fetchall()
    return Past(tuple(counts), _hours(connection, action, since_hours), _dispatched(connection, rows, action, limit))


def _hours(connection: sqlite3.Connection, action: Action, since: float) -> tuple[int, ...]:
    found: list[int] = []
    while True:
        (at,) = connection.execute(
            f"SELECT min(created_at) {_OF_ACTION} AND created_at >= ?",
            (*action, since),
        ).fetchone()
        if at is None:
            return tuple(found)
        found.append(int(at // 3600))
        since = (found[-1] + 1) * 3600.0


def _dispatched(
    connection: sqlite3.Connection, rows: Rows, action: Action, limit: int
) -> tuple[tuple[str, JsonObject | None], ...]:
    newest = connection.execute(
        f"SELECT id, dispatched_at IS NOT NULL {_OF_ACTION} ORDER BY created_at DESC LIMIT {_LOOKED_AT_MAX}",
        action,
    ).fetchall()
    wanted = [call_id for call_id, is_dispatched in newest if is_dispatched][:limit]
    proposed: dict[str, JsonObject | None] = {}
    for piece in in_pieces(wanted):
        for stored in connection.execute(CALLS.select_many(len(piece)), tuple(piece)).fetchall():
            record = call_of(rows, rows.check(CALLS, stored))
            proposed[record.id] = record.proposed
    return tuple((call_id, proposed.get(call_id)) for call_id in reversed(wanted))


def ended_badly(
    connection: sqlite3.Connection, rows: Rows, before: tuple[float, int], since: float, limit: int
) -> tuple[list[BadEnd], tuple[float, int]]:
    """Newest first, and where the list was left."""
    select = CALLS.select.replace("SELECT ", "SELECT rowid, ", 1)
    condition = f"{_BAD} AND updated_at >= ? AND (updated_at, rowid) < (?, ?) ORDER BY updated_at DESC, rowid DESC"
    found: list[BadEnd] = []
    for rowid, *stored in connection.execute(f"{select} WHERE {condition} LIMIT ?", (since, *before, limit)).fetchall():
        call = call_of(rows, rows.check(CALLS, stored))
        found.append(_bad_end(connection, rows, call))
        before = (call.updated_at, rowid)
    return found, before


def _bad_end(connection: sqlite3.Connection, rows: Rows, call: CallRecord) -> BadEnd:
    if call.state is not CallState.CLOSED or call.review_id is None:
        return BadEnd(call, None)
    review = reads.review(connection, rows, call.review_id)
    entries = reads.entries_for(connection, rows, call.id, limit=200)
    again = tuple(
        entry["at"]
        for entry in entries
        if entry["kind"] == EntryKind.CALL_REATTACHED.value and entry["body"].get("got") == "same_rejection"
    )
    return BadEnd(call, None if review is None else review.state.value, again)
