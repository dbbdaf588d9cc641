"""The pool of connections, over a loop whose connections come when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from proxy.tasks import spawn
from proxy.upstreams.http_connection import Connection
from proxy.upstreams.http_pool import Pool
from proxy.wire.http_response import ResponseLimits
from tests.proxy.upstreams.test_http_connection import Written

DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Network:
    """In place of the loop's `create_connection`: what each address does when it is tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tried: list[str] = []
        self.refuses: dict[str, OSError] = {}
        self.hangs: set[str] = set()
        self.made: list[Connection] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", self.create_connection)

    async def create_connection(self, factory: Callable[[], Connection], host: str, port: int, **_: Any) -> Any:
        assert port == 80
        self.tried.append(host)
        if host in self.hangs:
            await asyncio.Event().wait()
        if host in self.refuses:
            raise self.refuses[host]
        connection = factory()
        connection.connection_made(Written())
        self.made.append(connection)
        return None, connection


@pytest.fixture(name="network")
async def fixture_network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


def pool(*addresses: str, connections_max: int = 2, idle_sec: float = 60, connect_sec_max: float = 5) -> Pool:
    return Pool(
        host="tool",
        port=80,
        tls=None,
        addresses=lambda: addresses,
        limits=ResponseLimits(),
        connections_max=connections_max,
        idle_sec=idle_sec,
        connect_sec_max=connect_sec_max,
    )


def used(connection: Connection) -> None:
    connection.write(b"request")
    connection.data_received(DONE)


async def test_the_connection_used_last_is_used_first(network: Network) -> None:
    kept = pool("a")
    one, other = await kept.take(), await kept.take()
    used(one)
    used(other)
    assert (await kept.take(), await kept.take()) == (other, one)
    assert network.tried == ["a", "a"]


async def test_a_pool_for_single_requests_opens_one_for_each(network: Network) -> None:
    single = pool("a", idle_sec=0, connections_max=1)
    for _ in range(3):
        used(await single.take())
    assert len(network.tried) == 3
    assert not any(connection.is_open for connection in network.made)


async def test_whoever_finds_all_in_use_waits_for_one_given_back_or_ended(network: Network) -> None:
    full = pool("a", connections_max=1)
    held = await full.take()
    first, second = spawn(full.take(), name="1"), spawn(full.take(), name="2")
    await asyncio.sleep(0)
    used(held)
    assert await first is held
    held.abort()
    assert await second is not held
    assert len(network.tried) == 2


async def test_a_waiter_that_is_cancelled_leaves_its_turn_to_the_next(network: Network) -> None:
    full = pool("a", connections_max=1)
    held = await full.take()
    first, second = spawn(full.take(), name="1"), spawn(full.take(), name="2")
    await asyncio.sleep(0)
    used(held)
    first.cancel()
    assert await second is held
    assert network.tried == ["a"]


async def test_waiting_for_one_has_an_end(network: Network) -> None:
    full = pool("a", connections_max=1, connect_sec_max=0.01)
    await full.take()
    with pytest.raises(TimeoutError):
        await full.take()
    assert network.tried == ["a"]


async def test_idle_connections_are_closed_by_themselves(network: Network) -> None:
    kept = pool("a", idle_sec=0.02)
    used(await kept.take())
    while network.made[0].is_open:  # the pool's own timer ends this, or the test never does
        await asyncio.sleep(0.005)
    assert await kept.take() is network.made[1]
    kept.close()
    assert not network.made[1].is_open


async def test_of_several_addresses_the_first_that_answers_is_used(network: Network) -> None:
    network.refuses["a"] = OSError("refused")
    network.hangs.add("b")
    assert (await pool("a", "b", "c").take()).is_open
    assert network.tried == ["a", "b", "c"]


async def test_if_none_answers_the_last_says_why(network: Network) -> None:
    network.refuses = {"a": OSError("first"), "b": OSError("second")}
    with pytest.raises(OSError, match="second"):
        await pool("a", "b").take()
    with pytest.raises(OSError, match="not resolved"):
        await pool().take()
    failed = pool("a", connections_max=1)
    for _ in range(2):  # a failed attempt gives its place back
        with pytest.raises(OSError, match="first"):
            await failed.take()
