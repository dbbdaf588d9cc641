"""`reversible:` as stated; what nobody stated is read strictly, an unclassified call has nothing to match."""

from __future__ import annotations

import pytest

from tests.policies.match_builders import holds, labels, mistakes


def test_what_is_stated_is_matched() -> None:
    assert holds("reversible: true", given=labels(reversible=True), allowing=True)
    assert holds("reversible: false", given=labels(reversible=False))
    assert not holds("reversible: true", given=labels(reversible=False), allowing=True)


@pytest.mark.parametrize("word", ["true", "false"])
def test_what_nobody_stated_is_matched_where_a_rule_asks_or_denies_only(word: str) -> None:
    assert holds(f"reversible: {word}", given=labels(), allowing=False)
    assert not holds(f"reversible: {word}", given=labels(), allowing=True)
    assert not holds(f"reversible: {word}", allowing=False)


def test_another_word_is_refused() -> None:
    assert mistakes("reversible: no") == [
        "f.yaml:1:13: reversible must be true or false, not 'no' (write true or false)"
    ]
