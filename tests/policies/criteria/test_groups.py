"""`groups:` by what the configuration says of the agent."""

from __future__ import annotations

from policies.model import Agent
from tests.policies.match_builders import answer, is_yes

CONTRACTOR = Agent("bot", groups=("contractors", "eu"))


def test_a_group_is_matched_among_the_agent_s_groups() -> None:
    assert is_yes("groups: contractors", agent=CONTRACTOR)
    assert is_yes("groups: {all: [eu, contr*]}", agent=CONTRACTOR, allowing=True)
    assert answer("groups: staff", agent=CONTRACTOR).why == "no group of the agent is staff"


def test_an_agent_without_groups_is_reached_by_the_catch_all_of_rules_that_ask_or_deny_only() -> None:
    assert is_yes("groups: '*'")
    assert not is_yes("groups: '*'", allowing=True)
