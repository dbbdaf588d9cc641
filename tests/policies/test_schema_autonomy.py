"""Reading autonomy levels, promotion criteria and demotion triggers; every mistake in them keeps a set away (P1)."""

from __future__ import annotations

import pytest

from policies.autonomy import Demotion, Promotion
from tests.policies.builders import errors_of, snapshot

LEVEL = 'rules: [{match: {topics: ["*"]}, decision: require_approval}]'
LADDER = f"autonomy_levels: {{level_0: {{name: supervised, {LEVEL}}}, level_1: {{{LEVEL}}}}}\n"


def test_levels_are_read_in_order_with_their_names() -> None:
    ladder = snapshot(LADDER).autonomy
    assert ladder is not None
    assert ladder.names == ("supervised", "level 1")
    assert [level.name for level in ladder.levels] == ["p1.yaml:level_0", "p1.yaml:level_1"]
    assert [rule.ref for level in ladder.levels for rule in level.rules] == ["p1.yaml:level_0#1", "p1.yaml:level_1#1"]
    assert (ladder.last, ladder.name(9)) == (1, "level 1")


def test_what_is_not_said_has_the_documented_values() -> None:
    ladder = snapshot(LADDER).autonomy
    assert ladder is not None
    assert (ladder.promotion, ladder.demotion) == (None, Demotion(True, True, None))
    ladder = snapshot(f"{LADDER}promotion_criteria: {{min_successful_actions: 5}}").autonomy
    assert ladder is not None
    assert ladder.promotion == Promotion(5, 0.02, 7, True)


def test_criteria_and_triggers_are_what_the_file_says() -> None:
    ladder = snapshot(
        f"{LADDER}promotion_criteria: {{max_error_rate: 0.5, review_period_days: 1, requires_human_sign_off: false}}\n"
        "demotion_triggers: [safety_incident, {error_rate_above: 0.05}]"
    ).autonomy
    assert ladder is not None
    assert ladder.promotion == Promotion(50, 0.5, 1, False)
    assert ladder.demotion == Demotion(False, True, 0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("autonomy_levels: {}", "at least level_0"),
        ("autonomy_levels: 5", "must be a map"),
        (f"autonomy_levels: {{level_1: {{{LEVEL}}}}}", "gap"),
        (f"autonomy_levels: {{level_0: {{{LEVEL}}}, level_00: {{{LEVEL}}}}}", "'level_00' cannot name a level"),
        (f"autonomy_levels: {{{', '.join(f'level_{n}: {{{LEVEL}}}' for n in range(21))}}}", "more than 20 levels"),
        ("autonomy_levels: {level_0: {name: a}}", "a level without rules"),
        ("autonomy_levels: {level_0: {rules: [{decision: alow}]}}", "decision cannot be 'alow'"),
        (f"autonomy_levels: {{level_0: {{nam: x, {LEVEL}}}}}", "unknown key 'nam' in a level"),
        ("default: allow\npromotion_criteria: {max_error_rate: 0.1}", "'promotion_criteria' without levels"),
        ("default: allow\ndemotion_triggers: [policy_violation]", "'demotion_triggers' without levels"),
        (f"{LADDER}promotion_criteria: {{}}", "that say nothing"),
        (f"{LADDER}promotion_criteria: 5", "must be a map"),
        (f"{LADDER}promotion_criteria: {{max_error_rate: 0}}", "above 0 and at most 1"),
        (f"{LADDER}promotion_criteria: {{max_error_rate: high}}", "must be a number"),
        (f"{LADDER}promotion_criteria: {{min_successful_actions: 0}}", "from 1 to 1000"),
        (f"{LADDER}promotion_criteria: {{requires_human_sign_off: 1}}", "must be true or false"),
        (f"{LADDER}demotion_triggers: []", "at least one item"),
        (f"{LADDER}demotion_triggers: [bad_mood]", "item 1 of demotion_triggers cannot be 'bad_mood'"),
        (f"{LADDER}demotion_triggers: [{{error_rate: 0.1}}]", "unknown key 'error_rate'"),
        (f"{LADDER}demotion_triggers: [{{error_rate_above: 1.5}}]", "above 0 and at most 1"),
    ],
)
def test_p01_a_ladder_that_does_not_say_what_it_seems_to_does_not_load(text: str, message: str) -> None:
    assert message in " ".join(errors_of(text))


def test_p01_a_set_has_one_ladder() -> None:
    errors = errors_of(LADDER, LADDER)
    assert errors == ["p2.yaml:1:1: autonomy levels in a second file (they are in p1.yaml)"]


def test_a_fact_s_type_is_also_found_from_what_levels_compare_it_with() -> None:
    one = snapshot(
        "facts: {env: {path: $.args.env, tools: ['d/*']}}\n"
        "autonomy_levels: {level_0: {rules: [{match: {env: prod}, decision: deny}]}}"
    )
    assert one.facts["env"].type == "string"
