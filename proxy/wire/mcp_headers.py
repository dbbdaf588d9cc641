"""MCP's own HTTP headers: reading them without ambiguity, holding them to the body, and writing those we send.

Rules of this module:
* The body is the truth. A header may only agree with it; from 2026-07-28 on it must (streamable-http, Server
  Validation). Before that revision `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*` mean nothing and are never looked at.
* A header that may stand once stands once: of two lines, two readers might take two different ones. Values are ASCII.
* What goes upstream is computed from the body that goes upstream, never copied from what the agent sent; only
  `Mcp-Param-*` headers that no known schema declares are passed on as they came (Server Behavior for Custom Headers).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PARAM_HEADER_PREFIX,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    decode_header_value,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    validate_mcp_param_headers,
    x_mcp_header_map,
)

from policies.model import JsonObject
from proxy.wire.body import HeaderLines
from proxy.wire.jsonrpc import Message, Notification, Request
from proxy.wire.mcp_methods import Era, Revision
from proxy.wire.refusals import RequestId, Why, WireRefusal

SESSION_HEADER: Final = "mcp-session-id"
LAST_EVENT_ID_HEADER: Final = "last-event-id"
TICKET_HEADER: Final = "interlock-ticket"
CONFIDENCE_HEADER: Final = "interlock-confidence"
REASONING_HEADER: Final = "interlock-reasoning"

NAME_PARAMS: Final[Mapping[str, str]] = MappingProxyType(
    {**NAME_BEARING_METHODS, "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}
)
"""Which param `Mcp-Name` repeats: the core's three methods, and the tasks extension's (Routing Headers)."""

_PARAM_PREFIX: Final = MCP_PARAM_HEADER_PREFIX.lower()
_ONCE: Final = frozenset(
    name.encode()
    for name in (
        *("authorization", "content-type", "content-encoding", "origin", LAST_EVENT_ID_HEADER),
        *(TICKET_HEADER, CONFIDENCE_HEADER, REASONING_HEADER),
    )
)
_MODERN: Final = Revision.R2026_07_28.value.encode()
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e\t]*")


@dataclass(frozen=True, slots=True)
class McpHeaders:
    """The headers the MCP door reads, once and unambiguously. Values are stripped of white space around them."""

    lines: Mapping[str, str]

    @property
    def version(self) -> str | None:
        return self.lines.get(MCP_PROTOCOL_VERSION_HEADER)

    @property
    def session(self) -> str | None:
        return self.lines.get(SESSION_HEADER)

    @property
    def params(self) -> dict[str, str]:
        """Every `Mcp-Param-*` header, lower-case name to value as sent."""
        return {name: value for name, value in self.lines.items() if name.startswith(_PARAM_PREFIX)}


def read(headers: HeaderLines, *, id: RequestId | None = None, modern: bool | None = False) -> McpHeaders:  # noqa: A002
    """Read the headers that MCP and we give meaning to. `modern`: refusals use modern codes; None: if a header says so.

    Raises: WireRefusal (DUPLICATED_HEADER, BAD_HEADER).
    """
    lines: dict[str, str] = {}
    for raw_name, raw_value in headers:
        lower = raw_name.lower()
        if lower not in _ONCE and not lower.startswith(b"mcp-"):
            continue
        name = lower.decode("latin-1")
        if name in lines:
            raise _unreadable(Why.DUPLICATED_HEADER, f"the header {name} appears twice", id, modern, headers)
        value = raw_value.strip(b" \t")
        if not _PRINTABLE.fullmatch(value):
            raise _unreadable(Why.BAD_HEADER, f"the header {name} is not printable ASCII", id, modern, headers)
        lines[name] = value.decode("ascii")
    return McpHeaders(MappingProxyType(lines))


def _unreadable(why: Why, what: str, id: RequestId | None, modern: bool | None, headers: HeaderLines) -> WireRefusal:  # noqa: A002
    if modern is None:
        versions = [value.strip() for name, value in headers if name.lower() == b"mcp-protocol-version"]
        modern = _MODERN in versions
    return WireRefusal(why, what, id=id, modern=modern)


def check_routing(headers: McpHeaders, message: Request | Notification) -> None:
    """Hold `Mcp-Method` and `Mcp-Name` to the body of a 2026-07-28 message; a notification may leave them out.

    Raises: WireRefusal (HEADER_MISMATCH).
    """
    method = headers.lines.get(MCP_METHOD_HEADER)
    if isinstance(message, Notification):
        if method is not None and method != message.method:
            raise _mismatch("mcp-method", "the method", None)
        return
    if method != message.method:
        raise _mismatch("mcp-method", "the method", message.id)
    param = NAME_PARAMS.get(message.method)
    if param is None:
        return
    if decode_header_value(headers.lines.get(MCP_NAME_HEADER)) != message.params.get(param):
        raise _mismatch("mcp-name", f"params.{param}", message.id)


def check_params(headers: McpHeaders, request: Request, input_schema: JsonObject) -> None:
    """Hold the `Mcp-Param-*` headers of a 2026-07-28 tools/call to its arguments, as the tool's schema declares them.

    Raises: WireRefusal (HEADER_MISMATCH).
    """
    arguments = request.params.get("arguments", {})
    rejection = validate_mcp_param_headers(input_schema, arguments, headers.params)
    if rejection is not None:
        raise WireRefusal(Why.HEADER_MISMATCH, rejection.message, id=request.id, modern=True)


def recompute_param_headers(input_schema: JsonObject, arguments: Mapping[str, Any]) -> dict[str, str]:
    """The `Mcp-Param-*` headers that arguments demand, for a call whose arguments were edited.

    A schema with an invalid annotation demands none: conforming clients do not call such a tool.
    """
    if find_invalid_x_mcp_header(input_schema) is not None:
        return {}
    return {name.lower(): value for name, value in mcp_param_headers(x_mcp_header_map(input_schema), arguments).items()}


def outgoing(
    revision: Revision, message: Message | None, *, sent: McpHeaders, input_schema: JsonObject | None = None
) -> dict[str, str]:
    """The MCP headers to send upstream with `message`, whose arguments may have been edited; None for GET and DELETE.

    `sent` is what the agent sent: its undeclared `Mcp-Param-*` are passed on. Without a schema nothing is declared.
    """
    if revision.era is Era.HANDSHAKE:
        is_defined = revision in (Revision.R2025_06_18, Revision.R2025_11_25)
        is_first = isinstance(message, Request) and message.method == "initialize"
        return {MCP_PROTOCOL_VERSION_HEADER: str(revision)} if is_defined and not is_first else {}
    headers = {MCP_PROTOCOL_VERSION_HEADER: str(revision)}
    if not isinstance(message, Request):
        return headers
    headers[MCP_METHOD_HEADER] = message.method
    name = message.params.get(NAME_PARAMS.get(message.method, ""))
    if isinstance(name, str):
        headers[MCP_NAME_HEADER] = encode_header_value(name)
    if message.method == "tools/call":
        headers |= _param_headers(message, sent, input_schema or {})
    return headers


def as_sent(sent: McpHeaders, message: Request) -> dict[str, str]:
    """The headers of a probe whose refusal is the upstream's to give: the version as the agent named it.

    `Mcp-Method` stands beside it if the agent sent one, and says what the body says, whatever the agent's said.
    """
    headers = {}
    if sent.version is not None:
        headers[MCP_PROTOCOL_VERSION_HEADER] = sent.version
    if MCP_METHOD_HEADER in sent.lines:
        headers[MCP_METHOD_HEADER] = message.method
    return headers


def _param_headers(call: Request, sent: McpHeaders, input_schema: JsonObject) -> dict[str, str]:
    declared = set()
    if find_invalid_x_mcp_header(input_schema) is None:
        declared = {f"{_PARAM_PREFIX}{token.lower()}" for token in x_mcp_header_map(input_schema).values()}
    undeclared = {name: value for name, value in sent.params.items() if name not in declared}
    return undeclared | recompute_param_headers(input_schema, call.params.get("arguments", {}))


def _mismatch(header: str, what: str, id: RequestId | None) -> WireRefusal:  # noqa: A002 - JSON-RPC's word
    return WireRefusal(
        Why.HEADER_MISMATCH, f"the header {header} does not say what {what} of the body says", id=id, modern=True
    )


@dataclass(frozen=True, slots=True)
class Accepts:
    """Which forms of answer a client takes."""

    json: bool
    event_stream: bool


def accepts(headers: HeaderLines) -> Accepts:
    """Read `Accept` (RFC 9110 §12.5.1); a client that sends none takes everything."""
    lines = [value for name, value in headers if name == b"accept"]
    if not lines:
        return Accepts(json=True, event_stream=True)
    value = b",".join(lines)
    return _usual(value) if len(value) <= _USUAL_BYTES else _accepted(value)


def _accepted(value: bytes) -> Accepts:
    taken: dict[str, bool] = {}
    for item in value.decode("latin-1").lower().split(","):
        media_range, *parameters = (part.strip() for part in item.split(";"))
        taken[media_range] = not any(_is_zero_weight(parameter) for parameter in parameters)
    return Accepts(
        json=_takes(taken, "application/json"),
        event_stream=_takes(taken, "text/event-stream"),
    )


_USUAL_BYTES = 200
_usual = lru_cache(maxsize=256)(_accepted)  # clients say the same in every request


def _takes(taken: Mapping[str, bool], media_type: str) -> bool:
    general = f"{media_type.partition('/')[0]}/*"
    return next((taken[name] for name in (media_type, general, "*/*") if name in taken), False)


def _is_zero_weight(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().rstrip("0").rstrip(".") in ("", "0")
