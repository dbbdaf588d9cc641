"""Every way the wire refuses a message, with its HTTP status and JSON-RPC code: one table, which docs/wire.md repeats.

Rules of this module:
* Closed: a refusal is a member of `Why` or `JsonFault`. Its text says what is wrong and how to mend it, and repeats no
  value of the message longer than a name.
* A refusal must not push a client into the wrong era (MCP 2026-07-28, basic/versioning). Modern codes (-32020, -32022)
  are spoken only to modern requests; a refused method is HTTP 404 there, but 200 before, where a client reads 404 as
  "session lost".
* JSON-RPC bodies carry the request's id where it could be read, else null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from mcp.types.jsonrpc import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_PROTOCOL_VERSION,
)

from policies.model import JsonObject
from proxy.wire.strict_json import JsonFault, StrictJsonError

type RequestId = str | int


class Why(StrEnum):
    """What is wrong with a message, apart from its JSON."""

    CONTENT_TYPE = "content_type"
    CONTENT_ENCODING = "content_encoding"
    HOST_NOT_ALLOWED = "host_not_allowed"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    BATCH = "batch"
    NOT_AN_OBJECT = "not_an_object"
    JSONRPC_VERSION = "jsonrpc_version"
    MIXED_MESSAGE = "mixed_message"
    UNKNOWN_MEMBER = "unknown_member"
    BAD_ID = "bad_id"
    REQUEST_WITHOUT_ID = "request_without_id"
    BAD_METHOD = "bad_method"
    BAD_PARAMS = "bad_params"
    BAD_RESPONSE = "bad_response"
    DUPLICATED_HEADER = "duplicated_header"
    BAD_HEADER = "bad_header"
    HEADER_MISMATCH = "header_mismatch"
    UNKNOWN_VERSION = "unknown_version"
    MISSING_ENVELOPE = "missing_envelope"
    UNKNOWN_METHOD = "unknown_method"
    UNKNOWN_NOTIFICATION = "unknown_notification"
    ANSWER_NOT_ALLOWED = "answer_not_allowed"
    HTTP_METHOD = "http_method"
    BAD_ARGUMENTS = "bad_arguments"
    OPAQUE_TOO_LONG = "opaque_too_long"
    UNKNOWN_EVENT = "unknown_event"


@dataclass(frozen=True, slots=True)
class Row:
    """How one refusal looks. `handshake_*` hold for revisions up to 2025-11-25, the others for 2026-07-28."""

    http_status: int
    code: int
    handshake_http_status: int
    handshake_code: int
    says: str  # for docs/wire.md


def _row(says: str, status: int, code: int, *, handshake: tuple[int, int] | None = None) -> Row:
    return Row(status, code, *(handshake or (status, code)), says)


TABLE: Final[Mapping[Why | JsonFault, Row]] = MappingProxyType(
    {
        JsonFault.TOO_LARGE: _row("the document is larger than the limit", 413, INVALID_REQUEST),
        JsonFault.TOO_DEEP: _row("nested deeper than the limit", 413, INVALID_REQUEST),
        JsonFault.TOO_MANY_KEYS: _row("more keys than the limit", 413, INVALID_REQUEST),
        JsonFault.KEY_TOO_LONG: _row("a key longer than the limit", 413, INVALID_REQUEST),
        JsonFault.NUMBER_TOO_LONG: _row("a number longer than the limit", 413, INVALID_REQUEST),
        JsonFault.ENCODING: _row("not UTF-8, or with a byte order mark", 400, PARSE_ERROR),
        JsonFault.SYNTAX: _row("not one JSON document", 400, PARSE_ERROR),
        JsonFault.SURROGATE: _row("half of a surrogate pair in a string", 400, PARSE_ERROR),
        JsonFault.DUPLICATE_KEY: _row("the same key twice in one object", 400, PARSE_ERROR),
        JsonFault.CASE_VARIANT: _row("a key that some readers take for an envelope or schema name", 400, PARSE_ERROR),
        JsonFault.NOT_FINITE: _row("NaN, an infinity, or a number that overflows to one", 400, PARSE_ERROR),
        JsonFault.NUMBER_NOT_EXACT: _row("a number that a 64-bit float would change", 400, INVALID_REQUEST),
        JsonFault.NOT_JSON: _row("a value that JSON cannot carry", 400, INVALID_REQUEST),
        Why.CONTENT_TYPE: _row("not exactly one Content-Type of application/json in UTF-8", 415, INVALID_REQUEST),
        Why.CONTENT_ENCODING: _row("a request body with a content encoding", 415, INVALID_REQUEST),
        Why.HOST_NOT_ALLOWED: _row("a Host this listener does not answer to", 421, INVALID_REQUEST),
        Why.ORIGIN_NOT_ALLOWED: _row("an Origin this listener does not answer to", 403, INVALID_REQUEST),
        Why.BATCH: _row("a JSON-RPC batch, in every revision", 400, INVALID_REQUEST),
        Why.NOT_AN_OBJECT: _row("a message that is not an object", 400, INVALID_REQUEST),
        Why.JSONRPC_VERSION: _row('`jsonrpc` is not "2.0"', 400, INVALID_REQUEST),
        Why.MIXED_MESSAGE: _row("both a method and a result or error, or neither", 400, INVALID_REQUEST),
        Why.UNKNOWN_MEMBER: _row("a member unknown to JSON-RPC, or to `tools/call` in params", 400, INVALID_REQUEST),
        Why.BAD_ID: _row("an id that is neither a string nor a safe integer", 400, INVALID_REQUEST),
        Why.REQUEST_WITHOUT_ID: _row("a request sent as a notification", 400, INVALID_REQUEST),
        Why.BAD_METHOD: _row("a method that is not a short string", 400, INVALID_REQUEST),
        Why.BAD_PARAMS: _row(
            "`params`, its `_meta` or an opaque value of another type than it has", 400, INVALID_REQUEST
        ),
        Why.BAD_RESPONSE: _row("a result that is not an object, or a malformed error", 400, INVALID_REQUEST),
        Why.DUPLICATED_HEADER: _row(
            "a header that may stand once stands twice", 400, HEADER_MISMATCH, handshake=(400, INVALID_REQUEST)
        ),
        Why.BAD_HEADER: _row(
            "a header value with characters it may not have", 400, HEADER_MISMATCH, handshake=(400, INVALID_REQUEST)
        ),
        Why.HEADER_MISMATCH: _row(
            "a header does not say what the body says", 400, HEADER_MISMATCH, handshake=(400, INVALID_REQUEST)
        ),
        Why.UNKNOWN_VERSION: _row(
            "a protocol version nobody knows", 400, UNSUPPORTED_PROTOCOL_VERSION, handshake=(400, INVALID_REQUEST)
        ),
        Why.MISSING_ENVELOPE: _row("a modern request without the `_meta` it must carry", 400, INVALID_PARAMS),
        Why.UNKNOWN_METHOD: _row(
            "a method that is not in the table for its revision",
            404,
            METHOD_NOT_FOUND,
            handshake=(200, METHOD_NOT_FOUND),
        ),
        Why.UNKNOWN_NOTIFICATION: _row("a notification that is not in the table", 400, METHOD_NOT_FOUND),
        Why.ANSWER_NOT_ALLOWED: _row("a client's response, in a revision without them", 400, INVALID_REQUEST),
        Why.HTTP_METHOD: _row("an HTTP method the revision does not have", 405, INVALID_REQUEST),
        Why.BAD_ARGUMENTS: _row(
            "params without what the method is about, or a tool named like one",
            400,
            INVALID_PARAMS,
            handshake=(200, INVALID_PARAMS),
        ),
        Why.OPAQUE_TOO_LONG: _row("an id, cursor, token or state over its limit", 413, INVALID_REQUEST),
        Why.UNKNOWN_EVENT: _row("a Last-Event-ID that came on no stream of this session", 400, INVALID_REQUEST),
    }
)


class WireRefusal(Exception):
    """A message the gate refuses before judging it. Nothing of it is forwarded."""

    def __init__(
        self,
        why: Why | JsonFault,
        message: str,
        *,
        id: RequestId | None = None,  # noqa: A002 - JSON-RPC's word
        modern: bool = False,
        data: Any = None,
    ) -> None:
        super().__init__(message)
        row = TABLE[why]
        self.why, self.message, self.id, self.data = why, message, id, data
        self.http_status = row.http_status if modern else row.handshake_http_status
        self.code = row.code if modern else row.handshake_code

    def body(self) -> JsonObject:
        """The JSON-RPC error to answer with; `id` is null where none could be read (JSON-RPC 2.0 §5)."""
        error: JsonObject = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return {"jsonrpc": "2.0", "id": self.id, "error": error}


def from_json(error: StrictJsonError, *, id: RequestId | None = None, modern: bool = False) -> WireRefusal:  # noqa: A002 - JSON-RPC's word
    """The refusal that a reader's error is."""
    return WireRefusal(error.reason, error.message, id=id, modern=modern)
