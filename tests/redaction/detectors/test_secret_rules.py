"""The table of secrets: every example, both ways."""

from __future__ import annotations

import re

import pytest

from redaction.detectors.base import Texts
from redaction.detectors.secret_rules import SECRET_KINDS, SECRET_RULES, SecretRule
from redaction.detectors.secrets import SecretsDetector

DETECTOR = SecretsDetector()
TAKEN = [(rule.kind, text) for rule in SECRET_RULES for text in rule.takes]
LEFT = [(rule.kind, text) for rule in SECRET_RULES for text in rule.leaves]


def kinds(text: str) -> set[str]:
    return {hit.kind for hit in DETECTOR.detect(text, "", is_number=False)}


@pytest.mark.parametrize(("kind", "text"), TAKEN)
def test_a_rule_takes_its_examples_wherever_they_stand(kind: str, text: str) -> None:
    for placed in (text, f"the value: {text} and more", f'"{text}"', f"a\n{text}\nb"):
        assert kind in kinds(placed)
        assert list(DETECTOR.select(Texts(["x", placed]))) == [1]


@pytest.mark.parametrize(("kind", "text"), LEFT)
def test_a_rule_leaves_what_only_resembles(kind: str, text: str) -> None:
    assert kind not in kinds(text)


@pytest.mark.parametrize("rule", SECRET_RULES, ids=[rule.kind for rule in SECRET_RULES])
def test_every_rule_has_literals_and_examples_of_both_kinds(rule: SecretRule) -> None:
    assert rule.literals
    assert rule.takes
    assert rule.leaves
    assert all(any(literal in text for literal in rule.literals) for text in rule.takes)
    assert all(name == re.sub(r"[^a-z0-9]", "", name) for name in rule.keys)


def test_kinds_are_lower_case_words_and_each_has_one_rule() -> None:
    assert len(SECRET_KINDS) == len(SECRET_RULES)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]+", kind) for kind in SECRET_KINDS)
