"""The record as whoever watches it sees it (`review.ports.Ledger`), over the store.

Rules of this module:
* Reading only. Where the record ends is known in memory; entries are read through the store's reading connections.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from policies.model import JsonObject
from proxy.store.base import StoreHealth
from review.ports import StoreDown


class Recorded(Protocol):
    """The store, as far as watching needs it."""

    async def health(self) -> StoreHealth: ...
    def entries(self, *, since_seq: int = 0, limit: int = 1000) -> AsyncIterator[JsonObject]: ...
    async def entries_for(self, call_id: str, *, limit: int = 200) -> Sequence[JsonObject]: ...


class StoredLedger:
    """`review.ports.Ledger`."""

    def __init__(self, store: Recorded) -> None:
        self._store = store

    async def last(self) -> int:
        health = await self._store.health()
        if not health.is_writable:  # its end is not known for certain until it has been opened anew
            raise StoreDown(health.why)
        return health.entries

    def entries(self, *, since_seq: int, limit: int) -> AsyncIterator[JsonObject]:
        return self._store.entries(since_seq=since_seq, limit=limit)

    async def entries_for(self, call_id: str, *, limit: int) -> Sequence[JsonObject]:
        return await self._store.entries_for(call_id, limit=limit)
