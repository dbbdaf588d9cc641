"""From what was found to what is changed: which operator, where, and how it is told.

Rules of this module:
* Overlapping finds are one: the union of their spans is redacted, by the strictest operator any of them asks for.
* A field rule that allows lifts only the default: a kind that an output rule names is treated as that rule says.
* Names, URIs and other identifiers are never rewritten. A secret in one quarantines the message; so do an e-mail, an
  SSN, a card or an IBAN, except in listings, whose names the agent must be able to use.
* A value taken out in one place is noted, so that residue.py can look for it everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from policies.model import Do, FieldRule, SameRule
from redaction.detectors.base import Hit
from redaction.detectors.secret_rules import SECRET_KINDS
from redaction.fields import Meant
from redaction.model import Surface
from redaction.operators import REDACTED, REMOVED, number_text, on_text, on_value, strictest
from redaction.paths import Path
from redaction.rebuild import Edits
from redaction.shape import Role
from redaction.walk import NUMBER_DIGITS_MIN, Form, Leaf

IDENTIFYING_KINDS = frozenset({"EMAIL_ADDRESS", "US_SSN", "CREDIT_CARD", "IBAN_CODE"})
FIELD_KIND = "field"
FIELD_DETECTOR = "field_rule"
SAME_KIND = "same"
FIELD_TEXT_CHARS_MIN = 4
FIELD_DIGITS_MIN = 4
NESTED_TEXT_CHARS_MIN = 8


class Change(NamedTuple):
    """One change, before its path is written out."""

    path: Path
    kind: str
    do: Do
    reason: str


class Seen(NamedTuple):
    """One find, before its path is written out. `hit` None: the whole field."""

    path: Path
    kind: str
    detector: str
    hit: Hit | None


class Origin(NamedTuple):
    """Why a value was taken out: told again wherever else it is found."""

    kind: str
    reason: str
    is_field_rule: bool
    is_short_number: bool = False  # looked for as a number, not as a part of another one


@dataclass(slots=True)
class Plan:
    """What is to happen to one message. `detect` is by lower-case kind."""

    surface: Surface
    detect: Mapping[str, Do]
    default_do: Do
    keep_last: int

    edits: Edits = field(default_factory=Edits)
    seen: list[Seen] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    taken_out: dict[str, Origin] = field(default_factory=dict)
    allowed: set[Path] = field(default_factory=set)  # subtrees a field rule exempts from the default
    masked_keys: dict[str, str] = field(default_factory=dict)
    quarantines: list[str] = field(default_factory=list)  # why, each a sentence


def plan_fields(plan: Plan, meant: Iterable[Meant], can_remove: Callable[[Path], bool]) -> None:
    """Field rules and same rules, all of them: where several mean one value, the strictest is done."""
    wanted: dict[Path, tuple[Do, Meant]] = {}
    for one in meant:
        do = one.rule.do if isinstance(one.rule, FieldRule) else _same_do(one.rule, one.value)
        if do is None:
            continue
        if do is Do.ALLOW:
            plan.allowed.add(one.path)
        elif one.path not in wanted or strictest(do, wanted[one.path][0]) is not wanted[one.path][0]:
            wanted[one.path] = (do, one)
    goes = {path for path, (do, one) in wanted.items() if do is not Do.QUARANTINE and one.value is not None}
    for path, (do, one) in wanted.items():
        # What goes with a value above it is not a change of its own.
        _plan_field(plan, path, do, one, can_remove, is_moot=bool(path) and is_below(path[:-1], goes))


def _plan_field(
    plan: Plan, path: Path, do: Do, one: Meant, can_remove: Callable[[Path], bool], *, is_moot: bool
) -> None:
    rule, kind, reason, keep_last = one.rule, SAME_KIND, "the value is not the call's own", 0
    if isinstance(rule, FieldRule):
        kind, reason, keep_last = FIELD_KIND, rule.reason or "withheld by an output rule", rule.keep_last
    if do is Do.QUARANTINE:
        plan.seen.append(Seen(path, kind, FIELD_DETECTOR, None))
        plan.quarantines.append(f"output rule {rule.path!r}: {reason}")
        return
    if do is Do.REMOVE and not can_remove(path):
        do = Do.REPLACE
    edited = on_value(one.value, do, keep_last)
    if edited is not REMOVED and type(edited) is type(one.value) and edited == one.value:
        return
    plan.seen.append(Seen(path, kind, FIELD_DETECTOR, None))
    if not is_moot:
        plan.edits.values[path] = edited
        plan.changes.append(Change(path, kind, do, reason))
    _note_taken_out(plan, one.value, Origin(kind, reason, is_field_rule=True), FIELD_TEXT_CHARS_MIN)


def _same_do(rule: SameRule, value: Any) -> Do | None:
    return None if _is_same(rule.expected, value) else rule.otherwise


def _is_same(expected: Any, value: Any) -> bool:
    """Equality of JSON values: true is not 1, and 1.0 is 1."""
    if isinstance(expected, bool) or isinstance(value, bool):
        return expected is value
    if isinstance(expected, list) and isinstance(value, list):
        return len(expected) == len(value) and all(map(_is_same, expected, value))
    if isinstance(expected, dict) and isinstance(value, dict):
        return expected.keys() == value.keys() and all(_is_same(expected[key], value[key]) for key in expected)
    return bool(expected == value)


def _note_taken_out(plan: Plan, value: Any, origin: Origin, chars_min: int) -> None:
    """Remember the texts of a value that was taken out; inside a structure only those long enough to tell."""
    if isinstance(value, str):
        if len(value) >= chars_min:
            _take_out(plan, value, origin)
    elif isinstance(value, dict):
        for child in value.values():
            _note_taken_out(plan, child, origin, NESTED_TEXT_CHARS_MIN)
    elif isinstance(value, list):
        for child in value:
            _note_taken_out(plan, child, origin, NESTED_TEXT_CHARS_MIN)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        text = number_text(value)
        digits = sum(map(str.isdigit, text))
        if digits >= FIELD_DIGITS_MIN:
            _take_out(plan, text, origin._replace(is_short_number=digits < NUMBER_DIGITS_MIN))


def _take_out(plan: Plan, text: str, origin: Origin) -> None:
    if text not in REDACTED and text.strip("*"):  # what an operator leaves behind is no value
        plan.taken_out.setdefault(text, origin)


def plan_hits(plan: Plan, leaf: Leaf, hits: Sequence[Hit], can_remove: Callable[[Path], bool], *, again: bool) -> None:
    """What the detectors saw in one leaf. `again`: in the redacted message, where what is allowed was told before."""
    if leaf.form is Form.KEY:
        plan.masked_keys[leaf.text] = redact_spans(leaf.text, [(hit, Do.REPLACE) for hit in hits], 0)
    deeds = [(hit, _do_for(plan, leaf, hit)) for hit in hits]
    told = (hit for hit, do in deeds if not (again and do is Do.ALLOW))
    plan.seen.extend(Seen(leaf.path, hit.kind, hit.detector, hit) for hit in told)
    if plan.surface is Surface.ARGUMENTS:
        return
    for kind in dict.fromkeys(hit.kind for hit, do in deeds if do is Do.QUARANTINE):
        plan.quarantines.append(f"{kind} found")
    changing = [(hit, do) for hit, do in deeds if do not in (Do.ALLOW, Do.QUARANTINE)]
    if leaf.role is not Role.DATA:
        kinds = dict.fromkeys(hit.kind for hit, _ in changing if may_not_be_named(hit.kind, plan.surface))
        plan.quarantines.extend(f"{kind} found in a name or address that cannot be rewritten" for kind in kinds)
    elif changing and not is_below(leaf.path, plan.edits.values):  # a field rule has spoken there
        _plan_leaf(plan, leaf, changing, can_remove)


def may_not_be_named(kind: str, surface: Surface) -> bool:
    """Whether a kind quarantines in names, URIs and what else cannot be rewritten."""
    return kind in SECRET_KINDS or (kind in IDENTIFYING_KINDS and surface is not Surface.LISTING)


def redact_spans(text: str, spans: Iterable[tuple[Hit, Do]], keep_last: int) -> str:
    """The text with every span redacted; overlapping ones as one, by the strictest operator."""
    merged: list[tuple[int, int, Do]] = []
    for hit, do in sorted(spans, key=lambda one: (one[0].start, one[0].end)):
        if merged and hit.start < merged[-1][1]:
            start, end, before = merged[-1]
            merged[-1] = (start, max(end, hit.end), strictest(before, do))
        else:
            merged.append((hit.start, hit.end, do))
    parts, position = [], 0
    for start, end, do in merged:
        parts += [text[position:start], on_text(text[start:end], do, keep_last)]
        position = end
    return "".join([*parts, text[position:]])


def reason_for(kind: str) -> str:
    """The words of the record for a kind that a detector found."""
    return "secret detected" if kind in SECRET_KINDS else "PII detected"


def _do_for(plan: Plan, leaf: Leaf, hit: Hit) -> Do:
    named = plan.detect.get(hit.kind.lower())
    if named is not None:
        return named
    return Do.ALLOW if is_below(leaf.path, plan.allowed) else plan.default_do


def is_below(path: Path, places: Container[Path]) -> bool:
    """True if one of the places is the path itself or above it."""
    return any(path[:length] in places for length in range(len(path) + 1))


def _plan_leaf(plan: Plan, leaf: Leaf, changing: Sequence[tuple[Hit, Do]], can_remove: Callable[[Path], bool]) -> None:
    do = strictest(*(do for _, do in changing))
    is_key = leaf.form is Form.KEY
    is_removed = do is Do.REMOVE and not is_key and can_remove(leaf.path)
    if is_removed:
        plan.edits.values[leaf.path] = REMOVED
    elif is_key:
        plan.edits.keys[leaf.path] = redact_spans(leaf.text, [(hit, Do.REPLACE) for hit, _ in changing], 0)
    elif leaf.form is Form.NUMBER:  # a part of a number is no number: all of it is redacted
        plan.edits.values[leaf.path] = on_text(leaf.text, do, plan.keep_last)
    else:
        redacted = redact_spans(leaf.text, changing, plan.keep_last)
        if redacted == leaf.text:  # masked before
            return
        plan.edits.values[leaf.path] = redacted
    for hit, one in changing:
        done = Do.REMOVE if is_removed else Do.REPLACE if is_key or one is Do.REMOVE else one
        reason = reason_for(hit.kind)
        plan.changes.append(Change(leaf.path, hit.kind, done, reason))
        _take_out(plan, leaf.text[hit.start : hit.end], Origin(hit.kind, reason, is_field_rule=False))
