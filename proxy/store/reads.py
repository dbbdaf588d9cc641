"""What can be asked of the store, as functions that run in a reading connection's thread.

Rules of this module:
* Every answer is bounded; every row's MAC is checked before anything of it is believed, and one that does not hold
  fails the whole answer (`Tampered`): a list that silently left it out would hide that somebody was there.
* Texts of SQL name the partial indexes' conditions literally, which is how SQLite knows it may use them.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Sequence
from typing import Any

from policies.model import JsonObject
from proxy.store.base import Account, LoginSession, PinnedTool, SamplingPeriod, Tampered
from proxy.store.rows import (
    ACCOUNTS,
    BRIEF_READS,
    CALLS,
    PINS,
    PRECEDENTS,
    REVIEWS,
    SAMPLING_PERIODS,
    SESSIONS,
    SNAPSHOT_LOADS,
    SNAPSHOTS,
    STANDINGS,
    STOPS,
    VOTES,
    account_of,
    brief_call_of,
    call_of,
    period_of,
    pin_of,
    review_of,
    session_of,
    standing_of,
    stop_of,
    vote_of,
)
from proxy.store.tables import Rows, from_json
from review.model import AgentStanding, CallRecord, CallState, ReviewKind, ReviewRecord, Stop, Vote
from review.ports import Listed

ROWS_MAX = 20_000  # of any one answer
VOTES_MAX = 1_000
PINS_MAX = 10_000
ACCOUNTS_MAX = 10_000

_OPEN = "state IN ('vetoable', 'parked', 'approving', 'approved', 'quarantined')"
_ENDED = "state NOT IN ('vetoable', 'parked', 'approving', 'approved', 'quarantined', 'unjudged')"
_ALIVE = "state IN ('waiting', 'dispatching', 'in_doubt', 'quarantined')"
_ANSWERABLE = "(state = 'closed' OR (state IN ('answered', 'released', 'resolved') AND delivered_at IS NULL))"
ALIVE = frozenset({CallState.WAITING, CallState.DISPATCHING, CallState.IN_DOUBT, CallState.QUARANTINED})


def call(connection: sqlite3.Connection, rows: Rows, call_id: str) -> CallRecord | None:
    found = connection.execute(f"{CALLS.select} WHERE id = ?", (call_id,)).fetchone()
    return None if found is None else call_of(rows, rows.check(CALLS, found))


def review(connection: sqlite3.Connection, rows: Rows, review_id: str) -> ReviewRecord | None:
    found = connection.execute(f"{REVIEWS.select} WHERE id = ?", (review_id,)).fetchone()
    return None if found is None else review_of(rows, rows.check(REVIEWS, found))


def votes(connection: sqlite3.Connection, rows: Rows, review_id: str) -> list[Vote]:
    found = connection.execute(f"{VOTES.select} WHERE review_id = ? ORDER BY n LIMIT ?", (review_id, VOTES_MAX))
    return [vote_of(rows, rows.check(VOTES, row)) for row in found.fetchall()]


BRIEF = CALLS.select_brief(BRIEF_READS)
"""How lists read calls: what they do not show of one is not opened, and most of it not read."""


def _brief_call(connection: sqlite3.Connection, rows: Rows, call_id: str) -> CallRecord | None:
    found = connection.execute(f"{BRIEF} WHERE id = ?", (call_id,)).fetchone()
    return None if found is None else brief_call_of(rows, found)


def _brief_calls(rows: Rows, found: sqlite3.Cursor) -> list[CallRecord]:
    return [brief_call_of(rows, stored) for stored in found]


type Place = tuple[float, str, int]
"""Where a list of open reviews was left: time of opening, kind, rowid."""

BEGINNING: Place = (-math.inf, "", 0)


def open_reviews(
    connection: sqlite3.Connection, rows: Rows, limit: int, kinds: Sequence[str], after: Place
) -> tuple[list[Listed], Place]:
    """Oldest first (who has waited longest is overdue), and where the list was left."""
    wanted = [ReviewKind(kind).value for kind in kinds] or [kind.value for kind in ReviewKind]
    condition = (
        f"{_OPEN} AND kind IN ({_marks(wanted)}) AND (opened_at, kind, rowid) > (?, ?, ?) "
        "ORDER BY opened_at, kind, rowid"
    )
    listed = _listed(connection, rows, condition, [*wanted, *after, _limit(limit)])
    if not listed:
        return [], after
    last = listed[-1].review
    (rowid,) = connection.execute("SELECT rowid FROM reviews WHERE id = ?", (last.id,)).fetchone()
    return listed, (last.opened_at, last.kind.value, rowid)


def listed(connection: sqlite3.Connection, rows: Rows, review_ids: Sequence[str]) -> list[Listed]:
    """Reviews by id, in no order."""
    wanted = list(review_ids)[:ROWS_MAX]
    return _listed(connection, rows, f"id IN ({_marks(wanted)})", [*wanted, len(wanted)])


def live_reviews(connection: sqlite3.Connection, _rows: Rows) -> list[str]:
    """Ids alone, which carry no MAC: the rows they name are read by `listed`, and checked there."""
    of_state = "SELECT id FROM reviews WHERE"
    grants = "due_at IS NOT NULL AND state = 'spendable'"  # a grant is due at its end; the index of due ones finds it
    found = connection.execute(f"{of_state} {_OPEN} UNION ALL {of_state} {grants} LIMIT ?", (ROWS_MAX,))
    return [review_id for (review_id,) in found]


def recent_reviews(connection: sqlite3.Connection, rows: Rows, limit: int) -> list[Listed]:
    """Reviews that are no longer a question to people, the last changed first."""
    return _listed(connection, rows, f"{_ENDED} ORDER BY changed_at DESC, rowid DESC", [_limit(limit)])


def unjudged(connection: sqlite3.Connection, rows: Rows, limit: int, after: tuple[float, str]) -> list[Listed]:
    """Calls that are over and wait for people's judgement, the oldest first, after a place in that order."""
    condition = "state = 'unjudged' AND (opened_at, id) > (?, ?) ORDER BY opened_at, id"
    return _listed(connection, rows, condition, [*after, _limit(limit)])


