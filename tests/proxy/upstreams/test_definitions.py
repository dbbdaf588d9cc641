"""Tool definitions: read strictly, pinned, digested (SEMANTICS §1.17)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.model import ToolDefinition
from proxy.upstreams.definitions import ListingRefused, by_name, definition, digest, pinned_form
from proxy.wire import strict_json

TOOL: dict[str, Any] = {
    "name": "pay",
    "title": "Pay",
    "description": "Pays",
    "inputSchema": {"type": "object", "properties": {"amount": {"type": "number"}}},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": False},
}


def test_what_is_pinned_leaves_out_what_changes_nothing_about_the_tool() -> None:
    listed = TOOL | {"icons": [{"src": "x"}], "_meta": {"build": 7}, "execution": {"taskSupport": "optional"}}
    assert pinned_form(listed) == TOOL


@pytest.mark.parametrize("key", sorted(TOOL))
def test_every_pinned_part_counts_for_the_digest(key: str) -> None:
    changed = TOOL | {key: "another" if isinstance(TOOL[key], str) else {"type": "object", "another": True}}
    assert digest(pinned_form(changed)) != digest(pinned_form(TOOL))


def test_order_and_spelling_do_not_count() -> None:
    shuffled = strict_json.read(
        b'{"inputSchema": {"properties": {"amount": {"type": "\\u006eumber"}}, "type": "object"}, "title": "Pay",'
        b' "outputSchema": {"type": "object"}, "annotations": {"readOnlyHint": false}, "name": "pay",'
        b' "description": "Pays"}',
        exact=True,
    )
    assert digest(pinned_form(shuffled)) == digest(TOOL)


def test_an_absent_part_and_null_are_the_same() -> None:
    bare = {"name": "a", "inputSchema": {}}
    assert digest(pinned_form(bare | {"description": None, "outputSchema": None})) == digest(pinned_form(bare))


def test_the_digest_is_stable() -> None:
    """Pins live for years: a change here would make every tool drift."""
    assert digest(TOOL) == "5e5e88de6d05c4771443c699e65c6796f83075a8890318cc20de94a82050f66e"


def test_integers_no_canonical_form_can_hold_are_digested_exactly() -> None:
    def tool(maximum: str) -> Any:
        text = '{"name": "a", "inputSchema": {"maximum": %s, "minimum": 0}}' % maximum  # noqa: UP031 - braces
        return strict_json.read(text.encode(), exact=True)

    digests = {
        digest(tool(maximum)) for maximum in ("18446744073709551615", "18446744073709551614", '"18446744073709551615"')
    }
    assert len(digests) == 3
    other_order = strict_json.read(
        b'{"inputSchema": {"minimum": 0, "maximum": 18446744073709551615}, "name": "a"}', exact=True
    )
    assert digest(other_order) in digests  # type: ignore[arg-type]


def test_a_definition_says_it_in_the_words_of_policies() -> None:
    assert definition(TOOL, drifted=True) == ToolDefinition(
        name="pay",
        digest=digest(TOOL),
        input_schema=TOOL["inputSchema"],
        output_schema=TOOL["outputSchema"],
        description="Pays",
        annotations=TOOL["annotations"],
        drifted=True,
    )


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (None, "no tool"),
        ([], "no tool"),
        ({}, "without a name"),
        ({"name": ""}, "without a name"),
        ({"name": "x" * 257, "inputSchema": {}}, "without a name"),
        ({"name": 7, "inputSchema": {}}, "without a name"),
        ({"name": "a"}, "no inputSchema"),
        ({"name": "a", "inputSchema": True}, "inputSchema that is no dict"),
        ({"name": "a", "inputSchema": {}, "outputSchema": []}, "outputSchema that is no dict"),
        ({"name": "a", "inputSchema": {}, "description": {}}, "description that is no str"),
        ({"name": "a", "inputSchema": {}, "annotations": "x"}, "annotations that is no dict"),
    ],
)
def test_an_entry_that_is_no_tool_refuses_the_listing(entry: Any, why: str) -> None:
    with pytest.raises(ListingRefused, match=why):
        by_name([TOOL, entry])


def test_two_tools_of_one_name_refuse_the_listing_also_when_equal() -> None:
    with pytest.raises(ListingRefused, match="two tools named 'pay'"):
        by_name([TOOL, dict(TOOL)])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.dictionaries(st.text(), JSON, max_size=4))
def test_different_schemas_have_different_digests(one: Any, other: Any) -> None:
    same = strict_json.write(_sorted(one)) == strict_json.write(_sorted(other))
    assert (digest({"inputSchema": one}) == digest({"inputSchema": other})) is same


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
