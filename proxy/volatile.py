"""Arguments without the parts that change although an agent repeats one and the same call.

Rules of this module:
* Pure. Only the repeat key looks through these eyes: what is judged, shown and sent is always the whole.
* Paths are those of the policy language, over `{"args": …}`: `$.args.request_id`, `$.args.items[*].nonce`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policies.json_path import Deep, Each, Step, parse
from policies.model import JsonObject


def without_volatile(arguments: JsonObject, paths: Sequence[str]) -> JsonObject:
    """A copy with every value at these paths taken out. Raises: ValueError for what is not such a path."""
    root: Any = {"args": arguments}
    for path in paths:
        root = _without(root, parse(path).steps)
    kept = root.get("args", {})
    return kept if isinstance(kept, dict) else {}


def _without(value: Any, steps: Sequence[Step]) -> Any:
    """`value` without what `steps` lead to; parts that no step touches are shared, not copied."""
    if not steps:
        return value
    first, rest = steps[0], steps[1:]
    match first:
        case str() if isinstance(value, dict) and first in value:
            return _drop_key(value, first) if not rest else {**value, first: _without(value[first], rest)}
        case int() if isinstance(value, list) and first < len(value):
            if not rest:
                return value[:first] + value[first + 1 :]
            return [*value[:first], _without(value[first], rest), *value[first + 1 :]]
        case Each.ITEM if isinstance(value, list):
            return [] if not rest else [_without(item, rest) for item in value]
        case Deep(key):
            return _everywhere(value, key)  # `..key` is always a path's last step
        case _:
            return value


def _drop_key(value: JsonObject, key: str) -> JsonObject:
    return {name: item for name, item in value.items() if name != key}


def _everywhere(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _everywhere(item, key) for name, item in value.items() if name != key}
    if isinstance(value, list):
        return [_everywhere(item, key) for item in value]
    return value