def count_unjudged(connection: sqlite3.Connection, _rows: Rows) -> tuple[int, float | None]:
    """How many, and since when the oldest waits; a number for people, whose rows are checked where they are shown."""
    found = connection.execute("SELECT count(*), min(opened_at) FROM reviews WHERE state = 'unjudged'").fetchone()
    return int(found[0]), found[1]


def afterwards(connection: sqlite3.Connection, rows: Rows, call_id: str) -> ReviewRecord | None:
    """The judgement of a call, or the question for it."""
    condition = "call_id = ? AND kind = 'afterwards' ORDER BY opened_at DESC, id DESC"
    found = _listed(connection, rows, condition, [call_id, 1])
    return found[0].review if found else None


def _listed(connection: sqlite3.Connection, rows: Rows, condition: str, values: Sequence[Any]) -> list[Listed]:
    connection.execute("BEGIN")  # reviews and calls as of one moment
    try:
        found = connection.execute(f"{REVIEWS.select} WHERE {condition} LIMIT ?", values).fetchall()
        listed = []
        for stored in found:
            one = review_of(rows, rows.check(REVIEWS, stored))
            its_call = _brief_call(connection, rows, one.call_id)
            if its_call is None:
                raise Tampered("calls", one.call_id, "it is gone, while its review is still there")
            listed.append(Listed(one, its_call))
        return listed
    finally:
        connection.execute("ROLLBACK")


def due_reviews(connection: sqlite3.Connection, rows: Rows, now: float, limit: int) -> list[ReviewRecord]:
    """The longest overdue first."""
    found = connection.execute(f"{REVIEWS.select} WHERE due_at <= ? ORDER BY due_at LIMIT ?", (now, _limit(limit)))
    return [review_of(rows, rows.check(REVIEWS, stored)) for stored in found.fetchall()]


def next_due(connection: sqlite3.Connection, _rows: Rows, after: float) -> float | None:
    """When to look again; what is then due is read and checked by `due_reviews`."""
    (at,) = connection.execute("SELECT min(due_at) FROM reviews WHERE due_at > ?", (after,)).fetchone()
    return None if at is None else float(at)


def calls_in(connection: sqlite3.Connection, rows: Rows, states: Sequence[CallState], limit: int) -> list[CallRecord]:
    """Calls in any of these states: those that still want something oldest first, others newest first."""
    wanted = sorted({CallState(state).value for state in states})
    if set(states) <= ALIVE:
        condition = f"{_ALIVE} AND state IN ({_marks(wanted)}) ORDER BY created_at"
    else:
        condition = f"state IN ({_marks(wanted)}) ORDER BY rowid DESC"
    return _brief_calls(rows, connection.execute(f"{BRIEF} WHERE {condition} LIMIT ?", [*wanted, _limit(limit)]))


type Candidate = tuple[float, int, float, str, str]
"""Where a list was left (a time, the rowid), then what it is about: time of creation, repeat key, id."""


def alive(
    connection: sqlite3.Connection, rows: Rows, state: CallState, after: tuple[float, int], limit: int
) -> list[Candidate]:
    """Calls of one living state, by time of creation."""
    condition = f"{_ALIVE} AND state = ? AND (created_at, rowid) > (?, ?) ORDER BY created_at, rowid LIMIT ?"
    return _candidates(connection, rows, "created_at", condition, (state.value, *after, _limit(limit)))


