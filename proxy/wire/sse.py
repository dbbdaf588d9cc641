"""Server-sent events, read and written (WHATWG HTML §9.2): a capped incremental parser, and an encoder that re-emits.

Rules of this module:
* Events are re-emitted from what was parsed, never passed through: framing tricks end here. Comments and unknown fields
  are dropped (nobody inspects them); an id with NUL and a retry that is not all digits are ignored, as the standard
  says.
* Strict where the standard is lenient: invalid UTF-8 is an error, not a replacement character.
* A line, an event and a whole stream are capped. Work per byte is constant, however small the pieces that arrive.
* An event is yielded only when its blank line has come; what is unfinished at the end of a stream is not an event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

KEEPALIVE: Final = b": keep-alive\n\n"
"""A comment that carries nothing and keeps the connection warm."""


class SseFault(StrEnum):
    """Why a stream is refused."""

    LINE_TOO_LONG = "sse_line_too_long"
    EVENT_TOO_LARGE = "sse_event_too_large"
    STREAM_TOO_LARGE = "sse_stream_too_large"
    ENCODING = "sse_encoding"
    NOT_WRITABLE = "sse_not_writable"


class SseError(Exception):
    """A stream that is not to be read further, or an event that cannot be written."""

    def __init__(self, reason: SseFault, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class SseLimits:
    """`stream_bytes_max` 0 means no limit, for streams that live as long as a session."""

    line_bytes_max: int = 4 * 1024 * 1024
    event_bytes_max: int = 4 * 1024 * 1024
    stream_bytes_max: int = 64 * 1024 * 1024
    retry_digits_max: int = 9  # a longer one is ignored: 10^9 ms is eleven days


DEFAULT_LIMITS = SseLimits()


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data` None: it had no data line (an id or retry alone). `id` None: it set none; "" resets it."""

    data: str | None
    event: str = "message"
    id: str | None = None
    retry_ms: int | None = None


class Parser:
    """Turns the bytes of one stream, in pieces of any size, into events."""

    def __init__(self, limits: SseLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._fault: SseError | None = None
        self._line = bytearray()
        self._after_cr = False
        self._at_start = True
        self._stream_bytes = 0
        self._data: list[str] = []
        self._data_bytes = 0
        self._event = ""
        self._id: str | None = None
        self._retry_ms: int | None = None

    @property
    def unread_bytes(self) -> int:
        """How much of an event has come that is not complete."""
        return len(self._line) + self._data_bytes

    def feed(self, data: bytes) -> list[Event]:
        """Read the next bytes; returns the events they complete.

        Raises: SseError; at the next call, if whole events came before the fault. The parser is then done.
        """
        events: list[Event] = []
        try:
            if self._fault is not None:
                raise self._fault
            events.extend(self._events(data))
        except SseError as fault:
            self._fault = fault
            if not events:
                raise
        return events

    def _events(self, data: bytes) -> Iterator[Event]:
        limits = self._limits
        self._stream_bytes += len(data)
        if limits.stream_bytes_max and self._stream_bytes > limits.stream_bytes_max:
            raise SseError(SseFault.STREAM_TOO_LARGE, f"the stream has more than {limits.stream_bytes_max} bytes")
        if data:
            ends_in_cr = data.endswith(b"\r")
            if self._after_cr:
                data = data.removeprefix(b"\n")
            self._after_cr = ends_in_cr
        *ended, rest = _LINE_END.split(data)
        for piece in ended:
            self._extend_line(piece)
            event = self._line_ended()
            if event is not None:
                yield event
        self._extend_line(rest)

    def _extend_line(self, piece: bytes) -> None:
        self._line += piece
        if len(self._line) > self._limits.line_bytes_max:
            raise SseError(SseFault.LINE_TOO_LONG, f"a line has more than {self._limits.line_bytes_max} bytes")

    def _line_ended(self) -> Event | None:
        line = bytes(self._line)
        self._line.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._dispatch()
        try:
            name, _, value = line.decode("utf-8", "strict").partition(":")
        except UnicodeDecodeError as error:
            raise SseError(SseFault.ENCODING, "the stream is not valid UTF-8") from error
        self._field(name, value.removeprefix(" "))
        self._data_bytes += len(line) if name == "data" else 0
        if self._data_bytes > self._limits.event_bytes_max:
            raise SseError(SseFault.EVENT_TOO_LARGE, f"an event has more than {self._limits.event_bytes_max} bytes")
        return None

    def _field(self, name: str, value: str) -> None:
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) <= self._limits.retry_digits_max:
                self._retry_ms = int(value)
            case _:  # a comment (its name is empty) or a field nobody knows
                pass

    def _dispatch(self) -> Event | None:
        data = "\n".join(self._data) if self._data else None
        event = None
        if data is not None or self._id is not None or self._retry_ms is not None:
            event = Event(data, self._event or "message", self._id, self._retry_ms)
        self._data, self._data_bytes, self._event, self._id, self._retry_ms = [], 0, "", None, None
        return event


def encode(event: Event) -> bytes:
    """Write one event; what `Parser` reads back is the same event.

    Raises: SseError (NOT_WRITABLE) for an id or type with a line end, or an id with NUL.
    """
    lines = []
    if event.event != "message":
        lines.append(f"event: {_one_line(event.event)}")
    if event.id is not None:
        if "\0" in event.id:
            raise SseError(SseFault.NOT_WRITABLE, "an event id cannot hold NUL")
        lines.append(f"id: {_one_line(event.id)}")
    if event.retry_ms is not None:
        lines.append(f"retry: {event.retry_ms}")
    if event.data is not None:
        lines.extend(f"data: {line}" for line in _TEXT_LINE_END.split(event.data))
    try:
        return ("\n".join(lines) + "\n\n").encode("utf-8", "strict")
    except UnicodeEncodeError as error:
        raise SseError(SseFault.NOT_WRITABLE, "an event cannot hold half of a surrogate pair") from error


_LINE_END = re.compile(rb"\r\n|\n|\r")
_TEXT_LINE_END = re.compile(r"\r\n|\n|\r")


def _one_line(value: str) -> str:
    if "\r" in value or "\n" in value:
        raise SseError(SseFault.NOT_WRITABLE, "an event's id and type are one line each")
    return value
