"""JSONPaths: what they are made of, what they find, and how absent, empty and misshapen are told apart."""

from __future__ import annotations

from typing import Any

import pytest

from policies.json_path import PATH_CHARS_MAX, Deep, Each, Found, parse

ROOT: dict[str, Any] = {
    "args": {
        "amount": 5,
        "none": None,
        "ids": [1, 2],
        "empty": [],
        "order": {"lines": [{"sku": "a", "n": 1}, {"sku": "b"}]},
        "a b": 1,
    }
}


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$.args.amount", ("args", "amount")),
        ("$.args['a b']", ("args", "a b")),
        ("$.args.ids[*]", ("args", "ids", Each.ITEM)),
        ("$.args.ids[1].x", ("args", "ids", 1, "x")),
        ("$.args..sku", ("args", Deep("sku"))),
        ("$..ssn", (Deep("ssn"),)),
        ("$", ()),
    ],
)
def test_a_path_is_a_line_of_steps(path: str, steps: tuple[Any, ...]) -> None:
    assert parse(path).steps == steps


@pytest.mark.parametrize(
    "path",
    [
        "args.amount",
        "$.args[0:2]",
        "$.args.a,b",
        "$.args[0,1]",
        "$.args[-1]",
        "$.args[?(@.x)]",
        "$.args.a|$.args.b",
        "$.args.`parent`",
        "$.args.a where b",
        "$.args..*",
        "$.args.[",
        "$.été",
        "$" + ".a" * 17,
        "$." + "a" * PATH_CHARS_MAX,
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_does_not_plainly_name_values_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|JSONPath"):
        parse(path)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.args.amount", Found((5,))),
        ("$.args.none", Found((None,))),
        ("$.args.absent", Found((), gap=True)),
        ("$.args.amount.below", Found((), gap=True)),
        ("$.args.ids[*]", Found((1, 2))),
        ("$.args.empty[*]", Found(())),
        ("$.args.absent[*]", Found((), gap=True)),
        ("$.args.amount[*]", Found((), misshapen=True)),
        ("$.args.order[*]", Found((), misshapen=True)),
        ("$.args.ids[0]", Found((1,))),
        ("$.args.ids[9]", Found((), gap=True)),
        ("$.args.order.lines[*].sku", Found(("a", "b"))),
        ("$.args.order.lines[*].n", Found((1,), gap=True)),
        ("$.args..sku", Found(("a", "b"))),
        ("$.args..absent", Found((), gap=True)),
    ],
)
def test_absent_empty_and_misshapen_are_told_apart(path: str, found: Found) -> None:
    assert parse(path).find(ROOT) == found


def test_plain_keys_are_known_as_such() -> None:
    assert parse("$.args.a.b").keys == ("args", "a", "b")
    assert parse("$.args.a[*]").keys is None


def test_any_depth_of_arguments_is_searched_without_recursion() -> None:
    deep: Any = {"x": 1}
    for _ in range(50_000):
        deep = [deep]
    assert parse("$..x").find(deep).values == (1,)
