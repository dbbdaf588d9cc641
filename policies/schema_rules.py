"""`rules` of a policy file, the long form and the short (`tool`, `action`), as `Rule`s (DESIGN §7).

Rules of this module:
* Both forms are one language: `tool: "file.write"` is `match: {tools: ["file.write"]}`, and `action` a decision.
* A rule without `id` is known by its number in the file, from 1.
* What can be seen at load to be never what it says is a mistake at load: an approval in a rule that does not ask, a
  question that approves itself for calls that are not low risk, `when_missing` where it cannot matter, constraints of
  a rule that denies.
* A rule that allows and has constraints is `allow_with_constraints`, whichever of the two its author wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from policies.condition import Condition, compile_condition
from policies.condition_tokens import BadCondition
from policies.constraints import Bound
from policies.criteria import Match, read_match
from policies.criteria.base import Patterns, Scope, read_pattern
from policies.criteria.risk import IsRisk
from policies.criteria.tools import Tools
from policies.facts import Fact
from policies.model import Approval, Effect, OnTimeout, Risk
from policies.not_yet import RULE_LATER
from policies.reading import Node
from policies.schema_approval import read_approval
from policies.schema_constraints import ON_VIOLATION, read_constraints
from policies.schema_oversight import MODELS, effect_of, read_review_after, read_window
from policies.snapshot import Policy, Rule

RULE_KEYS = (
    "id",
    "match",
    "condition",
    "decision",
    "tool",
    "action",
    "reason",
    "agent_message",
    "approval",
    "veto_window_sec",
    "require_review_after",
    "when_missing",
    "constraints",
    "on_violation",
)
DECISIONS = (
    Effect.ALLOW.value,
    Effect.DENY.value,
    Effect.REQUIRE_APPROVAL.value,
    Effect.ALLOW_WITH_CONSTRAINTS.value,
    Effect.ALLOW_UNLESS_VETOED.value,
    *MODELS,
)
ACTIONS = {"allow": Effect.ALLOW, "escalate": Effect.REQUIRE_APPROVAL, "block": Effect.DENY}
DEFAULTS = (Effect.ALLOW.value, Effect.ALLOW_WITH_CONSTRAINTS.value, Effect.REQUIRE_APPROVAL.value)
WHEN_MISSING = ("match", "skip")
AGENT_MESSAGE_CHARS_MAX = 500

_ID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


def read_rules(node: Node, policy: str, facts: dict[str, Fact]) -> tuple[Rule, ...]:
    """The rules of one file, in order."""
    rules: list[Rule] = []
    lines: dict[str, int] = {}
    for number, item in enumerate(node.items("rules") or (), start=1):
        rule = _rule(item, policy, number, facts)
        if rule is None:
            continue
        if rule.id in lines:
            item.mistake(f"a second rule with the id '{rule.id}'", f"the first is in line {lines[rule.id]}")
        lines[rule.id] = rule.line
        rules.append(rule)
    return tuple(rules)


def read_default(node: Node, policy: str) -> Rule | None:
    """What a policy says of a classified call when none of its rules speaks."""
    if node.value == Effect.DENY.value:
        node.mistake("'deny' is what silence means", "leave 'default' out")
        return None
    word = node.word(DEFAULTS)
    if word is None:
        return None
    file, line, column = node.place
    return Rule(
        policy, "default", Effect(word), reason=f"The default of policy {policy}", file=file, line=line, column=column
    )


def _rule(node: Node, policy: str, number: int, facts: dict[str, Fact]) -> Rule | None:
    children = node.mapping(RULE_KEYS, "a rule", later=RULE_LATER)
    if children is None:
        return None
    is_short = "tool" in children or "action" in children
    effect = _short_effect(node, children) if is_short else _effect(node, children)
    rule_id = read_id(children["id"]) if "id" in children else str(number)
    scope = Scope(allowing=effect.is_allowing if effect else False, facts=facts)
    match = _short_match(children) if is_short else _match(children, scope)
    condition = _condition(children["condition"], facts) if "condition" in children else None
    window = read_window(children, effect)
    constraints = _constraints(children, effect, facts)
    asks_on_violation = _asks_on_violation(children, effect)
    approval = _approval(children, Effect.REQUIRE_APPROVAL if asks_on_violation else effect, match, window)
    if constraints and effect is Effect.ALLOW:
        effect = Effect.ALLOW_WITH_CONSTRAINTS
    _check_when_missing(children, effect)
    if effect is None or rule_id is None:
        return None
    _check_self_reported(node, effect, match, condition, facts)
    file, line, column = node.place
    return Rule(
        policy=policy,
        id=rule_id,
        effect=effect,
        match=match,
        condition=condition,
        reason=(children["reason"].text() if "reason" in children else None) or unsaid_reason(policy, rule_id),
        agent_message=children["agent_message"].text(chars_max=AGENT_MESSAGE_CHARS_MAX)
        if "agent_message" in children
        else None,
        approval=approval,
        veto_window_sec=window,
        review_after=read_review_after(children, effect),
        skips_missing="when_missing" in children and children["when_missing"].value == "skip",
        constraints=constraints,
        asks_on_violation=asks_on_violation,
        file=file,
        line=line,
        column=column,
    )


def unsaid_reason(policy: str, rule: str) -> str:
    """The reason of a rule whose author gave none."""
    return f"Rule {rule} of policy {policy}"


def read_id(node: Node) -> str | None:
    """An id: a word with at least one letter, so that it cannot be taken for a number given to a nameless rule."""
    text = node.text(chars_max=100)
    if text is not None and (not _ID.match(text) or text == "default"):
        node.mistake(f"'{text}' cannot be an id", "letters, digits, '.', '_' and '-', with at least one letter")
        return None
    return text


def _effect(node: Node, children: dict[str, Node]) -> Effect | None:
    if "decision" not in children:
        node.mistake("a rule without 'decision'", f"one of {', '.join(DECISIONS)}")
        return None
    word = children["decision"].word(DECISIONS)
    return None if word is None else effect_of(word)


def _short_effect(node: Node, children: dict[str, Node]) -> Effect | None:
    for key, instead in (("match", "tool"), ("decision", "action")):
        if key in children:
            children[key].mistake(f"'{key}' beside the short form '{instead}'", "use one form", at_key=True)
    for key in ("tool", "action"):
        if key not in children:
            node.mistake(f"the short form needs '{key}'", 'for example {tool: "search.web", action: allow}')
            return None
    word = children["action"].word(tuple(ACTIONS))
    return None if word is None else ACTIONS[word]


def _short_match(children: dict[str, Node]) -> Match:
    pattern = read_pattern(children["tool"]) if "tool" in children else None
    return Match() if pattern is None else Match(about_tool=(Tools(Patterns((pattern,))),))


def _match(children: dict[str, Node], scope: Scope) -> Match:
    return (read_match(children["match"], scope) if "match" in children else None) or Match()


def _condition(node: Node, facts: dict[str, Fact]) -> Condition | None:
    text = node.text()
    if text is None:
        return None
    try:
        return compile_condition(text, facts)
    except BadCondition as bad:
        node.mistake(f"in the condition: {bad.message}", bad.hint, offset=bad.at)
        return None


def _approval(children: dict[str, Node], effect: Effect | None, match: Match, window_sec: int) -> Approval | None:
    if "approval" not in children:
        return Approval() if effect is Effect.REQUIRE_APPROVAL else None
    node = children["approval"]
    approval = read_approval(node)
    if effect is not None and effect is not Effect.REQUIRE_APPROVAL and not window_sec:
        node.mistake("an approval in a rule that does not ask", "use 'decision: require_approval'", at_key=True)
    tiers = next((one.wanted for one in match.about_tool if isinstance(one, IsRisk)), frozenset((Risk.LOW,)))
    if approval.on_timeout is OnTimeout.APPROVE and tiers != {Risk.LOW}:
        node.mistake("'on_timeout: approve' in a rule about more than low risk", "use deny or escalate")
    return approval


def _constraints(children: dict[str, Node], effect: Effect | None, facts: dict[str, Fact]) -> tuple[Bound, ...]:
    if "constraints" not in children:
        return ()
    if effect is Effect.DENY:
        children["constraints"].mistake(
            "constraints in a rule that denies", "there is no call to hold to them", at_key=True
        )
    of_calls = {name: fact for name, fact in facts.items() if not fact.by_agent}  # a bound cannot rest on a claim
    return read_constraints(children["constraints"], of_calls)


def _asks_on_violation(children: dict[str, Node], effect: Effect | None) -> bool:
    node = children.get("on_violation")
    if node is None:
        return False
    if "constraints" not in children and effect is not Effect.ALLOW_WITH_CONSTRAINTS:
        node.mistake("'on_violation' in a rule without constraints", "add 'constraints'", at_key=True)
    return node.word(ON_VIOLATION) == "ask"


def _check_self_reported(
    node: Node, effect: Effect, match: Match, condition: Condition | None, facts: Mapping[str, Fact]
) -> None:
    """What an agent says of itself can only tighten (SEMANTICS §1.5, P9)."""
    if not effect.is_allowing:
        return
    read = dict.fromkeys((*match.facts, *(name for name, _ in (condition.facts if condition else ()))))
    for name in read:
        if name in facts and facts[name].by_agent:
            node.mistake(
                f"'{name}' is what the agent says of itself, and this rule allows",
                "let it ask or deny, and another rule allow the rest",
            )


def _check_when_missing(children: dict[str, Node], effect: Effect | None) -> None:
    node = children.get("when_missing")
    if node is None or node.word(WHEN_MISSING) is None:
        return
    if effect is not None and effect.is_allowing:
        node.mistake(
            "'when_missing' in a rule that allows: it never matches by a missing fact", "remove it", at_key=True
        )


def read_policy(children: dict[str, Node], name: str, file: str, facts: dict[str, Fact]) -> Policy:
    """The rules and the default of one file."""
    rules = read_rules(children["rules"], name, facts) if "rules" in children else ()
    default = read_default(children["default"], name) if "default" in children else None
    return Policy(name, file, rules, default)
