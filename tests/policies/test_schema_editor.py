"""`schemas/policy.schema.json`, for editors: it knows exactly our keys and accepts every file that loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from policies import criteria
from policies.autonomy import PERIOD_DAYS_MAX, SUCCESSES_MAX
from policies.criteria.hours import DAYS, SPAN_KEYS
from policies.facts import FactType, Take
from policies.model import Direction, OnTimeout, Oversight, Risk
from policies.packs import vocabulary
from policies.schema import TOP_KEYS
from policies.schema_approval import (
    APPROVAL_KEYS,
    GRANT_EXPIRES_SEC_MAX,
    QUORUM_MAX,
    TIMEOUT_SEC_MAX,
    UNDO_SEC_MAX,
    OnDisconnect,
)
from policies.schema_autonomy import LEVEL_KEYS, LEVELS_MAX, PROMOTION_KEYS, RATE_TRIGGER, TRIGGERS
from policies.schema_constraints import (
    ALLOWLIST_KEYS,
    CONSTRAINT_KEYS,
    ON_VIOLATION,
    RESPONSE_BYTES_MAX,
    RUNTIME_SEC_MAX,
)
from policies.schema_facts import CLASSIFY_KEYS, FACT_KEYS, FACTS_MAX
from policies.schema_output import DETECT_ACTIONS, FIELD_ACTIONS, FIELD_KEYS, KEEP_LAST_MAX, OUTPUT_KEYS, SAME_KEYS
from policies.schema_oversight import VETO_WINDOW_SEC_MAX
from policies.schema_rules import ACTIONS, DECISIONS, DEFAULTS, RULE_KEYS, WHEN_MISSING
from policies.yaml_source import load_positioned
from tests.policies.test_decide_cases import TABLES, text_of

FILE = Path(__file__).parents[2] / "schemas" / "policy.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
PARTS: dict[str, Any] = SCHEMA["definitions"]
VALIDATOR = Draft7Validator(SCHEMA)


def fits(document: Any) -> bool:
    return VALIDATOR.is_valid(document)


def test_it_is_a_valid_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("part", "keys"),
    [
        (SCHEMA, TOP_KEYS),
        (PARTS["rule"], RULE_KEYS),
        (PARTS["match"], criteria.KEYS),
        (PARTS["approval"], APPROVAL_KEYS),
        (PARTS["constraints"], CONSTRAINT_KEYS),
        (PARTS["fact"], FACT_KEYS),
        (PARTS["classify"], CLASSIFY_KEYS),
        (PARTS["output_rule"], OUTPUT_KEYS),
        (PARTS["field"], FIELD_KEYS),
        (PARTS["same"], SAME_KEYS),
        (PARTS["span"], SPAN_KEYS),
        (PARTS["level"], LEVEL_KEYS),
        (PARTS["promotion"], PROMOTION_KEYS),
    ],
)
def test_its_keys_are_the_language_s_keys_and_each_is_described(part: dict[str, Any], keys: tuple[str, ...]) -> None:
    assert set(part["properties"]) == set(keys)
    assert part["additionalProperties"] is False
    assert [key for key, value in part["properties"].items() if not value.get("description")] == []


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        (SCHEMA["properties"]["default"]["enum"], DEFAULTS),
        (PARTS["rule"]["properties"]["decision"]["enum"], DECISIONS),
        (PARTS["rule"]["properties"]["action"]["enum"], ACTIONS),
        (PARTS["rule"]["properties"]["when_missing"]["enum"], WHEN_MISSING),
        (PARTS["rule"]["properties"]["on_violation"]["enum"], ON_VIOLATION),
        (PARTS["constraints"]["properties"]["network_allowlist"]["anyOf"][1]["required"], ALLOWLIST_KEYS),
        (PARTS["approval"]["properties"]["on_timeout"]["enum"], OnTimeout),
        (PARTS["approval"]["properties"]["on_disconnect"]["enum"], OnDisconnect),
        (PARTS["fact"]["properties"]["type"]["enum"], FactType),
        (PARTS["fact"]["properties"]["take"]["enum"], Take),
        (PARTS["tier"]["enum"], Risk),
        (PARTS["model"]["enum"], Oversight),
        (PARTS["match"]["properties"]["direction"]["enum"], Direction),
        (PARTS["span"]["properties"]["days"]["items"]["enum"], DAYS),
        (PARTS["field"]["properties"]["do"]["enum"], FIELD_ACTIONS),
        (PARTS["output_rule"]["properties"]["detect"]["additionalProperties"]["enum"], DETECT_ACTIONS),
    ],
)
def test_its_words_are_the_language_s_words(words: list[str], choices: Any) -> None:
    assert set(words) == {str(choice) for choice in choices}


def test_its_limits_are_the_language_s_limits() -> None:
    approval = PARTS["approval"]["properties"]
    assert approval["timeout_sec"]["maximum"] == TIMEOUT_SEC_MAX
    assert approval["grant_expires_sec"]["maximum"] == GRANT_EXPIRES_SEC_MAX
    assert approval["undo_sec"]["maximum"] == UNDO_SEC_MAX
    assert approval["quorum"]["maximum"] == QUORUM_MAX
    assert PARTS["rule"]["properties"]["veto_window_sec"]["maximum"] == VETO_WINDOW_SEC_MAX
    constraints = PARTS["constraints"]["properties"]
    assert constraints["max_runtime_sec"]["maximum"] == RUNTIME_SEC_MAX
    assert constraints["max_response_bytes"]["maximum"] == RESPONSE_BYTES_MAX
    assert PARTS["field"]["properties"]["keep_last"]["maximum"] == KEEP_LAST_MAX
    assert SCHEMA["properties"]["facts"]["maxProperties"] == FACTS_MAX
    assert SCHEMA["properties"]["autonomy_levels"]["maxProperties"] == LEVELS_MAX
    assert PARTS["promotion"]["properties"]["min_successful_actions"]["maximum"] == SUCCESSES_MAX
    assert PARTS["promotion"]["properties"]["review_period_days"]["maximum"] == PERIOD_DAYS_MAX


def test_its_demotion_triggers_are_the_language_s() -> None:
    words, rate = SCHEMA["properties"]["demotion_triggers"]["items"]["anyOf"]
    assert (tuple(words["enum"]), tuple(rate["properties"])) == (TRIGGERS, (RATE_TRIGGER,))


FILES = {
    f"{name}: {file}": text_of(text) for name, table in TABLES.items() for file, text in table.get("files", {}).items()
}


@pytest.mark.parametrize("text", [*FILES.values(), vocabulary()], ids=[*FILES, "vocabulary"])
def test_every_file_that_loads_fits(text: str) -> None:
    errors = [error.message for error in VALIDATOR.iter_errors(load_positioned(text, "f.yaml")[0])]
    assert errors == []


@pytest.mark.parametrize(
    "document",
    [
        {"rules": [{"match": {"amount_above": 5, "env": ["prod"], "dry": True}, "decision": "deny"}]},
        {"rules": [{"match": {"oversight": "on_the_loop"}, "decision": "on_the_loop", "veto_window_sec": 60}]},
        {"rules": [{"match": {"hours": {"from": "22:00", "to": "24:00"}}, "decision": "deny"}]},
        {"output": [{"detect": {"*": "mask", "US_SSN": "redact"}, "same": {"path": "$..t", "as": "$.args.t"}}]},
        {"facts": {"x": {"path": "$.input_responses.a", "take": "value"}, "y": {}}},
        {"default": "allow", "name": "a b"},
        {"autonomy_levels": {"level_0": {"rules": [{"decision": "deny"}]}}, "demotion_triggers": ["policy_violation"]},
        {"rules": [{"decision": "allow", "constraints": {"max_amount": 5, "pin": {"$.args.a": 1}}}]},
        {"rules": [{"decision": "allow", "constraints": {"forbid": ["$.args.b"]}, "on_violation": "ask"}]},
    ],
)  # fmt: skip
def test_what_is_right_is_accepted(document: Any) -> None:
    assert fits(document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": "v2", "rules": [{"decision": "deny"}]},
        {"rules": []},
        {"rules": [{"decision": "alow"}]},
        {"rules": [{"id": "a"}]},
        {"rules": [{"tool": "x", "action": "allow", "decision": "allow"}]},
        {"rules": [{"tool": "x"}]},
        {"rules": [{"match": {}, "decision": "deny"}]},
        {"rules": [{"match": {"tools": "a?"}, "decision": "deny"}]},
        {"rules": [{"match": {"amount_above": "5"}, "decision": "deny"}]},
        {"rules": [{"match": {"risk": "hihg"}, "decision": "deny"}]},
        {"rules": [{"match": {"topics": 5}, "decision": "deny"}]},
        {"rules": [{"decision": "require_approval", "approval": {"quorum": 0}}]},
        {"rules": [{"decision": "allow", "constraints": {}}]},
        {"rules": [{"decision": "allow", "constraints": {"max_calls": 5}}]},
        {"rules": [{"decision": "allow", "constraints": {"pin": {"a": 5}}}]},
        {"rules": [{"decision": "allow", "constraints": {"network_allowlist": ["https://a.example"]}}]},
        {"facts": {"x": {"min": 5}}},
        {"facts": {"X": {"path": "$.args.x"}}},
        {"facts": {"x": {"path": "$.tool"}}},
        {"classify": [{"topics": ["a"]}]},
        {"classify": [{"tools": ["a"]}]},
        {"classify": [{"tools": ["a"], "topics": ["a.*"]}]},
        {"output": [{"match": {"tools": "a"}}]},
        {"output": [{"detect": {"X": "drop"}}]},
        {"name": "interlock/x", "default": "allow"},
        {"audit": {}},
        {"autonomy_levels": {"level_x": {"rules": [{"decision": "deny"}]}}},
        {"default": "allow", "promotion_criteria": {"max_error_rate": 0.1}},
    ],
)
def test_what_is_wrong_is_underlined(document: Any) -> None:
    assert not fits(document)
