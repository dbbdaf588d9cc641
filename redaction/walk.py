"""One walk over a message: every string, key and long number in it, with its place and what may be done with it.

Rules of this module:
* Every value is met once: strings, keys, integers of seven digits or more, and decimals as they were spelled.
* A string that is a JSON document is walked into (strictly read, up to a depth and a budget), as is base64 of text:
  the same value in `structuredContent` and in its duplicate in `content` is met in both.
* Nothing is changed here; `rebuild.py` puts a changed message together.
* What cannot be walked in full (too deep, too large, ambiguous, binary of a type nobody allowed) raises `Unreadable`:
  there is no partial walk.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from redaction.embedded import (
    JSON_STARTS,
    AmbiguousJson,
    JsonCodec,
    NotJson,
    decode_blob,
    looks_like_json,
    read_json,
    text_of,
)
from redaction.operators import number_text
from redaction.paths import Inner, Path, normal_name
from redaction.shape import ANYTHING, PLAIN, Member, Role, Zone, key_role, member_of, start

TEXT_CHARS_MIN = 3  # the shortest thing any detector can find is an IPv6 address such as ::1
NUMBER_DIGITS_MIN = 7
_SMALL = 10 ** (NUMBER_DIGITS_MIN - 1)
BLOB_TYPES = ("image/*", "audio/*")


class Unreadable(ValueError):
    """The message cannot be inspected in full. The text says why and holds no value of the message."""


@dataclass(frozen=True, slots=True)
class WalkLimits:
    depth_max: int = 256  # of the message and the documents inside its strings together
    nodes_max: int = 250_000
    embedded_depth_max: int = 3
    embedded_chars_max: int = 8 * 1024 * 1024
    opaque_chars_max: int = 4 * 1024


class Form(Enum):
    """What a leaf is in JSON."""

    STRING = "string"
    NUMBER = "number"
    KEY = "key"


class Leaf(NamedTuple):
    """One thing to scan. `context` is the nearest key above it. The path of a key is that of its member."""

    path: Path
    text: str
    context: str
    role: Role
    form: Form


class Root(NamedTuple):
    """A value that field rules take as their `$`."""

    path: Path
    value: Any


class Named(NamedTuple):
    """A member whose key field rules watch for, under its normal name."""

    name: str
    path: Path
    value: Any


@dataclass(slots=True)
class Walked:
    """Everything met, in the order of the message."""

    leaves: list[Leaf] = field(default_factory=list)
    roots: list[Root] = field(default_factory=list)
    named: list[Named] = field(default_factory=list)
    documents: dict[Path, Any] = field(default_factory=dict)  # path of a string -> what was read in it
    opaque: list[Leaf] = field(default_factory=list)  # passed unchanged and unscanned


def walk(
    message: Any,
    *,
    codec: JsonCodec,
    limits: WalkLimits,
    blob_types: Sequence[str] = BLOB_TYPES,
    watch: Container[str] = (),
    clean_keys: Container[str] = (),
    is_arguments: bool = False,
) -> Walked:
    """Walk `message`. Keys in `clean_keys` are known to hold nothing and are not met again.

    Raises: Unreadable.
    """
    walker = _Walker(codec, limits, blob_types, watch, clean_keys)
    walker.value(message, (), "", start(message, is_arguments=is_arguments), 0)
    return walker.walked


_new = tuple.__new__  # a NamedTuple's own constructor costs twice as much
_DATA, _STRING = Role.DATA, Form.STRING
_SINGLE = (Role.OPAQUE, Role.MEASURE)  # one value each: a list of them is no such thing, and is looked through


class _Walker:
    def __init__(
        self,
        codec: JsonCodec,
        limits: WalkLimits,
        blob_types: Sequence[str],
        watch: Container[str],
        clean_keys: Container[str],
    ) -> None:
        self.codec, self.limits, self.blob_types = codec, limits, blob_types
        self.watch, self.clean_keys = watch, clean_keys
        self.walked = Walked()
        self.nodes = self.embedded_chars = self.embedded_depth = 0

    def value(self, value: Any, path: Path, context: str, member: Member, depth: int) -> None:
        if member.is_root:
            self._root(value, path)
        if isinstance(value, str):
            self.string(value, path, context, member.role, depth)
        elif isinstance(value, dict):
            self.object(value, path, member, depth)
        elif isinstance(value, list):
            self._enter(len(value), depth)
            item_member = ANYTHING if member.is_root or member.role in _SINGLE else member
            for index, item in enumerate(value):
                self.value(item, (*path, index), context, item_member, depth + 1)
        elif value is None or isinstance(value, bool):
            return
        elif isinstance(value, (int, float)):
            self._number(value, path, context, member.role)
        else:
            raise Unreadable(f"the message holds a {type(value).__name__}, which is not JSON")

    def object(self, value: dict[str, Any], path: Path, member: Member, depth: int) -> None:
        self._enter(len(value), depth)
        if member.zone is Zone.DATA:
            self._data(value, path, depth)
            return
        is_media = value.get("type") in ("image", "audio")
        for key, child in value.items():
            known = member_of(member, key)
            place = (*path, key)
            role = key_role(member, known)
            if role is not None:
                self._key(key, place, child, role)
            if known is None or known.role is not Role.BLOB:
                self.value(child, place, key, known or ANYTHING, depth + 1)
            elif isinstance(child, str) and (is_media or key == "blob"):
                self._blob(child, place, key, value.get("mimeType"), depth)
            else:  # `data` of something that is neither image nor audio is a member like any other
                self.value(child, place, key, ANYTHING, depth + 1)

    def string(self, text: str, path: Path, context: str, role: Role, depth: int) -> None:
        if role is Role.OPAQUE:
            if len(text) > self.limits.opaque_chars_max:
                raise Unreadable(f"an opaque protocol value is longer than {self.limits.opaque_chars_max} characters")
            self.walked.opaque.append(Leaf(path, text, context, role, Form.STRING))
        elif role is Role.DATA and looks_like_json(text) and self._document(text, path, context, depth):
            return
        elif len(text) >= TEXT_CHARS_MIN:
            role = Role.IDENTIFIER if role is Role.MEASURE else role  # words where the protocol has a number
            self.walked.leaves.append(Leaf(path, text, context, role, Form.STRING))

    def _data(self, value: dict[str, Any], path: Path, depth: int) -> None:
        """The hot path: an object of the tool's own. Exact types first; what else there is goes the ordinary way."""
        append, clean_keys, watch = self.walked.leaves.append, self.clean_keys, self.watch
        for key, child in value.items():
            place = (*path, key)
            if watch or key not in clean_keys:
                self._key(key, place, child, _DATA)
            kind = type(child)
            if kind is str and child[:1] not in JSON_STARTS:
                if len(child) >= TEXT_CHARS_MIN:
                    append(_new(Leaf, (place, child, key, _DATA, _STRING)))
            elif kind is float or kind is int:
                self._number(child, place, key, _DATA)
            elif kind is not bool and child is not None:
                self.value(child, place, key, ANYTHING, depth + 1)

    def _key(self, key: str, place: Path, child: Any, role: Role) -> None:
        if self.watch and role is Role.DATA:
            name = normal_name(key)
            if name in self.watch:
                self.walked.named.append(Named(name, place, child))
        if len(key) >= TEXT_CHARS_MIN and key not in self.clean_keys:
            self.walked.leaves.append(Leaf(place, key, "", role, Form.KEY))

    def _number(self, value: float, path: Path, context: str, role: Role) -> None:
        if role is Role.MEASURE or role is Role.OPAQUE:
            return
        if isinstance(value, int) and -_SMALL < value < _SMALL:
            return
        text = number_text(value)
        if len(text) >= NUMBER_DIGITS_MIN and sum(map(str.isdigit, text)) >= NUMBER_DIGITS_MIN:
            self.walked.leaves.append(Leaf(path, text, context, role, Form.NUMBER))

    def _root(self, value: Any, path: Path) -> None:
        self.walked.roots.append(Root(path, value))
        if path[-1:] == ("structuredContent",) and isinstance(value, dict) and list(value) == ["result"]:
            # SDKs wrap a result that is not an object: what the text block holds is then one level further down.
            self.walked.roots.append(Root((*path, "result"), value["result"]))

    def _document(self, text: str, path: Path, context: str, depth: int) -> bool:
        """Walk into a string that is JSON; False if it is not."""
        self._budget(len(text))
        try:
            document = read_json(text, self.codec)
        except NotJson:
            return False
        except AmbiguousJson as error:
            raise Unreadable(f"a text is JSON that cannot be read safely: {error}") from error
        if self.embedded_depth >= self.limits.embedded_depth_max:
            raise Unreadable(f"JSON is nested in strings more than {self.limits.embedded_depth_max} deep")
        self.walked.documents[path] = document
        inner = (*path, Inner.JSON)
        self.embedded_depth += 1
        self.value(document, inner, context, PLAIN, depth + 1)
        self.embedded_depth -= 1
        return True

    def _blob(self, data: str, path: Path, context: str, mime_type: Any, depth: int) -> None:
        self._budget(len(data))
        raw = decode_blob(data)
        if raw is None:
            raise Unreadable("a blob is not base64")
        text = text_of(raw)
        if text is not None:
            self.walked.documents[path] = text
            self.string(text, (*path, Inner.TEXT), context, Role.DATA, depth + 1)
            return
        kind = mime_type.partition(";")[0].strip().lower() if isinstance(mime_type, str) else ""
        if not any(fnmatchcase(kind, allowed) for allowed in self.blob_types):
            raise Unreadable(f"the message holds binary of a type that is not among {', '.join(self.blob_types)}")

    def _budget(self, chars: int) -> None:
        self.embedded_chars += chars
        if self.embedded_chars > self.limits.embedded_chars_max:
            raise Unreadable(f"documents inside strings are larger than {self.limits.embedded_chars_max} characters")

    def _enter(self, count: int, depth: int) -> None:
        self.nodes += count
        if self.nodes > self.limits.nodes_max:
            raise Unreadable(f"the message has more than {self.limits.nodes_max} values")
        if depth > self.limits.depth_max:
            raise Unreadable(f"the message is nested deeper than {self.limits.depth_max}")
