"""What passes between the gate and a worker that inspects: jobs one way, answers the other.

Rules of this module:
* A frame is a length and its bytes. Numbers survive exactly both ways.
* Jobs are pickles: quick, written no further than they may be long, and made by the gate alone, on a socket pair no
  other process has. What a worker reads may hold plain data only all the same.
* Answers are strict JSON: they come from the process that looks at hostile data, and reading them must never make the
  gate run, allocate or believe anything, even if that process were taken over.
* A message that was not changed is not sent back.
"""

from __future__ import annotations

import io
import pickle
import struct
from dataclasses import dataclass
from typing import Any

from policies.model import Do, FieldRule, OutputRules, SameRule
from proxy.wire.strict_json import JsonLimits, SpelledNumber, read, write
from redaction.model import Finding, Inspection, Outcome, Redaction

FRAME_BYTES_MAX = 256 * 1024 * 1024
LENGTH = struct.Struct(">I")

_ANSWER_LIMITS = JsonLimits(
    bytes_max=FRAME_BYTES_MAX,
    depth_max=250,
    keys_max=10_000_000,
    key_bytes_max=FRAME_BYTES_MAX,
    number_chars_max=FRAME_BYTES_MAX,
)


@dataclass(frozen=True, slots=True)
class Job:
    """One message to inspect. `rules` and `schema` are frames of their own, so that a worker can know them again."""

    rules: bytes
    surface: str
    schema: bytes
    message: Any

    def frame(self, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
        """The job written, or as much of it as tells that it is too large.

        Raises: FrameTooLarge; pickle.PicklingError, TypeError, RecursionError for what is not JSON or far too deep.
        """
        sink = _Sink(bytes_max)
        pickle.Pickler(sink, protocol=5).dump((self.rules, self.surface, self.schema, self.message))
        return sink.parts[0] if len(sink.parts) == 1 else b"".join(sink.parts)


class FrameTooLarge(Exception):
    """What was written so far is more than was allowed."""


class _Sink:
    """Where a pickle goes, piece by piece: a step of Python in between lets other threads run, and sees the size."""

    __slots__ = ("_left", "parts")

    def __init__(self, bytes_max: int) -> None:
        self.parts: list[bytes] = []
        self._left = bytes_max

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise FrameTooLarge
        self.parts.append(bytes(data))


def rules_frame(rules: OutputRules) -> bytes:
    """Output rules as plain data."""
    fields = [(one.path, one.do.value, one.reason, one.keep_last) for one in rules.fields]
    same = [(one.path, one.expected, one.otherwise.value) for one in rules.same]
    detect = [(kind, do.value) for kind, do in rules.detect.items()]
    return pickle.dumps(
        (fields, detect, rules.default_do.value, same, rules.always_review, rules.keep_last), protocol=5
    )


def rules_of(frame: bytes) -> OutputRules:
    """The rules a frame tells of, without the names of the policies they came from."""
    fields, detect, default_do, same, always_review, keep_last = read_frame(frame)
    return OutputRules(
        fields=tuple(FieldRule(path, Do(do), reason, keep) for path, do, reason, keep in fields),
        detect={kind: Do(do) for kind, do in detect},
        default_do=Do(default_do),
        same=tuple(SameRule(path, expected, Do(otherwise)) for path, expected, otherwise in same),
        always_review=always_review,
        keep_last=keep_last,
    )


def answer_frame(inspection: Inspection) -> bytes:
    """What a worker answers."""
    return write(
        [
            inspection.outcome.value,
            inspection.message if inspection.outcome is Outcome.REDACT else None,
            [[f.path, f.kind, f.detector, f.score, f.start, f.end] for f in inspection.findings],
            [[r.path, r.kind, r.action, r.reason] for r in inspection.redactions],
            inspection.why,
        ]
    )


def inspection_of(frame: bytes, message: Any) -> Inspection:
    """The inspection a worker's answer tells of; `message` is what was sent, and stands for itself unless redacted.

    Raises: ValueError, TypeError, for what is not an answer.
    """
    answer = read(frame, _ANSWER_LIMITS, exact=True)
    if not isinstance(answer, list):
        raise TypeError("an answer is a list")
    outcome, redacted, findings, redactions, why = answer
    if not isinstance(findings, list) or not isinstance(redactions, list) or not isinstance(why, str):
        raise TypeError("an answer has findings, redactions and a sentence")
    done = Outcome(str(outcome))
    if done is Outcome.REDACT and type(redacted) is not type(message):
        raise TypeError("a redacted message is of the kind that was sent")
    return Inspection(
        done,
        {Outcome.ALLOW: message, Outcome.REDACT: redacted, Outcome.QUARANTINE: None}[done],
        tuple(map(_finding, findings)),
        tuple(map(_redaction, redactions)),
        why,
    )


def _finding(value: Any) -> Finding:
    match value:
        case [str(), str(), str(), float() | int() as score, int() | None, int() | None] if not isinstance(score, bool):
            return Finding(*value)
    raise TypeError("a finding is a list of six")


def _redaction(value: Any) -> Redaction:
    match value:
        case [str(), str(), str(), str()]:
            return Redaction(*value)
    raise TypeError("a redaction is a list of four")


class _PlainReader(pickle.Unpickler):
    """Numbers that keep their spelling are the only objects a frame may hold."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) == (SpelledNumber.__module__, SpelledNumber.__name__):
            return SpelledNumber
        raise pickle.UnpicklingError(f"a frame names {module_name}.{global_name}")


def read_frame(frame: bytes) -> Any:
    """Raises: pickle.UnpicklingError and what a broken pickle raises (ValueError, EOFError …)."""
    return _PlainReader(io.BytesIO(frame)).load()
