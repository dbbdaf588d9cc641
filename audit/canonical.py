"""Canonical JSON (RFC 8785): one value, one sequence of bytes. The only importer of `rfc8785`.

Rules of this module:
* Equal values give equal bytes; what RFC 8785 cannot carry exactly is a ValueError, never a rounding.
* The fast path (keys in ASCII, no floats, safe integers, built-in types) is the standard library's sorted output, which
  is then the same bytes; everything else takes the reference library. A property test holds the two together.
* Nesting is bounded, so that no input can exhaust the stack.
"""

from __future__ import annotations

import json
from typing import Any

import rfc8785

DEPTH_MAX = 256
_INTEGER_MAX = 2**53 - 1  # RFC 8785 §3.2.2.3 by way of RFC 7493 §2.2: what an IEEE 754 double carries exactly

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of `value`.

    Raises: ValueError for integers beyond 2^53 - 1, NaN and infinities, lone surrogates, keys that are not strings,
    types JSON does not have, and nesting deeper than `DEPTH_MAX`.
    """
    if _is_plain(value):
        return _encode(value).encode("utf-8")
    return rfc8785.dumps(value)


def _is_plain(value: Any) -> bool:
    """True if the standard library's sorted output is the canonical form. Raises: ValueError when too deep."""
    level = [value]
    plain = True
    for _ in range(DEPTH_MAX + 1):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str or item is None or kind is bool:
                continue
            if kind is int:
                plain = plain and -_INTEGER_MAX <= item <= _INTEGER_MAX
            elif kind is dict:
                for key in item:
                    # Other keys sort by UTF-16 code units (RFC 8785 §3.2.3), and the standard library turns 1 into "1".
                    if type(key) is not str or not key.isascii():
                        plain = False
                below.extend(item.values())
            elif kind is list or kind is tuple:
                below.extend(item)
            else:
                plain = False  # floats, enumerations and strangers: the reference library decides
        if not below:
            return plain
        level = below
    raise ValueError(f"nested deeper than {DEPTH_MAX} levels")
