"""Oversight models as decisions, windows where people may veto, and no silence that approves more than low risk."""

from __future__ import annotations

import pytest

from policies.model import Effect
from policies.schema_oversight import VETO_WINDOW_SEC_MAX
from tests.policies.builders import errors_of, snapshot

LABELS = """classify:
  - {tools: [s/low], risk: low}
  - {tools: [s/high], topics: [job.high], risk: high}
  - {tools: ['s/*'], topics: [job.s]}
"""


@pytest.mark.parametrize(
    ("word", "effect"),
    [
        ("in_the_loop", Effect.REQUIRE_APPROVAL),
        ("on_the_loop", Effect.ALLOW_UNLESS_VETOED),
        ("out_of_the_loop", Effect.ALLOW),
        ("allow_unless_vetoed", Effect.ALLOW_UNLESS_VETOED),
    ],
)
def test_a_model_is_a_spelling_of_a_decision(word: str, effect: Effect) -> None:
    rule = snapshot(f"rules: [{{decision: {word}}}]").policies[0].rules[0]
    assert (rule.effect, rule.veto_window_sec) == (effect, 0)


def test_a_window_is_read_with_what_is_asked_if_nobody_could_have_vetoed() -> None:
    text = "rules: [{decision: on_the_loop, veto_window_sec: 90, approval: {team: ops}}]"
    rule = snapshot(text).policies[0].rules[0]
    assert rule.veto_window_sec == 90
    assert rule.approval is not None
    assert rule.approval.teams == ("ops",)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("{decision: allow, veto_window_sec: 5}", "a window in a rule nobody can veto"),
        ("{decision: in_the_loop, veto_window_sec: 5}", "a window in a rule nobody can veto"),
        ("{decision: on_the_loop, veto_window_sec: -1}", f"a whole number from 0 to {VETO_WINDOW_SEC_MAX}"),
        (f"{{decision: on_the_loop, veto_window_sec: {VETO_WINDOW_SEC_MAX + 1}}}", "a whole number from 0 to"),
        ("{decision: deny, require_review_after: true}", "a review afterwards in a rule that lets nothing go"),
        ("{decision: in_the_loop, require_review_after: true}", "a review afterwards in a rule that lets nothing go"),
        ("{decision: allow, require_review_after: 1}", "must be true or false"),
        ("{decision: on_the_loop, approval: {team: ops}}", "an approval in a rule that does not ask"),
    ],
)
def test_what_could_not_be_meant_does_not_load(rule: str, says: str) -> None:
    assert says in errors_of(f"rules: [{rule}]")[0]


@pytest.mark.parametrize(
    ("match", "about"),
    [("{tools: [s/high]}", "s/high"), ("{tools: [s/low, s/high]}", "s/high")],
)
def test_a_rule_that_approves_in_silence_what_is_known_to_be_of_high_risk_does_not_load(match: str, about: str) -> None:
    text = f"rules: [{{match: {match}, decision: require_approval, approval: {{on_timeout: approve}}}}]\n{LABELS}"
    (error,) = errors_of(text)
    assert f"p1.yaml:1:9: 'on_timeout: approve' in a rule about {about}, which is of high risk" in error


@pytest.mark.parametrize(
    "match",
    [
        "{tools: [s/low]}",
        "{topics: [job.s], risk: low}",
        "{tools: [s/unrated]}",
        "{topics: [job.s]}",
        "{tools: ['other/*']}",
    ],
)
def test_what_may_be_low_is_left_to_the_moment_when_the_time_is_up(match: str) -> None:
    assert snapshot(
        f"rules: [{{match: {match}, decision: require_approval, approval: {{on_timeout: approve}}}}]\n{LABELS}"
    )
