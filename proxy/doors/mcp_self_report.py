"""What an agent says about itself with a call: taken off the message before anything else happens (SEMANTICS §1.5).

Rules of this module:
* Pure. It may stand in `_meta`, in a header, or in arguments that the gate itself added to the tools it lists, where
  the server's configuration says so (`self_report: argument`). Nothing of it goes on to the tool.
* Where it is said in several ways, the lowest confidence counts, and what is no number from 0 to 1 before all numbers
  (it is kept as null, and read strictly): saying it twice gains nothing.
* An argument is ours only if the tool's own inputSchema declares none of that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from policies.model import Json, JsonObject, ToolDefinition
from proxy.wire.jsonrpc import Request
from proxy.wire.mcp_headers import CONFIDENCE_HEADER, REASONING_HEADER

REASONING_CHARS_MAX = 4_000

_NUMBER = re.compile(r"[01](\.[0-9]{1,20})?")

META_KEYS: Mapping[str, str] = {"interlock/confidence": "confidence", "interlock/reasoning": "reasoning"}
HEADERS: Mapping[str, str] = {CONFIDENCE_HEADER: "confidence", REASONING_HEADER: "reasoning"}
ARGUMENTS: Mapping[str, str] = {"interlock_confidence": "confidence", "interlock_reasoning": "reasoning"}

PROPERTIES: Mapping[str, JsonObject] = {
    "interlock_confidence": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "How sure you are that this call is right, from 0 to 1. It is not passed on to the tool.",
    },
    "interlock_reasoning": {
        "type": "string",
        "description": "In a sentence, why you make this call. It is not passed on to the tool.",
    },
}


def take_from_meta(request: Request) -> tuple[Request, JsonObject]:
    """The request without what is said in its `_meta`, and what was said."""
    meta = request.meta
    if not META_KEYS.keys() & meta.keys():
        return request, {}
    left = {key: value for key, value in meta.items() if key not in META_KEYS}
    params = {name: value for name, value in request.params.items() if name != "_meta"}
    if left:
        params["_meta"] = left
    said = {name: meta[key] for key, name in META_KEYS.items() if key in meta}
    return request.replacing(params=params), said


def of_headers(lines: Mapping[str, str]) -> JsonObject:
    """What is said in headers; a confidence that is no number is no confidence."""
    said: JsonObject = {name: lines[header] for header, name in HEADERS.items() if header in lines}
    if "confidence" in said:
        said["confidence"] = float(said["confidence"]) if _NUMBER.fullmatch(said["confidence"]) else None
    return said


def take_from_arguments(request: Request, definition: ToolDefinition | None) -> tuple[Request, JsonObject]:
    """The `tools/call` without the arguments that the gate added to the tool, and what was said in them."""
    arguments = request.params.get("arguments")
    if definition is None or not isinstance(arguments, dict):
        return request, {}
    ours = ARGUMENTS.keys() & arguments.keys() - _declared(definition.input_schema)
    if not ours:
        return request, {}
    left = {name: value for name, value in arguments.items() if name not in ours}
    said = {ARGUMENTS[name]: arguments[name] for name in ours}
    return request.replacing(params={**request.params, "arguments": left}), said


def joined(*ways: JsonObject) -> JsonObject:
    """All that was said, each once."""
    said: JsonObject = {}
    for way in ways:
        for name, value in way.items():
            if name == "confidence":
                said[name] = _stricter(said[name], _number(value)) if name in said else _number(value)
            else:
                said[name] = value[:REASONING_CHARS_MAX] if isinstance(value, str) else None
    return said


def with_properties(response: JsonObject) -> JsonObject:
    """A tools/list response in which every tool can be told how sure the agent is, and why."""
    result = response.get("result")
    if not isinstance(result, dict) or not isinstance(result.get("tools"), list):
        return response
    return {**response, "result": {**result, "tools": [_with_properties(tool) for tool in result["tools"]]}}


def _with_properties(tool: Json) -> Json:
    schema = tool.get("inputSchema") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or not isinstance(schema, dict) or schema.get("type") != "object":
        return tool
    own = schema.get("properties", {})
    if not isinstance(own, dict):
        return tool
    return {**tool, "inputSchema": {**schema, "properties": {**PROPERTIES, **own}}}


def _declared(schema: JsonObject) -> set[str]:
    properties = schema.get("properties")
    return set(properties) if isinstance(properties, dict) else set()


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(max(value, 0), 1) if 0 <= value <= 1 else None


def _stricter(one: int | float | None, other: int | float | None) -> int | float | None:
    return None if one is None or other is None else min(one, other)
