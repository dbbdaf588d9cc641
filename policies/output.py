"""Which output rules hold for a call: `rules_for(call, snapshot) -> OutputRules` (SEMANTICS §1.20).

Rules of this module:
* All matching rules apply. Where several say what to do with one kind of finding, the strictest wins.
* Whatever tightens is applied unless it surely does not match (an error or a missing fact applies it, P10); whatever
  allows is applied only where it surely matches, on a tool that is classified or named, like a rule that allows.
* `same` is resolved here, against the call's arguments. Where they hold no one value to compare with, nothing can be
  the same: every value at the path gets the rule's `else`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from policies.criteria.base import Truth, View, may_hold
from policies.facts import FactReader
from policies.model import Do, FieldRule, Json, OutputRules, SameRule, ToolCall
from policies.patterns import SUBJECT_CHARS_MAX, Naming
from policies.snapshot import ANY_KIND, OutputRule, PolicySnapshot, SameAs, Standing

_STRICTEST_FIRST = (Do.QUARANTINE, Do.REMOVE, Do.REPLACE, Do.MASK, Do.ALLOW)
_NO_RULES = OutputRules()


def rules_for(
    call: ToolCall, snapshot: PolicySnapshot, gate_facts: Mapping[str, Json] | None = None, *, at: datetime
) -> OutputRules:
    """The rules for what comes back from `call`.

    Raises: ValueError if `at` has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a decision needs a time zone")
    if max(len(call.name), len(call.method)) > SUBJECT_CHARS_MAX:
        return OutputRules(always_review=True)  # such a call is denied; were it not, a person would see its output
    if not snapshot.output:
        return _NO_RULES
    profile = snapshot.profile(call.server, call.tool, call.method, call.direction)
    view = View(call, profile.labels, FactReader(call, snapshot.facts, gate_facts or {}), at)
    tightening: list[OutputRule] = []
    allowing: list[OutputRule] = []
    for rule, (strict, lenient) in zip(snapshot.output, profile.output, strict=True):
        if _tightens(rule, strict, view):
            tightening.append(rule)
        if _allows(rule, lenient, view):
            allowing.append(rule)
    detect, default_do = _detect(tightening, allowing)
    same: list[SameRule] = []
    fields = [field for rule in tightening for field in rule.fields]
    for wanted in (one for rule in tightening for one in rule.same):
        resolved = _resolve(wanted, call)
        if isinstance(resolved, SameRule):
            same.append(resolved)
        else:
            fields.append(resolved)
    return OutputRules(
        fields=tuple(fields),
        detect=detect,
        default_do=default_do,
        same=tuple(same),
        always_review=any(rule.always_review for rule in tightening),
        keep_last=min((rule.keep_last for rule in tightening if rule.keep_last is not None), default=4),
        determining=tuple(dict.fromkeys(rule.ref for rule in (*tightening, *allowing))),
    )


def is_as_strict_as(rules: OutputRules, other: OutputRules) -> bool:
    """Whether nothing that `other` holds back or takes out would pass under `rules`."""
    kinds = rules.detect.keys() | other.detect.keys()
    pairs = [(one.detect.get(kind, one.default_do) for one in (rules, other)) for kind in kinds]
    pairs.append(one.default_do for one in (rules, other))
    return (
        rules.always_review >= other.always_review
        and set(rules.fields) >= set(other.fields)
        and all(same in rules.same for same in other.same)
        and rules.keep_last <= other.keep_last
        and all(_STRICTEST_FIRST.index(here) <= _STRICTEST_FIRST.index(there) for here, there in pairs)
    )


def _tightens(rule: OutputRule, standing: Standing, view: View) -> bool:
    """Whether the rule applies where it tightens: unless it surely does not."""
    return standing.why_not is None and may_hold(rule.strict.about_call, view)


def _allows(rule: OutputRule, standing: Standing, view: View) -> bool:
    """Whether the rule applies where it allows: only if it surely does, on a tool it is plain about."""
    call = view.call
    unknown_tool = call.method == "tools/call" and call.definition is None
    if standing.why_not is not None or (unknown_tool and standing.naming is not Naming.LITERALLY):
        return False
    return all(criterion.answer(view, allowing=True).truth is Truth.YES for criterion in rule.lenient.about_call)


def _detect(tightening: Iterable[OutputRule], allowing: Iterable[OutputRule]) -> tuple[dict[str, Do], Do]:
    """What to do per kind, and with kinds no rule names."""
    actions: dict[str, Do] = {}
    spoken = [item for rule in tightening for item in rule.detect.items() if item[1] is not Do.ALLOW]
    spoken += [item for rule in allowing for item in rule.detect.items() if item[1] is Do.ALLOW]
    for kind, do in spoken:
        actions[kind] = min(do, actions.get(kind, do), key=_STRICTEST_FIRST.index)
    return actions, actions.pop(ANY_KIND, Do.REPLACE)


def _resolve(same: SameAs, call: ToolCall) -> SameRule | FieldRule:
    found = same.equals.find({"args": call.arguments})
    if len(found.values) == 1 and not found.gap and not found.misshapen:
        value = found.values[0]
        if value is not None and not isinstance(value, list | dict):
            return SameRule(same.path, value, same.otherwise)
    return FieldRule(same.path, same.otherwise, f"cannot be compared: the call has no one value at {same.equals.text}")
