"""One connection without sockets: a transport that writes everything down, and a loop whose time is ours.

How it behaves over real sockets is in tests/blackbox/test_http_server.py; here are the moments that sockets make rare.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from uvicorn.server import ServerState

from proxy.wire.http_head import HttpFault
from proxy.wire.http_protocol import GateProtocol, ServerLimits, left
from proxy.wire.http_server import Server
from proxy.wire.peers import PeerPlaces

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
LIMITS = ServerLimits(head_sec_max=1000, body_sec_max=1000, send_sec_max=1000)


@dataclass
class Transport(asyncio.Transport):
    """A transport that keeps what was done with it."""

    written: bytearray = field(default_factory=bytearray)
    unsent: int = 0
    ended: list[str] = field(default_factory=list)
    is_tls: bool = False
    peer: str = ""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.peer, 50_000) if name == "peername" and self.peer else default

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return bool({"close", "abort"} & set(self.ended))

    def close(self) -> None:
        self.ended.append("close")

    def abort(self) -> None:
        self.ended.append("abort")

    def can_write_eof(self) -> bool:
        return not self.is_tls

    def write_eof(self) -> None:
        self.ended.append("eof")

    def pause_reading(self) -> None:
        self.ended.append("pause")

    def resume_reading(self) -> None:
        self.ended.append("resume")


@dataclass
class Connection:
    protocol: GateProtocol
    transport: Transport
    scopes: list[Any]
    timers: list[tuple[float, Any, tuple[Any, ...]]]

    def fire(self, seconds: float) -> None:
        """Let the one live timer of that length run out."""
        (due,) = [timer for timer in self.timers if timer[0] == seconds]
        self.timers.remove(due)
        due[1](*due[2])


@dataclass
class Timer:
    timers: list[Any]
    entry: Any

    def cancel(self) -> None:
        if self.entry in self.timers:
            self.timers.remove(self.entry)


class Loop:
    """The running loop, but for its timers, which wait for the test."""

    def __init__(self) -> None:
        self.timers: list[Any] = []

    def call_later(self, seconds: float, call: Any, *arguments: Any) -> Timer:
        entry = (seconds, call, arguments)
        self.timers.append(entry)
        return Timer(self.timers, entry)

    def create_task(self, work: Any) -> Any:
        return asyncio.ensure_future(work)


async def connect(
    limits: ServerLimits = LIMITS,
    *,
    app: Any = None,
    is_tls: bool = False,
    others: int = 0,
    peers: PeerPlaces | None = None,
    peer: str = "",
) -> Connection:
    scopes: list[Any] = []

    async def hold(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await left(scope).wait()

    state = ServerState()
    state.connections |= {object() for _ in range(others)}  # type: ignore[misc] # only counted
    config = Server(app or hold, limits=limits)._config
    protocol = GateProtocol(config, state, limits=limits, on_lost=lambda: None, peers=peers)
    loop = Loop()
    protocol.loop = loop  # type: ignore[assignment] # only its timers and tasks are used
    transport = Transport(is_tls=is_tls, peer=peer)
    protocol.connection_made(transport)
    return Connection(protocol, transport, scopes, loop.timers)


async def answering(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


async def turn() -> None:
    """Let tasks run that are ready."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_scope_is_frozen_and_carries_the_event_of_leaving() -> None:
    one = await connect()
    one.protocol.data_received(REQUEST)
    await turn()
    (scope,) = one.scopes
    assert scope["headers"] == ((b"host", b"a"), (b"content-length", b"3"))
    assert not left(scope).is_set()
    one.protocol.connection_lost(None)
    assert left(scope).is_set()
    await turn()
    assert one.timers == []


async def test_each_request_has_its_own_event_of_leaving() -> None:
    one = await connect(app=answering)
    one.protocol.data_received(REQUEST)
    first = left(one.protocol.scope)  # type: ignore[arg-type] # a TypedDict
    await turn()
    one.protocol.data_received(REQUEST)
    second = left(one.protocol.scope)  # type: ignore[arg-type] # a TypedDict
    await turn()
    one.protocol.connection_lost(None)
    assert (first.is_set(), second.is_set()) == (False, True)


