"""The author's mistakes: where in which file, what is wrong, and how to mend it.

Rules of this module:
* A mistake is a value (`PolicyError`); all mistakes of a file set are raised together (`PolicyErrors`), in order.
* Messages speak of keys and of the author's own text. Nothing an agent or a tool sent ever stands in one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True, order=True)
class PolicyError:
    """One mistake. Lines and columns count from 1; a mistake of the file as a whole stands at 1:1."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


class PolicyErrors(Exception):
    """Every mistake found, sorted by file and position, each once."""

    def __init__(self, errors: Iterable[PolicyError]) -> None:
        self.errors: tuple[PolicyError, ...] = tuple(sorted(set(errors)))
        super().__init__("\n".join(str(error) for error in self.errors))


def nearest(word: str, words: Iterable[str], also: Iterable[str] = ()) -> str:
    """`did you mean 'topics'?`, or, where nothing is near, the list of `words`. `also` is valid but not listed."""
    listed = sorted(words)
    known = [*listed, *also]
    close = get_close_matches(word, known, n=1, cutoff=0.6) or get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"valid here: {', '.join(listed)}" if listed else ""
