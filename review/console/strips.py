"""A held output as strips: each field a row of pieces, plain text and what was found in it, with or without the values.

Rules of this module:
* Pure; values in, pieces out. A piece of a strip that is not in clear has a length and no text: nothing can leak by it.
* Findings say where they are in characters of their leaf; one without a place is the whole field. What overlaps is one
  piece with all its kinds, and what lies outside the text is cut to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from policies.model import JsonObject
from review import shape


@dataclass(frozen=True, slots=True)
class Piece:
    """`kinds` is empty for text in which nothing was found; `text` is None where it is not in clear."""

    length: int
    kinds: tuple[str, ...] = ()
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    path: str
    kind: str
    pieces: tuple[Piece, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(kind for piece in self.pieces for kind in piece.kinds))


def strips(leaves: Iterable[shape.Leaf], findings: Sequence[JsonObject], *, in_clear: bool = False) -> list[Strip]:
    """One strip for each leaf, in order."""
    by_path: dict[str, list[JsonObject]] = {}
    for finding in findings:
        by_path.setdefault(_in_ascii(str(finding.get("path", "$"))), []).append(finding)
    return [_strip(leaf, by_path.get(_in_ascii(leaf.path), ()), in_clear) for leaf in leaves]


def _strip(leaf: shape.Leaf, findings: Sequence[JsonObject], in_clear: bool) -> Strip:
    text = leaf.value if isinstance(leaf.value, str) else json.dumps(leaf.value, ensure_ascii=False)
    spans = [_span(finding, len(text)) for finding in findings]
    edges = sorted({0, len(text), *(edge for start, end, _ in spans for edge in (start, end))})
    pieces: list[Piece] = []
    for start, end in pairwise(edges):
        kinds = tuple(dict.fromkeys(kind for first, last, kind in spans if first < end and start < last))
        if pieces and pieces[-1].kinds and kinds and set(pieces[-1].kinds) & set(kinds):
            before = pieces.pop()  # one finding that another cuts in two is still one piece
            start -= before.length
            kinds = tuple(dict.fromkeys((*before.kinds, *kinds)))
        pieces.append(Piece(end - start, kinds, text[start:end] if in_clear else None))
    return Strip(leaf.path, leaf.kind, tuple(pieces) or (Piece(0, (), "" if in_clear else None),))


def _span(finding: Mapping[str, Any], length: int) -> tuple[int, int, str]:
    start, end = finding.get("start"), finding.get("end")
    kind = str(finding.get("kind", "?"))
    if not isinstance(start, int) or not isinstance(end, int) or start >= end:
        return 0, length, kind
    return max(0, min(start, length)), max(0, min(end, length)), kind


def _in_ascii(path: str) -> str:
    """Paths as findings write them: in ASCII."""
    return "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in path)
