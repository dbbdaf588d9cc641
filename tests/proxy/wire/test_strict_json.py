"""Strict JSON: what is refused and why, what is kept exactly, and how it is written."""

from __future__ import annotations

import contextlib
import copy
import pickle
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.wire.strict_json import (
    JsonFault,
    JsonLimits,
    SpelledNumber,
    StrictJsonError,
    read,
    refuse_case_variants,
    write,
)


def fault(act: Callable[[], Any]) -> JsonFault:
    with pytest.raises(StrictJsonError) as caught:
        act()
    assert str(caught.value) == caught.value.message
    assert len(caught.value.message) < 200  # says what, never the whole document
    return caught.value.reason


# ---- what is refused in every mode ------------------------------------------------------------------------------

SYNTAX = JsonFault.SYNTAX
REFUSED: list[tuple[str, bytes, JsonFault]] = [
    # The same key twice, J1
    ("J1 a repeated key", b'{"a":1,"a":1}', JsonFault.DUPLICATE_KEY),
    ("J1 a repeated key with another between", b'{"a":1,"b":2,"a":3}', JsonFault.DUPLICATE_KEY),
    ("J1 a repeated key at depth", b'{"x":[{"y":{"a":1,"a":2}}]}', JsonFault.DUPLICATE_KEY),
    ("J1 keys equal only after escapes", b'{"method":1,"meth\\u006fd":2}', JsonFault.DUPLICATE_KEY),
    ("J1 keys equal as surrogate pair and as itself", '{"😀":1,"\\ud83d\\ude00":2}'.encode(), JsonFault.DUPLICATE_KEY),
    ("J1 an empty key twice", b'{"":1,"":2}', JsonFault.DUPLICATE_KEY),
    # Numbers that are none, J2
    ("J2 NaN", b"NaN", JsonFault.NOT_FINITE),
    ("J2 NaN inside", b'{"a":[NaN]}', JsonFault.NOT_FINITE),
    ("J2 Infinity", b"Infinity", JsonFault.NOT_FINITE),
    ("J2 -Infinity", b"[-Infinity]", JsonFault.NOT_FINITE),
    ("J2 a decimal that overflows", b"1e400", JsonFault.NOT_FINITE),
    ("J2 a negative decimal that overflows", b"[-1E+999]", JsonFault.NOT_FINITE),
    ("J2 a plain decimal that overflows", b"1" + b"0" * 309 + b".0", JsonFault.NOT_FINITE),
    # Encodings, J3
    ("J3 a UTF-8 byte order mark", b"\xef\xbb\xbf{}", JsonFault.ENCODING),
    ("J3 UTF-16 LE with mark", "{}".encode("utf-16"), JsonFault.ENCODING),
    ("J3 UTF-16 LE", '{"a":1}'.encode("utf-16-le"), JsonFault.ENCODING),
    ("J3 UTF-16 BE", '{"a":1}'.encode("utf-16-be"), JsonFault.ENCODING),
    ("J3 UTF-32 LE", '{"a":1}'.encode("utf-32-le"), JsonFault.ENCODING),
    ("J3 UTF-32 BE with mark", b"\x00\x00\xfe\xff" + b"{}", JsonFault.ENCODING),
    ("J3 an invalid byte", b'"\xff"', JsonFault.ENCODING),
    ("J3 latin-1", b'"\xe9"', JsonFault.ENCODING),
    ("J3 an overlong slash", b'"\xc0\xaf"', JsonFault.ENCODING),
    ("J3 an overlong quote", b'{"a":\xc0\xa2}', JsonFault.ENCODING),
    ("J3 a surrogate in UTF-8", b'"\xed\xa0\x80"', JsonFault.ENCODING),
    ("J3 beyond U+10FFFF", b'"\xf4\x90\x80\x80"', JsonFault.ENCODING),
    ("J3 a cut character", b'"\xe2\x82"', JsonFault.ENCODING),
    ("J3 a lone high surrogate", b'"\\ud800"', JsonFault.SURROGATE),
    ("J3 a lone low surrogate", b'"\\udc00"', JsonFault.SURROGATE),
    ("J3 two high surrogates", b'"\\ud800\\ud800"', JsonFault.SURROGATE),
    ("J3 surrogates in the wrong order", b'"\\udc00\\ud800"', JsonFault.SURROGATE),
    ("J3 a lone surrogate in a key", b'{"\\udfff":1}', JsonFault.SURROGATE),
    # Depth, J4
    ("J4 65 arrays", b"[" * 65 + b"]" * 65, JsonFault.TOO_DEEP),
    ("J4 65 objects", b'{"a":' * 65 + b"1" + b"}" * 65, JsonFault.TOO_DEEP),
    ("J4 9,000 arrays", b"[" * 9_000 + b"]" * 9_000, JsonFault.TOO_DEEP),
    ("J4 100,000 open brackets", b"[" * 100_000, JsonFault.TOO_DEEP),
    ("J4 9,000 objects", b'{"a":' * 9_000 + b"1" + b"}" * 9_000, JsonFault.TOO_DEEP),
    ("J4 depth behind a string with brackets", b'["]]]]\\"]]",' + b"[" * 64 + b"]" * 65, JsonFault.TOO_DEEP),
    ("J4 too many keys", b'{"a":{' + b",".join(b'"%d":0' % i for i in range(10_000)) + b"}}", JsonFault.TOO_MANY_KEYS),
    ("J4 a key of 1,025 bytes", b'{"' + b"k" * 1025 + b'":1}', JsonFault.KEY_TOO_LONG),
    ("J4 a key of 1,026 bytes in 342 characters", ('{"' + "€" * 342 + '":1}').encode(), JsonFault.KEY_TOO_LONG),
    ("J4 a number of 1,025 characters", b"1." + b"0" * 1023, JsonFault.NUMBER_TOO_LONG),
    ("J4 an integer of 5,000 digits", b"1" * 5000, JsonFault.NUMBER_TOO_LONG),
    # One document, J5
    ("J5 two documents", b"{} {}", SYNTAX),
    ("J5 two documents without space", b"[1][2]", SYNTAX),
    ("J5 lines of documents", b'{"a":1}\n{"a":2}\n', SYNTAX),
    ("J5 trailing text", b"{}x", SYNTAX),
    ("J5 a trailing comma", b"{},", SYNTAX),
    ("J5 a trailing NUL", b'{"a":1}\x00', SYNTAX),
    ("J5 nothing", b"", SYNTAX),
    ("J5 white space", b" \n\t ", SYNTAX),
    # The grammar
    ("a comma before the end of an array", b"[1,]", SYNTAX),
    ("a comma before the end of an object", b'{"a":1,}', SYNTAX),
    ("a double comma", b"[1,,2]", SYNTAX),
    ("a leading comma", b"[,1]", SYNTAX),
    ("no comma", b"[1 2]", SYNTAX),
    ("no colon", b'{"a" 1}', SYNTAX),
    ("two colons", b'{"a"::1}', SYNTAX),
    ("no value", b'{"a":}', SYNTAX),
    ("a key alone", b'{"a"}', SYNTAX),
    ("an unquoted key", b"{a:1}", SYNTAX),
    ("a number as key", b"{1:1}", SYNTAX),
    ("single quotes", b"{'a':1}", SYNTAX),
    ("a line comment", b"{} // x", SYNTAX),
    ("a block comment", b"{/**/}", SYNTAX),
    ("an open array", b"[1", SYNTAX),
    ("an open object", b'{"a":1', SYNTAX),
    ("an open string", b'"abc', SYNTAX),
    ("an open string with an escape", b'"abc\\', SYNTAX),
    ("a closing bracket alone", b"]", SYNTAX),
    ("the wrong bracket", b"[1}", SYNTAX),
    ("a leading zero", b"01", SYNTAX),
    ("a negative leading zero", b"-01", SYNTAX),
    ("a plus", b"+1", SYNTAX),
    ("a bare minus", b"-", SYNTAX),
    ("a point without digits after", b"1.", SYNTAX),
    ("a point without digits before", b".5", SYNTAX),
    ("an exponent without digits", b"1e", SYNTAX),
    ("an exponent with a sign alone", b"1e+", SYNTAX),
    ("a hexadecimal", b"0x1F", SYNTAX),
    ("an underscore", b"1_000", SYNTAX),
    ("full-width digits", "１".encode(), SYNTAX),
    ("capital literals", b"True", SYNTAX),
    ("a cut literal", b"tru", SYNTAX),
    ("nul", b"nul", SYNTAX),
    ("undefined", b"undefined", SYNTAX),
    ("a raw line end in a string", b'"a\nb"', SYNTAX),
    ("a raw tab in a string", b'"a\tb"', SYNTAX),
    ("a raw NUL in a string", b'["abcd\x00"]', SYNTAX),
    ("an unknown escape", b'"\\x41"', SYNTAX),
    ("a short unicode escape", b'"\\u00"', SYNTAX),
    ("an unicode escape that is none", b'"\\u00G0"', SYNTAX),
    ("a vertical tab", b"\x0b1", SYNTAX),
    ("a form feed", b"\x0c1", SYNTAX),
    ("a no-break space", "\u00a01".encode(), SYNTAX),
    ("a line separator as white space", "\u20281".encode(), SYNTAX),
    ("a backslash outside a string", b'\\"' + b"[" * 10, SYNTAX),
]


