"""Canonical JSON (RFC 8785): one value, one sequence of bytes. The only importer of `rfc8785`, and of `orjson` here.

Rules of this module:
* Equal values give equal bytes; what RFC 8785 cannot carry exactly is a ValueError, never a rounding.
* The fast path is orjson's sorted output, taken only where it is sure to be the same bytes (keys in ASCII, safe
  integers, fractions that every writer spells alike, built-in types); everything else takes the reference library. A
  property test holds the two together.
* Nesting is bounded, so that no input can exhaust the stack.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson
import rfc8785

DEPTH_MAX = 256

# What is spelled alike by whoever writes it. Integers too: orjson is told to refuse those a double does not carry.
_PLAIN_TYPES = frozenset({str, int, bool, type(None)})
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_SUBCLASS
_FLAT = orjson.OPT_PASSTHROUGH_SUBCLASS
# Doubles that ECMAScript, Python and orjson all write without an exponent, in the same shortest digits.
_SPELLED_ALIKE_MIN, _SPELLED_ALIKE_BELOW = 1e-4, 1e16

_ascii_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of `value`.

    Raises: ValueError for integers beyond 2^53 - 1, NaN and infinities, lone surrogates, keys that are not strings,
    types JSON does not have, and nesting deeper than `DEPTH_MAX`.
    """
    try:
        data = orjson.dumps(value, option=_CANONICAL)
    except TypeError:  # not a plain value, or too deep for orjson
        _refuse_deep(value)
        return rfc8785.dumps(value)
    # That orjson came to an end shows that the value is no deeper than we allow, and does not hold itself.
    if _is_spelled_alike(value) and (data.isascii() or _has_ascii_keys(value)):
        return data
    return rfc8785.dumps(value)


def ascii_json(values: Sequence[object]) -> bytes:
    """A flat list as the standard library's compact ASCII JSON spells it, which does not change between versions.

    Raises: ValueError for NaN and infinities, TypeError for what is not JSON.
    """
    try:
        data = orjson.dumps(values, option=_FLAT)
    except TypeError:
        return _ascii_encode(values).encode("ascii")
    others = [value for value in values if type(value) not in _PLAIN_TYPES]
    if data.isascii() and b"\x7f" not in data and all(map(_is_float_alike, others)):
        return data
    return _ascii_encode(values).encode("ascii")


def _is_spelled_alike(value: Any) -> bool:
    """Whether everything in what orjson wrote is a plain type, and every fraction one that RFC 8785 writes the same."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is dict:
            waiting.extend([child for child in item.values() if type(child) not in _PLAIN_TYPES])
        elif kind is list or kind is tuple:
            waiting.extend([child for child in item if type(child) not in _PLAIN_TYPES])
        elif kind is float:
            # A whole number is written without its ".0" by RFC 8785 alone.
            if not _SPELLED_ALIKE_MIN <= abs(item) < _SPELLED_ALIKE_BELOW or item.is_integer():
                return False
        elif kind not in _PLAIN_TYPES:
            return False
    return True


def _has_ascii_keys(value: Any) -> bool:
    """Other keys sort by UTF-16 code units (RFC 8785 §3.2.3)."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            if not all(map(str.isascii, item)):
                return False
            waiting.extend(item.values())
        elif type(item) is list or type(item) is tuple:
            waiting.extend(item)
    return True


def _is_float_alike(value: Any) -> bool:
    return type(value) is float and _SPELLED_ALIKE_MIN <= abs(value) < _SPELLED_ALIKE_BELOW


def _refuse_deep(value: Any) -> None:
    """Raises: ValueError when nested deeper than `DEPTH_MAX`."""
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list | tuple):
                below.extend(item)
        if not below:
            return
        level = below
    raise ValueError(f"nested deeper than {DEPTH_MAX} levels")
