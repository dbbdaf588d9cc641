"""Records and rows: for each table, which columns there are, how a value is written in them and read back.

Rules of this module:
* A row is a list of SQL values in the order of `Table.columns`: fields of the record, the store's own columns, sealed
  columns. Its MAC is kept apart, and covers all of it.
* Writing is strict: a time is a finite float, text is text, JSON is what `strict_json` can write and read back.
* Nothing is read from a row before its MAC has been checked (`Rows.check`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

from proxy.store.macs import RowMacs, SqlValue
from proxy.store.sealing import HEAD_BYTES, SEAL_BYTES, TAG_BYTES, Sealer, fingerprint
from proxy.wire import strict_json

type Row = list[SqlValue]

VALUE_BYTES_MAX = 64 * 1024 * 1024
_STORED = strict_json.JsonLimits(
    bytes_max=VALUE_BYTES_MAX, depth_max=254, keys_max=4_000_000, key_bytes_max=VALUE_BYTES_MAX, number_chars_max=4_000
)


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a record: its name, and how it is written and read. Values of the types `as_is` need no writing."""

    name: str
    write: Callable[[Any], SqlValue]
    read: Callable[[Any], Any]
    as_is: frozenset[type] = frozenset()


@dataclass(frozen=True, eq=False)
class Table:
    """One table. `own` are columns the store keeps for itself, `sealed` those it encrypts; `keys` the primary key.

    `fixed` are columns that no later change sets: their indexes need not be touched then. `passing` is the state that
    a row is put in with and leaves again within moments, if there is one.
    """

    name: str
    fields: tuple[Column, ...]
    own: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()
    keys: tuple[str, ...] = ("id",)
    fixed: tuple[str, ...] = ()
    passing: str | None = None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return (*(column.name for column in self.fields), *self.own, *self.sealed)

    @cached_property
    def position(self) -> Mapping[str, int]:
        return {name: at for at, name in enumerate(self.columns)}

    @cached_property
    def select(self) -> str:
        """`SELECT <columns>, mac FROM <table>`: every read of a row begins so, because its MAC needs all of it."""
        return f"SELECT {', '.join(self.columns)}, mac FROM {self.name}"  # noqa: S608 - names of ours, never data

    def select_brief(self, read_bytes_max: Mapping[str, int]) -> str:
        """As `select`, but of a sealed value over so many bytes only what its row's MAC needs of it; then the size of
        each of those values. A column that is not named is read whole."""
        wanted, sizes = list(self.columns), []
        for name, bytes_max in read_bytes_max.items():
            ends = f"CAST(substr({name}, 1, {HEAD_BYTES}) || substr({name}, -{TAG_BYTES}) AS BLOB)"
            wanted[self.position[name]] = (
                f"CASE WHEN length({name}) > {bytes_max + SEAL_BYTES} THEN {ends} ELSE {name} END"
            )
            sizes.append(f"length({name})")
        return f"SELECT {', '.join(wanted)}, mac, {', '.join(sizes)} FROM {self.name}"  # noqa: S608 - as above

    @lru_cache(maxsize=512)  # noqa: B019 - tables are constants of the module; the texts are few, see in_pieces
    def select_many(self, rows: int) -> str:
        """For as many values of the key as `rows`."""
        return f"{self.select} WHERE {self.keys[0]} IN ({', '.join('?' * rows)})"

    @lru_cache(maxsize=512)  # noqa: B019 - as above
    def insert_many(self, rows: int) -> str:
        marks = f"({', '.join('?' * (len(self.columns) + 1))})"
        columns = ", ".join(self.columns)
        return f"INSERT INTO {self.name} ({columns}, mac) VALUES {', '.join([marks] * rows)}"  # noqa: S608 - as above

    @lru_cache(maxsize=512)  # noqa: B019 - as above
    def replace_many(self, rows: int) -> str:
        """Rows whose keys are there are changed, but for their `fixed` columns; others are inserted."""
        kept = {*self.keys, *self.fixed}
        sets = ", ".join(f"{name} = excluded.{name}" for name in (*self.columns, "mac") if name not in kept)
        return f"{self.insert_many(rows)} ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {sets}"

    @cached_property
    def first_sealed(self) -> int:
        return len(self.fields) + len(self.own)

    @cached_property
    def writers(self) -> tuple[tuple[Callable[[Any], SqlValue], frozenset[type]], ...]:
        return tuple((column.write, column.as_is) for column in self.fields)

    @cached_property
    def values_of(self) -> Callable[[Any], tuple[Any, ...]]:
        """The fields of a record, in order."""
        return attrgetter(*(column.name for column in self.fields))

    @cached_property
    def writer_of(self) -> Mapping[str, Callable[[Any], SqlValue]]:
        return {column.name: column.write for column in self.fields}