@pytest.mark.parametrize("exact", [False, True], ids=["arguments", "results"])
@pytest.mark.parametrize(("data", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_document_that_readers_could_dispute_is_refused(data: bytes, reason: JsonFault, exact: bool) -> None:
    assert fault(lambda: read(data, exact=exact)) is reason


def test_j4_the_limits_are_exact() -> None:
    limits = JsonLimits(bytes_max=60, depth_max=3, keys_max=2, key_bytes_max=5, number_chars_max=6)
    assert read(b"[[[]]]", limits) == [[[]]]
    assert fault(lambda: read(b"[[[[]]]]", limits)) is JsonFault.TOO_DEEP
    assert read(b'[{"a":1},{"a":1}]', limits) == [{"a": 1}, {"a": 1}]
    assert fault(lambda: read(b'{"a":1,"b":2,"c":3}', limits)) is JsonFault.TOO_MANY_KEYS
    assert read(b'{"abcde":1}', limits) == {"abcde": 1}
    assert fault(lambda: read(b'{"abcdef":1}', limits)) is JsonFault.KEY_TOO_LONG
    assert read(b'{"k":"longer than any key"}', limits) == {"k": "longer than any key"}
    assert fault(lambda: read(b"1000.00", limits)) is JsonFault.NUMBER_TOO_LONG
    assert read(b'"' + b"a" * 58 + b'"', limits) == "a" * 58
    assert fault(lambda: read(b'"' + b"a" * 59 + b'"', limits)) is JsonFault.TOO_LARGE


def test_brackets_colons_and_quotes_inside_strings_count_for_nothing() -> None:
    limits = JsonLimits(depth_max=2, keys_max=1)
    text = b'{"k":"[[[{{{ \\" : : \\\\"}'
    assert read(text, limits) == {"k": '[[[{{{ " : : \\'}


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 4_000_000,
        b'"\\' * 2_000_000,
        b'"' * 4_000_000,
        b"[]" * 2_000_000,
        b'{"a":' * 600_000,
        b"[" + b"[]," * 1_300_000 + b"[]]",
        b"[" + b'"\\"[",' * 600_000 + b"1]",
        b"[" + b"1" * 4_000_000,
        b"\\" * 4_000_000,
    ],
    ids=["open", "escapes", "quotes", "pairs", "objects", "siblings", "quoted brackets", "digits", "backslashes"],
)
def test_a_hostile_document_of_four_megabytes_is_read_or_refused_in_linear_time(data: bytes) -> None:
    begun = time.process_time()
    with contextlib.suppress(StrictJsonError):
        read(data)
    assert time.process_time() - begun < 3


