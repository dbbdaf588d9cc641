"""The head of a request: what it must be to be read in one way only, and what whoever sends another one is told. Pure.

Rules of this module:
* Refused whole unless its framing, target and Host can be read in one way only (RFC 9112 §3.2, §6.3).
* Codings but `chunked`, trailers, upgrades, tunnels and expectations but `100-continue` are refused, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_FRAMING: Final = frozenset((b"host", b"transfer-encoding", b"content-length", b"trailer", b"expect"))


class HttpFault(Enum):
    """Why a connection is refused: HTTP status, and what the client is told. docs/wire.md repeats this table."""

    MALFORMED = (400, "The request is not well-formed HTTP/1.1.")
    HOST = (400, "Send exactly one valid Host header.")
    TARGET = (400, "Send the request target as a path, without fragment or authority.")
    FRAMING = (400, "Send one Content-Length, or Transfer-Encoding: chunked, and nothing else that frames a body.")
    TRAILERS = (400, "Trailers are not accepted.")
    UPGRADE = (400, "Upgrades and tunnels are not accepted; speak HTTP/1.1.")
    HEAD_TOO_SLOW = (408, "The request head took too long.")
    BODY_TOO_SLOW = (408, "The request body took too long.")
    BODY_TOO_LARGE = (413, "The request body is larger than the limit.")
    EXPECTATION = (417, "No expectation but 100-continue can be met.")
    HEAD_TOO_LARGE = (431, "The request head is larger than the limit.")
    TOO_MANY_CONNECTIONS = (503, "Too many connections; try again later.")
    HTTP_VERSION = (505, "Speak HTTP/1.1 or HTTP/1.0.")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def text(self) -> str:
        return self.value[1]


class Faulty(Exception):
    """A head that is refused."""

    def __init__(self, fault: HttpFault) -> None:
        super().__init__(fault.text)
        self.fault = fault


def check_head(version: str, url: bytes, headers: Sequence[tuple[bytes, bytes]], *, body_bytes_max: int) -> bool:
    """True if the client waits for `100 Continue` before it sends its body. Names are in lower case. Raises: Faulty."""
    if version not in ("1.1", "1.0"):
        raise Faulty(HttpFault.HTTP_VERSION)
    if not url.startswith(b"/") or b"#" in url:
        raise Faulty(HttpFault.TARGET)
    hosts, expects, fault = 0, False, None
    for name, value in headers:
        if name not in _FRAMING:
            continue
        match name:
            case b"host":
                hosts += 1
                fault = None if _HOST.fullmatch(value) else HttpFault.HOST
            case b"transfer-encoding":  # RFC 9112 §6.1: not in HTTP/1.0; codings but chunked we do not decode
                fault = None if version == "1.1" and value.lower() == b"chunked" else HttpFault.FRAMING
            case b"content-length":  # digits only: the parser has seen to that
                fault = HttpFault.BODY_TOO_LARGE if int(value) > body_bytes_max else None
            case b"trailer":
                fault = HttpFault.TRAILERS
            case _:
                expects = True
                fault = None if value.lower() == b"100-continue" else HttpFault.EXPECTATION
        if fault is not None:
            raise Faulty(fault)
    if hosts != 1:
        raise Faulty(HttpFault.HOST)
    return expects
