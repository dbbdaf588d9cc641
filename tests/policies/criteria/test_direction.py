"""`direction:` who speaks to whom."""

from __future__ import annotations

from policies.model import Direction
from tests.policies.match_builders import holds, mistakes


def test_a_direction_is_matched() -> None:
    assert holds("direction: tool_to_agent", direction=Direction.TOOL_TO_AGENT)
    assert not holds("direction: tool_to_agent", direction=Direction.AGENT_ANSWER)


def test_another_word_is_refused() -> None:
    assert mistakes("direction: agent_to_tol") == [
        "f.yaml:1:12: direction cannot be 'agent_to_tol' (did you mean 'agent_to_tool'?)"
    ]
