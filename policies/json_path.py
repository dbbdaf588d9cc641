"""JSONPaths of the policy language: parsed once, walked by our own steps. The only importer of jsonpath-ng here.

Rules of this module:
* A path is a line of keys, `[n]`, `[*]` (the items of a list) and `..key`. Filters, slices, unions, `parent` and the
  like are refused: for a fact it must be plain which values are meant, and when one of them is absent.
* `find` tells absent from empty: `[]` at `$.args.ids[*]` is nothing found; no `ids` is a gap; an `ids` that is not a
  list is a wrong shape (SEMANTICS §1.4 reads the last two strictly).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

PATH_CHARS_MAX = 256
STEPS_MAX = 16


class Each(Enum):
    """The step `[*]`."""

    ITEM = "[*]"


@dataclass(frozen=True, slots=True)
class Deep:
    """The step `..key`: that key at any depth below."""

    key: str


type Step = str | int | Each | Deep


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to. `gap`: somewhere a key or index was absent; `misshapen`: `[*]` met what is not a list."""

    values: tuple[Any, ...]
    gap: bool = False
    misshapen: bool = False


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path and its steps; `keys` are the steps where all of them are plain keys. Build it with `parse`."""

    text: str
    steps: tuple[Step, ...]
    keys: tuple[str, ...] | None = None

    def find(self, root: Any) -> Found:
        """Everything the path leads to, in document order."""
        here, gap, misshapen = [root], False, False
        for step in self.steps:
            below: list[Any] = []
            for value in here:
                match step:
                    case Each.ITEM if isinstance(value, list):
                        below.extend(value)
                    case Each.ITEM:
                        misshapen = True
                    case Deep(key):
                        deep = list(_everywhere(value, key))
                        gap = gap or not deep
                        below.extend(deep)
                    case str() if isinstance(value, dict) and step in value:
                        below.append(value[step])
                    case int() if isinstance(value, list) and step < len(value):
                        below.append(value[step])
                    case _:
                        gap = True
            here = below
        return Found(tuple(here), gap, misshapen)


@lru_cache(maxsize=4_096)
def parse(text: str) -> JsonPath:
    """A path from its text. Raises: ValueError with a sentence for its author."""
    if len(text) > PATH_CHARS_MAX:
        raise ValueError(f"a path longer than {PATH_CHARS_MAX} characters")
    if not text.startswith("$"):
        raise ValueError("a path begins with $, for example $.args.amount")
    steps = tuple(_steps(_tree(text)))
    if len(steps) > STEPS_MAX:
        raise ValueError(f"a path of more than {STEPS_MAX} steps")
    keys = tuple(step for step in steps if isinstance(step, str))
    return JsonPath(text, steps, keys if len(keys) == len(steps) else None)


def _tree(text: str) -> Any:
    from jsonpath_ng.exceptions import JSONPathError  # 0.1 s: only where a path is parsed
    from jsonpath_ng.parser import parse as parse_tree

    try:
        return parse_tree(text)
    except JSONPathError as error:
        raise ValueError(f"not a JSONPath: {str(error).splitlines()[0]}") from error


def _steps(tree: Any) -> Iterator[Step]:
    """The parser's tree as a line of steps. Told by class name, which is steadier across releases than identity."""
    match type(tree).__name__:
        case "Root":
            return
        case "Child":
            yield from _steps(tree.left)
            yield _step(tree.right)
        case "Descendants" if type(tree.right).__name__ == "Fields" and len(tree.right.fields) == 1:
            yield from _steps(tree.left)
            yield Deep(tree.right.fields[0])
        case _:
            raise ValueError("a path is made of keys, [n], [*] and ..key")


def _step(tree: Any) -> Step:
    match type(tree).__name__:
        case "Fields" if len(tree.fields) == 1:
            return str(tree.fields[0])
        case "Index" if len(tree.indices) == 1 and tree.indices[0] >= 0:
            return int(tree.indices[0])
        case "Wildcard":
            return Each.ITEM
        case "Slice" if tree.start is None and tree.end is None and tree.step is None:
            return Each.ITEM
        case _:
            raise ValueError("a path is made of keys, [n], [*] and ..key")


def _everywhere(value: Any, key: str) -> Iterator[Any]:
    """Every value under `key`, at any depth, without recursion: the depth of arguments is the agent's choice."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if key in one:
                yield one[key]
            waiting.extend(reversed(list(one.values())))
        elif isinstance(one, list):
            waiting.extend(reversed(one))
