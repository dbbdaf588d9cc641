"""A TLS connection from accept until it is one: it has its place from the first packet, and little time.

Rules of this module:
* It counts as a connection from accept on, against the listener's cap and its address's share. Without a place it is
  cut before a byte is read: what could be said to it would cost a handshake first.
* The handshake has a deadline. What came encrypted behind it reaches the connection's own protocol, in its order.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

from proxy.tasks import spawn_at_once


class Places(Protocol):
    """The listener's connections. `enter` is false where there is no place; then `leave` is not called."""

    def enter(self, handshake: Handshake, host: str | None) -> bool: ...
    def leave(self, handshake: Handshake) -> None: ...


class Handshake(asyncio.Protocol):
    """Between a socket that was accepted and the protocol that `make` gives."""

    def __init__(
        self, context: ssl.SSLContext, *, sec_max: float, places: Places, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self._context, self._sec_max, self._places, self._make = context, sec_max, places, make
        self._task: asyncio.Task[None] | None = None
        self._early: list[bytes] = []  # what the client said before the connection was handed over
        self._is_half_closed = False
        self._is_lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # only of sockets
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if not self._places.enter(self, peer[0] if isinstance(peer, tuple) else None):
            transport.abort()
            return
        # At once: uvloop reads on after this, whatever is said here, and the client's first words are for TLS.
        self._task = spawn_at_once(self._shake(), name="tls handshake")

    def abort(self) -> None:
        """Cut it now."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    async def _shake(self) -> None:
        try:
            tls = await asyncio.get_running_loop().start_tls(
                self._transport, self, self._context, server_side=True, ssl_handshake_timeout=self._sec_max
            )
        except (OSError, TimeoutError):  # also ssl.SSLError: whatever it was, the client sees that it is over
            tls = None
        finally:
            self._places.leave(self)
        # A client that ends at once ends the wait too, as if all were well: what was agreed on tells them apart.
        is_over = self._is_lost or self._transport.is_closing()
        if tls is not None and tls.get_extra_info("cipher") is not None and not is_over:
            self._hand_over(tls)
        else:
            self._transport.abort()

    def _hand_over(self, tls: asyncio.Transport) -> None:
        made = self._make()
        tls.set_protocol(made)
        made.connection_made(tls)
        for data in self._early:
            made.data_received(data)
        if self._is_half_closed:
            made.eof_received()

    # What TLS says before the task goes on.

    def data_received(self, data: bytes) -> None:
        self._early.append(data)

    def eof_received(self) -> None:
        self._is_half_closed = True

    def connection_lost(self, _exc: Exception | None) -> None:
        self._is_lost = True
