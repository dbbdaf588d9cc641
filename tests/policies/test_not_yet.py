"""Keys of later releases: none of them is read today, and each is a load error that says what it is (P1)."""

from __future__ import annotations

import pytest

from policies import criteria
from policies.gate_facts import GATE_FACTS
from policies.not_yet import (
    APPROVAL_LATER,
    CONSTRAINTS_LATER,
    FACTS_LATER,
    MATCH_LATER,
    RULE_LATER,
    TOP_LATER,
)
from policies.schema import TOP_KEYS
from policies.schema_approval import APPROVAL_KEYS
from policies.schema_constraints import CONSTRAINT_KEYS
from policies.schema_rules import RULE_KEYS
from tests.policies.builders import errors_of


@pytest.mark.parametrize(
    ("later", "now"),
    [
        (TOP_LATER, TOP_KEYS),
        (RULE_LATER, RULE_KEYS),
        (APPROVAL_LATER, APPROVAL_KEYS),
        (CONSTRAINTS_LATER, CONSTRAINT_KEYS),
        (MATCH_LATER, criteria.KEYS),
        (FACTS_LATER, GATE_FACTS),
    ],
)
def test_what_is_enforced_is_not_also_listed_as_coming(later: dict[str, str], now: tuple[str, ...]) -> None:
    assert set(later) & set(now) == set()


@pytest.mark.parametrize("key", sorted(TOP_LATER))
def test_p01_a_file_with_a_later_key_does_not_load(key: str) -> None:
    errors = errors_of(f"{key}: {{}}\nrules: [{{id: a, decision: deny}}]\n")
    assert errors == [
        f"p1.yaml:1:1: '{key}' ({TOP_LATER[key]}) is not enforced by this release,"
        " so a policy that relies on it is refused (remove it)"
    ]


@pytest.mark.parametrize("key", sorted(RULE_LATER))
def test_p01_a_rule_with_a_later_key_does_not_load(key: str) -> None:
    assert f"'{key}' ({RULE_LATER[key]}) is not enforced" in errors_of(f"rules: [{{decision: deny, {key}: 1}}]")[0]


@pytest.mark.parametrize("key", sorted(CONSTRAINTS_LATER))
def test_p01_a_later_constraint_does_not_load(key: str) -> None:
    text = f"rules: [{{decision: allow, constraints: {{{key}amount: 1, {key}: 1}}}}]"
    assert f"'{key}' ({CONSTRAINTS_LATER[key]}) is not enforced" in errors_of(text)[-1]


@pytest.mark.parametrize("key", sorted(APPROVAL_LATER))
def test_p01_an_approval_with_a_later_key_does_not_load(key: str) -> None:
    text = f"rules: [{{decision: require_approval, approval: {{{key}: true}}}}]"
    assert f"'{key}' ({APPROVAL_LATER[key]}) is not enforced" in errors_of(text)[0]


@pytest.mark.parametrize("name", sorted(FACTS_LATER))
def test_p01_a_name_kept_for_a_fact_of_the_gate_cannot_be_taken(name: str) -> None:
    errors = errors_of(f"facts: {{{name}: {{path: $.args.x}}}}")
    assert f"'{name}' ({FACTS_LATER[name]}) is not enforced" in errors[0]
    assert "this name is kept for it" in errors[0]
