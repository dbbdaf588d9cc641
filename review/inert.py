"""Text from agents and tools, made harmless and honest to look at: what is there is seen, and nothing acts.

Rules of this module:
* Every character that does not show itself (controls, escapes, bidirectional and other format characters, zero-width
  and tag characters, odd spaces, fillers, private and unassigned code points, stray or piled-up combining marks)
  becomes a visible mark such as ⟨U+202E⟩. Nothing is dropped, nothing is reordered.
* A line end stays a line end and is marked as one. The bracket ⟨ itself is marked, so that marks cannot be forged.
* Markup is nobody's business here: the parts are plain text, and whoever writes HTML escapes them.
* Words that mix look-alike alphabets are pointed out, as are letters dressed up as others; names should be plain ASCII.
* Long text is folded in the middle, never at the end: head and tail are both shown, and how much lies between.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Any

from review import exact

COMBINING_RUN_MAX = 2
WORDS_MAX = 20_000  # of one text, looked at for look-alikes
HEAD_CHARS = 600
TAIL_CHARS = 300
HEAD_LINES = 24
TAIL_LINES = 8
OPEN_CHARS_MAX = 100_000  # what a fold may open to in place; beyond it the raw page has the whole

_BRACKET = "\u27e8"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters and marks that show nothing: Unicode's Default_Ignorable_Code_Point beyond category Cf, and blank symbols.
_BLANK = frozenset(
    {
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFC),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    }
)
# Alphabets whose letters pass for each other's; ideographs and syllables are honestly mixed with any of them.
_ALIKE = frozenset(
    {"LATIN", "CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "CHEROKEE", "GEORGIAN", "LISU", "DESERET", "OSAGE"}
)
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_WORDS = re.compile(r"\w+")


class Kind(StrEnum):
    TEXT = "text"
    MARK = "mark"  # a character made visible
    LINE = "line"  # a line end
    FOLD = "fold"  # some of the middle, left out


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of shown text. `text` of a MARK is its mark, of a LINE a line end, of a FOLD how much it stands for."""

    kind: Kind
    text: str


class Caution(StrEnum):
    """What a reader should know before trusting their eyes."""

    HIDDEN = "hidden characters"
    BIDI = "turns the direction of text"
    MIXED = "look-alike alphabets in one word"
    DRESSED = "letters dressed up as others"
    NOT_PLAIN = "letters beyond a-z in a name"


@dataclass(frozen=True, slots=True)
class Inert:
    """A text ready to be shown: its parts, what to beware of, its true length, and the whole where it was folded."""

    parts: tuple[Part, ...]
    cautions: tuple[Caution, ...]
    length: int
    lines: int
    whole: tuple[Part, ...] | None = None  # None: not folded, or too long to open in place

    @property
    def is_folded(self) -> bool:
        return any(part.kind is Kind.FOLD for part in self.parts)


def inert(text: str, *, is_name: bool = False, head: int = HEAD_CHARS, tail: int = TAIL_CHARS) -> Inert:
    """The text as it is to be shown. `is_name`: warn of any letter beyond ASCII."""
    cut = _fold(text, head, tail)
    if cut is None:
        parts = tuple(_parts(text))
    else:
        first, last = cut
        left_out = f"{len(text) - len(first) - len(last):,} characters not shown here"
        parts = (*_parts(first), Part(Kind.FOLD, left_out), *_parts(last))
    return Inert(
        parts=parts,
        cautions=tuple(_cautions(text, is_name)),
        length=len(text),
        lines=text.count("\n") + 1,
        whole=tuple(_parts(text)) if cut is not None and len(text) <= OPEN_CHARS_MAX else None,
    )


def _fold(text: str, head: int, tail: int) -> tuple[str, str] | None:
    """The beginning and the end of a text too long to read at a glance, in characters or in lines; else None."""
    is_long = len(text) > head + tail + 100
    if not is_long and text.count("\n", 0, head + tail + 100) <= HEAD_LINES + TAIL_LINES:
        return None
    first = "\n".join(text[:head].split("\n", HEAD_LINES)[:HEAD_LINES])
    last = "\n".join(text[max(len(first), len(text) - tail) :].rsplit("\n", TAIL_LINES)[-TAIL_LINES:])
    return first, last


