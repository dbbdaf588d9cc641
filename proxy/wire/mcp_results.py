"""Answers the gate makes itself, in the shape the agent's revision demands (traps T23).

Rules of this module:
* One builder per shape; the revision's required fields are added here and nowhere else: from 2026-07-28 on a result has
  a `resultType`. Tests check every builder against the SDK's validators, for every revision.
* A refused tools/call is a tool result with `isError: true`: hosts show it to the model, and the output schema is not
  held against it. Every other refused method is a JSON-RPC error: its result type has no place for a refusal.
* `isError: false` is for what really is the outcome; "not executed" is always an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from policies.model import JsonObject
from proxy.wire.mcp_methods import Era, Revision
from proxy.wire.refusals import RequestId

CALL_META_KEY: Final = "interlock/call"
"""Where a result of ours says which call it is about."""

REFUSED_BY_GATE: Final = -32010
"""The JSON-RPC code of a refusal of ours (2026-07-28 leaves -32000 to -32019 to implementations)."""


def result(revision: Revision, request_id: RequestId, content: JsonObject) -> JsonObject:
    """A response with `content` as its result, completed as the revision demands."""
    if revision.era is Era.MODERN:
        content = {"resultType": "complete", **content}
    return {"jsonrpc": "2.0", "id": request_id, "result": content}


def tool_text_result(
    revision: Revision,
    request_id: RequestId,
    text: str,
    *,
    is_error: bool,
    meta: Mapping[str, Any] | None = None,
) -> JsonObject:
    """A tools/call result of one text block; `meta` becomes its `_meta`."""
    content: JsonObject = {"content": [{"type": "text", "text": text}], "isError": is_error}
    if meta:
        content["_meta"] = dict(meta)
    return result(revision, request_id, content)


def empty_result(revision: Revision, request_id: RequestId) -> JsonObject:
    """What ping, subscribe and other bare acknowledgements answer."""
    return result(revision, request_id, {})


def error(
    revision: Revision,  # noqa: ARG001 - the shape is the same in all five; callers need not know that
    request_id: RequestId | None,
    code: int,
    message: str,
    data: Any = None,
) -> JsonObject:
    """A JSON-RPC error response; the id is null where the request's could not be read."""
    body: JsonObject = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return {"jsonrpc": "2.0", "id": request_id, "error": body}


def refusal(
    revision: Revision,
    method: str,
    request_id: RequestId,
    text: str,
    *,
    meta: Mapping[str, Any] | None = None,
) -> JsonObject:
    """Say that a judged request was denied, waits, was rejected or is quarantined, as its method can say it."""
    if method == "tools/call":
        return tool_text_result(revision, request_id, text, is_error=True, meta=meta)
    return error(revision, request_id, REFUSED_BY_GATE, text, {"_meta": dict(meta)} if meta else None)


def progress(token: RequestId, done: float, message: str) -> JsonObject:
    """A progress notification of a held call; `done` must grow from one to the next (basic/utilities/progress)."""
    return {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progressToken": token, "progress": done, "message": message},
    }
