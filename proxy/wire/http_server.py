"""A listener: gate connections on uvloop, started and stopped by us alone (traps T5, T6, T7).

Rules of this module:
* No signal is captured here: a process may run several listeners and has one `stop_on_signals`.
* Forwarding headers are never believed; no Server or Date header is added; WebSockets and lifespan events do not exist.
* Connections are accepted some at a time: uvloop takes one each time round its loop, and while the gate has much to do
  a round is long, so that a burst of connections would wait for seconds without being served or turned away.
* Shutdown ends: stop accepting, let the app answer what it holds, close what is idle, wait until the deadline, then cut
  every connection and cancel every request that is left.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from proxy.wire.http_protocol import GateProtocol, ServerLimits
from proxy.wire.peers import PeerHasMany, PeerPlaces
from proxy.wire.tls_handshake import Handshake

log = structlog.get_logger("interlock.http")

type Receive = Callable[[], Awaitable[Any]]

OPEN_FILES_WANTED: Final = 65_536
_BACKLOG: Final = 2_048
_ACCEPTED_AT_ONCE: Final = 16
_CANCEL_SEC: Final = 1.0  # how long cancelled requests may take to unwind before we return without them


class ClientLeft(Exception):
    """The client has gone (or was refused) before its request was complete."""


class Server:
    """One listener for one ASGI app. Construct it inside the running loop."""

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        sockets: Sequence[socket.socket] | None = None,
        tls: ssl.SSLContext | None = None,
        limits: ServerLimits | None = None,
        answer_holds: Callable[[], Awaitable[None]] | None = None,
        is_behind_proxies: bool = False,
    ) -> None:
        self._host, self._port, self._sockets, self._tls = host, port, sockets, tls
        self._limits = limits or ServerLimits()
        self._answer_holds = answer_holds
        self._peers = PeerPlaces(self._limits.connections_max, is_behind_proxies=is_behind_proxies)
        self._app = app
        self._config = _config(self._serve_request, self._limits)
        self._state = ServerState()
        self._listeners: list[asyncio.Server] = []
        self._handshakes = _Handshakes(self._state, self._peers, self._limits.connections_max)
        self._is_stopping = False
        self._quiet = asyncio.Event()
        self._stopped = asyncio.Event()
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Done when the listener accepts connections; its result is the port."""

    @property
    def connections(self) -> int:
        """How many connections are open, those whose TLS handshake is under way among them."""
        return len(self._state.connections) + len(self._handshakes.places)

    async def serve(self) -> None:
        """Accept connections until `shutdown` has done its work.

        Raises: OSError if the address cannot be bound.
        """
        await self.start()
        await self._stopped.wait()

    async def start(self) -> None:
        """Begin to accept connections; `started` is done afterwards.

        Raises: OSError if the address cannot be bound.
        """
        raise_file_limit()
        loop = asyncio.get_running_loop()
        if self._sockets is None:
            self._listeners.append(await loop.create_server(self._accepted, self._host, self._port, backlog=_BACKLOG))
        for sock in self._sockets or ():
            self._listeners.append(await loop.create_server(self._accepted, sock=sock, backlog=_BACKLOG))
        for listening in [sock for listener in self._listeners for sock in listener.sockets]:
            for _ in range(_ACCEPTED_AT_ONCE - 1):
                twin = socket.socket(fileno=os.dup(listening.fileno()))
                self._listeners.append(await loop.create_server(self._accepted, sock=twin, backlog=_BACKLOG))
        self.started.set_result(self._listeners[0].sockets[0].getsockname()[1])

    async def shutdown(self, deadline_sec: float) -> None:
        """Stop, orderly until the deadline and by force after it; returns when nothing of this listener runs."""
        if self._is_stopping:
            await self._stopped.wait()
            return
        self._is_stopping = True
        ends_at = asyncio.get_running_loop().time() + deadline_sec
        for listener in self._listeners:
            listener.close()
        self._handshakes.cut()
        await self._let_holds_be_answered(ends_at)
        for connection in self._connections():
            connection.shutdown()
        await self._until_quiet(ends_at)
        await self._cut_what_is_left()
        self._stopped.set()

    async def _serve_request(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise  # not ours: whoever cancels a request otherwise is to see it logged

    def _accepted(self) -> asyncio.Protocol:
        if self._tls is None:
            return self._connection()
        sec_max = self._limits.head_sec_max
        return Handshake(self._tls, sec_max=sec_max, places=self._handshakes, make=self._connection)

    def _connection(self) -> GateProtocol:
        return GateProtocol(
            self._config, self._state, limits=self._limits, on_lost=self._connection_lost, peers=self._peers
        )

    def _connection_lost(self) -> None:
        if not self._state.connections:
            self._quiet.set()

    def _connections(self) -> list[GateProtocol]:
        return [connection for connection in self._state.connections if isinstance(connection, GateProtocol)]

    async def _let_holds_be_answered(self, ends_at: float) -> None:
        if self._answer_holds is None:
            return
        try:
            async with asyncio.timeout_at(ends_at):
                await self._answer_holds()
        except TimeoutError:
            log.warning("holds_not_all_answered", connections=self.connections)

    async def _until_quiet(self, ends_at: float) -> None:
        if self._state.connections:
            self._quiet.clear()
            try:
                async with asyncio.timeout_at(ends_at):
                    await self._quiet.wait()
            except TimeoutError:
                log.warning("connections_cut", connections=self.connections)

    async def _cut_what_is_left(self) -> None:
        for connection in self._connections():
            connection.abort()
        await self._until_quiet(asyncio.get_running_loop().time() + _CANCEL_SEC)
        tasks = set(self._state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_SEC)


class _Handshakes:
    """The TLS handshakes of one listener, each with its place among the connections."""

    def __init__(self, state: ServerState, peers: PeerPlaces, connections_max: int) -> None:
        self._state, self._peers, self._connections_max = state, peers, connections_max
        self.places: dict[Handshake, str | None] = {}

    def enter(self, handshake: Handshake, host: str | None) -> bool:
        if len(self._state.connections) + len(self.places) >= self._connections_max:
            return False
        try:
            self.places[handshake] = self._peers.take(host)
        except PeerHasMany:
            return False
        return True

    def leave(self, handshake: Handshake) -> None:
        self._peers.give(self.places.pop(handshake))

    def cut(self) -> None:
        for handshake in [*self.places]:
            handshake.abort()


async def read_body(receive: Receive, grow: Callable[[int], None] = lambda _size: None) -> bytes:
    """Read a whole request body; the listener bounds its size and time. `grow` is told of bytes before they are kept.

    Raises: ClientLeft, and what `grow` raises.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece = message.get("body", b"")
        grow(len(piece))
        if not body and not message.get("more_body", False):
            return bytes(piece)
        body += piece
        if not message.get("more_body", False):
            return bytes(body)


def run[T](main: Coroutine[Any, Any, T]) -> T:
    """Run the program on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def stop_on_signals(*signals: signal.Signals) -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets, instead of killing the process; once per process, for all its listeners."""
    stop = asyncio.Event()
    for number in signals or (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def raise_file_limit(wanted: int = OPEN_FILES_WANTED) -> int:
    """Let this process open as many files as it may, up to `wanted`; returns the limit that now holds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context: TLS 1.2 or newer, HTTP/1.1 only.

    Raises: OSError, ssl.SSLError for files that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(cert, key)
    return context


def _config(app: Callable[..., Awaitable[None]], limits: ServerLimits) -> Config:
    config = Config(
        app,
        http=GateProtocol,
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=limits.idle_sec_max,
    )
    config.load()
    return config
