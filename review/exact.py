"""JSON text in which every number stands as it was sent, for showing, editing and digesting what tools and agents said.

Rules of this module:
* Key order is kept. The strict reader's numbers bring their spelling with them (`1.10`, `1e5`); it is written back.
* Only what JSON has can be written; anything else is a TypeError, for it is a fault of ours.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any


def text(value: Any, *, indent: int = 0) -> str:
    """The value as JSON text: compact, or on lines indented by `indent` spaces a level."""
    return _written(value, indent, 0)


def number(value: float) -> str:
    """A number as it was spelled. Raises: ValueError for NaN and infinities."""
    spelling = getattr(value, "spelling", None)
    if isinstance(spelling, str):
        return spelling
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("JSON has no NaN and no infinities")
    return repr(value)


def _written(value: Any, indent: int, depth: int) -> str:
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return number(value)
        case dict():
            members = [
                f"{_key(key)}:{' ' if indent else ''}{_written(item, indent, depth + 1)}" for key, item in value.items()
            ]
            return _enclosed("{", members, "}", indent, depth)
        case list() | tuple():
            return _enclosed("[", [_written(item, indent, depth + 1) for item in value], "]", indent, depth)
        case _:
            raise TypeError(f"JSON has no {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a JSON key is text, not {type(key).__name__}")
    return json.dumps(key, ensure_ascii=False)


def _enclosed(opening: str, parts: list[str], closing: str, indent: int, depth: int) -> str:
    if not parts or not indent:
        return opening + ",".join(parts) + closing
    inner, outer = "\n" + " " * indent * (depth + 1), "\n" + " " * indent * depth
    return opening + inner + ("," + inner).join(parts) + outer + closing
