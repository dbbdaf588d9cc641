"""Putting a changed message together: the same message, except at the places an edit names.

Rules of this module:
* The message that came is never changed: what an edit touches is copied on the way down, the rest is shared.
* An edit above makes edits below it moot. Any other edit that finds no place raises `Unreadable`: what was promised to
  be taken out would be delivered.
* A document inside a string is written again only if something in it changed; a text that was not touched keeps its
  spelling to the last blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redaction.embedded import JsonCodec, encode_text
from redaction.operators import REDACTED, REMOVED, Edited
from redaction.paths import Inner, Path, Step
from redaction.walk import Unreadable


@dataclass(slots=True)
class Edits:
    """What is to change: values by path (`REMOVED` takes the member away), keys by the path of their member."""

    values: dict[Path, Edited] = field(default_factory=dict)
    keys: dict[Path, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.values or self.keys)


@dataclass(slots=True)
class _Node:
    children: dict[Step, _Node] = field(default_factory=dict)
    is_edited: bool = False
    edited: Edited = None
    new_key: str | None = None


def rebuild(message: Any, edits: Edits, documents: Mapping[Path, Any], codec: JsonCodec) -> Any:
    """The message with the edits done. `documents` holds what the walk read inside strings."""
    top = _Node()
    for path, edited in edits.values.items():
        node = _node_at(top, path)
        node.is_edited, node.edited = True, edited
    for path, new_key in edits.keys.items():
        _node_at(top, path).new_key = new_key
    return _Builder(documents, codec).value(message, top, ())


def _node_at(node: _Node, path: Path) -> _Node:
    for step in path:
        node = node.children.setdefault(step, _Node())
    return node


class _Builder:
    def __init__(self, documents: Mapping[Path, Any], codec: JsonCodec) -> None:
        self.documents, self.codec = documents, codec

    def value(self, value: Any, node: _Node, path: Path) -> Any:
        if node.is_edited:
            return REDACTED if node.edited is REMOVED else node.edited
        if not node.children:
            return value
        if isinstance(value, dict):
            return self._object(value, node, path)
        if isinstance(value, list):
            return self._list(value, node, path)
        return self._inside(node, path)

    def _object(self, value: dict[str, Any], node: _Node, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        numbers: dict[str, int] = {}  # of the last member under one redacted key
        missed = len(node.children)
        for key, child in value.items():
            below = node.children.get(key)
            if below is None:
                built[_free(key, built, numbers)] = child
                continue
            missed -= 1
            if below.edited is not REMOVED:
                built[_free(below.new_key or key, built, numbers)] = self.value(child, below, (*path, key))
        _refuse_missed(missed)
        return built

    def _list(self, value: list[Any], node: _Node, path: Path) -> list[Any]:
        built = []
        missed = len(node.children)
        for index, child in enumerate(value):
            below = node.children.get(index)
            if below is None:
                built.append(child)
                continue
            missed -= 1
            if below.edited is not REMOVED:
                built.append(self.value(child, below, (*path, index)))
        _refuse_missed(missed)
        return built

    def _inside(self, node: _Node, path: Path) -> str:
        """A string with a document in it, written again."""
        (step, below), *others = node.children.items()
        _refuse_missed(len(others) + (path not in self.documents))
        inner = (*path, step)
        changed = self.value(self.documents[path], below, inner)
        if step is Inner.TEXT:
            return encode_text(changed)
        return REDACTED if below.is_edited and changed == REDACTED else self.codec.write(changed)


def _refuse_missed(count: int) -> None:
    """Raises: Unreadable."""
    if count:
        raise Unreadable("something that was to be redacted was not found again")


def _free(key: str, taken: Mapping[str, Any], numbers: dict[str, int]) -> str:
    """The key, or the key with a number where a redacted key would hide another member."""
    if key not in taken:
        return key
    number = numbers.get(key, 1) + 1
    while (candidate := f"{key} {number}") in taken:
        number += 1
    numbers[key] = number
    return candidate
