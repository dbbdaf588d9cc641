"""The second look: is anything that was taken out still somewhere in the redacted message?

Rules of this module:
* `content` and `structuredContent` are one output: a value redacted in one must not stand in the other, in a twin, in
  prose, in a key or in a URI.
* Values from a field rule are looked for from 4 characters or digits on (8 characters for values inside a structure
  that was taken out), those a detector found always. In keys, names and opaque values short ones are left: `text` is
  also a word.
* A number of fewer than 7 digits is looked for as a number: 1200 is not in 31200, but it is in 1200.00.
* In what cannot be rewritten (names, URIs, cursors) a value of a field rule quarantines the message, and so does one of
  a kind that would have quarantined there by itself (apply.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from policies.model import Do
from redaction.apply import NESTED_TEXT_CHARS_MIN, Change, Plan, is_below, may_not_be_named
from redaction.needles import Needles
from redaction.operators import REDACTED
from redaction.shape import Role
from redaction.walk import Form, Leaf, Walked

REQUEST_ID = ("id",)
"""The agent's own id of its request: it knows it already."""


def plan_residue(plan: Plan, walked: Walked) -> None:
    """Plan the replacement of everything in `walked` that was taken out elsewhere."""
    if not plan.taken_out:
        return
    joined = "\0".join(leaf.text for leaf in (*walked.leaves, *walked.opaque))
    left = Needles(Needles(plan.taken_out).found_in(joined))
    if not left:
        return
    for leaf in walked.leaves:
        for value in left.found_in(leaf.text):
            if _stands_in(leaf.text, value, plan):
                _plan_one(plan, leaf, value)
    for leaf in walked.opaque:
        if leaf.path != REQUEST_ID and _any_binds(left.found_in(leaf.text), plan):
            plan.quarantines.append("a value that was taken out stands in an opaque protocol value")


def _plan_one(plan: Plan, leaf: Leaf, value: str) -> None:
    origin = plan.taken_out[value]
    if not origin.is_field_rule and is_below(leaf.path, plan.allowed):
        return
    if leaf.role is not Role.DATA:
        if _binds(value, plan):
            plan.quarantines.append("a value that was taken out stands in a name or address that cannot be rewritten")
        return
    if leaf.form is Form.KEY:
        if not _tells(value, plan):
            return
        redacted = _without(plan.edits.keys.get(leaf.path, leaf.text), value, plan)
        plan.edits.keys[leaf.path] = plan.masked_keys[leaf.text] = redacted
    elif leaf.form is Form.NUMBER:
        if leaf.text != value:
            return
        plan.edits.values[leaf.path] = REDACTED
    else:
        before = plan.edits.values.get(leaf.path, leaf.text)
        if not isinstance(before, str) or not _stands_in(before, value, plan):
            return  # a detector has taken it out in this round
        plan.edits.values[leaf.path] = _without(before, value, plan)
    plan.changes.append(Change(leaf.path, origin.kind, Do.REPLACE, origin.reason))


def _stands_in(text: str, value: str, plan: Plan) -> bool:
    if plan.taken_out[value].is_short_number:
        return _as_number(value).search(text) is not None
    return value in text


def _without(text: str, value: str, plan: Plan) -> str:
    if plan.taken_out[value].is_short_number:
        return _as_number(value).sub(REDACTED, text)
    return text.replace(value, REDACTED)


def _as_number(value: str) -> re.Pattern[str]:
    """The number, not as a part of a longer one."""
    return re.compile(rf"(?<![0-9])(?<![0-9][.,]){re.escape(value)}(?:\.0{{1,6}})?(?![0-9])(?![.,][0-9])")


def _tells(value: str, plan: Plan) -> bool:
    return len(value) >= NESTED_TEXT_CHARS_MIN or not plan.taken_out[value].is_field_rule


def _any_binds(values: Collection[str], plan: Plan) -> bool:
    return any(_binds(value, plan) for value in values)


def _binds(value: str, plan: Plan) -> bool:
    """Whether a value may not stand even where it cannot be taken out."""
    origin = plan.taken_out[value]
    return _tells(value, plan) and (origin.is_field_rule or may_not_be_named(origin.kind, plan.surface))
