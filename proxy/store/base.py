"""The store's port: state and record in one place, one writer, every move a compare-and-set.

Rules of this module:
* Protocols and rows only; `sqlite.py` (and later `postgres.py`) implement them and pass the same contract tests.
* `apply` is the only way to change a call or a review, and always writes audit entries in the same transaction (P13).
* Sealed columns (arguments, outcomes) and row MACs are the store's own work, with keys from outside the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from policies.model import JsonObject
from review.model import Account, AgentStanding, LoginLink, LoginSession, Stop
from review.ports import Learner, Records, StoreDown

__all__ = [
    "Account",
    "LoginLink",
    "LoginSession",
    "PinnedTool",
    "SamplingPeriod",
    "Store",
    "StoreBusy",
    "StoreHealth",
    "Tampered",
]


class StoreBusy(StoreDown):
    """The queue to the store is full: this change was not accepted, a later one may be (P14)."""


class Tampered(StoreDown):
    """A row does not carry our MAC, or a sealed value does not open: it was written by somebody else (traps T12)."""

    def __init__(self, table: str, row_id: str, why: str = "it does not carry this gate's MAC") -> None:
        super().__init__(
            f"{table} {row_id} was not written by this gate: {why}. Nothing that depends on it is done; compare it "
            "with the record (interlock audit verify) and put the database back from a copy you trust"
        )
        self.table, self.row_id = table, row_id


@dataclass(frozen=True, slots=True)
class PinnedTool:
    """A tool definition as first seen or last accepted (SEMANTICS §1.17)."""

    server: str
    tool: str
    digest: str
    definition: JsonObject
    first_seen_at: float
    accepted_digest: str | None = None
    accepted_by: str | None = None
    accepted_at: float | None = None


@dataclass(frozen=True, slots=True)
class SamplingPeriod:
    """A period of sampled audit, named by its first day. Its key is published once it is over."""

    name: str
    opened_at: float
    published_at: float | None = None


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """For doctor and readiness."""

    is_writable: bool
    queue_length: int
    entries: int
    head: str
    why: str = ""
    details: dict[str, Any] = field(default_factory=dict)


class Store(Records, Protocol):
    """Everything kept."""

    async def open(self) -> None:
        """Take the file lock, migrate, verify the chain's tail.

        Raises: StoreDown with a sentence that says how to mend it.
        """

    async def close(self) -> None: ...

    async def health(self) -> StoreHealth: ...

    # accounts and logins, for review/identity.py
    async def account(self, name: str) -> Account | None: ...
    async def accounts(self) -> Sequence[Account]: ...
    async def put_account(self, account: Account, entry: Any) -> None:
        """Insert or replace, with its audit EntryDraft, in one transaction."""

    async def put_session(self, session: LoginSession) -> None: ...
    async def session(self, token_hash: str) -> LoginSession | None: ...
    async def drop_session(self, token_hash: str) -> None: ...
    async def put_link(self, link: LoginLink) -> None: ...
    async def take_link(self, token_hash: str, now: float) -> LoginLink | None:
        """Use a link up, atomically: a second taker gets None."""

    # tool inventory
    async def pins(self, server: str) -> Sequence[PinnedTool]: ...
    async def put_pins(self, pins: Sequence[PinnedTool], entries: Sequence[Any]) -> None: ...

    # snapshots, whole, with who or what loaded them (SEMANTICS §1.19)
    async def put_snapshot(self, snapshot_id: str, files: JsonObject, loaded_by: str, entry: Any) -> None: ...
    async def snapshots(self, *, limit: int = 50) -> Sequence[JsonObject]: ...

    # sampled audit
    async def put_sampling_period(self, period: SamplingPeriod, entry: Any) -> None:
        """Insert or replace, with its audit EntryDraft, in one transaction."""

    async def unpublished_periods(self) -> Sequence[SamplingPeriod]:
        """Those whose key is not in the record yet, oldest first."""

    # the kill switch
    async def put_stop(self, stop: Stop, entry: Any) -> None:
        """Insert or replace, with its audit EntryDraft, in one transaction."""

    async def stop(self, stop_id: str) -> Stop | None:
        """Also one that has been lifted."""

    async def standing_stops(self) -> Sequence[Stop]:
        """Those that have not been lifted, oldest first."""

    async def waiting_calls(self) -> Sequence[tuple[str, str, str]]:
        """(id, agent, server) of every call that waits for people, or whose grant is not spent; oldest first."""

    # graduated autonomy
    async def standings(self) -> Sequence[AgentStanding]:
        """Every agent's standing in every domain that is kept."""

    def teach(self, learner: Learner) -> None:
        """Have `learner` add to each change what it means for agents' standing (`Change.learned`)."""

    # record and retention
    def entries(self, *, since_seq: int = 0, limit: int = 1000) -> AsyncIterator[JsonObject]: ...
    async def erase_before(self, before: float) -> int:
        """Erase sealed values of calls that ended before; returns how many calls."""
