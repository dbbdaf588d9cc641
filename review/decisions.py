"""A Decision as JSON, the form in which a call keeps it, and the few things reviewers' code reads back from it.

Rules of this module:
* The form is flat where people look (effect, reason, rules, labels), whole where they ask why (trace, facts, errors).
* Enums are their values, sets are sorted lists. Only what JSON has stands in it.
* Reading is tolerant of what is absent (an older row) and strict in meaning: an unknown tier counts as the highest.
"""

from __future__ import annotations

from collections.abc import Mapping

from policies.model import Constraint, Decision, Json, JsonObject, Risk, TraceStep

_TIERS: Mapping[str | None, int] = {Risk.LOW.value: 0, Risk.MEDIUM.value: 1, Risk.HIGH.value: 2, None: 3}


def to_json(decision: Decision, *, is_whole: bool = True) -> JsonObject:
    """The decision, ready for CallRecord.decision. Not whole: without trace and facts read, where nobody is asked.

    What the gate gave is always kept: the call may be judged again, and what is said of it later must be explained.
    """
    labels = decision.classification
    kept: JsonObject = {
        "effect": decision.effect.value,
        "reason": decision.reason,
        "rules": list(decision.determining),
        "snapshot": decision.snapshot,
        "risk": labels.risk.value if labels.risk is not None else None,
        "risk_tags": sorted(labels.risk_tags),
        "topics": sorted(labels.topics),
        "reversible": labels.reversible,
        "classified": labels.is_classified,
        "agent_message": decision.agent_message,
    }
    if decision.gate_facts:
        kept["gate_facts"] = dict(decision.gate_facts)
    if decision.review_after:
        kept["review_after"] = True
    if decision.constraints:
        kept["constraints"] = [{"kind": one.kind, "value": one.value, "rule": one.rule} for one in decision.constraints]
    if decision.self_reported:
        kept["self_reported"] = dict(decision.self_reported)
    if not is_whole:
        return kept  # the rules and the snapshot say why
    return {
        **kept,
        "facts": dict(decision.facts),
        "errors": list(decision.errors),
        "trace": [_step(step) for step in decision.trace],
    }


def _step(step: TraceStep) -> JsonObject:
    return {
        "policy": step.policy,
        "rule": step.rule,
        "matched": step.matched,
        "effect": step.effect.value if step.effect is not None else None,
        "why": step.why,
        "facts": dict(step.facts),
        "error": step.error,
    }


def risk_of(decision: JsonObject) -> Risk | None:
    """The tier the snapshot gives the call, or None when nothing states one."""
    stated = decision.get("risk")
    return Risk(stated) if isinstance(stated, str) and stated in Risk else None


def tier_rose(before: JsonObject, after: JsonObject) -> bool:
    """Whether the second decision's tier is higher; an unstated tier is higher than every stated one."""
    return _TIERS[risk_of(after)] > _TIERS[risk_of(before)]


def is_reversible(decision: JsonObject) -> bool | None:
    stated = decision.get("reversible")
    return stated if isinstance(stated, bool) else None


def gate_facts(decision: JsonObject) -> Mapping[str, Json]:
    """The facts the gate gave when the call was proposed, or last edited."""
    kept: Mapping[str, Json] = decision.get("gate_facts") or {}
    return kept


def wants_review_after(decision: JsonObject) -> bool:
    return decision.get("review_after") is True


def constraints(decision: JsonObject) -> tuple[Constraint, ...]:
    """What the call is held to."""
    return tuple(Constraint(one["kind"], one["value"], one["rule"]) for one in decision.get("constraints", ()))


def self_reported(decision: JsonObject) -> Mapping[str, Json]:
    """What the agent said of itself when it proposed the call."""
    kept: Mapping[str, Json] = decision.get("self_reported") or {}
    return kept


def determining(decision: JsonObject) -> tuple[str, ...]:
    return tuple(decision.get("rules") or ())
