from __future__ import annotations

from types import MappingProxyType

import pytest

from policies.model import (
    Classification,
    Constraint,
    Decision,
    Effect,
    Risk,
    TraceStep,
)
from review import decisions


def test_a_decision_is_kept_whole_under_the_names_of_its_fields() -> None:
    decision = Decision(
        Effect.REQUIRE_APPROVAL,
        "refunds over 100",
        ("p#ask",),
        "v1:aaaa",
        Classification(True, frozenset({"b", "a"}), frozenset({"write"}), Risk.HIGH, False),
        (TraceStep("p", "ask", True, Effect.REQUIRE_APPROVAL, "amount is 250", MappingProxyType({"amount": 250})),),
        constraints=(Constraint("max_runtime_sec", 60, "p#c"),),
        facts=MappingProxyType({"amount": 250}),
    )
    assert decisions.to_json(decision) == {
        "effect": "require_approval",
        "reason": "refunds over 100",
        "rules": ["p#ask"],
        "snapshot": "v1:aaaa",
        "risk": "high",
        "risk_tags": ["write"],
        "topics": ["a", "b"],
        "reversible": False,
        "classified": True,
        "agent_message": None,
        "facts": {"amount": 250},
        "errors": [],
        "constraints": [{"kind": "max_runtime_sec", "value": 60, "rule": "p#c"}],
        "trace": [
            {
                "policy": "p",
                "rule": "ask",
                "matched": True,
                "effect": "require_approval",
                "why": "amount is 250",
                "facts": {"amount": 250},
                "error": None,
            }
        ],
    }


def _tier(risk: str | None) -> dict[str, object]:
    return {"risk": risk}


@pytest.mark.parametrize(
    ("before", "after", "rose"),
    [
        ("low", "low", False),
        ("low", "medium", True),
        ("medium", "high", True),
        ("high", "low", False),
        ("low", None, True),
        ("high", None, True),
        (None, "high", False),
        (None, None, False),
    ],
)
def test_an_unstated_tier_is_above_every_stated_one(before: str | None, after: str | None, rose: bool) -> None:
    assert decisions.tier_rose(_tier(before), _tier(after)) is rose


@pytest.mark.parametrize("decision", [{}, {"risk": None}, {"risk": "odd", "reversible": "no"}, {"risk": []}])
def test_what_an_older_row_does_not_say_is_unknown(decision: dict[str, object]) -> None:
    assert decisions.risk_of(decision) is None
    assert decisions.is_reversible(decision) is None
    assert decisions.determining(decision) == ()
