"""Accounts, login sessions, login links, tool pins, policy snapshots and stops, as work for the writer.

Rules of this module:
* What tells of an account, an inventory or a policy is written with its audit entry, in one transaction (P13).
* A link is used up by deleting it: of two takers, one gets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.chain import Prepared
from policies.model import JsonObject
from proxy.store.base import Account, LoginLink, LoginSession, PinnedTool, SamplingPeriod
from proxy.store.rows import (
    ACCOUNTS,
    LINKS,
    PINS,
    SAMPLING_PERIODS,
    SESSIONS,
    SNAPSHOT_LOADS,
    SNAPSHOTS,
    STOPS,
    link_of,
)
from proxy.store.tables import Row, Rows, Table
from proxy.store.transaction import Transaction, Work
from review.model import Stop


@dataclass(frozen=True, slots=True)
class _Put:
    """Insert or replace rows, with their entries."""

    rows: Rows
    table: Table
    encoded: tuple[Row, ...]
    entries: tuple[Prepared, ...] = ()

    def __call__(self, transaction: Transaction) -> None:
        for row in self.encoded:
            transaction.sql(self.table.replace_many(1), self.rows.stored(self.table, row))
        for entry in self.entries:
            transaction.append(entry)

    def work(self) -> Work:
        return Work(self, uses_sql=True)


def put_account(rows: Rows, account: Account, entry: Prepared) -> Work:
    """Raises: ValueError, TypeError for a value that does not fit its column."""
    return _Put(rows, ACCOUNTS, (rows.encode(ACCOUNTS, account, account.name),), (entry,)).work()


def put_session(rows: Rows, session: LoginSession) -> Work:
    """Raises: ValueError, TypeError for a value that does not fit its column."""
    return _Put(rows, SESSIONS, (rows.encode(SESSIONS, session, session.token_hash),)).work()


def put_link(rows: Rows, link: LoginLink) -> Work:
    """Raises: ValueError, TypeError for a value that does not fit its column."""
    return _Put(rows, LINKS, (rows.encode(LINKS, link, link.token_hash),)).work()


def put_pins(rows: Rows, pins: Sequence[PinnedTool], entries: tuple[Prepared, ...]) -> Work:
    """Raises: ValueError, TypeError for a value that does not fit its column."""
    return _Put(rows, PINS, tuple(rows.encode(PINS, pin, f"{pin.server}/{pin.tool}") for pin in pins), entries).work()


def put_stop(rows: Rows, stop: Stop, entry: Prepared) -> Work:
    """Raises: ValueError, TypeError for a value that does not fit its column."""
    return _Put(rows, STOPS, (rows.encode(STOPS, stop, stop.id),), (entry,)).work()


def put_sampling_period(rows: Rows, period: SamplingPeriod, entry: Prepared) -> Work:
    """Raises: ValueError, TypeError for a value that does not fit its column."""
    return _Put(rows, SAMPLING_PERIODS, (rows.encode(SAMPLING_PERIODS, period, period.name),), (entry,)).work()


def drop_session(token_hash: str) -> Work:
    def drop(transaction: Transaction) -> None:
        transaction.sql("DELETE FROM sessions WHERE token_hash = ?", (token_hash,))

    return Work(drop, uses_sql=True)


def take_link(rows: Rows, token_hash: str, now: float) -> Work:
    """The link, if it was there and has not expired; gone in any case."""

    def take(transaction: Transaction) -> LoginLink | None:
        found = transaction.sql(LINKS.select_many(1), (token_hash,))
        if not found:
            return None
        link = link_of(rows, rows.check(LINKS, found[0]))
        transaction.sql("DELETE FROM links WHERE token_hash = ?", (token_hash,))
        return link if now < link.expires_at else None

    return Work(take, uses_sql=True)


@dataclass(frozen=True, slots=True)
class _Load:
    id: str
    loaded_by: str
    loaded_at: float


@dataclass(frozen=True, slots=True)
class _Text:
    id: str
    files: JsonObject


def put_snapshot(
    rows: Rows, snapshot_id: str, files: JsonObject, loaded_by: str, loaded_at: float, entry: Prepared
) -> Work:
    """Raises: ValueError, TypeError for a value that does not fit its column."""
    text = rows.encode(SNAPSHOTS, _Text(snapshot_id, files), snapshot_id)
    load = rows.encode(SNAPSHOT_LOADS, _Load(snapshot_id, loaded_by, loaded_at), snapshot_id, (0,))

    def put(transaction: Transaction) -> None:
        transaction.sql(SNAPSHOTS.replace_many(1), rows.stored(SNAPSHOTS, text))
        ((number,),) = transaction.sql("SELECT ifnull(max(n), 0) + 1 FROM snapshot_loads", ())
        numbered = list(load)
        numbered[SNAPSHOT_LOADS.position["n"]] = number
        transaction.sql(SNAPSHOT_LOADS.insert_many(1), rows.stored(SNAPSHOT_LOADS, numbered))
        transaction.append(entry)

    return Work(put, uses_sql=True)
