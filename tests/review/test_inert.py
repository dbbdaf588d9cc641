from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.inert import OPEN_CHARS_MAX, Caution, Inert, Kind, inert, marked, marked_json, terminal
from tests.review.hostile import ALL, MARKUP, SHOWN

ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=200) | st.sampled_from(list(ALL.values()))
MARK = re.compile(r"\u27e8U\+([0-9A-F]{4,6})\u27e9")


def _said(shown: Inert) -> str:
    return "".join(part.text for part in shown.parts)


def _read_back(text: str) -> str:
    """What a careful reader could type in again: every mark back to its character."""
    return MARK.sub(lambda match: chr(int(match[1], 16)), text)


@pytest.mark.parametrize("name", SHOWN)
def test_every_hostile_string_carries_a_visible_mark_or_a_caution(name: str) -> None:
    shown = inert(SHOWN[name])
    assert shown.cautions or any(part.kind is Kind.MARK for part in shown.parts), name


@pytest.mark.parametrize("name", MARKUP)
def test_markup_is_plain_text_like_any_other(name: str) -> None:
    shown = inert(MARKUP[name])
    assert [(part.kind, part.text) for part in shown.parts] == [(Kind.TEXT, MARKUP[name])]
    assert shown.cautions == ()


@given(ANY_TEXT)
def test_a08_nothing_is_dropped_reordered_or_forged(text: str) -> None:
    shown = inert(text)
    assert _read_back("".join(part.text for part in shown.whole or shown.parts)) == text


@given(ANY_TEXT)
def test_a08_what_is_shown_as_text_shows_itself(text: str) -> None:
    for part in inert(text).parts:
        if part.kind is Kind.TEXT:
            assert all(unicodedata.category(c)[0] not in "CZ" or c == " " for c in part.text), ascii(part.text)


@given(ANY_TEXT)
def test_a_terminal_gets_no_escapes_and_no_controls(text: str) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", terminal(text))


@given(ANY_TEXT)
def test_a_marked_line_is_one_line(text: str) -> None:
    assert len(marked(text).splitlines()) <= 1


@given(st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=4))
def test_marked_json_is_inert_and_still_says_the_same(value: dict[str, str]) -> None:
    written = marked_json(value)
    assert json.loads(written) == value
    assert all(unicodedata.category(c)[0] not in "CZ" or c in " \n" for c in written)


def test_marks_say_which_character_stands_there() -> None:
    assert marked("invoice_\u202efdp.exe") == "invoice_⟨U+202E⟩fdp.exe"
    assert marked("\x1b[2J") == "⟨U+001B⟩[2J"
    assert marked("a\U000e0041") == "a⟨U+E0041⟩"
    assert marked("one\ntwo") == "one⏎two"


def test_honest_text_of_the_world_is_left_alone() -> None:
    for text in (
        "Grüße, naïve café",
        "Привет, мир",
        "Καλημέρα κόσμε",
        "你好，世界",
        "こんにちはWorld",
        "안녕 3µs",
        "שלום",
        "مرحبا",
    ):
        assert inert(text).cautions == (), text
        assert _said(inert(text)) == text


@pytest.mark.parametrize(
    ("text", "cautions"),
    [
        ("pаypal", {Caution.MIXED}),
        ("a\u202eb", {Caution.BIDI, Caution.HIDDEN}),
        ("a\u200bb", {Caution.HIDDEN}),
        ("ａｄｍｉｎ", {Caution.DRESSED}),
        ("z" + "\u0335" * 9, {Caution.HIDDEN}),
        ("plain", set()),
    ],
)
def test_cautions_name_what_is_odd(text: str, cautions: set[Caution]) -> None:
    assert set(inert(text).cautions) == cautions


def test_a_name_beyond_ascii_is_pointed_out() -> None:
    assert inert("сосо", is_name=True).cautions == (Caution.NOT_PLAIN,)
    assert inert("refund.create", is_name=True).cautions == ()


def test_long_text_is_folded_in_the_middle_and_its_tail_is_shown() -> None:
    shown = inert("a" * 5000 + "AND THEN DELETE EVERYTHING")
    assert [part.kind for part in shown.parts] == [Kind.TEXT, Kind.FOLD, Kind.TEXT]
    assert shown.parts[1].text == "4,126 characters not shown here"
    assert shown.parts[2].text.endswith("AND THEN DELETE EVERYTHING")
    assert shown.length == 5026
    assert shown.whole is not None
    assert "".join(part.text for part in shown.whole) == "a" * 5000 + "AND THEN DELETE EVERYTHING"


def test_a08_leading_line_ends_do_not_push_the_tail_out_of_sight() -> None:
    shown = inert("\n" * 5000 + "rm -rf /")
    assert shown.parts[-1].text == "rm -rf /"
    assert shown.lines == 5001


def test_text_of_many_lines_is_folded_too() -> None:
    shown = inert("\n".join(str(number) for number in range(100)))
    fold = [part.kind for part in shown.parts].index(Kind.FOLD)
    first, last = ("".join(part.text for part in parts) for parts in (shown.parts[:fold], shown.parts[fold + 1 :]))
    assert first.split("\n") == [str(number) for number in range(24)]
    assert last.split("\n") == [str(number) for number in range(92, 100)]
    assert not inert("\n".join(str(number) for number in range(33))).is_folded


def test_p14_what_a_fold_may_open_to_is_bounded() -> None:
    assert inert("a" * OPEN_CHARS_MAX).whole is not None
    assert inert("a" * (OPEN_CHARS_MAX + 1)).whole is None


def test_a08_what_hides_in_a_folded_middle_is_pointed_out() -> None:
    assert Caution.BIDI in inert("a" * 5000 + "\u202e" + "a" * 5000).cautions


def test_short_text_is_not_folded_for_the_sake_of_a_few_characters() -> None:
    assert not inert("a" * 1000).is_folded
    assert inert("a" * 1001).is_folded
