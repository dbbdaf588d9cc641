"""The store and the record in it: readable, written by one gate, of this release, unbroken at its end; who may decide.

Rules of this module:
* Nothing is written, made or locked. A database that nobody has open is read without SQLite's helper files (they would
  be the looker's, and the gate refuses files of another user's); one that a gate has open is read beside it.
* Rows are believed by their MACs, as the gate believes them; the keys are read, never made.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from audit.chain import START, ChainBroken, Head, verify_run
from proxy.doctor.finding import Finding, ok, problem, unreachable, warning
from proxy.doctor.machine import nearest
from proxy.doctor.subject import Subject, holder
from proxy.keys import FILE_NAME, Keys, KeysRefused
from proxy.store import reads
from proxy.store.base import PinnedTool
from proxy.store.macs import RowMacs
from proxy.store.schema import TAIL_ENTRIES, migrations
from proxy.store.sealing import Sealer
from proxy.store.tables import Rows
from review.ports import StoreDown

READ_MS_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Looked:
    """What the store told: findings, and what other checks want of it."""

    findings: tuple[Finding, ...]
    last_entry_at: float | None = None
    pins: dict[str, Sequence[PinnedTool]] | None = None


def look(subject: Subject) -> Looked:
    """Everything about the store at once, from one short read."""
    lock = _locked(subject)
    if not subject.store.exists():
        new = [
            _writable(nearest(subject.data_dir)),
            ok("store", "there is no record yet; the first start makes it", path=str(subject.store)),
        ]
        return Looked((lock, *new, *_keys(subject)))
    if not os.access(subject.store, os.R_OK):
        mend = "run doctor as the gate's user (sudo -u …)"
        return Looked((lock, unreachable("store", f"{subject.store} cannot be read by this user", mend)))
    begun = (lock, _writable(subject.store), *_keys(subject))
    try:
        with closing(_opened(subject.store)) as connection:
            connection.execute("BEGIN")
            return _of_database(subject, connection, begun)
    except (sqlite3.Error, StoreDown, ValueError) as error:
        if holder(Path(f"{subject.store}.lock")) != subject.gate:
            return Looked((*begun, unreachable("record", "the gate started or ended meanwhile", "run doctor again")))
        mend = "see 'After a crash' and 'Restore' in docs/operations.md"
        return Looked((*begun, problem("record", f"the store cannot be read: {error}", mend)))


def _locked(subject: Subject) -> Finding:
    if subject.gate is not None:
        return ok("lock", f"process {subject.gate} has the store open, and it alone", process=subject.gate)
    return ok("lock", "no gate has the store open now", process=None)


def _writable(path: Path) -> Finding:
    if os.access(path, os.W_OK):
        return ok("store writable", f"{path} can be written")
    return warning("store writable", f"{path} cannot be written by this user", "run doctor as the gate's user")


def _opened(path: Path) -> sqlite3.Connection:
    beside = [Path(f"{path}{ending}") for ending in ("-wal", "-shm")]
    how = "mode=ro" if all(map(Path.exists, beside)) else "mode=ro&immutable=1"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, timeout=READ_MS_MAX / 1000
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _keys(subject: Subject) -> Iterator[Finding]:
    if subject.user != subject.owner:
        yield unreachable("keys", "the keys are for the gate's user alone", "run doctor as the gate's user (sudo -u …)")
        return
    try:
        keys = keys_of(subject)
    except KeysRefused as refused:
        yield problem("keys", str(refused), "mend it before the next start")
        return
    if keys is not None:
        yield ok("keys", f"the gate's keys in {subject.keys_dir} are whole and apart from its data")
    elif subject.store.exists():
        mend = "put back your copy: without the keys the store cannot be read"
        yield problem("keys", f"there are no keys in {subject.keys_dir} that this user can see", mend)
    else:
        yield ok("keys", f"there are no keys yet; the first start makes them in {subject.keys_dir}")


def keys_of(subject: Subject) -> Keys | None:
    """None where there are none: they are not made here. Raises: KeysRefused."""
    if subject.user != subject.owner or not os.path.lexists(subject.keys_dir / FILE_NAME):
        return None
    return Keys.load_or_create(subject.keys_dir, data_dir=subject.data_dir)


def _of_database(subject: Subject, connection: sqlite3.Connection, begun: tuple[Finding, ...]) -> Looked:
    """Raises: sqlite3.Error, StoreDown, ValueError."""
    findings = [*begun, _migrations(connection)]
    try:
        keys = keys_of(subject)
    except KeysRefused:
        keys = None  # said already
    macs = None if keys is None else RowMacs(keys.mac)
    chain, last_at = _tail(connection, macs)
    findings.append(chain)
    if keys is None or macs is None:
        return Looked(tuple(findings), last_at)
    rows = Rows(Sealer(keys.seal, os.urandom), macs)
    findings.append(_admins(connection, rows))
    pins = {server: reads.pins(connection, rows, server) for server in subject.config.servers}
    return Looked(tuple(findings), last_at, dict(pins))


def _migrations(connection: sqlite3.Connection) -> Finding:
    applied = connection.execute("SELECT number, name, sha256 FROM migrations ORDER BY number").fetchall()
    known = migrations()
    for at, (number, name, digest) in enumerate(applied):
        if at >= len(known):
            return problem("migrations", f"the database was written by a newer Interlock ({name})", "upgrade this one")
        if (number, digest) != (known[at].number, known[at].sha256):
            mend = "install Interlock anew"
            return problem("migrations", f"migration {name} is not the one this database was made with", mend)
    if len(applied) < len(known):
        waiting = ", ".join(one.name for one in known[len(applied) :])
        return warning("migrations", f"to be applied at the next start: {waiting}", "back up before it")
    return ok("migrations", f"the database is of this release (migration {len(known)})", applied=len(applied))


def _tail(connection: sqlite3.Connection, macs: RowMacs | None) -> tuple[Finding, float | None]:
    mend = "nobody should trust it: interlock audit verify names the place; put back a copy that you trust"
    stored = connection.execute("SELECT seq, hash, mac FROM head").fetchone()
    if stored is None:
        return problem("record", "the record has lost its head", mend), None
    head = Head(stored[0], bytes(stored[1]).hex())
    if macs is not None and not hmac.compare_digest(macs.of_head(head), bytes(stored[2])):
        return problem("record", f"the record's head (entry {head.seq}) does not carry this gate's MAC", mend), None
    query = "SELECT seq, data, hash FROM entries ORDER BY seq DESC LIMIT ?"
    tail = [(seq, data, digest.hex()) for seq, data, digest in connection.execute(query, (TAIL_ENTRIES + 1,))][::-1]
    after = START
    if len(tail) > TAIL_ENTRIES:
        after = Head(tail[0][0], tail[0][2])
        del tail[0]
    try:
        reached = verify_run(tail, after=after)
    except ChainBroken as broken:
        return problem("record", f"the record is broken at {broken}", mend), None
    if reached != head:
        said = f"the record ends at entry {reached.seq}, and its head is entry {head.seq}"
        return problem("record", said, mend), None
    last_at = reads.entry_of(*tail[-1])["at"] if tail else None
    said = f"the last {len(tail):,} of {head.seq:,} entries are unbroken"
    return ok("record", said, entries=head.seq, verified=len(tail), head=head.hash), last_at


def _admins(connection: sqlite3.Connection, rows: Rows) -> Finding:
    accounts = reads.accounts(connection, rows)
    able = [one for one in accounts if one.password_hash is not None and not one.disabled]
    admins = sorted(one.name for one in able if "admin" in one.roles)
    deciding = sorted(one.name for one in able if set(one.roles) & {"reviewer", "security", "admin"})
    facts = {"admins": admins, "deciding": deciding}
    if not admins:
        mend = "start the gate, and use the login link that it prints"
        return warning("people", "no admin has a password yet: nobody can decide", mend, **facts)
    if len(admins) == 1:
        mend = "make a second one on the page People: a lost password is then no outage"
        said = f"{len(deciding)} people can decide; one admin, {admins[0]}"
        return ok("people", f"{said} ({mend})", **facts)
    return ok("people", f"{len(deciding)} people can decide; admins are {', '.join(admins)}", **facts)
