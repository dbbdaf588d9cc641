"""`risk_tags:` any of a list where a rule asks or denies, all of it where it allows."""

from __future__ import annotations

from tests.policies.match_builders import holds, labels

WRITE = labels(risk_tags={"write"})
PROD_WRITE = labels(risk_tags={"write", "prod"})


def test_in_a_rule_that_asks_or_denies_any_tag_is_enough() -> None:
    assert holds("risk_tags: [prod, write]", given=WRITE)
    assert not holds("risk_tags: [prod, delete]", given=WRITE)
    assert not holds("risk_tags: {all: [prod, write]}", given=WRITE)


def test_in_a_rule_that_allows_several_tags_mean_all() -> None:
    assert not holds("risk_tags: [prod, write]", given=WRITE, allowing=True)
    assert holds("risk_tags: [prod, write]", given=PROD_WRITE, allowing=True)
    assert holds("risk_tags: write", given=PROD_WRITE, allowing=True)


def test_a_tool_without_tags_is_allowed_by_none() -> None:
    assert not holds("risk_tags: '*'", given=labels(), allowing=True)
    assert holds("risk_tags: '*'", given=labels(), allowing=False)
