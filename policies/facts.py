"""Facts: named values of a call that rules may use, read from its arguments or given by the gate.

Rules of this module (SEMANTICS §1.4):
* *Unbound* is not *missing*. A fact with `tools:` is bound to those tools; one without, to the tools whose inputSchema
  has its path; one without a path to none. An unbound fact leaves a rule out.
* A bound fact that is absent is MISSING; one that is ambiguous, of another type than declared (a number in a string is
  text), outside `min`/`max` or too large to compare exactly is DOUBT. Both are read strictly by whoever asks.
* `take: count` over an empty list is 0, over an absent path missing. In a `sum` every part must keep to `min` too, so
  a large amount cannot be hidden behind a negative one.
* Tightening only: a fact without `tools:` whose value stands in the arguments although the schema does not declare it
  (or no schema is known) is read for rules that ask or deny, and is unbound for rules that allow.
* Facts the gate makes are never missing; if one was not given, that is an error of ours: DOUBT.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from policies.by_identity import ByIdentity
from policies.input_schema import has_path
from policies.json_path import JsonPath
from policies.model import Json, ToolCall
from policies.patterns import Pattern

EXACT_MAX = 2**53  # beyond it neighbouring whole numbers are one and the same decimal
FACT_CHARS_MAX = 10_000


class FactType(StrEnum):
    NUMBER = "number"
    INTEGER = "integer"
    STRING = "string"
    BOOLEAN = "boolean"

    @property
    def said(self) -> str:
        """The word with its article."""
        return f"an {self.value}" if self is FactType.INTEGER else f"a {self.value}"


class Take(StrEnum):
    """What is taken of the values a path leads to."""

    VALUE = "value"
    COUNT = "count"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact as defined. Without `path` it is only a name, unless the gate makes it (`by_gate`)."""

    name: str
    type: FactType = FactType.NUMBER
    path: JsonPath | None = None
    take: Take = Take.VALUE
    tools: tuple[Pattern, ...] | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    by_gate: bool = False
    by_agent: bool = False  # the agent says it of itself


