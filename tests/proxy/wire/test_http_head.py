"""What a request's head must be; over real connections the same is asked in tests/blackbox/test_http_server.py."""

from __future__ import annotations

import pytest

from proxy.wire.http_head import Faulty, HttpFault, check_head

HOST = (b"host", b"a:80")


def check(*headers: tuple[bytes, bytes], version: str = "1.1", url: bytes = b"/a?b") -> bool:
    return check_head(version, url, headers, body_bytes_max=9)


def test_a_plain_head_passes_and_says_whether_the_client_waits_to_be_told_to_go_on() -> None:
    assert check(HOST, (b"content-length", b"9"), (b"x", b"y")) is False
    assert check(HOST, (b"transfer-encoding", b"Chunked"), (b"expect", b"100-Continue")) is True
    assert check((b"host", b"[::1]:80"), version="1.0", url=b"/") is False


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ((), HttpFault.HOST),
        ((HOST, HOST), HttpFault.HOST),
        (((b"host", b"a/b"),), HttpFault.HOST),
        ((HOST, (b"transfer-encoding", b"gzip, chunked")), HttpFault.FRAMING),
        ((HOST, (b"content-length", b"10")), HttpFault.BODY_TOO_LARGE),
        ((HOST, (b"trailer", b"x")), HttpFault.TRAILERS),
        ((HOST, (b"expect", b"tea")), HttpFault.EXPECTATION),
        (((b"trailer", b"x"), HOST, (b"content-length", b"1")), HttpFault.TRAILERS),
    ],
    ids=repr,
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(
    headers: tuple[tuple[bytes, bytes], ...], fault: HttpFault
) -> None:
    with pytest.raises(Faulty) as refused:
        check(*headers)
    assert refused.value.fault is fault


@pytest.mark.parametrize("url", [b"", b"*", b"http://a/", b"a", b"/a#b"])
def test_a_target_is_a_path(url: bytes) -> None:
    with pytest.raises(Faulty) as refused:
        check(HOST, url=url)
    assert refused.value.fault is HttpFault.TARGET


def test_other_versions_and_chunks_in_http_1_0_are_refused() -> None:
    with pytest.raises(Faulty) as other:
        check(HOST, version="2.0")
    assert other.value.fault is HttpFault.HTTP_VERSION
    with pytest.raises(Faulty) as chunks:
        check(HOST, (b"transfer-encoding", b"chunked"), version="1.0")
    assert chunks.value.fault is HttpFault.FRAMING
