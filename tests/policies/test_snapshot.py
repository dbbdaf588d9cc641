"""Snapshots: known by what is in them, and what is worked out per tool."""

from __future__ import annotations

import dataclasses
import re

import pytest

from policies.model import Direction
from policies.patterns import Naming
from policies.snapshot import digest_of
from tests.policies.builders import snapshot

RULES = """
    rules:
      - {id: asks, match: {topics: ["*"]}, decision: require_approval}
      - {id: frees-glob, match: {tools: ["files/*"]}, decision: allow}
      - {id: frees-all, decision: allow}
      - {id: reads, match: {amount_above: 1}, condition: "amount_usd > 1 AND amount < 9", decision: deny}
"""


def test_the_id_is_the_hash_of_the_files() -> None:
    one = snapshot(RULES)
    assert re.fullmatch(r"v1:[0-9a-f]{12}", one.id)
    assert one.id == f"v1:{one.digest[:12]}"
    assert one.id == snapshot(RULES).id
    assert one.id != snapshot(RULES + "# more\n").id
    assert set(one.files) == {"p1.yaml"}


def test_names_and_texts_cannot_be_shifted_into_one_another() -> None:
    assert digest_of({"a": "bc"}) != digest_of({"ab": "c"})
    assert digest_of({"a": "b", "c": "d"}) == digest_of({"c": "d", "a": "b"})
    assert len(digest_of({})) == 64


def test_a_snapshot_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot(RULES).policies = ()  # type: ignore[misc]


def test_what_is_known_of_a_tool_is_worked_out_once() -> None:
    one = snapshot(RULES)
    profile = one.profile("files", "read", "tools/call", Direction.AGENT_TO_TOOL)
    assert profile is one.profile("files", "read", "tools/call", Direction.AGENT_TO_TOOL)
    assert profile is not one.profile("files", "write", "tools/call", Direction.AGENT_TO_TOOL)


def test_an_unclassified_tool_is_freed_only_by_a_rule_that_names_it() -> None:
    standings = snapshot(RULES).profile("files", "read", "tools/call", Direction.AGENT_TO_TOOL).standings[0]
    assert [(one.why_not, one.naming) for one in standings[:3]] == [
        (None, Naming.NOT),
        (None, Naming.BY_GLOB),
        ("the tool is not classified, and the rule does not name it", Naming.NOT),
    ]


def test_a_rule_knows_its_name_and_every_fact_it_reads() -> None:
    rule = snapshot(RULES).policies[0].rules[3]
    assert rule.ref == "p1.yaml#reads"
    assert rule.facts == ("amount", "amount_usd")
    assert (rule.file, rule.line, rule.column) == ("p1.yaml", 6, 5)


def test_an_output_rule_stands_to_a_tool_as_it_tightens_and_as_it_allows() -> None:
    one = snapshot('output: [{id: o, match: {topics: ["*"]}, detect: {PERSON: allow}}]')
    profile = one.profile("s", "t", "tools/call", Direction.AGENT_TO_TOOL)
    strict, lenient = profile.output[0]
    assert strict.why_not is None
    assert lenient.why_not == "no topic is *"
    assert one.output[0].ref == "p1.yaml#o"
