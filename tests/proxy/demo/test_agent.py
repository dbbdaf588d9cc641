"""What the demo's agent reads of an answer."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.demo.agent import DemoAgent, NotReached, Told, items


def test_a_decision_is_read_where_the_gate_says_one() -> None:
    assert Told("", True, {"decision": "deny"}, None).decision == "deny"
    assert Told("", False, {}, None).decision == ""


def test_a_list_is_read_structured_or_from_its_text() -> None:
    assert items(Told("", False, {}, {"result": [1, 2]})) == [1, 2]
    assert items(Told('{"a": 1}\n{"a": 2}', False, {}, None)) == [{"a": 1}, {"a": 2}]


async def test_a_server_that_is_not_reached_is_named_and_nothing_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(NotReached, match="'time'"):
        async with DemoAgent(f"http://127.0.0.1:{port}", ["time"]):
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}
