"""Rebuilding: only what an edit names changes, and the original never does."""

from __future__ import annotations

import base64
from copy import deepcopy
from time import process_time
from typing import Any

import pytest

from redaction.operators import REMOVED
from redaction.paths import Inner, Path
from redaction.rebuild import Edits, rebuild
from redaction.walk import Unreadable
from tests.redaction.builders import CODEC


def rebuilt(
    message: Any, values: dict[Path, Any] | None = None, keys: dict[Path, str] | None = None, **more: Any
) -> Any:
    before = deepcopy(message)
    built = rebuild(message, Edits(values or {}, keys or {}), more.get("documents", {}), CODEC)
    assert message == before
    return built


def test_without_edits_it_is_the_message_itself() -> None:
    message = {"a": [1]}
    assert rebuilt(message) is message


def test_values_are_replaced_and_removed_and_the_rest_is_shared() -> None:
    message = {"a": {"b": 1, "c": 2}, "d": [1, 2, 3], "e": {"same": True}}
    built = rebuilt(message, {("a", "b"): "x", ("a", "c"): REMOVED, ("d", 1): REMOVED})
    assert built == {"a": {"b": "x"}, "d": [1, 3], "e": {"same": True}}
    assert built["e"] is message["e"]
    assert list(built) == ["a", "d", "e"]


def test_an_edit_above_makes_those_below_moot() -> None:
    assert rebuilt({"a": {"b": 1}}, {("a",): "x", ("a", "b"): "y"}) == {"a": "x"}
    assert rebuilt({"a": {"b": 1}}, {("a", "b"): "y", ("a",): REMOVED}) == {}


def test_the_whole_message_can_be_replaced_but_not_removed() -> None:
    assert rebuilt("text", {(): "x"}) == "x"
    assert rebuilt("text", {(): REMOVED}) == "[REDACTED]"


def test_keys_are_renamed_and_never_hide_another_member() -> None:
    message = {"a@b.co": 1, "c@d.co": 2, "[REDACTED]": 3}
    built = rebuilt(message, keys={("a@b.co",): "[REDACTED]", ("c@d.co",): "[REDACTED]"})
    assert built == {"[REDACTED]": 1, "[REDACTED] 2": 2, "[REDACTED] 3": 3}


def test_a_document_in_a_string_is_written_again_and_others_keep_their_spelling() -> None:
    message = {"a": '{ "x": 1, "n": 12345678901234567890 }', "b": '{ "y": 2 }'}
    documents = {("a",): {"x": 1, "n": 12345678901234567890}, ("b",): {"y": 2}}
    built = rebuilt(message, {("a", Inner.JSON, "x"): "z"}, documents=documents)
    assert built == {"a": '{"x":"z","n":12345678901234567890}', "b": '{ "y": 2 }'}


def test_a_document_that_is_replaced_whole_is_the_plain_mark() -> None:
    documents = {("a",): {"x": 1}}
    assert rebuilt({"a": '{"x":1}'}, {("a", Inner.JSON): "[REDACTED]"}, documents=documents) == {"a": "[REDACTED]"}


def test_text_in_base64_is_encoded_again() -> None:
    encoded = base64.b64encode(b'{"x": 1}').decode()
    documents = {("a",): '{"x": 1}', ("a", Inner.TEXT): {"x": 1}}
    built = rebuilt({"a": encoded}, {("a", Inner.TEXT, Inner.JSON, "x"): "z"}, documents=documents)
    assert base64.b64decode(built["a"]) == b'{"x":"z"}'


@pytest.mark.parametrize("path", [("a", "x"), ("b", 2), ("b", -1), ("b", 0, "c"), ("d", Inner.JSON, "e"), ("f", "g")])
def test_an_edit_that_finds_no_place_is_refused(path: Path) -> None:
    message = {"a": {"y": 1}, "b": [1, 2], "d": "text", "f": None}
    with pytest.raises(Unreadable, match="not found again"):
        rebuilt(message, {path: "[REDACTED]"})


def test_thousands_of_keys_that_become_one_take_no_longer_each() -> None:
    keys: dict[Path, str] = {(f"u{number}@b.co",): "[REDACTED]" for number in range(20_000)}
    started = process_time()
    built = rebuild({f"u{number}@b.co": 1 for number in range(20_000)}, Edits({}, keys), {}, CODEC)
    assert (len(built), list(built)[-1]) == (20_000, "[REDACTED] 20000")
    assert process_time() - started < 8  # looking for a free number from the start each time: a minute
