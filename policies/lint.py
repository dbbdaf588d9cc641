"""Advice on a set that loads: rules that can do nothing, or that do other than their author may think.

Rules of this module:
* A warning is about something that is so: a rule said to be unreachable is reached by no call, an allow said to be
  overruled never lets one go (`covering.py`). A note is about what is often not meant.
* Advice never keeps a set from loading, and speaks of the author's own words only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from policies.classify import ClassifyEntry
from policies.constraints import FactCap, said
from policies.covering import cannot_both_match, covers
from policies.criteria.fact import FactAbove, FactBelow, FactIs
from policies.criteria.risk_tags import RiskTags
from policies.facts import Fact
from policies.model import Effect
from policies.pattern_sets import is_tool_within, shared_tool
from policies.patterns import Pattern
from policies.schema_rules import unsaid_reason
from policies.snapshot import Policy, PolicySnapshot, Rule


class Level(StrEnum):
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Advice:
    """One piece of advice. `code` is its kind, a word for programs; `hint` how to mend it."""

    level: Level
    code: str
    file: str
    line: int
    message: str
    hint: str = ""
    rule: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


def lint(snapshot: PolicySnapshot) -> list[Advice]:
    """All advice on a set, by file and line."""
    found: list[Advice] = []
    for policy in snapshot.all_policies:
        found += _unreachable(policy, snapshot.classify)
        found += _overlaps(policy)
        for rule in policy.rules:
            found += _facts(rule, snapshot.facts)
            found += _constraints(rule, snapshot)
            found += _no_reason(rule)
            found += _any_tag(rule)
    found += _overruled(snapshot)
    for entry in snapshot.classify:
        found += _labels(entry)
    return sorted(found, key=lambda one: (one.file, one.line, one.code))


def warnings(snapshot: PolicySnapshot) -> list[Advice]:
    """What is so, without what is only often not meant."""
    return [one for one in lint(snapshot) if one.level is Level.WARNING]


def _about(rule: Rule, code: str, message: str, hint: str = "", level: Level = Level.WARNING) -> Advice:
    return Advice(level, code, rule.file, rule.line, message, hint, rule.ref)


def _unreachable(policy: Policy, classify: Sequence[ClassifyEntry]) -> Iterator[Advice]:
    """Rules that an earlier one of their policy leaves no call. After one that takes every call, the first is named."""
    for place, rule in enumerate(policy.rules):
        wide = next((earlier for earlier in policy.rules[:place] if covers(earlier, rule, classify)), None)
        if wide is None:
            continue
        if not (wide.match.about_tool or wide.match.about_call or wide.condition) and not wide.effect.is_allowing:
            yield _about(rule, "unreachable", f"never tried: rule '{wide.id}' before it matches every call")
            return
        hint = f"line {wide.line} is tried first; move '{rule.id}' before it, or remove one"
        yield _about(
            rule, "unreachable", f"rule '{rule.id}' is never reached: '{wide.id}' matches whatever it does", hint
        )


def _overruled(snapshot: PolicySnapshot) -> Iterator[Advice]:
    """Rules that allow what another policy of the set always asks about or denies."""
    for policy in snapshot.all_policies:
        for rule in policy.rules:
            if not rule.effect.is_allowing or rule.review_after:  # the review is due all the same
                continue
            found = (_overruling(rule, other, snapshot.classify) for other in snapshot.policies)
            stricter = next((one for one in found if one is not None), None)
            if stricter is not None:
                what = f"'{rule.id}' never has its way: {stricter.ref} ({stricter.effect}) matches whatever it does"
                yield _about(rule, "overruled", f"rule {what}", f"see {stricter.file}:{stricter.line}")


def _overruling(rule: Rule, other: Policy, classify: Sequence[ClassifyEntry]) -> Rule | None:
    """The rule by which another policy is stricter whenever `rule` matches."""
    if other.name == rule.policy:
        return None
    for one in other.rules:
        if one.effect.strictness > rule.effect.strictness:
            if covers(one, rule, classify):
                return one
        elif not cannot_both_match(one, rule):
            return None  # it may speak for its policy instead
    return None


def _overlaps(policy: Policy) -> Iterator[Advice]:
    """Globs that share some tools, neither holding the other, with a milder rule first: it takes the shared ones."""
    for early, late in combinations(policy.rules, 2):
        if early.effect.strictness >= late.effect.strictness or cannot_both_match(early, late):
            continue
        for mine, theirs, tool in _shared(early, late):
            message = (
                f"rule '{late.id}' ({late.effect}) shares tools with '{early.id}' ({early.effect}) before it, which "
                f"speaks first: '{theirs.text}' and '{mine.text}' both match {tool}"
            )
            yield _about(late, "overlap", message, f"move '{late.id}' before '{early.id}', or narrow one of them")
            break


def _shared(early: Rule, late: Rule) -> Iterator[tuple[Pattern, Pattern, str]]:
    if early.match.tools is None or late.match.tools is None:
        return
    for mine in early.match.tools.patterns.patterns:
        for theirs in late.match.tools.patterns.patterns:
            if mine.is_literal or theirs.is_literal:
                continue  # one tool by its name is an exception somebody meant
            if is_tool_within(mine.text, theirs.text) or is_tool_within(theirs.text, mine.text):
                continue
            if tool := shared_tool(mine.text, theirs.text):
                yield mine, theirs, tool


def _facts(rule: Rule, facts: Mapping[str, Fact]) -> Iterator[Advice]:
    """Facts that keep a rule from ever matching by them: bound nowhere, or to other tools than the rule is about."""
    needed = _needed(rule)
    for name in rule.facts:
        fact = facts[name]
        if fact.by_gate or fact.by_agent:
            continue
        if fact.path is None:
            yield _about(
                rule,
                "fact-not-bound",
                f"rule '{rule.id}' never matches by '{name}': no file says where it stands",
                f"facts: {{{name}: {{path: $.args.…}}}}",
            )
        elif name in needed and _is_elsewhere(rule, fact):
            bound = ", ".join(pattern.text for pattern in fact.tools or ())
            yield _about(
                rule,
                "fact-of-other-tools",
                f"rule '{rule.id}' never matches: '{name}' is bound to {bound}, and the rule is about none of them",
                f"add the rule's tools to `tools:` of '{name}'",
            )


def _needed(rule: Rule) -> frozenset[str]:
    """The facts without which the rule cannot match: its criteria's, and its condition's unless one may do without."""
    criteria = {one.name for one in rule.match.about_call if isinstance(one, FactAbove | FactBelow | FactIs)}
    read = () if rule.condition is None else tuple(name for name, _ in rule.condition.facts)
    return frozenset(criteria | set(read if rule.effect.is_allowing or len(read) == 1 else ()))


def _is_elsewhere(rule: Rule, fact: Fact) -> bool:
    tools = rule.match.tools
    if tools is None or fact.tools is None:
        return False
    if any(pattern.is_catch_all for pattern in (*fact.tools, *tools.patterns.patterns)):
        return False
    return all(shared_tool(mine.text, bound.text) is None for mine in tools.patterns.patterns for bound in fact.tools)


def _constraints(rule: Rule, snapshot: PolicySnapshot) -> Iterator[Advice]:
    if rule.effect is Effect.ALLOW_WITH_CONSTRAINTS and not rule.constraints:
        usual = ", ".join(f"{bound.kind} {said(bound.value)}" for bound in snapshot.default_constraints)
        yield _about(rule, "no-constraints", f"rule '{rule.id}' has no constraints: held to {usual}")
    for bound in rule.constraints:
        fact = snapshot.facts[bound.check.name] if isinstance(bound.check, FactCap) else None
        if fact is not None and fact.path is None and not (fact.by_gate or fact.by_agent):
            message = f"rule '{rule.id}' never holds a call to {bound.kind}: no file says where '{fact.name}' stands"
            yield _about(rule, "fact-not-bound", message)


def _no_reason(rule: Rule) -> Iterator[Advice]:
    if rule.effect in (Effect.REQUIRE_APPROVAL, Effect.DENY) and rule.reason == unsaid_reason(rule.policy, rule.id):
        who = "reviewers" if rule.effect is Effect.REQUIRE_APPROVAL else "whoever asks why"
        yield _about(rule, "no-reason", f"rule '{rule.id}' gives {who} no reason", "reason: …", Level.NOTE)


def _any_tag(rule: Rule) -> Iterator[Advice]:
    if rule.effect.is_allowing:
        return
    for one in rule.match.about_tool:
        if isinstance(one, RiskTags) and len(one.patterns.patterns) > 1 and not one.patterns.needs_all:
            tags = [pattern.text for pattern in one.patterns.patterns]
            yield _about(
                rule,
                "any-tag",
                f"rule '{rule.id}' matches a tool that has any of {', '.join(tags)}, not only one that has all",
                f"if all are meant: risk_tags: {{all: [{', '.join(tags)}]}}",
                Level.NOTE,
            )


def _labels(entry: ClassifyEntry) -> Iterator[Advice]:
    if entry.risk_tags is None:
        message = "no risk_tags; say which there are, or risk_tags: [] for none"
        yield Advice(Level.WARNING, "no-risk-tags", entry.file, entry.line, message)
    patterns = entry.tools.patterns if entry.tools else ()
    if any(pattern.text in ("*", "**", "*/*", "*/**") for pattern in patterns):
        message = "this classifies every tool of every server, also ones nobody looked at"
        yield Advice(Level.WARNING, "classifies-all", entry.file, entry.line, message)
