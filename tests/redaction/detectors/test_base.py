"""The texts of a message, as detectors prefilter them."""

from __future__ import annotations

from redaction.detectors.base import DEFAULT_KINDS, DetectorSettings, Texts


def test_texts_are_joined_so_that_positions_of_parts_are_theirs() -> None:
    texts = Texts(["one", "t\0wo", "three"])
    assert texts.joined == "one\0t\1wo\0three"
    assert texts.joined.split("\0") == ["one", "t\1wo", "three"]


def test_texts_without_a_nul_are_joined_as_they_are() -> None:
    assert Texts(["a", "b"]).joined == "a\0b"
    assert Texts(["a"]).joined == "a"
    assert Texts([]).joined == ""


def test_wide_texts_are_those_outside_ascii() -> None:
    assert Texts(["abc", "é", "\u0661\u0662", "x"]).wide == [1, 2]
    assert Texts(["abc"]).wide == []


def test_holding_names_every_text_with_one_of_the_literals() -> None:
    texts = Texts(["a@b", "plain", "ghp_x and @"])
    assert texts.holding(("@",)) == {0, 2}
    assert texts.holding(("ghp_", "plain")) == {1, 2}
    assert texts.holding(("nowhere",)) == set()


def test_the_defaults_are_the_documented_ones() -> None:
    assert DetectorSettings() == DetectorSettings((), 0.4, ("US", "GB"))
    assert len(DEFAULT_KINDS) == len(set(DEFAULT_KINDS)) == 10
