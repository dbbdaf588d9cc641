"""Strict JSON as properties: reading and writing are inverse, mutants are read as everybody reads them, or refused."""

from __future__ import annotations

import json
import random
from typing import Any

import orjson
import pydantic_core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.strict_json import JsonLimits, SpelledNumber, StrictJsonError, read, write

# ---- values -----------------------------------------------------------------------------------------------------

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
SPELLINGS = st.from_regex(r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def values(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | TEXT | leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    )


def spelled(value: Any) -> Any:
    """A value with every number replaced by its type and spelling, and objects by their pairs: nothing is lost."""
    if isinstance(value, dict):
        return ("object", [(key, spelled(item)) for key, item in value.items()])
    if isinstance(value, list):
        return [spelled(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, SpelledNumber):
        return ("number", value.spelling)
    return ("number", write(value).decode())


def naive(data: bytes) -> Any:
    """The reference: the standard reader, keeping every pair and every number's text."""

    def pairs(items: list[tuple[str, Any]]) -> Any:
        return ("object", [(key, item) for key, item in items])

    def number(text: str) -> Any:
        return ("number", text)

    return json.loads(data.decode(), object_pairs_hook=pairs, parse_float=number, parse_int=number)


@given(values(SAFE | FLOATS | SPELLINGS.map(SpelledNumber)))
@settings(max_examples=400)
def test_reading_what_was_written_gives_the_same_value(value: Any) -> None:
    data = write(value)
    assert write(read(data, exact=True)) == data
    assert spelled(read(data, exact=True)) == naive(data)


@given(values(SAFE), st.sampled_from([None, 1, "\t"]), st.booleans())
@settings(max_examples=300)
def test_any_layout_and_any_escapes_read_the_same(value: Any, indent: Any, ensure_ascii: bool) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii).encode()
    assert read(data) == value
    assert write(read(data)) == write(value)


@given(SPELLINGS)
@settings(max_examples=500)
def test_a_number_that_is_accepted_is_written_as_it_was_spelled(spelling: str) -> None:
    data = spelling.encode()
    try:
        value = read(data)
    except StrictJsonError:
        return
    assert write(value) == data
    assert value == float(spelling)


@given(st.integers())
def test_t17_every_integer_of_a_result_is_kept(number: int) -> None:
    value = read(str(number).encode(), exact=True)
    assert value == number
    assert isinstance(value, int)


# ---- bytes ------------------------------------------------------------------------------------------------------

SEEDS = [
    b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"refund","arguments":{"amount":49.5,"to":"M\xc3\xbcller"}}}',
    b'{"id":1e2,"a":[1,-0,1.10,true,null,{"k":"\\u0041\\n\\ud83d\\ude00"}],"method":"x","b":9007199254740991}',
    b' [ {"a" : 1 , "b" : [ ] } , "[{\\"" , 18446744073709551616 , 0.1000000000000000001 ] ',
]
PIECES = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"0", b"1", b"-", b".", b"e", b"E", b"+", b"NaN"),
    *(
        b"\xef\xbb\xbf",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\\u0061",
        b"\\ud800",
        b"Infinity",
        b'"id":1,',
        b"method",
        b"\t",
    ),
]


def mutants(count: int, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        data = bytearray(chance.choice(SEEDS))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(4):
                case 0:
                    data[at:at] = chance.choice(PIECES)
                case 1:
                    del data[at : at + chance.randint(1, 6)]
                case 2:
                    data[at : at + 1] = chance.choice(PIECES)
                case _:
                    start = chance.randrange(len(data) + 1)
                    data[at:at] = data[start : start + chance.randint(1, 30)]
        made.append(bytes(data))
    return made


def check_against_everybody(data: bytes, *, exact: bool) -> bool:
    """If we take it, everybody reads from our re-serialisation what the naive reader saw in the original."""
    try:
        value = read(data, exact=exact)
    except StrictJsonError:
        return False
    written = write(value)
    assert naive(written) == naive(data)  # no pair, no number and no order was lost
    assert write(read(written, exact=exact)) == written
    theirs = json.loads(written)
    assert theirs == value
    assert pydantic_core.from_json(written) == value
    if not exact:  # orjson makes floats of integers beyond 64 bits
        assert orjson.loads(written) == value
    return True


@pytest.mark.parametrize("exact", [False, True], ids=["arguments", "results"])
def test_j1_ten_thousand_mutants_are_read_as_everybody_reads_them_or_refused(exact: bool) -> None:
    taken = sum(check_against_everybody(data, exact=exact) for data in mutants(10_000, seed=20261121))
    assert 500 < taken < 9_500  # the mutants are neither all broken nor all harmless


@given(st.binary(max_size=40))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    check_against_everybody(data, exact=False)


@given(st.text(alphabet='[]{}":\\,1 ', max_size=60), st.integers(0, 5), st.integers(0, 4))
@settings(max_examples=600)
def test_j4_depth_and_keys_are_counted_as_a_parser_counts_them(text: str, depth_max: int, keys_max: int) -> None:
    data = text.encode()
    try:
        pairs = naive(data)
    except ValueError:
        return
    expected = depth(pairs) <= depth_max and keys(pairs) <= keys_max
    try:
        read(data, JsonLimits(depth_max=depth_max, keys_max=keys_max), exact=True)
        taken = True
    except StrictJsonError as error:
        taken = "deep" not in error.reason and "keys" not in error.reason
    assert taken == expected


def depth(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, tuple) and value[0] == "object":
        return 1 + max((depth(item) for _, item in value[1]), default=0)
    return 0


def keys(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(keys, value))
    if isinstance(value, tuple) and value[0] == "object":
        return len(value[1]) + sum(keys(item) for _, item in value[1])
    return 0
