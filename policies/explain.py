"""A decision's trace as plain lines of text, for the terminal, the record and reviewers.

Rules of this module:
* Every rule tried has a line, in order: whether it matched, why, and what it read.
* Values come from agents: they are shown as ASCII JSON, cut to a length, so that nothing in them can move a cursor,
  hide or pretend to be a line of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from policies.model import Approval, Classification, Decision, Json, TraceStep

VALUE_CHARS_MAX = 80


def explain(decision: Decision) -> list[str]:
    """The decision in words, a line each."""
    lines = [
        f"{decision.effect}: {_inert(decision.reason)}",
        f"snapshot {decision.snapshot}",
        _labels(decision.classification),
    ]
    if decision.determining:
        lines.append(f"decided by {', '.join(_inert(ref) for ref in decision.determining)}")
    if decision.veto_window_sec is not None:
        lines.append(_window(decision.veto_window_sec))
    if decision.approval is not None:
        lines.append(_approval(decision.approval))
    if decision.review_after:
        lines.append("people look at it afterwards")
    return [*lines, *_steps(decision.trace)]


def _labels(labels: Classification) -> str:
    if not labels.is_classified:
        return "labels: none, the tool is not classified"
    parts = [
        f"topics {', '.join(sorted(labels.topics)) or '-'}",
        f"risk tags {', '.join(sorted(labels.risk_tags)) or '-'}",
        f"risk {labels.risk or 'not stated'}",
        f"reversible {'not stated' if labels.reversible is None else 'yes' if labels.reversible else 'no'}",
        *([f"oversight {labels.oversight}"] if labels.oversight is not None else []),
    ]
    return f"labels: {'; '.join(parts)}"


def _window(sec: int) -> str:
    return f"goes after {sec} s unless it is vetoed" if sec else "goes at once, in sight of the live feed"


def _approval(approval: Approval) -> str:
    teams = ", ".join(f"{approval.quorum.get(team, 1)} of {team}" for team in approval.teams) or "any reviewer"
    return f"asks: {teams}; within {approval.timeout_sec} s, then {approval.unanswered}"


def _steps(trace: tuple[TraceStep, ...]) -> Iterator[str]:
    policy = None
    for step in trace:
        if step.policy != policy:
            policy = step.policy
            yield f"policy {_inert(policy)}"
        mark = "matches" if step.matched else "no match"
        error = " (read strictly)" if step.error else ""
        yield f"  {_inert(step.rule)} [{step.effect}] {mark}: {_inert(step.why)}{error}{_facts(step.facts)}"


def _facts(facts: Mapping[str, Json]) -> str:
    return "".join(f", {name} = {_value(value)}" for name, value in sorted(facts.items()))


def _value(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[:VALUE_CHARS_MAX]}…"


def _inert(text: str) -> str:
    """Text with everything that is not printable shown as its escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
