#!/usr/bin/env python3
"""Verify an Interlock record. Standard library only: copy this one file anywhere and run it.

    python3 verify.py interlock.db            a database, opened read-only (also while the gate runs)
    python3 verify.py record.jsonl            an export: one entry a line, exactly the bytes that were hashed
    python3 verify.py --head HASH FILE        … and it must end in this hash, which you know from elsewhere
    python3 verify.py --noted HASH FILE       … and it must hold this hash, noted earlier; it may have grown since
    python3 verify.py --after HASH FILE       … a part of a record: its first entry must follow this hash
    python3 verify.py --deep FILE             … and every entry must be in canonical form with all its keys
    python3 verify.py --samples FILE          … and every draw of sampled audit must come out as the record says

Exit code: 0 unbroken · 1 broken (the first bad sequence number is named) · 2 usage, or a file that cannot be read.

What it proves: no entry between the first and the last was changed, removed, added or moved after it was written.
What it cannot prove alone: that the record was not cut off at its end, or rewritten whole. Compare the head it prints
with one you noted earlier (`--noted`), or with a signed checkpoint. The format is described in docs/audit-format.md.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

GENESIS = "0" * 64
CHUNK_ROWS = 5_000  # short reads: a long one would keep the gate's write-ahead log from shrinking
LINE_BYTES_MAX = 2 * 1024 * 1024

_TAIL = re.compile(rb',"prev":"([0-9a-f]{64})","seq":([1-9][0-9]{0,15}),"v":"v1"\}\Z')
_TAIL_BYTES_MAX = 128
_INTEGER_MAX = 2**53 - 1
_KEYS = ["actor", "at_us", "body", "boot", "call_id", "kind", "node", "prev", "seq", "v"]
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("actor", "boot", "kind", "node"), (str,)),
    "at_us": (int,),
    "body": (dict,),
    "call_id": (str, type(None)),
}


class Broken(Exception):
    """The record contradicts itself at `seq`."""

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(f"broken at entry {seq}: {why}")
        self.seq, self.why = seq, why


class Unreadable(Exception):
    """The file cannot be read as a record at all; nothing is said about whether it is whole."""


class Row(NamedTuple):
    """One stored entry. A JSONL export has only the bytes; a database keeps the rest beside them."""

    data: bytes
    seq: int | None = None
    hash: bytes | None = None
    call_id: str | None = None


@dataclass(frozen=True)
class Report:
    """What was verified."""

    entries: int
    first_seq: int
    last_seq: int
    first_at: str
    last_at: str
    head: str


def verify_file(
    path: Path,
    *,
    head: str | None = None,
    after: str | None = None,
    noted: str | None = None,
    deep: bool = False,
    draws: Draws | None = None,
) -> Report:
    """Verify one file. Raises: Broken, Unreadable.

    Not from within the process that has the database open: closing a file drops the locks SQLite holds on it there.
    """
    try:
        with path.open("rb") as file:
            is_database = file.read(16) == b"SQLite format 3\0"
        if is_database:
            return _verify_database(path, head=head, after=after, noted=noted, deep=deep, draws=draws)
        with path.open("rb") as file:
            report = verify_rows(_lines(file), head=head, after=after, noted=noted, deep=deep, draws=draws)
        if report.entries == 0:
            raise Unreadable(f"{path}: there is not one entry in it")
        return report
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:  # the last: SQLite names a damaged table as it is
        raise Unreadable(f"{path}: {error}") from error


def verify_rows(
    rows: Iterable[tuple[Any, ...]],
    *,
    head: str | None = None,
    after: str | None = None,
    noted: str | None = None,
    deep: bool = False,
    draws: Draws | None = None,
) -> Report:
    """Verify entries (`Row`, or the same four things in a plain tuple) in the order given. Raises: Broken."""
    check = _check_deeply() if deep else None
    count, seq, previous = 0, 0, after or GENESIS
    first_seq, first, data = 0, b"", b""
    is_held = noted is None or noted == previous
    for data, stored_seq, stored_hash, call_id in rows:
        if count == 0:
            seq = _first_seq(data, stored_seq, after) - 1
            first_seq, first = seq + 1, data
        count += 1
        seq += 1
        if stored_seq is not None and stored_seq != seq:
            raise Broken(seq, f"it is missing: entry {stored_seq} stands in its place")
        if type(data) is not bytes:
            raise Broken(seq, "its row does not hold bytes")
        if not data.endswith(b',"prev":"%b","seq":%d,"v":"v1"}' % (previous.encode(), seq)):
            raise Broken(seq, _why_not_next(data, seq, previous))
        digest = hashlib.sha256(data)
        if stored_hash is not None and stored_hash != digest.digest():
            raise Broken(seq, f"its bytes hash to {digest.hexdigest()}, not to the hash stored with it")
        if check is not None:
            check(Row(data, stored_seq, stored_hash, call_id), seq)
        if draws is not None:
            draws.see(data, seq, digest.digest())
        previous = digest.hexdigest()
        is_held = is_held or previous == noted
    if not is_held:
        raise Broken(seq + 1, f"no entry up to here has the hash {noted}: the record was cut off or replaced")
    if head is not None and head != previous:
        raise Broken(seq + 1, f"the record ends in {previous}, not in the head {head}: it was cut off or replaced")
    if draws is not None:
        draws.end()
    if count == 0:
        return Report(0, 0, 0, "-", "-", previous)
    return Report(count, first_seq, seq, _time_of(first, first_seq), _time_of(data, seq), previous)


def _first_seq(data: bytes, stored_seq: int | None, after: str | None) -> int:
    """The number the run must begin with: 1, unless the caller knows the hash before it."""
    if after is None:
        return 1
    tail = _TAIL.search(data[-_TAIL_BYTES_MAX:]) if type(data) is bytes else None
    if tail is None:
        raise Broken(stored_seq or 1, "it is not an entry of format v1")
    return int(tail[2])


def _why_not_next(data: bytes, seq: int, previous: str) -> str:
    tail = _TAIL.search(data[-_TAIL_BYTES_MAX:])
    if tail is None:
        return "it is not an entry of format v1"
    if int(tail[2]) != seq:
        return f"entry {int(tail[2])} stands in its place"
    return f"it follows an entry with hash {tail[1].decode()}, but the entry before it has {previous}"


# --- where entries come from


def _lines(file: Any) -> Iterator[Row]:
    while line := file.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            raise Unreadable(f"{file.name}: a line is longer than {LINE_BYTES_MAX} bytes")
        yield Row(line.removesuffix(b"\n"))


def _verify_database(
    path: Path, *, head: str | None, after: str | None, noted: str | None, deep: bool, draws: Draws | None
) -> Report:
    connection = _connect(path)
    try:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"entries", "head"} <= names:
            raise Unreadable(f"{path}: is a SQLite database, but not one of Interlock's")
        stored: list[str] = []
        report = verify_rows(_rows(connection, stored), head=head, after=after, noted=noted, deep=deep, draws=draws)
    finally:
        connection.close()
    kept = stored[0] if stored else "gone"  # a store has one from its first opening on, before any entry
    if kept != report.head:
        seq = report.last_seq + 1
        raise Broken(
            seq, f"the entries end in {report.head}, but the head kept beside them is {kept}: some were cut off"
        )
    return report


def _connect(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    wal = Path(f"{path}-wal")
    try:
        connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        # A copy on read-only media has no place for SQLite's -shm file. Reading the main file alone is right only
        # when nothing is waiting in the write-ahead log; otherwise the newest entries would silently be left out.
        if wal.exists() and wal.stat().st_size > 0:
            raise Unreadable(f"{path}: {error}; copy it and its -wal file into a directory you can write to") from error
        connection = sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None)
    return connection


def _rows(connection: sqlite3.Connection, stored_head: list[str]) -> Iterator[tuple[Any, ...]]:
    """All entries in short reads; the last read sees the stored head in the same snapshot."""
    last = -sys.maxsize
    while True:
        connection.execute("BEGIN")
        rows = connection.execute(
            "SELECT data, seq, hash, call_id FROM entries WHERE seq > ? ORDER BY seq LIMIT ?", (last, CHUNK_ROWS)
        ).fetchall()
        if len(rows) < CHUNK_ROWS:
            kept = connection.execute("SELECT hash FROM head").fetchall()
            stored_head[:] = [digest.hex() if type(digest) is bytes else "no hash" for (digest,) in kept]
        connection.execute("COMMIT")
        yield from rows
        if len(rows) < CHUNK_ROWS:
            return
        last = rows[-1][1]  # its seq


# --- the draws of sampled audit


class Draws:
    """Repeats every draw once its period's key is in the record: chosen calls must be samples, others must not.

    A call's lot stands in the entry of its answer; where it was chosen, the opening of the sample is the next entry.
    """

    def __init__(self) -> None:
        self.repeated = self.chosen = 0
        self._commitments: dict[str, str] = {}
        self._secret: dict[str, list[_Lot]] = {}  # by period, until its key is published
        self._last: _Lot | None = None  # whether it was chosen, the next entry says

    @property
    def secret(self) -> int:
        """How many cannot be repeated yet: the keys of their periods are not in the record."""
        return sum(map(len, self._secret.values()))

    def see(self, data: bytes, seq: int, digest: bytes) -> None:
        """The next entry. Raises: Broken."""
        try:
            self._see(data, seq, digest)
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise Broken(seq, f"what it says of sampled audit is not in its form: {error!r}") from error

    def _see(self, data: bytes, seq: int, digest: bytes) -> None:
        last, self._last = self._last, None
        if last is not None:
            self._take(last, is_chosen=_opens_sample(data, seq, last.call_id))
        if b'"kind":"call_answered"' in data and b'"sample":{' in data:
            entry = _parse(data, seq)
            told = entry["body"].get("sample")
            if type(told) is dict:
                self._last = _Lot(seq, digest, entry["call_id"], told)
        elif b'"kind":"sampling_' in data:
            self._period(_parse(data, seq), seq)

    def end(self) -> None:
        """There are no more entries. Raises: Broken."""
        if self._last is not None:
            self._take(self._last, is_chosen=False)

    def _take(self, lot: _Lot, *, is_chosen: bool) -> None:
        lot = lot._replace(is_chosen=is_chosen)
        period = lot.told.get("period")
        if period is None:  # none was open: then every call with a chance is chosen
            self._repeat(lot, must_be_chosen=True)
        else:
            self._secret.setdefault(period, []).append(lot)

    def _period(self, entry: dict[str, Any], seq: int) -> None:
        body = entry["body"]
        if entry["kind"] == "sampling_opened":
            if self._commitments.setdefault(body["period"], body["commitment"]) != body["commitment"]:
                raise Broken(seq, f"sampling period {body['period']} has another commitment than before")
            return
        key, commitment = bytes.fromhex(body["key"]), self._commitments.get(body["period"])
        if hashlib.sha256(b"interlock sampling period v1\0" + key).hexdigest() != commitment:
            raise Broken(seq, f"the key of sampling period {body['period']} is not the one that was committed to")
        for lot in self._secret.pop(body["period"], ()):
            self._repeat(lot, must_be_chosen=_is_drawn(key, lot))

    def _repeat(self, lot: _Lot, *, must_be_chosen: bool) -> None:
        if must_be_chosen != lot.is_chosen:
            wanted, found = ("a sample", "none") if must_be_chosen else ("no sample", "one")
            raise Broken(lot.seq, f"by its draw call {lot.call_id} is {wanted}, and the record has {found}")
        self.repeated += 1
        self.chosen += lot.is_chosen


class _Lot(NamedTuple):
    seq: int
    digest: bytes
    call_id: str | None
    told: dict[str, Any]
    is_chosen: bool = False


def _opens_sample(data: bytes, seq: int, call_id: str | None) -> bool:
    if b'"kind":"review_opened"' not in data:
        return False
    entry = _parse(data, seq)
    return bool(entry["call_id"] == call_id and entry["body"].get("kind") == "afterwards")


def _is_drawn(key: bytes, lot: _Lot) -> bool:
    if "every" in lot.told:
        offset = hmac.digest(key, b"interlock sampling offset v1\0", "sha256")
        return bool(lot.told["number"] % lot.told["every"] == int.from_bytes(offset[:8]) % lot.told["every"])
    number = int.from_bytes(hmac.digest(key, b"interlock sample v1\0" + lot.digest, "sha256")[:8])
    return bool(number * 1_000_000 < lot.told["chance_ppm"] * 2**64)


# --- the deep check: canonical form, all keys, one node a boot


def _check_deeply() -> Any:
    boots: dict[str, str] = {}
    current = ""

    def check(row: Row, seq: int) -> None:
        nonlocal current
        entry = _parse(row.data, seq)
        if list(entry) != _KEYS:
            raise Broken(seq, f"its keys are {', '.join(entry)}; they must be {', '.join(_KEYS)}")
        if _canonical(entry) != row.data:
            raise Broken(seq, "it is not in canonical form (RFC 8785)")
        for key, types in _TYPES.items():
            if type(entry[key]) not in types:
                raise Broken(seq, f"its {key} is a {type(entry[key]).__name__}")
        if row.seq is not None and row.call_id != entry["call_id"]:
            raise Broken(seq, f"its row is filed under call {row.call_id}, but the entry names {entry['call_id']}")
        boot, node = entry["boot"], entry["node"]
        if boot != current and boot in boots:
            raise Broken(seq, f"it belongs to boot {boot}, which had already ended")
        if boots.setdefault(boot, node) != node:
            raise Broken(seq, f"boot {boot} changes its node from {boots[boot]} to {node}")
        current = boot

    return check


def _parse(data: bytes, seq: int) -> dict[str, Any]:
    try:
        # What ends as an entry must end is an object or no JSON. Doubled keys fail the canonical comparison.
        entry: dict[str, Any] = json.loads(data)  # noqa: TID251 - this file must run alone
    except (ValueError, RecursionError) as error:
        raise Broken(seq, f"it is not JSON: {error}") from error
    return entry


def _canonical(value: Any) -> bytes:
    try:
        return _written(value).encode("utf-8")
    except (UnicodeEncodeError, OverflowError, RecursionError):
        return b""


def _written(value: Any) -> str:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))  # RFC 8785 §3.2.3
        return "{" + ",".join(f"{_string(key)}:{_written(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int) and abs(value) > _INTEGER_MAX:
        return _number(float(value))  # a large double is written as digits (RFC 8785 §3.2.2.3)
    return json.dumps(value)


_string = json.JSONEncoder(ensure_ascii=False).encode


def _number(value: float) -> str:
    """ECMA-262 Number::toString, which RFC 8785 §3.2.2.3 prescribes; Python's repr has the same shortest digits."""
    if value == 0:
        return "0"
    sign, digits, exponent = _decimal(repr(value))
    point = len(digits) + exponent  # where the decimal point stands, counted from the first digit
    if 0 < point <= 21:
        text = digits + "0" * (point - len(digits)) if exponent >= 0 else f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    return sign + text


