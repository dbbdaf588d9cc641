"""What passes between gate and worker: exact both ways, and nothing but plain data."""

from __future__ import annotations

import os
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.model import Do, FieldRule, OutputRules, SameRule
from proxy.inspector_frames import FrameTooLarge, Job, answer_frame, inspection_of, read_frame, rules_frame, rules_of
from proxy.wire import strict_json
from redaction.model import Finding, Inspection, Outcome, Redaction

FINDING = Finding("$", "k", "d", 0.5, 1, 2)
MESSAGE = {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_a_job_keeps_numbers_exactly() -> None:
    text = b'{"big":123456789012345678901234567890,"spelled":1.10,"e":1e5,"minus":-0,"f":0.1,"t":true,"s":"\xc3\xa9"}'
    job = Job(b"rules", "result", b"", strict_json.read(text, exact=True))
    rules, surface, schema, message = read_frame(job.frame())
    assert (rules, surface, schema, strict_json.write(message)) == (b"rules", "result", b"", text)


def test_rules_survive_but_for_the_names_of_their_policies() -> None:
    rules = OutputRules(
        fields=(FieldRule("$..ssn", Do.MASK, "why", 2),),
        detect={"US_SSN": Do.REPLACE, "jwt": Do.QUARANTINE},
        default_do=Do.ALLOW,
        same=(SameRule("$.t", ["x", {"y": 1}], Do.REMOVE),),
        always_review=True,
        keep_last=3,
    )
    assert rules_of(rules_frame(rules)) == rules
    assert rules_of(rules_frame(OutputRules(determining=("p#r",)))) == OutputRules()


def test_equal_rules_are_equal_frames() -> None:
    assert rules_frame(OutputRules(detect={"a": Do.MASK})) == rules_frame(OutputRules(detect={"a": Do.MASK}))


@pytest.mark.parametrize(
    ("inspection", "back"),
    [
        (Inspection(Outcome.ALLOW, MESSAGE), Inspection(Outcome.ALLOW, MESSAGE)),
        (
            Inspection(
                Outcome.REDACT, {"x": 1}, (Finding("$", "k", "d", 0.5, 1, 2),), (Redaction("a", "b", "c", "d"),)
            ),
            Inspection(
                Outcome.REDACT, {"x": 1}, (Finding("$", "k", "d", 0.5, 1, 2),), (Redaction("a", "b", "c", "d"),)
            ),
        ),
        (Inspection(Outcome.QUARANTINE, why="why"), Inspection(Outcome.QUARANTINE, why="why")),
    ],
)
def test_an_answer_survives(inspection: Inspection, back: Inspection) -> None:
    assert inspection_of(answer_frame(inspection), MESSAGE) == back


def test_a_message_that_was_not_changed_is_the_one_that_was_sent() -> None:
    frame = answer_frame(Inspection(Outcome.ALLOW, {"another": "message"}))
    assert inspection_of(frame, MESSAGE).message is MESSAGE
    assert b"another" not in frame


def test_a_quarantined_message_is_not_in_the_answer() -> None:
    frame = answer_frame(Inspection(Outcome.QUARANTINE, {"secret": "x"}, why="why"))
    assert b"secret" not in frame


class Command:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.system, ("touch /tmp/never",))


@pytest.mark.parametrize("value", [Command(), OutputRules(), Do.MASK, os.getcwd, [Command()]])
def test_a_frame_can_hold_nothing_but_data(value: Any) -> None:
    with pytest.raises(pickle.UnpicklingError, match="a frame names"):
        read_frame(pickle.dumps(value))


@given(st.binary(max_size=60))
def test_a_broken_answer_is_an_error_and_nothing_else(noise: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        inspection_of(noise, MESSAGE)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        ["allow"],
        ["novel", None, [], [], ""],
        ["redact", 1, [[1]], [], ""],
        ["redact", 1, ["abcdef"], [], ""],
        ["redact", 1, [], ["abcd"], ""],
        ["redact", None, [], [], ""],
        ["redact", "a text for an object", [], [], ""],
        ["redact", {}, [[{"path": 1}, "k", "d", 1.0, None, None]], [], ""],
        ["redact", {}, [["$", "k", "d", "high", None, None]], [], ""],
        ["redact", {}, [["$", "k", "d", 1.0, "0", None]], [], ""],
        ["redact", {}, [["$", "k", "d", True, 0, 1]], [], ""],
        ["redact", {}, [["$", "k", "d"]], [], ""],
        ["redact", {}, [], [["a", "b", "c", ["d"]]], ""],
        ["redact", {}, [], [["a", "b", "c"]], ""],
        ["allow", None, [], [], None],
        ["allow", None, {}, {}, ""],
        7,
        {},
    ],
)
def test_an_answer_of_another_shape_is_an_error(answer: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        inspection_of(strict_json.write(answer), MESSAGE)


def test_a_redacted_message_keeps_its_numbers_exactly() -> None:
    text = b'{"big":123456789012345678901234567890,"spelled":1.10,"minus":-0}'
    message = strict_json.read(text, exact=True)
    back = inspection_of(answer_frame(Inspection(Outcome.REDACT, message)), MESSAGE)
    assert strict_json.write(back.message) == text


def test_what_is_no_data_cannot_be_sent() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        Job(b"", "result", b"", deep).frame()


def test_p14_a_frame_is_written_no_further_than_it_may_be_long() -> None:
    job = Job(b"rules", "result", b"", {"text": "x" * 300_000})
    frame = job.frame()
    assert job.frame(len(frame)) == job.frame(len(frame) + 1) == frame
    with pytest.raises(FrameTooLarge):
        job.frame(len(frame) - 1)
