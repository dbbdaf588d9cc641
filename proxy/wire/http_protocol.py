"""One HTTP/1.1 connection: uvicorn's httptools protocol with its gaps closed (traps T5): an app sees clean requests.

Rules of this module:
* A request head is bounded in bytes, lines and time, and is refused whole unless its framing, target and Host can be
  read in one way only (RFC 9112 §3.2, §6.3). Headers are frozen before the body; trailers are refused, never merged in.
* Each callback of the parser is one call: a head of twenty lines costs twenty. What an app receives and sends is in
  `http_cycle.py`.
* A body is bounded in bytes and time. After a refusal nothing more is read: the answer goes out, the connection ends.
* One request at a time. Bytes of a pipelined request are thrown away and the connection closes after the current
  answer: reading goes on only so that a client that leaves is noticed.
* Leaving is a closed connection or a half-closed one. `left(scope)` is set then.
* A client that does not read is cut off: bytes we wrote move, or the transport is aborted.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from proxy.wire.http_cycle import STATUS_LINES, Cycle
from proxy.wire.http_head import Faulty, HttpFault, check_head
from proxy.wire.http_response import PARSER_FAULTS, parse_url
from proxy.wire.peers import PeerHasMany, PeerPlaces

LEFT_EXTENSION: Final = "interlock.left"
"""The ASGI extension under which a scope carries the event that is set when the client has gone."""

UNREAD_EXTENSION: Final = "interlock.unread"
"""The ASGI extension under which a scope carries a function that says whether some of the request has yet to come."""

ENDED_EXTENSION: Final = "interlock.ended"
"""The ASGI extension under which a scope carries a function that asks whether the client's end may have arrived."""

_END: Final = getattr(select, "POLLRDHUP", None)  # not everywhere: without it, it always may have
_LINGER_SEC: Final = 1.0  # long enough for a client that is still sending to read why it was refused
_DISCARD_BYTES_MAX: Final = 64 * 1024
_PROGRESS_BYTES_MIN: Final = 64 * 1024


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
        self.cycle: Cycle | None = None  # type: ignore[assignment] # ours in place of uvicorn's
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
        self._ends: select.poll | None = None  # asks the system whether the client has gone

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
        self.connections.discard(self)
        if self.cycle is not None:
            self.cycle.disconnect()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None  # type: ignore[assignment] # as in uvicorn
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
        if self._ends is None:
            self._ends = select.poll()
            self._ends.register(sock.fileno(), _END)
        return bool(self._ends.poll(0))

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

    def _stop(self, fault: HttpFault) -> NoReturn:
        self._fault = fault
        raise _Stop

    def _stopped(self, size: int) -> None:
        if self._is_pipelined and self.cycle is not None:
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
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            self._stop(HttpFault.TRAILERS)
        if len(self.headers) >= self._limits.head_lines_max:
            self._stop(HttpFault.HEAD_TOO_LARGE)
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            self._stop(HttpFault.UPGRADE)
        version = self.parser.get_http_version()
        try:
            expects = check_head(version, self.url, self.headers, body_bytes_max=self._limits.body_bytes_max)
        except Faulty as faulty:
            self._stop(faulty.fault)
        self._in_head = False
        self._requests += 1
        self._body_bytes = 0
        self._left = asyncio.Event()
        method = self.parser.get_method().decode("ascii")
        self.scope = self._scope(method, version)  # type: ignore[assignment] # uvicorn knows no such extensions
        self.cycle = Cycle(
            self.transport,
            self.flow,
            self.on_response_complete,
            is_to_head=method == "HEAD",
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            awaits_continue=expects,
        )
        task = self.loop.create_task(self.app(self.scope, self.cycle.receive, self.cycle.send))
        self.tasks.add(task)
        task.add_done_callback(partial(self._app_ended, self.cycle))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes_max:
            self._stop(HttpFault.BODY_TOO_LARGE)
        assert self.cycle is not None
        self.cycle.add(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_is_new = True
        self._head_left = self._limits.head_bytes_max
        self._await_input(None)
        assert self.cycle is not None
        self.cycle.end_body()

    def _scope(self, method: str, version: str) -> dict[str, Any]:
        target = parse_url(self.url)
        raw_path = target.path
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": method,
            "scheme": self.scheme or "http",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": target.query or b"",
            "root_path": "",
            "headers": tuple(self.headers),
            "client": self.client,
            "server": self.server,
            "extensions": {
                LEFT_EXTENSION: self._left,
                UNREAD_EXTENSION: self._is_unread,
                ENDED_EXTENSION: self._may_have_left,
            },
        }

    def _app_ended(self, cycle: Cycle, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        cycle.ended(task)

    # ---- ending -------------------------------------------------------------------------------------------------

    def _refuse(self, fault: HttpFault) -> None:
        """Answer with an error unless an answer has begun, tell the app that its client is gone, and read no more."""
        self._left.set()
        self._is_deaf = True
        cycle, has_begun = self.cycle, False
        if cycle is not None and not cycle.response_complete:
            has_begun = cycle.response_started
            cycle.disconnect()
        if has_begun:
            self.transport.abort()
        elif fault is HttpFault.HEAD_TOO_SLOW and not self._requests and self._missing_input() is None:
            self.transport.close()  # it never said a word
        elif not self.transport.is_closing():
            body = f"{fault.text}\n".encode()
            self.transport.write(
                STATUS_LINES[fault.status]
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
        if self.transport.is_closing():
            self._watch_writes(self.transport.get_write_buffer_size())
            return
        self.flow.resume_reading()
        if self._in_head:
            seconds = self._limits.idle_sec_max
            self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)
        else:  # answered without having read the body: what follows cannot be trusted or waited for
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
