"""`methods:` by the MCP method."""

from __future__ import annotations

from tests.policies.match_builders import holds


def test_a_method_is_matched_by_its_name() -> None:
    assert holds("methods: resources/read", method="resources/read", allowing=True)
    assert holds("methods: 'resources/*'", method="resources/read", allowing=True)
    assert not holds("methods: resources/read", method="tools/call")


def test_the_catch_all_of_a_rule_that_denies_reaches_every_method() -> None:
    assert holds("methods: '*'", method="resources/read")
    assert not holds("methods: '*'", method="resources/read", allowing=True)
