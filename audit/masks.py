"""What the record may say about a value instead of the value: a keyed commitment, and a mask that keeps only its shape.

Rules of this module:
* A commitment is HMAC-SHA256 under a secret key: without the key nobody can try out amounts or numbers (traps T27).
* Each context (a call, a path in it) has a key of its own, its *opening*, so that one value can be shown to an auditor
  to be the one committed to, without giving away the means to guess any other; equal values in two contexts differ.
* A mask keeps paths, JSON types and lengths of strings; never a string, a number, or whether a boolean is true.
* Object keys that could hold data rather than name a field are masked like values. Masks are bounded in size.
"""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from typing import Any

from audit.canonical import canonical
from audit.keyed import keyed_digest

MASK_NODES_MAX = 400
MASK_DEPTH_MAX = 16
MASK_ITEMS_MAX = 32  # of one array or object

# A field's name: short, letters and separators, digits only in runs under four. Anything else may be somebody's number.
_FIELD_NAME = re.compile(r"(?=.{1,40}\Z)[A-Za-z_$][A-Za-z_$.\-]*(?:[0-9]{1,3}(?:[A-Za-z_$.\-]+|\Z))*")


@lru_cache(maxsize=256)
def opening(key: bytes, context: str) -> bytes:
    """The key of one context: whoever holds it can check commitments made in that context, and no others."""
    return keyed_digest(key, b"interlock/opening/v1\0" + context.encode("utf-8"))


def commit(key: bytes, value: Any, *, context: str = "") -> str:
    """A commitment to a JSON value, or to exact bytes (tool results, whose numbers RFC 8785 may not carry).

    Raises: ValueError for a value without canonical form.
    """
    return commitment(opening(key, context), value)


def commitment(opened: bytes, value: Any) -> str:
    """The commitment to `value` under an opening, as `commit` makes it: what an auditor recomputes.

    Raises: ValueError for a value without canonical form.
    """
    if isinstance(value, bytes):
        message = b"interlock/commit/v1/bytes\0" + value
    else:
        message = b"interlock/commit/v1/json\0" + canonical(value)
    return "hmac-sha256:" + keyed_digest(opened, message).hex()


def is_commitment_to(stated: str, opened: bytes, value: Any) -> bool:
    """Whether `stated` commits to `value`, compared in constant time. Raises: ValueError as `commitment`."""
    return hmac.compare_digest(stated.encode("utf-8"), commitment(opened, value).encode("ascii"))


def mask(value: Any) -> Any:
    """The shape of a JSON value: same paths, every leaf replaced by its type, strings by their length as well."""
    return _mask(value, MASK_DEPTH_MAX, [MASK_NODES_MAX])


def _mask(value: Any, depth_left: int, nodes_left: list[int]) -> Any:
    nodes_left[0] -= 1
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return f"string({len(value)})"
        case dict():
            if depth_left == 0 or nodes_left[0] <= 0:
                return f"object({len(value)})"
            return _mask_object(value, depth_left - 1, nodes_left)
        case list() | tuple():
            if depth_left == 0 or nodes_left[0] <= 0:
                return f"array({len(value)})"
            return _mask_array(value, depth_left - 1, nodes_left)
        case _:
            return "number"


def _mask_object(value: dict[str, Any], depth_left: int, nodes_left: list[int]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for taken, (key, item) in enumerate(value.items()):
        if taken == MASK_ITEMS_MAX or nodes_left[0] <= 0:
            shown["…"] = f"{len(value) - taken} more"
            break
        # The position keeps masked keys apart; it says nothing that the order of the object does not.
        name = key if _FIELD_NAME.fullmatch(key) else f"‹key {taken + 1}: string({len(key)})›"
        shown[name] = _mask(item, depth_left, nodes_left)
    return shown


def _mask_array(value: list[Any] | tuple[Any, ...], depth_left: int, nodes_left: list[int]) -> list[Any]:
    shown: list[Any] = []
    for taken, item in enumerate(value):
        if taken == MASK_ITEMS_MAX or nodes_left[0] <= 0:
            shown.append(f"… {len(value) - taken} more")
            break
        shown.append(_mask(item, depth_left, nodes_left))
    return shown
