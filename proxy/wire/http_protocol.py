"""One HTTP/1.1 connection: uvicorn's httptools protocol with its gaps closed (traps T5): an app sees clean requests.

Rules of this module:
* A request head is bounded in bytes, lines and time, and is refused whole unless its framing, target and Host can be
  read in one way only (RFC 9112 §3.2, §6.3). Headers are frozen before the body; trailers are refused, never merged in.
* A body is bounded in bytes and time. After a refusal nothing more is read: the answer goes out, the connection ends.
* One request at a time. Bytes of a pipelined request are thrown away and the connection closes after the current
  answer: reading goes on only so that a client that leaves is noticed.
* Leaving is a closed connection or a half-closed one. `left(scope)` is set then.
* A client that does not read is cut off: bytes we wrote move, or the transport is aborted.
"""

from __future__ import annotations

import asyncio
import re
import select
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from proxy.wire.http_response import PARSER_FAULTS
from proxy.wire.peers import PeerHasMany, PeerPlaces

LEFT_EXTENSION: Final = "interlock.left"
"""The ASGI extension under which a scope carries the event that is set when the client has gone."""

UNREAD_EXTENSION: Final = "interlock.unread"
"""The ASGI extension under which a scope carries a function that says whether some of the request has yet to come."""

ENDED_EXTENSION: Final = "interlock.ended"
"""The ASGI extension under which a scope carries a function that asks whether the client's end may have arrived."""

_END: Final = getattr(select, "POLLRDHUP", None)  # not everywhere: without it, it always may have
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LINGER_SEC: Final = 1.0  # long enough for a client that is still sending to read why it was refused
_DISCARD_BYTES_MAX: Final = 64 * 1024
_PROGRESS_BYTES_MIN: Final = 64 * 1024


