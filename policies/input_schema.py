"""Does a tool's inputSchema have a place for a path? That is what binds a fact without `tools:` (SEMANTICS §1.4).

Rules of this module:
* A schema is the tool server's word: it is walked with a budget, local `$ref`s only, and cycles end.
* Doubt about a schema is "no": then an allowing rule that needs the fact does not match. That a value is nevertheless
  present in a call is `facts.py`'s business, which reads such a fact for rules that ask or deny.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policies.json_path import Deep, Each, JsonPath, Step

VISITS_MAX = 2_000
DEPTH_MAX = 100

_BRANCHES = ("allOf", "anyOf", "oneOf")
_SINGLE = ("then", "else")


def has_path(schema: Any, path: JsonPath) -> bool:
    """True if the schema of a tool's arguments declares what `path` (which begins `$.args`) leads to."""
    if not path.steps or path.steps[0] != "args":
        return False
    visits = _Visits(schema)
    return visits.reach(schema, path.steps[1:])


class _Visits:
    def __init__(self, root: Any) -> None:
        self.root = root
        self.left = VISITS_MAX
        self.under_way: set[tuple[int, int]] = set()

    def reach(self, schema: Any, steps: tuple[Step, ...]) -> bool:
        if not steps:
            return True
        key = (id(schema), len(steps))
        if not isinstance(schema, dict) or key in self.under_way or self.left <= 0 or len(self.under_way) >= DEPTH_MAX:
            return False
        self.left -= 1
        self.under_way.add(key)
        step, rest = steps[0], steps[1:]
        found = any(self.reach(below, rest) for below in _below(schema, step))
        found = found or any(self.reach(same, steps) for same in self.alternatives(schema))
        if not found and isinstance(step, Deep):
            found = any(self.reach(below, steps) for below in _all_below(schema))
        self.under_way.discard(key)
        return found

    def alternatives(self, schema: dict[str, Any]) -> Iterator[Any]:
        """Schemas that describe the same value."""
        for word in _BRANCHES:
            branches = schema.get(word)
            if isinstance(branches, list):
                yield from branches
        for word in _SINGLE:
            if word in schema:
                yield schema[word]
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#"):
            yield self.local(reference)

    def local(self, reference: str) -> Any:
        """What a local JSON pointer leads to, or None. Anchors and other documents are not followed."""
        here = self.root
        for part in reference.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict):
                here = here.get(name)
            elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
                here = here[int(name)]
            else:
                return None
        return here


def _below(schema: dict[str, Any], step: Step) -> Iterator[Any]:
    properties = schema.get("properties")
    match step:
        case str() | Deep():
            key = step if isinstance(step, str) else step.key
            if isinstance(properties, dict) and key in properties:
                yield properties[key]
        case Each.ITEM if _is_list(schema):
            yield schema.get("items")
        case int() if _is_list(schema):
            prefix = schema.get("prefixItems")
            yield prefix[step] if isinstance(prefix, list) and step < len(prefix) else schema.get("items")


def _is_list(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return (
        "items" in schema or "prefixItems" in schema or kind == "array" or (isinstance(kind, list) and "array" in kind)
    )


def _all_below(schema: dict[str, Any]) -> Iterator[Any]:
    properties = schema.get("properties")
    if isinstance(properties, dict):
        yield from properties.values()
    yield schema.get("items")
    if isinstance(schema.get("prefixItems"), list):
        yield from schema["prefixItems"]