def answerable(connection: sqlite3.Connection, rows: Rows, after: tuple[float, int], limit: int) -> list[Candidate]:
    """Calls that ended without being delivered, by time of their last change."""
    condition = f"{_ANSWERABLE} AND (updated_at, rowid) > (?, ?) ORDER BY updated_at, rowid LIMIT ?"
    return _candidates(connection, rows, "updated_at", condition, (*after, _limit(limit)))


def _candidates(
    connection: sqlite3.Connection, rows: Rows, ordered_by: str, condition: str, values: Sequence[Any]
) -> list[Candidate]:
    select = CALLS.select.replace("SELECT ", "SELECT rowid, ", 1)
    at = CALLS.position
    found: list[Candidate] = []
    for rowid, *stored in connection.execute(f"{select} WHERE {condition}", values).fetchall():
        row: list[Any] = rows.check(CALLS, stored)  # a forged key would let the same call be sent twice
        found.append((row[at[ordered_by]], rowid, row[at["created_at"]], row[at["repeat_key"]], row[at["id"]]))
    return found


def latest_by_key(connection: sqlite3.Connection, rows: Rows, repeat_key: str, since: float) -> list[CallRecord]:
    """Calls that changed since, and those that are not over however old they are; newest first."""
    found = connection.execute(
        f"{CALLS.select} WHERE repeat_key = ? AND (updated_at >= ? OR {_ALIVE}) "
        "ORDER BY created_at DESC, rowid DESC LIMIT ?",
        (repeat_key, since, ROWS_MAX),
    )
    return [call_of(rows, rows.check(CALLS, stored)) for stored in found.fetchall()]


def precedents(connection: sqlite3.Connection, rows: Rows, shape: str, limit: int) -> list[ReviewRecord]:
    """The reviews under this shape, the last settled first."""
    found = connection.execute(
        f"{PRECEDENTS.select} WHERE shape = ? ORDER BY at DESC LIMIT ?", (shape, _limit(limit))
    ).fetchall()
    ids = [str(rows.check(PRECEDENTS, stored)[0]) for stored in found]
    return [one for one in (review(connection, rows, review_id) for review_id in ids) if one is not None]


def session_calls(
    connection: sqlite3.Connection, rows: Rows, agent: str, session_id: str, limit: int
) -> list[CallRecord]:
    """The last calls of this session, newest first; sessions are one agent's, and what is another's is left out."""
    found = connection.execute(f"{BRIEF} WHERE session = ? ORDER BY rowid DESC LIMIT ?", (session_id, _limit(limit)))
    return [one for one in _brief_calls(rows, found) if one.agent == agent]


# --- people, tools, policies


def account(connection: sqlite3.Connection, rows: Rows, name: str) -> Account | None:
    found = connection.execute(f"{ACCOUNTS.select} WHERE name = ?", (name,)).fetchone()
    return None if found is None else account_of(rows, rows.check(ACCOUNTS, found))


def accounts(connection: sqlite3.Connection, rows: Rows) -> list[Account]:
    found = connection.execute(f"{ACCOUNTS.select} ORDER BY name LIMIT ?", (ACCOUNTS_MAX,)).fetchall()
    return [account_of(rows, rows.check(ACCOUNTS, stored)) for stored in found]


def session(connection: sqlite3.Connection, rows: Rows, token_hash: str) -> LoginSession | None:
    found = connection.execute(f"{SESSIONS.select} WHERE token_hash = ?", (token_hash,)).fetchone()
    return None if found is None else session_of(rows, rows.check(SESSIONS, found))


def pins(connection: sqlite3.Connection, rows: Rows, server: str) -> list[PinnedTool]:
    found = connection.execute(f"{PINS.select} WHERE server = ? ORDER BY tool LIMIT ?", (server, PINS_MAX)).fetchall()
    return [pin_of(rows, rows.check(PINS, stored)) for stored in found]


def snapshots(connection: sqlite3.Connection, rows: Rows, limit: int) -> list[JsonObject]:
    """Loads, newest first, each with the whole text of what was loaded."""
    found = connection.execute(f"{SNAPSHOT_LOADS.select} ORDER BY n DESC LIMIT ?", (_limit(limit),)).fetchall()
    texts: dict[str, JsonObject] = {}
    loads = []
    for stored in found:
        load = rows.decode(SNAPSHOT_LOADS, rows.check(SNAPSHOT_LOADS, stored), "")
        if load["id"] not in texts:
            texts[load["id"]] = _snapshot_text(connection, rows, load["id"])
        loads.append({**load, "files": texts[load["id"]]})
    return loads


