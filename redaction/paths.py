"""Where a value stands in a message, and how that is written for people and the record.

Rules of this module:
* A path is a tuple of steps: a key, an index, or an `Inner` step into a document that stands in a string.
* `in_message` gives the JSONPath of the whole message (RFC 9535 notation); a step into a string is written `|$`.
* `in_response` gives the short form of the record, `response.customer_data.ssn`: from where the output begins.
* A key that itself carried something found is written masked: a path never tells what was taken out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from enum import Enum
from functools import lru_cache

PATH_CHARS_MAX = 512


class Inner(Enum):
    """A step into what stands inside a string."""

    JSON = "|$"  # the string is a JSON document
    TEXT = "|text"  # the string is base64 of text


type Step = str | int | Inner
type Path = tuple[Step, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@lru_cache(maxsize=8192)
def normal_name(key: str) -> str:
    """A key without case and separators, so that `ssn`, `SSN` and `s_s_n` are one name to a field rule."""
    return re.sub(r"[\s_.\-]+", "", key).casefold()


def in_message(path: Path, masked_keys: Mapping[str, str]) -> str:
    """The path in the whole message: `$.result.content[0].text|$.ssn`."""
    return _capped("$" + "".join(_written(step, masked_keys) for step in path))


def in_response(path: Path, homes: Collection[Path], masked_keys: Mapping[str, str]) -> str:
    """The path as the record gives it, relative to the first of `homes` (where an output begins) that it passes."""
    start = next((i for i in range(len(path) + 1) if path[:i] in homes), 1 if path[:1] == ("result",) else 0)
    steps = [step for step in path[start:] if not isinstance(step, Inner)]
    return _capped("response" + "".join(_written(step, masked_keys) for step in steps))


def _written(step: Step, masked_keys: Mapping[str, str]) -> str:
    if isinstance(step, Inner):
        return step.value
    if isinstance(step, int):
        return f"[{step}]"
    key = masked_keys.get(step, step)
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(key)}]"


def _capped(written: str) -> str:
    return written if len(written) <= PATH_CHARS_MAX else written[: PATH_CHARS_MAX - 1] + "…"
