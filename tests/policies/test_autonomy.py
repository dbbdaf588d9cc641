"""Autonomy levels: domains of calls, what a level frees, and the level's rules as one more policy (SEMANTICS §1.12)."""

from __future__ import annotations

import pytest

from policies.autonomy import domain_of, domains_of, frees, lowest
from policies.decide import decide
from policies.model import Direction
from tests.policies.builders import NOON, call, snapshot, spoken

LADDER = """
autonomy_levels:
  level_0: {name: supervised, rules: [{match: {topics: ["*"]}, decision: require_approval}]}
  level_1:
    rules:
      - {match: {topics: ["job.*.read"]}, decision: allow}
      - {match: {topics: ["*"]}, decision: require_approval}
  level_2:
    rules:
      - {match: {risk_tags: [delete]}, decision: require_approval}
      - {match: {topics: ["*"]}, decision: allow}
classify:
  - {tools: [crm/read], topics: [job.crm.read], risk_tags: []}
  - {tools: [crm/write], topics: [job.crm.write], risk_tags: [write]}
  - {tools: [crm/drop], topics: [job.crm.drop], risk_tags: [delete]}
"""


@pytest.mark.parametrize(
    ("topic", "domain"),
    [("job.crm.read", "crm"), ("job.crm", "crm"), ("crm", None), ("job.", None), ("job..x", None)],
)
def test_the_domain_is_the_second_segment_of_the_topic(topic: str, domain: str | None) -> None:
    assert domain_of(topic) == domain
    assert domains_of([topic]) == ({domain} if domain else set())


@pytest.mark.parametrize(
    ("topics", "level"),
    [
        (["job.crm.read"], 3),
        (["job.crm.read", "job.mail.send"], 1),
        (["job.crm.read", "bare"], 0),
        ([], 0),
    ],
)
def test_of_several_topics_the_lowest_level_counts_and_without_a_domain_nothing_is_earned(
    topics: list[str], level: int
) -> None:
    assert lowest(topics, {"crm": 3, "mail": 1}.__getitem__) == level


@pytest.mark.parametrize(
    ("tool", "effects"),
    [
        ("crm/read", ["require_approval", "allow", "allow"]),
        ("crm/write", ["require_approval", "require_approval", "allow"]),
        ("crm/drop", ["require_approval", "require_approval", "require_approval"]),
        ("crm/nobody_looked_at", ["require_approval", "require_approval", "deny"]),
    ],
)
def test_the_rules_of_the_agent_s_level_are_one_more_policy(tool: str, effects: list[str]) -> None:
    one = snapshot(LADDER)
    assert [decide(call(tool), one, {"autonomy_level": level}, at=NOON).effect for level in range(3)] == effects


@pytest.mark.parametrize(("told", "level"), [(-1, 0), (7, 2), ("2", 0), (True, 0), (None, 0), (1.0, 0)])
def test_a_level_there_is_not_is_the_nearest_and_what_is_no_level_is_the_lowest(told: object, level: int) -> None:
    decision = decide(call("crm/write"), snapshot(LADDER), {"autonomy_level": told}, at=NOON)  # type: ignore[dict-item]
    assert decision.determining[0].startswith(f"p1.yaml:level_{level}#")


def test_without_being_told_a_level_the_agent_is_at_the_lowest() -> None:
    assert spoken(decide(call("crm/read"), snapshot(LADDER), at=NOON)) == ("require_approval", ("p1.yaml:level_0#1",))


def test_a_level_frees_nothing_that_another_policy_asks_about() -> None:
    one = snapshot(LADDER, 'rules: [{id: ask, match: {tools: ["crm/write"]}, decision: require_approval}]')
    decision = decide(call("crm/write"), one, {"autonomy_level": 2}, at=NOON)
    assert spoken(decision) == ("require_approval", ("p2.yaml#ask",))


def test_what_a_level_frees_is_asked_of_labels_and_doubt_is_not_freedom() -> None:
    one = snapshot(
        """
        autonomy_levels:
          level_0: {rules: [{match: {topics: ["*"]}, decision: require_approval}]}
          level_1: {rules: [{match: {topics: ["*"], agents: [bot]}, decision: allow}]}
          level_2: {rules: [{condition: "cost > 5", decision: deny}, {match: {topics: ["*"]}, decision: allow}]}
          level_3: {rules: [{match: {risk_tags: [x]}, decision: deny}, {match: {topics: ["*"]}, decision: allow}]}
          level_4: {rules: [{match: {topics: ["*"]}, condition: "cost > 5", decision: allow}]}
        classify: [{tools: [crm/read], topics: [job.crm.read], risk_tags: []}]
        facts: {cost: {path: $.args.cost, tools: ["crm/*"]}}
        """
    )
    assert one.autonomy is not None
    for tool, freed in {"read": [False, False, False, True, False], "other": [False] * 5}.items():
        profile = one.profile("crm", tool, "tools/call", Direction.AGENT_TO_TOOL)
        pairs = zip(one.autonomy.levels, profile.levels, strict=True)
        assert [frees(level, standings) for level, standings in pairs] == freed