class HttpFault(Enum):
    """Why a connection is refused: HTTP status, and what the client is told. docs/wire.md repeats this table."""

    MALFORMED = (400, "The request is not well-formed HTTP/1.1.")
    HOST = (400, "Send exactly one valid Host header.")
    TARGET = (400, "Send the request target as a path, without fragment or authority.")
    FRAMING = (400, "Send one Content-Length, or Transfer-Encoding: chunked, and nothing else that frames a body.")
    TRAILERS = (400, "Trailers are not accepted.")
    UPGRADE = (400, "Upgrades and tunnels are not accepted; speak HTTP/1.1.")
    HEAD_TOO_SLOW = (408, "The request head took too long.")
    BODY_TOO_SLOW = (408, "The request body took too long.")
    BODY_TOO_LARGE = (413, "The request body is larger than the limit.")
    EXPECTATION = (417, "No expectation but 100-continue can be met.")
    HEAD_TOO_LARGE = (431, "The request head is larger than the limit.")
    TOO_MANY_CONNECTIONS = (503, "Too many connections; try again later.")
    HTTP_VERSION = (505, "Speak HTTP/1.1 or HTTP/1.0.")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def text(self) -> str:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one listener bears. Times are seconds."""

    head_bytes_max: int = 64 * 1024
    head_lines_max: int = 200
    head_sec_max: float = 10
    body_bytes_max: int = 4 * 1024 * 1024
    body_sec_max: float = 60
    send_sec_max: float = 30
    idle_sec_max: int = 30
    connections_max: int = 2_000


def left(scope: MutableMapping[str, Any]) -> asyncio.Event:
    """The event that is set when the client of this request has gone: closed, half-closed, refused or cut off."""
    event: asyncio.Event = scope["extensions"][LEFT_EXTENSION]
    return event


def is_unread(scope: MutableMapping[str, Any]) -> bool:
    """Whether some of this request has yet to come. An answer begun before it has ends the connection."""
    return bool(scope["extensions"][UNREAD_EXTENSION]())


def may_have_left(scope: MutableMapping[str, Any]) -> bool:
    """Whether the client may have gone without its being seen yet: then `left` is true to it two turns of the loop
    later. Asks the system, which costs less than to take those turns."""
    return bool(scope["extensions"][ENDED_EXTENSION]())


class _Stop(Exception):
    """Leaves a parser callback; `GateProtocol._fault` says why."""


class GateProtocol(HttpToolsProtocol):
    """One connection of a gate listener."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        *,
        limits: ServerLimits,
        on_lost: Callable[[], None],
        peers: PeerPlaces | None = None,
    ) -> None:
        super().__init__(config, server_state, {})
        self._limits, self._peers = limits, peers or PeerPlaces(limits.connections_max, is_behind_proxies=False)
        self._peer: str | None = None  # counted among the connections of its address
        self._on_lost = on_lost
        self._left = asyncio.Event()
        self._requests = 0
        self._in_head = True
        self._head_is_new = True
        self._head_left = limits.head_bytes_max
        self._fault: HttpFault | None = None
        self._is_pipelined = False
        self._is_deaf = False
        self._discarded_bytes = 0
        self._body_bytes = 0
        self._input_timer: asyncio.TimerHandle | None = None
        self._awaited: HttpFault | None = None  # what is too slow if the input timer fires
        self._write_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None

    # ---- the connection -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections_max or not self._has_place():
            self._refuse(HttpFault.TOO_MANY_CONNECTIONS)
        else:
            self._await_input(HttpFault.HEAD_TOO_SLOW)

    def _has_place(self) -> bool:
        try:
            self._peer = self._peers.take(self.client[0] if self.client is not None else None)
        except PeerHasMany:
            return False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._left.set()
        self._peers.give(self._peer)
        self._peer = None
        self._await_input(None)
        self._watch_writes(None)
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._on_lost()

    def eof_received(self) -> None:
        """A half-closed connection is a client that has left: an unfinished answer is dropped, a finished one sent."""
        self._left.set()
        if self._is_answering():
            self.transport.abort()
        else:
            self._watch_writes(self.transport.get_write_buffer_size())

    def abort(self) -> None:
        """Cut the connection now."""
        self.transport.abort()

    def _is_unread(self) -> bool:
        return not self._in_head

    def _may_have_left(self) -> bool:
        sock = self.transport.get_extra_info("socket")
        if _END is None or sock is None or sock.fileno() < 0 or self._left.is_set():
            return True
        waiting = select.poll()
        waiting.register(sock.fileno(), _END)
        return bool(waiting.poll(0))

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # ---- reading ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._is_pipelined:
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except (*PARSER_FAULTS, _Stop):
            self._stopped(len(data))
        else:
            self._await_input(self._missing_input())

    def _feed(self, data: bytes) -> None:
        """Feed the parser; while it is in a head, no more than the head may still have."""
        while data:
            size = self._head_left if self._in_head else len(data)
            piece, data = data[:size], data[size:]
            self._head_is_new = False
            self.parser.feed_data(piece)
            if self._in_head and not self._head_is_new:
                self._head_left -= len(piece)
                if self._head_left <= 0:
                    self._stop(HttpFault.HEAD_TOO_LARGE)

    def _stop(self, fault: HttpFault) -> None:
        self._fault = fault
        raise _Stop

    def _stopped(self, size: int) -> None:
        if self._is_pipelined:
            self.cycle.keep_alive = False
            self._await_input(None)
            self._discard(size)
        else:
            self._refuse(self._fault or HttpFault.MALFORMED)

    def _discard(self, size: int) -> None:
        self._discarded_bytes += size
        if self._discarded_bytes > _DISCARD_BYTES_MAX:
            self.transport.abort()

    def _missing_input(self) -> HttpFault | None:
        if not self._in_head:
            return HttpFault.BODY_TOO_SLOW
        return HttpFault.HEAD_TOO_SLOW if self._head_left < self._limits.head_bytes_max else None

    def _await_input(self, awaited: HttpFault | None) -> None:
        """Keep one deadline for what must arrive next; it is not moved by bytes that trickle in."""
        if awaited is self._awaited:
            return
        if self._input_timer is not None:
            self._input_timer.cancel()
            self._input_timer = None
        self._awaited = awaited
        if awaited is not None:
            is_head = awaited is HttpFault.HEAD_TOO_SLOW
            seconds = self._limits.head_sec_max if is_head else self._limits.body_sec_max
            self._input_timer = self.loop.call_later(seconds, self._refuse, awaited)

    # ---- parser callbacks ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_answering():
            self._is_pipelined = True
            raise _Stop
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            self._stop(HttpFault.TRAILERS)
        if len(self.headers) >= self._limits.head_lines_max:
            self._stop(HttpFault.HEAD_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        fault = self._head_fault()
        if fault is not None:
            self._stop(fault)
        self._in_head = False
        self._requests += 1
        self._body_bytes = 0
        self._left = asyncio.Event()
        self.scope["headers"] = tuple(self.headers)
        extensions: dict[str, Any] = {
            LEFT_EXTENSION: self._left,
            UNREAD_EXTENSION: self._is_unread,
            ENDED_EXTENSION: self._may_have_left,
        }
        self.scope["extensions"] = extensions
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes_max:
            self._stop(HttpFault.BODY_TOO_LARGE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_is_new = True
        self._head_left = self._limits.head_bytes_max
        self._await_input(None)
        super().on_message_complete()

    def _head_fault(self) -> HttpFault | None:
        version = self.parser.get_http_version()
        if self.parser.should_upgrade():
            return HttpFault.UPGRADE
        if version not in ("1.1", "1.0"):
            return HttpFault.HTTP_VERSION
        if not self.url.startswith(b"/") or b"#" in self.url:
            return HttpFault.TARGET
        hosts = 0
        for name, value in self.headers:
            fault = None
            match name:
                case b"host":
                    hosts += 1
                    fault = None if _HOST.fullmatch(value) else HttpFault.HOST
                case b"transfer-encoding":  # RFC 9112 §6.1: not in HTTP/1.0; codings but chunked we do not decode
                    fault = None if version == "1.1" and value.lower() == b"chunked" else HttpFault.FRAMING
                case b"content-length":  # digits only: the parser has seen to that
                    fault = HttpFault.BODY_TOO_LARGE if int(value) > self._limits.body_bytes_max else None
                case b"trailer":
                    fault = HttpFault.TRAILERS
                case b"expect":
                    fault = None if value.lower() == b"100-continue" else HttpFault.EXPECTATION
            if fault is not None:
                return fault
        return None if hosts == 1 else HttpFault.HOST

    # ---- ending -------------------------------------------------------------------------------------------------

    def _refuse(self, fault: HttpFault) -> None:
        """Answer with an error unless an answer has begun, tell the app that its client is gone, and read no more."""
        self._left.set()
        self._is_deaf = True
        has_begun = self._is_answering() and self.cycle.response_started
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if has_begun:
            self.transport.abort()
        elif fault is HttpFault.HEAD_TOO_SLOW and not self._requests and self._missing_input() is None:
            self.transport.close()  # it never said a word
        elif not self.transport.is_closing():
            body = f"{fault.text}\n".encode()
            self.transport.write(
                STATUS_LINE[fault.status]
                + b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body)
                + b"connection: close\r\n\r\n"
                + body
            )
            self._hang_up()

    def _hang_up(self) -> None:
        """Close for writing once everything is out, read nothing more, and cut the connection soon after."""
        self._is_deaf = True
        self._await_input(None)
        self._unset_keepalive_if_required()
        self.flow.pause_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._linger_timer = self.loop.call_later(_LINGER_SEC, self.transport.abort)
        else:
            self.transport.close()
            self._watch_writes(self.transport.get_write_buffer_size())

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writes(self.transport.get_write_buffer_size())
        elif not self._in_head:  # answered without having read the body: what follows cannot be trusted or waited for
            self._hang_up()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_writes(self.transport.get_write_buffer_size())

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            self._watch_writes(self.transport.get_write_buffer_size())

    # ---- writing ------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writes(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._watch_writes(None)

    def _watch_writes(self, unsent_bytes: int | None) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if unsent_bytes:
            self._write_timer = self.loop.call_later(self._limits.send_sec_max, self._check_writes, unsent_bytes)

    def _check_writes(self, unsent_before_bytes: int) -> None:
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_before_bytes - unsent_bytes < min(_PROGRESS_BYTES_MIN, unsent_before_bytes):
            self.transport.abort()
        else:
            self._watch_writes(unsent_bytes)
