"""Reading a whole `match`: its keys, what comes later, and that a new kind of criterion is one file and one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies import criteria
from policies.facts import Fact, FactType
from tests.policies.match_builders import mistakes, read


def test_every_criterion_has_its_file_and_is_in_the_list() -> None:
    files = {file.stem for file in Path(criteria.__file__).parent.glob("*.py")}
    assert files - {"__init__", "base", "fact"} == set(criteria.KEYS)


def test_a_match_holds_its_criteria_by_kind() -> None:
    match, wrong = read("{tools: a/b, topics: [t], agents: bot}")
    assert wrong == []
    assert [type(one).__name__ for one in match.about_tool] == ["Tools", "Topics"]
    assert [type(one).__name__ for one in match.about_call] == ["Agents"]
    assert match.tools is match.about_tool[0]
    assert read("agents: bot")[0].tools is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("args_findings: US_SSN", "a fact the gate makes"),
        ("sum_amount_above: {value: 1000}", "budgets over a window"),
    ],
)
def test_p01_a_criterion_that_cannot_be_enforced_yet_does_not_load(text: str, what: str) -> None:
    key = text.partition(":")[0]
    assert mistakes(text) == [
        f"f.yaml:1:1: '{key}' ({what}) is not enforced by this release,"
        " so a policy that relies on it is refused (remove it)"
    ]


def test_a_fact_the_gate_does_make_is_a_criterion() -> None:
    facts = {"retry_count": Fact("retry_count", FactType.INTEGER, by_gate=True)}
    assert mistakes("retry_count_above: 2", facts=facts) == []


def test_a_match_must_say_something() -> None:
    assert mistakes("{}") == ["f.yaml:1:1: an empty match (leave 'match' out if the rule is about everything)"]
    assert mistakes("[tools]") == ["f.yaml:1:1: match must be a map of keys, not a list"]
