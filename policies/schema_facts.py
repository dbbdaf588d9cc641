"""`facts` and `classify` of a policy file: definitions that hold for the whole file set (SEMANTICS §1.1, §1.3, §1.4).

Rules of this module:
* A fact may be named in several files; one of them says where it stands (`path`), and all agree on everything they say.
  A name without a path is bound to nothing.
* `type` may be left out: counting gives an `integer`; a sum, a bound or `_above`/`_below` a `number`; otherwise the
  literals rules compare it with say which it is (`fact_types.py`), and if none does, it is a `number`.
* A name that would be mistaken for a criterion, a condition's word or a fact only the gate may make is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from policies import criteria
from policies.classify import ClassifyEntry
from policies.condition import SCALARS
from policies.condition_tokens import FUNCTIONS
from policies.criteria.base import Patterns, read_patterns
from policies.facts import Fact, FactType, Take
from policies.json_path import JsonPath, parse
from policies.model import Oversight, Risk
from policies.not_yet import FACTS_LATER
from policies.patterns import Pattern
from policies.reading import Node, not_yet
from policies.self_reported import SELF_REPORTED

FACT_KEYS = ("path", "tools", "type", "take", "min", "max")
CLASSIFY_KEYS = ("tools", "servers", "methods", "topics", "risk_tags", "risk", "reversible", "oversight")
FACTS_MAX = 200

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_LABEL = re.compile(r"[^\s*?\[\]{},]{1,128}\Z")
_RESERVED = {*criteria.KEYS, *SCALARS, *FUNCTIONS, "args", "result", "true", "false", "null", "in", "default"}


@dataclass(frozen=True, slots=True)
class Definition:
    """A fact as one file defines it; `type` None: not said."""

    node: Node
    name: str
    type: FactType | None
    path: JsonPath | None
    take: Take
    tools: tuple[Pattern, ...] | None
    minimum: int | float | None
    maximum: int | float | None

    @property
    def said(self) -> tuple[object, ...]:
        """What must be the same in two definitions that both say where the fact stands."""
        return (self.type, self.path, self.take, self.tools, self.minimum, self.maximum)


def read_facts(node: Node) -> list[Definition]:
    """The definitions of one file."""
    children = node.mapping(None, "facts") or {}
    if len(children) > FACTS_MAX:
        node.mistake(f"more than {FACTS_MAX} facts")
        return []
    read = [_definition(name, child) for name, child in children.items() if _is_name(name, child)]
    return [definition for definition in read if definition is not None]


def _is_name(name: str, node: Node) -> bool:
    if name in FACTS_LATER:
        node.mistake(not_yet(name, FACTS_LATER[name]), "this name is kept for it", at_key=True)
    elif not _NAME.match(name):
        node.mistake(f"'{name}' cannot name a fact", "a small letter, then small letters, digits and _", at_key=True)
    elif name in _RESERVED or name.endswith(("_above", "_below")) or name.startswith(("sum_", "max_")):
        node.mistake(f"'{name}' means something else in a rule", "choose another name", at_key=True)
    else:
        return True
    return False


def _definition(name: str, node: Node) -> Definition | None:
    children = node.mapping(FACT_KEYS, f"the fact '{name}'")
    if children is None:
        return None
    declared = children["type"].choice(FactType) if "type" in children else None
    take = children["take"].choice(Take) or Take.VALUE if "take" in children else Take.VALUE
    path = _path(children["path"]) if "path" in children else None
    low = children["min"].number() if "min" in children else None
    high = children["max"].number() if "max" in children else None
    tools = read_patterns(children["tools"]) if "tools" in children else None
    if tools is not None and tools.needs_all:
        children["tools"].mistake("a fact's tools are a plain list")
    if "path" not in children:
        for key in ("tools", "take", "min", "max"):
            if key in children:
                children[key].mistake(f"'{key}' without 'path' says nothing", "add the path", at_key=True)
    if low is not None and high is not None and low > high:
        children["max"].mistake("max is under min")
    _check_take(children, take, path, declared)
    declared = declared or _type_of_take(take, low, high)
    if declared in (FactType.STRING, FactType.BOOLEAN) and (low is not None or high is not None):
        node.mistake(f"min and max are for numbers, and '{name}' is {declared.said}")
    return Definition(node, name, declared, path, take, None if tools is None else tools.patterns, low, high)


def _type_of_take(take: Take, low: object, high: object) -> FactType | None:
    if take is Take.COUNT:
        return FactType.INTEGER
    return FactType.NUMBER if take is Take.SUM or low is not None or high is not None else None


def _check_take(children: Mapping[str, Node], take: Take, path: JsonPath | None, declared: FactType | None) -> None:
    if take is Take.VALUE or path is None:
        return
    if all(isinstance(step, str | int) for step in path.steps):
        children["take"].mistake(f"'{take}' of a path that leads to one value", "end it in [*] for the items of a list")
    if take is Take.COUNT and declared not in (None, FactType.INTEGER):
        children["type"].mistake("a count is an integer")
    if take is Take.SUM and declared in (FactType.STRING, FactType.BOOLEAN):
        children["type"].mistake("a sum is a number or an integer")


def _path(node: Node) -> JsonPath | None:
    text = node.text()
    if text is None:
        return None
    try:
        path = parse(text)
    except ValueError as error:
        node.mistake(str(error))
        return None
    if len(path.steps) < 2 or path.steps[0] not in ("args", "input_responses"):
        node.mistake("a fact's path begins with $.args.", "for example $.args.amount")
        return None
    return path


def merge(definitions: Iterable[Definition], gate_facts: Mapping[str, FactType]) -> dict[str, Definition]:
    """One definition per name; notes those that contradict each other."""
    merged: dict[str, Definition] = {}
    for one in definitions:
        if one.name in gate_facts:
            one.node.mistake(f"'{one.name}' is a fact the gate makes", "choose another name", at_key=True)
            continue
        if one.name in SELF_REPORTED:
            one.node.mistake(f"'{one.name}' is what an agent says of itself", "choose another name", at_key=True)
            continue
        other = merged.get(one.name)
        merged[one.name] = one if other is None else _merged(other, one)
    return merged


def _merged(other: Definition, one: Definition) -> Definition:
    file, line, _ = other.node.place
    contradicts = one.type is not None and other.type is not None and one.type is not other.type
    if contradicts or (one.path is not None and other.path is not None and one.said != other.said):
        one.node.mistake(
            f"'{one.name}' is defined otherwise in {file}, line {line}", "a fact has one definition", at_key=True
        )
        return other
    kept = one if one.path is not None else other
    return replace(kept, type=one.type or other.type)


def finished(definition: Definition, found: FactType | None) -> Fact:
    """The fact, its type being what it says, or what rules use it as."""
    return Fact(
        name=definition.name,
        type=definition.type or found or FactType.NUMBER,
        path=definition.path,
        take=definition.take,
        tools=definition.tools,
        minimum=definition.minimum,
        maximum=definition.maximum,
    )


def read_classify(node: Node) -> list[ClassifyEntry]:
    """The entries of one file's `classify`."""
    entries = [_entry(item) for item in node.items("classify") or ()]
    return [entry for entry in entries if entry is not None]


