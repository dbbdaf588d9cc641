"""What a detector is: given the texts of a message, it says which may hold something, then where.

Rules of this module:
* `select` is a prefilter: it may name too many texts, never too few. It is measured against `detect` by tests.
* `detect` gives character offsets into the text as it stands, and never the text itself.
* A detector that cannot finish raises `DetectorGaveUp`; it never returns what it has so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

DEFAULT_KINDS = (
    "EMAIL_ADDRESS",
    "CREDIT_CARD",
    "IBAN_CODE",
    "US_SSN",
    "US_ITIN",
    "US_PASSPORT",
    "UK_NINO",
    "PHONE_NUMBER",
    "IP_ADDRESS",
    "CRYPTO",
)
"""Kinds of personal data looked for where the operator names none (detectors/secret_rules.py names the secrets)."""


class DetectorGaveUp(Exception):
    """A text could not be looked at in the time allowed. The message names the detector, never the text."""


class Hit(NamedTuple):
    """Something seen in a text."""

    kind: str
    detector: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """What the operator may choose. No `entities`: the default kinds."""

    entities: tuple[str, ...] = ()
    score_min: float = 0.4
    phone_regions: tuple[str, ...] = ("US", "GB")


class Texts:
    """The different texts of one message, and all of them in one string: one search is cheaper than many."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    @cached_property
    def joined(self) -> str:
        """The texts with a NUL between them; a NUL inside a text becomes U+0001, which means nothing to a pattern."""
        joined = "\0".join(self.texts)
        if joined.count("\0") != len(self.texts) - 1:
            joined = "\0".join(text.replace("\0", "\1") for text in self.texts)
        return joined

    @cached_property
    def wide(self) -> list[int]:
        """The indices of texts that are not plain ASCII: patterns see more digits there than prefilters do."""
        return [] if self.joined.isascii() else [i for i, text in enumerate(self.texts) if not text.isascii()]

    def holding(self, literals: Iterable[str]) -> set[int]:
        """The indices of texts that hold one of the literals."""
        present = [literal for literal in literals if literal in self.joined]
        if not present:
            return set()
        return {i for i, text in enumerate(self.texts) if any(literal in text for literal in present)}


class Detector(Protocol):
    """One family of things to find."""

    name: str
    kinds: frozenset[str]

    def select(self, texts: Texts) -> Iterable[int]:
        """The indices of all texts that may hold something."""

    def detect(self, text: str, context: str, *, is_number: bool) -> Sequence[Hit]:
        """What is in one text. `context` is the key it stands under. Raises: DetectorGaveUp."""
