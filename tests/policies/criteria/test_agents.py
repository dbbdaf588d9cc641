"""`agents:` by the authenticated name."""

from __future__ import annotations

from policies.model import Agent
from tests.policies.match_builders import answer, is_yes


def test_an_agent_is_matched_by_name() -> None:
    assert is_yes("agents: bot")
    assert is_yes("agents: [other, b*]", allowing=True)
    assert not is_yes("agents: other")


def test_the_catch_all_of_a_rule_that_denies_reaches_an_agent_with_a_slash() -> None:
    assert is_yes("agents: '*'", agent=Agent("team/bot"))
    assert not is_yes("agents: '*'", agent=Agent("team/bot"), allowing=True)


def test_the_answer_names_the_rule_s_words_and_not_the_agent() -> None:
    assert answer("agents: other", agent=Agent("evil\x1b[2J")).why == "the agent is not other"
