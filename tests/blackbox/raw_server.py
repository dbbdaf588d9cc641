"""A listener under test, in a thread of its own on uvloop, and plain blocking clients that misbehave as they like.

The app behind it: /echo answers the body, /hold holds an SSE answer, /flood never stops writing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

import uvloop

from proxy.wire.http_head import HttpFault
from proxy.wire.http_protocol import ServerLimits, left, may_have_left
from proxy.wire.http_server import ClientLeft, Server, read_body

LIMITS = ServerLimits(
    head_bytes_max=4096,
    head_lines_max=30,
    head_sec_max=0.6,
    body_bytes_max=100_000,
    body_sec_max=0.6,
    send_sec_max=0.6,
    idle_sec_max=5,
    connections_max=40,
)
HEAD = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@dataclass
class Seen:
    """What the app was asked, and what it noticed."""

    requests: list[tuple[str, tuple[tuple[bytes, bytes], ...], bytes]] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    holding: int = 0
    is_busy: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)
    departures: list[tuple[bool, bool]] = field(default_factory=list)


@dataclass
class App:
    """The app under the server: /echo answers the body, /hold holds an SSE answer, /flood never stops writing."""

    seen: Seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.seen.started.append(path)
        headers = tuple(scope["headers"])
        if path == "/early":
            await self._answer(send, b"no", status=401)
            return
        try:
            body = await read_body(receive)
        except ClientLeft:
            self.seen.gone.append(path)
            return
        self.seen.requests.append((path, tuple(scope["headers"]), body))
        assert headers == tuple(scope["headers"])
        match path:
            case "/hold":
                await self._hold(scope, send)
            case "/busy":
                self.seen.is_busy.set()
                assert self.seen.may_go_on.wait(10)  # the loop does nothing meanwhile, as if it had much else to do
                self.seen.departures.append((left(scope).is_set(), may_have_left(scope)))
                await self._answer(send, body)
            case "/hold-silent":
                await left(scope).wait()
                self.seen.gone.append(path)
            case "/flood":
                await self._flood(send)
            case "/large":
                await self._answer(send, b"x" * 400_000)
            case "/medium":
                await self._answer(send, b"x" * 60_000)
            case _:
                await self._answer(send, body)

    async def _answer(self, send: Any, body: bytes, status: int = 200) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-length", str(len(body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _hold(self, scope: Any, send: Any) -> None:
        """Hold as the door does: stream open, until somebody decides or the client leaves."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b": held\n\n", "more_body": True})
        self.seen.holding += 1
        gone, release = asyncio.ensure_future(left(scope).wait()), asyncio.ensure_future(self.seen.release.wait())
        await asyncio.wait({gone, release}, return_when=asyncio.FIRST_COMPLETED)
        self.seen.holding -= 1
        if gone.done():
            self.seen.gone.append("/hold")
        for task in (gone, release):
            task.cancel()
        await send({"type": "http.response.body", "body": b"data: ticket\n\n", "more_body": False})

    async def _flood(self, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@dataclass
class Running:
    """A server in its thread, with blocking ways to talk to it."""

    server: Server
    seen: Seen
    port: int
    loop: asyncio.AbstractEventLoop

    def connect(self, timeout: float = 5.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def ask(self, *pieces: bytes) -> bytes:
        """Send, then read until the server closes or has been quiet for a moment after answering."""
        with self.connect() as sock:
            for piece in pieces:
                sock.sendall(piece)
            return read_to_end(sock)

    def shutdown(self, deadline_sec: float) -> float:
        """Shut down; returns how long that took."""
        begun = time.monotonic()
        asyncio.run_coroutine_threadsafe(self.server.shutdown(deadline_sec), self.loop).result(30)
        return time.monotonic() - begun


def read_to_end(sock: socket.socket, timeout: float = 5.0) -> bytes:
    sock.settimeout(timeout)
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65_536):
            data += chunk
    return data


def read_response(sock: socket.socket) -> bytes:
    """Read one response with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65_536)
        assert chunk, data
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(
        next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    )
    while len(body) < length:
        body += sock.recv(65_536)
    return head + b"\r\n\r\n" + body


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait for something another thread does; True as soon as it has."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


@contextlib.contextmanager
def running(limits: ServerLimits = LIMITS, **options: Any) -> Iterator[Running]:
    ready: threading.Event = threading.Event()
    box: dict[str, Any] = {}

    async def main() -> None:
        seen = Seen()
        holds = options.pop("answer_holds", None)
        server = Server(
            App(seen),
            limits=limits,
            answer_holds=(lambda: holds(seen)) if holds else None,
            **options,
        )
        box.update(server=server, seen=seen, loop=asyncio.get_running_loop())
        serving = asyncio.ensure_future(server.serve())
        box["port"] = await server.started
        ready.set()
        await serving

    def in_thread() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=in_thread, name="server")
    thread.start()
    assert ready.wait(10)
    server = Running(box["server"], box["seen"], box["port"], box["loop"])
    try:
        yield server
    finally:
        if not server.loop.is_closed():
            # The test has already shut it down: its loop is closed, or is just ending and cancels what is left in it.
            with contextlib.suppress(RuntimeError, CancelledError):
                asyncio.run_coroutine_threadsafe(server.server.shutdown(0.1), server.loop).result(30)
        thread.join(10)
        assert not thread.is_alive()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def refused_as(fault: HttpFault, answer: bytes) -> None:
    assert status(answer) == fault.status, answer
    assert answer.endswith(fault.text.encode() + b"\n"), answer
    assert b"connection: close" in answer


def stalled(server: Running, path: bytes) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", server.port))
    sock.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    return sock


def small_buffers() -> socket.socket:
    """A listening socket whose connections have send buffers too small to hide a stalled reader."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock.bind(("127.0.0.1", 0))
    return sock