def marked(text: str) -> str:
    """The text in one line with marks in place, for titles, logs and messages."""
    return "".join(part.text if part.kind is not Kind.LINE else "⏎" for part in _parts(text))


def terminal(text: str, *, chars_max: int = 2_000) -> str:
    """The text for a terminal: line ends kept, escapes and all else marked, the middle folded when it is long."""
    half = chars_max // 2
    shown = inert(text, head=half, tail=half)
    return "".join(f"\n… {part.text} …\n" if part.kind is Kind.FOLD else part.text for part in shown.parts)


def marked_json(value: Any) -> str:
    """The value as indented JSON whose strings write every such character as `\\u202e`: inert, readable, still JSON."""
    written = exact.text(value, indent=2)
    return "".join(_escaped(char) if is_hidden else char for char, is_hidden in _judged(written))


def _judged(text: str) -> Iterator[tuple[str, bool]]:
    """Each character, and whether it must be made visible here."""
    combining = COMBINING_RUN_MAX  # at the beginning there is nothing to combine with
    for char in text:
        if unicodedata.combining(char):
            combining += 1
            yield char, combining > COMBINING_RUN_MAX or _is_hidden(char)
        else:
            is_hidden = _is_hidden(char)
            combining = COMBINING_RUN_MAX if is_hidden or char.isspace() else 0
            yield char, is_hidden


def _parts(text: str) -> Iterator[Part]:
    plain: list[str] = []
    for char, is_hidden in _judged(text):
        if not is_hidden and char != "\n":
            plain.append(char)
            continue
        if plain:
            yield Part(Kind.TEXT, "".join(plain))
            plain = []
        yield Part(Kind.MARK, _mark(char)) if is_hidden else Part(Kind.LINE, "\n")
    if plain:
        yield Part(Kind.TEXT, "".join(plain))


@lru_cache(maxsize=4096)
def _is_hidden(char: str) -> bool:
    """Whether a character does not show itself. The line end has its own mark."""
    if " " <= char <= "~" or char == "\n":
        return False
    category = unicodedata.category(char)
    return category in _HIDDEN_CATEGORIES or category == "Zs" or ord(char) in _BLANK or char == _BRACKET


def _mark(char: str) -> str:
    return f"{_BRACKET}U+{ord(char):04X}\u27e9"


def _escaped(char: str) -> str:
    if char == _BRACKET:  # only among marks does it need one
        return char
    point = ord(char)
    if point < 0x10000:
        return f"\\u{point:04x}"
    point -= 0x10000  # RFC 8259 §7: beyond the first plane as a surrogate pair
    return f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"


def _cautions(text: str, is_name: bool) -> Iterator[Caution]:
    if text.isascii() and text.isprintable():
        return
    letters = frozenset(text)  # a hostile text may be megabytes, but not of different characters
    if any(unicodedata.bidirectional(char) in _TURNING for char in letters):
        yield Caution.BIDI
    if any(map(_is_hidden, letters)) or (any(map(unicodedata.combining, letters)) and _has_pile(text)):
        yield Caution.HIDDEN
    words = islice((word for word in _WORDS.findall(text) if not word.isascii()), WORDS_MAX)
    if any(len(_alphabets(word) & _ALIKE) > 1 for word in words):
        yield Caution.MIXED
    if any(map(_is_dressed, letters)):
        yield Caution.DRESSED
    if is_name and not text.isascii():
        yield Caution.NOT_PLAIN


def _is_dressed(char: str) -> bool:
    """Whether it passes for another letter: fullwidth, mathematical, enclosed, a ligature."""
    plain = unicodedata.normalize("NFKC", char)
    return char > "\u00ff" and plain != char and (char.isalpha() or (len(plain) == 1 and plain.isalpha()))


def _has_pile(text: str) -> bool:
    return any(is_hidden for _, is_hidden in _judged(text))


def _alphabets(word: str) -> frozenset[str]:
    """The alphabets of a word's letters, by the first word of their Unicode names."""
    return frozenset(_alphabet(char) for char in word if char.isalpha())


@lru_cache(maxsize=4096)
def _alphabet(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").split(" ", 1)[0]
