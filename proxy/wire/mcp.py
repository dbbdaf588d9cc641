"""What an agent's message is in MCP's terms: its revision and era, its row of the method table, what is wrong with it.

Rules of this module:
* `classify` answers or refuses; nothing it refuses is forwarded. What it lets through is still judged by policy.
* The version header and the body's `_meta` agree, or the message is refused. A version nobody knows is refused.
* Era detection stays possible (basic/versioning, Backward Compatibility): `server/discover` and `initialize` with a
  version or envelope we do not know go to the upstream as they are, and its answer goes back unchanged
  (`upstream_decides`). They read nothing and act on nothing.
* An absent version header means the session's revision if the door knows one, else 2025-03-26 (streamable-http,
  Protocol Version Header). Session state is never a precondition for judging a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_PROTOCOL_VERSION_HEADER
from mcp.types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    DEFAULT_NEGOTIATED_VERSION,
    PROTOCOL_VERSION_META_KEY,
)

from policies.model import Direction, JsonObject
from proxy.wire import mcp_headers
from proxy.wire.body import HeaderLines
from proxy.wire.jsonrpc import Message, Notification, Request, Response
from proxy.wire.mcp_headers import McpHeaders
from proxy.wire.mcp_methods import REQUEST_METHODS, Era, Handling, Kind, Method, Revision, method
from proxy.wire.refusals import RequestId, Why, WireRefusal
from proxy.wire.strict_json import refuse_case_variants

COLLECT_TOOL: Final = "interlock_collect"
"""The tool the gate adds to every server: it collects the outcome of a ticket."""

_PROBES: Final = frozenset({"server/discover", "initialize"})
_LATEST_HANDSHAKE: Final = Revision.R2025_11_25
_KNOWN: Final = {revision.value: revision for revision in Revision}


@dataclass(slots=True)
class Inbound:
    """An agent's message, classified. `method` None: an answer to what a tool server asked, or no message at all."""

    revision: Revision
    headers: McpHeaders
    method: Method | None
    upstream_decides: bool = False
    client_info: JsonObject | None = None

    @property
    def era(self) -> Era:
        return self.revision.era

    @property
    def is_judged(self) -> bool:
        """Whether this becomes a ToolCall. An agent's answer is judged as the request it answers was."""
        return self.method is not None and self.method.handling is Handling.JUDGED


def classify(
    headers: HeaderLines | None,
    message: Message,
    *,
    assumed: Revision | None = None,
    input_schema: JsonObject | None = None,
) -> Inbound:
    """Classify one message of an agent. `headers` None: a transport without them (stdio).

    `assumed` is the revision its session negotiated (or the transport implies), for when no header names one;
    `input_schema` that of the tool called: without it `Mcp-Param-*` headers are not yet held to the arguments.

    Raises: WireRefusal.
    """
    in_body = _meta_version(message)
    if headers is None:
        lines = _headers_of_body(in_body)
    else:
        lines = mcp_headers.read(headers, id=_id(message), modern=True if in_body is not _ABSENT else None)
        if in_body is not _ABSENT and (in_body is None or in_body != lines.version):
            why = "the header mcp-protocol-version does not say what the body's _meta says"
            raise WireRefusal(Why.HEADER_MISMATCH, why, id=_id(message), modern=True)
    if isinstance(message, Request) and message.method in _PROBES:
        return _probe(lines, message, assumed)
    revision = _revision(lines, message, assumed)
    if isinstance(message, Response):
        return _answer(lines, message, revision)
    if revision.era is Era.MODERN and isinstance(message, Request):
        _check_envelope(message)
    if revision.era is Era.MODERN and headers is not None:
        mcp_headers.check_routing(lines, message)
    row = _row(message, revision)
    if isinstance(message, Request):
        _check_subject(message, row, revision)
        if headers is not None and input_schema is not None and revision.era is Era.MODERN and row.name == "tools/call":
            mcp_headers.check_params(lines, message, input_schema)
    return Inbound(revision, lines, row, client_info=_client_info(message))


