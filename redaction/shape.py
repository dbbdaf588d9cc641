"""Which parts of an MCP message are the tool's own data, and which are the protocol's: the table the walk goes by.

Rules of this module:
* Whatever the table does not name is data: it is scanned, may be redacted, and field rules reach it (P8).
* OPAQUE values (ids, cursors, `requestState`, tokens) are passed unchanged and unscanned up to a length (SEMANTICS §3).
* IDENTIFIER values (names, URIs, types, enum values) are scanned and never rewritten: a changed one would name
  something else. What may not pass in one quarantines the whole message.
* An id is an id only where the protocol says so: `id` inside a tool's own object is data like everything else there.
* Keys the table names are the protocol's and stay as they are; every other key is scanned like a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What may be done with a value."""

    DATA = "data"
    IDENTIFIER = "identifier"
    MEASURE = "measure"  # a number or a flag: passed; anything else there is an identifier
    OPAQUE = "opaque"
    BLOB = "blob"  # base64 beside a `mimeType`: a resource's `blob`, the `data` of an image or audio block


class Zone(Enum):
    """How the members of an object are told apart."""

    PROTOCOL = "protocol"  # by an `Object` of the table
    DATA = "data"  # all are data
    SCHEMA = "schema"  # a JSON Schema: words for people are data, the rest are identifiers


@dataclass(frozen=True, slots=True)
class Member:
    """What stands at one place: the role of a scalar there, and how to go on if it is an object or a list of them."""

    role: Role
    zone: Zone = Zone.DATA
    object: str = ""  # for PROTOCOL: the name of the `Object`
    is_root: bool = False  # field rules take this value as their `$`
    is_required: bool = False  # the protocol demands a string here: it is replaced, never removed


type Object = Mapping[str, Member]

_DATA = Member(Role.DATA)
_TEXT = Member(Role.DATA, is_required=True)
_ROOT = Member(Role.DATA, is_root=True)
_NAME = Member(Role.IDENTIFIER)
_OPAQUE = Member(Role.OPAQUE)
_MEASURE = Member(Role.MEASURE)
_SCHEMA = Member(Role.IDENTIFIER, Zone.SCHEMA)

ANYTHING = _DATA
"""What a value is where the table is silent."""


def _object(name: str, *, is_root: bool = False) -> Member:
    return Member(Role.DATA, Zone.PROTOCOL, name, is_root=is_root)


_CAPABILITIES = frozenset(
    {"tools", "prompts", "resources", "logging", "completions", "experimental", "tasks", "requests", "extensions"}
    | {"sampling", "elicitation", "roots", "listChanged", "subscribe", "list", "cancel", "call"}
)