def _entry(node: Node) -> ClassifyEntry | None:
    children = node.mapping(CLASSIFY_KEYS, "classify")
    if children is None:
        return None
    if not {"tools", "servers", "methods"} & set(children):
        node.mistake("an entry that says of no tool what it is", "add 'tools'")
        return None
    if not {"topics", "risk_tags", "risk", "reversible", "oversight"} & set(children):
        node.mistake("an entry without a label", "add topics, risk_tags, risk, reversible or oversight")
        return None
    who: dict[str, Patterns | None] = {
        key: read_patterns(children[key]) for key in ("tools", "servers", "methods") if key in children
    }
    return ClassifyEntry(
        **who,
        topics=_labels(children["topics"]) if "topics" in children else frozenset(),
        risk_tags=_labels(children["risk_tags"], may_be_empty=True) if "risk_tags" in children else None,
        risk=children["risk"].choice(Risk) if "risk" in children else None,
        reversible=children["reversible"].truth() if "reversible" in children else None,
        oversight=children["oversight"].choice(Oversight) if "oversight" in children else None,
        file=node.source.file,
        line=node.place[1],
    )


def _labels(node: Node, *, may_be_empty: bool = False) -> frozenset[str]:
    if node.value == [] and may_be_empty:
        return frozenset()
    items = [node] if isinstance(node.value, str) else node.items(node.name)
    labels = set()
    for item in items or ():
        label = item.text(chars_max=128)
        if label is not None and not _LABEL.match(label):
            item.mistake(f"'{label[:40]}' cannot be a label", "labels are plain words: no blanks, no wildcards")
        elif label is not None:
            labels.add(label)
    return frozenset(labels)
