"""Which tools an agent is shown: hidden in doubt, by any file, and as denied only what could not be called anyway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.decide import decide
from policies.model import Agent, Effect
from policies.patterns import SUBJECT_CHARS_MAX
from policies.schema import load_snapshot
from policies.snapshot import PolicySnapshot
from policies.visibility import hidden
from tests.policies.builders import NOON, call, snapshot
from tests.policies.test_decide_properties import AGENTS, NUMBERS, SERVERS, TOOLS, match_parts, policies

CLASSIFY = """
classify:
  - {tools: [crm/read], topics: [job.crm.read], risk_tags: [read], risk: low}
  - {tools: [crm/write], topics: [job.crm.write], risk_tags: [write], risk: high}
"""
LISTED = ("read", "write", "unknown")


def shown(one: PolicySnapshot, agent: Agent | None = None) -> list[str]:
    gone = hidden(one, agent or Agent("bot"), "crm", LISTED)
    return [name for name in LISTED if name not in gone]


@pytest.mark.parametrize(
    ("visibility", "left"),
    [
        ("{hide: [{match: {tools: crm/write}}]}", ["read", "unknown"]),
        ("{hide: [{match: {risk_tags: [write]}}]}", ["read", "unknown"]),
        ("{hide: [{match: {risk_tags: ['*']}}]}", []),  # doubt hides: nobody has said what the unknown one is
        ("{hide: [{match: {topics: ['job.crm.*'], agents: other}}]}", ["read", "write", "unknown"]),
        ("{hide: [{match: {servers: crm}}], show: [{match: {risk_tags: [read]}}]}", ["read"]),
        ("{show: [{match: {risk: low}}]}", ["read"]),
        ("{show: [{match: {servers: crm}}]}", ["read", "write"]),  # and doubt is not shown
        ("{show: [{match: {tools: [crm/unknown]}}]}", ["unknown"]),
        ("{show: [{match: {groups: ops}}], hide: [{match: {servers: crm}}]}", []),
    ],
)
def test_what_is_hidden_and_what_is_excepted(visibility: str, left: list[str]) -> None:
    assert shown(snapshot(f"{CLASSIFY}visibility: {visibility}")) == left


def test_groups_and_agents_see_what_is_theirs() -> None:
    one = snapshot("visibility: {hide: [{match: {servers: crm}}], show: [{match: {tools: 'crm/*', groups: ops}}]}")
    assert shown(one, Agent("bot", groups=("ops",))) == list(LISTED)
    assert shown(one, Agent("bot", groups=("dev",))) == []


def test_what_one_file_hides_another_cannot_show() -> None:
    one = snapshot(
        f"{CLASSIFY}visibility: {{hide: [{{match: {{tools: crm/write}}}}]}}",
        "visibility: {show: [{match: {servers: crm}}]}",
    )
    assert shown(one) == ["read"]


def test_without_visibility_everything_is_shown() -> None:
    assert shown(snapshot("rules: [{decision: deny}]")) == list(LISTED)


def test_a_name_no_pattern_is_matched_against_is_hidden() -> None:
    name = "x" * SUBJECT_CHARS_MAX
    assert hidden(snapshot("visibility: {hide_denied: true}"), Agent("bot"), "crm", [name]) == {name}


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ("[{match: {tools: crm/read}, decision: allow}]", ["read"]),
        ("[{match: {tools: crm/write}, decision: deny}, {decision: require_approval}]", ["read", "unknown"]),
        ("[{match: {tools: 'crm/*', agents: other}, decision: allow}]", []),
        ("[{match: {tools: 'crm/*'}, condition: 'x > 5', decision: deny}, {decision: require_approval}]", [*LISTED]),
        ("[{match: {tools: 'crm/*', x_above: 5}, decision: deny}]", []),  # and whatever else it sends: silence denies
        ("[{match: {hours: {from: '22:00', to: '24:00'}}, decision: deny}, {decision: require_approval}]", [*LISTED]),
    ],
)
def test_denied_tools_are_hidden_only_if_nothing_could_be_sent(rules: str, left: list[str]) -> None:
    facts = "facts: {x: {path: $.args.x, tools: ['crm/*']}}"
    assert shown(snapshot(f"{CLASSIFY}{facts}\nrules: {rules}\nvisibility: {{hide_denied: true}}")) == left


def test_a_default_and_an_autonomy_level_may_speak() -> None:
    assert shown(snapshot(f"{CLASSIFY}default: allow\nvisibility: {{hide_denied: true}}")) == ["read", "write"]
    ladder = "autonomy_levels: {level_0: {rules: [{match: {tools: crm/read}, decision: require_approval}]}}"
    assert shown(snapshot(f"{CLASSIFY}{ladder}\nvisibility: {{hide_denied: true}}")) == ["read"]


@settings(max_examples=100, deadline=None)
@given(policies(), st.sampled_from(SERVERS), st.sampled_from(TOOLS), st.sampled_from(AGENTS), st.data())
def test_what_is_hidden_as_denied_is_denied_whatever_is_sent(
    files: list[dict[str, Any]], server: str, tool: str, agent: str, data: st.DataObject
) -> None:
    files[0]["visibility"] = {"hide_denied": True}
    one = load_snapshot({f"{file['name']}.yaml": json.dumps(file) for file in files})
    if hidden(one, Agent(agent), server, [tool]):
        arguments = data.draw(
            st.fixed_dictionaries({}, optional={n: st.sampled_from(NUMBERS) for n in ("cost", "people")})
        )
        level = data.draw(st.integers(0, 3))
        asked = call(f"{server}/{tool}", arguments, agent=Agent(agent))
        assert decide(asked, one, {"autonomy_level": level}, at=NOON).effect is Effect.DENY


SEEN = {key: match_parts[key] for key in ("tools", "topics", "risk_tags", "servers", "risk", "reversible", "agents")}
visibilities = st.fixed_dictionaries(
    {
        "hide": st.lists(
            st.fixed_dictionaries({"match": st.fixed_dictionaries({}, optional=SEEN).filter(bool)}),
            min_size=1,
            max_size=2,
        )
    },
    optional={"hide_denied": st.booleans()},
)


@settings(max_examples=100, deadline=None)
@given(policies(), visibilities, st.sampled_from(SERVERS), st.sampled_from(AGENTS))
def test_visibility_decides_nothing_and_more_of_it_hides_no_less(
    files: list[dict[str, Any]], more: dict[str, Any], server: str, agent: str
) -> None:
    before = load_snapshot({f"{file['name']}.yaml": json.dumps(file) for file in files})
    files[-1]["visibility"] = {"hide_denied": True}
    some = load_snapshot({f"{file['name']}.yaml": json.dumps(file) for file in files})
    files[0]["visibility"] = more
    after = load_snapshot({f"{file['name']}.yaml": json.dumps(file) for file in files})
    assert hidden(some, Agent(agent), server, TOOLS) <= hidden(after, Agent(agent), server, TOOLS)
    for tool in TOOLS:
        asked = call(f"{server}/{tool}", {"cost": 50}, agent=Agent(agent))
        levels = {"autonomy_level": 0}
        assert decide(asked, before, levels, at=NOON).effect is decide(asked, after, levels, at=NOON).effect