def _decimal(text: str) -> tuple[str, str, int]:
    """Sign, significant digits without zeros at either end, and the power of ten of the last digit."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, power = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) - len(fraction)
    stripped = digits.rstrip("0")
    return sign, stripped, exponent + len(digits) - len(stripped)


def _time_of(data: bytes, seq: int) -> str:
    at_us = _parse(data, seq).get("at_us")
    if not isinstance(at_us, int) or not 0 <= at_us < 2**53:
        raise Broken(seq, "it carries no time")
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- the command line


def main(argv: list[str] | None = None) -> int:
    """Verify the files named and print one paragraph each; returns the exit code."""
    parser = argparse.ArgumentParser(prog="verify", description="Verify an Interlock record.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a database or a JSONL export")
    parser.add_argument("--head", type=_hash, help="the hash the record must end in")
    parser.add_argument("--noted", type=_hash, help="a head noted earlier: the record must hold it, and may have grown")
    parser.add_argument("--after", type=_hash, help="the hash the first entry must follow (part of a record)")
    parser.add_argument("--deep", action="store_true", help="check the canonical form of every entry as well")
    parser.add_argument("--samples", action="store_true", help="repeat every draw of sampled audit as well")
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    broken = unreadable = False
    for path in options.files:
        draws = Draws() if options.samples else None
        try:
            report = verify_file(
                path,
                head=options.head,
                after=options.after,
                noted=options.noted,
                deep=options.deep,
                draws=draws,
            )
        except Broken as error:
            print(f"{path}: BROKEN at entry {error.seq}: {error.why}")
            broken = True
        except Unreadable as error:
            print(f"cannot read {error}", file=sys.stderr)
            unreadable = True
        else:
            print(f"{path}: unbroken: {report.entries} entries, {report.first_seq} to {report.last_seq}")
            print(f"  from {report.first_at} to {report.last_at}")
            print(f"  head {report.head}")
            if draws is not None:
                print(f"  draws repeated: {draws.repeated}, of which samples: {draws.chosen}; not yet: {draws.secret}")
    return 1 if broken else 2 if unreadable else 0


def _hash(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError("a hash is 64 hexadecimal digits in lower case")
    return text


if __name__ == "__main__":
    sys.exit(main())
