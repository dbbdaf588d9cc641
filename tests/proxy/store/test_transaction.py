"""`proxy.store.transaction`: a batch is one transaction; refused items leave nothing; the chain has no gaps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.chain import START, Head, prepare, verify_run
from proxy.store.base import Tampered
from proxy.store.rows import CALLS, REVIEWS
from proxy.store.transaction import Committed, OutsideWriter, Transaction, Work, commit_batch
from review.model import CallState, ReviewState
from review.ports import Change, InsertCall, InsertReview, InsertVote, MoveCall, MoveReview
from tests.proxy.store.builders import (
    a_call,
    a_vote,
    an_entry,
    answered,
    approved,
    decided,
    fresh,
    opened,
    preparing,
    rows,
    spent,
)

ROWS = rows()
PREPARING = preparing(ROWS)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = fresh()
    yield connection
    connection.close()


def commit(connection: sqlite3.Connection, changes: Sequence[Change | Work], head: Head = START) -> Committed:
    works = [one if isinstance(one, Work) else PREPARING.change(one).work for one in changes]
    return commit_batch(connection, works, head, ROWS)


def entries(connection: sqlite3.Connection) -> list[tuple[int, bytes, str]]:
    found = connection.execute("SELECT seq, data, hash FROM entries ORDER BY seq").fetchall()
    return [(seq, data, digest.hex()) for seq, data, digest in found]


def stored_head(connection: sqlite3.Connection) -> Head:
    seq, digest = connection.execute("SELECT seq, hash FROM head").fetchone()
    return Head(seq, digest.hex())


def states(connection: sqlite3.Connection, table: str = "calls") -> dict[str, str]:
    return dict(connection.execute(f"SELECT id, state FROM {table}"))


# --- whole batches


def test_p13_a_batch_moves_the_stored_head_with_its_entries(database: sqlite3.Connection) -> None:
    committed = commit(database, [decided("a"), opened("b"), decided("c")])
    assert committed.refused == {}
    assert verify_run(entries(database)) == committed.head == stored_head(database)
    assert committed.head.seq == 4
    assert not database.in_transaction


def test_an_item_sees_what_the_ones_before_it_did(database: sqlite3.Connection) -> None:
    committed = commit(database, [opened("a"), approved("a"), spent("a"), answered("a"), spent("a")])
    assert list(committed.refused) == [4]
    assert str(committed.refused[4]) == "reviews rev of a is spent"
    assert states(database) == {"a": "answered"}
    assert database.execute("SELECT version FROM calls").fetchone() == (3,)
    assert verify_run(entries(database)).seq == 5


def test_a_batch_that_changes_nothing_leaves_the_head(database: sqlite3.Connection) -> None:
    head = commit(database, [decided("a")]).head
    committed = commit(database, [decided("a"), answered("nobody")], head)
    assert sorted(committed.refused) == [0, 1]
    assert committed.head == head == stored_head(database)


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 131, 200])
def test_batches_of_any_size_are_written_whole(database: sqlite3.Connection, count: int) -> None:
    head = commit(database, [opened(f"call_{number}") for number in range(count)]).head
    committed = commit(database, [approved(f"call_{number}") for number in range(count)], head)
    assert committed.refused == {}
    assert set(states(database, "reviews").values()) == {"spendable"}
    assert verify_run(entries(database)).seq == 3 * count == committed.head.seq


def test_what_is_written_is_weighed(database: sqlite3.Connection) -> None:
    small = commit(database, [decided("a")])
    large = commit(database, [decided("b", outcome="x" * 100_000)], small.head)
    assert large.bytes_written - small.bytes_written >= 100_000


# --- refused items


class Misfit:
    """Ways in which only writing shows that something does not fit."""

    SURROGATE = decided("bad", agent="\ud800")
    NULL = decided("bad", tool=None)


@pytest.mark.parametrize("bad", [Misfit.SURROGATE, Misfit.NULL])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_misfit_is_undone_alone_wherever_it_stands(database: sqlite3.Connection, bad: Change, place: int) -> None:
    batch = [opened("a"), approved("a"), decided("c")]
    batch.insert(place, bad)
    committed = commit(database, batch)
    assert list(committed.refused) == [place]
    assert isinstance(committed.refused[place], ValueError)
    assert states(database) == {"a": "waiting", "c": "dispatching"}
    assert states(database, "reviews") == {"rev of a": "spendable"}
    assert verify_run(entries(database)) == committed.head == stored_head(database)
    assert committed.head.seq == 4


def test_a_misfit_that_had_moved_a_row_moves_nothing(database: sqlite3.Connection) -> None:
    head = commit(database, [opened("a")]).head
    move = approved("a").rows[0]
    bad = Change(rows=(move, InsertCall(a_call("bad", agent="\ud800"))), entries=(an_entry(),))
    committed = commit(database, [bad, approved("a")], head)
    assert list(committed.refused) == [0]  # and the second was not lost to the first
    assert states(database, "reviews") == {"rev of a": "spendable"}


def test_two_inserts_of_one_id_in_one_batch_keep_the_first(database: sqlite3.Connection) -> None:
    committed = commit(database, [decided("a", agent="first"), decided("a", agent="second"), decided("b")])
    assert [str(error) for error in committed.refused.values()] == ["calls a is dispatching"]
    assert database.execute("SELECT agent FROM calls WHERE id = 'a'").fetchone() == ("first",)
    assert committed.head.seq == 2


def test_an_insert_of_an_id_that_is_there_already_is_lost_and_leaves_its_neighbours(
    database: sqlite3.Connection,
) -> None:
    head = commit(database, [decided("a")]).head
    committed = commit(database, [decided("b"), decided("a"), decided("c")], head)
    assert {number: str(error) for number, error in committed.refused.items()} == {1: "calls a is dispatching"}
    assert sorted(states(database)) == ["a", "b", "c"]
    assert committed.head.seq == 3


def test_an_item_with_statements_of_its_own_is_undone_alone(database: sqlite3.Connection) -> None:
    head = commit(database, [opened("a")]).head
    vote = InsertVote(a_vote("rev of a"))
    lost = MoveReview("rev of a", frozenset({ReviewState.SPENT}), ReviewState.SPENT)
    committed = commit(
        database,
        [
            Change(rows=(vote,), entries=(an_entry(),)),
            Change(rows=(vote, lost), entries=(an_entry(),)),
            approved("a"),
            Change(rows=(vote,), entries=(an_entry(),)),
        ],
        head,
    )
    assert list(committed.refused) == [1]
    assert database.execute("SELECT n FROM votes ORDER BY n").fetchall() == [(1,), (2,)]
    assert verify_run(entries(database)).seq == 5


def test_an_item_with_statements_of_its_own_sees_what_is_still_in_memory(database: sqlite3.Connection) -> None:
    def count(transaction: Transaction) -> Any:
        return transaction.sql("SELECT count(*) FROM calls", ())

    committed = commit(database, [decided("a"), decided("b"), Work(count, uses_sql=True), decided("c")])
    assert committed.results[2] == [(2,)]


def test_what_an_item_with_statements_changed_is_seen_by_the_next(database: sqlite3.Connection) -> None:
    head = commit(database, [opened("a"), opened("b")]).head

    def forge(transaction: Transaction) -> None:
        transaction.sql("UPDATE reviews SET state = 'spendable'", ())

    committed = commit(database, [approved("a"), Work(forge, uses_sql=True), approved("b")], head)
    assert isinstance(committed.refused[2], Tampered)


def test_a_statement_that_breaks_a_constraint_refuses_its_item(database: sqlite3.Connection) -> None:
    def misplace(transaction: Transaction) -> None:
        transaction.sql("INSERT INTO meta (key, value) VALUES (NULL, x'00')", ())

    committed = commit(database, [decided("a"), Work(misplace, uses_sql=True), decided("b")])
    assert [str(error) for error in committed.refused.values()] == [
        "the change does not fit the schema: NOT NULL constraint failed: meta.key"
    ]
    assert sorted(states(database)) == ["a", "b"]


# --- forged rows


def test_d5_a_forged_row_refuses_those_who_ask_for_it_and_nobody_else(database: sqlite3.Connection) -> None:
    head = commit(database, [opened("a"), opened("b")]).head
    database.execute("UPDATE reviews SET state = 'spendable' WHERE id = 'rev of a'")
    committed = commit(database, [spent("a"), approved("b"), decided("c")], head)
    assert list(committed.refused) == [0]
    assert isinstance(committed.refused[0], Tampered)
    assert states(database, "reviews") == {"rev of a": "spendable", "rev of b": "spendable"}
    assert states(database)["a"] == "waiting"


# --- faults


def test_t10_an_entry_written_past_the_lock_is_noticed(database: sqlite3.Connection) -> None:
    database.execute("INSERT INTO entries VALUES (1, x'00', NULL, x'00')")
    with pytest.raises(OutsideWriter, match="entry 1 or a later one is there already"):
        commit(database, [decided("a")])
    assert not database.in_transaction
    assert states(database) == {}


def test_t9_an_error_of_the_database_leaves_no_transaction_open(database: sqlite3.Connection) -> None:
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        commit(database, [decided(f"call_{number}", outcome="x" * 5_000) for number in range(20)])
    assert not database.in_transaction
    assert states(database) == {}
    assert stored_head(database) == START


def test_t9_a_fault_of_ours_leaves_no_transaction_open(database: sqlite3.Connection) -> None:
    def fail(_transaction: Transaction) -> None:
        raise KeyError("a fault of ours")

    with pytest.raises(KeyError):
        commit(database, [decided("a"), Work(fail)])
    assert not database.in_transaction
    assert states(database) == {}


# --- against a naive reference: one change at a time, in a dictionary

IDS = ("a", "b")
MOVES = {
    "open": opened,
    "decide": decided,
    "approve": approved,
    "spend": spent,
    "answer": answered,
    "vote": lambda name: Change(rows=(InsertVote(a_vote(f"rev of {name}")),), entries=(an_entry(name),)),
    "vote and spend": lambda name: Change(
        rows=(InsertVote(a_vote(f"rev of {name}")), *spent(name).rows), entries=spent(name).entries
    ),
    "approve and misfit": lambda name: Change(
        rows=(*approved(name).rows, InsertCall(a_call("bad", agent="\ud800"))), entries=(an_entry(name),)
    ),
    "claim first version": lambda name: Change(
        rows=(
            MoveReview(f"rev of {name}", frozenset({ReviewState.PARKED}), ReviewState.PARKED, {}, version=1),
            MoveCall(name, frozenset({CallState.WAITING}), CallState.WAITING, {"failure": None}),
        ),
        entries=(an_entry(name),),
    ),
}


class Naive:
    """What the store should hold, kept the obvious way."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], tuple[str, int]] = {}
        self.votes: list[str] = []
        self.entries = 0

    def apply(self, change: Change) -> bool:
        before = (dict(self.rows), list(self.votes))
        if all(self._row(row) for row in change.rows):
            self.entries += len(change.entries)
            return True
        self.rows, self.votes = before
        return False

    def _row(self, row: Any) -> bool:
        match row:
            case InsertCall(call):
                return self._insert("calls", call.id, call.state) and call.agent != "\ud800"
            case InsertReview(review):
                return ("calls", review.call_id) in self.rows and self._insert("reviews", review.id, review.state)
            case MoveCall(row_id, expect, to, _, version):
                return self._move("calls", row_id, expect, to, version)
            case MoveReview(row_id, expect, to, _, version):
                return self._move("reviews", row_id, expect, to, version)
            case InsertVote(vote):
                self.votes.append(vote.review_id)
                return ("reviews", vote.review_id) in self.rows
        raise AssertionError(row)

    def _insert(self, table: str, row_id: str, state: str) -> bool:
        if (table, row_id) in self.rows:
            return False
        self.rows[table, row_id] = (str(state), 1)
        return True

    def _move(self, table: str, row_id: str, expect: frozenset[Any], to: str, version: int | None) -> bool:
        state, now = self.rows.get((table, row_id), ("", 0))
        if state not in expect or version not in (None, now):
            return False
        self.rows[table, row_id] = (str(to), now + 1)
        return True


