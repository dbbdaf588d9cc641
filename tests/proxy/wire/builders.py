"""Messages and headers for the tests of the wire."""

from __future__ import annotations

from typing import Any

from proxy.wire.jsonrpc import Message, Notification, Request, Response, parse
from proxy.wire.mcp_methods import Revision

MODERN = Revision.R2026_07_28
HANDSHAKE = [revision for revision in Revision if revision is not MODERN]


def envelope(version: str = MODERN.value, **more: Any) -> dict[str, Any]:
    """The `_meta` a 2026-07-28 request carries."""
    return {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
        **more,
    }


def request(method: str, params: dict[str, Any] | None = None, *, id: Any = 7) -> Request:  # noqa: A002
    raw: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method}
    if params is not None:
        raw["params"] = params
    return of_kind(parse(raw), Request)


def modern_request(method: str, params: dict[str, Any] | None = None, *, id: Any = 7) -> Request:  # noqa: A002
    return request(method, {**(params or {}), "_meta": envelope()}, id=id)


def notification(method: str, params: dict[str, Any] | None = None) -> Notification:
    return of_kind(parse({"jsonrpc": "2.0", "method": method, "params": params or {}}), Notification)


def answer(result: dict[str, Any] | None = None, *, id: Any = 7) -> Response:  # noqa: A002
    return of_kind(parse({"jsonrpc": "2.0", "id": id, "result": result or {}}), Response)


def of_kind[M: (Request, Notification, Response)](message: Message, kind: type[M]) -> M:
    assert isinstance(message, kind)
    return message


def headers(**lines: str) -> list[tuple[bytes, bytes]]:
    """Header lines as ASGI gives them; `mcp_name` stands for `mcp-name`."""
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in lines.items()]


def modern_headers(message: Request, **more: str) -> list[tuple[bytes, bytes]]:
    """What a conforming 2026-07-28 client sends with a request."""
    named = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
    named |= {"tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}
    lines = {"mcp_protocol_version": MODERN.value, "mcp_method": message.method}
    if message.method in named:
        lines["mcp_name"] = message.params[named[message.method]]
    return headers(**{**lines, **more})


# Params that make each request about something.
SUBJECTS: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "refund", "arguments": {"amount": 50}},
    "resources/read": {"uri": "file:///a"},
    "resources/subscribe": {"uri": "file:///a"},
    "resources/unsubscribe": {"uri": "file:///a"},
    "prompts/get": {"name": "greet"},
    "tasks/get": {"taskId": "t-1"},
    "tasks/result": {"taskId": "t-1"},
    "tasks/update": {"taskId": "t-1", "inputResponses": {}},
    "tasks/cancel": {"taskId": "t-1"},
}