class Rows:
    """Turns records into rows and back, with the keys that needs."""

    def __init__(self, sealer: Sealer, macs: RowMacs) -> None:
        self._sealer = sealer
        self.macs = macs

    def encode(self, table: Table, record: Any, row_id: str, own: Sequence[SqlValue] = ()) -> Row:
        """The row of a record. Raises: ValueError, TypeError for a value that does not fit its column."""
        row: Row = [
            value if type(value) in as_is else write(value)
            for (write, as_is), value in zip(table.writers, table.values_of(record), strict=True)
        ]
        row += own
        for name in table.sealed:
            value = getattr(record, name)
            row.append(None if value is None else self.seal(table, row_id, name, value))
        return row

    def encode_field(self, table: Table, row_id: str, name: str, value: Any) -> SqlValue:
        """One field. Raises: ValueError if the table has no such field."""
        if name in table.sealed:
            return self.seal(table, row_id, name, value)
        write = table.writer_of.get(name)
        if write is None:
            raise ValueError(f"{table.name} have no field {name!r}")
        return write(value)

    def seal(self, table: Table, row_id: str, name: str, value: Any) -> SqlValue:
        if value is None:
            return None
        return self._sealer.seal(table.name, row_id, name, to_json(value))

    def unseal(self, table: Table, row_id: str, name: str, sealed: SqlValue) -> Any:
        """Raises: Tampered."""
        if sealed is None:
            return None
        data = sealed if isinstance(sealed, bytes) else b""
        return from_json(self._sealer.open(table.name, row_id, name, data))

    def stored(self, table: Table, row: Row) -> tuple[SqlValue, ...]:
        """The values of one row for `Table.insert_many` and `Table.replace_many`."""
        return (*row, self.mac(table, row))

    def mac(self, table: Table, row: Row) -> bytes:
        return self.macs.mac(table.name, _authenticated(table, row))

    def check(self, table: Table, stored: Sequence[SqlValue]) -> Row:
        """The row of what `Table.select` found, after its MAC was checked. Raises: Tampered."""
        row = list(stored[:-1])
        row_id = "/".join(str(row[table.position[key]]) for key in table.keys)
        self.macs.check(table.name, row_id, _authenticated(table, row), stored[-1])
        return row

    def decode(self, table: Table, row: Row, row_id: str) -> dict[str, Any]:
        """The fields of a checked row by name, sealed ones opened. Raises: Tampered."""
        values = {column.name: column.read(value) for column, value in zip(table.fields, row, strict=False)}
        for name, sealed in zip(table.sealed, row[table.first_sealed :], strict=True):
            values[name] = self.unseal(table, row_id, name, sealed)
        return values


def _authenticated(table: Table, row: Row) -> Row:
    if not table.sealed:
        return row
    plain = row[: table.first_sealed]
    plain.extend(fingerprint(sealed) if isinstance(sealed, bytes) else sealed for sealed in row[table.first_sealed :])
    return plain


_SIZES = (64, 32, 16, 8, 4, 2, 1)


def in_pieces[T](values: Sequence[T]) -> Sequence[Sequence[T]]:
    """Cut into pieces of a few fixed sizes, so that few texts of SQL serve any number, and stay prepared."""
    if len(values) in _SIZES:
        return (values,)
    pieces, at = [], 0
    for size in _SIZES:
        while len(values) - at >= size:
            pieces.append(values[at : at + size])
            at += size
    return pieces


# --- how values stand in columns


def to_json(value: Any) -> bytes:
    """Raises: ValueError for what JSON cannot carry, and for more than `VALUE_BYTES_MAX`."""
    data = strict_json.write(value)
    if len(data) > VALUE_BYTES_MAX:
        raise ValueError(f"a value of {len(data)} bytes is over the store's limit of {VALUE_BYTES_MAX}")
    return data


def from_json(data: bytes) -> Any:
    """What `to_json` wrote, numbers as they were spelled."""
    return strict_json.read(data, _STORED, exact=True)


def text(name: str) -> Column:
    return Column(name, _write_text, _as_is, frozenset({str, type(None)}))


def real(name: str) -> Column:
    return Column(name, _write_real, _as_is, frozenset({type(None)}))


def integer(name: str) -> Column:
    return Column(name, int, _as_is)


def flag(name: str) -> Column:
    return Column(name, lambda value: 1 if value else 0, bool)


def one_of[E: StrEnum](name: str, members: type[E]) -> Column:
    stored = {member: member.value for member in members}  # a StrEnum finds itself by its text as well

    def write(value: Any) -> str:
        try:
            return stored[value]
        except KeyError:
            raise ValueError(f"{value!r} is no {members.__name__}") from None

    return Column(name, write, members)


def json_value(name: str) -> Column:
    return Column(name, _write_json, _read_json)


def names(name: str) -> Column:
    """A tuple of strings, as a JSON array."""
    return Column(name, lambda value: to_json(list(value)).decode(), lambda value: tuple(from_json(value.encode())))


def _write_text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"a {type(value).__name__} stands where text belongs")


def _write_real(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):  # SQLite would keep NaN as NULL
        raise ValueError(f"{number} is not a time")
    return number + 0.0  # -0.0 becomes 0.0: SQLite drops the sign, and the row's MAC would not fit any more


def _write_json(value: Any) -> str:
    return "{}" if value == {} else to_json(value).decode()


def _read_json(stored: str) -> Any:
    return {} if stored == "{}" else from_json(stored.encode())


def _as_is(value: Any) -> Any:
    return value
