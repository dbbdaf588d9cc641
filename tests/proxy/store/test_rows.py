"""`proxy.store.rows`: every field of every record has its column, and comes back as it was."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import fields
from typing import Any

import pytest

from proxy.store.base import PinnedTool
from proxy.store.rows import (
    ACCOUNTS,
    CALLS,
    LINKS,
    PINS,
    REVIEWS,
    SESSIONS,
    SNAPSHOT_LOADS,
    SNAPSHOTS,
    STOPS,
    VOTES,
    account_of,
    call_of,
    call_row,
    due_at,
    link_of,
    pin_of,
    review_of,
    review_row,
    session_of,
    stop_of,
    vote_of,
)
from proxy.store.schema import migrations
from proxy.store.tables import Table
from review.model import Account, CallRecord, LoginLink, LoginSession, ReviewRecord, ReviewState, Stop, StopScope, Vote
from tests.proxy.store.builders import T0, a_call, a_review, a_vote, fresh, rows

ROWS = rows()
TABLES = (STOPS, CALLS, REVIEWS, VOTES, ACCOUNTS, SESSIONS, LINKS, PINS, SNAPSHOTS, SNAPSHOT_LOADS)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_has_exactly_the_columns_that_are_signed_and_the_mac(table: Table) -> None:
    with fresh() as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")]
    connection.close()
    assert sorted(columns) == sorted([*table.columns, "mac"])


@pytest.mark.parametrize(
    ("table", "record"),
    [
        (CALLS, CallRecord),
        (REVIEWS, ReviewRecord),
        (VOTES, Vote),
        (ACCOUNTS, Account),
        (SESSIONS, LoginSession),
        (LINKS, LoginLink),
        (PINS, PinnedTool),
        (STOPS, Stop),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_every_field_of_a_record_has_its_column(table: Table, record: Any) -> None:
    """A field that was added to a record and forgotten here would be lost in silence."""
    kept = {column.name for column in table.fields} | set(table.sealed)
    assert kept == {field.name for field in fields(record)} - {"left_out"}  # what a list left out is no part of a row


@pytest.mark.parametrize(
    ("table", "read", "record"),
    [
        (VOTES, vote_of, a_vote(team="finance")),
        (ACCOUNTS, account_of, Account("maria", None, ("admin",), ("finance",), ("demo",), True, T0, T0 + 1)),
        (SESSIONS, session_of, LoginSession("t", "maria", T0, T0 + 1, T0 + 2, "cli")),
        (LINKS, link_of, LoginLink("t", "maria", T0)),
        (
            STOPS,
            stop_of,
            Stop("s", StopScope.AGENT, "demo", "local:root", "why", T0, "local", T0, "reviewer:maria", "ok"),
        ),
        (PINS, pin_of, PinnedTool("files", "read", "d", {"name": "read"}, T0, "d", "maria", T0)),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_a_record_comes_back_from_its_row(table: Table, read: Any, record: Any) -> None:
    row = ROWS.encode(table, record, "x", (1,) * len(table.own))
    assert read(ROWS, ROWS.check(table, ROWS.stored(table, row))) == record


def test_a_call_and_a_review_come_back_from_their_rows() -> None:
    call, review = a_call(approved={"arguments": {"amount": 9}}, outcome={"result": None}), a_review()
    assert call_of(ROWS, call_row(ROWS, call)) == call
    assert review_of(ROWS, review_row(ROWS, review, T0)) == review


@pytest.mark.parametrize("state", list(ReviewState))
def test_a_review_is_due_by_the_time_of_its_state(state: ReviewState) -> None:
    review = a_review(state=state, undo_until=T0 + 1, grant_expires_at=T0 + 2)
    due = review_row(ROWS, review, T0)[REVIEWS.position["due_at"]]
    match state:
        case ReviewState.APPROVED:
            assert due == T0 + 1
        case ReviewState.SPENDABLE:
            assert due == T0 + 2
        case ReviewState.VETOABLE | ReviewState.PARKED | ReviewState.APPROVING | ReviewState.QUARANTINED:
            assert due == review.expires_at
        case _:
            assert due is None


def test_an_approved_review_without_an_undo_window_is_due_at_its_expiry() -> None:
    review = a_review(state=ReviewState.APPROVED)
    assert due_at(review_row(ROWS, review, T0)) == review.expires_at


def test_the_open_states_are_the_same_in_the_model_and_in_the_indexes() -> None:
    """The partial indexes and the queries name them literally; a new open state must reach all of them."""
    schema = "\n".join(one.sql for one in reversed(migrations()))  # the newest first
    index = re.search(r"CREATE INDEX reviews_open .*?state IN \(([^)]*)\)", schema, re.DOTALL)
    assert index is not None
    assert {name.strip(" '") for name in index[1].split(",")} == {state.value for state in ReviewState if state.is_open}


def test_a_table_is_strict_about_its_types() -> None:
    with fresh() as connection, pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in REAL column"):
        connection.execute("INSERT INTO links VALUES ('t', 'maria', 'soon', x'00')")
    connection.close()
