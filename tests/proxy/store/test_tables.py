"""`proxy.store.tables`: how values stand in columns, and the texts of SQL."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.store import tables
from proxy.store.base import Tampered
from proxy.store.tables import (
    Table,
    flag,
    from_json,
    in_pieces,
    integer,
    json_value,
    names,
    one_of,
    real,
    text,
    to_json,
)
from tests.proxy.store.builders import rows


class Shape(StrEnum):
    ROUND = "round"
    FLAT = "flat"


@dataclass(frozen=True)
class Thing:
    id: str
    shape: Shape = Shape.ROUND
    size: float | None = None
    count: int = 0
    is_new: bool = False
    tags: tuple[str, ...] = ()
    notes: Any = None
    secret: Any = None


THINGS = Table(
    "things",
    fields=(
        text("id"),
        one_of("shape", Shape),
        real("size"),
        integer("count"),
        flag("is_new"),
        names("tags"),
        json_value("notes"),
    ),
    own=("seen_at",),
    sealed=("secret",),
    fixed=("count",),
)
ROWS = rows()


@pytest.fixture
def database() -> Any:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(
        "CREATE TABLE things (id TEXT PRIMARY KEY, shape TEXT, size REAL, count INTEGER, is_new INTEGER, tags TEXT, "
        "notes TEXT, seen_at REAL, secret BLOB, mac BLOB) STRICT"
    )
    yield connection
    connection.close()


def kept(database: sqlite3.Connection, thing: Thing) -> Thing:
    row = ROWS.encode(THINGS, thing, thing.id, (2.5,))
    database.execute(THINGS.replace_many(1), ROWS.stored(THINGS, row))
    (stored,) = database.execute(THINGS.select_many(1), (thing.id,)).fetchall()
    return Thing(**ROWS.decode(THINGS, ROWS.check(THINGS, stored), thing.id))


@given(
    st.sampled_from(Shape),
    st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**40), 2**40),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    ),
)
def test_a_record_comes_back_from_its_row(
    shape: Shape, size: Any, count: int, is_new: bool, tags: list[str], value: Any
) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(
        "CREATE TABLE things (id TEXT PRIMARY KEY, shape TEXT, size REAL, count INTEGER, is_new INTEGER, tags TEXT, "
        "notes TEXT, seen_at REAL, secret BLOB, mac BLOB) STRICT"
    )
    thing = Thing("t", shape, size, count, is_new, tuple(tags), value, value)
    assert kept(connection, thing) == thing
    connection.close()


def test_a_zero_below_zero_is_kept_as_zero(database: sqlite3.Connection) -> None:
    assert str(kept(database, Thing("t", size=-0.0)).size) == "0.0"


def test_numbers_come_back_as_they_were_spelled(database: sqlite3.Connection) -> None:
    spelled = from_json(b'{"a":1.0,"b":1.10,"c":-0,"d":18446744073709551617,"e":1e5}')
    assert to_json(kept(database, Thing("t", notes=spelled, secret=spelled)).secret) == to_json(spelled)


def test_nothing_is_kept_of_a_secret_that_is_none(database: sqlite3.Connection) -> None:
    kept(database, Thing("t", secret=None))
    assert database.execute("SELECT secret FROM things").fetchone() == (None,)


def test_a_secret_does_not_stand_in_its_row_in_clear(database: sqlite3.Connection) -> None:
    kept(database, Thing("t", secret={"ssn": "123-45-6789"}))
    assert b"123-45-6789" not in database.execute("SELECT secret FROM things").fetchone()[0]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"id": 7}, TypeError),
        ({"shape": "square"}, ValueError),
        ({"shape": None}, ValueError),
        ({"size": "wide"}, ValueError),
        ({"size": float("nan")}, ValueError),
        ({"size": float("inf")}, ValueError),
        ({"count": "many"}, ValueError),
        ({"notes": object()}, ValueError),
        ({"notes": float("nan")}, ValueError),
        ({"secret": {1: 2}}, ValueError),
        ({"tags": (object(),)}, ValueError),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ROWS.encode(THINGS, Thing(**{"id": "t", **changes}), "t", (None,))


def test_text_of_an_enumeration_is_kept_as_text() -> None:
    assert type(text("x").write(Shape.FLAT)) is str
    assert text("x").write(Shape.FLAT) == "flat"


@pytest.mark.parametrize("value", [{}, [], {"a": []}, 0, "", None, False])
def test_small_json_is_kept_exactly(value: Any) -> None:
    column = json_value("notes")
    stored = column.write(value)
    assert isinstance(stored, str)
    assert column.read(stored) == value
    assert stored.encode() == to_json(value)


@pytest.mark.parametrize(
    "change",
    [
        "shape = 'flat'",
        "size = 2.0",
        "count = 8",
        "seen_at = NULL",
        "secret = NULL",
        "secret = zeroblob(60)",
        "mac = zeroblob(32)",
        "mac = NULL",
        "tags = '[]'",
    ],
)
def test_d5_no_column_can_be_changed_unnoticed(database: sqlite3.Connection, change: str) -> None:
    kept(database, Thing("t", size=1.0, tags=("a",), secret="s"))
    database.execute(f"UPDATE things SET {change}")
    (stored,) = database.execute(THINGS.select).fetchall()
    with pytest.raises(Tampered, match="things t was not written by this gate"):
        ROWS.check(THINGS, stored)


def test_d5_a_secret_put_back_to_an_earlier_one_of_the_same_row_is_noticed(database: sqlite3.Connection) -> None:
    kept(database, Thing("t", secret="first"))
    (earlier,) = database.execute("SELECT secret FROM things").fetchone()
    kept(database, Thing("t", secret="second"))
    database.execute("UPDATE things SET secret = ?", (earlier,))
    (stored,) = database.execute(THINGS.select).fetchall()
    with pytest.raises(Tampered):
        ROWS.check(THINGS, stored)


def test_a_secret_that_is_no_bytes_does_not_open() -> None:
    with pytest.raises(Tampered):
        ROWS.unseal(THINGS, "t", "secret", "text")


def test_fields_are_written_one_by_one_for_moves() -> None:
    assert ROWS.encode_field(THINGS, "t", "size", 3) == 3.0
    sealed = ROWS.encode_field(THINGS, "t", "secret", [1])
    assert ROWS.unseal(THINGS, "t", "secret", sealed) == [1]
    for unknown in ("nonsense", "seen_at", "mac"):
        with pytest.raises(ValueError, match=f"things have no field '{unknown}'"):
            ROWS.encode_field(THINGS, "t", unknown, 1)


def test_replacing_leaves_the_fixed_columns(database: sqlite3.Connection) -> None:
    kept(database, Thing("t", count=1, size=1.0))
    row = ROWS.encode(THINGS, Thing("t", count=2, size=2.0), "t", (None,))
    database.execute(THINGS.replace_many(1), ROWS.stored(THINGS, row))
    assert database.execute("SELECT count, size FROM things").fetchall() == [(1, 2.0)]


def test_a_value_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "VALUE_BYTES_MAX", 10)
    assert to_json("x" * 8) == b'"xxxxxxxx"'
    with pytest.raises(ValueError, match="11 bytes is over the store's limit of 10"):
        to_json("x" * 9)


@given(st.integers(0, 500))
def test_pieces_are_of_few_sizes_and_together_everything(count: int) -> None:
    pieces = list(in_pieces(range(count)))
    assert [number for piece in pieces for number in piece] == list(range(count))
    assert {len(piece) for piece in pieces} <= {1, 2, 4, 8, 16, 32, 64}
    assert len(pieces) <= count // 64 + 6
