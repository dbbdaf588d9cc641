"""The lists of tools that agents see: without what policy hides from them, and with the gate's own tool for tickets.

Rules of this module:
* Pure. The tool is added to the last page only, so that it stands there once however the list is paged.
* Its name is ours: a server's own tool of that name is left out, because a call of it would never reach the server.
* Configurable per server (`collect_tool`); without it the name is an ordinary one.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from policies.model import Json, JsonObject
from proxy.wire.mcp import COLLECT_TOOL

TOOL: JsonObject = {
    "name": COLLECT_TOOL,
    "title": "Collect the outcome of a waiting call",
    "description": (
        "Use this only with a ticket that an earlier tool call returned because it waits for a person's approval. "
        "Returns the outcome of that call once there is one. It executes nothing that was not approved."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {"ticket": {"type": "string", "description": "the ticket, exactly as it was returned"}},
        "required": ["ticket"],
        "additionalProperties": False,
    },
}


def with_collect_tool(response: JsonObject) -> JsonObject:
    """A tools/list response with our tool in it."""
    result = response.get("result")
    if not isinstance(result, dict) or not isinstance(result.get("tools"), list):
        return response
    tools = [tool for tool in result["tools"] if not isinstance(tool, dict) or tool.get("name") != COLLECT_TOOL]
    if result.get("nextCursor") is None:
        tools.append(TOOL)
    return {**response, "result": {**result, "tools": tools}}


def without_tools(response: JsonObject, hidden: Container[str]) -> JsonObject:
    """A tools/list response without those tools; its cursor stays, also where a page is left empty."""
    if not (tools := listed_tools(response)):
        return response
    shown = [tool for tool in tools if not isinstance(tool, dict) or tool.get("name") not in hidden]
    return {**response, "result": {**response["result"], "tools": shown}}


def names_of(tools: Iterable[Json]) -> list[str]:
    """The names in a list of tools; what has none cannot be called either."""
    named = (tool.get("name") for tool in tools if isinstance(tool, dict))
    return [name for name in named if isinstance(name, str)]


def listed_tools(response: JsonObject) -> list[Json]:
    """The tools of a tools/list response as the server gave them; none if it is no such response."""
    result = response.get("result")
    tools = result.get("tools") if isinstance(result, dict) else None
    return tools if isinstance(tools, list) else []
