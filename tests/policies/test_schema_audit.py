"""`audit` as written: sampling, mandatory, routing, and what cannot be meant."""

from __future__ import annotations

import pytest

from policies.facts import FactType
from policies.sampling import SamplingPlan, Strategy
from tests.policies.builders import errors_of, snapshot

SEED = """
    audit:
      sampling:
        rate: 0.10
        strategy: stratified
        weights:
          risk_tags:
            prod: 3.0
            write: 2.0
            read: 0.5
      mandatory:
        - match: { amount_usd_above: 5000 }
        - match: { affected_users_above: 100 }
        - match: { first_time_action: true }
      routing:
        security_actions: security-team
        financial_actions: finance-approvers
        default: ops-review
"""
MADE_BY_THE_GATE = {"first_time_action": FactType.BOOLEAN}


def plan(text: str) -> SamplingPlan:
    return snapshot(text, gate_facts=MADE_BY_THE_GATE).sampling[0]


def test_the_shape_of_the_seed_is_read() -> None:
    read = plan(SEED)
    assert (read.policy, read.rate, read.strategy) == ("p1.yaml", 0.1, Strategy.STRATIFIED)
    assert [(one.key, str(one.labels), one.weight) for one in read.weights] == [
        ("risk_tags", "prod", 3.0),
        ("risk_tags", "write", 2.0),
        ("risk_tags", "read", 0.5),
    ]
    assert [one.line for one in read.mandatory] == [12, 13, 14]
    assert dict(read.routing) == {
        "security_actions": "security-team",
        "financial_actions": "finance-approvers",
        "default": "ops-review",
    }


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        ("audit: {sampling: {rate: 0.5}}", Strategy.UNIFORM),
        ("audit: {sampling: {rate: 0.5, weights: {topics: {job.*: 2}}}}", Strategy.STRATIFIED),
        ("audit: {sampling: {rate: 1, strategy: systematic}}", Strategy.SYSTEMATIC),
    ],
)
def test_the_strategy_is_that_which_the_weights_need_where_none_is_said(text: str, strategy: Strategy) -> None:
    assert plan(text).strategy is strategy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("audit: {}", "an audit that judges nothing"),
        ("audit: {routing: {default: ops}}", "an audit that judges nothing"),
        ("audit: {sampling: {strategy: uniform}}", "sampling without 'rate'"),
        ("audit: {sampling: {rate: 0}}", "rate must be between 0.000001 and 1"),
        ("audit: {sampling: {rate: 10}}", "rate must be between 0.000001 and 1"),
        ("audit: {sampling: {rate: '0.1'}}", "rate must be a number"),
        ("audit: {sampling: {rate: 0.1, strategy: often}}", "strategy cannot be 'often'"),
        ("audit: {sampling: {rate: 0.1, weights: {}}}", "empty weights"),
        ("audit: {sampling: {rate: 0.1, weights: {tools: {a: 1}}}}", "unknown key 'tools' in weights"),
        ("audit: {sampling: {rate: 0.1, weights: {risk_tags: {a: -1}}}}", "a weight is between 0 and 1000"),
        ("audit: {sampling: {rate: 0.1, weights: {risk_tags: {a: b}}}}", "a must be a number"),
        ("audit: {sampling: {rate: 0.1, weights: {risk_tags: {'a[': 2}}}}", "in a pattern"),
        ("audit: {sampling: {rate: 0.1, strategy: uniform, weights: {risk_tags: {a: 2}}}}", "weights have no effect"),
        ("audit: {mandatory: []}", "mandatory must be a list"),
        ("audit: {mandatory: [{}]}", "without 'match'"),
        ("audit: {mandatory: [{match: {amount_usd_above: 5}, rate: 1}]}", "unknown key 'rate'"),
        ("audit: {mandatory: [{match: {amuont_above: 5}}]}", "there is no fact 'amuont'"),
        ("audit: {sampling: {rate: 0.1}, routing: {}}", "an empty routing"),
        ("audit: {sampling: {rate: 0.1}, routing: {financial: ops}}", "unknown key 'financial' in routing"),
        ("audit: {sampling: {rate: 0.1}, routing: {default: 'a b'}}", "'a b' cannot name a team"),
        ("audit: {sampling: {rate: 0.1}, routing: {default: 5}}", "default must be text"),
        ("audit: [1]", "audit must be a map"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place(text: str, said: str) -> None:
    errors = errors_of(text)
    assert any(said in error and error.startswith("p1.yaml:1:") for error in errors), errors
