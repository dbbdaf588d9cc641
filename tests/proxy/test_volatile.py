"""What is set aside in the repeat key, and that nothing else is touched."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from proxy.volatile import without_volatile

ARGUMENTS: dict[str, Any] = {
    "amount": 250,
    "request_id": "r-1",
    "items": [{"sku": "a", "nonce": 1}, {"sku": "b", "nonce": 2}],
    "meta": {"trace": {"nonce": 3}},
}


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("$.args.request_id", {k: v for k, v in ARGUMENTS.items() if k != "request_id"}),
        ("$.args.items[*].nonce", ARGUMENTS | {"items": [{"sku": "a"}, {"sku": "b"}]}),
        ("$.args.items[0]", ARGUMENTS | {"items": [{"sku": "b", "nonce": 2}]}),
        ("$.args.items[1].nonce", ARGUMENTS | {"items": [{"sku": "a", "nonce": 1}, {"sku": "b"}]}),
        ("$.args.items[*]", ARGUMENTS | {"items": []}),
        ("$..nonce", ARGUMENTS | {"items": [{"sku": "a"}, {"sku": "b"}], "meta": {"trace": {}}}),
        ("$.args.absent", ARGUMENTS),
        ("$.args.amount.deeper", ARGUMENTS),
        ("$.args.items[9]", ARGUMENTS),
    ],
)
def test_exactly_what_the_path_names_is_taken_out(path: str, left: dict[str, Any]) -> None:
    before = deepcopy(ARGUMENTS)
    assert without_volatile(ARGUMENTS, [path]) == left
    assert before == ARGUMENTS


def test_several_paths_are_all_taken_out() -> None:
    assert without_volatile({"a": 1, "b": 2, "c": 3}, ["$.args.a", "$.args.c"]) == {"b": 2}


def test_setting_aside_everything_leaves_an_empty_object() -> None:
    assert without_volatile({"a": 1}, ["$.args"]) == {}


def test_what_is_no_path_is_an_error() -> None:
    with pytest.raises(ValueError, match="JSONPath"):
        without_volatile({"a": 1}, ["$.args[?(@.x)]"])
