from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.console.strips import strips
from review.shape import Leaf

TEXT = "the key AKIAABCDEFGHIJKLMNOP is anna@example.com's"


def _pieces(*findings: dict[str, object], text: object = TEXT) -> list[tuple[int, tuple[str, ...]]]:
    (strip,) = strips([Leaf("$.a", "text", text)], [{"path": "$.a", **one} for one in findings])
    assert all(piece.text is None for piece in strip.pieces)
    return [(piece.length, piece.kinds) for piece in strip.pieces]


def test_what_was_found_stands_apart_from_the_text_around_it() -> None:
    key, mail = {"kind": "key", "start": 8, "end": 28}, {"kind": "mail", "start": 32, "end": 48}
    assert _pieces(mail, key) == [(8, ()), (20, ("key",)), (4, ()), (16, ("mail",)), (2, ())]


@pytest.mark.parametrize("finding", [{"kind": "key"}, {"kind": "key", "start": 9, "end": 9}, {"kind": "key", "end": 3}])
def test_a_finding_without_a_place_is_the_whole_field(finding: dict[str, object]) -> None:
    assert _pieces(finding) == [(len(TEXT), ("key",))]


def test_what_overlaps_is_one_piece_of_all_its_kinds() -> None:
    one, other = {"kind": "a", "start": 2, "end": 10}, {"kind": "b", "start": 6, "end": 12}
    assert _pieces(one, other) == [(2, ()), (10, ("a", "b")), (len(TEXT) - 12, ())]


def test_a_number_can_be_found_too_and_an_empty_field_is_one_empty_piece() -> None:
    assert _pieces({"kind": "card"}, text=4111) == [(4, ("card",))]
    assert _pieces(text="") == [(0, ())]


def test_a_path_that_findings_write_in_ascii_is_the_same_path() -> None:
    leaf = Leaf('$["gr\u00fc\u00dfe \U0001f511"]', "text", TEXT)
    (strip,) = strips([leaf], [{"path": '$["gr\\u00fc\\u00dfe \\ud83d\\udd11"]', "kind": "key"}])
    assert strip.kinds == ("key",)


SPANS = st.fixed_dictionaries({"path": st.just("$.a"), "kind": st.sampled_from("abc")}) | st.fixed_dictionaries(
    {"path": st.just("$.a"), "kind": st.sampled_from("abc"), "start": st.integers(-5, 60), "end": st.integers(-5, 60)}
)


@given(st.text(max_size=40), st.lists(SPANS, max_size=6))
def test_in_clear_the_pieces_are_the_text_and_else_only_its_length(
    text: str, findings: list[dict[str, object]]
) -> None:
    leaf = Leaf("$.a", "text", text)
    (clear,), (masked,) = strips([leaf], findings, in_clear=True), strips([leaf], findings)
    assert "".join(piece.text or "" for piece in clear.pieces) == text
    assert [piece.length for piece in masked.pieces] == [len(piece.text or "") for piece in clear.pieces]
    assert {piece.text for piece in masked.pieces} == {None}
