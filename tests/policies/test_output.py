"""Which output rules hold: all that match, the strictest per kind, doubt read strictly both ways, sameness resolved."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from policies.facts import FactType
from policies.model import Do, FieldRule, OutputRules, SameRule
from policies.output import is_as_strict_as, rules_for
from policies.patterns import SUBJECT_CHARS_MAX
from policies.snapshot import PolicySnapshot
from tests.policies.builders import NOON, call, snapshot

CLASSIFY = "classify: [{tools: crm/read, topics: job.support.read}]"


def rules(
    one: PolicySnapshot, name: str = "crm/read", arguments: dict[str, Any] | None = None, **options: Any
) -> OutputRules:
    return rules_for(call(name, arguments, **options), one, at=NOON)


def test_without_output_rules_findings_are_replaced() -> None:
    assert rules(snapshot("rules: [{decision: deny}]")) == OutputRules()


def test_all_matching_rules_apply() -> None:
    one = snapshot(
        f"""
        {CLASSIFY}
        output:
          - id: a
            match: {{topics: ["job.support.*"]}}
            fields: [{{path: "$..ssn", do: replace, reason: PII}}]
            detect: {{US_SSN: redact, PERSON: mask}}
            keep_last: 3
          - id: b
            match: {{tools: other}}
            always: review
          - id: c
            fields: [{{path: $.notes, do: remove}}]
            detect: {{PERSON: quarantine, EMAIL: mask, "*": remove}}
            keep_last: 2
        """
    )
    assert rules(one) == OutputRules(
        fields=(FieldRule("$..ssn", Do.REPLACE, "PII"), FieldRule("$.notes", Do.REMOVE)),
        detect={"US_SSN": Do.REPLACE, "PERSON": Do.QUARANTINE, "EMAIL": Do.MASK},
        default_do=Do.REMOVE,
        keep_last=2,
        determining=("p1.yaml#a", "p1.yaml#c"),
    )
    assert rules(one, "crm/other").always_review


ORDER = ["allow", "mask", "replace", "remove", "quarantine"]


@pytest.mark.parametrize("milder", ORDER)
@pytest.mark.parametrize("stricter", ORDER)
def test_where_several_rules_speak_of_a_kind_the_strictest_wins(milder: str, stricter: str) -> None:
    one = snapshot(f"{CLASSIFY}\noutput: [{{detect: {{X: {milder}}}}}, {{detect: {{X: {stricter}}}}}]")
    assert rules(one).detect == {"X": Do(max(milder, stricter, key=ORDER.index))}


def test_what_allows_needs_a_classified_or_named_tool_and_what_tightens_does_not() -> None:
    text = "output: [{match: {MATCH}, detect: {PERSON: allow, US_SSN: quarantine}}]"
    by_agent, by_name = (snapshot(text.replace("MATCH", match)) for match in ("agents: bot", "tools: crm/read"))
    assert rules(by_agent).detect == {"US_SSN": Do.QUARANTINE}
    assert rules(by_name).detect == {"PERSON": Do.ALLOW, "US_SSN": Do.QUARANTINE}
    classified = snapshot(f"{text.replace('MATCH', 'agents: bot')}\n{CLASSIFY}")
    assert rules(classified).detect == {"PERSON": Do.ALLOW, "US_SSN": Do.QUARANTINE}


def test_what_allows_needs_a_literal_name_where_the_tool_is_not_listed() -> None:
    for match, kinds in (("tools: crm/read", {"PERSON": Do.ALLOW}), ("tools: 'crm/*'", {})):
        one = snapshot(f"{CLASSIFY}\noutput: [{{match: {{{match}}}, detect: {{PERSON: allow}}}}]")
        assert rules(one, is_listed=False).detect == kinds


def test_p10_doubt_applies_what_tightens_and_not_what_allows() -> None:
    one = snapshot(
        "facts: {rows: {path: $.args.rows, tools: ['**']}}\n"
        "output: [{match: {tools: crm/read, rows_above: 10}, always: review, detect: {PERSON: allow}}]"
    )
    for arguments, expected in (
        ({"rows": 11}, (True, True)),
        ({"rows": 1}, (False, False)),
        ({}, (True, False)),
        ({"rows": "1"}, (True, False)),
    ):
        got = rules(one, arguments=arguments)
        assert (got.always_review, "PERSON" in got.detect) == expected


def test_a_fact_of_another_tool_leaves_an_output_rule_out() -> None:
    one = snapshot(
        "facts: {rows: {path: $.args.rows, tools: [x]}}\noutput: [{match: {rows_above: 10}, always: review}]"
    )
    assert rules(one, arguments={"rows": 11}) == OutputRules()


def test_values_to_be_the_same_are_read_from_the_call() -> None:
    one = snapshot('output: [{same: {path: "$..tenant_id", as: $.args.tenant_id}}]')
    got = rules(one, arguments={"tenant_id": "t1"})
    assert (got.same, got.fields) == ((SameRule("$..tenant_id", "t1", Do.QUARANTINE),), ())


@pytest.mark.parametrize("arguments", [{}, {"tenant_id": None}, {"tenant_id": ["t1"]}, {"tenant_id": {"a": 1}}])
def test_p10_where_the_call_has_no_one_value_nothing_is_the_same(arguments: dict[str, Any]) -> None:
    one = snapshot('output: [{same: {path: "$..tenant_id", as: $.args.tenant_id, else: remove}}]')
    got = rules(one, arguments=arguments)
    assert got.same == ()
    assert got.fields == (
        FieldRule("$..tenant_id", Do.REMOVE, "cannot be compared: the call has no one value at $.args.tenant_id"),
    )


def test_gate_facts_count_here_too() -> None:
    one = snapshot(
        "output: [{match: {retry_count_above: 2}, always: review}]", gate_facts={"retry_count": FactType.INTEGER}
    )
    assert rules_for(call(), one, {"retry_count": 3}, at=NOON).always_review
    assert not rules_for(call(), one, {"retry_count": 1}, at=NOON).always_review


def test_a_name_no_pattern_can_be_matched_against_is_reviewed() -> None:
    assert rules(snapshot("rules: [{decision: deny}]"), f"s/{'x' * SUBJECT_CHARS_MAX}").always_review


def test_it_needs_a_time_with_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        rules_for(call(), snapshot("rules: [{decision: deny}]"), at=datetime(2026, 11, 18))  # noqa: DTZ001 - the point


@pytest.mark.parametrize(
    ("rules", "other", "expected"),
    [
        (OutputRules(), OutputRules(), True),
        (OutputRules(keep_last=4), OutputRules(keep_last=2), False),
        (OutputRules(detect={"X": Do.ALLOW}), OutputRules(), False),
        (OutputRules(), OutputRules(detect={"X": Do.ALLOW}), True),
        (OutputRules(default_do=Do.REMOVE), OutputRules(detect={"X": Do.REPLACE}), True),
        (OutputRules(determining=("a#1",)), OutputRules(), True),
    ],
)
def test_p08_rules_are_as_strict_as_others_if_nothing_passes_that_those_hold_back(
    rules: OutputRules, other: OutputRules, expected: bool
) -> None:
    assert is_as_strict_as(rules, other) is expected
