"""The demo's payments server and the conformance server as processes: each prints its address and serves MCP there."""

from __future__ import annotations

import subprocess
import sys

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


def test_the_payments_server_ends_with_whoever_started_it() -> None:
    """However that one ends: the system closes its end of stdin."""
    server = subprocess.Popen(
        [sys.executable, "-m", "proxy.demo.payments", "--until-stdin-ends"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline().startswith("http://127.0.0.1:")
    server.stdin.close()
    assert server.wait(timeout=30) == 0
    server.stdout.close()
