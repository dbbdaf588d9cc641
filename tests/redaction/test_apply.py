"""From finds to edits: overlaps, precedence, and what is noted for the second look."""

from __future__ import annotations

from typing import Any

import pytest

from policies.model import Do, FieldRule, SameRule
from redaction.apply import Change, Plan, plan_fields, plan_hits, redact_spans
from redaction.detectors.base import Hit
from redaction.fields import AnyRule, Meant
from redaction.model import Surface
from redaction.operators import REMOVED
from redaction.paths import Path
from redaction.shape import Role
from redaction.walk import Form, Leaf


def plan(surface: Surface = Surface.RESULT, **detect: Do) -> Plan:
    return Plan(surface, {kind.lower(): do for kind, do in detect.items()}, Do.REPLACE, 4)


def hit(start: int, end: int, kind: str = "US_SSN") -> Hit:
    return Hit(kind, "d", 1.0, start, end)


def leaf(text: str, path: Path = ("a",), role: Role = Role.DATA, form: Form = Form.STRING) -> Leaf:
    return Leaf(path, text, "a", role, form)


def with_fields(*rules: tuple[AnyRule, Path, Any]) -> Plan:
    planned = plan()
    plan_fields(planned, [Meant(*rule) for rule in rules], lambda path: isinstance(path[-1], str))
    return planned


def with_hits(one: Leaf, *hits: Hit, planned: Plan | None = None) -> Plan:
    planned = planned or plan()
    plan_hits(planned, one, hits, lambda path: isinstance(path[-1], str), again=False)
    return planned


@pytest.mark.parametrize(
    ("spans", "redacted"),
    [
        ([(0, 2)], "[REDACTED]cdefgh"),
        ([(1, 4), (3, 6)], "a[REDACTED]gh"),
        ([(1, 6), (2, 3)], "a[REDACTED]gh"),
        ([(0, 2), (2, 4)], "[REDACTED][REDACTED]efgh"),
        ([(6, 8), (0, 1)], "[REDACTED]bcdef[REDACTED]"),
        ([], "abcdefgh"),
    ],
)
def test_overlapping_spans_are_one(spans: list[tuple[int, int]], redacted: str) -> None:
    assert redact_spans("abcdefgh", [(hit(*span), Do.REPLACE) for span in spans], 0) == redacted


def test_an_overlap_takes_the_strictest_operator() -> None:
    assert redact_spans("abcdefgh", [(hit(0, 4), Do.MASK), (hit(2, 6), Do.REPLACE)], 0) == "[REDACTED]gh"
    assert redact_spans("abcdefgh", [(hit(0, 4), Do.MASK), (hit(2, 6), Do.MASK)], 2) == "****efgh"


def test_where_several_rules_mean_one_value_the_strictest_is_done() -> None:
    mask, gone = FieldRule("$.a", Do.MASK, "m"), FieldRule("$..a", Do.REMOVE, "r")
    planned = with_fields((mask, ("a",), "secret words"), (gone, ("a",), "secret words"))
    assert planned.edits.values == {("a",): REMOVED}
    assert planned.changes == [Change(("a",), "field", Do.REMOVE, "r")]


def test_a_list_item_is_replaced_where_a_rule_removes() -> None:
    planned = with_fields((FieldRule("$[0]", Do.REMOVE), (0,), "x"))
    assert (planned.edits.values, planned.changes[0].do) == ({(0,): "[REDACTED]"}, Do.REPLACE)


def test_what_was_redacted_before_is_no_change() -> None:
    rule = FieldRule("$.a", Do.REPLACE)
    assert not with_fields((rule, ("a",), "[REDACTED]")).changes
    assert not with_fields((FieldRule("$.a", Do.MASK), ("a",), "****1234")).changes
    assert not with_fields((rule, ("a",), None)).changes


def test_a_quarantining_rule_says_which_and_why() -> None:
    planned = with_fields((FieldRule("$.a", Do.QUARANTINE, "board only"), ("a",), "x"))
    assert (planned.quarantines, planned.changes) == (["output rule '$.a': board only"], [])


