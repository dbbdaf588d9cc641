"""`docs/policy-language.md` is true: its examples load and decide as it says, and every key and word is in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from policies import argument_limits, arguments, condition_tokens, criteria, yaml_source
from policies.cases import read_cases
from policies.check import check
from policies.condition import SCALARS
from policies.decide import decide
from policies.facts import FactType, Take
from policies.model import Direction, Effect, OnTimeout, Risk
from policies.not_yet import FACTS_LATER, MATCH_LATER
from policies.schema import FILES_MAX, TOP_KEYS, load_snapshot
from policies.schema_approval import APPROVAL_KEYS
from policies.schema_autonomy import LEVEL_KEYS, PROMOTION_KEYS, RATE_TRIGGER, TRIGGERS
from policies.schema_facts import CLASSIFY_KEYS, FACT_KEYS
from policies.schema_output import DETECT_ACTIONS, FIELD_KEYS, OUTPUT_KEYS, SAME_KEYS
from policies.schema_rules import ACTIONS, DECISIONS, RULE_KEYS, WHEN_MISSING
from policies.schema_visibility import VISIBILITY_KEYS
from policies.yaml_source import load_positioned
from tests.policies.builders import NOON, call

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "policy-language.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [text for text in BLOCKS if "\ncases:" not in text]
CASES = [text for text in BLOCKS if text not in EXAMPLES]
SCHEMA = Draft7Validator(json.loads((ROOT / "schemas" / "policy.schema.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_loads_without_advice_and_fits_the_editor_s_schema(text: str) -> None:
    report, code = check({"example.yaml": text})
    assert code == 0, report
    assert "advice: " not in report
    assert [error.message for error in SCHEMA.iter_errors(load_positioned(text, "f.yaml")[0])] == []


@pytest.mark.parametrize("text", CASES)
def test_every_example_of_cases_is_read(text: str) -> None:
    assert len(read_cases({"example_test.yaml": text})) == text.count("want:")


def test_there_are_examples_of_both() -> None:
    assert len(EXAMPLES) >= 7
    assert len(CASES) == 1


@pytest.mark.parametrize(
    ("arguments", "effect"),
    [
        ({"amount": 50}, Effect.ALLOW),
        ({"amount": 150}, Effect.REQUIRE_APPROVAL),
        ({"amount": -4000}, Effect.REQUIRE_APPROVAL),
        ({}, Effect.REQUIRE_APPROVAL),
        ({"amount": "50"}, Effect.REQUIRE_APPROVAL),
    ],
)
def test_the_first_example_decides_as_the_page_says(arguments: dict[str, object], effect: Effect) -> None:
    assert decide(call("payments/refund", arguments), load_snapshot({"a": EXAMPLES[0]}), at=NOON).effect is effect


@pytest.mark.parametrize(
    "word",
    sorted(
        {
            *TOP_KEYS, *RULE_KEYS, *APPROVAL_KEYS, *FACT_KEYS, *CLASSIFY_KEYS, *OUTPUT_KEYS, *criteria.KEYS, *SCALARS,
            *DECISIONS, *ACTIONS, *WHEN_MISSING, *FactType, *Take, *Risk, *OnTimeout, *Direction, *DETECT_ACTIONS,
            *VISIBILITY_KEYS, *LEVEL_KEYS, *PROMOTION_KEYS, *TRIGGERS, RATE_TRIGGER,
        }
    ),
)  # fmt: skip
def test_every_key_and_word_of_the_language_is_on_the_page(word: str) -> None:
    assert re.search(rf"`[^`\n]*\b{re.escape(str(word))}\b[^`\n]*`|action: {word}", PAGE), f"{word} is not on the page"


@pytest.mark.parametrize("word", [*FIELD_KEYS, *SAME_KEYS, *condition_tokens.FUNCTIONS, "AND", "OR", "NOT"])
def test_every_word_of_lines_and_conditions_is_on_the_page(word: str) -> None:
    assert re.search(rf"`[^`\n]*\b{word}\b[^`\n]*`", PAGE)


@pytest.mark.parametrize("name", sorted({*FACTS_LATER, *MATCH_LATER} - {"anomaly_known", "sum_"}))
def test_what_is_not_enforced_yet_is_named(name: str) -> None:
    assert f"`{name}`" in PAGE.partition("## Not enforced yet")[2]


def test_limits_on_the_page_are_the_limits() -> None:
    for limit in (
        f"{yaml_source.TEXT_CHARS_MAX:,} characters",
        f"{yaml_source.DEPTH_MAX} levels",
        f"{yaml_source.NODES_MAX:,} values",
        f"{FILES_MAX} files",
        f"{condition_tokens.TEXT_CHARS_MAX:,} characters",
        f"{condition_tokens.TOKENS_MAX} words and signs",
        f"brackets {condition_tokens.NESTING_MAX} deep",
        f"{arguments.SCHEMA_CHARS_MAX:,} characters",
        f"{argument_limits.STEPS_MAX:,} steps",
        f"where they hold few values, {argument_limits.STEPS_MIN:,}",
    ):
        assert limit in re.sub(r"\s+", " ", PAGE), limit


def test_the_names_of_the_vocabulary_are_on_the_page() -> None:
    names = load_snapshot({"a": "default: allow"}).facts
    assert [name for name in names if f"`{name}`" not in PAGE] == []
