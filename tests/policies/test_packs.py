"""The shipped vocabulary: in every file set, bound to nothing, and it loads by itself."""

from __future__ import annotations

from policies.facts import Fact, FactType
from policies.packs import VOCABULARY, vocabulary
from policies.schema import load_snapshot
from tests.policies.builders import errors_of, snapshot


def test_the_seeds_facts_are_known_and_bound_to_nothing() -> None:
    facts = snapshot("rules: [{id: a, decision: deny}]").facts
    assert facts["estimated_cost"] == Fact("estimated_cost")
    assert facts["amount_usd"].path is None
    assert facts["affected_users"] == Fact("affected_users", FactType.INTEGER)


def test_the_vocabulary_is_no_part_of_the_snapshot_s_files() -> None:
    one = snapshot("rules: [{id: a, decision: deny}]")
    assert set(one.files) == {"p1.yaml"}
    assert [policy.name for policy in one.policies] == ["p1.yaml"]


def test_the_vocabulary_loads_as_a_file_too() -> None:
    assert load_snapshot({"vocabulary.yaml": vocabulary()}).facts["amount"].path is None


def test_a_file_binds_a_name_of_the_vocabulary_and_keeps_its_type() -> None:
    assert snapshot("facts: {amount: {path: $.args.sum}}").facts["amount"].path is not None
    assert errors_of("facts: {amount: {path: $.args.sum, type: string}}") == [
        f"p1.yaml:1:9: 'amount' is defined otherwise in {VOCABULARY}, line 7 (a fact has one definition)"
    ]
