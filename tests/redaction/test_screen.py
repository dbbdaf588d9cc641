"""The screen says yes only where the inspector, asked, would let the message pass and tell of nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.model import Do, OutputRules, SameRule
from redaction import inspection
from redaction.detectors.base import DetectorSettings
from redaction.detectors.defaults import default_detectors, signs_of
from redaction.detectors.secret_rules import SECRET_RULES
from redaction.detectors.signs import Signs
from redaction.inspection import inspect
from redaction.model import Outcome, Surface
from redaction.scan import Detectors
from redaction.screen import _LIMITS, SCREENED_DETECTORS, Screen
from tests.redaction.builders import AWS_KEY, CARD, CODEC, EMAIL, NO_RULES, SSN, json_text, on_every_surface, result
from tests.redaction.builders import fields as field_rules
from tests.redaction.builders import replace as replacing

MADE = default_detectors(DetectorSettings())
DETECTORS = Detectors(MADE, memory_key=b"s" * 32)
SCREEN = Screen(signs_of(MADE), CODEC)

# Texts near the edge of what detectors look for: pieces of telling shapes, put together in any way.
PIECES = st.sampled_from(
    [SSN, EMAIL, CARD, AWS_KEY, "::1", "10.0.0.1", "GB29NWBK60161331926819", "+49 30 12345", "AB 12 34 56 C", "4711"]
    + ["order ", "-", " ", ".", ":", "/", "@", "_", "eyJ", "SG.", "x" * 25, "=", "2026-11-20", "7", "12345", "\0", "é"]
    + [rule.takes[0][:12] for rule in SECRET_RULES]
)
TEXTS = st.lists(PIECES, max_size=4).map("".join) | st.text(st.characters(codec="ascii"), max_size=30)
NUMBERS = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


@given(JSON, st.sampled_from(["structured", "text", "twin", "bare"]), st.sampled_from(list(Surface)))
@example({"note": "order 4711 shipped"}, "twin", Surface.RESULT)
@example("[1, 2", "text", Surface.RESULT)
@settings(max_examples=300)
def test_p08_what_is_screened_clean_is_what_the_inspector_lets_pass(value: Any, place: str, surface: Surface) -> None:
    message = {
        "structured": lambda: result("ok", structured=value),
        "text": lambda: result(value if isinstance(value, str) else json_text(value)),
        "twin": lambda: result(json_text(value), structured=value),
        "bare": lambda: value,
    }[place]()
    if SCREEN.shows_nothing(message, NO_RULES, surface):
        seen = inspect(message, rules=NO_RULES, surface=surface, detectors=DETECTORS, codec=CODEC)
        assert (seen.outcome, seen.message, seen.findings) == (Outcome.ALLOW, message, ())


@pytest.mark.parametrize("planted", [SSN, EMAIL, CARD, AWS_KEY])
def test_p08_what_is_planted_on_any_surface_is_left_to_the_inspector(planted: str) -> None:
    for place, surface, message in on_every_surface(f"see {planted} there"):
        assert not SCREEN.shows_nothing(message, NO_RULES, surface), place


@pytest.mark.parametrize("text", [text for rule in SECRET_RULES for text in rule.takes])
def test_p08_every_secret_shows_its_sign(text: str) -> None:
    assert not SCREEN.shows_nothing(result(f"a {text} b"), NO_RULES, Surface.RESULT)


@pytest.mark.parametrize(
    "message",
    [
        result("all is well"),
        result(json_text({"order": 4711, "state": "shipped"}), structured={"order": 4711, "state": "shipped"}),
        {"jsonrpc": "2.0", "id": 7, "error": {"code": -32000, "message": "no such order"}},
    ],
)
def test_plain_messages_show_nothing(message: Any) -> None:
    assert SCREEN.shows_nothing(message, NO_RULES, Surface.RESULT)
    assert SCREEN.shows_nothing(message, OutputRules(detect={"US_SSN": Do.QUARANTINE}), Surface.RESULT)


@pytest.mark.parametrize(
    "rules",
    [field_rules(replacing("$..state")), OutputRules(same=(SameRule("$.a", 1),)), OutputRules(always_review=True)],
)
def test_rules_that_do_more_than_name_kinds_are_the_inspectors(rules: OutputRules) -> None:
    assert not SCREEN.shows_nothing(result("all is well"), rules, Surface.RESULT)


def test_p08_what_cannot_be_walked_or_is_not_plain_is_the_inspectors() -> None:
    deep: Any = "x"
    for _ in range(2_000):
        deep = [deep]
    for message in (result(structured=deep), result("café"), result({"type": "image", "data": "!"}), {1, 2}):
        assert not SCREEN.shows_nothing(message, NO_RULES, Surface.RESULT)


def test_p08_where_every_text_is_looked_at_nothing_is_screened() -> None:
    assert not Screen(Signs(7, asks_always=True), CODEC).shows_nothing(result("ok"), NO_RULES, Surface.RESULT)
    more = default_detectors(DetectorSettings(entities=("MAC_ADDRESS", "US_SSN")))
    assert signs_of(more).asks_always


def test_p08_a_detector_the_screen_does_not_know_makes_every_text_looked_at() -> None:
    class Novel:
        name, kinds = "novel", frozenset({"novel"})
        select = detect = None

    assert {detector.name for detector in MADE} == SCREENED_DETECTORS
    assert not signs_of(MADE).asks_always
    assert signs_of([*MADE, Novel()]).asks_always  # type: ignore[list-item]  # only its name is looked at


def test_both_walk_under_the_same_limits() -> None:
    assert inspection.LIMITS == _LIMITS


def test_p08_no_pattern_of_others_comes_into_the_process_that_screens() -> None:
    code = (
        "import sys, redaction.screen; print(sorted({'presidio_analyzer', 'regex', 'phonenumbers'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_keys_that_showed_nothing_are_kept_in_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redaction.screen._KEYS_MAX", 3)
    screen = Screen(signs_of(MADE), CODEC)
    for number in range(5):
        assert screen.shows_nothing(result(structured={f"key{number}": 1, "k-" * 33: 2}), NO_RULES, Surface.RESULT)
        assert len(screen._clean_keys) <= 3
