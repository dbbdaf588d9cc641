"""Documents in strings: what is taken for JSON, and what for text."""

from __future__ import annotations

import pytest

from redaction.embedded import AmbiguousJson, NotJson, decode_blob, encode_text, looks_like_json, read_json, text_of
from tests.redaction.builders import CODEC


@pytest.mark.parametrize("text", ["{}", "[1]", '"x"', " \n{}\r\n", "\ufeff{}", '{"a": 1', "[INFO] started [ok]"])
def test_what_may_be_json_is_tried(text: str) -> None:
    assert looks_like_json(text) == (text[-1] in '}]" \n' or text.endswith("[ok]"))


@pytest.mark.parametrize("text", ["", " ", "{", "true", "12", "plain", '{"a": 1} trailing', '"'])
def test_what_cannot_be_json_is_not_tried(text: str) -> None:
    assert not looks_like_json(text)


def test_json_is_read_strictly_and_numbers_survive() -> None:
    text = '{"a":12345678901234567890,"b":1.10,"c":0.1}'
    assert CODEC.write(read_json(f"\ufeff {text}\n", CODEC)) == text


@pytest.mark.parametrize("text", ['{"a": 1} {"b": 2}', "[INFO] ok]", "{'a': 1}", '{"a": }', '{"a": "\n"}'])
def test_what_no_strict_reader_takes_is_text(text: str) -> None:
    with pytest.raises(NotJson):
        read_json(text, CODEC)


@pytest.mark.parametrize(
    "text", ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', "[NaN]", "[1e999]", '["\\ud800"]', "[" * 200 + "]" * 200]
)
def test_what_readers_read_differently_is_ambiguous(text: str) -> None:
    with pytest.raises(AmbiguousJson):
        read_json(text, CODEC)


def test_base64_is_told_by_its_alphabet() -> None:
    assert decode_blob("aGVs\nbG8=") == b"hello"
    assert decode_blob("hello, world") is None
    assert decode_blob("a") is None
    assert decode_blob("é") is None


def test_text_is_told_by_its_bytes() -> None:
    assert text_of("héllo\n\t\x1b[0m".encode()) == "héllo\n\t\x1b[0m"
    assert text_of(b"\x89PNG\r\n\x1a\n") is None
    assert text_of(b"RIFF\0\0") is None
    assert decode_blob(encode_text("héllo")) == "héllo".encode()
