"""One request and its answer, as an ASGI app sees them: the body it may receive, and the bytes of what it sends.

Rules of this module:
* Framing is held to what the head says: more or fewer bytes than its Content-Length are an error of the app's. An
  answer without a length is sent in chunks. A header that could end its line goes to nobody.
* A head that says how long its body is waits for it, and both leave in one write. Any other begins a stream: it leaves
  at once.
* An app that fails, or ends before its answer, is logged; who asked gets a 500, or a connection cut short where the
  answer had begun.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

log = structlog.get_logger("interlock.http")

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES: Final = {code: f"HTTP/1.1 {code} {_PHRASES.get(code, '')}\r\n".encode() for code in range(200, 600)}
_HEADERS: Final = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
_BODILESS: Final = frozenset((204, 304))  # RFC 9110 §6.4.1
_FAILED: Final = b"Internal Server Error"
_FAILED_HEADERS: Final = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(_FAILED)),
    (b"connection", b"close"),
)


class Cycle:
    """Made when a request's head is there; `receive` and `send` are what the app is given."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_flow",
        "_head",
        "_is_to_head",
        "_left_bytes",
        "_more_body",
        "_news",
        "_on_complete",
        "_transport",
        "awaits_continue",
        "disconnected",
        "keep_alive",
        "response_complete",
        "response_started",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        flow: FlowControl,
        on_complete: Callable[[], None],
        *,
        is_to_head: bool,
        keep_alive: bool,
        awaits_continue: bool,
    ) -> None:
        self._transport, self._flow, self._on_complete = transport, flow, on_complete
        self._is_to_head = is_to_head  # whose answer has no body, whatever its head says
        self.keep_alive, self.awaits_continue = keep_alive, awaits_continue
        self.disconnected = self.response_started = self.response_complete = False
        self._body: list[bytes] = []
        self._body_bytes = 0  # that the app has yet to receive
        self._more_body: bool | None = True  # None: the app knows that there is none
        self._news: asyncio.Event | None = None  # for whoever waits to receive
        self._head = b""  # while it waits for the body
        self._left_bytes: int | None = None  # of the body, where its length was told

    # -- for the connection --------------------------------------------------------------------------------------------

    def add(self, body: bytes) -> None:
        """More of the request's body is there."""
        if self.response_complete:
            return
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        self.wake()

    def end_body(self) -> None:
        """All of it is."""
        self._more_body = False
        self.wake()

    def disconnect(self) -> None:
        """The client is not there any more: the app is told so, and what it sends goes nowhere."""
        self.disconnected = True
        self.wake()

    def wake(self) -> None:
        """There may be something to receive."""
        if self._news is not None:
            self._news.set()

    def ended(self, task: asyncio.Task[None]) -> None:
        """The app has returned, or failed."""
        is_cancelled = task.cancelled()
        error = None if is_cancelled else task.exception()
        if is_cancelled or error is not None:
            log.error("app_failed", error="cancelled" if is_cancelled else repr(error), exc_info=error)
        if self.disconnected or self.response_complete:
            return
        if error is None and not is_cancelled:
            log.error("app_did_not_answer", has_begun=self.response_started)
        if self.response_started and not self._head:
            self._transport.close()
            return
        self._begin(500, _FAILED_HEADERS)
        self._go_on(_FAILED, is_last=True)

    # -- for the app ---------------------------------------------------------------------------------------------------

    async def receive(self) -> dict[str, Any]:
        """The next of the request's body; `http.disconnect` once nobody waits for an answer any more."""
        if self.awaits_continue and not self._transport.is_closing():
            self.awaits_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._flow.resume_reading()
        while not (self.disconnected or self.response_complete):
            if self._body or self._more_body is False:
                body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
                more = bool(self._more_body)
                self._body, self._body_bytes = [], 0
                self._more_body = more or None
                return {"type": "http.request", "body": body, "more_body": more}
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Write what the app sends, once the client has taken what came before."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self._begin(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self.response_started and not self.response_complete:
            self._go_on(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} is out of turn in an answer")

    # -- writing -------------------------------------------------------------------------------------------------------

    def _begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.response_started, self.awaits_continue = True, False
        lines, closes, left_bytes = b"", False, None
        for given, value in headers:
            name = given.lower()
            lines += b"%b: %b\r\n" % (name, value)
            if name == b"content-length":
                left_bytes = int(value)
            elif name == b"connection" and b"close" in value.lower():
                closes = True
            elif name == b"transfer-encoding":
                raise RuntimeError("how an answer is framed is not the app's to say")
        if lines.count(b"\n") != len(headers) or not _HEADERS.fullmatch(lines):
            raise RuntimeError("a header of this answer cannot be sent")
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            lines += b"connection: close\r\n"
        head = STATUS_LINES[status] + lines
        is_bodiless = self._is_to_head or status in _BODILESS
        self._left_bytes = 0 if is_bodiless else left_bytes
        if is_bodiless or left_bytes is not None:
            self._head = head + b"\r\n"
        else:
            self._transport.write(head + b"transfer-encoding: chunked\r\n\r\n")

    def _go_on(self, body: bytes, *, is_last: bool) -> None:
        if self._is_to_head:
            body = b""
        elif self._left_bytes is None:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"0\r\n\r\n" if is_last else b"")
        else:
            self._left_bytes -= len(body)
            if self._left_bytes < 0 or (is_last and self._left_bytes):
                raise RuntimeError("an answer's body is not as long as its head says")
        data, self._head = self._head + body, b""
        if data:
            self._transport.write(data)
        if is_last:
            self.response_complete = True
            self.wake()
            if not self.keep_alive:
                self._transport.close()
            self._on_complete()
