"""Properties of the inspector: whatever the message, what was planted does not survive, and twice is once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.model import Do, OutputRules
from redaction.detectors.base import DetectorSettings
from redaction.detectors.defaults import default_detectors
from redaction.inspection import inspect
from redaction.model import Inspection, Outcome, Surface
from redaction.scan import Detectors
from tests.redaction.builders import CODEC, EMAIL, NO_RULES, SSN, json_text, on_every_surface, replace, result, twin

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
NEAR = st.sampled_from(["", " ", ": ", "\n", "(", ", ", "<", " é ", "\u2028"])
PLANTED = st.sampled_from([SSN, EMAIL])

DETECTORS: list[Detectors] = []


def look(message: Any, rules: OutputRules = NO_RULES, surface: Surface = Surface.RESULT) -> Inspection:
    if not DETECTORS:
        DETECTORS.append(Detectors(default_detectors(DetectorSettings()), memory_key=b"p" * 32))
    return inspect(message, rules=rules, surface=surface, detectors=DETECTORS[0], codec=CODEC)


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, Any]:
    """A value somewhere in a structure: as a string, inside one, as a key, or in JSON in a string."""
    value = draw(PLANTED)
    where: Any = f"{draw(NEAR)}{value}{draw(NEAR)}"
    for _ in range(draw(st.integers(0, 4))):
        shape = draw(st.integers(0, 3))
        if shape == 0:
            where = draw(st.dictionaries(KEYS, JSON, max_size=3)) | {draw(KEYS): where}
        elif shape == 1:
            where = [*draw(st.lists(JSON, max_size=3)), where]
        elif shape == 2:
            where = {where: draw(JSON)} if isinstance(where, str) else [where]
        else:
            where = {"inner": where}
    return value, where


@given(planted(), st.sampled_from(["structured", "text", "twin", "error"]))
@settings(max_examples=80)
def test_p08_nothing_planted_survives(found: tuple[str, Any], place: str) -> None:
    value, structure = found
    message = {
        "structured": lambda: result("ok", structured=structure),
        "text": lambda: result(json_text(structure)),
        "twin": lambda: twin(structure),
        "error": lambda: {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "m", "data": structure}},
    }[place]()
    inspection = look(message)
    assert inspection.outcome in (Outcome.REDACT, Outcome.QUARANTINE)
    assert value not in repr(inspection)


@given(JSON, st.sampled_from([Do.REPLACE, Do.MASK, Do.REMOVE]))
@settings(max_examples=80)
def test_inspecting_what_came_out_changes_nothing(structure: Any, do: Do) -> None:
    rules = OutputRules(default_do=do, fields=(replace("$..secret"),))
    once = look(twin(structure), rules)
    if once.outcome is Outcome.QUARANTINE:
        return
    again = look(once.message, rules)
    assert (again.outcome, again.message) == (Outcome.ALLOW, once.message)


@given(JSON)
@settings(max_examples=60)
def test_a_message_that_is_allowed_is_the_message_that_came(structure: Any) -> None:
    message = twin(structure)
    inspection = look(message)
    assert inspection.outcome is not Outcome.ALLOW or inspection.message is message


@pytest.mark.parametrize("number", range(len(on_every_surface(""))))
@given(before=TEXTS, after=TEXTS, value=PLANTED)
@settings(max_examples=8)
def test_p08_no_surface_lets_a_planted_value_through(number: int, before: str, after: str, value: str) -> None:
    _, surface, message = on_every_surface(f"{before} {value} {after}")[number]
    assert value not in repr(look(message, surface=surface))
