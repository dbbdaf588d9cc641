"""Reading what an upstream answered: bytes into strictly parsed JSON-RPC messages. Pure.

Rules of this module:
* A result may hold any number exactly (`exact=True`); duplicate keys, invalid UTF-8, depth and the rest are refused.
* Which request a response answers is for the door to judge (it keeps the record of strays); nothing here guesses.
* A body beside an error status is read if it is strict JSON and left out if not: the status alone says enough.
"""

from __future__ import annotations

from collections.abc import Iterator

from policies.model import Json, JsonObject
from proxy.upstreams.base import Incoming
from proxy.wire import jsonrpc, sse, strict_json

EVENT_ID_CHARS_MAX = 4 * 1024


class Malformed(Exception):
    """The upstream answered with what cannot be taken as an answer; the message says why."""


def whole_answer(data: bytes, limits: strict_json.JsonLimits) -> JsonObject:
    """The response in a JSON body of a success. Raises: Malformed."""
    message = _message(_json(data, limits))
    if "method" in message:
        raise Malformed("it answered with a request or a notification")
    return message


def error_body(data: bytes, limits: strict_json.JsonLimits) -> JsonObject | None:
    """The JSON object beside an error status; None if there is none that can be read."""
    if not data.strip():
        return None
    try:
        value = strict_json.read(data, limits, exact=True)
    except strict_json.StrictJsonError:
        return None
    return value if isinstance(value, dict) else None


class EventReader:
    """Turns the bytes of one SSE answer into messages; `is_answered` once the response to `request_id` was read."""

    def __init__(self, request_id: str | int | None, limits: strict_json.JsonLimits, stream_bytes_max: int) -> None:
        self._request_id, self._limits = request_id, limits
        self._parser = sse.Parser(sse.SseLimits(limits.bytes_max, limits.bytes_max, stream_bytes_max))
        self.is_answered = False

    def feed(self, data: bytes) -> Iterator[Incoming]:
        """The messages and bare events that these bytes complete. Raises: Malformed."""
        try:
            events = self._parser.feed(data)
        except sse.SseError as error:
            raise Malformed(f"its event stream is malformed: {error}") from error
        for event in events:
            if event.id is not None and len(event.id) > EVENT_ID_CHARS_MAX:
                raise Malformed(f"an event id has more than {EVENT_ID_CHARS_MAX} characters")
            # HTML §9.2.6: events of another type are for listeners of that type, and MCP has none.
            data_text = event.data if event.event == "message" else None
            if data_text:
                yield from self._messages(data_text, event)
            elif event.id is not None or event.retry_ms is not None:
                yield Incoming(None, event.id, event.retry_ms)

    @property
    def unread_bytes(self) -> int:
        """How much of an unfinished event has come."""
        return self._parser.unread_bytes

    def fed(self, data: bytes) -> Iterator[Incoming]:
        """As `feed`, with all of it read at once; what came before a fault comes before it here too."""
        read: list[Incoming] = []
        fault: Malformed | None = None
        try:
            read.extend(self.feed(data))
        except Malformed as malformed:
            fault = malformed
        return _then(read, fault)

    def _messages(self, text: str, event: sse.Event) -> Iterator[Incoming]:
        value = _json(text.encode("utf-8"), self._limits)
        values = value if isinstance(value, list) else [value]  # 2025-03-26 lets servers batch within a stream
        for number, item in enumerate(values):
            message = _message(item)
            if "method" not in message and message["id"] == self._request_id is not None:
                self.is_answered = True
            is_last = number == len(values) - 1  # an id stands for all of its event
            yield Incoming(message, event.id if is_last else None, event.retry_ms if is_last else None)


def _then(read: list[Incoming], fault: Malformed | None) -> Iterator[Incoming]:
    yield from read
    if fault is not None:
        raise fault


def _json(data: bytes, limits: strict_json.JsonLimits) -> Json:
    try:
        return strict_json.read(data, limits, exact=True)
    except strict_json.StrictJsonError as error:
        raise Malformed(f"it answered with what is not strict JSON: {error}") from error


def _message(value: Json) -> JsonObject:
    try:
        return jsonrpc.parse(value).raw
    except jsonrpc.Invalid as invalid:
        raise Malformed(f"it answered with what is no JSON-RPC message: {invalid.message}") from invalid
