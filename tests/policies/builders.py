"""Builders for the tests of policies: calls, tools, snapshots and the errors of files that do not load."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from textwrap import dedent
from typing import Any

from policies.errors import PolicyErrors
from policies.facts import FactType
from policies.model import Agent, Decision, Direction, ToolCall, ToolDefinition
from policies.schema import load_snapshot
from policies.snapshot import PolicySnapshot

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)  # a Wednesday
AMOUNT: dict[str, Any] = {"type": "object", "properties": {"amount": {"type": "number"}}}
ANYTHING: dict[str, Any] = {"type": "object"}


def tool(name: str, schema: dict[str, Any] | None = None, *, drifted: bool = False) -> ToolDefinition:
    return ToolDefinition(name, "sha256:0", ANYTHING if schema is None else schema, drifted=drifted)


def call(
    name: str = "payments/refund",
    arguments: dict[str, Any] | None = None,
    *,
    schema: dict[str, Any] | None = None,
    agent: Agent | None = None,
    is_listed: bool = True,
    drifted: bool = False,
    method: str = "tools/call",
    direction: Direction = Direction.AGENT_TO_TOOL,
) -> ToolCall:
    """A call of `server/tool`; the tool is listed and takes anything unless said otherwise."""
    server, _, tool_name = name.partition("/")
    listed = is_listed and method == "tools/call"
    return ToolCall(
        server,
        tool_name,
        arguments or {},
        agent or Agent("bot"),
        method=method,
        direction=direction,
        definition=tool(tool_name, schema, drifted=drifted) if listed else None,
    )


def snapshot(*texts: str, gate_facts: Mapping[str, FactType] | None = None, **files: str) -> PolicySnapshot:
    """A snapshot of files `p1.yaml`, `p2.yaml` … and of those named."""
    named = {f"p{number}.yaml": dedent(text) for number, text in enumerate(texts, 1)}
    named |= {f"{name}.yaml": dedent(text) for name, text in files.items()}
    return load_snapshot(named, gate_facts=gate_facts or {})


def errors_of(*texts: str, **options: Any) -> list[str]:
    """The errors of files `p1.yaml` … that do not load, as text."""
    try:
        load_snapshot({f"p{number}.yaml": dedent(text) for number, text in enumerate(texts, 1)}, **options)
    except PolicyErrors as bad:
        return [str(error) for error in bad.errors]
    return []


def spoken(decision: Decision) -> tuple[str, tuple[str, ...]]:
    """Effect and determining rules: what most tests are about."""
    return decision.effect.value, decision.determining