def _snapshot_text(connection: sqlite3.Connection, rows: Rows, snapshot_id: str) -> JsonObject:
    stored = connection.execute(f"{SNAPSHOTS.select} WHERE id = ?", (snapshot_id,)).fetchone()
    if stored is None:
        raise Tampered("snapshots", snapshot_id, "it is gone, while the note of its loading is still there")
    files: JsonObject = rows.decode(SNAPSHOTS, rows.check(SNAPSHOTS, stored), snapshot_id)["files"]
    return files


# --- the kill switch


def standing_stops(connection: sqlite3.Connection, rows: Rows) -> list[Stop]:
    found = connection.execute(f"{STOPS.select} WHERE lifted_at IS NULL ORDER BY at, id LIMIT ?", (ROWS_MAX,))
    return [stop_of(rows, rows.check(STOPS, stored)) for stored in found.fetchall()]


def waiting(
    connection: sqlite3.Connection, rows: Rows, after: tuple[float, int], limit: int
) -> list[tuple[float, int, str, str, str]]:
    """Calls that wait for people or for their grant to be spent: time, rowid, id, agent, server; oldest first."""
    select = CALLS.select.replace("SELECT ", "SELECT rowid, ", 1)
    condition = f"{_ALIVE} AND state = 'waiting' AND (created_at, rowid) > (?, ?) ORDER BY created_at, rowid LIMIT ?"
    at = CALLS.position
    found = []
    for rowid, *stored in connection.execute(f"{select} WHERE {condition}", (*after, _limit(limit))).fetchall():
        row: list[Any] = rows.check(CALLS, stored)  # a forged agent would hide a call from the stop
        found.append((row[at["created_at"]], rowid, row[at["id"]], row[at["agent"]], row[at["server"]]))
    return found


def unpublished_periods(connection: sqlite3.Connection, rows: Rows) -> list[SamplingPeriod]:
    select = f"{SAMPLING_PERIODS.select} WHERE published_at IS NULL ORDER BY opened_at, name LIMIT ?"
    found = connection.execute(select, (ROWS_MAX,))
    return [period_of(rows, rows.check(SAMPLING_PERIODS, stored)) for stored in found.fetchall()]


def stop(connection: sqlite3.Connection, rows: Rows, stop_id: str) -> Stop | None:
    found = connection.execute(f"{STOPS.select} WHERE id = ?", (stop_id,)).fetchone()
    return None if found is None else stop_of(rows, rows.check(STOPS, found))


# --- the record


def entry_bytes(
    connection: sqlite3.Connection, _rows: Rows, since_seq: int, limit: int
) -> list[tuple[int, bytes, str]]:
    """Entries after `since_seq` as stored: number, exact bytes, hash."""
    found = connection.execute(
        "SELECT seq, data, hash FROM entries WHERE seq > ? ORDER BY seq LIMIT ?", (since_seq, _limit(limit))
    ).fetchall()
    return [_entry_row(row) for row in found]


def entries_for(connection: sqlite3.Connection, _rows: Rows, call_id: str, limit: int) -> list[JsonObject]:
    """The first entries about one call, in order."""
    found = connection.execute(
        "SELECT seq, data, hash FROM entries WHERE call_id = ? ORDER BY seq LIMIT ?", (call_id, _limit(limit))
    ).fetchall()
    entries = [entry_of(*_entry_row(row)) for row in found]
    for entry in entries:
        if entry["call_id"] != call_id:
            raise Tampered("entries", str(entry["seq"]), "it is filed under a call that it does not name")
    return entries


def entry_of(seq: int, data: bytes, digest: str) -> JsonObject:
    """An entry as others read it: the stored object, with its hash, and its time in seconds as `at`."""
    entry: JsonObject = from_json(data)
    if entry["seq"] != seq:
        raise Tampered("entries", str(seq), f"it holds entry {entry['seq']}")
    return {**entry, "at": entry["at_us"] / 1_000_000, "hash": digest}


def _entry_row(row: tuple[int, bytes, bytes]) -> tuple[int, bytes, str]:
    seq, data, digest = row
    if hashlib.sha256(data).digest() != digest:
        raise Tampered("entries", str(seq), "its bytes are not those that were hashed")
    return seq, data, digest.hex()


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _limit(limit: int) -> int:
    return max(0, min(limit, ROWS_MAX))


# --- autonomy


def standings(connection: sqlite3.Connection, rows: Rows) -> list[AgentStanding]:
    """Agents and domains are configured: there are no more than one reads at once."""
    found = connection.execute(f"{STANDINGS.select} ORDER BY id LIMIT ?", (ROWS_MAX,))
    return [standing_of(rows, rows.check(STANDINGS, stored)) for stored in found.fetchall()]
