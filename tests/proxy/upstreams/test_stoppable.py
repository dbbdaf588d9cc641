"""A tool server behind the kill switch: nothing begins, nothing goes on, whatever kind of exchange it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from policies.model import JsonObject
from proxy.stopped import Stopped
from proxy.tasks import spawn
from proxy.upstreams.base import INVENTORY_AGENT, Incoming, Reply, Sent, UpstreamFailed, UpstreamStopped
from proxy.upstreams.stoppable import StoppableUpstream
from review.model import Stop, StopScope
from tests.proxy.builders import stop_of

PING: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@dataclass
class Server:
    """An upstream that tells what it was given, and answers when it is let."""

    name: str = "payments"
    given: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    is_slow: bool = False
    marks: bool = True
    stream: asyncio.Queue[Incoming | None] = field(default_factory=asyncio.Queue)
    is_stream: bool = False
    processes: list[str] = field(default_factory=list)

    async def post(
        self,
        message: JsonObject,
        *,
        headers: Mapping[str, str],
        session: str | None,
        agent: str,
        sent: Sent,
        reuse_connection: bool,
    ) -> Reply:
        if self.marks:
            sent.mark()
        return await self._answer(agent)

    async def get(self, *, headers: Mapping[str, str], session: str | None, agent: str) -> Reply:
        return await self._answer(agent)

    async def delete(self, *, headers: Mapping[str, str], session: str, agent: str) -> Reply:
        return await self._answer(agent)

    async def close(self) -> None:
        self.given.append("closed")

    def end_processes(self, is_for: Callable[[str], bool]) -> int:
        ended = [agent for agent in self.processes if is_for(agent)]
        self.processes = [agent for agent in self.processes if agent not in ended]
        return len(ended)

    async def _answer(self, agent: str) -> Reply:
        self.given.append(agent)
        self.arrived.set()
        if self.is_slow:
            await self.goes_on.wait()
        if not self.is_stream:
            return Reply(200, body={"jsonrpc": "2.0", "id": 1, "result": {}})
        return Reply(200, is_stream=True, incoming=self._incoming(), close=self._end)

    async def _incoming(self) -> AsyncIterator[Incoming]:
        while (incoming := await self.stream.get()) is not None:
            if incoming.retry_ms == -1:
                raise UpstreamFailed("payments: its answer broke off", sent=True)
            yield incoming

    async def _end(self) -> None:
        self.stream.put_nowait(None)


@dataclass
class Behind:
    server: Server = field(default_factory=Server)
    stopped: Stopped = field(default_factory=Stopped)

    def __post_init__(self) -> None:
        self.upstream = StoppableUpstream(self.server, self.stopped)

    def stop(self, stop: Stop) -> tuple[int, int]:
        self.stopped.add(stop)
        return self.upstream.cut(stop)

    async def ask(self, kind: str = "post", agent: str = "demo", sent: Sent | None = None) -> Reply:
        match kind:
            case "post":
                return await self.upstream.post(
                    PING, headers={}, session=None, agent=agent, sent=sent or Sent(), reuse_connection=True
                )
            case "get":
                return await self.upstream.get(headers={}, session=None, agent=agent)
            case _:
                return await self.upstream.delete(headers={}, session="s", agent=agent)


KINDS = pytest.mark.parametrize("kind", ["post", "get", "delete"])


@KINDS
@pytest.mark.parametrize("stop", [stop_of(), stop_of(StopScope.AGENT, "demo"), stop_of(StopScope.SERVER, "payments")])
async def test_p01_nothing_begins_while_a_stop_stands(kind: str, stop: Stop) -> None:
    behind = Behind()
    behind.stop(stop)
    with pytest.raises(UpstreamStopped) as refused:
        await behind.ask(kind)
    assert refused.value.sent is False
    assert behind.server.given == []


@KINDS
async def test_what_no_stop_covers_passes_as_it_is(kind: str) -> None:
    behind = Behind()
    behind.stop(stop_of(StopScope.AGENT, "other"))
    assert (await behind.ask(kind)).status == 200
    await behind.upstream.close()
    assert behind.server.given == ["demo", "closed"]


async def test_a_stopped_server_gets_nothing_of_the_gates_own_either() -> None:
    behind = Behind()
    behind.stop(stop_of(StopScope.SERVER, "payments"))
    with pytest.raises(UpstreamStopped):
        await behind.ask(agent=INVENTORY_AGENT)
    behind = Behind()
    behind.stop(stop_of(StopScope.AGENT, "demo"))
    await behind.ask(agent=INVENTORY_AGENT)


async def test_p01_a_stop_right_before_the_first_byte_keeps_it_here() -> None:
    """Another thread stops while the exchange is being made ready."""
    behind, sent = Behind(Server(is_slow=True, marks=False)), Sent()
    asked = spawn(behind.ask(sent=sent), name="ask")
    await behind.server.arrived.wait()
    behind.stopped.add(stop_of())
    with pytest.raises(UpstreamStopped) as refused:
        sent.mark()
    assert (refused.value.sent, sent.happened) == (False, False)
    behind.server.goes_on.set()
    await asked


@KINDS
async def test_an_exchange_that_is_under_way_is_cut(kind: str) -> None:
    behind = Behind(Server(is_slow=True))
    asked = spawn(behind.ask(kind), name="ask")
    await behind.server.arrived.wait()
    behind.stop(stop_of())
    with pytest.raises(UpstreamStopped) as cut:
        await asked
    assert cut.value.sent is True


async def test_one_that_had_not_sent_anything_is_told_as_not_sent() -> None:
    behind = Behind(Server(is_slow=True, marks=False))
    asked = spawn(behind.ask(), name="ask")
    await behind.server.arrived.wait()
    behind.stop(stop_of())
    behind.stop(stop_of(id="stop_2"))  # twice is no more than once
    with pytest.raises(UpstreamStopped) as cut:
        await asked
    assert cut.value.sent is False


async def test_a_timeout_of_the_servers_own_stays_what_it_is() -> None:
    behind = Behind()

    async def late(_agent: str) -> Reply:
        raise TimeoutError

    behind.server._answer = late  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        await behind.ask()


async def _read(reply: Reply) -> list[Incoming]:
    assert reply.incoming is not None
    return [incoming async for incoming in reply.incoming]


async def test_p08_a_stream_ends_for_whom_it_covers_and_for_nobody_else() -> None:
    behind = Behind(Server(is_stream=True))
    reply = await behind.ask("get")
    behind.server.stream.put_nowait(Incoming(PING))
    reading = spawn(_read(reply), name="read")
    await asyncio.sleep(0)
    assert behind.stop(stop_of(StopScope.AGENT, "other", id="stop_0")) == (0, 0)
    assert behind.stop(stop_of(StopScope.AGENT, "demo")) == (1, 0)
    with pytest.raises(UpstreamStopped) as cut:
        await reading
    assert cut.value.sent is True


@pytest.mark.parametrize("last", [Incoming(PING), Incoming(None, retry_ms=-1)], ids=["a message", "a broken stream"])
async def test_p08_nothing_that_a_stream_brings_after_the_stop_is_passed_on(last: Incoming) -> None:
    behind = Behind(Server(is_stream=True))
    reply = await behind.ask("get")
    behind.stopped.add(stop_of())
    behind.server.stream.put_nowait(last)
    with pytest.raises(UpstreamStopped):
        await _read(reply)


async def test_a_stream_that_breaks_by_itself_is_told_as_that() -> None:
    behind = Behind(Server(is_stream=True))
    reply = await behind.ask("get")
    behind.server.stream.put_nowait(Incoming(None, retry_ms=-1))
    with pytest.raises(UpstreamFailed, match="broke off") as broken:
        await _read(reply)
    assert not isinstance(broken.value, UpstreamStopped)


async def test_processes_that_run_for_what_is_stopped_are_ended() -> None:
    behind = Behind(Server(processes=["demo", "other", INVENTORY_AGENT]))
    assert behind.stop(stop_of(StopScope.AGENT, "demo")) == (0, 1)
    assert behind.server.processes == ["other", INVENTORY_AGENT]
    assert behind.stop(stop_of(StopScope.SERVER, "payments", id="stop_2")) == (0, 2)
