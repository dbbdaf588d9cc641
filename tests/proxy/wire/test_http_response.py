"""Reading one response: strict framing, bounded heads, and what may still be said of the connection afterwards."""

from __future__ import annotations

import pytest

from proxy.wire.http_response import BadResponse, ResponseLimits, ResponseReader

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*pieces: bytes, ends: bool = False, **limits: int) -> ResponseReader:
    reader = ResponseReader(ResponseLimits(**limits))
    for piece in pieces:
        reader.feed(piece)
    if ends:
        reader.end()
    return reader


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\nhi", b"hi"),
        (HEAD + b"Content-Length: 0\r\n\r\n", b""),
        (CHUNKED + b"1\r\nh\r\n1;ext=1\r\ni\r\n0\r\nTrailer: x\r\n\r\n", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
            + HEAD
            + b"Content-Length: 2\r\n\r\nhi",
            b"hi",
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_framed_response_is_read_in_pieces_of_any_size(raw: bytes, body: bytes, size: int) -> None:
    reader = read(*(raw[at : at + size] for at in range(0, len(raw), size)))
    assert (reader.is_complete, reader.may_continue, reader.take(), reader.take()) == (True, True, body, b"")
    assert reader.status in (200, 204)
    assert (b"link", b"x") not in reader.lines
    assert (b"trailer", b"x") not in reader.lines


def test_a_response_without_framing_ends_with_its_connection() -> None:
    reader = read(HEAD + b"\r\nhi")
    assert (reader.is_head_complete, reader.is_complete, reader.take()) == (True, False, b"hi")
    reader.end()
    assert (reader.is_complete, reader.may_continue) == (True, False)


@pytest.mark.parametrize(
    "raw", [b"", b"HTTP/1.1 2", HEAD, HEAD + b"Content-Length: 3\r\n\r\nhi", CHUNKED + b"2\r\nhi\r\n"]
)
def test_a_response_cut_short_is_none(raw: bytes) -> None:
    with pytest.raises(BadResponse, match="the connection ended"):
        read(raw, ends=True)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "another version"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "not HTTP/1.1"),
        (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "not HTTP/1.1"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "not chunked"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "an upgrade"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 33, "more than 32 interim answers"),
        (CHUNKED + b"2\r\nhiXX", "not HTTP/1.1"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(BadResponse, match=why):
        read(raw)


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n", b"x", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("at_once", [True, False])
def test_after_a_response_that_goes_on_the_connection_may_not(more: bytes, at_once: bool) -> None:
    whole = HEAD + b"Content-Length: 2\r\n\r\nhi"
    reader = read(whole + more) if at_once else read(whole, more)
    assert (reader.is_complete, reader.may_continue, reader.take()) == (True, False, b"hi")


@pytest.mark.parametrize("told", [b"Connection: close\r\n", b"connection: keep-alive, CLOSE\r\n"])
def test_a_connection_that_the_server_ends_may_not_go_on(told: bytes) -> None:
    assert not read(HEAD + told + b"Content-Length: 0\r\n\r\n").may_continue


@pytest.mark.parametrize("more", [0, 1])
def test_a_head_is_bounded_at_its_limits(more: int) -> None:
    lines = b"".join(b"a%d: b\r\n" % number for number in range(9 + more))
    long = b"name: " + b"v" * (96 + more)
    for raw, limits in (
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + lines + b"\r\n", {"head_lines_max": 10}),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + long + b"\r\n\r\n", {"line_bytes_max": 100}),
        (b"HTTP/1.1 200 OK\r\nx: " + b"v" * (81 + more), {"head_bytes_max": 101}),
    ):
        if more:
            with pytest.raises(BadResponse, match="the head of its answer has more than"):
                read(raw, **limits)
        else:
            read(raw, **limits)
