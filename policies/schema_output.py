"""`output` of a policy file: what is done to what comes back (SEMANTICS §1.20).

Rules of this module:
* An output rule is matched twice over: as one that tightens (`fields`, `detect` with anything but allow, `always`,
  `same`) and as one that allows (`detect: {KIND: allow}`): doubt and unclassified tools are read strictly in both.
* In `detect`, the kind `"*"` stands for every kind no other line of the matching rules names.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from policies.criteria import Match, read_match
from policies.criteria.base import Scope
from policies.facts import Fact
from policies.json_path import JsonPath, parse
from policies.model import Do, FieldRule
from policies.reading import Node
from policies.schema_rules import read_id
from policies.snapshot import ANY_KIND, OutputRule, SameAs

OUTPUT_KEYS = ("id", "match", "fields", "detect", "always", "same", "keep_last")
FIELD_KEYS = ("path", "do", "reason", "keep_last")
SAME_KEYS = ("path", "as", "else")
KEEP_LAST_MAX = 64

FIELD_ACTIONS = {"replace": Do.REPLACE, "redact": Do.REPLACE, "mask": Do.MASK, "remove": Do.REMOVE}
FIELD_ACTIONS |= {"quarantine": Do.QUARANTINE}
DETECT_ACTIONS = {**FIELD_ACTIONS, "allow": Do.ALLOW}

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}\Z")


def read_output(
    node: Node, policy: str, facts: dict[str, Fact], kinds: Collection[str] | None
) -> tuple[OutputRule, ...]:
    """The output rules of one file. `kinds` None: any kind may be named."""
    rules: list[OutputRule] = []
    for number, item in enumerate(node.items("output") or (), start=1):
        rule = _rule(item, policy, number, facts, kinds)
        if rule is not None and rule.id in {other.id for other in rules}:
            item.mistake(f"a second output rule with the id '{rule.id}'")
        if rule is not None:
            rules.append(rule)
    return tuple(rules)


def _rule(
    node: Node, policy: str, number: int, facts: dict[str, Fact], kinds: Collection[str] | None
) -> OutputRule | None:
    children = node.mapping(OUTPUT_KEYS, "an output rule")
    if children is None:
        return None
    if not {"fields", "detect", "always", "same"} & set(children):
        node.mistake("an output rule that does nothing", "add fields, detect, always or same")
        return None
    strict = _match(children, Scope(allowing=False, facts=facts))
    before = len(node.source.mistakes)
    lenient = _match(children, Scope(allowing=True, facts=facts))
    del node.source.mistakes[before:]  # the same ones again
    if "always" in children:
        children["always"].word(("review",))
    return OutputRule(
        policy=policy,
        id=(read_id(children["id"]) if "id" in children else None) or f"output-{number}",
        strict=strict,
        lenient=lenient,
        fields=_fields(children["fields"]) if "fields" in children else (),
        detect=_detect(children["detect"], kinds) if "detect" in children else {},
        same=_sames(children["same"]) if "same" in children else (),
        always_review="always" in children,
        keep_last=children["keep_last"].whole(0, KEEP_LAST_MAX) if "keep_last" in children else None,
    )


def _match(children: dict[str, Node], scope: Scope) -> Match:
    return (read_match(children["match"], scope) if "match" in children else None) or Match()


def _fields(node: Node) -> tuple[FieldRule, ...]:
    return tuple(field for item in node.items("fields") or () if (field := _field(item)) is not None)


def _field(node: Node) -> FieldRule | None:
    children = node.mapping(FIELD_KEYS, "fields")
    if children is None or not _has(node, children, ("path", "do")):
        return None
    path, do = _path(children["path"]), children["do"].word(tuple(FIELD_ACTIONS))
    keep_last = children["keep_last"].whole(0, KEEP_LAST_MAX) if "keep_last" in children else 4
    reason = children["reason"].text() if "reason" in children else ""
    if path is None or do is None:
        return None
    return FieldRule(path.text, FIELD_ACTIONS[do], reason or "", 4 if keep_last is None else keep_last)


def _detect(node: Node, kinds: Collection[str] | None) -> dict[str, Do]:
    actions: dict[str, Do] = {}
    for kind, child in (node.mapping(None, "detect") or {}).items():
        if kinds is not None and kind != ANY_KIND and kind not in kinds:
            child.unknown_key(kinds, "detect", later={})
        elif kind != ANY_KIND and not _KIND.match(kind):
            child.mistake(f"'{kind[:40]}' cannot be a kind of finding", at_key=True)
        elif (word := child.word(tuple(DETECT_ACTIONS))) is not None:
            actions[kind] = DETECT_ACTIONS[word]
    if node.value == {}:
        node.mistake("an empty detect", "name a kind, for example US_SSN: redact")
    return actions


def _sames(node: Node) -> tuple[SameAs, ...]:
    items = [node] if isinstance(node.value, dict) else node.items("same")
    return tuple(same for item in items or () if (same := _same(item)) is not None)


def _same(node: Node) -> SameAs | None:
    children = node.mapping(SAME_KEYS, "same")
    if children is None or not _has(node, children, ("path", "as")):
        return None
    path, equals = _path(children["path"]), _path(children["as"])
    word = children["else"].word(tuple(FIELD_ACTIONS)) if "else" in children else "quarantine"
    if path is None or equals is None or word is None:
        return None
    if len(equals.steps) < 2 or equals.steps[0] != "args":
        children["as"].mistake("'as' begins with $.args.", "for example $.args.tenant_id")
        return None
    return SameAs(path.text, equals, FIELD_ACTIONS[word])


def _has(node: Node, children: dict[str, Node], keys: tuple[str, ...]) -> bool:
    for key in keys:
        if key not in children:
            node.mistake(f"it lacks '{key}'")
    return all(key in children for key in keys)


def _path(node: Node) -> JsonPath | None:
    text = node.text()
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        node.mistake(str(error))
        return None
