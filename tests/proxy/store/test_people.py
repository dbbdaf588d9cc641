"""`proxy.store.people`: a forged row of a person does nothing; the rest is in the contract."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from audit.chain import START
from proxy.store import people
from proxy.store.base import Tampered
from proxy.store.transaction import commit_batch
from review.model import Account, LoginLink
from tests.proxy.store.builders import T0, fresh, rows

ROWS = rows()


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = fresh()
    yield connection
    connection.close()


def test_d5_a_login_link_put_into_the_database_is_not_taken(database: sqlite3.Connection) -> None:
    database.execute("INSERT INTO links VALUES ('mine', 'maria', 9e9, zeroblob(32))")
    committed = commit_batch(database, [people.take_link(ROWS, "mine", T0)], START, ROWS)
    assert isinstance(committed.refused[0], Tampered)
    assert database.execute("SELECT count(*) FROM links").fetchone() == (1,)  # left for people to look at


def test_a_link_put_twice_is_the_later_one(database: sqlite3.Connection) -> None:
    works = [people.put_link(ROWS, LoginLink("t", "maria", T0 + seconds)) for seconds in (1, 600)]
    committed = commit_batch(database, [*works, people.take_link(ROWS, "t", T0 + 5)], START, ROWS)
    assert committed.results[2] == LoginLink("t", "maria", T0 + 600)


def test_what_does_not_fit_is_refused_before_anything_is_asked_of_the_database() -> None:
    with pytest.raises(TypeError):
        people.put_link(ROWS, LoginLink("t", 7, T0))  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        people.put_link(ROWS, LoginLink("t", "maria", float("nan")))


def test_an_account_is_replaced_whole(database: sqlite3.Connection) -> None:
    first = people._Put(ROWS, people.ACCOUNTS, (ROWS.encode(people.ACCOUNTS, Account("m", "h", ("admin",)), "m"),))
    second = people._Put(ROWS, people.ACCOUNTS, (ROWS.encode(people.ACCOUNTS, Account("m", None), "m"),))
    commit_batch(database, [first.work(), second.work()], START, ROWS)
    assert database.execute("SELECT password_hash, roles FROM accounts").fetchall() == [(None, '["reviewer"]')]
