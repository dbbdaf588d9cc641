"""A call as lists carry it: everything small of it, and of large arguments their size and the first that say something.

Rules of this module:
* Pure. What a list leaves out stands whole on the call's own page, and under its own id.
* `brief` is idempotent, and never makes a record larger. An output is in no list.
* What is cut is cut in the middle, and the cut shows.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

from policies.model import JsonObject
from review import exact, shape
from review.model import CallRecord, LeftOut

WHOLE_BYTES_MAX = 2_048
READ_BYTES_MAX = 65_536
SUMMARY_LEAVES = 4
SUMMARY_CHARS_MAX = 72

_AT_LENGTH = ("facts", "errors", "trace")  # of a decision: why, at length


def brief(call: CallRecord, size_bytes: int | None = None) -> CallRecord:
    """The call for a list. `size_bytes` are those of what it would send, where that was not even read."""
    small = replace(
        call, outcome=None, decision=_brief_decision(call.decision), inspection=_brief_inspection(call.inspection)
    )
    if size_bytes is not None:
        return replace(small, proposed=None, approved=None, left_out=LeftOut(size_bytes))
    forms = [form for form in (call.proposed, call.approved) if form is not None]
    sizes = [len(exact.text(form).encode("utf-8", "surrogatepass")) for form in forms]
    if call.left_out is not None or not forms or max(sizes) <= WHOLE_BYTES_MAX:
        return small
    first = first_leaves((call.to_send or {}).get("arguments"))
    return replace(small, proposed=None, approved=None, left_out=LeftOut(sizes[-1], first))


def first_leaves(arguments: Any) -> tuple[shape.Leaf, ...]:
    """The first arguments that say something, each cut in the middle, for a row of a list."""
    if not arguments:
        return ()
    telling = (leaf for leaf in shape.leaves(arguments) if leaf.value not in ("", None, [], {}))
    return tuple(_cut(leaf) for leaf in islice(telling, SUMMARY_LEAVES))


def first_of(call: CallRecord) -> tuple[shape.Leaf, ...]:
    """The same of a call, whether or not a list left its arguments out."""
    if call.left_out is not None:
        return call.left_out.first
    return first_leaves((call.to_send or {}).get("arguments"))


def _cut(leaf: shape.Leaf) -> shape.Leaf:
    value = _shortened(leaf.value) if isinstance(leaf.value, str) else leaf.value
    return replace(leaf, path=_shortened(leaf.path), value=value)


def _shortened(text: str) -> str:
    if len(text) <= SUMMARY_CHARS_MAX:
        return text
    tail = SUMMARY_CHARS_MAX // 3
    return f"{text[: SUMMARY_CHARS_MAX - tail]}…{text[-tail:]}"


def _brief_decision(decision: JsonObject) -> JsonObject:
    return {name: value for name, value in decision.items() if name not in _AT_LENGTH}


def _brief_inspection(inspection: JsonObject) -> JsonObject:
    return {name: value for name, value in inspection.items() if name in ("why", "outcome")}
