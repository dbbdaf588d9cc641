"""`risk:` by tier; a tier nobody stated is read strictly, an unclassified call has none."""

from __future__ import annotations

import pytest

from policies.model import Risk
from tests.policies.match_builders import holds, labels, mistakes


def test_a_tier_is_matched_alone_or_in_a_list() -> None:
    assert holds("risk: high", given=labels(risk=Risk.HIGH))
    assert holds("risk: [low, medium]", given=labels(risk=Risk.LOW), allowing=True)
    assert not holds("risk: [low, medium]", given=labels(risk=Risk.HIGH), allowing=True)
    assert not holds("risk: high", given=labels(risk=Risk.LOW))


@pytest.mark.parametrize("tier", ["low", "high"])
def test_a_classified_tool_without_a_tier_is_matched_where_a_rule_asks_or_denies_only(tier: str) -> None:
    assert holds(f"risk: {tier}", given=labels(), allowing=False)
    assert not holds(f"risk: {tier}", given=labels(), allowing=True)


def test_an_unclassified_call_has_no_tier() -> None:
    assert not holds("risk: high", allowing=False)
    assert not holds("risk: low", allowing=True)


def test_another_word_is_refused() -> None:
    assert mistakes("risk: hihg") == ["f.yaml:1:7: risk cannot be 'hihg' (did you mean 'high'?)"]
    assert "at least one item" in mistakes("risk: []")[0]
