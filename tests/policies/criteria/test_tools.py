"""`tools:` by server and tool, dotted name or bare name, and how plainly it names a tool."""

from __future__ import annotations

import pytest

from policies.patterns import Naming
from tests.policies.match_builders import holds, read


@pytest.mark.parametrize(
    ("text", "tool", "expected"),
    [
        ("tools: payments/refund", "payments/refund", True),
        ("tools: [payments/refund*]", "payments/refund_all", True),
        ("tools: refund", "payments/refund", True),
        ("tools: payments.refund", "payments/refund", True),
        ("tools: payments.refund", "shop/payments.refund", True),
        ("tools: payments/refund", "shop/refund", False),
        ("tools: payments/*", "payments/mcp.resources/read", False),
        ("tools: payments/**", "payments/mcp.resources/read", True),
        ("tools: {all: [payments/*, '*/refund']}", "payments/refund", True),
        ("tools: {all: [payments/*, '*/charge']}", "payments/refund", False),
    ],
)
@pytest.mark.parametrize("allowing", [True, False])
def test_a_tool_is_matched_by_its_names(text: str, tool: str, expected: bool, allowing: bool) -> None:
    assert holds(text, tool=tool, allowing=allowing) is expected


def test_a_catch_all_means_every_tool_where_a_rule_asks_or_denies_also_one_with_a_slash() -> None:
    assert holds("tools: '*'", tool="x/a/b", allowing=False)
    assert not holds("tools: '*'", tool="x/a/b", allowing=True)
    assert holds("tools: '**'", tool="x/a/b", allowing=True)


def test_naming_is_by_the_plainest_pattern() -> None:
    tools = read("tools: ['*', payments/*, payments/refund]")[0].tools
    assert tools is not None
    assert tools.naming("payments", "refund") is Naming.LITERALLY
    assert tools.naming("payments", "charge") is Naming.BY_GLOB
    assert tools.naming("shop", "charge") is Naming.NOT