# ---- numbers ----------------------------------------------------------------------------------------------------

UNSAFE = [
    b"9007199254740992",
    b"-9007199254740992",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"123456789012345678901234567890",
    b"9007199254740993.0",
    b"0.1000000000000000001",
    b"1e-400",
    b"1e-99999999999999999999",
    b"123456789.12345678901234567890",
]


@pytest.mark.parametrize("number", UNSAFE)
def test_j2_a_number_that_a_float_would_change_is_refused_in_arguments(number: bytes) -> None:
    with pytest.raises(StrictJsonError, match="send it as a string") as caught:
        read(b'{"amount":' + number + b"}")
    assert caught.value.reason is JsonFault.NUMBER_NOT_EXACT


@pytest.mark.parametrize("number", UNSAFE)
def test_t17_a_result_keeps_any_number_as_it_was_sent(number: bytes) -> None:
    data = b'{"amount":' + number + b"}"
    assert write(read(data, exact=True)) == data


def test_t17_integers_of_results_are_integers_of_any_size() -> None:
    assert read(b"[1763683200000000000, 18446744073709551616, -1]", exact=True) == [
        1763683200000000000,
        18446744073709551616,
        -1,
    ]


def test_an_integer_that_most_readers_take_for_infinity_is_refused_in_results_too() -> None:
    assert fault(lambda: read(b"1" * 310, exact=True)) is JsonFault.NOT_FINITE
    assert read(b"1" * 309, exact=True) == int("1" * 309)


