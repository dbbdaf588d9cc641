"""The signs by themselves; `test_presidio.py` and `test_screen.py` hold them to what is found."""

from __future__ import annotations

import pytest

from redaction.detectors.base import Texts
from redaction.detectors.signs import Signs

SIGNS = Signs(shortest_run=7)


@pytest.mark.parametrize(
    ("text", "shows"),
    [
        ("order 4711", False),
        ("555-0123", True),
        ("123456", False),
        ("+49 12 34", True),  # an international number may be as short as six digits
        ("a@b", True),
        ("::1", True),
        ("1.2.3.4", True),
        ("v1.2.3", False),
        ("AB12", True),
        ("ab 12 34 56 c", True),
        ("a" * 26, True),
        ("a" * 25, False),
        ("2026-11-20T10:00:00Z", False),
        ("é", True),
    ],
)
def test_which_texts_show_a_sign(text: str, shows: bool) -> None:
    assert list(SIGNS.select(Texts(["plain", text]))) == ([1] if shows else [])


def test_where_a_kind_has_no_sign_every_text_is_named() -> None:
    assert list(Signs(7, asks_always=True).select(Texts(["plain", "words"]))) == [0, 1]
