"""Work that would hold up everybody else: done in a thread of its own, one piece after the other.

Rules of this module:
* What is heavy is known by looking at no more of a value than it takes to know it.
* One thread: heavy work of several calls queues up behind itself, and the loop shares the interpreter with one at most.
  How much of it can wait is bounded by the admission of requests.
* Only pure work is handed over: whatever may change meanwhile is read on the loop, before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

HEAVY_BYTES_MIN = 64 * 1024
"""From this size on a JSON document is read in the other thread."""

_WEIGHT_MIN = 200_000
_WEIGHT_OF_A_VALUE = 200  # what a number or a member costs to check and to write canonically, in characters of a text

_WEIGHTLESS = frozenset((int, float, bool, type(None)))  # counted with what they stand in

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="heavy")


def is_heavy(value: object) -> bool:
    """Whether judging, hashing or checking this value takes long enough for others to notice."""
    return outweighs(value, _WEIGHT_MIN, of_a_value=_WEIGHT_OF_A_VALUE)


def outweighs(value: object, weight_min: int, *, of_a_value: int) -> bool:
    """Whether the characters of a value's texts and so many for each of its items and members come to that much."""
    weight = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            weight += len(item)
        elif isinstance(item, dict):
            weight += of_a_value * len(item)
            if weight < weight_min:
                weight += sum([len(key) for key in item if isinstance(key, str)])
                waiting += [child for child in item.values() if type(child) not in _WEIGHTLESS]
        elif isinstance(item, (list, tuple)):
            weight += of_a_value * len(item)
            if weight < weight_min:
                waiting += [child for child in item if type(child) not in _WEIGHTLESS]
        if weight >= weight_min:
            return True
    return False


async def away[T](work: Callable[[], T]) -> T:
    """Do this in the other thread. Raises: whatever it raises."""
    return await asyncio.get_running_loop().run_in_executor(_thread, copy_context().run, work)