OBJECTS: Mapping[str, Object] = {
    "envelope": {
        "jsonrpc": _NAME,
        "id": _OPAQUE,
        "method": _NAME,
        "result": _object("result", is_root=True),
        "error": _object("error"),
        "params": _object("params", is_root=True),
    },
    "error": {"code": _MEASURE, "message": _TEXT, "data": _ROOT},
    "result": {
        "content": _object("block"),
        "structuredContent": _ROOT,
        "isError": _MEASURE,
        "_meta": _object("meta"),
        "resultType": _NAME,
        "contents": _object("resource"),
        "messages": _object("message"),
        "description": _DATA,
        "instructions": _DATA,
        "completion": _DATA,
        "nextCursor": _OPAQUE,
        "requestState": _OPAQUE,
        "tools": _object("tool"),
        "prompts": _object("prompt"),
        "resources": _object("resource"),
        "resourceTemplates": _object("resource"),
        "protocolVersion": _NAME,
        "supportedVersions": _NAME,
        "capabilities": _object("capabilities"),
        "serverInfo": _object("implementation"),
        "task": _object("task"),
        "tasks": _object("task"),
        "taskId": _OPAQUE,
        "status": _NAME,
        "statusMessage": _DATA,
        "createdAt": _NAME,
        "lastUpdatedAt": _NAME,
        "ttl": _MEASURE,
        "ttlMs": _MEASURE,
        "pollInterval": _MEASURE,
        "pollIntervalMs": _MEASURE,
        "result": _object("result", is_root=True),
        "error": _object("error"),
        "inputRequests": _object("requests"),
    },
    "params": {
        "_meta": _object("meta"),
        "progressToken": _OPAQUE,
        "requestId": _OPAQUE,
        "progress": _MEASURE,
        "total": _MEASURE,
        "message": _DATA,
        "reason": _DATA,
        "level": _NAME,
        "logger": _NAME,
        "data": _ROOT,
        "uri": _NAME,
        "url": _NAME,
        "mode": _NAME,
        "elicitationId": _OPAQUE,
        "requestedSchema": _SCHEMA,
        "messages": _object("message"),
        "systemPrompt": _DATA,
        "includeContext": _NAME,
        "temperature": _MEASURE,
        "maxTokens": _MEASURE,
        "modelPreferences": _object("preferences"),
        "tools": _object("tool"),
        "toolChoice": _object("choice"),
        "cursor": _OPAQUE,
        "task": _object("task"),
        "taskId": _OPAQUE,
        "status": _NAME,
        "statusMessage": _DATA,
        "createdAt": _NAME,
        "lastUpdatedAt": _NAME,
        "ttl": _MEASURE,
        "ttlMs": _MEASURE,
        "pollInterval": _MEASURE,
        "pollIntervalMs": _MEASURE,
        "result": _object("result", is_root=True),
        "error": _object("error"),
        "inputRequests": _object("requests"),
        "requestState": _OPAQUE,
    },
    "block": {
        "type": _NAME,
        "text": _TEXT,
        "data": Member(Role.BLOB),
        "mimeType": _NAME,
        "uri": _NAME,
        "name": _NAME,
        "title": _DATA,
        "description": _DATA,
        "size": _MEASURE,
        "resource": _object("resource"),
        "annotations": _object("annotations"),
        "icons": _object("icon"),
        "id": _OPAQUE,  # tool_use blocks of sampling
        "toolUseId": _OPAQUE,
        "input": _DATA,
        "content": _object("block"),
        "structuredContent": _ROOT,
        "isError": _MEASURE,
        "_meta": _object("meta"),
    },
    "resource": {
        "uri": _NAME,
        "uriTemplate": _NAME,
        "name": _NAME,
        "title": _DATA,
        "description": _DATA,
        "mimeType": _NAME,
        "text": _TEXT,
        "blob": Member(Role.BLOB),
        "size": _MEASURE,
        "annotations": _object("annotations"),
        "icons": _object("icon"),
        "_meta": _object("meta"),
    },
    "message": {"role": _NAME, "content": _object("block"), "_meta": _object("meta")},
    "tool": {
        "name": _NAME,
        "title": _DATA,
        "description": _DATA,
        "inputSchema": _SCHEMA,
        "outputSchema": _SCHEMA,
        "annotations": _object("annotations"),
        "execution": _object("execution"),
        "icons": _object("icon"),
        "_meta": _object("meta"),
    },
    "prompt": {
        "name": _NAME,
        "title": _DATA,
        "description": _DATA,
        "arguments": _object("prompt_argument"),
        "icons": _object("icon"),
        "_meta": _object("meta"),
    },
    "prompt_argument": {"name": _NAME, "title": _DATA, "description": _DATA, "required": _MEASURE},
    "annotations": {"audience": _NAME, "priority": _MEASURE, "lastModified": _NAME, "title": _DATA},
    "execution": {"taskSupport": _NAME},
    "icon": {"src": _NAME, "mimeType": _NAME, "sizes": _NAME, "theme": _NAME},
    "implementation": {
        "name": _NAME,
        "version": _NAME,
        "title": _DATA,
        "description": _DATA,
        "websiteUrl": _NAME,
        "icons": _object("icon"),
    },
    "capabilities": {name: _object("capabilities") for name in _CAPABILITIES},
    "preferences": {
        "hints": _object("hint"),
        "costPriority": _MEASURE,
        "speedPriority": _MEASURE,
        "intelligencePriority": _MEASURE,
    },
    "hint": {"name": _NAME},
    "choice": {"mode": _NAME},
    "task": {
        "taskId": _OPAQUE,
        "status": _NAME,
        "statusMessage": _DATA,
        "createdAt": _NAME,
        "lastUpdatedAt": _NAME,
        "ttl": _MEASURE,
        "pollInterval": _MEASURE,
    },
    "requests": {},  # a map by ids of the server's own making: see `member_of`
    "request": {"method": _NAME, "params": _object("params", is_root=True)},
    "meta": {
        "progressToken": _OPAQUE,
        "io.modelcontextprotocol/related-task": _object("task"),
        "io.modelcontextprotocol/protocolVersion": _NAME,
        "io.modelcontextprotocol/subscriptionId": _OPAQUE,
        "io.modelcontextprotocol/serverInfo": _object("implementation"),
    },
}

ENVELOPE = _object("envelope")
PLAIN = Member(Role.DATA, Zone.DATA, is_root=True)

_SCHEMA_WORDS = frozenset({"title", "description", "$comment", "default", "examples"})
_SCHEMA_TEXT = Member(Role.DATA, Zone.SCHEMA)
_REQUEST = _object("request")


def member_of(parent: Member, key: str) -> Member | None:
    """What the protocol says stands at `key` of an object; None where it says nothing: key and value are data."""
    if parent.zone is Zone.PROTOCOL:
        if parent.object == "requests":
            return _REQUEST
        return OBJECTS[parent.object].get(key)
    if parent.zone is Zone.SCHEMA:
        return _SCHEMA_TEXT if key in _SCHEMA_WORDS else _SCHEMA
    return None


def key_role(parent: Member, known: Member | None) -> Role | None:
    """What may be done with a key: None for the protocol's own, IDENTIFIER for names that others refer to."""
    if parent.zone is Zone.SCHEMA or parent.object == "requests":
        return Role.IDENTIFIER
    return Role.DATA if known is None else None


def start(message: object, *, is_arguments: bool = False) -> Member:
    """Where a walk of `message` begins: at a JSON-RPC envelope, or at plain data (arguments, bare bodies)."""
    if not is_arguments and isinstance(message, dict) and message.get("jsonrpc") == "2.0":
        return ENVELOPE
    return PLAIN
