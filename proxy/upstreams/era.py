"""Telling the two eras of MCP apart: the revisions that begin with `initialize`, and 2026-07-28, which does not.

Rules of this module:
* Pure. The messages the gate itself says when it talks to a server on its own account are built here, and nowhere else.
* Only positive evidence makes a server modern: a `server/discover` result that names a modern revision, or an error
  whose code exists only there (basic/versioning of 2026-07-28). Everything else means the handshake.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from policies.model import JsonObject

MODERN_REVISION = "2026-07-28"
HANDSHAKE_REVISION = "2025-11-25"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_CLIENT_INFO_KEY = "io.modelcontextprotocol/clientInfo"
_CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
_CLIENT_INFO = {"name": "interlock", "version": "0.1.0"}
_MODERN_ONLY_CODES = frozenset({-32020, -32021, -32022})
HANDSHAKE_REVISIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"})

INITIALIZED: JsonObject = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Era(StrEnum):
    LEGACY = "legacy"
    MODERN = "modern"


def modern_meta() -> JsonObject:
    """What every request of 2026-07-28 carries in `_meta`: ours, with no capabilities."""
    return {VERSION_KEY: MODERN_REVISION, _CLIENT_INFO_KEY: dict(_CLIENT_INFO), _CAPABILITIES_KEY: {}}


def modern_headers(method: str) -> dict[str, str]:
    """The routing headers of a request of 2026-07-28 that names no tool."""
    return {"mcp-protocol-version": MODERN_REVISION, "mcp-method": method}


def probe_request(request_id: str = "interlock-discover") -> JsonObject:
    return {"jsonrpc": "2.0", "id": request_id, "method": "server/discover", "params": {"_meta": modern_meta()}}


def initialize_request(version: str = HANDSHAKE_REVISION, request_id: str = "interlock-initialize") -> JsonObject:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": dict(_CLIENT_INFO)}
    return {"jsonrpc": "2.0", "id": request_id, "method": "initialize", "params": params}


def era_of_answer(answer: JsonObject | None) -> Era:
    """The era of a server that answered `server/discover` so."""
    answer = answer or {}
    result, error = answer.get("result"), answer.get("error")
    if isinstance(result, dict):
        versions = result.get("supportedVersions")
        return Era.MODERN if isinstance(versions, list) and MODERN_REVISION in versions else Era.LEGACY
    if isinstance(error, dict) and error.get("code") in _MODERN_ONLY_CODES:
        return Era.MODERN
    return Era.LEGACY


def is_modern_message(message: JsonObject, headers: Mapping[str, str]) -> bool:
    """Whether a message without a session is one of the sessionless revisions: its `_meta` says so, or its header."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    version = meta.get(VERSION_KEY) if isinstance(meta, dict) else headers.get("mcp-protocol-version")
    return isinstance(version, str) and version not in HANDSHAKE_REVISIONS
