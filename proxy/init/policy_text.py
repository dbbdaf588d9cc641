"""The policy that `interlock init` writes for one tool server, and its cases: every tool asks a person, but those that
its operator named.

Rules of this module:
* Where the operator said which product the server is, the pack written for that one is its policy instead.
* Pure. Nothing that the server says of its tools decides anything (P9): a tool is free only because the operator named
  it, by its plain name.
* Tools' names come from outside: only plain ones (`wishes.PLAIN_TOOL`) are written; the others ask by the glob.
* The cases state the same in calls, so that whoever changes the policy learns what it changed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from policies.packs import PackEntry, pack_cases, pack_policy
from proxy.agents import yaml_text
from proxy.init.wishes import PLAIN_TOOL

TOMORROW = "a_tool_of_tomorrow"
TIMEOUT_SEC = 14_400


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the operator chose for one server. `tools` is everything that it listed."""

    server: str
    tools: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    denies: frozenset[str] = frozenset()
    pack: str | None = None  # a shipped policy instead of one written here

    def named(self, tools: Collection[str]) -> list[str]:
        """These tools as a policy names them, sorted."""
        return [f"{self.server}/{tool}" for tool in sorted(tools) if PLAIN_TOOL.match(tool)]

    @property
    def asking(self) -> frozenset[str]:
        return frozenset(self.tools) - self.reads - self.denies


def policy(chosen: Chosen, schema: str | None) -> str:
    """The policy's text. `schema`: where an editor finds the schema of policies."""
    server = chosen.server
    lines = [] if schema is None else [f"# yaml-language-server: $schema={schema}"]
    if chosen.pack is not None:
        return "\n".join([*lines, pack_policy(PackEntry(chosen.pack, (server,)))])
    reads, denies, asking = (chosen.named(tools) for tools in (chosen.reads, chosen.denies, chosen.asking))
    lines += [
        f"# What agents may do with the tools of '{server}'. Written by `interlock init`; it is yours to change.",
        "# What no rule speaks for is denied: also this server's resources and prompts, until a rule allows them.",
        "version: v1",
    ]
    if reads or asking or denies:
        lines.append("classify:")
    if reads:
        lines.append(f"  - {{tools: {_list(reads)}, topics: [job.{server}.read], risk_tags: [read], reversible: true}}")
    if asking or denies:
        lines.append(f"  - {{tools: {_list([*asking, *denies])}, topics: [job.{server}.act], risk_tags: [write]}}")
    lines.append("rules:")
    if denies:
        never = f"id: {server}-never, match: {{tools: {_list(denies)}}}, decision: deny, reason: Never by an agent"
        lines.append(f"  - {{{never}}}")
    if reads:
        lines += [
            f"  - id: {server}-reads  # named by you as tools that only look",
            f"    match: {{tools: {_list(reads)}}}",
            "    decision: allow",
            "    reason: Looking changes nothing",
        ]
    lines += [
        f"  - id: {server}-asks  # every other tool of it, also one that it gets tomorrow",
        f'    match: {{tools: ["{server}/*"]}}',
        "    decision: require_approval",
        "    reason: A person decides about everything but reads",
        f"    approval: {{timeout_sec: {TIMEOUT_SEC}, on_timeout: deny}}",
    ]
    return "\n".join(lines) + "\n"


def cases(chosen: Chosen) -> str:
    """The cases' text."""
    server = chosen.server
    if chosen.pack is not None:
        return pack_cases(PackEntry(chosen.pack, (server,)))
    rows = [("only looks: allowed", tool, "allow") for tool in chosen.named(chosen.reads)]
    rows += [("never: denied", tool, "deny") for tool in chosen.named(chosen.denies)]
    rows += [("asks a person", tool, "require_approval") for tool in chosen.named(chosen.asking)]
    rows.append(("a tool that nobody has looked at asks too", f"{server}/{TOMORROW}", "require_approval"))
    lines = [f"note: What the policy of '{server}' must decide. `interlock policy check` runs it.", "cases:"]
    for note, tool, effect in rows:
        lines.append(f'  - {{note: "{note}", call: {{tool: {yaml_text(tool)}}}, want: {{effect: {effect}}}}}')
    read = f"tool: {server}/mcp.resources/read, method: resources/read"
    lines.append(f'  - {{note: "resources are denied", call: {{{read}}}, want: {{effect: deny}}}}')
    return "\n".join(lines) + "\n"


def _list(names: list[str]) -> str:
    return f"[{', '.join(map(yaml_text, names))}]"
