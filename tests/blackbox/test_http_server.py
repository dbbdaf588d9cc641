"""The listener over real sockets: raw bytes in, and what an app behind it sees, or never sees."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from proxy.wire.http_head import HttpFault
from tests.blackbox.raw_server import (
    HEAD,
    LIMITS,
    Running,
    read_response,
    read_to_end,
    refused_as,
    running,
    status,
    until,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as one:
        yield one


# ---- clean requests ---------------------------------------------------------------------------------------------


def test_a_clean_request_is_answered_and_the_connection_kept(server: Running) -> None:
    with server.connect() as sock:
        for body in (b"one", b"two"):
            sock.sendall(HEAD + b"Content-Length: 3\r\n\r\n" + body)
            assert read_response(sock).endswith(b"\r\n\r\n" + body)


def test_no_server_and_no_date_header_is_added(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 1\r\n\r\nx")
        assert read_response(sock) == b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"


def test_a_chunked_body_with_extensions_is_read(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3;name=value\r\nabc\r\n0\r\n\r\n")
        assert read_response(sock).endswith(b"\r\n\r\nabc")


def test_a_request_that_arrives_byte_by_byte_is_read(server: Running) -> None:
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in HEAD + b"Content-Length: 3\r\n\r\nabc":
            sock.sendall(bytes([byte]))
        assert read_response(sock).endswith(b"abc")


def test_expect_100_continue_is_met(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert read_response(sock).endswith(b"abc")


def test_forwarding_headers_do_not_change_who_the_client_is(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(HEAD + b"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nContent-Length: 0\r\n\r\n")
        read_response(sock)
    assert (b"x-forwarded-for", b"9.9.9.9") in server.seen.requests[-1][1]


# ---- heads ------------------------------------------------------------------------------------------------------

BAD_HEADS: list[tuple[str, bytes, HttpFault]] = [
    ("B6 an obs-fold", HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", HttpFault.MALFORMED),
    ("B5 CL and TE", HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", HttpFault.MALFORMED),
    ("B5 TE and CL", HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", HttpFault.MALFORMED),
    ("B5 two equal CL", HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", HttpFault.MALFORMED),
    ("B5 a list in CL", HEAD + b"Content-Length: 3, 3\r\n\r\nabc", HttpFault.MALFORMED),
    ("B5 a signed CL", HEAD + b"Content-Length: +3\r\n\r\nabc", HttpFault.MALFORMED),
    ("B5 TE xchunked", HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", HttpFault.FRAMING),
    ("B5 TE identity", HEAD + b"Transfer-Encoding: identity\r\n\r\n", HttpFault.FRAMING),
    ("B5 TE gzip, chunked", HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", HttpFault.FRAMING),
    ("B5 two TE", HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", HttpFault.MALFORMED),
    ("B5 TE with a space", HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", HttpFault.MALFORMED),
    (
        "B5 TE in HTTP/1.0",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HttpFault.FRAMING,
    ),
    ("B7 an announced trailer", HEAD + b"Trailer: Mcp-Name\r\nContent-Length: 0\r\n\r\n", HttpFault.TRAILERS),
    ("no Host", b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", HttpFault.HOST),
    ("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", HttpFault.HOST),
    ("B6 two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HttpFault.HOST),
    ("an empty Host", b"GET / HTTP/1.1\r\nHost: \r\n\r\n", HttpFault.HOST),
    ("a Host with user info", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", HttpFault.HOST),
    ("a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HttpFault.HOST),
    ("a list of Hosts", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HttpFault.HOST),
    ("B8 absolute form", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", HttpFault.TARGET),
    ("asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", HttpFault.TARGET),
    ("a fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", HttpFault.TARGET),
    ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", HttpFault.UPGRADE),
    ("B3 an upgrade", HEAD + b"Connection: upgrade\r\nUpgrade: foo\r\nContent-Length: 3\r\n\r\nabc", HttpFault.UPGRADE),
    (
        "B3 a WebSocket",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        HttpFault.UPGRADE,
    ),
    ("B4 h2c", HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", HttpFault.UPGRADE),
    ("B4 prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HttpFault.MALFORMED),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", HttpFault.HTTP_VERSION),
    ("HTTP/0.9", b"GET /\r\n\r\n", HttpFault.HTTP_VERSION),
    ("a lone CR", b"GET / HTTP/1.1\r\nX: a\rb\r\nHost: a\r\n\r\n", HttpFault.MALFORMED),
    ("a NUL", b"GET / HTTP/1.1\r\nX: a\x00b\r\nHost: a\r\n\r\n", HttpFault.MALFORMED),
    ("lone LFs", b"GET / HTTP/1.1\nHost: a\n\n", HttpFault.MALFORMED),
    ("an odd verb", b"G1T / HTTP/1.1\r\nHost: a\r\n\r\n", HttpFault.MALFORMED),
    ("another expectation", HEAD + b"Expect: tea\r\nContent-Length: 0\r\n\r\n", HttpFault.EXPECTATION),
    ("a bad path", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", HttpFault.MALFORMED),
    ("too many lines", HEAD + b"".join(b"X-%d: a\r\n" % i for i in range(40)) + b"\r\n", HttpFault.HEAD_TOO_LARGE),
    ("a long line", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 5000 + b"\r\n\r\n", HttpFault.HEAD_TOO_LARGE),
    ("a long target", b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", HttpFault.HEAD_TOO_LARGE),
]


@pytest.mark.parametrize(("head", "fault"), [case[1:] for case in BAD_HEADS], ids=[case[0] for case in BAD_HEADS])
def test_a_head_that_can_be_read_in_two_ways_is_refused_before_the_app_sees_it(
    server: Running, head: bytes, fault: HttpFault
) -> None:
    before = list(server.seen.started)
    refused_as(fault, server.ask(head))
    assert server.seen.started == before


def test_a_head_of_exactly_the_limit_is_read(server: Running) -> None:
    head = HEAD + b"Content-Length: 0\r\nX: "
    head += b"a" * (LIMITS.head_bytes_max - len(head) - 4) + b"\r\n\r\n"
    assert len(head) == LIMITS.head_bytes_max
    with server.connect() as sock:
        sock.sendall(head)
        assert status(read_response(sock)) == 200


def test_a_head_without_an_end_is_not_collected_in_memory(server: Running) -> None:
    with server.connect() as sock:
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            sock.settimeout(3)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            while sent < 60_000_000:
                sent += sock.send(b"a" * 65_536)
        assert sent < 30_000_000  # what the sockets' buffers swallow, and no more


def test_a_head_that_trickles_in_is_refused_in_time(server: Running) -> None:
    with server.connect() as sock:
        begun = time.monotonic()
        sock.sendall(b"GET / HT")
        with contextlib.suppress(ConnectionError):
            for byte in b"TP/1.1\r\nHost: a":
                sock.sendall(bytes([byte]))
                time.sleep(0.06)
        refused_as(HttpFault.HEAD_TOO_SLOW, read_to_end(sock))
        assert time.monotonic() - begun < 3


def test_a_connection_that_never_says_a_word_is_closed(server: Running) -> None:
    with server.connect() as sock:
        assert read_to_end(sock) == b""


def test_the_second_request_of_a_connection_has_its_own_head_deadline(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        read_response(sock)
        time.sleep(LIMITS.head_sec_max)  # idle: not a slow head
        sock.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        read_response(sock)
        sock.sendall(b"GET / HT")
        refused_as(HttpFault.HEAD_TOO_SLOW, read_to_end(sock))


# ---- bodies -----------------------------------------------------------------------------------------------------


def test_b7_trailers_are_a_clean_400_and_never_headers(server: Running) -> None:
    before = len(server.seen.requests)
    answer = server.ask(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nMcp-Name: delete_all\r\nHost: evil\r\n\r\n"
    )
    refused_as(HttpFault.TRAILERS, answer)
    assert len(server.seen.requests) == before
    assert until(lambda: server.seen.gone[-1:] == ["/echo"])
    with server.connect() as other:  # other connections are not affected
        other.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert status(read_response(other)) == 200


def test_j12_a_declared_body_over_the_limit_is_413_before_it_is_read(server: Running) -> None:
    before = list(server.seen.started)
    refused_as(HttpFault.BODY_TOO_LARGE, server.ask(HEAD + b"Content-Length: 100001\r\n\r\n"))
    assert server.seen.started == before


def test_j12_a_chunked_body_over_the_limit_is_413(server: Running) -> None:
    chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    refused_as(HttpFault.BODY_TOO_LARGE, server.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 7))
    assert until(lambda: server.seen.gone[-1:] == ["/echo"])


def test_a_body_of_exactly_the_limit_is_read(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + b"a" * 100_000)
        assert len(read_response(sock)) > 100_000


def test_after_a_413_nothing_more_is_read(server: Running) -> None:
    with server.connect(timeout=3) as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            while sent < 900_000_000:
                sent += sock.send(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")
        assert sent < 30_000_000  # what the sockets' buffers swallow, and no more


def test_a_body_that_trickles_in_is_refused_in_time(server: Running) -> None:
    begun = time.monotonic()
    refused_as(HttpFault.BODY_TOO_SLOW, server.ask(HEAD + b"Content-Length: 3\r\n\r\na"))
    assert time.monotonic() - begun < 3
    assert until(lambda: server.seen.gone[-1:] == ["/echo"])


@pytest.mark.parametrize(
    "body",
    [
        b"3 ;a\nabc\r\n0\r\n\r\n",
        b"3;a\x00\r\nabc\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"-1\r\n",
    ],
)
def test_b5_a_malformed_chunk_is_400_and_ends_the_connection(server: Running, body: bytes) -> None:
    before = len(server.seen.requests)
    refused_as(HttpFault.MALFORMED, server.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body))
    assert len(server.seen.requests) == before


def test_an_answer_before_the_body_was_read_ends_the_connection(server: Running) -> None:
    answer = server.ask(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\nGET /echo HTTP/1.1")
    assert status(answer) == 401
    assert answer.endswith(b"no")


# ---- one request at a time, and leaving -------------------------------------------------------------------------


def test_a_pipelined_request_is_not_served(server: Running) -> None:
    before = server.seen.started.count("/second")
    answer = server.ask(HEAD + b"Content-Length: 3\r\n\r\nabc" + b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.endswith(b"abc")
    assert b"connection: close" in answer
    assert answer.count(b"HTTP/1.1 200") == 1
    assert server.seen.started.count("/second") == before


def test_t5_a_disconnect_behind_a_pipelined_request_is_noticed(server: Running) -> None:
    gone = server.seen.gone.count("/hold")
    sock = server.connect()
    sock.sendall(b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert until(lambda: server.seen.holding == 1)
    sock.sendall(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    sock.close()
    assert until(lambda: server.seen.gone.count("/hold") == gone + 1)


def test_t5_a_half_closed_connection_is_a_client_that_has_left(server: Running) -> None:
    gone = server.seen.gone.count("/hold-silent")
    with server.connect() as sock:
        sock.sendall(b"POST /hold-silent HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert until(lambda: server.seen.requests[-1][0] == "/hold-silent")
        sock.shutdown(socket.SHUT_WR)
        assert until(lambda: server.seen.gone.count("/hold-silent") == gone + 1)


@pytest.mark.parametrize("how", ["stays", "half-closed", "closed behind a pipelined request", "reset"])
def test_t05_the_system_is_asked_whether_a_client_has_left_before_the_loop_could_see_it(
    server: Running, how: str
) -> None:
    seen = server.seen
    seen.is_busy.clear()
    seen.may_go_on.clear()
    with server.connect() as sock:
        sock.sendall(b"POST /busy HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert seen.is_busy.wait(10)
        if how == "half-closed":
            sock.shutdown(socket.SHUT_WR)
        elif how == "closed behind a pipelined request":
            sock.sendall(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
            sock.close()
        elif how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        known = len(seen.departures)
        seen.may_go_on.set()
        assert until(lambda: len(seen.departures) == known + 1)
    assert seen.departures[-1] == (False, how != "stays")


def test_a_client_that_floods_behind_its_request_is_cut_off(server: Running) -> None:
    gone = server.seen.gone.count("/hold-silent")
    with server.connect() as sock:
        sock.sendall(b"POST /hold-silent HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                sock.sendall(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        assert until(lambda: server.seen.gone.count("/hold-silent") == gone + 1)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_noticed(server: Running) -> None:
    gone = len(server.seen.gone)
    sock = server.connect()
    sock.sendall(HEAD + b"Content-Length: 3\r\n\r\na")
    assert until(lambda: server.seen.started[-1] == "/echo")
    sock.close()
    assert until(lambda: len(server.seen.gone) == gone + 1)


def test_a_line_end_after_a_body_is_not_a_pipelined_request(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 3\r\n\r\nabc\r\n")
        assert b"connection: close" not in read_response(sock)
        sock.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert status(read_response(sock)) == 200


# ---- a burst of connections ---------------------------------------------------------------------------------------


def test_p14_a_burst_of_connections_is_served_in_a_few_rounds_of_the_loop(server: Running) -> None:
    """uvloop accepts one connection a round: while rounds are long, the last of a burst waited for seconds."""
    burst, all_connected = 36, threading.Event()

    async def rounds_until_all_are_read() -> int:
        assert all_connected.wait(10)  # the loop stands still meanwhile
        before, rounds = len(server.seen.requests), 0
        while len(server.seen.requests) < before + burst:
            await asyncio.sleep(0)
            rounds += 1
        return rounds

    rounds = asyncio.run_coroutine_threadsafe(rounds_until_all_are_read(), server.loop)
    with contextlib.ExitStack() as stack:
        for _ in range(burst):
            stack.enter_context(server.connect()).sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        all_connected.set()
        assert rounds.result(10) < burst // 2
