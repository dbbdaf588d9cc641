"""Sealed columns: AES-256-GCM under a key outside the database, each value bound to its table, row and column.

Rules of this module:
* The place of a value is authenticated with it: a ciphertext moved to another row or column does not open.
* No nonce is ever used twice: each Sealer has a key of its own, derived with a random salt, and counts from zero.
  (Random nonces under one key would be limited to 2^32 values, NIST SP 800-38D §8.3, a few weeks of a busy gate.)
* Layout: version 1 (1 byte) · salt (16) · counter (8) · ciphertext · tag (16).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.keyed import keyed_digest
from proxy.store.base import Tampered

_VERSION = b"\x01"
_SALT_BYTES = 16
_COUNTER_BYTES = 8
HEAD_BYTES = 1 + _SALT_BYTES + _COUNTER_BYTES
TAG_BYTES = 16
SEAL_BYTES = HEAD_BYTES + TAG_BYTES  # what sealing adds to a value
_NONCE_PREFIX = b"\0\0\0\0"
_CIPHERS_MAX = 64  # derived keys of earlier starts, kept ready


class Sealer:
    """Seals and opens values. Make one per process and key; it must not be used on both sides of a fork."""

    def __init__(self, key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._key = key
        self._salt = random_bytes(_SALT_BYTES)
        self._prefix = _VERSION + self._salt
        self._counter = itertools.count()
        self._cipher_of = lru_cache(maxsize=_CIPHERS_MAX)(self._derive)
        self._cipher = self._derive(self._salt)

    def seal(self, table: str, row_id: str, column: str, value: bytes) -> bytes:
        """The sealed form of `value` for exactly this place."""
        counter = next(self._counter).to_bytes(_COUNTER_BYTES)
        return (
            self._prefix + counter + self._cipher.encrypt(_NONCE_PREFIX + counter, value, _place(table, row_id, column))
        )

    def open(self, table: str, row_id: str, column: str, sealed: bytes) -> bytes:
        """The value that was sealed at this place. Raises: Tampered."""
        if len(sealed) < HEAD_BYTES + TAG_BYTES or sealed[:1] != _VERSION:
            raise Tampered(table, row_id, f"its {column} is not a sealed value")
        cipher = self._cipher_of(sealed[1 : 1 + _SALT_BYTES])
        nonce = _NONCE_PREFIX + sealed[1 + _SALT_BYTES : HEAD_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[HEAD_BYTES:], _place(table, row_id, column))
        except InvalidTag as error:
            raise Tampered(table, row_id, f"its {column} does not open with this gate's key") from error

    def _derive(self, salt: bytes) -> AESGCM:
        return AESGCM(keyed_digest(self._key, b"interlock/seal/v1\0" + salt))


def fingerprint(sealed: bytes) -> str:
    """What stands for a sealed value in its row's MAC: its nonce and tag, which without the key fit nothing else."""
    return sealed[:HEAD_BYTES].hex() + sealed[-TAG_BYTES:].hex()


def _place(table: str, row_id: str, column: str) -> bytes:
    return f"interlock/seal/v1\0{table}\0{row_id}\0{column}".encode()
