"""The bytes of one HTTP/1.1 response, read in whatever pieces they come. The only importer of httptools. No I/O.

Rules of this module:
* Strict: what could be framed in two ways is refused (RFC 9112 §6.3); a length and a coding, two lengths, a coding but
  `chunked`, another version, an upgrade. Interim responses (1xx) are read over; a bounded number of them.
* A head is bounded in bytes, lines and the length of a line. Trailers are read over; they are nobody's.
* A response ends where its framing says. One without framing ends with its connection, and only there.
* Bytes after the end belong to nothing: `may_continue` is then False, and the connection is not to be used again.
"""

from __future__ import annotations

from dataclasses import dataclass

import httptools

PARSER_FAULTS = (httptools.HttpParserError, httptools.HttpParserUpgrade)
"""What httptools raises for bytes it will not read."""

parse_url = httptools.parse_url

INTERIM_ANSWERS_MAX = 32
_SWITCHING_PROTOCOLS = 101


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """How much a head may be; a line is one header, name and value."""

    head_bytes_max: int = 64 * 1024
    head_lines_max: int = 100
    line_bytes_max: int = 8190


class BadResponse(Exception):
    """Bytes that are no response we read; the message says why."""


class ResponseReader:
    """Reads one response. `lines` holds the head as it came, names in lower case; `take` gives the body's bytes as they
    arrive. `is_complete` once all of it has, also if not all was taken.
    """

    __slots__ = (
        "_body",
        "_fault",
        "_head_bytes",
        "_interim",
        "_is_framed",
        "_limits",
        "_parser",
        "body_bytes",
        "is_complete",
        "is_head_complete",
        "lines",
        "lines_bytes",
        "may_continue",
        "status",
    )

    def __init__(self, limits: ResponseLimits) -> None:
        self._limits = limits
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._fault: str | None = None
        self._head_bytes = 0
        self._interim = 0
        self._is_framed = False
        self.status = 0
        self.lines: list[tuple[bytes, bytes]] = []
        self.lines_bytes = 0  # of their names and values
        self.is_head_complete = False
        self.is_complete = False
        self.may_continue = False
        self.body_bytes = 0  # that nobody has taken yet

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the connection. Raises: BadResponse."""
        if not self.is_head_complete:
            self._head_bytes += len(data)
        parser = self._parser
        if parser is None:
            self.may_continue = False
            return
        try:
            parser.feed_data(data)
        except PARSER_FAULTS as error:
            if self.is_complete:  # what it says after its end says nothing about the response itself
                self.may_continue = False
                return
            raise BadResponse(self._fault or f"it answered with what is not HTTP/1.1: {error}") from error
        finally:
            if self.is_complete:
                self._parser = None  # they know each other: without this, every response would wait for the collector
        if not self.is_head_complete and self._head_bytes > self._limits.head_bytes_max:
            raise BadResponse(f"the head of its answer has more than {self._limits.head_bytes_max} bytes")

    def end(self) -> None:
        """The connection has ended. Raises: BadResponse, unless that is where this response ends."""
        if self.is_complete:
            return
        if not self.is_head_complete:
            raise BadResponse("the connection ended before its answer")
        if self._is_framed:
            raise BadResponse("the connection ended in the middle of its answer")
        self.is_complete = True

    def header(self, name: bytes) -> bytes | None:
        """The first line of that name, which is in lower case."""
        for known, value in self.lines:
            if known == name:
                return value
        return None

    def take(self) -> bytes:
        """The body's bytes that have come since they were last taken."""
        body = self._body
        data = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        self.body_bytes = 0
        return data

    # -- parser callbacks; an exception in one is wrapped by the parser, so the reason is kept beside it ---------------

    def on_message_begin(self) -> None:
        if self.is_complete:
            self._refuse("it said something after its answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_head_complete:
            return  # a trailer
        limits = self._limits
        if len(self.lines) >= limits.head_lines_max or len(name) + len(value) > limits.line_bytes_max:
            self._refuse(
                f"the head of its answer has more than {limits.head_lines_max} lines, "
                f"or one of more than {limits.line_bytes_max} bytes"
            )
        self.lines.append((name.lower(), value))
        self.lines_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        self.status = parser.get_status_code()
        if self.status < 200:
            return
        if parser.get_http_version() not in ("1.1", "1.0"):
            self._refuse("it answered in another version than HTTP/1.1")
        for name, value in self.lines:
            if name == b"content-length":
                self._is_framed = True
            elif name == b"transfer-encoding":
                self._is_framed = True
                if value.lower() != b"chunked":
                    self._refuse("it answered with a transfer coding that is not chunked")
        self.is_head_complete = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self.body_bytes += len(body)

    def on_message_complete(self) -> None:
        if self.is_head_complete:
            assert self._parser is not None
            self.is_complete = True
            self.may_continue = self._parser.should_keep_alive()
            return
        if self.status == _SWITCHING_PROTOCOLS:
            self._refuse("it answered with an upgrade")
        self._interim += 1  # RFC 9110 §15.2: one that only says that the answer is still to come
        if self._interim > INTERIM_ANSWERS_MAX:
            self._refuse(f"it sent more than {INTERIM_ANSWERS_MAX} interim answers")
        self.lines.clear()
        self.lines_bytes = 0

    def _refuse(self, why: str) -> None:
        self._fault = why
        raise BadResponse(why)
