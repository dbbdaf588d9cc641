"""Constraints: what an allowed call is held to, by the gate itself. Checking a call against them, and adding them up.

Rules of this module (SEMANTICS §1.6, §1.8):
* `max_runtime_sec` and `max_response_bytes` hold at the dispatch (`at_dispatch`); all others are judged beforehand.
* Every rule that speaks is held to, whatever its effect, and after approval too. Caps come to the lowest; each list of
  hosts, each pin and each forbidden argument holds beside the others. Two pins that differ deny, whoever asks.
* A violation is one more voice: it denies, or asks where its rule says `on_violation: ask`. What cannot be known is a
  violation. A cap on a fact that is not bound to the tool does not apply, and the trace says so.
* A constraint of a kind that nobody here knows is never let through to a dispatch (P1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from policies.criteria.base import View
from policies.facts import State
from policies.hosts import host_of, hosts_in
from policies.json_path import JsonPath
from policies.model import Constraint, Effect, Json, TraceStep
from policies.patterns import Pattern

if TYPE_CHECKING:
    from policies.combine import Voice

RUNTIME, RESPONSE, HOSTS = "max_runtime_sec", "max_response_bytes", "network_allowlist"
PIN, FORBID = "pin", "forbid"
CAP = "max_"  # with the name of a fact
EGRESS = "egress"
HTTP_TOOL = "http."  # a destination that no operation describes: `<host>/http.<METHOD>`


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found of one call. `why` names keys and the author's own words, never a value."""

    is_broken: bool = False
    applies: bool = True
    why: str = ""


HOLDS = Checked()


class Check(Protocol):
    def look(self, view: View) -> Checked: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """One constraint of one rule, as it is written. `check` None: it holds at the dispatch."""

    kind: str
    value: Json
    check: Check | None = None

    def look(self, view: View) -> Checked:
        return HOLDS if self.check is None else self.check.look(view)


DEFAULTS = (Bound(RUNTIME, 60), Bound(RESPONSE, 1024 * 1024))
"""What `allow_with_constraints` without `constraints` is held to, unless a file has `default_constraints`."""


@dataclass(frozen=True, slots=True)
class FactCap:
    """`max_<fact>`: the fact may come to no more than this."""

    name: str
    most: int | float

    def look(self, view: View) -> Checked:
        reading = view.facts.read(self.name, allowing=False)
        match reading.state:
            case State.UNBOUND:
                return Checked(applies=False, why=f"does not apply: {self.name} is {reading.why}")
            case State.VALUE:
                assert isinstance(reading.value, int | float)
                return HOLDS if reading.value <= self.most else Checked(True, why=f"{self.name} is above it")
            case _:
                return Checked(True, why=f"{self.name} is {reading.why}")


@dataclass(frozen=True, slots=True)
class HostList:
    """`network_allowlist`: every host of the call is one of these. `where` None: hosts may stand anywhere."""

    hosts: tuple[Pattern, ...]
    where: tuple[JsonPath, ...] | None = None

    def look(self, view: View) -> Checked:
        root = _root(view)
        is_known, found = _destination(view)
        if self.where is None:
            found += hosts_in(list(root.values()))
        for path in self.where or ():
            at = path.find(root)
            if at.misshapen:
                return Checked(True, why=f"what stands at {path.text} is not a list")
            found += map(host_of, at.values)
        for host in dict.fromkeys(found):
            if not any(pattern.matches(host) for pattern in self.hosts):
                return Checked(True, why="a host of the call is not in it")
        if not found and not is_known and (self.where is not None or EGRESS in view.labels.risk_tags):
            return Checked(True, why="no host is found in the call")
        return Checked(why="holds, in arguments only")


@dataclass(frozen=True, slots=True)
class Pinned:
    """`pin`: what stands at the path is there, and is this."""

    path: JsonPath
    wanted: Json

    def look(self, view: View) -> Checked:
        found = self.path.find(_root(view))
        if found.gap or found.misshapen or not found.values:
            return Checked(True, why=f"nothing stands at {self.path.text}")
        if all(is_same(value, self.wanted) for value in found.values):
            return HOLDS
        return Checked(True, why=f"what stands at {self.path.text} is not what the rule says")


@dataclass(frozen=True, slots=True)
class Forbidden:
    """`forbid`: nothing stands at the path."""

    path: JsonPath

    def look(self, view: View) -> Checked:
        found = self.path.find(_root(view))
        return Checked(True, why=f"something stands at {self.path.text}") if found.values else HOLDS


def _root(view: View) -> dict[str, Any]:
    return {"args": view.call.arguments, "input_responses": view.call.input_responses}


def _destination(view: View) -> tuple[bool, list[str]]:
    """Whether the call goes to a host by its name, and that host."""
    call = view.call
    is_host = call.tool.startswith(HTTP_TOOL)
    return is_host, [host_of(call.server)] if is_host else []


