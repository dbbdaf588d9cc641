"""A tool's definition as its server lists it: read strictly, reduced to what is pinned, and digested.

Rules of this module:
* Pure. A listing is refused whole where one entry cannot be read: half an inventory would let the other half drift.
* The digest covers name, title, description, inputSchema, outputSchema and annotations (SEMANTICS §1.17): what a model
  or a person decides by. Not covered, because they change nothing of what the tool says it does: icons, `_meta`,
  execution hints. `title` is covered though §1.17 does not name it: hosts show it in place of the name.
* Two entries of one name are refused, even equal ones: which of them a call would reach, nobody could say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from audit.canonical import canonical
from policies.model import Json, JsonObject, ToolDefinition
from proxy.wire import strict_json

PINNED_KEYS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
NAME_CHARS_MAX = 256


class ListingRefused(Exception):
    """What the server listed cannot be taken as an inventory; the message says why."""


def pinned_form(entry: Json) -> JsonObject:
    """The part of a listed tool that is pinned. Raises: ListingRefused."""
    if not isinstance(entry, dict):
        raise ListingRefused("it lists something that is no tool (not an object)")
    name = entry.get("name")
    if not isinstance(name, str) or not name or len(name) > NAME_CHARS_MAX:
        raise ListingRefused(f"it lists a tool without a name of 1 to {NAME_CHARS_MAX} characters")
    for key, kind in (("inputSchema", dict), ("outputSchema", dict), ("annotations", dict), ("description", str)):
        if entry.get(key) is not None and not isinstance(entry[key], kind):
            raise ListingRefused(f"the tool {name[:80]!r} has a {key} that is no {kind.__name__}")
    if not isinstance(entry.get("inputSchema"), dict):
        raise ListingRefused(f"the tool {name[:80]!r} has no inputSchema")
    return {key: entry[key] for key in PINNED_KEYS if entry.get(key) is not None}


def digest(pinned: Mapping[str, Any], *, ignored: frozenset[str] = frozenset()) -> str:
    """sha256 over the canonical form (RFC 8785), which spelling and order of keys do not change.

    `ignored` names parts that may change unseen (`pin: {ignore: [description]}`), but never the name.
    """
    value = {key: part for key, part in pinned.items() if key not in ignored or key == "name"}
    try:
        return hashlib.sha256(canonical(value)).hexdigest()
    except ValueError:
        # Schemas of servers in other languages hold integers beyond 2^53 ("maximum": 18446744073709551615), which RFC
        # 8785 cannot carry. Such a definition is digested in its exact spelling with sorted keys, under a prefix that
        # no canonical form can begin with.
        return hashlib.sha256(b"exact:" + strict_json.write(_sorted(value))).hexdigest()


def definition(pinned: JsonObject, *, drifted: bool, ignored: frozenset[str] = frozenset()) -> ToolDefinition:
    """The pinned form in the words the policies know."""
    return ToolDefinition(
        name=pinned["name"],
        digest=digest(pinned, ignored=ignored),
        input_schema=pinned["inputSchema"],
        output_schema=pinned.get("outputSchema"),
        description=pinned.get("description", ""),
        annotations=pinned.get("annotations", {}),
        drifted=drifted,
    )


def by_name(entries: Iterable[Json]) -> dict[str, JsonObject]:
    """A whole listing, by name. Raises: ListingRefused."""
    listed: dict[str, JsonObject] = {}
    for entry in entries:
        pinned = pinned_form(entry)
        if pinned["name"] in listed:
            raise ListingRefused(f"it lists two tools named {pinned['name'][:80]!r}")
        listed[pinned["name"]] = pinned
    return listed


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