@pytest.mark.parametrize("exact", [False, True], ids=["arguments", "results"])
@pytest.mark.parametrize(
    "number",
    [
        *(
            b"0",
            b"-0",
            b"1",
            b"-1",
            b"1.0",
            b"-0.0",
            b"0.0",
            b"0e0",
            b"1.10",
            b"1e5",
            b"1E5",
            b"1e+5",
            b"1E-5",
            b"100.00",
        ),
        *(b"0.00001", b"1e-05", b"1e16", b"1e+16", b"1e22", b"5e-324", b"1.7976931348623157e308", b"0.1", b"49.5"),
        *(b"9007199254740991", b"-9007199254740991", b"999999999999999", b"1234567890123456"),
    ],
)
def test_t18_the_spelling_of_a_number_survives(number: bytes, exact: bool) -> None:
    for data in (number, b"[" + number + b"]", b'{"a":' + number + b',"b":[' + number + b"]}"):
        assert write(read(data, exact=exact)) == data


def test_a_spelled_number_is_a_float_and_stays_itself_when_copied() -> None:
    (number,) = read(b"[1.10]")  # type: ignore[misc] # it is a list of one
    assert isinstance(number, SpelledNumber)
    assert (number, number.spelling, number + 1) == (1.1, "1.10", 2.1)
    for twin in (copy.copy(number), copy.deepcopy([number])[0], pickle.loads(pickle.dumps(number))):
        assert isinstance(twin, SpelledNumber)
        assert (twin, twin.spelling) == (1.1, "1.10")


def test_plain_numbers_have_plain_types() -> None:
    value = read(b'[1, 1.5, {"a": -2}, true, null]')
    assert isinstance(value, list)
    assert [type(item) for item in value] == [int, float, dict, bool, type(None)]


# ---- what is read -----------------------------------------------------------------------------------------------


def test_keys_keep_their_order_and_strings_their_characters() -> None:
    data = '{"b":1,"a":{"z":"\\u0000\\n","é":"😀"},"":[]}'.encode()
    assert read(data) == {"b": 1, "a": {"z": "\0\n", "é": "😀"}, "": []}
    assert write(read(data)) == data


