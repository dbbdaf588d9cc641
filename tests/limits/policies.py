"""Boundary rows of the policy language, and of what policies are asked about."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from policies import (
    argument_limits,
    arguments,
    condition_tokens,
    explain,
    input_schema,
    json_path,
    patterns,
    regex_work,
)
from policies.errors import PolicyErrors
from policies.facts import Fact, FactReader, FactType, State
from policies.loader import PolicyLoader
from policies.schema import load_snapshot
from policies.yaml_source import load_positioned
from tests.limits.rows import Row, loads
from tests.policies.builders import call

RULE = "rules: [{match: {tools: ['s/t']}, decision: allow}]"


def _policy(text: str) -> bool:
    return loads(lambda: load_snapshot({"a": text}), PolicyErrors)


def _yaml(text: str) -> bool:
    return loads(lambda: load_positioned(text, "f.yaml"), PolicyErrors)


def _approval(**keys: object) -> bool:
    inside = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return _policy(f"rules: [{{match: {{tools: ['s/t']}}, decision: require_approval, approval: {{{inside}}}}}]")


def _ladder(more: str = "", *, levels: int = 1, name: str = "a") -> bool:
    each = ", ".join(f"level_{n}: {{name: {name}, rules: [{{decision: deny}}]}}" for n in range(levels))
    return _policy(f"autonomy_levels: {{{each}}}\n{more}")


def _constraints(**keys: object) -> bool:
    inside = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return _policy(f"rules: [{{match: {{tools: ['s/t']}}, decision: allow, constraints: {{{inside}}}}}]")


def _mask(keep_last: int) -> bool:
    return _policy(
        f"{RULE}\noutput: [{{match: {{tools: ['s/t']}}, fields: [{{path: $.a, do: mask, keep_last: {keep_last}}}]}}]"
    )


def _condition(text: str) -> bool:
    return loads(lambda: condition_tokens.check(condition_tokens.tokens_of(text)), condition_tokens.BadCondition)


def _file_of(size: int) -> bool:
    with TemporaryDirectory() as folder:
        (Path(folder) / "a.yaml").write_text(RULE + "#" * (size - len(RULE)))
        return loads(PolicyLoader(["a.yaml"], Path(folder)).load, PolicyErrors)


def _fact(chars: int) -> bool:
    fact = Fact("text", path=json_path.parse("$.args.text"), type=FactType.STRING)
    one = call("s/t", {"text": "x" * chars}, schema={"properties": {"text": {}}})
    return FactReader(one, {"text": fact}, {}).read("text", allowing=True).state is State.VALUE


def _schema_of(chars: int) -> bool:
    schema = {"description": ""}
    schema["description"] = "x" * (chars - len('{"description": ""}'))
    return loads(lambda: arguments.check({}, schema), arguments.ArgumentsInvalid)


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def _visited(places: int) -> bool:
    """The last of so many alternatives has what is looked for; the root is a place too."""
    wrong = [{} for _ in range(places - 2)]
    return input_schema.has_path({"anyOf": [*wrong, {"properties": {"a": {}}}]}, json_path.parse("$.args.a"))


def _deep(levels: int) -> bool:
    schema: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(levels - 1):
        schema = {"allOf": [schema]}
    return input_schema.has_path(schema, json_path.parse("$.args.a"))


def _pattern_work(steps: int) -> bool:
    """Whether a pattern of that much work is run: then text that does not match is told."""
    argument_limits.budget.set(argument_limits.Budget(steps))
    length = next(n for n in range(steps) if (regex_work.work("^b", n) or 0) >= steps)
    assert regex_work.work("^b", length) == steps
    return not argument_limits.found("^b", "c" * length)


def _error_path(chars: int) -> bool:
    return arguments.ArgumentsInvalid("x", "$" * chars).path == "$" * chars


P = "policies."
ROWS = (
    Row(
        P + "schema.FILES_MAX",
        lambda n: loads(lambda: load_snapshot({f"{i}": RULE for i in range(n)}), PolicyErrors),
        at=9,
    ),
    Row(P + "loader.FILE_BYTES_MAX", _file_of, at=200),
    Row(P + "yaml_source.TEXT_CHARS_MAX", lambda n: _yaml("a: " + "x" * (n - 3))),
    Row(P + "yaml_source.DEPTH_MAX", lambda n: _yaml("[" * (n + 1) + "]" * (n + 1))),
    Row(P + "yaml_source.NODES_MAX", lambda n: _yaml("[" + "1," * (n - 1) + "]"), at=100),
    Row(P + "yaml_source.INTEGER_DIGITS_MAX", lambda n: _yaml("a: " + "1" * n)),
    Row(
        P + "reading.TEXT_CHARS_MAX",
        lambda n: _policy(f"rules: [{{decision: allow, match: {{tools: ['s/t']}}, reason: {'x' * n}}}]"),
    ),
    Row(
        P + "reading.LIST_ITEMS_MAX",
        lambda n: _policy(f"rules: [{{decision: deny, match: {{tools: [{'s/t,' * n}]}}}}]"),
    ),
    Row(
        P + "schema_rules.AGENT_MESSAGE_CHARS_MAX",
        lambda n: _policy(f"rules: [{{decision: deny, agent_message: {'x' * n}}}]"),
    ),
    Row(P + "schema_autonomy.LEVELS_MAX", lambda n: _ladder(levels=n)),
    Row(P + "schema_autonomy.LEVEL_NAME_CHARS_MAX", lambda n: _ladder(name="n" * n)),
    Row(P + "autonomy.SUCCESSES_MAX", lambda n: _ladder(f"promotion_criteria: {{min_successful_actions: {n}}}")),
    Row(P + "autonomy.PERIOD_DAYS_MAX", lambda n: _ladder(f"promotion_criteria: {{review_period_days: {n}}}")),
    Row(P + "schema_approval.TEAMS_MAX", lambda n: _approval(teams=f"[{', '.join(f't{i}' for i in range(n))}]")),
    Row(P + "schema_approval.QUORUM_MAX", lambda n: _approval(team="x", quorum=n)),
    Row(
        P + "schema_oversight.VETO_WINDOW_SEC_MAX",
        lambda n: _policy(f"rules: [{{decision: on_the_loop, veto_window_sec: {n}}}]"),
    ),
    Row(P + "schema_approval.TIMEOUT_SEC_MAX", lambda n: _approval(timeout_sec=n)),
    Row(P + "schema_approval.GRANT_EXPIRES_SEC_MAX", lambda n: _approval(grant_expires_sec=n)),
    Row(P + "schema_approval.UNDO_SEC_MAX", lambda n: _approval(undo_sec=n)),
    Row(P + "schema_constraints.RUNTIME_SEC_MAX", lambda n: _constraints(max_runtime_sec=n)),
    Row(P + "schema_constraints.RESPONSE_BYTES_MAX", lambda n: _constraints(max_response_bytes=n)),
    Row(
        P + "schema_audit.WEIGHT_MAX",
        lambda n: _policy(f"audit: {{sampling: {{rate: 0.1, weights: {{risk_tags: {{a: {n}}}}}}}}}"),
    ),
    Row(P + "schema_output.KEEP_LAST_MAX", _mask),
    Row(
        P + "schema_facts.FACTS_MAX",
        lambda n: _policy("facts: {" + ", ".join(f"f{i}: {{path: $.args.f{i}}}" for i in range(n)) + "}"),
    ),
    Row(P + "facts.FACT_CHARS_MAX", _fact),
    Row(P + "json_path.PATH_CHARS_MAX", lambda n: loads(lambda: json_path.parse("$." + "a" * (n - 2)), ValueError)),
    Row(P + "json_path.STEPS_MAX", lambda n: loads(lambda: json_path.parse("$" + ".a" * n), ValueError)),
    Row(P + "patterns.PATTERN_CHARS_MAX", lambda n: loads(lambda: patterns.parse("x" * n), ValueError)),
    Row(P + "patterns.SUBJECT_CHARS_MAX", lambda n: loads(lambda: patterns.parse("a*").matches("a" * n), ValueError)),
    Row(P + "condition_tokens.TEXT_CHARS_MAX", lambda n: _condition("a > " + "1" * (n - 4))),
    Row(
        P + "condition_tokens.TOKENS_MAX", lambda n: _condition(" ".join("a" if i % 2 == 0 else "+" for i in range(n)))
    ),
    Row(P + "condition_tokens.NESTING_MAX", lambda n: _condition("(" * n + "a" + ")" * n)),
    Row(P + "condition_tokens.REGEX_CHARS_MAX", lambda n: _condition(f"a.matches('{'x' * (n - 2)}')")),
    Row(P + "condition_tokens.REGEX_REPEAT_MAX", lambda n: _condition(f"a.matches('x{{{n}}}')")),
    Row(P + "explain.VALUE_CHARS_MAX", lambda n: not explain._value("x" * (n - 2)).endswith("…")),
    Row(P + "arguments.SCHEMA_CHARS_MAX", _schema_of),
    Row(P + "arguments.PATH_CHARS_MAX", _error_path),
    Row(
        P + "argument_limits.STEPS_MAX",
        lambda n: loads(lambda: argument_limits.Budget().spend(n), argument_limits.TooMuch),
    ),
    Row(P + "argument_limits.PATTERN_WORK_MAX", _pattern_work, at=200),
    Row(P + "argument_limits.NODES_MAX", lambda n: argument_limits.refusal({"enum": [{}] * (n - 1)}) is None),
    Row(P + "argument_limits.DEPTH_MAX", lambda n: argument_limits.refusal(_nested(n)) is None),
    Row(P + "regex_work.PATTERN_CHARS_MAX", lambda n: regex_work.work("x" * n, 10) is not None),
    Row(P + "regex_work.BRACKETS_DEEP_MAX", lambda n: regex_work.work("(" * n + "a" + ")" * n, 10) is not None),
    Row(P + "input_schema.VISITS_MAX", _visited),
    Row(P + "input_schema.DEPTH_MAX", _deep),
)
