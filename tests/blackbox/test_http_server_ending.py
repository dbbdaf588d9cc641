"""How the listener ends things: stalled readers, connections over the cap, TLS, and a shutdown that returns."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from proxy.wire.http_head import HttpFault
from proxy.wire.http_server import Server, raise_file_limit, run
from tests.blackbox.raw_server import (
    HEAD,
    LIMITS,
    App,
    Running,
    Seen,
    read_response,
    read_to_end,
    refused_as,
    running,
    small_buffers,
    stalled,
    status,
    until,
)

# ---- writing ----------------------------------------------------------------------------------------------------


def test_t5_a_stalled_reader_is_cut_off() -> None:
    with running() as server, stalled(server, b"/flood"):
        assert until(lambda: server.server.connections == 1)
        assert until(lambda: server.server.connections == 0)


def test_a_reader_that_stalls_after_the_last_byte_was_written_is_cut_off() -> None:
    with running(replace(LIMITS, idle_sec_max=1), sockets=[small_buffers()]) as server:
        begun = time.monotonic()
        with stalled(server, b"/medium"):
            assert until(lambda: server.server.connections == 1)
            assert until(lambda: server.server.connections == 0)
        assert time.monotonic() - begun > 1 + LIMITS.send_sec_max  # closed when idle, and cut when that did not flush


def test_a_slow_reader_that_does_read_is_served() -> None:
    with (
        running(replace(LIMITS, send_sec_max=0.3), sockets=[small_buffers()]) as server,
        stalled(server, b"/large") as sock,
    ):
        begun = time.monotonic()
        data = b""
        while len(data) < 400_000:
            data += sock.recv(2_048)
            time.sleep(0.003)
        assert time.monotonic() - begun > 2 * 0.3
    assert data.endswith(b"x" * 1000)


# ---- connections ------------------------------------------------------------------------------------------------


def test_connections_over_the_cap_are_refused_quickly() -> None:
    with running(replace(LIMITS, connections_max=3, head_sec_max=30)) as server:
        open_ones = [server.connect() for _ in range(3)]
        assert until(lambda: server.server.connections == 3)
        begun = time.monotonic()
        refused_as(HttpFault.TOO_MANY_CONNECTIONS, server.ask())
        assert time.monotonic() - begun < 2
        open_ones[0].sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert status(read_response(open_ones[0])) == 200
        for sock in open_ones:
            sock.close()


def test_d12_half_open_requests_are_all_ended_in_time() -> None:
    with running(replace(LIMITS, connections_max=400)) as server:
        sockets = [server.connect() for _ in range(300)]
        for sock in sockets:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert until(lambda: server.server.connections == 0, seconds=10)
        for sock in sockets:
            sock.close()


# ---- shutdown ---------------------------------------------------------------------------------------------------


async def release_holds(seen: Seen) -> None:
    seen.release.set()


async def never(seen: Seen) -> None:
    await asyncio.Event().wait()


def hold(server: Running, count: int) -> list[socket.socket]:
    sockets = []
    for _ in range(count):
        sock = server.connect()
        sock.sendall(b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        sockets.append(sock)
    assert until(lambda: server.seen.holding == count, seconds=20)
    return sockets


def test_t6_shutdown_answers_a_thousand_holds_and_returns() -> None:
    assert raise_file_limit() >= 4_000
    with running(replace(LIMITS, connections_max=2_000, head_sec_max=30), answer_holds=release_holds) as server:
        sockets = hold(server, 1_000)
        assert server.shutdown(10) < 10
        for sock in sockets:
            assert read_to_end(sock).endswith(b"data: ticket\n\n\r\n0\r\n\r\n")
            sock.close()


def test_t6_shutdown_returns_though_the_holds_are_not_answered() -> None:
    with running(replace(LIMITS, connections_max=2_000, head_sec_max=30), answer_holds=never) as server:
        sockets = hold(server, 1_000)
        assert server.shutdown(0.5) < 8
        for sock in sockets:
            assert not read_to_end(sock).endswith(b"0\r\n\r\n")
            sock.close()


def test_shutdown_stops_accepting_and_closes_idle_connections() -> None:
    with running() as server:
        with server.connect() as idle:
            idle.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
            read_response(idle)
            assert server.shutdown(5) < 2
            assert read_to_end(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_shutdown_called_twice_returns_twice() -> None:
    with running() as server:
        first = asyncio.run_coroutine_threadsafe(server.server.shutdown(1), server.loop)
        second = asyncio.run_coroutine_threadsafe(server.server.shutdown(1), server.loop)
        first.result(5)
        second.result(5)


def test_shutdown_cuts_a_stalled_reader_at_the_deadline() -> None:
    with running(replace(LIMITS, send_sec_max=60)) as server, stalled(server, b"/flood"):
        assert until(lambda: server.server.connections == 1)
        assert server.shutdown(0.3) < 3


def test_an_address_in_use_is_an_error_of_start() -> None:
    with running() as server:

        async def second() -> None:
            await Server(App(Seen()), port=server.port).serve()

        with pytest.raises(OSError, match="in use"):
            run(second())


def test_two_listeners_on_given_sockets_end_with_one_signal() -> None:
    program = """
import asyncio, signal, socket
from proxy.wire.http_server import Server, run, stop_on_signals
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
async def main():
    stop = stop_on_signals()
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    servers = [Server(app, sockets=[sock]) for sock in socks]
    serving = [asyncio.ensure_future(server.serve()) for server in servers]
    print(*[await server.started for server in servers], flush=True)
    await stop.wait()
    for server in servers:
        await server.shutdown(2)
    await asyncio.gather(*serving)
    print("closed in order", flush=True)
run(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=os.getcwd(), bufsize=1
    )
    try:
        assert process.stdout is not None
        ports = [int(port) for port in process.stdout.readline().split()]
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert sock.recv(1000).startswith(b"HTTP/1.1 204")
        os.kill(process.pid, signal.SIGTERM)
        assert process.stdout.readline() == "closed in order\n"
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
