"""A `Change` as work for the writer: compare-and-set moves, inserts, and their entries, all or nothing (P13).

Rules of this module:
* Encoding, sealing, signing and canonical JSON happen when a change is prepared, in its caller's time; the work itself
  only compares and sets.
* A move compares state and version of a row whose MAC has been checked: a forged row is never the ground of a move, and
  a lost move names what the row was found to be.
* The store decides nothing about which moves are right: that is `review/lifecycle.py` and `proxy/gate.py`.
* What is drawn is drawn here, when the change's last entry gets its place, and committed with it or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, assert_never

from audit.chain import Prepared, prepare
from audit.entry import EntryDraft
from proxy.store.macs import SqlValue
from proxy.store.rows import CALLS, PRECEDENTS, REVIEWS, STANDINGS, VOTES, call_row, due_at, review_row
from proxy.store.tables import Row, Rows, Table
from proxy.store.transaction import Key, Transaction, Work
from review.model import Verdict
from review.ports import (
    Change,
    ChangeLost,
    InsertCall,
    InsertPrecedent,
    InsertReview,
    InsertVote,
    MoveCall,
    MoveReview,
    PutStanding,
    RowChange,
)

type Step = Callable[[Transaction], None]

_ROW_BYTES = 1024  # a row without its sealed values, about
_SET_BY_THE_MOVE = {table: frozenset({"id", "state", "version", *table.fixed}) for table in (CALLS, REVIEWS)}


@dataclass(frozen=True, slots=True)
class PreparedChange:
    """A change ready for the writer, and about how many bytes it will write."""

    work: Work
    weight_bytes: int


@dataclass(slots=True)
class _Part:
    """Rows and entries that are written together, ready for the writer."""

    steps: list[Step]
    entries: tuple[Prepared, ...]
    touches: list[Key] = field(default_factory=list)
    weight_bytes: int = 0
    uses_sql: bool = False


@dataclass(frozen=True, slots=True)
class Preparing:
    """What it takes to prepare changes in this process."""

    rows: Rows
    node: str
    boot: str
    clock: Callable[[], float]

    def change(self, change: Change) -> PreparedChange:
        """Raises: ValueError, TypeError for a value that fits no column, or an entry that cannot be canonical."""
        part = self._part(change.rows, change.entries)
        if change.drawn is None:
            return PreparedChange(Work(partial(_do, part), tuple(part.touches), part.uses_sql), part.weight_bytes)
        drawn = self._part(change.drawn.rows, change.drawn.entries)
        work = Work(
            partial(_do_drawn, part, change.drawn.falls_on, drawn),
            (*part.touches, *drawn.touches),
            part.uses_sql or drawn.uses_sql,
        )
        return PreparedChange(work, part.weight_bytes + drawn.weight_bytes)

    def _part(self, rows: Iterable[RowChange], drafts: Iterable[EntryDraft]) -> _Part:
        part = _Part([], self.entries(drafts))
        for row in rows:
            step, weight_bytes = self._step(row)
            part.steps.append(step)
            part.weight_bytes += weight_bytes
            if isinstance(row, MoveCall):
                part.touches.append((CALLS, row.call_id))
            elif isinstance(row, MoveReview):
                part.touches.append((REVIEWS, row.review_id))
            elif isinstance(row, PutStanding):
                part.touches.append((STANDINGS, row.standing.id))
            elif isinstance(row, InsertVote | InsertPrecedent):
                part.uses_sql = True
        for entry in part.entries:
            part.weight_bytes += len(entry.prefix)
        return part

    def entries(self, drafts: Iterable[EntryDraft]) -> tuple[Prepared, ...]:
        """Raises: ValueError."""
        return tuple([prepare(draft, node=self.node, boot=self.boot) for draft in drafts])

    def _step(self, change: RowChange) -> tuple[Step, int]:
        match change:
            case InsertCall():
                row = call_row(self.rows, change.call)
                weight = _bytes_of(row[CALLS.first_sealed :])
                return partial(_insert, CALLS, row, self.rows.mac(CALLS, row)), weight
            case InsertReview():
                row = review_row(self.rows, change.review, self.clock())
                return partial(_insert_review, row, self.rows.mac(REVIEWS, row)), _ROW_BYTES
            case InsertVote():
                row = self.rows.encode(VOTES, change.vote, change.vote.review_id, (0,))
                return partial(_insert_vote, self.rows, row, change.clear_earlier), _ROW_BYTES
            case InsertPrecedent():
                row = self.rows.encode(PRECEDENTS, change.precedent, change.precedent.review_id)
                return partial(_put_precedent, self.rows, row), _ROW_BYTES
            case PutStanding():
                row = self.rows.encode(STANDINGS, change.standing, change.standing.id)
                return partial(_put, STANDINGS, row, self.rows.mac(STANDINGS, row)), _bytes_of(())
            case MoveCall():
                fields = change.fields
                if "updated_at" not in fields:
                    fields = {**fields, "updated_at": self.clock()}
                return self._move(CALLS, change.call_id, change, fields)
            case MoveReview():
                return self._move(REVIEWS, change.review_id, change, change.fields, changed_at=self.clock())
            case _:
                assert_never(change)

    def _move(
        self, table: Table, row_id: str, move: MoveCall | MoveReview, fields: Mapping[str, Any], **own: SqlValue
    ) -> tuple[Step, int]:
        if misplaced := _SET_BY_THE_MOVE[table] & fields.keys():
            raise ValueError(f"a move of {table.name} cannot set {', '.join(sorted(misplaced))} as a field")
        values = [(table.position[name], value) for name, value in own.items()]
        for name, value in fields.items():
            written = self.rows.encode_field(table, row_id, name, value)
            values.append((table.position[name], written))
        values.append((table.position["state"], move.to.value))
        weight = _bytes_of(value for _, value in values)
        return partial(_compare_and_set, table, row_id, move, values), weight


def _do(part: _Part, transaction: Transaction) -> bool:
    for step in part.steps:
        step(transaction)
    for entry in part.entries:
        transaction.append(entry)
    return False


def _do_drawn(part: _Part, falls_on: Callable[[bytes], bool], drawn: _Part, transaction: Transaction) -> bool:
    """Whether it was drawn. Raises as the parts do: then nothing of either stays."""
    _do(part, transaction)
    if not falls_on(bytes.fromhex(transaction.head.hash)):
        return False
    _do(drawn, transaction)
    return True


def _compare_and_set(
    table: Table,
    row_id: str,
    move: MoveCall | MoveReview,
    values: Iterable[tuple[int, SqlValue]],
    transaction: Transaction,
) -> None:
    found = transaction.find(table, row_id)
    if found is None:
        raise ChangeLost(table.name, row_id, None)
    at_state, at_version = table.position["state"], table.position["version"]
    state, version = found[at_state], found[at_version]
    if state not in move.expect:  # a StrEnum equals its text
        raise ChangeLost(table.name, row_id, str(state))
    if move.version is not None and version != move.version:
        raise ChangeLost(table.name, row_id, f"{state!s} at version {version!s}")
    row = list(found)
    for at, value in values:
        row[at] = value
    row[at_version] = int(str(version)) + 1
    if table is REVIEWS:
        row[REVIEWS.position["due_at"]] = due_at(row)
    transaction.replace(table, row)


def _insert(table: Table, row: Row, mac: bytes, transaction: Transaction) -> None:
    transaction.insert(table, row, mac)


def _put(table: Table, row: Row, mac: bytes, transaction: Transaction) -> None:
    if transaction.find(table, str(row[0])) is None:
        transaction.insert(table, row, mac)
    else:
        transaction.replace(table, row)


def _insert_review(row: Row, mac: bytes, transaction: Transaction) -> None:
    call_id = str(row[REVIEWS.position["call_id"]])
    if transaction.find(CALLS, call_id) is None:
        raise ChangeLost("calls", call_id, None)
    transaction.insert(REVIEWS, row, mac)


def _insert_vote(rows: Rows, prepared: Row, clear_earlier: bool, transaction: Transaction) -> None:
    review_id = str(prepared[0])
    if transaction.find(REVIEWS, review_id) is None:
        raise ChangeLost("reviews", review_id, None)
    # Numbers are not used twice, so that a vote that was cleared cannot be put back in the place of another.
    ((number,),) = transaction.sql("SELECT ifnull(max(n), 0) + 1 FROM votes WHERE review_id = ?", (review_id,))
    if clear_earlier:
        cleared = (review_id, Verdict.COMMENT.value)
        transaction.sql("DELETE FROM votes WHERE review_id = ? AND verdict <> ?", cleared)
    row = list(prepared)
    row[VOTES.position["n"]] = number
    transaction.sql(VOTES.insert_many(1), rows.stored(VOTES, row))


def _put_precedent(rows: Rows, row: Row, transaction: Transaction) -> None:
    transaction.sql(PRECEDENTS.replace_many(1), rows.stored(PRECEDENTS, row))


def _bytes_of(values: Iterable[SqlValue]) -> int:
    """About how many bytes a row costs to write: what it has of long values, and the rest by and large."""
    return _ROW_BYTES + sum(len(value) for value in values if isinstance(value, bytes))