def test_escapes_and_white_space_are_read_and_not_kept() -> None:
    assert write(read(b' {\r\n "\\u0061" :\t"\\u002f\\/" } ')) == b'{"a":"//"}'


@pytest.mark.parametrize("data", [b"null", b"true", b"false", b'"x"', b"0", b"[]", b"{}"])
def test_any_value_may_be_the_document(data: bytes) -> None:
    assert write(read(data)) == data


def test_long_keys_and_values_are_told_apart() -> None:
    long = b"x" * 5000
    assert read(b'{"text":"' + long + b'"}') == {"text": long.decode()}
    assert read(b'{"' + b"k" * 1024 + b'":"' + long + b'"}') == {"k" * 1024: long.decode()}
    assert read(b'{"' + b"\\u006b" * 1024 + b'":1}') == {"k" * 1024: 1}
    assert fault(lambda: read(b'{"' + b"\\n" * 1025 + b'":1}')) is JsonFault.KEY_TOO_LONG


# ---- writing ----------------------------------------------------------------------------------------------------


def test_integers_of_any_size_and_spelled_numbers_are_written_together() -> None:
    value = {"big": [2**70, -(2**70)], "spelled": SpelledNumber("1.10"), "t": (1, "é\n"), "null": None, "yes": True}
    assert write(value) == (
        b'{"big":[1180591620717411303424,-1180591620717411303424],"spelled":1.10,"t":[1,"\xc3\xa9\\n"],"null":null,"yes":true}'
    )


@pytest.mark.parametrize(
    "value",
    [
        *({1: 2}, {None: 1}, {"a": {2: 3}}, object(), {"a": object()}, {1, 2}, b"bytes", "\ud800", {"\ud800": 1}),
        *(datetime(2026, 7, 28, tzinfo=UTC), JsonLimits(), [2**70, object()], {"a": 2**70, 1: 2}),
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", repr(value)),  # an id is the same in every process
)
def test_what_json_cannot_carry_is_not_written(value: Any) -> None:
    assert fault(lambda: write(value)) is JsonFault.NOT_JSON


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_j2_nan_and_infinities_are_not_written_not_even_as_null(number: float) -> None:
    assert fault(lambda: write(number)) is JsonFault.NOT_FINITE
    assert fault(lambda: write([1, {"a": number}])) is JsonFault.NOT_FINITE
    assert fault(lambda: write({"big": 2**70, "a": number})) is JsonFault.NOT_FINITE


def test_null_is_written_beside_any_number() -> None:
    assert write([None, 1.5, 2**70, SpelledNumber("1.10"), "null"]) == b'[null,1.5,1180591620717411303424,1.10,"null"]'


def test_a_value_nested_too_deep_is_not_written() -> None:
    value: Any = 2**70
    for _ in range(300):
        value = [value]
    assert fault(lambda: write(value)) is JsonFault.NOT_JSON


# ---- case variants ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        *(
            ("Method", "method"),
            ("METHOD", "method"),
            ("ｍethod", "method"),
            ("paramſ", "params"),
            ("PARAMS", "params"),
        ),
        *(("ℳethod", "method"), ("ﬁeld", "field"), ("ﬀ", "ff"), ("straße", "STRASSE"), ("Kelvin\u212a", "kelvink")),
    ],
)
def test_j1_a_key_that_looks_like_a_name_of_the_envelope_is_refused(key: str, meant: str) -> None:
    with pytest.raises(StrictJsonError, match=meant) as caught:
        refuse_case_variants({"other": 1, key: 1}, ["x", meant])
    assert caught.value.reason is JsonFault.CASE_VARIANT
    assert caught.value.message.isascii()


def test_t17_names_themselves_and_honest_keys_pass() -> None:
    refuse_case_variants({"method": 1, "a": 1, "A": 2, "Öl": 3}, ["method", "params"])
    refuse_case_variants({"a": 1, "A": 2}, ["a", "A"])  # a schema that has both
    refuse_case_variants({}, ["method"])