def classify_stream(headers: HeaderLines, http_method: str, *, assumed: Revision | None = None) -> Inbound:
    """Classify a request without a message: GET (a stream) or DELETE (the end of a session), both gone in 2026-07-28.

    Raises: WireRefusal.
    """
    lines = mcp_headers.read(headers)
    revision = _revision(lines, None, assumed)
    if revision.era is Era.MODERN:
        raise WireRefusal(Why.HTTP_METHOD, f"{revision.value} has no {http_method} on this endpoint", modern=True)
    return Inbound(revision, lines, None)


def tool_row(revision: Revision, message: Request | Notification) -> Method | None:
    """The row for a message a tool server sent to the agent; None: it is refused, a request with an error."""
    kind = Kind.REQUEST if isinstance(message, Request) else Kind.NOTIFICATION
    return method(revision, Direction.TOOL_TO_AGENT, kind, message.method)


def refuse_argument_variants(arguments: JsonObject, input_schema: JsonObject) -> None:
    """Refuse argument names that some readers take for a property of the schema, along its `properties` (traps T17).

    Raises: StrictJsonError (CASE_VARIANT).
    """
    pending: list[tuple[Any, Any]] = [(arguments, input_schema)]
    while pending:
        value, schema = pending.pop()
        if not isinstance(schema, dict):
            continue
        if isinstance(value, list):
            pending.extend((item, schema.get("items")) for item in value)
        properties = schema.get("properties")
        if isinstance(value, dict) and isinstance(properties, dict):
            refuse_case_variants(value, properties)
            pending += [
                (item, properties[name])
                for name, item in value.items()
                if isinstance(item, (dict, list)) and name in properties
            ]


# ---- versions ---------------------------------------------------------------------------------------------------


_ABSENT: Final = object()
_NAMES_OF_METHODS: Final = frozenset(f"mcp.{name}" for name in REQUEST_METHODS)
_CALL_PARAMS: Final = frozenset({"name", "arguments", "inputResponses", "requestState", "task", "_meta"})


def _meta_version(message: Message | None) -> Any:
    """The version the body names: any JSON value (also null), or _ABSENT."""
    if message is None or isinstance(message, Response):
        return _ABSENT
    return message.meta.get(PROTOCOL_VERSION_META_KEY, _ABSENT)


def _headers_of_body(version: Any) -> McpHeaders:
    return McpHeaders({MCP_PROTOCOL_VERSION_HEADER: version} if isinstance(version, str) else {})


def _revision(lines: McpHeaders, message: Message | None, assumed: Revision | None) -> Revision:
    version = lines.version
    if version is None:
        return assumed or Revision(DEFAULT_NEGOTIATED_VERSION)
    known = _KNOWN.get(version)
    if known is not None:
        return known
    modern = _meta_version(message) is not _ABSENT
    raise WireRefusal(
        Why.UNKNOWN_VERSION,
        f"unsupported protocol version {version[:40]!a}; supported: {', '.join(_KNOWN)}",
        id=_id(message),
        modern=modern,
        data={"supported": list(_KNOWN), "requested": version} if modern else None,
    )


def _probe(lines: McpHeaders, message: Request, assumed: Revision | None) -> Inbound:
    """`server/discover` and `initialize`: whatever version they name, it is the upstream's to accept or refuse."""
    named = _KNOWN.get(lines.version or "")
    if message.method == "initialize":
        wanted = message.params.get("protocolVersion")
        offered = _KNOWN.get(wanted) if isinstance(wanted, str) else None
        revision = offered if offered is not None and offered.era is Era.HANDSHAKE else _LATEST_HANDSHAKE
        if named is not None and named.era is Era.MODERN and _meta_version(message) is not _ABSENT:
            raise _unknown_method(message, named)
    else:
        revision = named or (assumed if lines.version is None and assumed else Revision.R2026_07_28)
    said_modern = lines.version is not None and (named is None or named.era is Era.MODERN)
    if MCP_METHOD_HEADER in lines.lines and (said_modern or revision.era is Era.MODERN):
        mcp_headers.check_routing(lines, message)
    row = method(revision, Direction.AGENT_TO_TOOL, Kind.REQUEST, message.method)
    return Inbound(revision, lines, row, upstream_decides=True, client_info=_client_info(message))


# ---- the message ------------------------------------------------------------------------------------------------


