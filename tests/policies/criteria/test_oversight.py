"""`oversight:` by the model the labels state; one nobody stated is read strictly, an unclassified call has none."""

from __future__ import annotations

import pytest

from policies.model import Oversight
from tests.policies.match_builders import holds, labels, mistakes


def test_a_model_is_matched_alone_or_in_a_list() -> None:
    assert holds("oversight: on_the_loop", given=labels(oversight=Oversight.ON_THE_LOOP), allowing=True)
    assert holds("oversight: [in_the_loop, on_the_loop]", given=labels(oversight=Oversight.IN_THE_LOOP))
    assert not holds("oversight: out_of_the_loop", given=labels(oversight=Oversight.IN_THE_LOOP), allowing=True)


@pytest.mark.parametrize("model", list(Oversight))
def test_a_classified_tool_without_a_model_is_matched_where_a_rule_asks_or_denies_only(model: str) -> None:
    assert holds(f"oversight: {model}", given=labels(), allowing=False)
    assert not holds(f"oversight: {model}", given=labels(), allowing=True)


def test_an_unclassified_call_has_no_model() -> None:
    assert not holds("oversight: in_the_loop", allowing=False)
    assert not holds("oversight: out_of_the_loop", allowing=True)


def test_another_word_is_refused() -> None:
    assert "oversight cannot be 'on_loop'" in mistakes("oversight: on_loop")[0]
    assert "at least one item" in mistakes("oversight: []")[0]
