"""Strict JSON: bytes are read once, by rules no other reader can dispute, and written back as they were read (P2).

Rules of this module:
* Reading refuses everything two parsers could read differently: anything but UTF-8 without a byte order mark, two
  documents, duplicate keys (also when equal only after escapes), NaN and infinities, lone surrogates, raw control
  characters.
* Size, depth, number of keys, length of a key and of a number are capped. Depth is measured by a linear scan before any
  recursive parser runs: 9,000 nested arrays are a clean refusal.
* `exact=False` (requests, arguments): a number that a float64, and so a JavaScript tool, would change is refused.
  `exact=True` (tool results): integers of any size and decimals of any precision are kept.
* `write` gives back keys in their order and numbers in their spelling: `write(read(x))` says what `x` said, `-0` and
  `1.0` included. Only white space and the choice of string escapes are not kept.
* This is the only file that may call the standard library's JSON parser, and the only importer of orjson.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from math import isfinite, isinf
from typing import Any, NoReturn

import orjson

from policies.model import Json

SAFE_INTEGER_MAX = 2**53 - 1
"""The largest integer that every float64 reader keeps (RFC 8259 §6)."""


class JsonFault(StrEnum):
    """Why a document is refused; `proxy.wire.refusals` gives each its HTTP status and JSON-RPC code."""

    TOO_LARGE = "json_too_large"
    ENCODING = "json_encoding"
    SYNTAX = "json_syntax"
    SURROGATE = "json_surrogate"
    TOO_DEEP = "json_too_deep"
    TOO_MANY_KEYS = "json_too_many_keys"
    KEY_TOO_LONG = "json_key_too_long"
    DUPLICATE_KEY = "json_duplicate_key"
    CASE_VARIANT = "json_case_variant"
    NOT_FINITE = "json_not_finite"
    NUMBER_TOO_LONG = "json_number_too_long"
    NUMBER_NOT_EXACT = "json_number_not_exact"
    NOT_JSON = "json_not_writable"


class StrictJsonError(ValueError):
    """A document that is refused, or a value that JSON cannot carry. The message says what, never a whole value."""

    def __init__(self, reason: JsonFault, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """How much one document may be. Containers count for depth: `[[1]]` has depth 2."""

    bytes_max: int = 4 * 1024 * 1024
    depth_max: int = 64
    keys_max: int = 10_000
    key_bytes_max: int = 1024
    number_chars_max: int = 1024


DEFAULT_LIMITS = JsonLimits()


class SpelledNumber(float):
    """A number whose spelling (`1.10`, `1e5`, `-0`) Python would not write back; `spelling` is what was sent."""

    __slots__ = ("spelling",)
    spelling: str

    def __new__(cls, spelling: str) -> SpelledNumber:
        number = super().__new__(cls, spelling)
        number.spelling = spelling
        return number

    def __reduce__(self) -> tuple[type[SpelledNumber], tuple[str]]:
        return (SpelledNumber, (self.spelling,))

    def __copy__(self) -> SpelledNumber:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SpelledNumber:
        return self


def read(data: bytes, limits: JsonLimits = DEFAULT_LIMITS, *, exact: bool = False) -> Json:
    """Read one JSON document.

    Raises: StrictJsonError.
    """
    if len(data) > limits.bytes_max:
        raise StrictJsonError(
            JsonFault.TOO_LARGE, f"the document has {len(data)} bytes; the limit is {limits.bytes_max}"
        )
    structure, string_bytes_max = _outline(data)
    _check_shape(structure, limits)
    try:
        value: Json = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        _refuse_invalid(data, _decoder(limits, exact), error)
    if string_bytes_max <= limits.key_bytes_max and _is_plain(value, data, structure, exact):
        return value  # otherwise one of the strings is perhaps a key
    checked: Json = _decoder(limits, exact).decode(data.decode())
    return checked


def write(value: Any) -> bytes:
    """Write a value as compact UTF-8 JSON, keys in their order, numbers as they were spelled.

    Raises: StrictJsonError (NOT_JSON, NOT_FINITE) for what JSON cannot carry.
    """
    try:
        data = orjson.dumps(value, default=_fragment, option=_WRITE_OPTIONS)
    except TypeError:  # integers beyond 64 bits, or something that is not JSON: the slow writer knows which
        data = _write_slowly(value, _WRITE_DEPTH_MAX).encode()
    if b"null" in data and not _is_finite(value):  # orjson writes NaN and infinities as null
        raise StrictJsonError(JsonFault.NOT_FINITE, "NaN and infinities cannot be written as JSON")
    return data


def refuse_case_variants(obj: dict[str, Any], names: Collection[str]) -> None:
    """Refuse a key of `obj` that equals one of `names` only under case folding and NFKC (`Method`, `paramſ`).

    For the names of envelopes and schemas only: honest data may well hold both `a` and `A` (traps T17).

    Raises: StrictJsonError (CASE_VARIANT).
    """
    folded = None
    for key in obj:
        if key in names:
            continue
        if folded is None:
            folded = {_fold(name): name for name in names}
        meant = folded.get(_fold(key))
        if meant is not None:
            raise StrictJsonError(
                JsonFault.CASE_VARIANT, f"the key {_shown(key)} looks like {meant!r} to some readers; send {meant!r}"
            )


# ---- before parsing ---------------------------------------------------------------------------------------------

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_WHITE_SPACE = b" \t\n\r"
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = [1 if byte in b"[{" else -1 for byte in range(256)]


def _outline(data: bytes) -> tuple[bytes, int]:
    """A document's structure, with its strings taken out, and a length than which none of them is longer once decoded.

    Up to the document's first invalid byte, the scan sees what a parser would see.
    """
    bare = _ESCAPE.sub(b"", data) if b"\\" in data else data
    pieces = bare.split(b'"')
    escapes = (len(data) - len(bare)) // 2  # each stands for at most one byte that `bare` lacks
    return b"".join(pieces[::2]), max(map(len, pieces[1::2]), default=0) + escapes


def _check_shape(structure: bytes, limits: JsonLimits) -> None:
    keys = structure.count(b":")
    if keys > limits.keys_max:
        raise StrictJsonError(JsonFault.TOO_MANY_KEYS, f"the document has {keys} keys; the limit is {limits.keys_max}")
    if structure.count(b"[") + structure.count(b"{") <= limits.depth_max:
        return
    brackets = structure.translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets))) > limits.depth_max:
        raise StrictJsonError(JsonFault.TOO_DEEP, f"the document is nested deeper than {limits.depth_max} levels")


# ---- parsing ----------------------------------------------------------------------------------------------------

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_SAFE_DIGITS = 16  # a number of fewer characters is always within ±SAFE_INTEGER_MAX
_LONG_NUMBER = re.compile(rb"[0-9]{16}")


@lru_cache(maxsize=16)
def _decoder(limits: JsonLimits, exact: bool) -> json.JSONDecoder:
    key_chars_safe = limits.key_bytes_max // 4  # a character has at most 4 bytes in UTF-8

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        obj = dict(pairs)
        if len(obj) != len(pairs):
            raise StrictJsonError(JsonFault.DUPLICATE_KEY, f"the key {_shown(_repeated(pairs))} appears twice")
        if obj and max(map(len, obj)) > key_chars_safe:
            _refuse_long_keys(obj, limits)
        return obj

    def read_integer(spelling: str) -> int | float:
        if len(spelling) < _SAFE_DIGITS:
            return int(spelling) if spelling != "-0" else SpelledNumber(spelling)
        _check_length(spelling, limits)
        number = int(spelling)
        if exact:
            _refuse_infinite(spelling)
        elif abs(number) > SAFE_INTEGER_MAX:
            raise StrictJsonError(
                JsonFault.NUMBER_NOT_EXACT,
                f"the integer {spelling[:40]} is beyond ±(2^53-1), where readers differ; send it as a string",
            )
        return number

    def read_decimal(spelling: str) -> float:
        _check_length(spelling, limits)
        number = float(spelling)
        plain = repr(number)
        if plain == spelling and "e" not in plain:  # orjson spells exponents in its own way
            return number
        _refuse_infinite(spelling)
        if not exact and not _is_same_number(spelling, plain):
            raise StrictJsonError(
                JsonFault.NUMBER_NOT_EXACT,
                f"the number {spelling[:40]} does not fit a 64-bit float exactly; send it as a string",
            )
        return SpelledNumber(spelling)

    def read_constant(name: str) -> NoReturn:
        raise StrictJsonError(JsonFault.NOT_FINITE, f"{name} is not JSON")

    return json.JSONDecoder(
        object_pairs_hook=read_object, parse_int=read_integer, parse_float=read_decimal, parse_constant=read_constant
    )


def _is_plain(value: Json, data: bytes, structure: bytes, exact: bool) -> bool:
    """True if what orjson read is the whole truth: written back it has the same structure.

    A dropped duplicate key would be missing there, and a rounded or respelled number would differ.
    """
    if not exact and _LONG_NUMBER.search(structure):  # perhaps beyond ±SAFE_INTEGER_MAX
        return False
    written = orjson.dumps(value)
    return written == data or _outline(written)[0] == structure.translate(None, _WHITE_SPACE)


def _refuse_invalid(data: bytes, decoder: json.JSONDecoder, error: orjson.JSONDecodeError) -> NoReturn:
    """Say why orjson refused: what the laxer standard reader takes can only be a constant, a size or a surrogate."""
    if data.startswith(_BYTE_ORDER_MARKS):
        raise StrictJsonError(
            JsonFault.ENCODING, "the document starts with a byte order mark; send UTF-8 without one (RFC 8259 §8.1)"
        ) from error
    if b"\x00" in data[:4]:
        raise StrictJsonError(JsonFault.ENCODING, "the document looks like UTF-16 or UTF-32; send UTF-8") from error
    try:
        decoder.decode(data.decode("utf-8", "strict"))
    except UnicodeDecodeError as encoding:
        raise StrictJsonError(JsonFault.ENCODING, f"byte {encoding.start} is not valid UTF-8") from error
    except json.JSONDecodeError as syntax:
        raise StrictJsonError(JsonFault.SYNTAX, f"not one JSON document: {syntax.msg} (char {syntax.pos})") from error
    raise StrictJsonError(JsonFault.SURROGATE, "a string holds half of a surrogate pair (RFC 8259 §8.2)") from error


def _check_length(spelling: str, limits: JsonLimits) -> None:
    if len(spelling) > limits.number_chars_max:
        raise StrictJsonError(
            JsonFault.NUMBER_TOO_LONG,
            f"a number has {len(spelling)} characters; the limit is {limits.number_chars_max}",
        )


def _refuse_infinite(spelling: str) -> None:
    if isinf(float(spelling)):
        raise StrictJsonError(JsonFault.NOT_FINITE, f"the number {spelling[:40]} is infinite for most readers")


def _refuse_long_keys(obj: dict[str, Any], limits: JsonLimits) -> None:
    for key in obj:
        if len(key.encode("utf-8", "replace")) > limits.key_bytes_max:
            raise StrictJsonError(
                JsonFault.KEY_TOO_LONG, f"the key {_shown(key)} is longer than {limits.key_bytes_max} bytes"
            )


def _is_same_number(spelling: str, plain: str) -> bool:
    try:
        return Decimal(spelling) == Decimal(plain)
    except InvalidOperation:  # an exponent no arithmetic can hold
        return False


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    keys = [key for key, _ in pairs]
    return max(keys, key=keys.count)


def _shown(key: str) -> str:
    """A key, short and in ASCII, so that a look-alike is seen for what it is."""
    return ascii(key if len(key) <= 16 else key[:16] + "...")


def _fold(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


# ---- writing ----------------------------------------------------------------------------------------------------

_WRITE_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_WRITE_DEPTH_MAX = 254  # orjson's own limit
_ALWAYS_FINITE = frozenset({str, int, bool, type(None)})


def _is_finite(value: Any) -> bool:
    """Whether no number in what orjson wrote is NaN or infinite."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend([child for child in item.values() if type(child) not in _ALWAYS_FINITE])
        elif isinstance(item, (list, tuple)):
            waiting.extend([child for child in item if type(child) not in _ALWAYS_FINITE])
        elif isinstance(item, float) and not isfinite(item):
            return False
    return True


def _fragment(value: object) -> orjson.Fragment:
    if isinstance(value, SpelledNumber):
        return orjson.Fragment(value.spelling)
    raise TypeError


def _write_slowly(value: Any, depth_left: int) -> str:
    if depth_left == 0:
        raise StrictJsonError(JsonFault.NOT_JSON, f"the value is nested deeper than {_WRITE_DEPTH_MAX} levels")
    if isinstance(value, dict):
        return "{" + ",".join(_members(value, depth_left - 1)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_write_slowly(item, depth_left - 1) for item in value) + "]"
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    try:
        return orjson.dumps(value, default=_fragment, option=_WRITE_OPTIONS).decode()
    except TypeError as error:
        raise StrictJsonError(JsonFault.NOT_JSON, f"a {type(value).__name__} cannot be written as JSON") from error


def _members(obj: dict[Any, Any], depth_left: int) -> Iterator[str]:
    for key, value in obj.items():
        if not isinstance(key, str):
            raise StrictJsonError(JsonFault.NOT_JSON, f"a key is a {type(key).__name__}, not a string")
        yield f"{_write_slowly(key, depth_left + 1)}:{_write_slowly(value, depth_left)}"
