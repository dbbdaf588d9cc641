"""Bodies: which requests may have one at this door, and a decoder for what upstreams send back compressed.

Rules of this module:
* Requests: exactly one `Content-Type` line, `application/json`, no parameter but `charset=utf-8`; no content encoding.
* Responses: at most one `Content-Encoding` line naming exactly one of identity, gzip, deflate, br, zstd. Nothing else
  is decoded and nothing is guessed: an unknown name is a refusal, not a pass.
* Decoding is incremental and bounded twice: bytes out, and bytes out per byte in. A second member, trailing bytes, a
  truncated or corrupt stream are refusals.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import brotli
import zstandard

from proxy.wire.refusals import Why, WireRefusal

type HeaderLines = Sequence[tuple[bytes, bytes]]
"""Header lines as ASGI gives them: names in lower case, one tuple a line."""

_JSON_TYPE = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?', re.IGNORECASE)


def check_request(headers: HeaderLines) -> None:
    """Refuse a request whose body is not plain JSON by its own headers.

    Raises: WireRefusal (415).
    """
    types: list[bytes] = []
    encodings: list[bytes] = []
    for given, value in headers:
        name = given.lower()
        if name == b"content-type":
            types.append(value)
        elif name == b"content-encoding":
            encodings.append(value)
    if len(types) != 1 or not _JSON_TYPE.fullmatch(types[0].strip(b" \t")):
        raise WireRefusal(
            Why.CONTENT_TYPE, "send exactly one Content-Type: application/json (no parameter but charset=utf-8)"
        )
    if encodings and [line.strip(b" \t").lower() for line in encodings] != [b"identity"]:
        raise WireRefusal(Why.CONTENT_ENCODING, "send the body without a Content-Encoding")


class BodyFault(StrEnum):
    """Why an upstream's body is refused."""

    ENCODING = "body_encoding"
    TOO_LARGE = "body_too_large"
    BOMB = "body_bomb"
    CORRUPT = "body_corrupt"
    TRAILING = "body_trailing_bytes"
    TRUNCATED = "body_truncated"


