"""What policies may know of a call beside the call itself: the facts the gate makes, from all who make them.

Rules of this module:
* A source answers from memory, at once, in microseconds: it is asked for every call. What it knows it keeps current by
  itself, and durable by itself.
* Each fact has one source; `policies/gate_facts.py` says which facts there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from policies.model import Json, ToolCall

type FactSource = Callable[[ToolCall], Mapping[str, Json]]


class GateFacts:
    """All sources as one."""

    def __init__(self, *sources: FactSource) -> None:
        self._sources = sources

    def __call__(self, call: ToolCall) -> dict[str, Json]:
        facts: dict[str, Json] = {}
        for source in self._sources:
            facts |= source(call)
        return facts
