"""What a boundary row is: a limit of the documentation, and how to ask the code whether it takes so much.

Rules of this module:
* `takes(n)` uses the product as it is and answers whether `n` of what the limit counts is taken whole; what is too much
  is refused, cut, forgotten or left out, as the documentation says of that limit.
* A limit may be set small for the test, with `at`: a constant is then replaced, and what is a parameter the row sets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One limit. `at` is where it was set for this row; None: where the product has it."""

    limit: str
    takes: Callable[[int], bool | Awaitable[bool]]
    at: int | None = None


def loads(work: Callable[[], Any], error: type[Exception]) -> bool:
    """Whether this runs, or raises what is raised past a limit."""
    with suppress(error):
        work()
        return True
    return False
