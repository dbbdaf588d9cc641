"""`servers:` by name."""

from __future__ import annotations

from tests.policies.match_builders import holds


def test_a_server_is_matched_by_its_name() -> None:
    assert holds("servers: payments")
    assert holds("servers: [shop, pay*]", allowing=True)
    assert not holds("servers: shop")
