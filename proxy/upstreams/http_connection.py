"""One HTTP/1.1 connection to a tool server: a request goes out whole, its response comes in as it comes.

Rules of this module:
* One request at a time, written once and never again (traps T1). Whoever asks knows beforehand that it is about to be
  written (`Exchange.write`); nothing is guessed from an error (T2).
* A response that nobody reads fast enough stops the reading of its connection (P14).
* A connection may be used again only if its response ended by its own framing, nothing came after it, and every byte of
  the request had left. Whatever comes while it idles closes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.wire.http_response import BadResponse, ResponseLimits, ResponseReader

_UNREAD_BYTES_MAX = 256 * 1024


class Broken(Exception):
    """The connection broke, or said what is no response; the message says how."""


class Response(ResponseReader):
    """What comes back for one request: the head, then the body in pieces, for whoever waits for them."""

    __slots__ = ("_connection", "_failure", "_waiter")

    def __init__(self, connection: Connection, limits: ResponseLimits) -> None:
        super().__init__(limits)
        self._connection: Connection | None = connection
        self._failure: Broken | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def head(self, silence_sec_max: float) -> None:
        """Wait for the head. Whoever gives up, or finds it broken, has closed it. Raises: Broken."""
        timer = asyncio.get_running_loop().call_later(silence_sec_max, self._too_silent, silence_sec_max)
        try:
            while not self.is_head_complete:
                await self._news()
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()

    def _too_silent(self, silence_sec_max: float) -> None:
        if self._connection is not None:
            self._connection.abort()
            self.ended(Broken(f"nothing came for {silence_sec_max:g} s"))

    async def some(self) -> bytes:
        """The next bytes of the body; empty at its end. Raises: Broken."""
        while not self.body_bytes:
            if self.is_complete:
                return b""
            await self._news()
        data = self.take()
        if self._connection is not None:
            self._connection.go_on_reading()
        return data

    def close(self) -> None:
        """Nobody reads on: a response that has not ended takes its connection with it."""
        if self._connection is not None:
            self._connection.abort()
            self.ended(Broken("the connection was closed"))

    def _news(self) -> asyncio.Future[None]:
        """Done when something has come, or nothing will. Raises: Broken."""
        if self._failure is not None:
            raise self._failure
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        return waiter

    # -- for the connection --------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Whoever waits for more of it looks again."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def ended(self, failure: Broken | None) -> None:
        """The connection carries no more of it."""
        if self._connection is None:
            return
        self._connection = None
        if not self.is_complete:
            if failure is None:
                try:
                    self.end()
                except BadResponse as bad:
                    failure = Broken(str(bad))
            self._failure = failure
        self.wake()


class Connection(asyncio.Protocol):
    """A transport to one tool server. `given_back(connection, may_be_reused)` is called after each response."""

    def __init__(self, limits: ResponseLimits, given_back: Callable[[Connection, bool], None]) -> None:
        self._limits, self._given_back = limits, given_back
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._is_paused = False
        self._is_lost = False
        self.idle_since = 0.0
        self.closes = False  # a connection for one request only

    @property
    def is_open(self) -> bool:
        return not self._is_lost and self._transport is not None and not self._transport.is_closing()

    def write(self, request: bytes) -> Response:
        """Send one whole request."""
        assert self._response is None
        response = self._response = Response(self, self._limits)
        if self._transport is None or not self.is_open:
            self._end(Broken("the connection had been closed"))
        else:
            self._transport.write(request)
        return response

    def go_on_reading(self) -> None:
        if self._is_paused and self._transport is not None and self.is_open:
            self._is_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection now."""
        if self._transport is not None:
            self._transport.abort()
        self._lost()

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:  # nobody asked
            self.abort()
            return
        try:
            response.feed(data)
        except BadResponse as bad:
            self._end(Broken(str(bad)))
            self.abort()
            return
        if not response.is_complete:
            response.wake()
            if response.body_bytes > _UNREAD_BYTES_MAX and not self._is_paused and self._transport is not None:
                self._is_paused = True
                self._transport.pause_reading()
            return
        transport = self._transport
        assert transport is not None
        may_be_reused = response.may_continue and not self.closes and not transport.get_write_buffer_size()
        self._end(None)
        if may_be_reused and not transport.is_closing():
            self.go_on_reading()
            self._given_back(self, True)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Broken(f"the connection broke: {exc}") if exc is not None else None)
        self._lost()

    def _end(self, failure: Broken | None) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.ended(failure)

    def _lost(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._given_back(self, False)
