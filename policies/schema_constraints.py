"""`constraints` of a rule, and `default_constraints` of a set, as bounds (SEMANTICS §1.8).

Rules of this module:
* A constraint that nobody could enforce does not load: a key nobody knows, a cap on what is no number, a path that
  leads nowhere in a call, a pattern that would let through hosts its author did not mean.
* `max_runtime_sec` and `max_response_bytes` are the gate's own words; every other `max_<fact>` is a cap on that fact.
"""

from __future__ import annotations

from collections.abc import Mapping

from policies.constraints import (
    CAP,
    FORBID,
    HOSTS,
    PIN,
    RESPONSE,
    RUNTIME,
    Bound,
    FactCap,
    Forbidden,
    HostList,
    Pinned,
)
from policies.criteria.base import read_pattern
from policies.errors import nearest
from policies.facts import Fact, FactType
from policies.hosts import host_of
from policies.json_path import JsonPath, parse
from policies.model import Json
from policies.not_yet import CONSTRAINTS_LATER
from policies.patterns import Pattern
from policies.reading import Node, not_yet

CONSTRAINT_KEYS = (RUNTIME, RESPONSE, HOSTS, PIN, FORBID)
ALLOWLIST_KEYS = ("hosts", "in")
ON_VIOLATION = ("deny", "ask")
RUNTIME_SEC_MAX = 86_400
RESPONSE_BYTES_MAX = 64 * 1024 * 1024

_ROOTS = ("args", "input_responses")


def read_constraints(node: Node, facts: Mapping[str, Fact]) -> tuple[Bound, ...]:
    """The constraints of one rule."""
    children = node.mapping(None, node.name)
    if children is None:
        return ()
    if not children:
        node.mistake(f"{node.name} without any constraint", "leave the key out, or say what holds")
    bounds: list[Bound] = []
    for key, child in children.items():
        match key:
            case "max_runtime_sec":
                bounds += _whole(child, RUNTIME_SEC_MAX)
            case "max_response_bytes":
                bounds += _whole(child, RESPONSE_BYTES_MAX)
            case "network_allowlist":
                bounds += _hosts(child)
            case "pin":
                bounds += _pins(child)
            case "forbid":
                bounds += [Bound(FORBID, path.text, Forbidden(path)) for path in _paths(child)]
            case _:
                bounds += _cap(child, str(key), facts)
    return tuple(bounds)


def _whole(node: Node, most: int) -> list[Bound]:
    value = node.whole(1, most)
    return [] if value is None else [Bound(node.name, value)]


def _cap(node: Node, key: str, facts: Mapping[str, Fact]) -> list[Bound]:
    for later, what in CONSTRAINTS_LATER.items():
        if key == later or (later.endswith("_") and key.startswith(later)):
            node.mistake(not_yet(key, what), "remove it", at_key=True)
            return []
    fact = facts.get(key.removeprefix(CAP)) if key.startswith(CAP) else None
    if fact is None:
        caps = [f"{CAP}{name}" for name, one in facts.items() if _is_number(one)]
        node.mistake(f"no constraint is called '{key}'", nearest(key, CONSTRAINT_KEYS, also=caps), at_key=True)
        return []
    if not _is_number(fact):
        node.mistake(f"'{key}' caps a number, and the fact '{fact.name}' is {fact.type.said}", at_key=True)
        return []
    most = node.number()
    return [] if most is None else [Bound(key, most, FactCap(fact.name, most))]


def _is_number(fact: Fact) -> bool:
    return fact.type in (FactType.NUMBER, FactType.INTEGER)


def _hosts(node: Node) -> list[Bound]:
    if not isinstance(node.value, dict):
        patterns = _patterns(node)
        return [Bound(HOSTS, _texts(patterns), HostList(patterns))] if patterns else []
    children = node.mapping(ALLOWLIST_KEYS, HOSTS) or {}
    for key in ALLOWLIST_KEYS:
        if key not in children:
            node.mistake(f"{HOSTS} as a map needs '{key}'", "write {hosts: [api.example.com], in: [$.args.url]}")
            return []
    patterns, paths = _patterns(children["hosts"]), _paths(children["in"])
    if not patterns or not paths:
        return []
    value: dict[str, Json] = {"hosts": _texts(patterns), "in": [path.text for path in paths]}
    return [Bound(HOSTS, value, HostList(patterns, paths))]


def _texts(patterns: tuple[Pattern, ...]) -> list[Json]:
    return [pattern.text for pattern in patterns]


def _patterns(node: Node) -> tuple[Pattern, ...]:
    """The hosts of a list; none if there is a mistake in it."""
    items = node.items(node.name) or []
    good = [pattern for item in items if (pattern := _host_pattern(item)) is not None]
    return tuple(good) if len(good) == len(items) else ()


def _host_pattern(node: Node) -> Pattern | None:
    pattern = read_pattern(node)
    if pattern is None:
        return None
    text = pattern.text
    # A pattern is a host with labels that may vary: anything else (a URL, a port, letters of another case or script)
    # would never match, and the last two labels say whose host it is.
    if host_of(text.replace("*", "x")) != text.replace("*", "x") or not text.isascii():
        node.mistake(f"'{text}' is no host", "a name or an address in small letters, without scheme, port and path")
        return None
    if any("*" in label for label in text.split(".")[-2:]):
        node.mistake(f"'{text}' lets through hosts of anybody", "write the last two labels in full: *.example.com")
        return None
    return pattern


def _pins(node: Node) -> list[Bound]:
    children = node.mapping(None, PIN) or {}
    if not children and isinstance(node.value, dict):
        node.mistake(f"{PIN} without any argument", "write pin: {$.args.region: eu}")
    bounds = []
    for key, child in children.items():
        path = _path(child, str(key), at_key=True)
        if path is not None:
            bounds.append(Bound(PIN, {path.text: child.value}, Pinned(path, child.value)))
    return bounds


def _paths(node: Node) -> tuple[JsonPath, ...]:
    """The paths of a list; none if there is a mistake in it."""
    items = node.items(node.name) or []
    found = [_path(item, item.value) for item in items]
    good = [path for path in found if path is not None]
    return tuple(good) if len(good) == len(items) else ()


def _path(node: Node, text: object, *, at_key: bool = False) -> JsonPath | None:
    hint = "a path into the call, for example $.args.url"
    if not isinstance(text, str):
        node.mistake(f"{node.name} is no path", hint)
        return None
    try:
        path = parse(text)
    except ValueError as error:
        node.mistake(f"'{text}': {error}", hint, at_key=at_key)
        return None
    if len(path.steps) < 2 or path.steps[0] not in _ROOTS:
        node.mistake(f"'{text}' leads to no argument", hint, at_key=at_key)
        return None
    return path
