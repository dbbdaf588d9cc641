"""Cases: calls, and what the policies beside them must decide about each. They stand in files named `*_test.yaml`.

Rules of this module:
* Pure. A case is judged by `decide` as the gate judges; the tool is listed and takes anything unless the case says.
* A file of this name holds cases and nothing else. Rules in it would never be in force, so they are a mistake (P1).
* Every mistake of a case file is named with its place, as in a policy file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from policies.decide import decide
from policies.errors import PolicyErrors
from policies.gate_facts import AT_REST
from policies.model import Agent, Decision, Direction, Effect, Json, ToolCall, ToolDefinition
from policies.reading import Node, Source
from policies.snapshot import PolicySnapshot
from policies.yaml_source import load_positioned

ENDING = "_test.yaml"
TOP_KEYS = ("version", "note", "cases")
CASE_KEYS = ("note", "call", "facts", "at", "want")
CALL_KEYS = ("tool", "args", "agent", "groups", "schema", "listed", "drifted", "method", "direction", "self_reported")
WANT_KEYS = ("effect", "rules", "reason", "veto_window_sec", "review_after")
USUAL_TIME = datetime(2026, 1, 7, 12, tzinfo=UTC)  # a Wednesday, at noon, where a case does not say when
ANYTHING: Mapping[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Case:
    """One call with what is wanted of it. `want` has some of `WANT_KEYS`."""

    file: str
    line: int
    note: str
    call: ToolCall
    facts: Mapping[str, Json]
    at: datetime
    want: Mapping[str, Json]


def is_case_file(name: str) -> bool:
    return name.endswith(ENDING)


def policies_of(files: Mapping[str, str]) -> dict[str, str]:
    """The files of a set that are policies. Raises: PolicyErrors for a case file that is none."""
    read_cases(files)
    return {name: text for name, text in files.items() if not is_case_file(name)}


def read_cases(files: Mapping[str, str]) -> tuple[Case, ...]:
    """Every case of a set's case files, in order. Raises: PolicyErrors."""
    cases: list[Case] = []
    mistakes: list[Any] = []
    for name in sorted(filter(is_case_file, files)):
        try:
            value, positions = load_positioned(files[name], name)
        except PolicyErrors as bad:
            mistakes.extend(bad.errors)
            continue
        source = Source(name, positions)
        cases += _cases(Node(value, source))
        mistakes += source.mistakes
    if mistakes:
        raise PolicyErrors(mistakes)
    return tuple(cases)


def failures(cases: tuple[Case, ...], snapshot: PolicySnapshot) -> Iterator[str]:
    """A line for each case that comes out otherwise than wanted."""
    for case in cases:
        for miss in misses(case, judged(case, snapshot)):
            yield f"{case.file}:{case.line}: {case.note}: {miss}"


def judged(case: Case, snapshot: PolicySnapshot) -> Decision:
    """What is decided about the case's call; a fact of the gate's that the case does not give is at rest."""
    return decide(case.call, snapshot, {**AT_REST, **case.facts}, at=case.at)


def misses(case: Case, decision: Decision) -> Iterator[str]:
    """What of the decision is otherwise than the case wants it."""
    got: dict[str, Json] = {
        "effect": decision.effect.value,
        "rules": list(decision.determining),
        "reason": decision.reason,
        "veto_window_sec": decision.veto_window_sec,
        "review_after": decision.review_after,
    }
    for key, wanted in case.want.items():
        if got[key] != wanted:
            yield f"{key} is {got[key]!r}, and {wanted!r} is wanted"


def _cases(top: Node) -> Iterator[Case]:
    children = top.mapping(TOP_KEYS, f"a file named *{ENDING}, which holds cases and no rules")
    if children is None:
        return
    if "cases" not in children:
        top.mistake(f"no cases in a file named *{ENDING}", "write `cases:`, or rename the file if it is a policy")
        return
    for node in children["cases"].items("cases") or ():
        case = _case(node)
        if case is not None:
            yield case


def _case(node: Node) -> Case | None:
    parts = node.mapping(CASE_KEYS, "a case")
    if parts is None:
        return None
    for key in ("call", "want"):
        if key not in parts:
            node.mistake(f"this case has no {key}")
            return None
    call, want = _call(parts["call"]), _want(parts["want"])
    at = _time(parts["at"]) if "at" in parts else USUAL_TIME
    facts = parts["facts"].mapping(None, "facts") if "facts" in parts else {}
    note = parts["note"].text() if "note" in parts else "a case"
    if call is None or want is None or at is None or facts is None or note is None:
        return None
    line, _ = node.source.positions.value(node.path)
    return Case(node.source.file, line, note, call, {name: one.value for name, one in facts.items()}, at, want)


def _call(node: Node) -> ToolCall | None:
    parts = node.mapping(CALL_KEYS, "a call")
    if parts is None:
        return None
    if "tool" not in parts:
        node.mistake("this call has no tool", "write tool: server/name")
        return None
    name = parts["tool"].text() or ""
    server, slash, tool = name.partition("/")
    if not (server and slash and tool):
        parts["tool"].mistake("a tool is written server/name")
        return None
    before = len(node.source.mistakes)
    groups = [one.text() or "" for one in parts["groups"].items("groups") or ()] if "groups" in parts else []
    for key in ("args", "schema", "self_reported"):
        if key in parts:
            parts[key].mapping(None, key)
    listed, drifted = (_truth(parts, key, usual) for key, usual in (("listed", True), ("drifted", False)))
    agent = (parts["agent"].text() if "agent" in parts else None) or "an-agent"
    method = (parts["method"].text() if "method" in parts else None) or "tools/call"
    way = parts["direction"].choice(Direction) if "direction" in parts else Direction.AGENT_TO_TOOL
    if len(node.source.mistakes) > before or way is None:
        return None
    schema = parts["schema"].value if "schema" in parts else dict(ANYTHING)
    is_defined = listed and method == "tools/call"
    return ToolCall(
        server,
        tool,
        parts["args"].value if "args" in parts else {},
        Agent(agent, tuple(groups)),
        method=method,
        direction=way,
        definition=ToolDefinition(tool, "sha256:case", schema, drifted=drifted) if is_defined else None,
        self_reported=parts["self_reported"].value if "self_reported" in parts else {},
    )


def _truth(parts: Mapping[str, Node], key: str, usual: bool) -> bool:
    return (parts[key].truth() or False) if key in parts else usual


def _want(node: Node) -> dict[str, Json] | None:
    parts = node.mapping(WANT_KEYS, "what a case wants")
    if parts is None:
        return None
    if not parts:
        node.mistake("this case wants nothing", "write want: {effect: …}")
        return None
    before = len(node.source.mistakes)
    if "effect" in parts:
        parts["effect"].choice(Effect)
    if "reason" in parts:
        parts["reason"].text()
    if "rules" in parts and not isinstance(parts["rules"].value, list):
        parts["rules"].mistake("rules must be a list of file#rule")
    return {key: one.value for key, one in parts.items()} if len(node.source.mistakes) == before else None


def _time(node: Node) -> datetime | None:
    hint = 'write a time with its zone, for example "2026-01-07T12:00:00+00:00"'
    try:
        at = datetime.fromisoformat(node.text() or "")
    except ValueError:
        node.mistake("this is no time", hint)
        return None
    if at.tzinfo is None:
        node.mistake("this time has no zone", hint)
        return None
    return at
