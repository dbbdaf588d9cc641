"""The embedded store: one SQLite database, one writer, a few readers. Implements `proxy.store.base.Store`.

Rules of this module:
* `apply` returns only when the change is durable; whatever becomes of its caller, it is written whole or not at all.
* Reads see the last commit, and check every row's MAC before anything of it is believed.
* Long lists are read in many short pieces, so that no read keeps the log from shrinking (traps T11).
* The keys are not with the data: refused here as well as where they are loaded.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from audit.chain import Prepared
from audit.entry import EntryDraft, EntryKind
from policies.model import JsonObject
from proxy.keys import Keys, KeysRefused, refuse_inside
from proxy.store import past_reads, people, reads, retention
from proxy.store.base import (
    Account,
    LoginLink,
    LoginSession,
    PinnedTool,
    SamplingPeriod,
    Store,
    StoreBusy,
    StoreHealth,
    Tampered,
)
from proxy.store.changes import Preparing
from proxy.store.engine import Engine, StoreLimits
from proxy.store.macs import RowMacs
from proxy.store.schema import Opening, migrations
from proxy.store.sealing import Sealer
from proxy.store.tables import Rows
from proxy.store.transaction import Work
from review.model import AgentStanding, CallRecord, CallState, ReviewRecord, Stop, Vote
from review.ports import Change, ChangeLost, Learner, Listed, StoreDown

_ROWS_AT_ONCE = 500  # of one read
_BOOT_BYTES = 8


class SqliteStore(Store):
    """See `proxy.store.base.Store`; what is said there is not said again here."""

    def __init__(
        self,
        path: Path,
        keys: Keys,
        *,
        clock: Callable[[], float],
        node: str,
        limits: StoreLimits | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._listeners: list[Callable[[Change | None], None]] = []
        self._learner: Learner | None = None
        limits = limits or StoreLimits()
        macs = RowMacs(keys.mac)
        self._rows = Rows(Sealer(keys.seal, random_bytes), macs)
        self._preparing = Preparing(self._rows, node, random_bytes(_BOOT_BYTES).hex(), clock)
        opening = Opening(
            macs, random_bytes, clock, monotonic, limits.check_sec_max, str(keys.directory or "use"), migrations()
        )
        self._engine = Engine(path.absolute(), self._rows, opening, limits, monotonic)

    async def open(self) -> None:
        try:
            if self._keys.directory is not None:
                refuse_inside(self._keys.directory, self._engine.path.parent)
        except KeysRefused as error:
            raise StoreDown(str(error)) from error
        await self._engine.open()

    async def recover(self) -> None:
        """After a failure: close everything, open it anew, and go on if it holds. Raises: StoreDown if it does not."""
        await self._engine.recover()

    async def close(self) -> None:
        await self._engine.close()

    async def health(self) -> StoreHealth:
        connected = self._engine.connected
        if connected is None:
            return StoreHealth(False, 0, 0, "", self._engine.why_down)
        writer = connected.writer
        log_file = Path(f"{self._engine.path}-wal")
        details = {
            "integrity": connected.opened.integrity,
            "tail_verified": connected.opened.tail_verified,
            "boot": self._preparing.boot,
            "database_bytes": _size(self._engine.path),
            "log_bytes": _size(log_file),
            "sqlite": sqlite3.sqlite_version,
        }
        is_writable = writer.why_down is None
        why = "" if is_writable else self._engine.why_down
        return StoreHealth(is_writable, writer.queue_length, writer.head.seq, writer.head.hash, why, details)

    # --- writing and reading

    async def apply(self, change: Change) -> None:
        """Also raises: ValueError, TypeError for a value that fits no column or an entry without canonical form."""
        if not change.durable:
            self.submit(change)
            return
        writer = self._engine.writer
        change = self._learned(change)
        try:
            prepared = self._preparing.change(change)
            then = partial(self._tell_of, change) if self._listeners else None
            await writer.submit(prepared.work, weight_bytes=prepared.weight_bytes, then=then)
        except (StoreDown, ChangeLost) as error:
            if self._learner is not None:
                self._learner.not_written(change)
            if isinstance(error, StoreDown) and not isinstance(error, StoreBusy | Tampered):
                self._tell(None)  # those two wrote nothing for certain
            raise

    def listen(self, listener: Callable[[Change | None], None]) -> None:
        self._listeners.append(listener)

    def teach(self, learner: Learner) -> None:
        """Have `learner` add what each change means for agents' standing, before it is written."""
        self._learner = learner

    def _learned(self, change: Change) -> Change:
        return self._learner.learn(change) if self._learner is not None and change.learned else change

    def _tell(self, change: Change | None) -> None:
        for listener in self._listeners:
            listener(change)

    def _tell_of(self, change: Change, was_drawn: bool) -> None:
        if was_drawn and change.drawn is not None:
            drawn = change.drawn
            rows, entries = (*change.rows, *drawn.rows), (*change.entries, *drawn.entries)
            change = replace(change, rows=rows, entries=entries, drawn=None)
        self._tell(change)

    def _tell_if_drawn(self, change: Change, was_drawn: bool) -> None:
        if was_drawn:
            self._tell_of(change, was_drawn)

    def submit(self, change: Change) -> None:
        """Also raises: ValueError, TypeError as `apply`."""
        writer = self._engine.writer
        change = self._learned(change)
        prepared = self._preparing.change(change)
        then = partial(self._tell_if_drawn, change) if change.drawn is not None else None
        writer.post(prepared.work, weight_bytes=prepared.weight_bytes, then=then)

    async def _write(self, work: Work) -> Any:
        return await self._engine.writer.submit(work)

    async def _read[T](self, question: Callable[..., T], *about: Any) -> T:
        return await self._engine.read(question, *about)

    # --- calls and reviews

    async def call(self, call_id: str) -> CallRecord | None:
        return await self._read(reads.call, call_id)

    async def review(self, review_id: str) -> ReviewRecord | None:
        return await self._read(reads.review, review_id)

    async def votes(self, review_id: str) -> Sequence[Vote]:
        return await self._read(reads.votes, review_id)

    async def open_reviews(self, *, limit: int = 500, kinds: Sequence[str] = ()) -> Sequence[Listed]:
        listed: list[Listed] = []
        place = reads.BEGINNING
        while (wanted := min(limit - len(listed), _ROWS_AT_ONCE)) > 0:
            found, place = await self._read(reads.open_reviews, wanted, kinds, place)
            listed.extend(found)
            if len(found) < wanted:
                break
        return listed

    async def listed(self, review_ids: Sequence[str]) -> Sequence[Listed]:
        found: list[Listed] = []
        for begin in range(0, len(review_ids), _ROWS_AT_ONCE):
            found += await self._read(reads.listed, review_ids[begin : begin + _ROWS_AT_ONCE])
        return found

    async def live_reviews(self) -> Sequence[str]:
        return await self._read(reads.live_reviews)

    async def recent_reviews(self, *, limit: int = 100) -> Sequence[Listed]:
        return await self._read(reads.recent_reviews, limit)

    async def due_reviews(self, now: float, *, limit: int = 500) -> Sequence[ReviewRecord]:
        return await self._read(reads.due_reviews, now, limit)

    async def next_due(self, after: float) -> float | None:
        return await self._read(reads.next_due, after)

    async def calls_in(self, states: Sequence[CallState], *, limit: int = 500) -> Sequence[CallRecord]:
        return await self._read(reads.calls_in, states, limit)

    async def latest_by_key(self, repeat_key: str, *, since: float) -> Sequence[CallRecord]:
        return await self._read(reads.latest_by_key, repeat_key, since)

    async def precedents(self, shape: str, *, limit: int) -> Sequence[ReviewRecord]:
        return await self._read(reads.precedents, shape, limit)

    async def unjudged(self, *, limit: int, after: tuple[float, str] = (0.0, "")) -> Sequence[Listed]:
        return await self._read(reads.unjudged, limit, after)

    async def count_unjudged(self) -> tuple[int, float | None]:
        return await self._read(reads.count_unjudged)

    async def afterwards(self, call_id: str) -> ReviewRecord | None:
        return await self._read(reads.afterwards, call_id)

    async def session_calls(self, agent: str, session: str, *, limit: int) -> Sequence[CallRecord]:
        return await self._read(reads.session_calls, agent, session, limit)

    async def unsettled(self, *, since: float) -> Sequence[tuple[str, str]]:
        found: list[reads.Candidate] = []
        for state in sorted(reads.ALIVE):
            found += await self._all_pages(partial(self._read, reads.alive, state), -math.inf)
        found += await self._all_pages(partial(self._read, reads.answerable), since)
        oldest_first = sorted((created_at, rowid, key, call_id) for _, rowid, created_at, key, call_id in found)
        return [(key, call_id) for _, _, key, call_id in oldest_first]

    # --- what each agent did with each tool

    async def actions(self, after: past_reads.Action, *, limit: int) -> Sequence[past_reads.Action]:
        return await self._read(past_reads.actions, after, limit)

    async def past(
        self, action: past_reads.Action, *, since_day: float, since_hours: float, limit: int
    ) -> past_reads.Past:
        return await self._read(past_reads.past, action, since_day, since_hours, limit)

    async def ended_badly(
        self, before: tuple[float, int], *, since: float, limit: int
    ) -> tuple[Sequence[past_reads.BadEnd], tuple[float, int]]:
        return await self._read(past_reads.ended_badly, before, since, limit)

    async def _all_pages(self, read: Callable[..., Awaitable[list[reads.Candidate]]], since: float) -> list[Any]:
        """Many short reads instead of a long one."""
        found: list[reads.Candidate] = []
        after = (since, -1)
        while page := await read(after, _ROWS_AT_ONCE):
            found += page
            after = page[-1][:2]
        return found

    # --- accounts, inventory, policies

    async def account(self, name: str) -> Account | None:
        return await self._read(reads.account, name)

    async def accounts(self) -> Sequence[Account]:
        return await self._read(reads.accounts)

    async def put_account(self, account: Account, entry: EntryDraft) -> None:
        await self._write(people.put_account(self._rows, account, self._entry(entry)))

    async def put_session(self, session: LoginSession) -> None:
        await self._write(people.put_session(self._rows, session))

    async def session(self, token_hash: str) -> LoginSession | None:
        return await self._read(reads.session, token_hash)

    async def drop_session(self, token_hash: str) -> None:
        await self._write(people.drop_session(token_hash))

    async def put_link(self, link: LoginLink) -> None:
        await self._write(people.put_link(self._rows, link))

    async def take_link(self, token_hash: str, now: float) -> LoginLink | None:
        link: LoginLink | None = await self._write(people.take_link(self._rows, token_hash, now))
        return link

    async def pins(self, server: str) -> Sequence[PinnedTool]:
        return await self._read(reads.pins, server)

    async def put_pins(self, pins: Sequence[PinnedTool], entries: Sequence[EntryDraft]) -> None:
        await self._write(people.put_pins(self._rows, pins, self._preparing.entries(entries)))

    async def put_snapshot(self, snapshot_id: str, files: JsonObject, loaded_by: str, entry: EntryDraft) -> None:
        prepared = self._entry(entry)
        await self._write(people.put_snapshot(self._rows, snapshot_id, files, loaded_by, entry.at, prepared))

    async def snapshots(self, *, limit: int = 50) -> Sequence[JsonObject]:
        return await self._read(reads.snapshots, limit)

    # --- sampled audit

    async def put_sampling_period(self, period: SamplingPeriod, entry: EntryDraft) -> None:
        await self._write(people.put_sampling_period(self._rows, period, self._entry(entry)))

    async def unpublished_periods(self) -> Sequence[SamplingPeriod]:
        return await self._read(reads.unpublished_periods)

    # --- the kill switch

    async def put_stop(self, stop: Stop, entry: EntryDraft) -> None:
        await self._write(people.put_stop(self._rows, stop, self._entry(entry)))

    async def stop(self, stop_id: str) -> Stop | None:
        return await self._read(reads.stop, stop_id)

    async def standing_stops(self) -> Sequence[Stop]:
        return await self._read(reads.standing_stops)

    async def waiting_calls(self) -> Sequence[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        after = (-math.inf, -1)
        while page := await self._read(reads.waiting, after, _ROWS_AT_ONCE):
            found += [row[2:] for row in page]
            after = page[-1][:2]
        return found

    # --- autonomy

    async def standings(self) -> Sequence[AgentStanding]:
        return await self._read(reads.standings)

    def _entry(self, draft: EntryDraft) -> Prepared:
        (prepared,) = self._preparing.entries((draft,))
        return prepared

    # --- the record

    async def entries_for(self, call_id: str, *, limit: int = 200) -> Sequence[JsonObject]:
        return await self._read(reads.entries_for, call_id, limit)

    async def entries(self, *, since_seq: int = 0, limit: int = 1000) -> AsyncIterator[JsonObject]:
        """Entries after `since_seq`, in order; `reads.entry_of` says what each holds."""
        async for seq, data, digest in self._stored_entries(since_seq, limit):
            yield reads.entry_of(seq, data, digest)

    async def entry_lines(self, *, since_seq: int = 0, limit: int = 1000) -> AsyncIterator[bytes]:
        """The exact bytes of entries after `since_seq`: with a newline after each, this is the JSONL export."""
        async for _, data, _ in self._stored_entries(since_seq, limit):
            yield data

    async def _stored_entries(self, since_seq: int, limit: int) -> AsyncIterator[tuple[int, bytes, str]]:
        while limit > 0:
            wanted = min(limit, _ROWS_AT_ONCE)
            found = await self._read(reads.entry_bytes, since_seq, wanted)
            for entry in found:
                yield entry
            if len(found) < wanted:
                return
            since_seq, limit = found[-1][0], limit - wanted

    async def erase_before(self, before: float) -> int:
        """Also drops login sessions and links that expired before."""
        calls = 0
        while erased := await self._write(retention.erase_some(self._rows, before, self._clock(), self._erased)):
            calls += erased
        await self._write(retention.drop_expired(before))
        self._engine.writer.cut_log_soon()
        return calls

    def _erased(self, before: float, calls: list[str], forged: list[str]) -> Prepared:
        body = {"before_us": round(before * 1_000_000), "calls": calls, **({"forged": forged} if forged else {})}
        return self._entry(EntryDraft(EntryKind.DATA_ERASED, self._clock(), "gate", body=body))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
