"""HMAC-SHA256 (RFC 2104) under a few keys that are used over and over. The only importer of `cryptography` here.

Rules of this module:
* A key is prepared once and copied for each message: of a short message, preparing it is most of the work.
* The prepared keys are bounded in number; they are no more secret than the keys their callers hold anyway.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC


def keyed_digest(key: bytes, message: bytes) -> bytes:
    """The 32 bytes of HMAC-SHA256 of `message` under `key`."""
    mac = _prepared(key).copy()
    mac.update(message)
    return mac.finalize()


@lru_cache(maxsize=256)
def _prepared(key: bytes) -> HMAC:
    return HMAC(key, SHA256())
