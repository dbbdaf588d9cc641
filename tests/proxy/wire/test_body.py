"""Bodies: which requests may have one, and decoding what upstreams compress without being fooled or flooded."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.body import BodyFault, BodyLimits, BodyRefused, Decoder, check_request, content_encoding, decode
from proxy.wire.refusals import Why, WireRefusal

TEXT = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"' + b"abc \xc3\xa9 " * 50 + b'"}]}}'


def encode(name: str, data: bytes) -> bytes:
    match name:
        case "gzip":
            return gzip.compress(data)
        case "deflate":
            return zlib.compress(data)
        case "br":
            return bytes(brotli.compress(data))
        case "zstd":
            return zstandard.compress(data)
        case _:
            return data


def under(name: str) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), (b"content-encoding", name.encode())]


COMPRESSED = ["gzip", "deflate", "br", "zstd"]
ALL = ["identity", *COMPRESSED]


def fault(body: bytes, headers: list[tuple[bytes, bytes]], limits: BodyLimits = BodyLimits()) -> BodyFault:  # noqa: B008 - frozen
    with pytest.raises(BodyRefused) as caught:
        decode(body, headers, limits)
    assert str(caught.value) == caught.value.message
    return caught.value.reason


# ---- requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        *(b"application/json", b"Application/JSON", b"  application/json ", b"application/json;charset=utf-8"),
        *(
            b"application/json; charset=UTF-8",
            b'application/json ; charset="utf-8" ',
            b"application/json;\tcharset=utf-8",
        ),
    ],
)
def test_a_request_of_plain_json_passes(value: bytes) -> None:
    check_request([(b"content-type", value)])
    check_request([(b"accept", b"text/plain"), (b"Content-Type", value), (b"content-encoding", b"Identity")])


@pytest.mark.parametrize(
    "values",
    [
        *([], [b""], [b"text/json"], [b"text/plain"], [b"multipart/form-data; boundary=x"], [b"application/jsonx"]),
        *([b"application/x-www-form-urlencoded"], [b"application/json; charset=utf-16"], [b"application/vnd.api+json"]),
        *([b"application/json", b"application/json"], [b"application/json, text/plain"], [b"application/json;"]),
        *([b"application/json; charset=utf-8; charset=utf-16"], [b"application/json; x=y"], [b"json"], [b"*/*"]),
        *([b"application/json", b"text/plain"], [b"application/json; charset=utf-7"], [b"application/ json"]),
        [b'application/json; charset="utf-8'],
    ],
    ids=repr,
)
def test_j10_a_request_of_any_other_content_type_is_415(values: list[bytes]) -> None:
    with pytest.raises(WireRefusal) as caught:
        check_request([(b"content-type", value) for value in values])
    assert (caught.value.why, caught.value.http_status) == (Why.CONTENT_TYPE, 415)


@pytest.mark.parametrize(
    "values",
    [[b"gzip"], [b"br"], [b""], [b"identity", b"identity"], [b"identity, gzip"], [b"quoted-printable"], [b"x-gzip"]],
    ids=repr,
)
def test_mcp_1_4_a_request_with_a_content_encoding_is_415(values: list[bytes]) -> None:
    with pytest.raises(WireRefusal) as caught:
        check_request([(b"content-type", b"application/json"), *[(b"content-encoding", value) for value in values]])
    assert (caught.value.why, caught.value.http_status) == (Why.CONTENT_ENCODING, 415)


# ---- responses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_body_is_decoded(name: str) -> None:
    assert decode(encode(name, TEXT), under(name)) == TEXT
    assert decode(encode(name, TEXT), under(name.upper())) == TEXT


@given(st.sampled_from(ALL), st.binary(max_size=3000), st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_a_body_is_decoded_in_pieces_of_any_size(name: str, data: bytes, sizes: list[int]) -> None:
    body, decoder, decoded = encode(name, data), Decoder(under(name)), b""
    while body:
        size = sizes[len(body) % len(sizes)]
        decoded += b"".join(decoder.feed(body[:size]))
        body = body[size:]
    decoder.finish()
    assert decoded == data


@pytest.mark.parametrize("name", ALL)
def test_every_piece_is_delivered_when_its_bytes_have_come(name: str) -> None:
    """An SSE event is not kept back until the next one: compressors that flush are decoded up to the flush."""
    flushing = {
        "gzip": zlib.compressobj(wbits=31),
        "deflate": zlib.compressobj(),
        "zstd": zstandard.ZstdCompressor().compressobj(),
        "br": brotli.Compressor(),
    }.get(name)
    decoder = Decoder(under(name), BodyLimits(ratio_free_bytes=10**9))
    for event in (b"data: 1\n\n", b"data: " + b"2" * 300_000 + b"\n\n", b"data: 3\n\n"):
        match name:
            case "identity":
                wire = event
            case "br":
                wire = flushing.process(event) + flushing.flush()  # type: ignore[union-attr]
            case "zstd":
                wire = flushing.compress(event) + flushing.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)  # type: ignore[union-attr]
            case _:
                wire = flushing.compress(event) + flushing.flush(zlib.Z_SYNC_FLUSH)  # type: ignore[union-attr]
        assert b"".join(decoder.feed(wire)) == event


def test_without_a_content_encoding_a_body_is_itself() -> None:
    assert decode(TEXT, [(b"content-type", b"application/json")]) == TEXT
    assert content_encoding([]) == "identity"


@pytest.mark.parametrize("name", ALL)
def test_an_empty_body_is_complete_in_every_encoding(name: str) -> None:
    assert decode(b"", under(name)) == b""


@pytest.mark.parametrize(
    "lines",
    [
        *([b"gzip, gzip"], [b"gzip", b"gzip"], [b"identity", b"gzip"], [b"x-gzip"], [b"compress"], [b""], [b"utf-8"]),
        *([b"quoted-printable"], [b"rot13"], [b"gzip;q=1"], [b"gzip "] * 2, [b"zstd, br"], [b"gz\xefp"]),
    ],
    ids=repr,
)
def test_threats_0_3_any_other_content_encoding_is_refused_not_passed(lines: list[bytes]) -> None:
    assert fault(TEXT, [(b"content-encoding", line) for line in lines]) is BodyFault.ENCODING


@pytest.mark.parametrize("name", COMPRESSED)
def test_threats_0_3_a_second_member_or_trailing_bytes_are_refused(name: str) -> None:
    first = encode(name, b'{"ok":1}')
    trailing = (BodyFault.TRAILING, BodyFault.CORRUPT) if name == "br" else (BodyFault.TRAILING,)
    assert fault(first + encode(name, b'{"deny":1}'), under(name)) in trailing
    assert fault(first + b"x", under(name)) in trailing
    decoder = Decoder(under(name))
    assert b"".join(decoder.feed(first)) == b'{"ok":1}'
    with pytest.raises(BodyRefused) as caught:
        list(decoder.feed(b"x"))
    assert caught.value.reason is BodyFault.TRAILING


def test_trailing_bytes_behind_many_zstd_slices_are_refused() -> None:
    body = zstandard.compress(bytes(range(256)) * 40, level=1) + b""
    padded = body + b"\0" * 200
    assert fault(padded, under("zstd")) is BodyFault.TRAILING


def test_a_zstd_skippable_frame_before_the_body_is_refused() -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    assert fault(skippable + encode("zstd", TEXT), under("zstd")) is BodyFault.TRAILING


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_truncated_body_is_refused(name: str) -> None:
    assert fault(encode(name, TEXT)[:-3], under(name)) is BodyFault.TRUNCATED


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_corrupt_body_is_refused(name: str) -> None:
    assert fault(b"\xff\xfe\xfd" * 20, under(name)) is BodyFault.CORRUPT


def test_raw_deflate_is_not_guessed() -> None:
    raw = zlib.compressobj(wbits=-15)
    assert fault(raw.compress(TEXT) + raw.flush(), under("deflate")) is BodyFault.CORRUPT


def test_a_gzip_checksum_is_checked() -> None:
    body = bytearray(encode("gzip", TEXT))
    body[-6] ^= 1
    assert fault(bytes(body), under("gzip")) is BodyFault.CORRUPT


# ---- bounds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_the_size_limit_is_exact(name: str) -> None:
    limits = BodyLimits(bytes_max=len(TEXT))
    assert decode(encode(name, TEXT), under(name), limits) == TEXT
    assert fault(encode(name, TEXT + b"x"), under(name), limits) is BodyFault.TOO_LARGE


@pytest.mark.parametrize("name", COMPRESSED)
def test_j11_a_bomb_is_refused_by_its_ratio(name: str) -> None:
    bomb = encode(name, b"0" * 3_000_000)
    assert fault(bomb, under(name)) is BodyFault.BOMB
    assert decode(bomb, under(name), BodyLimits(ratio_max=10**6)) == b"0" * 3_000_000


def test_a_long_stream_has_a_ratio_but_no_size_limit() -> None:
    limits = BodyLimits(bytes_max=0)
    assert len(decode(b"x" * 5_000_000, [], limits)) == 5_000_000
    assert fault(encode("gzip", b"0" * 5_000_000), under("gzip"), limits) is BodyFault.BOMB


@pytest.mark.parametrize("name", COMPRESSED)
def test_j11_a_bomb_of_two_hundred_megabytes_costs_little_memory(name: str) -> None:
    """In a process of its own: peak memory grows by less than four times the limit."""
    program = f"""
import resource, sys
from proxy.wire.body import BodyLimits, BodyRefused, decode
bomb = sys.stdin.buffer.read()
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
try:
    decode(bomb, [(b"content-encoding", b"{name}")], BodyLimits(bytes_max=4 * 1024 * 1024, ratio_max=10**9))
except BodyRefused as refused:
    print(refused.reason, peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], input=bomb_of(name, 200_000_000), capture_output=True, check=True, timeout=60
    )
    reason, grown = done.stdout.split()
    assert reason == b"body_too_large"
    assert int(grown) < 16 * 1024 * 1024


def bomb_of(name: str, size: int) -> bytes:
    block = b"\0" * 1_000_000
    match name:
        case "br":
            compressor = brotli.Compressor(quality=1)
            return b"".join(compressor.process(block) for _ in range(size // len(block))) + bytes(compressor.finish())
        case "zstd":
            writer = zstandard.ZstdCompressor(level=1).compressobj()
        case _:
            writer = zlib.compressobj(level=1, wbits=31 if name == "gzip" else 15)  # type: ignore[assignment]
    return b"".join(writer.compress(block) for _ in range(size // len(block))) + writer.flush()
