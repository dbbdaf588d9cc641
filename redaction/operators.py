"""What is done to something found: replaced, masked, or its field removed.

Rules of this module:
* The strictest wins: quarantine, then remove, replace, mask, allow.
* Doing it twice is doing it once: the result of an operator is left alone by the same operator.
* A mask shows the last characters only where it hides at least as many; otherwise it hides all.
* A number that is redacted becomes a string; whether a tool's outputSchema allows that is checked by the caller.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Literal

from policies.model import Do

REDACTED = "[REDACTED]"
MASK_CHARS_MAX = 32

ACTIONS: dict[Do, str] = {
    Do.REPLACE: "replaced with [REDACTED]",
    Do.REMOVE: "field removed",
    Do.MASK: "masked",
}

_MILD_TO_STRICT = (Do.ALLOW, Do.MASK, Do.REPLACE, Do.REMOVE, Do.QUARANTINE)


class Removed(Enum):
    """The mark that a field goes altogether."""

    REMOVED = "removed"


REMOVED: Final = Removed.REMOVED
type Edited = Any | Literal[Removed.REMOVED]


def strictest(*deeds: Do) -> Do:
    """The strictest of several things to do (SEMANTICS §1.20)."""
    return max(deeds, key=_MILD_TO_STRICT.index)


def mask(text: str, keep_last: int) -> str:
    """Stars for all but the last `keep_last` characters, or for all where that would show more than it hides."""
    keep = keep_last if 0 < keep_last <= len(text) // 2 else 0
    stars = "*" * min(len(text) - keep, MASK_CHARS_MAX)
    return stars + text[len(text) - keep :]


def on_text(text: str, do: Do, keep_last: int) -> str:
    """Some characters of a text, redacted. A part of a text cannot be removed as a field can: it is replaced."""
    return mask(text, keep_last) if do is Do.MASK else REDACTED


def on_value(value: Any, do: Do, keep_last: int) -> Edited:
    """A whole value, redacted. Null stays: it holds nothing."""
    if value is None:
        return REMOVED if do is Do.REMOVE else None
    if do is Do.REMOVE:
        return REMOVED
    if do is Do.MASK and isinstance(value, str):
        return value if value == REDACTED else mask(value, keep_last)
    if do is Do.MASK and isinstance(value, (int, float)) and not isinstance(value, bool):
        return mask(number_text(value), keep_last)
    return REDACTED


def number_text(value: float) -> str:
    """A number as it was spelled, where its reader kept the spelling, else as Python writes it."""
    return str(getattr(value, "spelling", None) or repr(value))
