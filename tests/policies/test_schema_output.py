"""`output` as written: fields, kinds, sameness, and what cannot be meant."""

from __future__ import annotations

from textwrap import dedent

import pytest

from policies.json_path import parse
from policies.model import Do, FieldRule
from policies.schema import load_snapshot
from policies.snapshot import OutputRule, SameAs
from tests.policies.builders import errors_of, snapshot

SEED = """
    output:
      - id: customer-data
        match: {topics: ["job.support.*"]}
        fields:
          - {path: "$..ssn", do: replace, reason: PII detected}
          - {path: $.internal_notes, do: remove, reason: Internal}
        detect: {US_SSN: redact, aws_access_key: quarantine, PERSON: allow, "*": mask}
        always: review
        same: {path: "$..tenant_id", as: $.args.tenant_id, else: quarantine}
        keep_last: 2
"""


def rule(text: str) -> OutputRule:
    return snapshot(text).output[0]


def test_the_shape_of_the_seeds_is_read() -> None:
    read = rule(SEED)
    assert (read.ref, read.always_review, read.keep_last) == ("p1.yaml#customer-data", True, 2)
    assert read.fields == (
        FieldRule("$..ssn", Do.REPLACE, "PII detected"),
        FieldRule("$.internal_notes", Do.REMOVE, "Internal"),
    )
    assert read.detect == {"US_SSN": Do.REPLACE, "aws_access_key": Do.QUARANTINE, "PERSON": Do.ALLOW, "*": Do.MASK}
    assert read.same == (SameAs("$..tenant_id", parse("$.args.tenant_id"), Do.QUARANTINE),)


def test_what_is_not_said_has_defaults() -> None:
    read = rule("output: [{fields: [{path: $.a, do: mask}], same: [{path: $.b, as: $.args.b}]}]")
    assert read.ref == "p1.yaml#output-1"
    assert read.fields == (FieldRule("$.a", Do.MASK, "", 4),)
    assert read.same[0].otherwise is Do.QUARANTINE
    assert (read.detect, read.always_review, read.keep_last) == ({}, False, None)
    assert rule("output: [{fields: [{path: $.a, do: mask, keep_last: 0}]}]").fields[0].keep_last == 0


def test_kinds_are_checked_where_they_are_known() -> None:
    text = dedent(SEED)
    assert load_snapshot({"a": text}, detector_kinds={"US_SSN", "PERSON", "aws_access_key"}).output
    assert errors_of(SEED, detector_kinds={"US_SSN", "PERSON"}) == [
        "p1.yaml:8:30: unknown key 'aws_access_key' in detect (valid here: PERSON, US_SSN)"
    ]


def test_a_mistake_in_a_match_is_told_of_once() -> None:
    assert errors_of("output: [{match: {topic: x}, always: review}]") == [
        "p1.yaml:1:19: unknown key 'topic' in match (did you mean 'topics'?)"
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{match: {tools: a}}", "p1.yaml:1:10: an output rule that does nothing (add fields, detect, always or same)"),
        ("a", "an output rule must be a map of keys, not text"),
        ("{always: true}", "always must be one of review, not true"),
        ("{always: release}", "always cannot be 'release'"),
        ("{fields: []}", "fields must be a list with at least one item"),
        ("{fields: [{path: $.a}]}", "p1.yaml:1:20: it lacks 'do'"),
        ("{fields: [{do: mask}]}", "it lacks 'path'"),
        ("{fields: [5]}", "fields must be a map of keys, not a number"),
        ("{fields: [{path: a, do: mask}]}", "a path begins with $"),
        ("{fields: [{path: 5, do: mask}]}", "path must be text"),
        ("{fields: [{path: $.a, do: drop}]}", "do cannot be 'drop'"),
        ("{fields: [{path: $.a, do: allow}]}", "do cannot be 'allow'"),
        ("{fields: [{path: $.a, do: mask, keep_last: 65}]}", "keep_last must be a whole number from 0 to 64"),
        ("{fields: [{path: $.a, do: mask, why: x}]}", "unknown key 'why' in fields"),
        ("{detect: {}}", "an empty detect"),
        ("{detect: US_SSN}", "detect must be a map of keys, not text"),
        ("{detect: {US_SSN: block}}", "US_SSN cannot be 'block'"),
        ("{detect: {'US SSN': redact}}", "'US SSN' cannot be a kind of finding"),
        ("{same: 5}", "same must be a list"),
        ("{same: {path: $.a}}", "it lacks 'as'"),
        ("{same: {path: $.a, as: $.b}}", "p1.yaml:1:33: 'as' begins with $.args."),
        ("{same: {path: $.a, as: $.args.b, else: allow}}", "else cannot be 'allow'"),
        ("{same: [7]}", "same must be a map of keys, not a number"),
        ("{id: '9', always: review}", "'9' cannot be an id"),
        ("{id: a, always: review}, {id: a, always: review}", "a second output rule with the id 'a'"),
        ("{alway: review}", "unknown key 'alway' in an output rule (did you mean 'always'?)"),
    ],
)
def test_what_cannot_be_meant_does_not_load(text: str, error: str) -> None:
    assert any(error in one for one in errors_of(f"output: [{text}]"))
