"""The HTTP upstream, as far as it goes without a wire; the rest is tests/blackbox/test_upstream_http.py."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.upstreams.base import Sent, UpstreamFailed
from proxy.upstreams.http import HttpUpstream
from proxy.upstreams.http_rules import HeaderRefused
from proxy.upstreams.pinning import UrlRefused

CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}


async def failed(upstream: HttpUpstream, message: dict[str, Any], **headers: str) -> UpstreamFailed:
    sent = Sent()
    with pytest.raises(UpstreamFailed) as failure:
        await upstream.post(message, headers=headers, session=None, agent="ada", sent=sent, reuse_connection=True)
    assert (failure.value.sent, sent.happened) == (False, False)
    return failure.value


def test_what_is_wrong_with_a_url_or_a_header_is_said_at_once() -> None:
    with pytest.raises(UrlRefused):
        HttpUpstream("pay", "http://169.254.169.254/mcp")
    with pytest.raises(HeaderRefused):
        HttpUpstream("pay", "https://tools.example.com/mcp", headers={"Host": "x"})


async def test_a_message_that_is_no_json_is_not_sent() -> None:
    upstream = HttpUpstream("pay", "http://127.0.0.1:9/mcp")
    failure = await failed(upstream, CALL | {"params": {"amount": float("nan")}})
    assert failure.why.startswith("pay: the message cannot be written as JSON")


async def test_a_header_that_would_break_out_is_not_sent() -> None:
    upstream = HttpUpstream("pay", "http://127.0.0.1:9/mcp")
    failure = await failed(upstream, CALL, **{"mcp-name": "a\r\nEvil: 1"})
    assert "mcp-name" in failure.why


async def test_after_closing_nothing_is_sent() -> None:
    upstream = HttpUpstream("pay", "http://127.0.0.1:9/mcp")
    await upstream.close()
    assert (await failed(upstream, CALL)).why == "pay: the gate is stopping"