@given(st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.sampled_from(IDS)), max_size=25), st.data())
def test_batches_do_what_one_change_at_a_time_would_do(moves: list[tuple[str, str]], data: st.DataObject) -> None:
    changes = [MOVES[move](name) for move, name in moves]  # type: ignore[operator]
    naive = Naive()
    expected = [naive.apply(change) for change in changes]
    database, head, outcome = fresh(), START, []
    while len(outcome) < len(changes):
        size = data.draw(st.integers(1, 9), label="batch")
        batch = changes[len(outcome) : len(outcome) + size]
        committed = commit(database, batch, head)
        head = committed.head
        outcome += [number not in committed.refused for number in range(len(batch))]
    assert outcome == expected
    found = {
        (table, row_id): (state, version)
        for table in ("calls", "reviews")
        for row_id, state, version in database.execute(f"SELECT id, state, version FROM {table}")
    }
    assert found == naive.rows
    assert [review for (review,) in database.execute("SELECT review_id FROM votes")] == sorted(naive.votes)
    assert verify_run(entries(database)) == head == stored_head(database)
    assert head.seq == naive.entries
    for table in (CALLS, REVIEWS):
        for stored in database.execute(table.select):
            ROWS.check(table, stored)
    database.close()


def test_a_transaction_loads_a_row_it_was_not_told_of(database: sqlite3.Connection) -> None:
    head = commit(database, [opened("a")]).head

    def look(transaction: Transaction) -> Any:
        return [transaction.find(CALLS, "a") is not None, transaction.find(CALLS, "b")]

    assert commit(database, [Work(look)], head).results == [[True, None]]


def test_an_entry_alone_is_a_change(database: sqlite3.Connection) -> None:
    def append(transaction: Transaction) -> None:
        transaction.append(prepare(an_entry(None), node="n", boot="b"))

    committed = commit(database, [Work(append)])
    assert committed.head == stored_head(database) == verify_run(entries(database))
    assert committed.head.seq == 1