async def test_a_silent_connection_is_closed_without_a_word() -> None:
    one = await connect()
    one.fire(1000)
    assert (bytes(one.transport.written), one.transport.ended) == (b"", ["close"])


async def test_a_slow_body_is_answered_or_if_an_answer_has_begun_cut() -> None:
    one = await connect(ServerLimits(head_sec_max=1, body_sec_max=2))
    one.protocol.data_received(REQUEST[:-1])
    one.fire(2)
    assert b" 408 " in one.transport.written
    assert one.transport.ended[-2:] == ["pause", "eof"]
    one.protocol.data_received(b"c")  # read no more
    await turn()
    one.fire(1.0)
    assert one.transport.ended[-1] == "abort"

    async def early(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await left(scope).wait()

    two = await connect(ServerLimits(head_sec_max=1, body_sec_max=2), app=early)
    two.protocol.data_received(REQUEST[:-1])
    await turn()
    two.fire(2)
    assert b" 408 " not in two.transport.written
    assert two.transport.ended == ["abort"]
    await turn()


async def test_a_refusal_over_tls_closes_at_once_and_is_watched() -> None:
    one = await connect(is_tls=True)
    one.transport.unsent = 10
    one.protocol.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert b" 400 " in one.transport.written
    assert one.transport.ended[-1] == "close"
    one.fire(1000)
    assert one.transport.ended[-1] == "abort"


async def test_a_refusal_on_a_closing_connection_writes_nothing() -> None:
    one = await connect()
    one.protocol.data_received(REQUEST[:-1])
    one.transport.close()
    one.fire(1000)
    assert bytes(one.transport.written) == b""
    await turn()


async def test_one_connection_too_many_is_refused() -> None:
    one = await connect(ServerLimits(connections_max=3), others=3)
    assert b" 503 " in one.transport.written
    assert (await connect(ServerLimits(connections_max=3), others=2)).transport.written == b""


async def test_a_reader_that_makes_progress_is_let_be_and_one_that_does_not_is_cut() -> None:
    one = await connect()
    one.protocol.data_received(REQUEST)
    one.transport.unsent = 300_000
    one.protocol.pause_writing()
    one.transport.unsent = 200_000
    one.fire(1000)
    assert one.transport.ended == []
    one.transport.unsent = 190_000  # less than 64 KiB in all that time
    one.fire(1000)
    assert one.transport.ended == ["abort"]
    one.protocol.connection_lost(None)
    await turn()


async def test_a_reader_that_catches_up_is_no_longer_watched() -> None:
    one = await connect()
    one.protocol.data_received(REQUEST)
    one.transport.unsent = 100
    one.protocol.pause_writing()
    one.transport.unsent = 0
    one.protocol.resume_writing()
    assert one.timers == []
    one.transport.unsent = 100
    one.protocol.pause_writing()
    one.transport.close()
    one.protocol.resume_writing()  # on a closing connection the last bytes are watched to the end
    assert [timer[0] for timer in one.timers] == [1000]
    one.protocol.connection_lost(None)
    await turn()


async def test_a_half_closed_connection_drops_an_answer_under_way_and_keeps_a_finished_one() -> None:
    one = await connect()
    one.protocol.data_received(REQUEST)
    await turn()
    assert one.protocol.eof_received() is None  # type: ignore[func-returns-value] # asyncio closes on None
    assert (one.transport.ended, left(one.scopes[0]).is_set()) == (["abort"], True)
    two = await connect(app=answering)
    two.protocol.data_received(REQUEST)
    await turn()
    two.transport.unsent = 10
    two.protocol.eof_received()
    assert two.transport.ended == []
    assert 1000 in [timer[0] for timer in two.timers]


async def test_shutdown_closes_an_idle_connection_and_lets_a_busy_one_finish() -> None:
    idle, busy = await connect(), await connect()
    idle.protocol.shutdown()
    assert idle.transport.ended == ["close"]
    busy.protocol.data_received(REQUEST)
    await turn()
    busy.protocol.shutdown()
    assert busy.transport.ended == []
    assert not busy.protocol.cycle.keep_alive
    busy.protocol.connection_lost(None)
    await turn()


async def test_what_is_written_when_a_connection_closes_after_its_answer_is_watched() -> None:
    one = await connect(app=answering)
    one.protocol.data_received(REQUEST.replace(b"Host: a", b"Host: a\r\nConnection: close"))
    one.transport.unsent = 10
    await turn()
    assert one.transport.ended == ["close"]
    one.fire(1000)
    assert one.transport.ended == ["close", "abort"]


async def test_a_kept_connection_that_stays_idle_is_closed_and_watched() -> None:
    one = await connect(ServerLimits(idle_sec_max=7, send_sec_max=9), app=answering)
    one.protocol.data_received(REQUEST)
    await turn()
    one.transport.unsent = 10
    one.fire(7)
    assert one.transport.ended == ["close"]
    one.fire(9)
    assert one.transport.ended == ["close", "abort"]


MUTATIONS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b"\0",
        b":",
        b"0\r\n\r\n",
        b"\xff",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: b\r\n",
    ),
    *(
        b"Content-Length: 0\r\n",
        b"Content-Length: 3\r\n",
        b"GET /x HTTP/1.1\r\nHost: c\r\n\r\n",
        b"Upgrade: x\r\n",
        b"HTTP/1.0",
    ),
    *(b"Connection: upgrade\r\n", b"Trailer: x\r\n", b"3\r\nabc\r\n", b"X: " + b"y" * 9000 + b"\r\n"),
]
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