class State(Enum):
    UNBOUND = "unbound"
    VALUE = "value"
    MISSING = "missing"
    DOUBT = "doubt"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a fact is for one call. `why` never holds a value. `declared` False: only rules that ask or deny read it."""

    state: State
    value: Json = None
    why: str = ""
    declared: bool = True


_UNSAID = Reading(State.MISSING, why="the agent did not say it")
_UNBOUND = Reading(State.UNBOUND, why="not bound to this tool")
_bound_by_schema: ByIdentity[bool] = ByIdentity(entries_max=4_096)


class FactReader:
    """Reads the facts of one call, each at most once."""

    __slots__ = ("_call", "_facts", "_gate_facts", "_readings", "_root")

    def __init__(self, call: ToolCall, facts: Mapping[str, Fact], gate_facts: Mapping[str, Json]) -> None:
        self._call = call
        self._facts = facts
        self._gate_facts = gate_facts
        self._root: dict[str, Any] = {"args": call.arguments, "input_responses": call.input_responses}
        self._readings: dict[str, Reading] = {}

    def read(self, name: str, *, allowing: bool) -> Reading:
        """The fact as a rule that allows (or one that asks or denies) may use it."""
        reading = self._readings.get(name)
        if reading is None:
            reading = self._readings[name] = self._read(self._facts[name])
        return reading if reading.declared or not allowing else _UNBOUND

    def values(self, names: Iterable[str] | None = None) -> dict[str, Json]:
        """The values read so far, of `names` or of all facts."""
        readings = self._readings
        return {
            name: readings[name].value
            for name in (readings if names is None else names)
            if name in readings and readings[name].state is State.VALUE
        }

    def _read(self, fact: Fact) -> Reading:
        if fact.by_gate:
            if fact.name not in self._gate_facts:
                return Reading(State.DOUBT, why="the gate did not give it")
            return _typed(fact, self._gate_facts[fact.name])
        if fact.by_agent:
            said = self._call.self_reported
            return _typed(fact, said[fact.name]) if fact.name in said else _UNSAID
        if fact.path is None:
            return _UNBOUND
        if fact.tools is not None:
            server, tool = self._call.server, self._call.tool
            bound = any(pattern.is_catch_all or pattern.matches_tool(server, tool) for pattern in fact.tools)
            return _taken(fact, fact.path, self._root) if bound else _UNBOUND
        reading = _taken(fact, fact.path, self._root)
        if self._is_declared(fact.path):
            return reading
        if reading.state is State.MISSING:
            return _UNBOUND
        return Reading(reading.state, reading.value, reading.why, declared=False)

    def _is_declared(self, path: JsonPath) -> bool:
        definition = self._call.definition
        if definition is None:
            return False
        schema = definition.input_schema
        return _bound_by_schema.get(schema, lambda: has_path(schema, path), about=path.text)


def _taken(fact: Fact, path: JsonPath, root: Mapping[str, Any]) -> Reading:
    if fact.take is Take.VALUE:
        keys = path.keys
        return _one(fact, path, root) if keys is None else _plain(fact, keys, root)
    if fact.take is Take.COUNT:
        return _count(fact, path, root)
    return _sum(fact, path, root)


def _plain(fact: Fact, keys: tuple[str, ...], root: Mapping[str, Any]) -> Reading:
    """The common path `$.args.a.b`, one lookup after the other."""
    value: Any = root
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return _MISSING
        value = value[key]
    return _typed(fact, value)


_MISSING = Reading(State.MISSING, why="missing in the call")
_MISSHAPEN = Reading(State.DOUBT, why="not a list")


def _one(fact: Fact, path: JsonPath, root: Mapping[str, Any]) -> Reading:
    found = path.find(root)
    if found.misshapen:
        return _MISSHAPEN
    if not found.values:
        return _MISSING
    if len(found.values) > 1 or found.gap:
        return Reading(State.DOUBT, why="ambiguous: its path leads to several values")
    return _typed(fact, found.values[0])


def _count(fact: Fact, path: JsonPath, root: Mapping[str, Any]) -> Reading:
    found = path.find(root)
    if found.misshapen:
        return _MISSHAPEN
    return _MISSING if found.gap else _typed(fact, len(found.values))


def _sum(fact: Fact, path: JsonPath, root: Mapping[str, Any]) -> Reading:
    found = path.find(root)
    if found.misshapen:
        return _MISSHAPEN
    if found.gap:
        return _MISSING
    total: int | float = 0
    for value in found.values:
        part = _typed(Fact(fact.name, fact.type, minimum=fact.minimum), value)
        if part.state is not State.VALUE:
            return part
        assert isinstance(part.value, int | float)
        total += part.value
    return _typed(fact, total)


def _typed(fact: Fact, value: Any) -> Reading:
    match fact.type:
        case FactType.NUMBER | FactType.INTEGER:
            return _number(fact, value)
        case FactType.STRING:
            if not isinstance(value, str):
                return Reading(State.DOUBT, why="not text")
            if len(value) > FACT_CHARS_MAX:
                return Reading(State.DOUBT, why=f"longer than {FACT_CHARS_MAX} characters")
        case FactType.BOOLEAN:
            if not isinstance(value, bool):
                return Reading(State.DOUBT, why="not true or false")
    return Reading(State.VALUE, value)


def _number(fact: Fact, value: Any) -> Reading:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Reading(State.DOUBT, why="not a number")
    if not math.isfinite(value) or abs(value) > EXACT_MAX:
        return Reading(State.DOUBT, why="too large to compare exactly")
    if fact.type is FactType.INTEGER and value != int(value):
        return Reading(State.DOUBT, why="not a whole number")
    if fact.minimum is not None and value < fact.minimum:
        return Reading(State.DOUBT, why=f"under its min of {fact.minimum}")
    if fact.maximum is not None and value > fact.maximum:
        return Reading(State.DOUBT, why=f"over its max of {fact.maximum}")
    return Reading(State.VALUE, value)
