"""Opaque values, which pass the gate unread and unchanged: ids, cursors, tokens, states, session and event ids.

Rules of this module:
* Whatever is passed on unread is a way to smuggle, so each is capped: 4 KiB by default, measured in UTF-8 bytes.
* Which members are opaque is a table here, and docs/threats.md lists the same ones. Everything else is inspected.
* Each is a string or an integer, a request state a string: nothing larger hides where nobody looks.
* A session id is visible ASCII (2025-03-26, Session Management).
"""

from __future__ import annotations

import re
from typing import Any, Final

from proxy.wire.jsonrpc import Message, Request, Response
from proxy.wire.mcp_headers import LAST_EVENT_ID_HEADER, SESSION_HEADER, McpHeaders
from proxy.wire.refusals import RequestId, Why, WireRefusal

OPAQUE_BYTES_MAX: Final = 4 * 1024

OPAQUE_PARAMS: Final = ("cursor", "requestState", "taskId", "progressToken", "requestId", "elicitationId")
OPAQUE_RESULT_MEMBERS: Final = ("nextCursor", "requestState", "taskId")
OPAQUE_META: Final = ("progressToken", "traceparent", "tracestate", "io.modelcontextprotocol/subscriptionId")
OPAQUE_HEADERS: Final = (SESSION_HEADER, LAST_EVENT_ID_HEADER)

_VISIBLE: Final = re.compile("[!-~]+")


def check_opaque(message: Message, *, bytes_max: int = OPAQUE_BYTES_MAX) -> None:
    """Hold every opaque value of a message to its cap.

    Raises: WireRefusal (OPAQUE_TOO_LONG, BAD_PARAMS).
    """
    if isinstance(message, Response):
        result = message.result or {}
        found = [
            ("id", message.id),
            *_members("result", result, OPAQUE_RESULT_MEMBERS),
            *_members("result._meta", result.get("_meta"), OPAQUE_META),
            *_members("result.task", result.get("task"), ("taskId",)),
        ]
    else:
        found = _members("params", message.params, OPAQUE_PARAMS)
        if "_meta" in message.params:
            found += _members("params._meta", message.meta, OPAQUE_META)
    request_id = None
    if isinstance(message, Request):
        request_id = message.id
        found.insert(0, ("id", request_id))
    for where, value in found:
        _check(where, value, request_id, bytes_max)


def check_opaque_headers(headers: McpHeaders, *, bytes_max: int = OPAQUE_BYTES_MAX) -> None:
    """Hold the session and event ids of a request to their caps and alphabet.

    Raises: WireRefusal (OPAQUE_TOO_LONG, BAD_HEADER).
    """
    for name in OPAQUE_HEADERS:
        value = headers.lines.get(name, "")
        if len(value) > bytes_max:
            raise WireRefusal(Why.OPAQUE_TOO_LONG, f"the header {name} has more than {bytes_max} bytes")
    session = headers.session
    if session is not None and not _VISIBLE.fullmatch(session):
        raise WireRefusal(Why.BAD_HEADER, f"the header {SESSION_HEADER} is not visible ASCII")


def _members(where: str, obj: Any, names: tuple[str, ...]) -> list[tuple[str, Any]]:
    return [(f"{where}.{name}", obj[name]) for name in names if name in obj] if isinstance(obj, dict) else []


def _check(where: str, value: Any, request_id: RequestId | None, bytes_max: int) -> None:
    if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) > bytes_max:
        raise WireRefusal(Why.OPAQUE_TOO_LONG, f"{where} has more than {bytes_max} bytes", id=request_id)
    may_be_null = not where.endswith("progressToken")
    if isinstance(value, bool) or not (isinstance(value, (str, int)) or (value is None and may_be_null)):
        raise WireRefusal(Why.BAD_PARAMS, f"{where} is a string or an integer", id=request_id)
    if where.endswith("requestState") and isinstance(value, int):
        raise WireRefusal(Why.BAD_PARAMS, f"{where} is a string", id=request_id)
