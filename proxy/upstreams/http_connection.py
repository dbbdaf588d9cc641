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


class Response:
    """What comes back for one request: the head, then the body in pieces."""

    __slots__ = ("_connection", "_failure", "_reader", "_waiter")

    def __init__(self, connection: Connection, limits: ResponseLimits) -> None:
        self._connection: Connection | None = connection
        self._reader = ResponseReader(limits)
        self._failure: Broken | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def status(self) -> int:
        return self._reader.status

    @property
    def lines(self) -> list[tuple[bytes, bytes]]:
        """The head's lines as they came, names in lower case."""
        return self._reader.lines

    @property
    def is_complete(self) -> bool:
        """Whether all of it has arrived, also if not all was taken."""
        return self._reader.is_complete

    def header(self, name: bytes) -> bytes | None:
        """The first line of that name, which is in lower case."""
        return next((value for known, value in self._reader.lines if known == name), None)

    async def head(self, silence_sec_max: float) -> None:
        """Wait for the head. Whoever gives up, or finds it broken, has closed it. Raises: Broken."""
        timer = asyncio.get_running_loop().call_later(silence_sec_max, self._too_silent, silence_sec_max)
        try:
            while not self._reader.is_head_complete:
                await self._wait()
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
        reader = self._reader
        while not reader.body_bytes:
            if reader.is_complete:
                return b""
            await self._wait()
        data = reader.take()
        if self._connection is not None:
            self._connection.go_on_reading()
        return data

    def rest(self) -> bytes:
        """What is left of the body of a complete response."""
        return self._reader.take()

    def close(self) -> None:
        """Nobody reads on: a response that has not ended takes its connection with it."""
        if self._connection is not None:
            self._connection.abort()
            self.ended(Broken("the connection was closed"))

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # -- for the connection --------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> ResponseReader:
        """Raises: BadResponse."""
        self._reader.feed(data)
        self._wake()
        return self._reader

    def ended(self, failure: Broken | None) -> None:
        """The connection carries no more of it."""
        if self._connection is None:
            return
        self._connection = None
        if failure is None:
            try:
                self._reader.end()
            except BadResponse as bad:
                failure = Broken(str(bad))
        if not self._reader.is_complete:
            self._failure = failure
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


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
            reader = response.received(data)
        except BadResponse as bad:
            self._end(Broken(str(bad)))
            self.abort()
            return
        if reader.is_complete:
            transport = self._transport
            assert transport is not None
            may_be_reused = reader.may_continue and not self.closes and not transport.get_write_buffer_size()
            self._end(None)
            if may_be_reused and not transport.is_closing():
                self.go_on_reading()
                self._given_back(self, True)
            else:
                self.abort()
        elif reader.body_bytes > _UNREAD_BYTES_MAX and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

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
