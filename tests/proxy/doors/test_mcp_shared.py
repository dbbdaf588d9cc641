"""What every request of the door shares."""

from __future__ import annotations

import pytest

from proxy.doors.mcp_shared import OpenStream, shown_method
from tests.proxy.doors.door_world import DoorWorld, Stream


def test_how_long_a_server_may_be_silent_is_configured_for_each() -> None:
    world = DoorWorld(servers={"payments": {"url": "http://127.0.0.1:9/mcp", "timeout_sec": 7}})
    assert world.shared().timeout_sec("payments") == 7


@pytest.mark.parametrize(
    ("name", "shown"),
    [("tools/call", "tools/call"), ("GET", "GET"), ("my password is x", "(unknown)"), ("Tools/Call", "(unknown)")],
)
def test_the_record_holds_the_protocols_names_and_no_others(name: str, shown: str) -> None:
    assert shown_method(name) == shown


async def test_an_open_stream_ends_by_being_closed() -> None:
    stream = Stream()
    await OpenStream(stream.reply()).end()
    assert stream.is_closed.is_set()
