"""The second look over a redacted message."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from policies.model import Do
from redaction.apply import Origin, Plan
from redaction.model import Surface
from redaction.residue import plan_residue
from redaction.walk import WalkLimits, walk
from tests.redaction.builders import CODEC, result

BY_RULE = Origin("field", "not for agents", is_field_rule=True)
BY_DETECTOR = Origin("US_SSN", "PII detected", is_field_rule=False)


def looked_again(message: Any, surface: Surface = Surface.RESULT, **taken_out: Origin) -> Plan:
    plan = Plan(surface, {}, Do.REPLACE, 4, taken_out=dict(taken_out))
    plan_residue(plan, walk(message, codec=CODEC, limits=WalkLimits()))
    return plan


def test_nothing_left_is_nothing_to_do() -> None:
    plan = looked_again(result("all is well"), secret_name=BY_RULE)
    assert (plan.edits.values, plan.quarantines, plan.changes) == ({}, [], [])


def test_every_occurrence_in_words_is_replaced_and_told() -> None:
    plan = looked_again(result("Ann and Anns, Ann", structured={"x": "Ann"}), Ann=BY_RULE)
    assert plan.edits.values == {
        ("result", "content", 0, "text"): "[REDACTED] and [REDACTED]s, [REDACTED]",
        ("result", "structuredContent", "x"): "[REDACTED]",
    }
    assert {change.reason for change in plan.changes} == {"not for agents"}


def test_a_longer_value_goes_before_a_shorter_one_in_it() -> None:
    plan = looked_again(result("Ann Lee"), **{"Ann": BY_RULE, "Ann Lee": BY_RULE})
    assert list(plan.edits.values.values()) == ["[REDACTED]"]


def test_a_number_is_replaced_if_it_is_the_value() -> None:
    message = result(structured={"a": 536904399, "b": 15369043991})
    assert looked_again(message, **{"536904399": BY_DETECTOR}).edits.values == {
        ("result", "structuredContent", "a"): "[REDACTED]"
    }


def test_keys_are_renamed_for_values_long_enough_to_tell() -> None:
    message = result(structured={"ann-lee-1970": 1, "text": 2})
    plan = looked_again(message, **{"ann-lee-1970": BY_RULE, "text": BY_RULE})
    assert plan.edits.keys == {("result", "structuredContent", "ann-lee-1970"): "[REDACTED]"}
    assert plan.masked_keys == {"ann-lee-1970": "[REDACTED]"}


@pytest.mark.parametrize(
    ("value", "origin", "surface", "quarantines"),
    [
        ("ann-lee-1970", BY_RULE, Surface.RESULT, True),
        ("ann", BY_RULE, Surface.RESULT, False),
        ("536-90-4399", BY_DETECTOR, Surface.RESULT, True),
        ("536-90-4399", BY_DETECTOR, Surface.LISTING, False),
        ("10.0.0.5", Origin("IP_ADDRESS", "", is_field_rule=False), Surface.RESULT, False),
    ],
)
def test_names_and_cursors_cannot_be_rewritten(value: str, origin: Origin, surface: Surface, quarantines: bool) -> None:
    link = result({"type": "resource_link", "uri": f"crm://{value}", "name": "n"})
    assert bool(looked_again(link, surface, **{value: origin}).quarantines) is quarantines
    cursor = result(nextCursor=f"after {value}")
    assert bool(looked_again(cursor, surface, **{value: origin}).quarantines) is quarantines


def test_the_agents_own_request_id_is_its_own() -> None:
    message = {"jsonrpc": "2.0", "id": "ann-lee-1970", "result": {}}
    assert looked_again(message, **{"ann-lee-1970": BY_RULE}).quarantines == []


def test_a_field_that_is_allowed_keeps_what_a_detector_took_out_elsewhere() -> None:
    message = {"contact": "a@b.co", "note": "a@b.co"}
    plan = Plan(Surface.RESULT, {}, Do.REPLACE, 4, taken_out={"a@b.co": BY_DETECTOR}, allowed={("contact",)})
    plan_residue(plan, walk(message, codec=CODEC, limits=WalkLimits()))
    assert plan.edits.values == {("note",): "[REDACTED]"}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("earns 120000 a year", "earns [REDACTED] a year"),
        ("earns 120000.00.", "earns [REDACTED]."),
        ("EUR120000", "EUR[REDACTED]"),
        ("order 1200001, 0.120000 and 120000.5", None),
        ("9,120000", None),
    ],
)
def test_a_short_number_of_a_field_rule_is_looked_for_in_words_as_a_number(text: str, left: str | None) -> None:
    number = BY_RULE._replace(is_short_number=True)
    edits = looked_again(result(text), **{"120000": number}).edits.values
    assert edits == ({} if left is None else {("result", "content", 0, "text"): left})


def test_thousands_of_values_left_in_words_are_all_taken_out_in_time() -> None:
    names = [f"customer-{number}@example.com" for number in range(4_000)]
    message = result(" ".join(names), structured=[{"n": f"row {number}"} for number in range(20_000)])
    started = process_time()
    plan = looked_again(message, **dict.fromkeys(names, BY_RULE))
    assert set(plan.edits.values[("result", "content", 0, "text")].split()) == {"[REDACTED]"}
    assert process_time() - started < 10  # one by one in each text: half a minute
