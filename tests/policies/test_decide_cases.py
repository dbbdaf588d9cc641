"""Decision tables in YAML: `tests/cases/policies/` and the seeds' own examples in `tests/cases/seeds/` (SEMANTICS §6).

A table is `{note, files: {name: text}, cases: [{note, call, facts, at, want}]}`; `want` names the effect and the rules,
and any of reason, facts, errors and approval. A table of `refused` files names the places and keys that keep each from
loading.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from policies.decide import decide
from policies.model import Agent, Direction, ToolCall
from policies.schema import PolicyErrors, load_snapshot
from policies.yaml_source import load_positioned
from tests.policies.builders import NOON, call

CASES = Path(__file__).parents[1] / "cases"
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
    assert written == {}, "unknown keys in the call"
    return made


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("table", "row"), rows("cases"))
def test_the_table_s_calls_get_what_it_wants(table: dict[str, Any], row: dict[str, Any]) -> None:
    assert set(row) <= {"note", "call", "facts", "at", "want"}
    at = datetime.fromisoformat(row["at"]) if "at" in row else NOON
    decision = decide(call_of(row), load_snapshot(table["files"]), row.get("facts", {}), at=at)
    got = {
        "effect": decision.effect.value,
        "rules": list(decision.determining),
        "reason": decision.reason,
        "facts": dict(decision.facts),
        "errors": list(decision.errors),
        "approval": {key: plain(getattr(decision.approval, key, None)) for key in row["want"].get("approval", ())},
    }
    assert {key: got[key] for key in row["want"]} == row["want"]


@pytest.mark.parametrize(("table", "row"), rows("refused"))
def test_the_table_s_refused_files_name_every_key_that_keeps_them_from_loading(
    table: dict[str, Any], row: dict[str, Any]
) -> None:
    with pytest.raises(PolicyErrors) as raised:
        load_snapshot({"f.yaml": row["file"]})
    places = [f"{error.line}:{error.column} {error.message.split(chr(39))[1]}" for error in raised.value.errors]
    assert places == row["names"]
    assert all("is not enforced by this release" in error.message for error in raised.value.errors)


def test_every_table_has_rows() -> None:
    assert len(TABLES) >= 10
    assert all(table.get("cases") or table.get("refused") for table in TABLES.values())
