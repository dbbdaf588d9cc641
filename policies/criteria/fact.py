"""Facts as criteria: `<fact>_above: 100`, `<fact>_below: 0.7`, `<fact>: value` or `<fact>: [any, of, these]`.

Rules of this module (SEMANTICS §1.4):
* The value written must be of the fact's declared type, else the file does not load: `port: "22"` beside a number would
  never be equal, and a rule that denies would be dodged by it (traps T13).
* A fact that is not bound to the tool leaves the rule out; one that is missing or in doubt is read strictly.
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.criteria.base import YES, Answer, Scope, Truth, View
from policies.errors import nearest
from policies.facts import Fact, FactType, Reading, State
from policies.reading import Node

ABOVE, BELOW = "_above", "_below"

_TRUTH = {State.UNBOUND: Truth.UNBOUND, State.MISSING: Truth.MISSING, State.DOUBT: Truth.ERROR}


def unknown(name: str, reading: Reading) -> Answer | None:
    """The answer to anything asked of a fact whose value is not known; None if it is known."""
    if reading.state is State.VALUE:
        return None
    return Answer(_TRUTH[reading.state], f"{name}: {reading.why}")


@dataclass(frozen=True, slots=True)
class FactAbove:
    name: str
    bound: int | float

    def answer(self, view: View, *, allowing: bool) -> Answer:
        reading = view.facts.read(self.name, allowing=allowing)
        if (answer := unknown(self.name, reading)) is not None:
            return answer
        assert isinstance(reading.value, int | float)
        return YES if reading.value > self.bound else Answer(Truth.NO, f"{self.name} is not above {self.bound}")


@dataclass(frozen=True, slots=True)
class FactBelow:
    name: str
    bound: int | float

    def answer(self, view: View, *, allowing: bool) -> Answer:
        reading = view.facts.read(self.name, allowing=allowing)
        if (answer := unknown(self.name, reading)) is not None:
            return answer
        assert isinstance(reading.value, int | float)
        return YES if reading.value < self.bound else Answer(Truth.NO, f"{self.name} is not below {self.bound}")


@dataclass(frozen=True, slots=True)
class FactIs:
    name: str
    wanted: tuple[bool | int | float | str, ...]

    def answer(self, view: View, *, allowing: bool) -> Answer:
        reading = view.facts.read(self.name, allowing=allowing)
        if (answer := unknown(self.name, reading)) is not None:
            return answer
        return YES if reading.value in self.wanted else Answer(Truth.NO, f"{self.name} is not what the rule names")


type FactCriterion = FactAbove | FactBelow | FactIs


def split(key: str) -> tuple[str, str]:
    """A match key as fact name and what is asked of it: `_above`, `_below` or nothing."""
    for suffix in (ABOVE, BELOW):
        if key.endswith(suffix):
            return key.removesuffix(suffix), suffix
    return key, ""


def read(node: Node, scope: Scope) -> FactCriterion | None:
    """The criterion of a match key that speaks of a known fact."""
    name, suffix = split(node.name)
    fact = scope.facts[name]
    if not suffix:
        return _read_values(node, fact)
    if fact.type not in (FactType.NUMBER, FactType.INTEGER):
        node.mistake(f"'{node.name}' compares numbers, and the fact '{name}' is {fact.type.said}", at_key=True)
        return None
    bound = node.number()
    if bound is None:
        return None
    return FactAbove(name, bound) if suffix == ABOVE else FactBelow(name, bound)


def _read_values(node: Node, fact: Fact) -> FactIs | None:
    items = node.items(node.name) if isinstance(node.value, list) else [node]
    wanted = [item.value for item in items or () if _fits(item, fact)]
    return FactIs(fact.name, tuple(wanted)) if wanted and len(wanted) == len(items or ()) else None


def _fits(node: Node, fact: Fact) -> bool:
    value = node.value
    match fact.type:
        case FactType.STRING:
            good = isinstance(value, str)
        case FactType.BOOLEAN:
            good = isinstance(value, bool)
        case FactType.NUMBER:
            good = isinstance(value, int | float) and not isinstance(value, bool)
        case FactType.INTEGER:
            good = isinstance(value, int) and not isinstance(value, bool)
    if not good:
        node.mistake(
            f"the fact '{fact.name}' is {fact.type.said}, and this is not",
            f"or say 'type:' where '{fact.name}' is defined",
        )
    return good


def unknown_fact(node: Node, criteria: tuple[str, ...], scope: Scope) -> None:
    """Note a match key that is neither a criterion nor speaks of a known fact."""
    name, suffix = split(node.name)
    facts = [f"{fact}{ending}" for fact in scope.facts for ending in ("", ABOVE, BELOW)]
    what = f"there is no fact '{name}'" if suffix else f"unknown key '{name}' in match"
    node.mistake(what, nearest(node.name, criteria, also=facts), at_key=True)
