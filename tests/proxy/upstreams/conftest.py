"""Fixtures for the tests of upstreams."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from proxy.upstreams.child import Command
from proxy.upstreams.stdio import StdioLimits, StdioUpstream
from tests.proxy.upstreams.builders import quick, tool_command


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., StdioUpstream]]:
    """Makes stdio upstreams and ends them."""
    made: list[StdioUpstream] = []
    names = iter(range(10_000))

    def make(*options: str, limits: StdioLimits | None = None, command: Command | None = None, **more: Any) -> Any:
        upstream = StdioUpstream(
            "tool",
            command or tool_command(*options),
            ids=lambda: f"session-{next(names)}",
            clock=more.pop("clock", time.monotonic),
            limits=limits or quick(),
            **more,
        )
        made.append(upstream)
        return upstream

    yield make
    for upstream in made:
        await upstream.close()
