"""How places are written."""

from __future__ import annotations

import pytest

from redaction.paths import PATH_CHARS_MAX, Inner, Path, in_message, in_response, normal_name

STRUCTURED: Path = ("result", "structuredContent")
DOCUMENT: Path = ("result", "content", 0, "text", Inner.JSON)


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ((), "$"),
        (("result", "content", 0, "text"), "$.result.content[0].text"),
        ((*DOCUMENT, "ssn"), "$.result.content[0].text|$.ssn"),
        (("a b", 'quo"te', "\u202e"), '$["a b"]["quo\\"te"]["\\u202e"]'),
        (("blob", Inner.TEXT), "$.blob|text"),
        (("123",), '$["123"]'),
    ],
)
def test_a_path_in_the_message(path: Path, written: str) -> None:
    assert in_message(path, {}) == written


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ((*STRUCTURED, "customer_data", "ssn"), "response.customer_data.ssn"),
        ((*DOCUMENT, "customer_data", "ssn"), "response.customer_data.ssn"),
        (("result", "content", 1, "text", Inner.JSON, "a"), "response.content[1].text.a"),
        (("result", "content", 0, "text"), "response.content[0].text"),
        (("error", "message"), "response.error.message"),
        (("params", "data", 3), "response.params.data[3]"),
        ((), "response"),
    ],
)
def test_a_path_in_the_record(path: Path, written: str) -> None:
    assert in_response(path, {STRUCTURED, DOCUMENT}, {}) == written


def test_a_key_that_held_a_value_is_written_masked() -> None:
    assert in_message(("536-90-4399", "x"), {"536-90-4399": "[REDACTED]"}) == '$["[REDACTED]"].x'


def test_a_written_path_is_bounded() -> None:
    written = in_message(("k" * 10_000,), {})
    assert (len(written), written[-1]) == (PATH_CHARS_MAX, "…")


@pytest.mark.parametrize("key", ["ssn", "SSN", "s_s_n", "S-S.N", " ssn\n"])
def test_a_name_is_the_same_whatever_its_case_and_separators(key: str) -> None:
    assert normal_name(key) == "ssn"


def test_other_names_are_other_names() -> None:
    assert len({normal_name(key) for key in ("ssn", "ssns", "customer_ssn", "")}) == 4