async def test_b5_of_any_mutant_of_a_request_the_app_sees_at_most_one_and_a_clean_one() -> None:
    chance = random.Random(20261121)
    served = refused = 0
    for _ in range(3_000):
        data = bytearray(chance.choice([REQUEST, CHUNKED]))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randint(0, 2)] = chance.choice(MUTATIONS)
        one = await connect(ServerLimits(head_bytes_max=8_192, head_sec_max=9, body_sec_max=8))
        while data:
            size = chance.randint(1, 60)
            one.protocol.data_received(bytes(data[:size]))
            del data[:size]
        await turn()
        assert len(one.scopes) <= 1
        for scope in one.scopes:
            names = [name for name, _ in scope["headers"]]
            assert names.count(b"host") == 1
            assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
            assert scope["path"].startswith("/")
            served += 1
        refused += one.transport.written.startswith(b"HTTP/1.1 4")
        one.protocol.connection_lost(None)
        await turn()
        assert one.timers == []
    assert served > 300
    assert refused > 300


@pytest.mark.parametrize("fault", HttpFault, ids=lambda fault: fault.name)
def test_every_fault_says_in_one_sentence_what_to_do(fault: HttpFault) -> None:
    assert 400 <= fault.status < 600
    assert fault.text.isascii()
    assert fault.text.endswith(".")
    assert len(fault.text) < 120


async def test_p14_one_address_never_has_all_the_connections() -> None:
    peers = PeerPlaces(4, is_behind_proxies=False)
    own = [await connect(peers=peers, peer="192.0.2.1") for _ in range(4)]
    other = await connect(peers=peers, peer="192.0.2.2")
    assert [one.transport.written[:13] for one in (*own, other)] == [b"", b"", b"", b"HTTP/1.1 503 ", b""]
    for one in (own[3], own[0]):
        one.protocol.connection_lost(None)
    again = [await connect(peers=peers, peer="192.0.2.1") for _ in range(2)]
    assert [one.transport.written[:13] for one in again] == [b"HTTP/1.1 503 ", b""][::-1]
