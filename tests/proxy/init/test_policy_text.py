"""The policy that is written for a server: it loads without advice, its cases hold, and nothing else is free."""

from __future__ import annotations

from datetime import UTC, datetime

from policies.check import check
from policies.decide import decide
from policies.model import Agent, ToolCall, ToolDefinition
from policies.schema import load_snapshot
from proxy.init.policy_text import Chosen, cases, policy

AT = datetime(2026, 11, 21, tzinfo=UTC)
TOOLS = ("read_file", "write_file", "wipe", "odd name*", "a/b")


def effect(text: str, tool: str, *, method: str = "tools/call", annotations: dict[str, bool] | None = None) -> str:
    definition = ToolDefinition(tool, "d", {"type": "object"}, annotations=annotations or {})
    known = definition if method == "tools/call" else None
    call = ToolCall("files", tool, {}, Agent("a"), method=method, definition=known)
    return decide(call, load_snapshot({"files.yaml": text}), at=AT).effect.value


def test_the_policy_loads_without_advice_and_its_cases_hold() -> None:
    for chosen in (
        Chosen("files", TOOLS, frozenset({"read_file"}), frozenset({"wipe"})),
        Chosen("files", TOOLS),
        Chosen("files"),
        Chosen("yes", ("null", "1e3"), frozenset({"null"})),
    ):
        files = {"f.yaml": policy(chosen, "../policy.schema.json"), "f_test.yaml": cases(chosen)}
        report, code = check(files)
        assert (code, "advice" in report) == (0, False), report


def test_p09_only_tools_that_the_operator_named_run_unasked_whatever_they_say_of_themselves() -> None:
    text = policy(Chosen("files", TOOLS, frozenset({"read_file"}), frozenset({"wipe"})), None)
    assert effect(text, "read_file") == "allow"
    assert effect(text, "wipe") == "deny"
    for tool in ("write_file", "odd name*", "a_tool_of_tomorrow", "read_file2"):
        assert effect(text, tool, annotations={"readOnlyHint": True}) == "require_approval"
    assert effect(text, "a/b") == "deny"
    assert effect(text, "mcp.resources/read", method="resources/read") == "deny"


def test_names_that_are_not_plain_are_never_written() -> None:
    text = policy(Chosen("files", TOOLS), None) + cases(Chosen("files", TOOLS))
    assert "odd" not in text
    assert "a/b" not in text
