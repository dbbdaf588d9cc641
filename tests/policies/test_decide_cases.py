"""Decision tables in YAML: `tests/cases/policies/` and the seeds' own examples in `tests/cases/seeds/` (SEMANTICS §6).

A table is `{note, files: {name: text}, cases: [{note, call, facts, at, want}]}`; `want` names the effect and the rules,
and any of reason, facts, errors, constraints and approval. A file may be `{document: name}`, one of the seeds' own
files as it is (`tests/cases/seeds/documents/`). A table of `refused` documents names the places and keys that keep
each from loading.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from policies.cases import AT_REST
from policies.constraints import said
from policies.decide import decide
from policies.model import Agent, Direction, ToolCall
from policies.packs import pack_policy, read_entry
from policies.schema import PolicyError, PolicyErrors, load_snapshot
from policies.yaml_source import load_positioned
from tests.policies.builders import NOON, call

CASES = Path(__file__).parents[1] / "cases"
DOCUMENTS = CASES / "seeds" / "documents"
NO_POLICY = {"002-output-safety-result.json"}  # what an inspected output comes to: tests/blackbox shows it
TABLES = {
    f"{folder}/{file.stem}": load_positioned(file.read_text(encoding="utf-8"), str(file))[0]
    for folder in ("policies", "seeds")
    for file in sorted((CASES / folder).glob("*.yaml"))
}


def rows(section: str) -> list[Any]:
    return [
        pytest.param(table, row, id=f"{name}: {row['note']}")
        for name, table in TABLES.items()
        for row in table.get(section, ())
    ]


def call_of(row: dict[str, Any]) -> ToolCall:
    written = dict(row["call"])
    made = call(
        written.pop("tool"),
        written.pop("args", {}),
        schema=written.pop("schema", None),
        agent=Agent(written.pop("agent", "bot"), tuple(written.pop("groups", ()))),
        is_listed=written.pop("listed", True),
        drifted=written.pop("drifted", False),
        method=written.pop("method", "tools/call"),
        direction=Direction(written.pop("direction", "agent_to_tool")),
    )
    made = replace(made, self_reported=written.pop("self_reported", {}))
    assert written == {}, "unknown keys in the call"
    return made


def text_of(file: Any) -> str:
    """The text of a table's file: written there, a document of the seeds, or a shipped pack."""
    if isinstance(file, str):
        return file
    if "pack" in file:
        return pack_policy(read_entry(file["pack"]))
    return (DOCUMENTS / file["document"]).read_text(encoding="utf-8")


def snapshot_files(table: dict[str, Any]) -> dict[str, str]:
    return {name: text_of(file) for name, file in table["files"].items()}


def load_errors(files: dict[str, str]) -> tuple[PolicyError, ...]:
    try:
        load_snapshot(files)
    except PolicyErrors as refused:
        return refused.errors
    return ()


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("table", "row"), rows("cases"))
def test_the_table_s_calls_get_what_it_wants(table: dict[str, Any], row: dict[str, Any]) -> None:
    assert set(row) <= {"note", "call", "facts", "at", "want"}
    at = datetime.fromisoformat(row["at"]) if "at" in row else NOON
    decision = decide(call_of(row), load_snapshot(snapshot_files(table)), {**AT_REST, **row.get("facts", {})}, at=at)
    got = {
        "effect": decision.effect.value,
        "rules": list(decision.determining),
        "reason": decision.reason,
        "veto_window_sec": decision.veto_window_sec,
        "review_after": decision.review_after,
        "facts": dict(decision.facts),
        "errors": list(decision.errors),
        "constraints": [f"{one.kind} {said(one.value)} by {one.rule}" for one in decision.constraints],
        "approval": {key: plain(getattr(decision.approval, key, None)) for key in row["want"].get("approval", ())},
    }
    assert {key: got[key] for key in row["want"]} == row["want"]


@pytest.mark.parametrize(("table", "row"), rows("refused"))
def test_the_seeds_documents_load_but_for_the_keys_that_are_not_enforced_yet(
    table: dict[str, Any], row: dict[str, Any]
) -> None:
    errors = load_errors({row["document"]: text_of(row)})
    assert all("is not enforced by this release" in error.message for error in errors)
    assert [f"{error.line}:{error.column} {error.message.split(chr(39))[1]}" for error in errors] == row["names"]


def test_every_document_of_the_seeds_is_in_the_table() -> None:
    listed = {row["document"] for table in TABLES.values() for row in table.get("refused", ())}
    assert listed == {file.name for file in DOCUMENTS.iterdir()} - NO_POLICY


def test_every_table_has_rows() -> None:
    assert len(TABLES) >= 10
    assert all(table.get("cases") or table.get("refused") for table in TABLES.values())