@pytest.mark.parametrize(
    ("expected", "value", "is_same"),
    [
        ("x", "x", True),
        ("x", "X", False),
        (1, 1.0, True),
        (1, True, False),
        (True, True, True),
        (0, False, False),
        (None, None, True),
        ([1, {"a": True}], [1.0, {"a": True}], True),
        ([1, {"a": True}], [1, {"a": 1}], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("1", 1, False),
    ],
)
def test_sameness_is_that_of_json(expected: Any, value: Any, is_same: bool) -> None:
    assert bool(with_fields((SameRule("$.a", expected), ("a",), value)).quarantines) is not is_same


@pytest.mark.parametrize(
    ("value", "noted"),
    [
        ("abcd", {"abcd"}),
        ("abc", set()),
        ("****", set()),
        ("REDACTED", set()),
        (1234567, {"1234567"}),
        (123456, {"123456"}),
        (12.34, {"12.34"}),
        (123, set()),
        ({"a": "short", "b": ["long enough"], "c": True}, {"long enough"}),
    ],
)
def test_what_a_field_rule_takes_out_is_noted_for_the_second_look(value: Any, noted: set[str]) -> None:
    assert set(with_fields((FieldRule("$.a", Do.REPLACE), ("a",), value)).taken_out) == noted


def test_what_goes_with_a_value_above_it_is_no_change_of_its_own_and_is_looked_for_all_the_same() -> None:
    above, below = FieldRule("$.a", Do.REPLACE, "r"), FieldRule("$..ssn", Do.REMOVE, "s")
    planned = with_fields((below, ("a", "ssn"), "5369"), (above, ("a",), {"ssn": "5369"}))
    assert planned.edits.values == {("a",): "[REDACTED]"}
    assert planned.changes == [Change(("a",), "field", Do.REPLACE, "r")]
    assert planned.taken_out.keys() == {"5369"}


def test_hits_are_noted_whatever_their_length() -> None:
    assert set(with_hits(leaf("x ::1 y"), hit(2, 5, "IP_ADDRESS")).taken_out) == {"::1"}


def test_a_field_rule_wins_over_detectors() -> None:
    planned = with_fields((FieldRule("$.a", Do.MASK), ("a",), "536-90-4399"))
    with_hits(leaf("536-90-4399"), hit(0, 11), planned=planned)
    assert planned.edits.values == {("a",): "*******4399"}


def test_but_not_over_a_kind_that_quarantines() -> None:
    planned = plan(US_SSN=Do.QUARANTINE)
    plan_fields(planned, [Meant(FieldRule("$.a", Do.REMOVE), ("a",), "536-90-4399")], lambda path: True)
    with_hits(leaf("536-90-4399"), hit(0, 11), planned=planned)
    assert planned.quarantines == ["US_SSN found"]


def test_an_allowing_field_rule_lifts_the_default_and_nothing_more() -> None:
    rule = Meant(FieldRule("$.a", Do.ALLOW), ("a",), {"b": "x"})
    for detect, is_edited in (({}, False), ({"US_SSN": Do.REPLACE}, True)):
        planned = plan(**detect)
        plan_fields(planned, [rule], lambda path: True)
        with_hits(leaf("536-90-4399", ("a", "b")), hit(0, 11), planned=planned)
        assert bool(planned.edits) is is_edited
        assert len(planned.seen) == 1


def test_a_number_is_redacted_whole_and_a_key_is_renamed() -> None:
    assert with_hits(leaf("4111111111111111", form=Form.NUMBER), hit(0, 16)).edits.values == {("a",): "[REDACTED]"}
    planned = with_hits(
        leaf("x 536-90-4399", ("x 536-90-4399",), form=Form.KEY), hit(2, 13), planned=plan(US_SSN=Do.MASK)
    )
    assert planned.edits.keys == {("x 536-90-4399",): "x [REDACTED]"}
    assert planned.masked_keys == {"x 536-90-4399": "x [REDACTED]"}


@pytest.mark.parametrize(
    ("surface", "kind", "quarantines"),
    [
        (Surface.RESULT, "US_SSN", True),
        (Surface.RESULT, "aws_access_key", True),
        (Surface.RESULT, "IP_ADDRESS", False),
        (Surface.LISTING, "US_SSN", False),
        (Surface.LISTING, "aws_access_key", True),
    ],
)
def test_identifiers_are_never_rewritten(surface: Surface, kind: str, quarantines: bool) -> None:
    planned = with_hits(leaf("something", role=Role.IDENTIFIER), hit(0, 9, kind), planned=plan(surface))
    assert (bool(planned.quarantines), bool(planned.edits)) == (quarantines, False)


def test_an_allowed_kind_may_stand_in_an_identifier() -> None:
    planned = plan(EMAIL_ADDRESS=Do.ALLOW)
    with_hits(leaf("mailto:a@b.co", role=Role.IDENTIFIER), hit(7, 13, "EMAIL_ADDRESS"), planned=planned)
    assert planned.quarantines == []
