"""The connections to one tool server: opened when needed, kept for a moment, never more than so many.

Rules of this module:
* Kept connections idle for at most `idle_sec` (traps T3); the one used last is used first.
* Whoever finds all of them in use waits, and is not sent meanwhile; each connection given back wakes one.
* A host of several addresses is tried on all of them, each a moment after the one before (RFC 8305); the first that
  answers is used, whatever the others would have said.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from proxy.tasks import spawn
from proxy.upstreams.http_connection import Connection
from proxy.wire.http_response import ResponseLimits

_NEXT_ADDRESS_SEC = 0.25


class Pool:
    """Connections to one host and port. `addresses` are the judged ones, asked anew for each connection."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        addresses: Callable[[], Sequence[str]],
        limits: ResponseLimits,
        connections_max: int,
        idle_sec: float,
        connect_sec_max: float,
    ) -> None:
        """`idle_sec` 0: every connection carries one request."""
        self._host, self._port, self._tls, self._addresses = host, port, tls, addresses
        self._limits = limits
        self._connections_max, self._idle_sec, self._connect_sec_max = connections_max, idle_sec, connect_sec_max
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    def kept(self) -> Connection | None:
        """The connection used last, if it is still young and open; older ones are closed with it."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and asyncio.get_running_loop().time() - connection.idle_since < self._idle_sec:
                return connection
            connection.abort()
        return None

    async def take(self) -> Connection:
        """A connection that nobody else uses, whoever has to be waited for; see `kept`.

        Raises: OSError, also when none could be had in time.
        """
        async with asyncio.timeout(self._connect_sec_max):
            while self._idle or len(self._open) + self._opening >= self._connections_max:
                connection = self.kept()
                if connection is not None:
                    return connection
                if len(self._open) + self._opening >= self._connections_max:
                    await self._turn()
            return await self._new()

    def close(self) -> None:
        """Cut every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in list(self._open):
            connection.abort()

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        """Wait until a connection was given back or ended."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next_turn()  # it was ours, and is somebody else's now
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def _next_turn(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _given_back(self, connection: Connection, may_be_reused: bool) -> None:
        if may_be_reused:
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            self._idle.append(connection)
            if self._sweep is None:
                self._sweep = loop.call_later(self._idle_sec, self._close_old)
        else:
            self._open.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
        self._next_turn()

    def _close_old(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = None
        for connection in [one for one in self._idle if loop.time() - one.idle_since >= self._idle_sec]:
            connection.abort()
        if self._idle:
            self._sweep = loop.call_later(self._idle_sec, self._close_old)

    async def _new(self) -> Connection:
        """Raises: OSError."""
        self._opening += 1
        try:
            connection = await self._connected(self._addresses())
            connection.closes = not self._idle_sec
            self._open.add(connection)
            return connection
        finally:
            self._opening -= 1
            if self._waiting:
                self._next_turn()

    async def _connected(self, addresses: Sequence[str]) -> Connection:
        """Raises: OSError."""
        if len(addresses) == 1:
            return await self._connect(addresses[0])
        untried, attempts = deque(addresses), set[asyncio.Task[Connection | OSError]]()
        failure = OSError(f"{self._host} is not resolved")
        try:
            while untried or attempts:
                if untried:
                    attempts.add(spawn(self._attempt(untried.popleft()), name=f"connect:{self._host}"))
                patience = _NEXT_ADDRESS_SEC if untried else None
                done, _ = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for attempt in done:
                    attempts.discard(attempt)
                    outcome = attempt.result()
                    if isinstance(outcome, Connection):
                        attempts |= done - {attempt}
                        return outcome
                    failure = outcome
            raise failure
        finally:
            for attempt in attempts:
                attempt.cancel()
                attempt.add_done_callback(_drop)

    async def _attempt(self, address: str) -> Connection | OSError:
        try:
            return await self._connect(address)
        except OSError as error:
            return error

    async def _connect(self, address: str) -> Connection:
        tls: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls, "server_hostname": self._host}
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self._limits, self._given_back), address, self._port, **tls
        )
        return connection


def _drop(attempt: asyncio.Task[Connection | OSError]) -> None:
    """A connection that came too late is nobody's."""
    if not attempt.cancelled() and isinstance(outcome := attempt.result(), Connection):
        outcome.abort()
