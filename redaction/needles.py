"""Many texts looked for in another at once: which of them stand in it.

Rules of this module:
* Every needle that is a part of the text is found, however they overlap.
* A few needles are looked for one by one, which is quickest; many in one pass, so that a message of which thousands of
  values were taken out does not cost thousands of passes.
"""

from __future__ import annotations

from collections.abc import Iterable

FEW = 32


class Needles:
    """Texts to look for; none of them is empty."""

    def __init__(self, needles: Iterable[str]) -> None:
        self._needles = sorted(set(needles), key=lambda needle: (-len(needle), needle))
        self._all = frozenset(self._needles)
        self._head_chars = len(self._needles[-1]) if self._needles else 0
        self._lengths: dict[str, list[int]] = {}  # by the first characters: how long needles that begin so are
        for needle in self._needles:
            lengths = self._lengths.setdefault(needle[: self._head_chars], [])
            if len(needle) not in lengths[-1:]:
                lengths.append(len(needle))

    def __bool__(self) -> bool:
        return bool(self._needles)

    def found_in(self, text: str) -> list[str]:
        """The needles that stand in the text, the longest first."""
        if len(text) < self._head_chars:
            return []
        if len(self._needles) <= FEW:
            return [needle for needle in self._needles if needle in text]
        chars, lengths_of, needles = self._head_chars, self._lengths, self._all
        found: set[str] = set()
        for start in range(len(text) - chars + 1):
            lengths = lengths_of.get(text[start : start + chars])
            if lengths is not None:
                found.update(part for length in lengths if (part := text[start : start + length]) in needles)
        return sorted(found, key=lambda needle: (-len(needle), needle))
