"""YAML text to plain JSON values with the position of every key and value: the only importer of PyYAML.

Rules of this module:
* Only JSON's types come out: text, whole and decimal numbers, true, false, null, lists, maps with text keys. No tags,
  no anchors or aliases, no merge keys, no second document, no directives.
* Plain scalars are read as YAML 1.2's JSON schema reads them: `no`, `on`, `0x1F`, `1:30` and dates are text, never
  something else in disguise; where a truth value or a number is wanted, the reader of the value says so.
* A key twice in one map is a mistake, never "the last one wins".
* Size, depth and number of nodes are capped; all mistakes of a text that can be read on are raised together.
* It works on PyYAML's parse events, so nothing is composed (or expanded) before it has been looked at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from policies.errors import PolicyError, PolicyErrors

TEXT_CHARS_MAX = 512 * 1024
DEPTH_MAX = 32
NODES_MAX = 50_000
INTEGER_DIGITS_MAX = 18

type Path = tuple[str | int, ...]

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, bool | None] = {"true": True, "True": True, "TRUE": True, "false": False, "False": False}
_WORDS |= {"FALSE": False, "null": None, "Null": None, "NULL": None, "~": None, "": None}

# What people most often meant, by words of PyYAML's messages.
_HINTS = {
    "while scanning an alias": 'text that begins with * stands in quotes, for example "*"',
    "character '\\t'": "indent with blanks, not with tabs",
    "mapping values are not allowed": "text that holds ': ' stands in quotes; else look at the indentation",
    "quoted scalar": "a quote is opened here and never closed",
    "a flow sequence": "a bracket '[' is not closed, or something in it needs quotes",
    "a flow mapping": "a bracket '{' is not closed, or something in it needs quotes",
    "expected <block end>": "look at the indentation",
}


@dataclass(slots=True)
class Positions:
    """Where everything stands: line and column (from 1) of the value, or of the key, at a path."""

    file: str
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    texts: dict[Path, tuple[int, int]] = field(default_factory=dict)  # first character of one-line text written as is

    def value(self, path: Path) -> tuple[int, int]:
        """Where the value at `path` begins; for a path that is not there, its nearest parent."""
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def key(self, path: Path) -> tuple[int, int]:
        """Where the key of `path` stands (an item of a list has no key: its value)."""
        return self.keys.get(path) or self.value(path)

    def inside(self, path: Path, offset: int) -> tuple[int, int]:
        """Where character `offset` of the text at `path` stands, as far as its style lets us know."""
        if path in self.texts:
            line, column = self.texts[path]
            return line, column + offset
        return self.value(path)


def load_positioned(text: str, file: str) -> tuple[Any, Positions]:
    """The plain value of one YAML document, and where its parts stand.

    Raises: PolicyErrors, each with file, line and column.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise PolicyErrors([PolicyError(file, 1, 1, f"more than {TEXT_CHARS_MAX} characters", "split the file")])
    reading = _Reading(text, file)
    try:
        value = reading.document()
    except yaml.MarkedYAMLError as error:
        what = " ".join(part for part in (error.context, error.problem) if part)
        is_open = "end of stream" in what or "<stream end>" in what  # what was never closed is mended where it begins
        mark = (error.context_mark if is_open else None) or error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        hint = next((hint for words, hint in _HINTS.items() if words in what), "")
        reading.mistakes.append(PolicyError(file, line, column, f"not YAML: {what}", hint))
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
        reading.mistakes.append(PolicyError(file, line, column, "a character that YAML does not allow"))
    if reading.mistakes:
        raise PolicyErrors(reading.mistakes)
    return value, reading.positions


class _Reading:
    """One pass over the parse events of one text."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.positions = Positions(file)
        self.mistakes: list[PolicyError] = []
        self.nodes = 0
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.SafeLoader)

    def document(self) -> Any:
        value: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.give_up(event, "a second document", "one file holds one document; split it")
                if event.version or event.tags:
                    self.mistake(event, "a YAML directive", "remove the line that starts with %")
            elif isinstance(event, yaml.NodeEvent):
                value = self.node(event, ())
        return value

    def node(self, event: yaml.Event, path: Path) -> Any:
        self.nodes += 1
        if self.nodes > NODES_MAX:
            self.give_up(event, f"more than {NODES_MAX} values", "split the file")
        if len(path) > DEPTH_MAX:
            self.give_up(event, f"nested more than {DEPTH_MAX} deep")
        self.positions.values[path] = _place(event)
        if isinstance(event, yaml.AliasEvent):
            self.mistake(
                event,
                f"the alias *{event.anchor}",
                "aliases are not accepted: write the value out, or a pattern in quotes",
            )
            return None
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.anchor is not None:
            self.mistake(event, f"the anchor &{event.anchor}", "anchors are not accepted: remove it")
        if event.tag is not None:
            self.mistake(event, f"the tag {event.tag}", "tags are not accepted: remove it")
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        assert isinstance(event, yaml.ScalarEvent)
        self.note_one_line(event, path)
        return self.scalar(event)

    def mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self.give_up(event, "a key that is not text")
            if event.anchor is not None or event.tag is not None:
                self.mistake(event, "a key with a tag or an anchor", "write the key alone")
            key = self.scalar(event)
            value_event = next(self.events)
            if not isinstance(key, str):
                self.mistake(event, f"the key {event.value or 'null'} is not text", "put it in quotes")
                key = event.value
            if key == "<<":
                self.mistake(event, "a merge key", "merge keys are not accepted: write the keys out")
            if key in values:
                first = self.positions.keys[(*path, key)][0]
                self.mistake(event, f"the key '{key}' a second time", f"first in line {first}")
                self.node(value_event, (*path, key, "second"))
                continue
            self.positions.keys[(*path, key)] = _place(event)
            values[key] = self.node(value_event, (*path, key))
        return values

    def sequence(self, path: Path) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self.node(event, (*path, len(values))))
        return values

    def note_one_line(self, event: yaml.ScalarEvent, path: Path) -> None:
        """Remember where the text of a scalar begins if it stands in the file character for character."""
        start, end = event.start_mark, event.end_mark
        assert start is not None
        assert end is not None
        quotes = 2 if event.style else 0
        if event.style not in ("|", ">") and end.index - start.index == len(event.value) + quotes:
            line, column = _place(event)
            self.positions.texts[path] = (line, column + quotes // 2)

    def scalar(self, event: yaml.ScalarEvent) -> Any:
        if event.style is not None:
            return event.value
        if event.value in _WORDS:
            return _WORDS[event.value]
        if _WHOLE.match(event.value):
            if len(event.value) > INTEGER_DIGITS_MAX:
                self.mistake(event, "a whole number too large to be exact", "put it in quotes if it is an id")
                return 0
            return int(event.value)
        if _DECIMAL.match(event.value):
            number = float(event.value)
            if not math.isfinite(number):
                self.mistake(event, "a number too large to be exact")
            return number
        return event.value

    def mistake(self, event: yaml.Event, message: str, hint: str = "") -> None:
        line, column = _place(event)
        self.mistakes.append(PolicyError(self.file, line, column, message, hint))

    def give_up(self, event: yaml.Event, message: str, hint: str = "") -> NoReturn:
        """A mistake after which reading on would be guessing."""
        self.mistake(event, message, hint)
        raise PolicyErrors(self.mistakes)


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1