class BodyRefused(Exception):
    """An upstream's body that is not to be read further. `message` is for reviewers and the record, not for agents."""

    def __init__(self, reason: BodyFault, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """`bytes_max` counts decoded bytes (0: no limit, for long streams); the ratio counts past `ratio_free_bytes`."""

    bytes_max: int = 4 * 1024 * 1024
    ratio_max: int = 100
    ratio_free_bytes: int = 256 * 1024


DEFAULT_LIMITS = BodyLimits()


class Decoder:
    """Decodes one response body piece by piece: `feed` yields pieces, `finish` checks that it was all there.

    Raises: BodyRefused, from every method. A decoder that has raised is done.
    """

    def __init__(self, headers: HeaderLines, limits: BodyLimits = DEFAULT_LIMITS) -> None:
        self._codec = _codec(content_encoding(headers))
        self._limits = limits
        self._bytes_in = 0
        self._bytes_out = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode the next bytes from the wire; each piece yielded is small even where the whole would not be."""
        self._bytes_in += len(data)
        for piece in self._codec.decode(data) if data else ():
            self._bytes_out += len(piece)
            self._check_size()
            if piece:
                yield piece

    def finish(self) -> None:
        """Say that the wire has ended; an empty body is complete in every encoding."""
        if self._bytes_in and not self._codec.ended:
            raise BodyRefused(BodyFault.TRUNCATED, "the body ends in the middle of its content encoding")

    def _check_size(self) -> None:
        limits = self._limits
        if limits.bytes_max and self._bytes_out > limits.bytes_max:
            raise BodyRefused(BodyFault.TOO_LARGE, f"the body has more than {limits.bytes_max} bytes")
        if self._bytes_out > limits.ratio_free_bytes and self._bytes_out > self._bytes_in * limits.ratio_max:
            raise BodyRefused(BodyFault.BOMB, f"the body expands more than {limits.ratio_max} times")


def decode(body: bytes, headers: HeaderLines, limits: BodyLimits = DEFAULT_LIMITS) -> bytes:
    """Decode a whole body.

    Raises: BodyRefused.
    """
    decoder = Decoder(headers, limits)
    decoded = b"".join(decoder.feed(body))
    decoder.finish()
    return decoded


def content_encoding(headers: HeaderLines) -> str:
    """The one content encoding of a response, `identity` if it names none.

    Raises: BodyRefused.
    """
    lines = _lines(headers, b"content-encoding")
    if not lines:
        return "identity"
    name = lines[0].strip(b" \t").lower().decode("latin-1")
    if len(lines) > 1 or name not in _CODECS:
        shown = ascii(", ".join(line.decode("latin-1") for line in lines)[:80])
        raise BodyRefused(
            BodyFault.ENCODING, f"the content encoding {shown} is not exactly one of {', '.join(_CODECS)}"
        )
    return name


def _lines(headers: HeaderLines, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]


# ---- codecs -----------------------------------------------------------------------------------------------------

_PIECE_BYTES = 64 * 1024
_ZSTD_WINDOW_BYTES_MAX = 8 * 1024 * 1024  # RFC 9659: what a decoder of the HTTP content coding must be able to hold
_ZSTD_SLICE_BYTES = 128  # a block of 4 bytes may stand for 128 KiB, and the codec has no bound of its own


class _Codec(Protocol):
    ended: bool

    def decode(self, data: bytes) -> Iterable[bytes]: ...


class _Identity:
    ended = True

    def decode(self, data: bytes) -> Iterable[bytes]:
        return (data,)


class _Zlib:
    """gzip (RFC 1952) or deflate in its zlib wrapping (RFC 9110 §8.4.1.2)."""

    def __init__(self, window_bits: int) -> None:
        self._inflate = zlib.decompressobj(window_bits)
        self.ended = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        piece = b""
        while data or len(piece) == _PIECE_BYTES:  # a full piece may leave output behind that has no input left
            _refuse_after_end(self.ended)
            try:
                piece = self._inflate.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise BodyRefused(BodyFault.CORRUPT, f"the compressed body is corrupt: {error}") from error
            self.ended = self._inflate.eof
            data = self._inflate.unused_data or self._inflate.unconsumed_tail
            yield piece
            if self.ended and not data:
                return


class _Brotli:
    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()
        self.ended = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        _refuse_after_end(self.ended)
        while True:
            try:
                piece = self._decompressor.process(data, output_buffer_limit=_PIECE_BYTES)
            except brotli.error as error:  # trailing bytes in the same read are an error too
                raise BodyRefused(BodyFault.CORRUPT, "the brotli body is corrupt or has trailing bytes") from error
            self.ended = self._decompressor.is_finished()
            yield piece
            if self.ended or not piece:
                return
            data = b""


class _Zstd:
    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX).decompressobj()
        self.ended = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE_BYTES):
            _refuse_after_end(self.ended)
            try:
                piece = self._decompressor.decompress(data[start : start + _ZSTD_SLICE_BYTES])
            except zstandard.ZstdError as error:
                raise BodyRefused(BodyFault.CORRUPT, f"the zstd body is corrupt: {error}") from error
            self.ended = self._decompressor.eof
            _refuse_after_end(bool(self._decompressor.unused_data))
            yield piece


def _refuse_after_end(ended: bool) -> None:
    if ended:
        raise BodyRefused(BodyFault.TRAILING, "bytes follow the end of the compressed body")


_CODECS = ("identity", "gzip", "deflate", "br", "zstd")


def _codec(name: str) -> _Codec:
    match name:
        case "gzip":
            return _Zlib(16 + zlib.MAX_WBITS)
        case "deflate":
            return _Zlib(zlib.MAX_WBITS)
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
        case _:
            return _Identity()
