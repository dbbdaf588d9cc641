"""JSON-RPC 2.0 messages as MCP uses them: one strictly read JSON value becomes a Request, a Notification or a Response.

Rules of this module:
* One message, never a batch, in any revision. Exactly `jsonrpc: "2.0"`.
* An id is a string or an integer within ±(2^53-1): `null`, `1.0` and `true` are not ids. A method that is a request in
  the method table is refused without an id: some servers would run it as a notification.
* A message is a request (or notification) or a response, never both. Beside a method, members JSON-RPC does not know
  are refused; names that only a reader ignoring case would take for known ones (`Method`) are refused everywhere.
* `raw` is the message itself: what is forwarded is its re-serialisation, with every `_meta` and unknown param in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mcp.types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    JSONRPC_VERSION,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)

from policies.model import Json, JsonObject
from proxy.wire.mcp_methods import REQUEST_METHODS
from proxy.wire.refusals import RequestId, Why, WireRefusal
from proxy.wire.strict_json import SAFE_INTEGER_MAX, StrictJsonError, refuse_case_variants

METHOD_CHARS_MAX: Final = 256
TICKET_META_KEY: Final = "interlock/ticket"
"""Where a request may present a ticket of ours in its `_meta`."""

_ENVELOPE: Final = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_CALL_MEMBERS: Final = frozenset({"jsonrpc", "id", "method", "params"})
META_NAMES: Final = (
    "progressToken",
    PROTOCOL_VERSION_META_KEY,
    CLIENT_INFO_META_KEY,
    CLIENT_CAPABILITIES_META_KEY,
    LOG_LEVEL_META_KEY,
    "io.modelcontextprotocol/related-task",
    TICKET_META_KEY,
)
"""The `_meta` keys that mean something to the gate or to every server."""

_PARAMS_NAMES: Final = (
    "_meta",
    "name",
    "arguments",
    "uri",
    "task",
    "taskId",
    "ref",
    "argument",
    "context",
    "cursor",
    "inputResponses",
    "requestState",
    "requestId",
    "progressToken",
)


class Invalid(WireRefusal):
    """A value that is not one JSON-RPC message; carries `code`, `message` and the `id` if one could be read."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call that expects an answer."""

    id: RequestId
    method: str
    params: JsonObject
    raw: JsonObject

    @property
    def meta(self) -> JsonObject:
        """`params._meta`, empty if absent."""
        meta: JsonObject = self.params.get("_meta", {})
        return meta

    def replacing(self, *, params: JsonObject | None = None, id: RequestId | None = None) -> Request:  # noqa: A002
        """The same request with other params or another id, members in their order."""
        changed = {**self.raw}
        if id is not None:
            changed["id"] = id
        if params is not None:
            changed["params"] = params
        return Request(changed["id"], self.method, changed.get("params", {}), changed)


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that expects no answer."""

    method: str
    params: JsonObject
    raw: JsonObject

    @property
    def meta(self) -> JsonObject:
        """`params._meta`, empty if absent."""
        meta: JsonObject = self.params.get("_meta", {})
        return meta


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request: a result or an error, exactly one. `id` is None only for an error about an unread id."""

    id: RequestId | None
    result: JsonObject | None
    error: JsonObject | None
    raw: JsonObject


type Message = Request | Notification | Response


def parse(value: Json) -> Message:
    """Read one message out of a strictly read JSON value.

    Raises: Invalid.
    """
    if isinstance(value, list):
        raise Invalid(Why.BATCH, "batches are not accepted; send each message by itself")
    if not isinstance(value, dict):
        raise Invalid(Why.NOT_AN_OBJECT, "a message is a JSON object")
    try:
        return _message(value)
    except WireRefusal as refusal:
        raise Invalid(refusal.why, refusal.message, id=readable_id(value)) from refusal
    except StrictJsonError as error:
        raise Invalid(error.reason, error.message, id=readable_id(value)) from error


def readable_id(value: Json) -> RequestId | None:
    """The id a refusal of this value should name, if it has one."""
    if not isinstance(value, dict):
        return None
    try:
        return _id(value.get("id"))
    except WireRefusal:
        return None


def _message(value: JsonObject) -> Message:
    refuse_case_variants(value, _ENVELOPE)
    if value.get("jsonrpc") != JSONRPC_VERSION:
        raise WireRefusal(Why.JSONRPC_VERSION, 'a message has "jsonrpc": "2.0"')
    is_call = "method" in value
    is_answer = "result" in value or "error" in value
    if is_call == is_answer:
        raise WireRefusal(Why.MIXED_MESSAGE, "a message has a method, or a result, or an error, and only one of them")
    return _call(value) if is_call else _response(value)


def _call(value: JsonObject) -> Request | Notification:
    unknown = [key for key in value if key not in _CALL_MEMBERS]
    if unknown:
        raise WireRefusal(Why.UNKNOWN_MEMBER, f"the member {unknown[0][:40]!a} is not part of a JSON-RPC request")
    method = value["method"]
    if not isinstance(method, str) or not 0 < len(method) <= METHOD_CHARS_MAX:
        raise WireRefusal(Why.BAD_METHOD, f"a method is a string of at most {METHOD_CHARS_MAX} characters")
    params = value.get("params", {})
    if not isinstance(params, dict):
        raise WireRefusal(Why.BAD_PARAMS, "params is an object; leave it out if there are none")
    refuse_case_variants(params, _PARAMS_NAMES)
    meta = params.get("_meta", {})
    if not isinstance(meta, dict):
        raise WireRefusal(Why.BAD_PARAMS, "params._meta is an object; leave it out if there is none")
    refuse_case_variants(meta, META_NAMES)
    if "id" in value:
        return Request(_id(value["id"]), method, params, value)
    if method in REQUEST_METHODS:
        raise WireRefusal(Why.REQUEST_WITHOUT_ID, f"{method} is a request: send it with an id")
    return Notification(method, params, value)


def _response(value: JsonObject) -> Response:
    if "result" in value and "error" in value:
        raise WireRefusal(Why.MIXED_MESSAGE, "a response has a result or an error, not both")
    if "id" not in value:
        raise WireRefusal(Why.BAD_ID, "a response has the id of the request it answers")
    if "result" in value:
        result = value["result"]
        if not isinstance(result, dict):
            raise WireRefusal(Why.BAD_RESPONSE, "a result is an object")
        return Response(_id(value["id"]), result, None, value)
    answered = None if value["id"] is None else _id(value["id"])
    return Response(answered, None, _error(value["error"]), value)


def _error(error: Any) -> JsonObject:
    if (
        not isinstance(error, dict)
        or not isinstance(error.get("code"), int)
        or isinstance(error.get("code"), bool)
        or not isinstance(error.get("message"), str)
    ):
        raise WireRefusal(Why.BAD_RESPONSE, "an error is an object with an integer code and a message")
    return error


def _id(value: object) -> RequestId:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= SAFE_INTEGER_MAX:
        return value
    raise WireRefusal(Why.BAD_ID, "an id is a string or an integer within ±(2^53-1)")


def is_same_id(one: RequestId | None, other: object) -> bool:
    """True if both are one id (or token): `1` is neither `"1"` nor `1.0` nor `true`."""
    return type(one) is type(other) and one == other
