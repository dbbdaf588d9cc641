"""Signs by which texts that Presidio's patterns may find something in are told from all others: its prefilter.

Rules of this module:
* No foreign library, and linear: counting, translating and searching for fixed signs. It may run in the gate's own
  process on hostile text (screen.py); the patterns themselves never do.
* It may name too many texts, never too few (`base.Detector.select`): tests hold it to what the patterns find.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from redaction.detectors.base import Texts

DIGITS_MIN = 8  # of every kind but phone numbers that is told by its digits alone
SHORTEST_INTERNATIONAL = 6  # +43, +49 and +98 have numbers of four digits
NOT_LOOKED_AT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
    re.ASCII,
)

# The joined text as bytes: every digit a 0, every letter an a or A; what may stand between digits taken out.
_BETWEEN_DIGITS = b"-xX ()[]./~+"
_SHAPE = bytes(
    0 if byte == 0 else ord("0") if chr(byte) in "0123456789" else ord("A") if 65 <= byte <= 90
    else ord("a") if 97 <= byte <= 122 else ord(" ")
    for byte in range(256)
)  # fmt: skip
_ONE_CASE = _SHAPE.replace(b"A", b"a")
_ONE_KIND = _ONE_CASE.replace(b"0", b"a")
LONG_RUN = b"a" * 26
NINO = b"aa000000a"


class Look:
    """What the prefilters ask of an ASCII text; computed when asked."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def raw(self) -> bytes:
        return self.text.encode("ascii", "replace")

    @cached_property
    def digits(self) -> bytes:
        return self.raw.translate(_SHAPE, _BETWEEN_DIGITS)

    @cached_property
    def shape(self) -> bytes:
        return self.raw.translate(_SHAPE)

    @cached_property
    def runs(self) -> bytes:
        return self.raw.translate(_ONE_KIND)

    @cached_property
    def letters_and_digits(self) -> bytes:
        return self.raw.translate(_ONE_CASE, b" ")


_TWO_NUMBERS = re.compile(r"[0-9]\.[0-9]")


def may_be_ip(text: str) -> bool:
    return "::" in text or text.count(":") >= 6 or (text.count(".") >= 3 and _TWO_NUMBERS.search(text) is not None)


@dataclass(frozen=True, slots=True)
class Signs:
    """What a text must show to be looked at: `shortest_run` digits of a phone number, or some other sign.

    `asks_always`: a kind without a sign of its own is looked for, so every text is looked at.
    """

    shortest_run: int
    asks_always: bool = False

    def select(self, texts: Texts) -> Iterable[int]:
        if self.asks_always:
            return range(len(texts.texts))
        joined = texts.joined
        raw = joined.encode("ascii", "replace")
        selected = set(texts.wide)
        plus = SHORTEST_INTERNATIONAL if "+" in joined else self.shortest_run
        shortest = b"0" * min(plus, self.shortest_run)
        for signs, sign in (  # as `Look` has them
            (raw.translate(_SHAPE, _BETWEEN_DIGITS), shortest),
            (raw.translate(_SHAPE), b"AA00"),
            (raw.translate(_ONE_KIND), LONG_RUN),
            (raw.translate(_ONE_CASE, b" "), NINO),
        ):
            if sign in signs:
                selected.update(i for i, part in enumerate(signs.split(b"\0")) if sign in part)
        if may_be_ip(joined):
            selected.update(i for i, text in enumerate(texts.texts) if may_be_ip(text))
        if "@" in joined:
            selected.update(i for i, text in enumerate(texts.texts) if "@" in text)
        return [i for i in selected if not NOT_LOOKED_AT.fullmatch(texts.texts[i])]
