"""`proxy.store.reads`: bounded, by index, and nothing is believed whose MAC does not hold (traps T12)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from audit.chain import START
from proxy.store import people, reads
from proxy.store.base import PinnedTool, Tampered
from proxy.store.transaction import commit_batch
from review.model import Account, CallState, LoginSession, Precedent, ReviewKind, ReviewState
from review.ports import Change, InsertPrecedent, InsertVote
from tests.proxy.store.builders import T0, a_vote, an_entry, approved, decided, fresh, opened, preparing, rows

ROWS = rows()
PREPARING = preparing(ROWS)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = fresh()
    (prepared,) = PREPARING.entries([an_entry(None)])
    changes = [
        opened("a", opened_at=T0),
        opened("b", opened_at=T0 + 1),
        opened("ended"),
        approved("ended"),
        Change(rows=(InsertVote(a_vote("rev of a")),), entries=(an_entry("a"),)),
        Change(rows=(InsertPrecedent(Precedent("rev of ended", "shape", T0)),), entries=(an_entry("ended"),)),
        decided("sent", repeat_key="k"),
        decided("closed", state=CallState.CLOSED),
        opened("judged", kind=ReviewKind.AFTERWARDS, state=ReviewState.UNJUDGED),
    ]
    works = [
        *(PREPARING.change(change).work for change in changes),
        people.put_account(ROWS, Account("maria", None), prepared),
        people.put_session(ROWS, LoginSession("t", "maria", T0, T0 + 9, T0)),
        people.put_pins(ROWS, [PinnedTool("files", "read", "d", {}, T0)], ()),
        people.put_snapshot(ROWS, "v1:1", {"a.yaml": ""}, "gate", T0, prepared),
    ]
    assert commit_batch(connection, works, START, ROWS).refused == {}
    yield connection
    connection.close()


type Ask = Callable[[sqlite3.Connection], Any]

ASKED: dict[str, tuple[str, Ask]] = {
    "call": ("calls", lambda c: reads.call(c, ROWS, "a")),
    "review": ("reviews", lambda c: reads.review(c, ROWS, "rev of a")),
    "votes": ("votes", lambda c: reads.votes(c, ROWS, "rev of a")),
    "open reviews": ("reviews", lambda c: reads.open_reviews(c, ROWS, 9, (), reads.BEGINNING)),
    "open reviews' calls": ("calls", lambda c: reads.open_reviews(c, ROWS, 9, (), reads.BEGINNING)),
    "recent reviews": ("reviews", lambda c: reads.recent_reviews(c, ROWS, 9)),
    "due reviews": ("reviews", lambda c: reads.due_reviews(c, ROWS, T0 + 10**6, 9)),
    "calls in a living state": ("calls", lambda c: reads.calls_in(c, ROWS, [CallState.WAITING], 9)),
    "calls in an ended state": ("calls", lambda c: reads.calls_in(c, ROWS, [CallState.CLOSED], 9)),
    "latest by key": ("calls", lambda c: reads.latest_by_key(c, ROWS, "k", T0)),
    "listed": ("reviews", lambda c: reads.listed(c, ROWS, ["rev of a", "rev of b"])),
    "listed reviews' calls": ("calls", lambda c: reads.listed(c, ROWS, ["rev of a"])),
    "precedents": ("precedents", lambda c: reads.precedents(c, ROWS, "shape", 9)),
    "precedents' reviews": ("reviews", lambda c: reads.precedents(c, ROWS, "shape", 9)),
    "afterwards": ("reviews", lambda c: reads.afterwards(c, ROWS, "judged")),
    "unjudged": ("reviews", lambda c: reads.unjudged(c, ROWS, 9, (0.0, ""))),
    "a session's calls": ("calls", lambda c: reads.session_calls(c, ROWS, "demo", "s1", 9)),
    "alive": ("calls", lambda c: reads.alive(c, ROWS, CallState.WAITING, (0.0, 0), 9)),
    "answerable": ("calls", lambda c: reads.answerable(c, ROWS, (0.0, 0), 9)),
    "account": ("accounts", lambda c: reads.account(c, ROWS, "maria")),
    "accounts": ("accounts", lambda c: reads.accounts(c, ROWS)),
    "session": ("sessions", lambda c: reads.session(c, ROWS, "t")),
    "pins": ("pins", lambda c: reads.pins(c, ROWS, "files")),
    "snapshots": ("snapshots", lambda c: reads.snapshots(c, ROWS, 9)),
    "loads": ("snapshot_loads", lambda c: reads.snapshots(c, ROWS, 9)),
}


@pytest.mark.parametrize("name", ASKED)
def test_d5_no_answer_is_given_from_a_row_that_does_not_carry_its_mac(database: sqlite3.Connection, name: str) -> None:
    table, ask = ASKED[name]
    assert ask(database)
    database.execute(f"UPDATE {table} SET mac = zeroblob(32)")
    with pytest.raises(Tampered) as caught:
        ask(database)
    assert caught.value.table == table
    assert not database.in_transaction


@pytest.mark.parametrize("name", ASKED)
def test_no_answer_reads_a_whole_table_to_find_its_rows(database: sqlite3.Connection, name: str) -> None:
    """Calls in ended states are the one exception, bounded by the time a read may take."""
    if name in ("calls in an ended state", "accounts", "snapshots", "loads"):
        return
    assert_by_index(database, ASKED[name][1])


def test_what_is_only_looked_up_is_found_by_index_too(database: sqlite3.Connection) -> None:
    """Answers without values: whatever they name is read, and checked, by another."""
    assert reads.next_due(database, ROWS, T0) is not None
    assert set(reads.live_reviews(database, ROWS)) == {"rev of a", "rev of b", "rev of ended"}
    assert_by_index(database, lambda c: reads.next_due(c, ROWS, T0))
    assert_by_index(database, lambda c: reads.live_reviews(c, ROWS))


def assert_by_index(database: sqlite3.Connection, ask: Ask) -> None:
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    ask(database)
    database.set_trace_callback(None)
    plans = [
        row[3]
        for statement in statements
        if statement.startswith("SELECT")
        for row in database.execute(f"EXPLAIN QUERY PLAN {statement.replace('-Inf', '-9e999')}")
    ]
    assert plans
    assert [plan for plan in plans if plan.startswith("SCAN") and "USING INDEX" not in plan] == []


def test_a_review_whose_call_is_gone_is_no_answer(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM calls WHERE id = 'b'")
    with pytest.raises(Tampered, match="calls b was not written by this gate: it is gone"):
        reads.open_reviews(database, ROWS, 9, (), reads.BEGINNING)
    assert not database.in_transaction


def test_a_snapshot_whose_text_is_gone_is_no_answer(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM snapshots")
    with pytest.raises(Tampered, match="snapshots v1:1 was not written"):
        reads.snapshots(database, ROWS, 9)


def test_a_list_of_open_reviews_goes_on_where_it_was_left(database: sqlite3.Connection) -> None:
    first, place = reads.open_reviews(database, ROWS, 1, (), reads.BEGINNING)
    second, place = reads.open_reviews(database, ROWS, 1, (), place)
    rest, end = reads.open_reviews(database, ROWS, 1, (), place)
    assert [one.call.id for one in first + second] == ["a", "b"]
    assert (rest, end) == ([], place)


@pytest.mark.parametrize(("limit", "rows_asked"), [(-1, 0), (0, 0), (1, 1), (reads.ROWS_MAX + 1, reads.ROWS_MAX)])
def test_every_answer_is_bounded(limit: int, rows_asked: int) -> None:
    assert reads._limit(limit) == rows_asked


# --- entries


def test_d1_an_entry_that_was_edited_is_no_answer(database: sqlite3.Connection) -> None:
    assert len(reads.entry_bytes(database, ROWS, 0, 99)) > 5
    database.execute("UPDATE entries SET data = CAST(replace(data, 'demo', 'evil') AS BLOB) WHERE seq = 2")
    with pytest.raises(Tampered, match="entries 2 was not written by this gate: its bytes are not those"):
        reads.entry_bytes(database, ROWS, 0, 99)


def test_an_entry_filed_under_another_call_is_no_answer(database: sqlite3.Connection) -> None:
    database.execute("UPDATE entries SET call_id = 'b' WHERE seq = 1")
    with pytest.raises(Tampered, match="filed under a call that it does not name"):
        reads.entries_for(database, ROWS, "b", 99)


def test_an_entry_that_holds_another_place_is_no_answer(database: sqlite3.Connection) -> None:
    seq, data, digest = reads.entry_bytes(database, ROWS, 0, 1)[0]
    with pytest.raises(Tampered, match="it holds entry 1"):
        reads.entry_of(seq + 1, data, digest)


def test_the_open_states_in_the_queries_are_those_of_the_index(database: sqlite3.Connection) -> None:
    (index,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'reviews_open'").fetchone()
    assert reads._OPEN in index
    (index,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'calls_alive'").fetchone()
    assert reads._ALIVE in index
    assert {f"'{state.value}'" for state in reads.ALIVE} == set(reads._ALIVE[len("state IN (") : -1].split(", "))
