"""Reading a positioned value key by key: every mistake is noted where it stands, and reading goes on.

Rules of this module:
* A `Node` is one value with its place. Each reader method returns the value, or None after noting what is wrong.
* Whoever reads a map says which keys it knows and which come with a later release. A key the gate cannot enforce yet is
  a mistake that says so; any other key is a mistake that names the nearest valid one. Nothing is skipped (P1).
* Nothing here knows policies; `schema*.py` and `criteria/` do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from policies.errors import PolicyError, nearest
from policies.yaml_source import Path, Positions

TEXT_CHARS_MAX = 4_000
LIST_ITEMS_MAX = 1_000


@dataclass(slots=True)
class Source:
    """One file being read, and the mistakes found so far."""

    file: str
    positions: Positions
    mistakes: list[PolicyError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a file, where it stands, and the words to call it by."""

    value: Any
    source: Source
    path: Path = ()

    @property
    def name(self) -> str:
        if not self.path:
            return "the file"
        last = self.path[-1]
        return last if isinstance(last, str) else f"item {last + 1}" + (f" of {self.path[-2]}" if self.path[1:] else "")

    @property
    def place(self) -> tuple[str, int, int]:
        return (self.source.file, *self.source.positions.key(self.path))

    def child(self, key: str | int) -> Node:
        return Node(self.value[key], self.source, (*self.path, key))

    def mistake(self, message: str, hint: str = "", *, at_key: bool = False, offset: int | None = None) -> None:
        """Note what is wrong with this value, with its key (`at_key`), or at a character of its text (`offset`)."""
        positions = self.source.positions
        if offset is not None:
            line, column = positions.inside(self.path, offset)
        else:
            line, column = positions.key(self.path) if at_key else positions.value(self.path)
        self.source.mistakes.append(PolicyError(self.source.file, line, column, message, hint))

    def mapping(
        self, known: Collection[str] | None, what: str, *, later: Mapping[str, str] | None = None
    ) -> dict[str, Node] | None:
        """The children by key. `known` None: the caller judges the keys itself."""
        if not isinstance(self.value, dict):
            self.mistake(f"{what} must be a map of keys, not {_kind(self.value)}")
            return None
        children = {key: self.child(key) for key in self.value}
        if known is None:
            return children
        for key in [key for key in children if key not in known]:
            children.pop(key).unknown_key(known, what, later=later or {})
        return children

    def unknown_key(self, known: Collection[str], what: str, *, later: Mapping[str, str]) -> None:
        """Note that this key is not (or not yet) one of `what`."""
        key = str(self.path[-1])
        if key in later:
            self.mistake(not_yet(key, later[key]), "remove it", at_key=True)
        else:
            self.mistake(f"unknown key '{key}' in {what}", nearest(key, known), at_key=True)

    def items(self, what: str) -> list[Node] | None:
        """The items of a list that must not be empty."""
        if not isinstance(self.value, list) or not self.value:
            got = "an empty list" if isinstance(self.value, list) else _kind(self.value)
            self.mistake(f"{what} must be a list with at least one item, not {got}")
            return None
        if len(self.value) > LIST_ITEMS_MAX:
            self.mistake(f"{what} has more than {LIST_ITEMS_MAX} items")
            return None
        return [self.child(index) for index in range(len(self.value))]

    def text(self, *, chars_max: int = TEXT_CHARS_MAX) -> str | None:
        if not isinstance(self.value, str) or not self.value.strip():
            got = "empty" if isinstance(self.value, str) else _kind(self.value)
            self.mistake(f"{self.name} must be text, not {got}")
            return None
        if len(self.value) > chars_max:
            self.mistake(f"{self.name} is longer than {chars_max} characters")
            return None
        return self.value

    def whole(self, low: int, high: int) -> int | None:
        value = self.value
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.mistake(f"{self.name} must be a whole number from {low} to {high}, not {_shown(value)}")
        return None

    def number(self) -> int | float | None:
        value = self.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        self.mistake(f"{self.name} must be a number, not {_shown(value)}")
        return None

    def truth(self) -> bool | None:
        if not isinstance(self.value, bool):
            self.mistake(f"{self.name} must be true or false, not {_shown(self.value)}", "write true or false")
            return None
        return self.value

    def choice[T: StrEnum](self, choices: type[T], *, later: Mapping[str, str] | None = None) -> T | None:
        """One of a closed set."""
        words = [member.value for member in choices]
        word = self.word(words, later=later)
        return None if word is None else choices(word)

    def word(self, words: Collection[str], *, later: Mapping[str, str] | None = None) -> str | None:
        """One of some words, which this returns."""
        if not isinstance(self.value, str):
            self.mistake(f"{self.name} must be one of {', '.join(words)}, not {_shown(self.value)}")
            return None
        if self.value in (later or {}):
            self.mistake(not_yet(self.value, (later or {})[self.value]), f"valid here: {', '.join(words)}")
            return None
        if self.value not in words:
            self.mistake(f"{self.name} cannot be '{self.value}'", nearest(self.value, words))
            return None
        return self.value


def not_yet(key: str, what: str) -> str:
    """The sentence for a key whose enforcement is not built: such a policy does not load (P1)."""
    return f"'{key}' ({what}) is not enforced by this release, so a policy that relies on it is refused"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a map"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return f"'{value[:40]}'" if isinstance(value, str) else _kind(value)
