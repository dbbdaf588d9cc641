"""The demo's payments server and the conformance server as processes: each prints its address and serves MCP there."""

from __future__ import annotations

import pytest
from mcp.client import Client

from tests.conformance.processes import NotReady, running

ADDRESS = r"http://127\.0\.0\.1:\d+/mcp$"


@pytest.mark.parametrize(
    ("module", "tool"), [("proxy.demo.payments", "refund"), ("tests.conformance.everything", "test_simple_text")]
)
async def test_a_server_prints_its_address_and_serves_there(module: str, tool: str) -> None:
    with running(["-m", module, "--port", "0"], ADDRESS) as address:
        async with Client(address[0]) as client:
            assert tool in [row.name for row in (await client.list_tools()).tools]


def test_a_server_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(NotReady, match=r"it ended; it said:[\s\S]*invalid int value"),
        running(["-m", "proxy.demo.payments", "--port", "many"], ADDRESS),
    ):
        pass
