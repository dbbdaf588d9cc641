"""`autonomy_levels`, `promotion_criteria` and `demotion_triggers` of a policy file, as `Autonomy` (SEMANTICS §1.12).

Rules of this module:
* Levels are `level_0`, `level_1` … without a gap; each has a `name` and `rules`, which are read as any file's.
* A set has one ladder: the three keys stand in one file, and in no second one.
* `demotion_triggers` left out means `policy_violation` and `safety_incident`: a ladder that only goes up must be said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from policies.autonomy import PERIOD_DAYS_MAX, SUCCESSES_MAX, Autonomy, Demotion, Promotion
from policies.facts import Fact
from policies.reading import Node
from policies.schema_rules import read_rules
from policies.snapshot import Policy

AUTONOMY_KEYS = ("autonomy_levels", "promotion_criteria", "demotion_triggers")
LEVEL_KEYS = ("name", "rules")
PROMOTION_KEYS = ("min_successful_actions", "max_error_rate", "review_period_days", "requires_human_sign_off")
TRIGGERS = ("policy_violation", "safety_incident")
RATE_TRIGGER = "error_rate_above"
LEVELS_MAX = 20
LEVEL_NAME_CHARS_MAX = 100

_LEVEL = re.compile(r"level_(0|[1-9][0-9]?)\Z")


def read_autonomy(children: Mapping[str, Node], policy: str, file: str, facts: dict[str, Fact]) -> Autonomy | None:
    """The ladder of one file, or None if it has none (or after noting what is wrong)."""
    if "autonomy_levels" not in children:
        for key in AUTONOMY_KEYS[1:]:
            if key in children:
                children[key].mistake(f"'{key}' without levels says nothing", "add 'autonomy_levels'", at_key=True)
        return None
    levels = _levels(children["autonomy_levels"], policy, file, facts)
    promotion = _promotion(children["promotion_criteria"]) if "promotion_criteria" in children else None
    demotion = _demotion(children["demotion_triggers"]) if "demotion_triggers" in children else Demotion()
    if not levels:
        return None
    return Autonomy(tuple(one for one, _ in levels), tuple(name for _, name in levels), promotion, demotion)


def _levels(node: Node, policy: str, file: str, facts: dict[str, Fact]) -> list[tuple[Policy, str]]:
    children = node.mapping(None, "autonomy_levels") or {}
    if not children:
        node.mistake("autonomy_levels needs at least level_0")
        return []
    numbers: dict[int, Node] = {}
    for key, child in children.items():
        found = _LEVEL.match(key)
        if found is None:
            child.mistake(f"'{key}' cannot name a level", "level_0, level_1, level_2 …", at_key=True)
        else:
            numbers[int(found[1])] = child
    if sorted(numbers) != list(range(len(numbers))):
        node.mistake("the levels have a gap", "level_0, level_1, level_2 … with none left out", at_key=True)
        return []
    if len(numbers) > LEVELS_MAX:
        node.mistake(f"more than {LEVELS_MAX} levels", at_key=True)
        return []
    return [_level(numbers[number], number, policy, file, facts) for number in sorted(numbers)]


def _level(node: Node, number: int, policy: str, file: str, facts: dict[str, Fact]) -> tuple[Policy, str]:
    children = node.mapping(LEVEL_KEYS, "a level") or {}
    name = (children["name"].text(chars_max=LEVEL_NAME_CHARS_MAX) if "name" in children else None) or f"level {number}"
    if "rules" not in children:
        node.mistake("a level without rules", "add 'rules'", at_key=True)
        return Policy("", file), name
    called = f"{policy}:level_{number}"
    return Policy(called, file, read_rules(children["rules"], called, facts)), name


def _promotion(node: Node) -> Promotion | None:
    children = node.mapping(PROMOTION_KEYS, "promotion_criteria")
    if children is None:
        return None
    if not children:
        node.mistake("promotion_criteria that say nothing", "add 'min_successful_actions'")
    usual = Promotion()
    actions, days = (
        children[key].whole(1, most) if key in children else default
        for key, most, default in (
            ("min_successful_actions", SUCCESSES_MAX, usual.min_successful_actions),
            ("review_period_days", PERIOD_DAYS_MAX, usual.review_period_days),
        )
    )
    rate = _rate(children["max_error_rate"]) if "max_error_rate" in children else usual.max_error_rate
    signed = children["requires_human_sign_off"].truth() if "requires_human_sign_off" in children else True
    return Promotion(
        actions or usual.min_successful_actions,
        usual.max_error_rate if rate is None else rate,
        days or usual.review_period_days,
        signed is not False,
    )


def _demotion(node: Node) -> Demotion:
    words: set[str] = set()
    rate: float | None = None
    for item in node.items("demotion_triggers") or ():
        if isinstance(item.value, dict):
            children = item.mapping((RATE_TRIGGER,), "a demotion trigger") or {}
            if RATE_TRIGGER in children:
                rate = _rate(children[RATE_TRIGGER])
        elif (word := item.word(TRIGGERS)) is not None:
            words.add(word)
    return Demotion("policy_violation" in words, "safety_incident" in words, rate)


def _rate(node: Node) -> float | None:
    """A share of calls, above 0 (which no rate is strictly below) and up to 1."""
    value = node.number()
    if value is not None and not 0 < value <= 1:
        node.mistake(f"{node.name} is a share of calls: above 0 and at most 1", "for example 0.02")
        return None
    return None if value is None else float(value)
