"""The order of things around a handshake; real ones, over sockets, are in tests/blackbox/test_http_server_tls.py."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from proxy.wire.tls_handshake import Handshake


class Transport:
    """A socket's transport, or the encrypted one on top of it."""

    def __init__(self, cipher: str | None = "TLS_AES_256_GCM_SHA384") -> None:
        self.is_cut, self.protocol, self._cipher = False, None, cipher

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("192.0.2.7", 4000), "cipher": self._cipher}[name]

    def abort(self) -> None:
        self.is_cut = True

    def is_closing(self) -> bool:
        return self.is_cut

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


class Made:
    """The connection's own protocol, which writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def connection_made(self, transport: object) -> None:
        self.heard.append(transport)

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def eof_received(self) -> None:
        self.heard.append("end")


class Listener:
    """Has so many places, and a handshake that ends when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, places: int = 1) -> None:
        self.free, self.hosts = places, []  # type: ignore[var-annotated]
        self.made = Made()
        self.ends: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.plain = Transport()
        monkeypatch.setattr(asyncio.get_running_loop(), "start_tls", self._start_tls, raising=False)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.handshake = Handshake(context, sec_max=1, places=self, make=lambda: self.made)  # type: ignore[arg-type,return-value]
        self.handshake.connection_made(self.plain)  # type: ignore[arg-type]

    async def _start_tls(self, *_: Any, **__: Any) -> Any:
        return await self.ends

    def enter(self, _handshake: Handshake, host: str | None) -> bool:
        self.hosts.append(host)
        self.free -= 1
        return self.free >= 0

    def leave(self, _handshake: Handshake) -> None:
        self.free += 1

    async def over(self) -> None:
        task = self.handshake._task
        assert task is not None
        await asyncio.wait([task])


async def test_what_was_said_behind_a_handshake_is_heard_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    listener, tls = Listener(monkeypatch), Transport()
    assert (listener.free, listener.hosts) == (0, ["192.0.2.7"])
    listener.ends.set_result(tls)
    listener.handshake.data_received(b"one")
    listener.handshake.data_received(b"two")
    listener.handshake.eof_received()
    await listener.over()
    assert (listener.free, tls.protocol) == (1, listener.made)
    assert listener.made.heard == [tls, b"one", b"two", "end"]


async def test_p14_without_a_place_nothing_is_read_and_no_place_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(monkeypatch, places=0)
    assert listener.plain.is_cut
    assert listener.handshake._task is None
    assert listener.free == -1


@pytest.mark.parametrize("how", ["failed", "late", "nothing", "not agreed", "gone", "cut"])
async def test_p14_a_handshake_that_comes_to_nothing_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    listener = Listener(monkeypatch)
    match how:
        case "failed":
            listener.ends.set_exception(ssl.SSLError("wrong version number"))
        case "late":
            listener.ends.set_exception(ConnectionAbortedError("it took too long"))
        case "nothing":
            listener.ends.set_result(None)
        case "not agreed":
            listener.ends.set_result(Transport(cipher=None))
        case "gone":
            listener.ends.set_result(Transport())
            listener.handshake.connection_lost(None)
        case "cut":
            listener.handshake.abort()
    await listener.over()
    assert (listener.free, listener.plain.is_cut, listener.made.heard) == (1, True, [])