def _check_envelope(message: Request) -> None:
    """A 2026-07-28 request says its version and the client's capabilities itself (basic/index, Per-request fields)."""
    missing = [key for key in (PROTOCOL_VERSION_META_KEY, CLIENT_CAPABILITIES_META_KEY) if key not in message.meta]
    if missing:
        raise WireRefusal(
            Why.MISSING_ENVELOPE, f"params._meta lacks {' and '.join(missing)}", id=message.id, modern=True
        )


def _row(message: Request | Notification, revision: Revision) -> Method:
    kind = Kind.REQUEST if isinstance(message, Request) else Kind.NOTIFICATION
    row = method(revision, Direction.AGENT_TO_TOOL, kind, message.method)
    if row is not None:
        return row
    if isinstance(message, Request):
        raise _unknown_method(message, revision)
    raise WireRefusal(
        Why.UNKNOWN_NOTIFICATION,
        f"{message.method[:80]!a} is not a notification of {revision.value}",
        modern=revision.era is Era.MODERN,
    )


def _unknown_method(message: Request, revision: Revision) -> WireRefusal:
    return WireRefusal(
        Why.UNKNOWN_METHOD,
        f"Method not found: {message.method[:80]!a} is not a method of {revision.value}",
        id=message.id,
        modern=revision.era is Era.MODERN,
    )


def _check_subject(message: Request, row: Method, revision: Revision) -> None:
    modern = revision.era is Era.MODERN
    if row.subject is not None and not isinstance(message.params.get(row.subject), str):
        raise WireRefusal(
            Why.BAD_ARGUMENTS, f"{row.name} needs the string params.{row.subject}", id=message.id, modern=modern
        )
    if row.name == "tools/call" and message.params["name"] in _NAMES_OF_METHODS:
        # In policies that is the method (SEMANTICS §1.9): no tool gets what is granted to it by naming itself so (P9).
        why = f"{message.params['name']} is how policies name a method; no tool has this name"
        raise WireRefusal(Why.BAD_ARGUMENTS, why, id=message.id, modern=modern)
    if row.name == "tools/call" and not isinstance(message.params.get("arguments", {}), dict):
        raise WireRefusal(
            Why.BAD_ARGUMENTS,
            "params.arguments is an object; leave it out if there are none",
            id=message.id,
            modern=modern,
        )
    if row.name == "tools/call" and not _CALL_PARAMS.issuperset(message.params):
        # A reviewer is shown the tool and its arguments, and an approval binds them: nothing rides beside them (P6).
        unknown = next(name for name in message.params if name not in _CALL_PARAMS)
        why = f"params of tools/call have no member {unknown[:40]!a}; put it into _meta"
        raise WireRefusal(Why.UNKNOWN_MEMBER, why, id=message.id, modern=modern)
    if row.name == "tools/call" and not _is_task(message.params.get("task")):
        why = "params.task is an object with a number `ttl` or nothing in it"
        raise WireRefusal(Why.BAD_PARAMS, why, id=message.id, modern=modern)


def _is_task(value: Any) -> bool:
    """What may ask for the call to be a task (2025-11-25 basic/utilities/tasks): how long it is kept, and no more."""
    if value is None:
        return True
    if not isinstance(value, dict) or value.keys() - {"ttl"}:
        return False
    ttl = value.get("ttl")
    return ttl is None or (isinstance(ttl, (int, float)) and not isinstance(ttl, bool))


def _answer(lines: McpHeaders, message: Response, revision: Revision) -> Inbound:
    if revision.era is Era.MODERN:
        raise WireRefusal(
            Why.ANSWER_NOT_ALLOWED, f"{revision.value} has no client responses; see InputRequiredResult", modern=True
        )
    if message.id is None:
        raise WireRefusal(Why.BAD_ID, "an answer has the id of the request it answers")
    unknown = [key for key in message.raw if key not in ("jsonrpc", "id", "result", "error")]
    if unknown:
        raise WireRefusal(Why.UNKNOWN_MEMBER, f"the member {unknown[0][:40]!a} is not part of a response")
    return Inbound(revision, lines, None)


def _client_info(message: Request | Notification) -> JsonObject | None:
    """What the client says it is; it decides nothing but how long we may hold (P9)."""
    info = message.meta.get(CLIENT_INFO_META_KEY)
    if info is None and message.method == "initialize":
        info = message.params.get("clientInfo")
    return info if isinstance(info, dict) else None


def _id(message: Message | None) -> RequestId | None:
    return message.id if isinstance(message, Request) else None
