"""`proxy.store.transaction.Passing`: rows a writer put in are not read back for the change that follows at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

import pytest

from audit.chain import START, verify_run
from proxy.store.rows import CALLS
from proxy.store.transaction import PASSING_ROW_BYTES_MAX, PASSING_ROWS_MAX, Committed, Passing, commit_batch
from review.model import CallState
from review.ports import Change, InsertVote
from tests.proxy.store.builders import a_vote, answered, decided, fresh, opened, preparing, rows

ROWS = rows()
PREPARING = preparing(ROWS)


class Writer:
    """Batches one after the other, with what each leaves for the next; counts how often calls were read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection, self.passing, self.head, self.reads = connection, Passing(), START, 0
        connection.set_trace_callback(self._traced)

    def _traced(self, statement: str) -> None:
        self.reads += statement.startswith("SELECT") and " FROM calls" in statement

    def commit(self, *changes: Change) -> Committed:
        works = [PREPARING.change(change).work for change in changes]
        committed = commit_batch(self.connection, works, self.head, ROWS, self.passing)
        self.head = committed.head
        return committed

    def states(self) -> dict[str, str]:
        return dict(self.connection.execute("SELECT id, state FROM calls"))

    def forge(self, call_id: str, state: str) -> None:
        self.connection.execute("UPDATE calls SET state = ? WHERE id = ?", (state, call_id))


@pytest.fixture
def writer() -> Iterator[Writer]:
    connection = fresh()
    yield Writer(connection)
    connection.close()


def test_an_outcome_follows_its_dispatch_without_the_row_being_read(writer: Writer) -> None:
    writer.commit(decided("a"))
    assert writer.commit(answered("a"), decided("b")).refused == {}
    assert writer.reads == 0
    assert writer.states() == {"a": "answered", "b": "dispatching"}


def test_what_is_written_so_passes_every_check_when_it_is_read(writer: Writer) -> None:
    writer.commit(decided("a"))
    writer.commit(answered("a"))
    (stored,) = writer.connection.execute(CALLS.select).fetchall()
    row = ROWS.check(CALLS, stored)
    assert row[CALLS.position["version"]] == 2
    entries = writer.connection.execute("SELECT seq, data, hash FROM entries ORDER BY seq").fetchall()
    assert verify_run([(seq, data, digest.hex()) for seq, data, digest in entries]) == writer.head


def test_a_row_is_good_for_one_change_and_read_for_the_next(writer: Writer) -> None:
    writer.commit(decided("a"))
    writer.commit(answered("a"))
    refused = writer.commit(answered("a")).refused
    assert str(refused[0]) == "calls a is answered"
    assert writer.reads == 1


def test_a_lost_change_uses_it_up_as_well(writer: Writer) -> None:
    writer.commit(decided("a"))
    writer.commit(Change(rows=(), entries=()))
    lost = writer.commit(answered("a"), answered("a"))
    assert list(lost.refused) == [1]
    assert writer.states() == {"a": "answered"}


def test_p12_what_somebody_wrote_over_it_meanwhile_is_not_believed_and_written_over(writer: Writer) -> None:
    writer.commit(decided("a"))
    writer.forge("a", "closed")
    assert writer.commit(answered("a")).refused == {}
    assert writer.states() == {"a": "answered"}


@pytest.mark.parametrize("state", [state for state in CallState if state is not CallState.DISPATCHING])
def test_rows_in_any_other_state_are_read_and_checked(writer: Writer, state: CallState) -> None:
    writer.commit(decided("a", state=state))
    writer.forge("a", "dispatching")
    assert type(writer.commit(answered("a")).refused[0]).__name__ == "Tampered"


def test_a_row_put_in_and_changed_by_one_batch_is_not_remembered_as_it_was(writer: Writer) -> None:
    writer.commit(decided("a"), answered("a"))
    refused = writer.commit(answered("a")).refused
    assert str(refused[0]) == "calls a is answered"


@pytest.mark.parametrize("misfit", [decided("bad", tool=None), decided("bad", agent="\ud800")])
def test_a_batch_worked_again_carefully_remembers_no_row_that_it_changed(writer: Writer, misfit: Change) -> None:
    committed = writer.commit(decided("a"), answered("a"), misfit, decided("b"))
    assert list(committed.refused) == [2]
    refused = writer.commit(answered("a"), answered("b")).refused
    assert [str(one) for one in refused.values()] == ["calls a is answered"]


def test_statements_of_an_items_own_make_everything_be_read_again(writer: Writer) -> None:
    writer.commit(decided("a"), opened("asked"))
    writer.commit(Change(rows=(InsertVote(a_vote("rev of asked")),)))
    writer.forge("a", "closed")
    assert type(writer.commit(answered("a")).refused[0]).__name__ == "Tampered"


def test_p14_so_many_are_remembered_and_no_more(writer: Writer) -> None:
    names = [f"call_{number}" for number in range(PASSING_ROWS_MAX + 1)]
    for some in _by(names, 128):
        writer.commit(*map(decided, some))
    writer.commit(answered(names[1]), answered(names[-1]))
    assert writer.reads == 0
    writer.commit(answered(names[0]))
    assert writer.reads == 1


@pytest.mark.parametrize(("spare", "reads"), [(0, 0), (-1, 1)])
def test_p14_large_rows_are_not_remembered(writer: Writer, spare: int, reads: int) -> None:
    writer.commit(decided("small"))
    ((least,),) = writer.connection.execute("SELECT length(decision) + length(proposed) FROM calls").fetchall()
    writer.reads = 0
    writer.commit(decided("a", proposed={"arguments": {"customer_id": "c1", "amount": 250, "x": ""}}))
    ((empty,),) = writer.connection.execute(
        "SELECT length(decision) + length(proposed) FROM calls WHERE id = 'a'"
    ).fetchall()
    assert empty > least
    writer.reads = 0
    filler = "x" * (PASSING_ROW_BYTES_MAX - empty - spare)
    writer.commit(decided("b", proposed={"arguments": {"customer_id": "c1", "amount": 250, "x": filler}}))
    writer.commit(answered("b"))
    assert writer.reads == reads


def _by(names: Sequence[str], size: int) -> list[Sequence[str]]:
    return [names[at : at + size] for at in range(0, len(names), size)]