def is_same(one: Any, other: Any) -> bool:
    """Equal as JSON is: 1 and 1.0 are one number, and `true` is none."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


# -- in a decision ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """What a call is held to, and a voice for each constraint it violates."""

    constraints: tuple[Constraint, ...] = ()
    violations: tuple[Voice, ...] = ()
    trace: tuple[TraceStep, ...] = ()


NOTHING = Held()


def hold(voices: Sequence[Voice], defaults: tuple[Bound, ...], view: View) -> Held:
    """The call held to the constraints of every voice. A call that is denied anyway is held to none."""
    demands = [(voice, bound) for voice in voices for bound in voice.bounds or _usual(voice, defaults)]
    if not demands or any(voice.effect is Effect.DENY for voice in voices):
        return NOTHING
    good: list[tuple[Voice, Bound]] = []
    violations: list[Voice] = []
    trace: list[TraceStep] = []
    pins: dict[str, Json] = {}
    for voice, bound in demands:
        seen, asks = bound.look(view), voice.asks_on_violation
        if isinstance(bound.check, Pinned) and not is_same(
            pins.setdefault(bound.check.path.text, bound.check.wanted), bound.check.wanted
        ):
            seen, asks = Checked(True, why=f"another rule pins {bound.check.path.text} to something else"), False
        policy, _, rule = voice.ref.partition("#")
        effect = voice.effect
        if seen.is_broken:
            effect = Effect.REQUIRE_APPROVAL if asks else Effect.DENY
            violations.append(replace(voice, effect=effect, reason=f"{bound.kind}: {seen.why}"))
        elif seen.applies:
            good.append((voice, bound))
        if seen.why:
            trace.append(TraceStep(policy, rule, seen.is_broken, effect, f"{bound.kind}: {seen.why}"))
    return Held(_tightest(good), tuple(violations), tuple(trace))


def _usual(voice: Voice, defaults: tuple[Bound, ...]) -> tuple[Bound, ...]:
    return defaults if voice.effect is Effect.ALLOW_WITH_CONSTRAINTS else ()


def _tightest(demands: Iterable[tuple[Voice, Bound]]) -> tuple[Constraint, ...]:
    """The lowest of every cap, and each of the others once, with the rules they come from."""
    kept: dict[tuple[str, str], Constraint] = {}
    for voice, bound in demands:
        key = (bound.kind, "" if bound.kind.startswith(CAP) else repr(bound.value))
        before = kept.get(key)
        if before is None or (bound.kind.startswith(CAP) and _number(bound.value) < _number(before.value)):
            kept[key] = Constraint(bound.kind, bound.value, voice.ref)
    return tuple(kept.values())


def _number(value: Json) -> int | float:
    assert isinstance(value, int | float)
    return value


# -- afterwards ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AtDispatch:
    """What is held while the call is at its tool."""

    runtime_sec: int | None = None
    response_bytes: int | None = None


UNBOUNDED = AtDispatch()


def at_dispatch(constraints: Iterable[Constraint]) -> AtDispatch | None:
    """What of these is left to hold at the dispatch. None: one is of a kind that nobody enforces."""
    left: dict[str, int] = {}
    for one in constraints:
        if one.kind in (RUNTIME, RESPONSE) and isinstance(one.value, int):
            left[one.kind] = min(one.value, left.get(one.kind, one.value))
        elif not one.kind.startswith(CAP) and one.kind not in (HOSTS, PIN, FORBID):
            return None
    return AtDispatch(left.get(RUNTIME), left.get(RESPONSE))


def is_no_tighter(now: Iterable[Constraint], then: Sequence[Constraint]) -> bool:
    """Whether each constraint of `now` follows from one of `then` (SEMANTICS §2.3)."""
    return all(any(one.kind == old.kind and _follows(one.value, old.value, one.kind) for old in then) for one in now)


def _follows(value: Json, old: Json, kind: str) -> bool:
    if kind.startswith(CAP):
        return _number(old) <= _number(value)
    if kind == HOSTS:
        return _places(old) == _places(value) and set(_hosts(old)) <= set(_hosts(value))
    return is_same(value, old)


def _hosts(value: Any) -> list[str]:
    return list(value["hosts"] if isinstance(value, dict) else value)


def _places(value: Any) -> list[str] | None:
    return value["in"] if isinstance(value, dict) else None


def said(value: Json) -> str:
    """A constraint's value in words, for people and the record."""
    match value:
        case dict() if set(value) == {"hosts", "in"}:
            return f"{said(value['hosts'])} in {said(value['in'])}"
        case dict():
            return ", ".join(f"{key} = {said(one)}" for key, one in value.items())
        case list():
            return ", ".join(map(said, value))
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case _:
            return str(value)
