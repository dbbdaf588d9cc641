"""`audit` of a policy file: sampling, what is always judged, and who judges (SEMANTICS §1.13, §1.14)."""

from __future__ import annotations

import re

from policies.criteria import read_match
from policies.criteria.base import Patterns, Scope, read_pattern
from policies.facts import Fact
from policies.reading import Node
from policies.sampling import ACTIONS, DEFAULT, Mandatory, SamplingPlan, Strategy, Weight

AUDIT_KEYS = ("sampling", "mandatory", "routing")
SAMPLING_KEYS = ("rate", "strategy", "weights")
WEIGHT_KEYS = ("risk_tags", "topics")
WEIGHT_MAX = 1_000
RATE_MIN = 0.000_001

_TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def read_audit(node: Node, policy: str, facts: dict[str, Fact]) -> SamplingPlan | None:
    """The plan of one file, or None after noting what is wrong."""
    children = node.mapping(AUDIT_KEYS, "audit")
    if children is None:
        return None
    if not {"sampling", "mandatory"} & set(children):
        node.mistake("an audit that judges nothing", "add sampling or mandatory")
        return None
    rate, strategy = 0.0, Strategy.STRATIFIED
    weights: tuple[Weight, ...] = ()
    if "sampling" in children:
        rate, strategy, weights = _sampling(children["sampling"])
    mandatory = (
        [_mandatory(item, facts) for item in children["mandatory"].items("mandatory") or ()]
        if ("mandatory" in children)
        else []
    )
    routing = read_routing(children["routing"]) if "routing" in children else {}
    return SamplingPlan(policy, rate, strategy, weights, tuple(one for one in mandatory if one is not None), routing)


def _sampling(node: Node) -> tuple[float, Strategy, tuple[Weight, ...]]:
    children = node.mapping(SAMPLING_KEYS, "sampling") or {}
    rate = 0.0
    if "rate" not in children:
        node.mistake("sampling without 'rate'", "a share of calls, for example rate: 0.1")
    elif (said := children["rate"].number()) is not None:
        rate = float(said)
        if not RATE_MIN <= rate <= 1:
            children["rate"].mistake(f"rate must be between {RATE_MIN:f} and 1", "0.1 is one call in ten")
    strategy = children["strategy"].choice(Strategy) if "strategy" in children else None
    weights = tuple(_weights(children["weights"])) if "weights" in children else ()
    if strategy is None:
        strategy = Strategy.STRATIFIED if weights else Strategy.UNIFORM
    if weights and strategy is not Strategy.STRATIFIED:
        children["weights"].mistake(f"weights have no effect where the strategy is {strategy}", at_key=True)
    return rate, strategy, weights


def _weights(node: Node) -> list[Weight]:
    found: list[Weight] = []
    for key, below in (node.mapping(WEIGHT_KEYS, "weights") or {}).items():
        for label, child in (below.mapping(None, key) or {}).items():
            weight, pattern = child.number(), read_pattern(Node(label, child.source, child.path))
            if weight is None or pattern is None:
                continue
            if not 0 <= weight <= WEIGHT_MAX:
                child.mistake(f"a weight is between 0 and {WEIGHT_MAX}")
            found.append(Weight(key, Patterns((pattern,)), float(weight)))
    if node.value == {}:
        node.mistake("empty weights", "leave them out, or say risk_tags: {prod: 3.0}")
    return found


def _mandatory(node: Node, facts: dict[str, Fact]) -> Mandatory | None:
    children = node.mapping(("match",), "an item of mandatory")
    if children is None:
        return None
    if "match" not in children:
        node.mistake("an item of mandatory without 'match'", "for example match: {amount_usd_above: 5000}")
        return None
    match = read_match(children["match"], Scope(allowing=False, facts=facts))
    return None if match is None else Mandatory(match, node.place[1])


def read_routing(node: Node) -> dict[str, str]:
    """Teams by risk tag (`<tag>_actions`) and `default`."""
    routing: dict[str, str] = {}
    for key, child in (node.mapping(None, "routing") or {}).items():
        if key != DEFAULT and not (key.endswith(ACTIONS) and key.removesuffix(ACTIONS)):
            child.mistake(f"unknown key '{key}' in routing", "<risk tag>_actions or default", at_key=True)
            continue
        team = child.text(chars_max=100)
        if team is not None and not _TEAM.match(team):
            child.mistake(f"'{team}' cannot name a team", "letters, digits and . _ -")
        elif team is not None:
            routing[key] = team
    if node.value == {}:
        node.mistake("an empty routing", "name a team, for example default: ops-review")
    return routing
