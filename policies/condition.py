"""A rule's condition: a CEL expression over flat values. The only importer of the expression engine (trust kernel).

Rules of this module (DESIGN §7, SEMANTICS §1.4, traps T13–T16):
* A condition reads facts by name, and of the call `server`, `tool`, `method`, `agent`, `anonymous`, `direction`, `hour`
  (0–23) and `weekday` (1 is Monday), both UTC. Never the arguments themselves: the engine copies what it is given, can
  be crashed by deep input and would compare anything with anything. What a rule needs of them is bound as a fact.
* Compiled once, at load, and tried there with sample values of the declared types: unknown names and functions, wrong
  types, mixed whole and decimal numbers and results that are not true or false are load errors.
* Every evaluation gets a new context holding only the values it refers to: a reused one would remember the last call.
* Any exception and any result that is not a truth value is an error, and an error is read strictly by the rule (P10).
* A fact that is missing or in doubt is an error before anything is evaluated. An unbound fact leaves the rule out,
  unless the rule asks or denies and its condition is true without it (`amount > 100 OR users > 50`, one of them bound).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from policies.condition_tokens import BadCondition, Use, check, equals, names_in, rewritten, tokens_of, uses
from policies.condition_types import check_types
from policies.criteria.base import YES, Answer, Truth, View
from policies.criteria.fact import unknown
from policies.errors import nearest
from policies.facts import Fact, FactType, State

SCALARS: Mapping[str, FactType] = {
    "server": FactType.STRING,
    "tool": FactType.STRING,
    "method": FactType.STRING,
    "agent": FactType.STRING,
    "anonymous": FactType.BOOLEAN,
    "direction": FactType.STRING,
    "hour": FactType.INTEGER,
    "weekday": FactType.INTEGER,
}

# What the engine is known to raise (traps T15). Anything else is an error of ours and refuses the call at the runner.
ENGINE_ERRORS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)

_SAMPLES: Mapping[FactType, tuple[Any, Any]] = {
    FactType.NUMBER: (1.0, 1_000_000.0),
    FactType.INTEGER: (1, 1_000_000),
    FactType.STRING: ("1", "x"),
    FactType.BOOLEAN: (True, False),
}
_MIXED = "whole and decimal numbers do not mix in arithmetic; a 'number' is decimal (write 2.0), an 'integer' whole"


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled condition. Build it with `compile_condition`."""

    text: str
    facts: tuple[tuple[str, FactType], ...]
    scalars: tuple[str, ...]
    program: Any
    context: Any  # the engine's Context class: importing it costs 0.4 s, so only a file with a condition pays for it

    def answer(self, view: View, *, allowing: bool) -> Answer:
        """Whether the condition holds for the call."""
        values: dict[str, Any] = {name: _scalar(name, view) for name in self.scalars}
        missing = doubt = unbound = None
        for name, declared in self.facts:
            reading = view.facts.read(name, allowing=allowing)
            match reading.state:
                case State.VALUE:
                    values[name] = _as_declared(reading.value, declared)
                case State.MISSING:
                    missing = unknown(name, reading)
                case State.DOUBT:
                    doubt = unknown(name, reading)
                case _:
                    unbound = unknown(name, reading)
        if unbound is not None and allowing:
            return unbound
        return doubt or missing or self._evaluate(values, unbound)

    def _evaluate(self, values: Mapping[str, Any], unbound: Answer | None) -> Answer:
        """Run it. With a fact unbound, what cannot be answered without that fact leaves the rule out."""
        try:
            result = self.program.execute(self.context(variables=values))
        except ENGINE_ERRORS as error:
            if unbound is not None and "Undefined variable" in str(error):
                return unbound
            return Answer(Truth.ERROR, f"the condition failed: {type(error).__name__}")
        if result is True:
            return YES
        if result is False:
            return Answer(Truth.NO, "the condition is false")
        return Answer(Truth.ERROR, "the condition is neither true nor false")


def compile_condition(text: str, facts: Mapping[str, Fact]) -> Condition:
    """A condition ready to run. Raises: BadCondition, with the character where it goes wrong."""
    tokens = tokens_of(text)
    check(tokens)
    names = names_in(tokens)
    for token in tokens:
        if token.text in names and token.text not in facts and token.text not in SCALARS:
            raise BadCondition(f"there is no fact '{token.text}'", token.at, nearest(token.text, (*facts, *SCALARS)))
    types = {name: SCALARS.get(name) or facts[name].type for name in names}
    pairs = [(left, types[right.text]) for left, right in equals(tokens) if right.text in types]
    for use in (*uses(tokens), *(Use(left.text, right, left.at) for left, right in pairs)):
        _check_use(use, types)
    import cel  # 0.4 s and a command line of its own: only where a condition is compiled

    try:
        program = cel.compile(rewritten(text, tokens))
    except ENGINE_ERRORS as error:
        raise _syntax_error(text, error) from error
    check_types(tokens, types)
    compiled = Condition(
        text,
        facts=tuple((name, facts[name].type) for name in names if name in facts),
        scalars=tuple(name for name in names if name not in facts),
        program=program,
        context=cel.Context,
    )
    _try_out(compiled, types)
    return compiled


def _check_use(use: Use, types: Mapping[str, FactType]) -> None:
    declared = types.get(use.name)
    numbers = (FactType.NUMBER, FactType.INTEGER)
    if declared is None or declared is use.type or (declared in numbers and use.type in numbers):
        return
    raise BadCondition(
        f"'{use.name}' is {declared.said} and is compared with {use.type.said}", use.at, "such values are never equal"
    )


def _try_out(compiled: Condition, types: Mapping[str, FactType]) -> None:
    """Run with sample values: what fails on types fails for every call. Failing on a sample's value does not count."""
    for which in (0, 1):
        values = {name: _SAMPLES[kind][which] for name, kind in types.items()}
        try:
            result = compiled.program.execute(compiled.context(variables=values))
        except TypeError as error:
            raise BadCondition("its types do not fit together", 0, _MIXED) from error
        except RuntimeError as error:
            if "not a valid regex" in str(error) or "Undefined" in str(error):
                raise BadCondition(f"it cannot run: {str(error).splitlines()[0]}") from error
        except ENGINE_ERRORS:
            continue
        else:
            if not isinstance(result, bool):
                raise BadCondition("it gives neither true nor false", 0, "compare with something, for example > 100")


def _syntax_error(text: str, error: Exception) -> BadCondition:
    """The engine's message and place: `ERROR: <input>:LINE:COLUMN: Syntax error: …`."""
    found = re.search(r"<input>:(\d+):(\d+): ([^\n]*)", str(error))
    line, column, message = found.groups() if found else ("1", "1", "not a condition")
    before = text.split("\n")[: int(line) - 1]
    return BadCondition(message.split(" expecting ")[0], sum(len(one) + 1 for one in before) + int(column) - 1)


def _as_declared(value: Any, declared: FactType) -> Any:
    """Numbers as the type says, so that arithmetic does not depend on whether an agent wrote 50 or 50.0."""
    if declared is FactType.NUMBER:
        return float(value)
    return int(value) if declared is FactType.INTEGER else value


def _scalar(name: str, view: View) -> Any:
    call = view.call
    match name:
        case "server":
            return call.server
        case "tool":
            return call.tool
        case "method":
            return call.method
        case "agent":
            return call.agent.id
        case "anonymous":
            return call.agent.anonymous
        case "direction":
            return call.direction.value
        case "hour":
            return view.at.astimezone(UTC).hour
        case _:
            return view.at.astimezone(UTC).isoweekday()
