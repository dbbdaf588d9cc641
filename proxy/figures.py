"""The figures for whoever may read them: how things stand now, beside what has been counted.

Rules of this module:
* Reading changes nothing and takes no lock of the gate's.
* The scraper's token is compared in constant time, and is never kept in clear beyond the start.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Protocol

from policies.snapshot import PolicySnapshot
from proxy.doors.admission import Admission
from proxy.inspectors import InspectorPool
from proxy.metrics import CONTENT_TYPE, Metrics, Reading, Waiting
from proxy.parking import Parking
from proxy.stopped import Stopped
from proxy.store.base import Store
from proxy.wire.http_server import Server
from review.board import Count, QueueName
from review.inbox import Inbox
from review.model import Reviewer

_NOBODY = Reviewer("gate", roles=frozenset())
_QUEUES = (QueueName.WAITING, QueueName.ESCALATED, QueueName.QUARANTINE, QueueName.UNDOABLE)


class HasAdmission(Protocol):
    """The door, as this module sees it."""

    admission: Admission


class Figures:
    """Implements `review.console.figures.Figures`."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        token: str | None,
        store: Store,
        inbox: Inbox,
        parking: Parking,
        inspectors: InspectorPool,
        stopped: Stopped,
        door: HasAdmission,
        servers: Callable[[], Mapping[str, Server]],
        snapshot: Callable[[], PolicySnapshot],
        clock: Callable[[], float],
    ) -> None:
        self._metrics = metrics
        self._token_digest = _digest(token) if token else None
        self._store, self._inbox = store, inbox
        self._parking, self._inspectors, self._stopped = parking, inspectors, stopped
        self._door, self._servers = door, servers
        self._snapshot, self._clock = snapshot, clock

    def may_read(self, token: str) -> bool:
        return self._token_digest is not None and hmac.compare_digest(self._token_digest, _digest(token))

    async def text(self) -> tuple[bytes, str]:
        """Raises: StoreDown."""
        return self._metrics.text(await self._reading()), CONTENT_TYPE

    async def _reading(self) -> Reading:
        health = await self._store.health()
        counts = await self._inbox.counts(_NOBODY)
        admission = self._door.admission
        counted = admission.counts
        return Reading(
            version=version("interlock"),
            snapshot=self._snapshot().id,
            is_writable=health.is_writable,
            store_queue=health.queue_length,
            entries=health.entries,
            held_responses=self._parking.held,
            inspectors=len(self._inspectors.worker_ids),
            stops=len(self._stopped.all()),
            requests_working=admission.working.taken,
            requests_in_flight=admission.in_flight.taken,
            admitted=counted.admitted,
            turned_away={
                "full": counted.refused_full,
                "share": counted.refused_share,
                "bodies": counted.refused_bodies,
            },
            connections={name: server.connections for name, server in self._servers().items()},
            queues={name.value: self._waiting(counts.queues[name]) for name in _QUEUES}
            | {"in_doubt": self._waiting(counts.in_doubt)},
        )

    def _waiting(self, count: Count) -> Waiting:
        return Waiting(count.count, None if count.oldest_at is None else max(0.0, self._clock() - count.oldest_at))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
